//! Runs the tests that the catalogue names.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{TestName, source};

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It held.
    Passed,
    /// It did not, or its process ended before it.
    Failed,
    /// It found a reason not to run, or is marked as ignored: it shows nothing.
    Skipped,
    /// There is no such test.
    Missing,
    /// It was ended because it ran for too long.
    TimedOut,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Missing => "there is no such test",
            Self::TimedOut => "ran for too long",
        })
    }
}

/// How each test ended.
pub type Outcomes = BTreeMap<TestName, Outcome>;

/// Why the tests cannot be run.
#[derive(Debug)]
pub enum RunError {
    /// A program or a file could not be used.
    Io(io::Error),
    /// The tests do not compile; what cargo said.
    Build(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Build(said) => write!(f, "the tests do not build:\n{said}"),
        }
    }
}

impl std::error::Error for RunError {}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A package and one of its targets.
pub(super) type Target = (String, String);

/// Longer than any test executable takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Runs the tests in the workspace at `root`, each executable once, built as `./test` builds it.
///
/// # Errors
/// When there is nothing to run them with, or they do not compile.
pub fn run(root: &Path, tests: &BTreeSet<TestName>) -> Result<Outcomes, RunError> {
    let (here, elsewhere) = tests.iter().cloned().partition(|test| test.package == "spec-tests");
    let mut executables = BTreeMap::new();
    for (tests, selection) in [
        (elsewhere, &["--workspace", "--exclude", "spec-tests", "--all-features"][..]),
        (here, &["-p", "spec-tests"][..]),
    ] {
        let tests: BTreeSet<TestName> = tests;
        if !tests.is_empty() {
            executables.extend(build(root, None, selection, &targets(&tests))?);
        }
    }
    let mut outcomes = Outcomes::new();
    for target in targets(tests) {
        let own: Vec<&TestName> = tests.iter().filter(|test| target_of(test) == target).collect();
        eprintln!("{}/{}: {} tests", target.0, target.1, own.len());
        match executables.get(&target) {
            Some(executable) => outcomes.extend(run_executable(root, executable, &own, PATIENCE)?),
            None => outcomes.extend(own.into_iter().map(|test| (test.clone(), Outcome::Missing))),
        }
    }
    Ok(outcomes)
}

pub(super) fn target_of(test: &TestName) -> Target {
    (test.package.clone(), test.target.clone())
}

/// The targets of these tests.
fn targets(tests: &BTreeSet<TestName>) -> BTreeSet<Target> {
    tests.iter().map(target_of).collect()
}

/// Builds the targets without running them; where the executable of each is.
pub(super) fn build(
    root: &Path,
    target_directory: Option<&Path>,
    selection: &[&str],
    targets: &BTreeSet<Target>,
) -> Result<BTreeMap<Target, PathBuf>, RunError> {
    let mut command = Command::new(cargo());
    command.current_dir(root).args([
        "test",
        "--locked",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    command.args(selection).stdin(Stdio::null()).stderr(Stdio::piped());
    if let Some(directory) = target_directory {
        command.env("CARGO_TARGET_DIR", directory);
    }
    let names: BTreeSet<&str> = targets.iter().map(|(_, target)| target.as_str()).collect();
    for name in names {
        match name {
            "lib" => command.arg("--lib"),
            name => command.args(["--test", name]),
        };
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(RunError::Build(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let mut executables = BTreeMap::new();
    for (package, target) in targets {
        let manifest = root.join(source::directory(package)).join("Cargo.toml");
        let found =
            said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|line| {
                let fits = line["reason"] == "compiler-artifact"
                    && Path::new(line["manifest_path"].as_str()?) == manifest
                    && line["profile"]["test"] == true
                    && match target.as_str() {
                        "lib" => line["target"]["kind"][0] == "lib",
                        name => line["target"]["kind"][0] == "test" && line["target"]["name"] == name,
                    };
                let executable = line["executable"].as_str()?;
                fits.then(|| PathBuf::from(executable))
            });
        executables.extend(found.map(|found| ((package.clone(), target.clone()), found)));
    }
    Ok(executables)
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs these tests of one executable, from the directory of its package as cargo does.
pub(super) fn run_executable(
    root: &Path,
    executable: &Path,
    tests: &[&TestName],
    patience: Duration,
) -> Result<Outcomes, RunError> {
    let Some(package) = tests.first().map(|test| &test.package) else { return Ok(Outcomes::new()) };
    let directory = root.join(source::directory(package));
    let (said, warned, ended) = capture(executable, &directory, tests, patience)?;
    let mut outcomes = Outcomes::new();
    for test in tests {
        let outcome = match (verdict(&said, &test.path), ended) {
            (Some("ok"), _) => Outcome::Passed,
            (Some("ignored"), _) => Outcome::Skipped,
            (Some(_), _) | (None, Ended::Badly) => Outcome::Failed,
            (None, Ended::TooLong) => Outcome::TimedOut,
            (None, Ended::Well) => Outcome::Missing,
        };
        outcomes.insert((*test).clone(), outcome);
    }
    // Tests that skip themselves say so past the harness, which tells nobody whose words they are.
    if warned.contains("skipped: ") {
        if let [only] = tests {
            outcomes.insert((*only).clone(), Outcome::Skipped);
        } else {
            for test in tests {
                outcomes.extend(run_executable(root, executable, &[test], patience)?);
            }
        }
    }
    Ok(outcomes)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Badly,
    TooLong,
}

/// What the executable said, what it said as an error, and how it ended.
fn capture(
    executable: &Path,
    directory: &Path,
    tests: &[&TestName],
    patience: Duration,
) -> Result<(String, String, Ended), RunError> {
    // To files, because a pipe that nobody reads fills up and holds the writer.
    let [out, err] = ["out", "err"]
        .map(|name| env::temp_dir().join(format!("floe-coverage-{}-{name}", std::process::id())));
    let mut child = Command::new(executable)
        .current_dir(directory)
        .env("CARGO_MANIFEST_DIR", directory)
        .arg("--exact")
        .args(tests.iter().map(|test| &test.path))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out)?)
        .stderr(fs::File::create(&err)?)
        .spawn()?;
    let begin = Instant::now();
    let ended = loop {
        match child.try_wait()? {
            Some(status) if status.success() => break Ended::Well,
            Some(_) => break Ended::Badly,
            None if begin.elapsed() > patience => {
                child.kill()?;
                child.wait()?;
                break Ended::TooLong;
            }
            None => thread::sleep(Duration::from_millis(20)),
        }
    };
    let [said, warned] = [&out, &err].map(|file| fs::read(file).unwrap_or_default());
    for file in [out, err] {
        let _ = fs::remove_file(file);
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((text(said), text(warned), ended))
}

/// The last word of `test PATH ... ok`.
fn verdict<'a>(said: &'a str, path: &str) -> Option<&'a str> {
    said.lines().find_map(|line| {
        let rest = line.strip_prefix("test ")?.strip_prefix(path)?;
        // A test that should panic says so between its name and the dots.
        let (_, verdict) = rest.split_once(" ... ")?;
        rest.starts_with(' ').then(|| verdict.split([' ', ',']).next().unwrap_or(verdict))
    })
}
