//! Turns guards into their opposites, one at a time, and looks whether the tests of the id notice.
//!
//! It happens in a copy of the workspace with a target directory of its own, both below `target/guards`, where they
//! stay for the next time: only what differs is copied and built. The sources themselves are never touched.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use floe_agent::stun::Random;

use super::{
    Guard, Requirement, TestName,
    run::{self, Outcome, RunError},
};

/// A test that runs so long with its guard turned will not end: it has failed.
const PATIENCE: Duration = Duration::from_secs(240);

/// What a turned guard led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This test of the id failed, as it should.
    Caught(TestName),
    /// All tests of the id still pass.
    Survived,
    /// The fragment is not in its file.
    NotFound,
    /// This test of the id fails already with its guard as it is, so that nothing is shown.
    FailsAnyway(TestName),
    /// With the guard turned floe does not compile, so that nothing is shown; what the compiler said.
    DoesNotBuild(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught(test) => write!(f, "caught by {test}"),
            Self::Survived => f.write_str("SURVIVED"),
            Self::NotFound => f.write_str("NOT FOUND"),
            Self::FailsAnyway(test) => write!(f, "FAILS ANYWAY: {test}"),
            Self::DoesNotBuild(said) => {
                let reason = said.lines().find(|line| line.starts_with("error")).unwrap_or("no reason given");
                write!(f, "DOES NOT BUILD: {reason}")
            }
        }
    }
}

/// Picks `count` of the guarded requirements by seed; all of them where there are no more.
pub fn pick(catalogue: &[Requirement], count: usize, seed: u64) -> Vec<&Requirement> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut random = Random::from_seed(bytes);
    let mut left: Vec<&Requirement> = catalogue.iter().filter(|one| one.guard.is_some()).collect();
    let mut picked = Vec::new();
    while picked.len() < count && !left.is_empty() {
        let place = random.below(left.len() as u64);
        picked.push(left.swap_remove(usize::try_from(place).unwrap_or_default()));
    }
    // Those of one file behind each other: less is built anew.
    picked.sort_by(|a, b| {
        let file = |one: &Requirement| one.guard.as_ref().map(|guard| guard.file.clone());
        file(a).cmp(&file(b)).then_with(|| a.id.cmp(&b.id))
    });
    picked
}

/// A copy of the workspace.
pub struct Copy {
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    /// Copies the workspace at `root`, or brings the copy there is up to date.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn new(root: &Path) -> io::Result<Self> {
        let place = root.join("target/guards");
        let copy = Self { root: place.join("tree"), target: place.join("build") };
        bring_over(root, &copy.root)?;
        Ok(copy)
    }

    /// Runs the tests of the id with nothing turned. `None`: they pass, as they should.
    ///
    /// # Errors
    /// When a file or a program cannot be used.
    pub fn fails_anyway(&self, requirement: &Requirement) -> Result<Option<Verdict>, RunError> {
        Ok(match self.judge(&requirement.tests)? {
            Verdict::Survived => None,
            Verdict::Caught(test) => Some(Verdict::FailsAnyway(test)),
            other => Some(other),
        })
    }

    /// Turns the guard, runs the tests of the id until one fails, and turns the guard back.
    ///
    /// # Errors
    /// When a file or a program cannot be used; no test failing is no error.
    pub fn turn(&self, requirement: &Requirement, guard: &Guard) -> Result<Verdict, RunError> {
        let file = self.root.join(&guard.file);
        let text = fs::read_to_string(&file)?;
        if text.matches(&guard.turn).count() != 1 {
            return Ok(Verdict::NotFound);
        }
        fs::write(&file, text.replacen(&guard.turn, &guard.into, 1))?;
        let verdict = self.judge(&requirement.tests);
        fs::write(&file, text)?;
        verdict
    }

    fn judge(&self, tests: &[TestName]) -> Result<Verdict, RunError> {
        // In the order of the catalogue, which names the test nearest to the guard first.
        let mut targets: Vec<run::Target> = Vec::new();
        for test in tests {
            let target = run::target_of(test);
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        for target in targets {
            let package = target.0.as_str();
            let own: Vec<&TestName> = tests.iter().filter(|test| run::target_of(test) == target).collect();
            let mut selection = vec!["-p", package];
            if package != "spec-tests" {
                selection.push("--all-features");
            }
            let wanted = BTreeSet::from([target.clone()]);
            let built = match run::build(&self.root, Some(&self.target), &selection, &wanted) {
                Ok(built) => built,
                Err(RunError::Build(said)) => return Ok(Verdict::DoesNotBuild(said)),
                Err(error) => return Err(error),
            };
            let Some(executable) = built.get(&target) else { continue };
            let outcomes = run::run_executable(&self.root, executable, &own, PATIENCE)?;
            let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed | Outcome::TimedOut);
            if let Some((test, _)) = outcomes.into_iter().find(|(_, outcome)| failed(outcome)) {
                return Ok(Verdict::Caught(test));
            }
        }
        Ok(Verdict::Survived)
    }
}

/// Directories that are no sources.
const LEFT_OUT: [&str; 3] = ["target", ".git", ".venv"];

/// Makes `to` equal to `from`. A file that is the same already is left alone, so that its time stays as it is and
/// nothing is built for it.
fn bring_over(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if LEFT_OUT.iter().any(|left| name == *left) || !(kind.is_dir() || kind.is_file()) {
            continue;
        }
        let target = to.join(&name);
        names.insert(name);
        if kind.is_dir() {
            bring_over(&entry.path(), &target)?;
            continue;
        }
        let new = fs::read(entry.path())?;
        if fs::read(&target).ok().as_ref() != Some(&new) {
            fs::write(&target, new)?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if names.contains(&entry.file_name()) || LEFT_OUT.iter().any(|left| entry.file_name() == *left) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
