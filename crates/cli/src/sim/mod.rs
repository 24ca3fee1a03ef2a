//! `floe sim`: sessions over every pair of NAT kinds, on a virtual network.

mod files;
mod progress;
mod show;
mod workers;

use std::{
    fmt,
    io::{self, Write},
    num::NonZeroUsize,
    path::PathBuf,
    str::FromStr,
    time::Instant,
};

use floe_sim::{
    expectation::NatKind,
    scenario::{Failure, Interface, Scenario},
    sweep::{Family, Tally},
};

use workers::{Broken, Sweep};

/// What `floe sim` may be told.
#[derive(Debug, clap::Args)]
pub(crate) struct SimArguments {
    /// Seeds to run; each names one session, and 1372 successive ones go once through all pairs of
    /// NATs with every loss, with and without TURN, with one and two components; the rest is drawn
    #[arg(long, value_name = "A..B", default_value = "0..21952")]
    seeds: Seeds,
    /// What a seed stands for: `sessions` that are over once both sides are at rest, or `lives` of half a minute to ten
    /// minutes (a third of them last the full ten), with restarts, lite agents, renomination, consent that rests, and every
    /// way to trickle
    #[arg(long, value_name = "FAMILY", default_value_t)]
    cases: Family,
    /// Runs the I-th of N parts of the seeds, I from 1; with --json its output can be merged
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Prints one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Adds up what parts of a sweep have printed, instead of running anything
    #[arg(long, value_name = "FILES", num_args = 1.., conflicts_with_all = ["seeds", "shard", "replay", "speed"])]
    merge: Vec<PathBuf>,
    /// Tells what became of every datagram of one session
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "shard", "json", "speed"])]
    replay: Option<u64>,
    /// With --replay: runs the scenario in this file, as it is printed with a broken invariant, instead of the seed's own
    #[arg(long, value_name = "FILE", requires = "replay")]
    scenario: Option<PathBuf>,
    /// Measures sessions a second on one core: two hosts a side, no NAT, no loss
    #[arg(long, conflicts_with_all = ["seeds", "shard", "json", "threads"])]
    speed: bool,
    /// Cores to use; all by default
    #[arg(long, value_name = "COUNT")]
    threads: Option<NonZeroUsize>,
}

/// A range of seeds, the last one not in it.
#[derive(Clone, Copy, Debug)]
struct Seeds {
    from: u64,
    to: u64,
}

/// Part `index` of `count`, from 0.
#[derive(Clone, Copy, Debug)]
struct Shard {
    index: u64,
    count: u64,
}

/// A range or a part that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RangeError {
    Seeds,
    Shard,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seeds => "two numbers are wanted, as in 0..1000, the first the lower one",
            Self::Shard => "two numbers are wanted, as in 1/4, the first from 1 to the second",
        })
    }
}

impl std::error::Error for RangeError {}

impl FromStr for Seeds {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (from, to) = text.split_once("..").ok_or(RangeError::Seeds)?;
        let number = |text: &str| text.trim().parse().map_err(|_| RangeError::Seeds);
        let (from, to) = (number(from)?, number(to)?);
        if from < to { Ok(Self { from, to }) } else { Err(RangeError::Seeds) }
    }
}

impl FromStr for Shard {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (index, count) = text.split_once('/').ok_or(RangeError::Shard)?;
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| RangeError::Shard);
        let (index, count) = (number(index)?, number(count)?);
        match index.checked_sub(1) {
            Some(index) if index < count => Ok(Self { index, count }),
            _ => Err(RangeError::Shard),
        }
    }
}

/// Runs what was asked for. `Ok(false)`: it ran, and not all is well.
pub(crate) fn run(arguments: &SimArguments) -> Result<bool, String> {
    if let Some(seed) = arguments.replay {
        let scenario = match &arguments.scenario {
            Some(path) => files::scenario(path).map_err(|error| error.to_string())?,
            None => arguments.cases.case(seed).scenario,
        };
        return replay(&scenario, seed);
    }
    if arguments.speed {
        return speed();
    }
    let (tally, rate) = if arguments.merge.is_empty() {
        sweep(arguments)?
    } else {
        files::merge(&arguments.merge).map_err(|error| error.to_string())?
    };
    let report = tally.report(rate);
    let text = if arguments.json {
        let partial = arguments.shard.is_some().then_some(&tally);
        files::json(&report, partial).map_err(|error| error.to_string())?
    } else {
        show::tables(&report, &tally)
    };
    print(&text)?;
    Ok(tally.is_clean())
}

fn print(text: &str) -> Result<(), String> {
    match writeln!(io::stdout(), "{text}") {
        // Whoever reads has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(()),
    }
}

fn sweep(arguments: &SimArguments) -> Result<(Tally, f64), String> {
    let Seeds { from, to } = arguments.seeds;
    let Shard { index, count } = arguments.shard.unwrap_or(Shard { index: 0, count: 1 });
    let sweep = Sweep::new(arguments.cases, from.saturating_add(index)..to, count)
        .ok_or("this part of the seeds is empty")?;
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let found = workers::run(&sweep, arguments.threads.unwrap_or_else(cores), &mut progress::Bar::new());
    for broken in &found.broken {
        eprintln!("{}", told(arguments.cases, broken));
    }
    if !found.more_broken.is_empty() {
        let seeds: Vec<String> = found.more_broken.iter().map(u64::to_string).collect();
        eprintln!("floe: and seeds {}", seeds.join(", "));
    }
    Ok((found.tally, found.rate))
}

fn told(cases: Family, broken: &Broken) -> String {
    match broken {
        Broken::Panicked(seed) => {
            format!("floe: seed {seed} panicked; scenario {}", written(&cases.case(*seed).scenario))
        }
        Broken::Failed(failure) => {
            let Failure { cause, seed, .. } = &**failure;
            format!("floe: {cause}; seed {seed}; scenario {}", written(&failure.scenario))
        }
    }
}

fn written(scenario: &Scenario) -> String {
    serde_json::to_string(scenario).unwrap_or_default()
}

fn replay(scenario: &Scenario, seed: u64) -> Result<bool, String> {
    let story = scenario.story(seed).map_err(|failure| failure.to_string())?;
    let mut text = format!("scenario {}\n{story}", written(scenario));
    match &story.result {
        Ok(outcome) => {
            let again = scenario.story(seed).ok().and_then(|story| story.result.ok());
            let same = again.is_some_and(|again| again.hash == outcome.hash);
            text.push_str(&show::outcome(outcome, same));
            print(&text)?;
            Ok(same)
        }
        Err(failure) => {
            text.push_str(&failure.cause.to_string());
            print(&text)?;
            Ok(false)
        }
    }
}

/// Sessions measured for `--speed`, after as many that are not.
const MEASURED: u64 = 4_000;

fn speed() -> Result<bool, String> {
    let mut scenario = Scenario::between(NatKind::None, NatKind::None);
    for side in &mut scenario.sides {
        side.interfaces = vec![Interface::new(None); 2];
        (side.stun, side.turn) = (Vec::new(), Vec::new());
    }
    scenario.servers.clear();
    let run = |seeds: std::ops::Range<u64>| -> Result<u64, String> {
        let mut datagrams = 0_u64;
        for seed in seeds {
            let outcome = scenario.run(seed).map_err(|failure| failure.to_string())?;
            datagrams = datagrams.saturating_add(outcome.datagrams);
        }
        Ok(datagrams)
    };
    run(0..MEASURED)?;
    let started = Instant::now();
    let datagrams = run(MEASURED..MEASURED * 2)?;
    let seconds = started.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let (sessions, datagrams) = (MEASURED as f64, datagrams as f64);
    print(&format!(
        "{:.0} sessions a second on one core, {:.0} us each, {:.1} datagrams each until both have selected",
        sessions / seconds,
        seconds / sessions * 1e6,
        datagrams / sessions
    ))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_nonsense_is_refused() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| (seeds.from, seeds.to));
        assert_eq!(seeds("3..17"), Ok((3, 17)));
        for wrong in ["", "3", "3..3", "4..3", "3...5", "a..b", "-1..2"] {
            assert_eq!(seeds(wrong), Err(RangeError::Seeds), "{wrong}");
        }
        let shard = |text: &str| text.parse::<Shard>().map(|shard| (shard.index, shard.count));
        assert_eq!(shard("1/1"), Ok((0, 1)));
        assert_eq!(shard("4/4"), Ok((3, 4)));
        for wrong in ["", "1", "0/4", "5/4", "1/0", "1/x"] {
            assert_eq!(shard(wrong), Err(RangeError::Shard), "{wrong}");
        }
    }
}
