//! Reports as JSON, and parts of a sweep put together again.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use floe_sim::{
    scenario::Scenario,
    sweep::{Report, Tally},
};
use serde::{Deserialize, Serialize};

/// What is printed: the report, and for a part of a sweep all that is needed to add it to others.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a Tally>,
}

/// What is read again.
#[derive(Deserialize)]
struct Part {
    sessions_per_second: f64,
    partial: Option<Tally>,
}

/// Why files cannot be read, or parts not be put together.
#[derive(Debug)]
pub(super) enum FileError {
    Read(PathBuf, io::Error),
    Parse(PathBuf, serde_json::Error),
    /// It is a whole sweep.
    NoPart(PathBuf),
    Write(serde_json::Error),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Parse(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NoPart(path) => {
                write!(f, "{}: no part of a sweep; `floe sim --shard I/N --json` prints one", path.display())
            }
            Self::Write(error) => write!(f, "JSON: {error}"),
        }
    }
}

impl std::error::Error for FileError {}

/// The report as one JSON object; a part of a sweep can be merged.
pub(super) fn json(report: &Report, partial: Option<&Tally>) -> Result<String, FileError> {
    serde_json::to_string(&Written { report, partial }).map_err(FileError::Write)
}

/// Adds up parts; their rates as well, since they ran side by side.
pub(super) fn merge(paths: &[PathBuf]) -> Result<(Tally, f64), FileError> {
    let mut all = Tally::default();
    let mut rate = 0.0;
    for path in paths {
        let part = read(path)?;
        rate += part.sessions_per_second;
        all.merge(&part.partial.ok_or_else(|| FileError::NoPart(path.clone()))?);
    }
    Ok((all, rate))
}

/// A scenario that somebody has written down.
pub(super) fn scenario(path: &Path) -> Result<Scenario, FileError> {
    let text = fs::read_to_string(path).map_err(|error| FileError::Read(path.to_owned(), error))?;
    // As it stands in the first line of a story, or by itself.
    let text = text.strip_prefix("scenario ").and_then(|text| text.lines().next()).unwrap_or(&text);
    serde_json::from_str(text).map_err(|error| FileError::Parse(path.to_owned(), error))
}

fn read(path: &Path) -> Result<Part, FileError> {
    let text = fs::read_to_string(path).map_err(|error| FileError::Read(path.to_owned(), error))?;
    serde_json::from_str(&text).map_err(|error| FileError::Parse(path.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use floe_sim::sweep::Case;

    use super::*;

    fn tally(seeds: std::ops::Range<u64>) -> Tally {
        let mut tally = Tally::default();
        for seed in seeds {
            let case = Case::of(seed);
            tally.add(&case, &case.scenario.run(seed));
        }
        tally
    }

    #[test]
    fn the_keys_are_those_that_were_agreed_on() {
        let tally = tally(0..2);
        let report = tally.report(5.0);
        let whole: serde_json::Value = serde_json::from_str(&json(&report, None).unwrap()).unwrap();
        let keys = |value: &serde_json::Value| {
            let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys.join(" ")
        };
        assert_eq!(
            keys(&whole),
            "cells connectable connected disagreeing excused losses panics sessions sessions_per_second stuck trace"
        );
        assert_eq!(whole["trace"], tally.traces().to_string());
        assert_eq!(
            keys(&whole["losses"][0]),
            "connectable connected direct direct_possible excused_not_connected excused_not_connected_percent \
             excused_not_direct excused_not_direct_percent loss sessions"
        );
        let cell = &whole["cells"][0];
        assert_eq!(
            keys(cell),
            "a b connectable connected direct direct_possible selected_ms sessions usable_ms"
        );
        assert_eq!(keys(&cell["usable_ms"]), "p50 p90 p99");
        assert_eq!((&cell["a"], &cell["b"]), (&"none".into(), &"none".into()));
    }

    #[test]
    fn parts_that_were_written_are_merged() {
        let folder = tempdir();
        let paths: Vec<PathBuf> = [0..5, 5..9]
            .into_iter()
            .enumerate()
            .map(|(number, seeds)| {
                let part = tally(seeds);
                let path = folder.join(format!("{number}.json"));
                fs::write(&path, json(&part.report(10.0), Some(&part)).unwrap()).unwrap();
                path
            })
            .collect();
        let (merged, rate) = merge(&paths).unwrap();
        assert_eq!((merged, rate), (tally(0..9), 20.0));
        fs::write(&paths[0], json(&tally(0..1).report(1.0), None).unwrap()).unwrap();
        assert!(matches!(merge(&paths), Err(FileError::NoPart(_))));
        fs::write(&paths[0], "{").unwrap();
        assert!(matches!(merge(&paths), Err(FileError::Parse(..))));
        assert!(matches!(merge(&[folder.join("none")]), Err(FileError::Read(..))));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_scenario_is_read_by_itself_and_from_a_story() {
        let folder = std::env::temp_dir().join(format!("floe-sim-scenario-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("one");
        let own = Case::of(7).scenario;
        let text = serde_json::to_string(&own).unwrap();
        for whole in [text.clone(), format!("scenario {text}\n 1.0 ms and so on\n")] {
            fs::write(&path, whole).unwrap();
            assert_eq!(scenario(&path).unwrap(), own);
        }
        fs::write(&path, "{}").unwrap();
        assert!(matches!(scenario(&path), Err(FileError::Parse(..))));
        fs::remove_dir_all(folder).unwrap();
    }

    fn tempdir() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("floe-sim-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}
