//! The catalogue of requirements is whole, names tests and guards that exist, and `docs/conformance.md` is made from it.

use std::{collections::BTreeSet, fs};

use spec_tests::{
    catalogue::{self, GUARDED, Kind, Requirement, conformance, faults, guards},
    tools::root,
};

fn all() -> Vec<Requirement> {
    catalogue::read(root()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_catalogue_has_no_fault() {
    let faults = faults(root(), &all());
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
}

#[test]
fn docs_conformance_is_made_from_the_catalogue() {
    let page = fs::read_to_string(root().join("docs/conformance.md")).unwrap_or_default();
    assert!(
        page == conformance(&all()),
        "docs/conformance.md is stale: cargo run -p spec-tests -- coverage --write"
    );
}

#[test]
fn what_sessions_and_their_life_need_is_met() {
    let open: Vec<String> = all()
        .into_iter()
        .filter(|one| GUARDED.contains(&one.id.as_str()) && !matches!(one.kind(), Kind::Met))
        .map(|one| one.id)
        .collect();
    assert_eq!(open, Vec::<String>::new(), "ids that need a test and a guard");
}

/// A catalogue of one requirement of floe itself, met by a test of this file, with a change to its text.
fn one(change: impl FnOnce(&str) -> String) -> Vec<String> {
    let text = r#"
        [[requirement]]
        id = "X-1"
        rfc = "floe"
        level = "floe"
        says = "the catalogue is looked after"
        tests = ["spec-tests/catalogue the_catalogue_has_no_fault"]
        [requirement.guard]
        file = "crates/pair/src/role.rs"
        function = "opposite"
        turn = "Self::Controlling => Self::Controlled"
        into = "Self::Controlling => Self::Controlling"
    "#;
    let parsed: toml::Table = change(text).parse().expect("TOML");
    let requirements = parsed["requirement"].clone();
    let requirements: Vec<Requirement> = requirements.try_into().expect("requirements");
    let found = faults(root(), &requirements);
    found.into_iter().filter(|fault| fault.starts_with("X-1")).collect()
}

#[test]
fn each_kind_of_fault_is_found() {
    assert_eq!(one(str::to_owned), Vec::<String>::new());
    let faulty = |from: &'static str, to: &'static str| one(move |text| text.replacen(from, to, 1));
    for (from, to, expected) in [
        ("no_fault", "no_such_test", "there is no test"),
        ("opposite", "other", "not in other"),
        ("Self::Controlling => Self::Controlled", "Self::Nobody", "does not hold"),
        ("Self::Controlling => Self::Controlled", "Self::", "times: Self::"),
        ("role.rs", "nothing.rs", "there is no file"),
        (
            "= \"Self::Controlling => Self::Controlled\"",
            "= \"Self::Controlling => Self::Controlling\"",
            "into itself",
        ),
        (
            "rfc = \"floe\"\n        level = \"floe\"",
            "rfc = \"8445\"\n        level = \"MUST\"",
            "no section",
        ),
        ("tests = [\"spec-tests/catalogue the_catalogue_has_no_fault\"]", "", "no test, and not open"),
        ("says = \"the catalogue is looked after\"", "says = \"\"", "says nothing"),
        (
            "level = \"floe\"",
            "level = \"floe\"\nopen = \"a\"\ndeviation = \"b\"",
            "both open and a deviation",
        ),
    ] {
        let found = faulty(from, to);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{to}: {found:?}");
    }
    let twice = one(|text| format!("{text}{text}"));
    assert!(twice.iter().any(|fault| fault == "X-1 is there twice"), "{twice:?}");
}

#[test]
fn guards_are_picked_by_seed() {
    let all = all();
    let ids = |count, seed| -> Vec<&str> {
        guards::pick(&all, count, seed).into_iter().map(|one| one.id.as_str()).collect()
    };
    assert_eq!(ids(20, 1), ids(20, 1));
    assert_ne!(ids(20, 1), ids(20, 2));
    assert_eq!(ids(20, 1).iter().collect::<BTreeSet<_>>().len(), 20);
    let guarded = all.iter().filter(|one| one.guard.is_some()).count();
    assert_eq!(ids(usize::MAX, 0).len(), guarded);
}
