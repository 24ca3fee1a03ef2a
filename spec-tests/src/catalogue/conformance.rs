//! `docs/conformance.md`: the catalogue for people who want to know what floe meets.

use std::fmt::Write as _;

use super::{Kind, Requirement, report::by_text};

/// The page. It says of every requirement that its tests pass: it is only written after a run in which they did.
pub fn conformance(catalogue: &[Requirement]) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(
        "\n| Text | Requirements | Met | Deviations | Open |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    let texts = by_text(catalogue);
    for (text, requirements) in &texts {
        let count = |fits: fn(Kind<'_>) -> bool| requirements.iter().filter(|one| fits(one.kind())).count();
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            title(text),
            requirements.len(),
            count(|kind| matches!(kind, Kind::Met)),
            count(|kind| matches!(kind, Kind::Deviation(_))),
            count(|kind| matches!(kind, Kind::Open(_))),
        );
    }
    for (text, requirements) in &texts {
        let _ = write!(page, "\n## {}\n\n| Id | Where | Level | Requirement | State |\n", title(text));
        page.push_str("| --- | --- | --- | --- | --- |\n");
        for requirement in requirements {
            row(&mut page, requirement);
        }
    }
    page
}

const INTRODUCTION: &str = "\
# Conformance

What the texts ask of floe, and how each point stands. This page is made by `cargo run -p spec-tests -- coverage --write`
from `spec-tests/catalogue/`, after all tests named there have passed; a test fails when it is stale. `coverage --json`
names the tests of each requirement. Reasons of deviations at length are in [deviations.md](deviations.md).
";

fn title(text: &str) -> &str {
    if text == "floe" { "What floe asks of itself" } else { text }
}

fn row(page: &mut String, requirement: &Requirement) {
    let state = match requirement.kind() {
        Kind::Met => match requirement.tests.len() {
            1 => "1 test".to_owned(),
            count => format!("{count} tests"),
        },
        Kind::Deviation(reason) => format!("deviation: {}", cell(reason)),
        Kind::Open(missing) => format!("open: {}", cell(missing)),
    };
    let place =
        if requirement.section.is_empty() { String::new() } else { format!("§{}", requirement.section) };
    let Requirement { id, level, says, .. } = requirement;
    let _ = writeln!(page, "| {id} | {place} | {level} | {} | {state} |", cell(says));
}

/// Text that a cell of a table can hold.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
