//! What is wrong with the catalogue.

use std::{collections::BTreeMap, path::Path};

use super::{Kind, Level, Requirement, TestName, source};

/// The families of ids that count from 1, with their last number: none may be missing.
pub const FAMILIES: [(&str, u32); 14] = [
    ("ICE-", 44),
    ("STN-", 24),
    ("TRN-", 24),
    ("TRK-", 10),
    ("CON-", 7),
    ("PAC-", 3),
    ("DST-", 2),
    ("TCP-", 10),
    ("TAL-", 6),
    ("NBD-", 4),
    ("OTH-", 5),
    ("P", 40),
    ("S", 20),
    ("T", 41),
];

/// Ids that need a guard, and a test that carries the id: the sessions of RFC 8445, their life, and what attacks them.
/// Others may have both.
pub const GUARDED: [&str; 113] = [
    "ICE-05", "ICE-07", "ICE-08", "ICE-09", "ICE-10", "ICE-11", "ICE-12", "ICE-13", "ICE-14", "ICE-15",
    "ICE-16", "ICE-17", "ICE-18", "ICE-19", "ICE-20", "ICE-21", "ICE-22", "ICE-23", "ICE-24", "ICE-25",
    "ICE-26", "ICE-27", "ICE-28", "ICE-29", "ICE-30", "ICE-31", "ICE-32", "ICE-33", "ICE-34", "ICE-35",
    "ICE-36", "ICE-37", "ICE-38", "ICE-39", "ICE-40", "ICE-41", "ICE-42", "ICE-43", "ICE-44", "DST-01",
    "DST-02", "TRK-01", "TRK-02", "TRK-03", "TRK-04", "TRK-05", "TRK-06", "TRK-07", "TRK-08", "TRK-09",
    "TRK-10", "CON-01", "CON-02", "CON-03", "CON-04", "CON-05", "CON-06", "CON-07", "PAC-01", "PAC-02",
    "PAC-03", "OTH-05", "STN-10", "STN-11", "STN-12", "STN-20", "STN-22", "P01", "P03", "P04", "P05", "P06",
    "P07", "P08", "P09", "P10", "P11", "P12", "P14", "P15", "P17", "P34", "P37", "P39", "P40", "S04", "S11",
    "S13", "S14", "S15", "S19", "T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "T10", "T12", "T13",
    "T14", "T15", "T16", "T18", "T19", "T20", "T24", "T37", "T39", "T40",
];

/// Everything that is wrong with the catalogue, as sentences. Empty: nothing is.
pub fn faults(root: &Path, catalogue: &[Requirement]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeMap::new();
    for requirement in catalogue {
        let count: &mut u32 = seen.entry(requirement.id.as_str()).or_default();
        *count = count.saturating_add(1);
        if *count == 2 {
            faults.push(format!("{} is there twice", requirement.id));
        }
        faults.extend(own_faults(root, requirement).map(|fault| format!("{}: {fault}", requirement.id)));
    }
    for (family, last) in FAMILIES {
        let width = if family == "T" || family.starts_with("RFC") { 1 } else { 2 };
        let missing = (1..=last).map(|number| format!("{family}{number:0width$}"));
        faults.extend(
            missing.filter(|id| !seen.contains_key(id.as_str())).map(|id| format!("{id} is missing")),
        );
    }
    for id in GUARDED {
        let guarded = catalogue.iter().any(|requirement| requirement.id == id && requirement.guard.is_some());
        if !guarded {
            faults.push(format!("{id} has no guard"));
        }
    }
    faults
}

fn own_faults<'a>(root: &'a Path, requirement: &'a Requirement) -> impl Iterator<Item = String> + 'a {
    let Requirement { id, tests, guard, .. } = requirement;
    let mut found = Vec::new();
    let is_open = matches!(requirement.kind(), Kind::Open(_));
    if requirement.is_ambiguous() {
        found.push("both open and a deviation".to_owned());
    }
    if tests.is_empty() && !is_open {
        found.push("no test, and not open".into());
    }
    if guard.is_some() && tests.is_empty() {
        found.push("a guard without a test".into());
    }
    if requirement.says.trim().is_empty() {
        found.push("says nothing".into());
    }
    if requirement.section.is_empty() && requirement.level != Level::Floe && requirement.rfc != "floe" {
        found.push("no section".into());
    }
    // RFC8445-7.2.5.1-2 carries its section in its id, and points to tests of others.
    let by_section = id.strip_prefix(&format!("RFC{}-", requirement.rfc));
    match by_section {
        Some(rest) if rest.rsplit_once('-').map(|(section, _)| section) != Some(&requirement.section) => {
            found.push(format!("is not of section {}", requirement.section));
        }
        None if GUARDED.contains(&id.as_str()) && !tests.iter().any(|test| carries(test, requirement)) => {
            found.push("none of its tests carries the id".into());
        }
        Some(_) | None => {}
    }
    for test in tests {
        if !source::has_test(root, test) {
            found.push(format!("there is no test {test}"));
        }
    }
    found.extend(guard.as_ref().and_then(|guard| source::guard_fault(root, guard)));
    found.into_iter()
}

/// Whether the name of a test carries the id (`ice_20_…`, `t6_…`, `t06_…`) or the section (`rfc8445_7_3_1_…`).
fn carries(test: &TestName, requirement: &Requirement) -> bool {
    let id = requirement.id.to_lowercase().replace('-', "_");
    let digits = id.trim_start_matches(|c: char| !c.is_ascii_digit());
    let letters = id.strip_suffix(digits).unwrap_or_default();
    let number = digits.trim_start_matches('0');
    let padded = format!("{letters}{number:0>2}");
    let words: Vec<&str> = test.function().split('_').collect();
    let has = |wanted: &str| {
        let wanted: Vec<&str> = wanted.split('_').collect();
        words.windows(wanted.len()).any(|some| some == wanted)
    };
    let section = requirement.section.split([',', ' ']).next().unwrap_or_default().replace('.', "_");
    let by_section = format!("rfc{}_{}", requirement.rfc, section.to_lowercase());
    has(&id) || has(&padded) || (!section.is_empty() && has(&by_section))
}
