//! Reports as JSON, and parts of a sweep put together again.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use floe_sim::sweep::{Report, Tally};
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

/// Why parts cannot be put together.
#[derive(Debug)]
pub(super) enum MergeError {
    Read(PathBuf, io::Error),
    Parse(PathBuf, serde_json::Error),
    /// It is a whole sweep.
    NoPart(PathBuf),
    Write(serde_json::Error),
}

impl fmt::Display for MergeError {
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

impl std::error::Error for MergeError {}

/// The report as one JSON object; a part of a sweep can be merged.
pub(super) fn json(report: &Report, partial: Option<&Tally>) -> Result<String, MergeError> {
    serde_json::to_string(&Written { report, partial }).map_err(MergeError::Write)
}

/// Adds up parts; their rates as well, since they ran side by side.
pub(super) fn merge(paths: &[PathBuf]) -> Result<(Tally, f64), MergeError> {
    let mut all = Tally::default();
    let mut rate = 0.0;
    for path in paths {
        let part = read(path)?;
        rate += part.sessions_per_second;
        all.merge(&part.partial.ok_or_else(|| MergeError::NoPart(path.clone()))?);
    }
    Ok((all, rate))
}

fn read(path: &Path) -> Result<Part, MergeError> {
    let text = fs::read_to_string(path).map_err(|error| MergeError::Read(path.to_owned(), error))?;
    serde_json::from_str(&text).map_err(|error| MergeError::Parse(path.to_owned(), error))
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
            "cells connectable connected disagreeing excused panics sessions sessions_per_second stuck"
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
        assert!(matches!(merge(&paths), Err(MergeError::NoPart(_))));
        fs::write(&paths[0], "{").unwrap();
        assert!(matches!(merge(&paths), Err(MergeError::Parse(..))));
        assert!(matches!(merge(&[folder.join("none")]), Err(MergeError::Read(..))));
        fs::remove_dir_all(folder).unwrap();
    }

    fn tempdir() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("floe-sim-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }
}
