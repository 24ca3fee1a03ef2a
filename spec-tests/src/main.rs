//! `spec-tests coverage`: what floe meets of the standards, shown by running the tests that the catalogue names.
//! `spec-tests consent`: what loss does to consent, calculated.

use std::{collections::BTreeSet, error::Error, fs, process::ExitCode};

use spec_tests::{
    catalogue::{
        self, Report, Requirement, conformance, faults,
        guards::{self, Verdict},
        run,
    },
    expiry,
    tools::root,
};

const USAGE: &str = "\
usage: spec-tests coverage [--json | --write] [--only ID]...
       spec-tests coverage --guards N [--seed S] [--only ID]...
       spec-tests consent [--write]

Runs the tests of the catalogue of requirements and prints, per text, which ids have passing tests, which are
deviations and which are open. Ends with status 1 if a test fails or the catalogue is faulty.

  --json      print {\"requirements\":[…]} instead
  --write     write docs/conformance.md, if nothing fails and the catalogue has no fault
  --guards N  turn N guards, chosen by seed, into their opposite, one at a time, in a copy of the workspace, and
              tell whether the id's own test fails; ends with status 1 if one does not
  --seed S    a number, 0 if it is not given
  --only ID   look at this id only; may be repeated

The last form prints docs/consent.md, or writes it: how often loss alone makes a living peer look dead.
";

/// What the command line asks for.
#[derive(Default)]
struct Options {
    json: bool,
    write: bool,
    guards: Option<usize>,
    seed: u64,
    only: Vec<String>,
}

fn options(words: impl Iterator<Item = String>) -> Option<Options> {
    let mut words = words;
    let mut options = Options::default();
    if words.next()? != "coverage" {
        return None;
    }
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => options.json = true,
            "--write" => options.write = true,
            "--guards" => options.guards = Some(words.next()?.parse().ok()?),
            "--seed" => options.seed = words.next()?.parse().ok()?,
            "--only" => options.only.push(words.next()?),
            _ => return None,
        }
    }
    let modes = [options.json, options.write, options.guards.is_some()];
    let partial = options.write && !options.only.is_empty();
    (modes.iter().filter(|on| **on).count() < 2 && !partial).then_some(options)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["consent"] => {
            print!("{}", expiry::page());
            return ExitCode::SUCCESS;
        }
        ["consent", "--write"] => {
            let Err(error) = fs::write(root().join("docs/consent.md"), expiry::page()) else {
                return ExitCode::SUCCESS;
            };
            eprintln!("docs/consent.md: {error}");
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    let Some(options) = options(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match coverage(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything is as it should be.
fn coverage(options: &Options) -> Result<bool, Box<dyn Error>> {
    let mut all = catalogue::read(root())?;
    let mut faults = faults(root(), &all);
    if !options.only.is_empty() {
        faults.retain(|fault| options.only.iter().any(|id| fault.starts_with(&format!("{id}: "))));
    }
    for fault in &faults {
        eprintln!("catalogue: {fault}");
    }
    if let Some(unknown) = options.only.iter().find(|id| !all.iter().any(|one| one.id == **id)) {
        return Err(format!("the catalogue has no {unknown}").into());
    }
    if !options.only.is_empty() {
        all.retain(|requirement| options.only.contains(&requirement.id));
    }
    let good = match options.guards {
        Some(count) => turn_guards(&all, count, options.seed)?,
        None => run_tests(&all, options, faults.is_empty())?,
    };
    Ok(good && faults.is_empty())
}

fn run_tests(all: &[Requirement], options: &Options, faultless: bool) -> Result<bool, Box<dyn Error>> {
    let tests: BTreeSet<_> = all.iter().flat_map(|requirement| &requirement.tests).cloned().collect();
    let outcomes = run::run(root(), &tests)?;
    let report = Report::new(all, &outcomes);
    if options.json {
        println!("{}", report.json()?);
    } else {
        print!("{report}");
    }
    if options.write && report.is_good() && faultless {
        fs::write(root().join("docs/conformance.md"), conformance(all))?;
    }
    Ok(report.is_good())
}

fn turn_guards(all: &[Requirement], count: usize, seed: u64) -> Result<bool, Box<dyn Error>> {
    let picked = guards::pick(all, count, seed);
    let copy = guards::Copy::new(root())?;
    // A test that fails anyway would seem to notice everything. All of this first: it takes one build.
    let mut anyway = Vec::new();
    for requirement in &picked {
        anyway.push(copy.fails_anyway(requirement)?);
    }
    let mut caught = 0_usize;
    for (requirement, anyway) in picked.iter().zip(anyway) {
        let Some(guard) = &requirement.guard else { continue };
        let verdict = match anyway {
            Some(verdict) => verdict,
            None => copy.turn(requirement, guard)?,
        };
        caught = caught.saturating_add(usize::from(matches!(verdict, Verdict::Caught(_))));
        println!("{:22} {} in {}: {verdict}", requirement.id, guard.function, guard.file);
    }
    println!("{caught} of {} turned guards were caught (seed {seed})", picked.len());
    Ok(caught == picked.len())
}
