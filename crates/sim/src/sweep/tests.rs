//! Sweeps in small.

use super::*;
use crate::{expectation::NatKind, scenario::Excuse};

#[test]
fn successive_seeds_go_through_everything() {
    let cases: Vec<Case> = (0..1_372).map(Case::of).collect();
    let mut keys: Vec<_> = cases
        .iter()
        .map(|case| (case.a, case.b, case.loss, case.has_relay(), case.scenario.components))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 1_372);
    assert_eq!(Case::of(77), cases[77]);
    // What is printed of a broken session is all of it.
    for case in cases.iter().step_by(19) {
        let written = serde_json::to_string(&case.scenario).unwrap();
        assert_eq!(serde_json::from_str::<crate::scenario::Scenario>(&written).unwrap(), case.scenario);
    }
    let conflicts =
        cases.iter().filter(|case| case.scenario.sides[0].role == case.scenario.sides[1].role).count();
    assert!((500..900).contains(&conflicts), "{conflicts}");
}

#[test]
fn a_sweep_in_parts_says_what_a_whole_one_says() {
    let run = |seeds: &mut dyn Iterator<Item = u64>| {
        let mut tally = Tally::default();
        for seed in seeds {
            let case = Case::of(seed);
            tally.add(&case, &case.scenario.run(seed));
        }
        tally
    };
    let whole = run(&mut (0..98));
    let mut parts = run(&mut (0..98).step_by(2));
    let odd = run(&mut (1..98).step_by(2));
    let odd: Tally = serde_json::from_str(&serde_json::to_string(&odd).unwrap()).unwrap();
    parts.merge(&odd);
    assert_eq!(parts, whole);
    assert!(whole.is_clean(), "{:?}", whole.broken().collect::<Vec<_>>());
    let report = whole.report(1.0);
    assert_eq!((report.sessions, report.cells.len()), (98, 49));
    let open = report.cells.iter().find(|cell| (cell.a, cell.b) == (NatKind::None, NatKind::None)).unwrap();
    assert_eq!((open.connected, open.direct), (2, 2));
    assert!(open.usable_ms.p50 <= open.selected_ms.p50 && open.usable_ms.p50.is_some());
}

#[test]
fn excused_sessions_are_told_by_loss_and_more_than_may_be_is_not_clean() {
    let mut tally = Tally::default();
    let mut cases = (0..1_372).map(Case::of);
    let ten = cases.find(|case| case.loss == 10 && case.scenario.expect.connect).unwrap();
    let good = ten.scenario.run(ten.seed).unwrap();
    let mut bad = good.clone();
    (bad.connected, bad.direct, bad.excuse) = (false, false, Some(Excuse::Checks(0)));
    let mut relayed = good.clone();
    (relayed.direct, relayed.excuse) = (false, Some(Excuse::Checks(0)));
    for _ in 0..1_996 {
        tally.add(&ten, &Ok(good.clone()));
    }
    tally.add(&ten, &Ok(relayed));
    tally.add(&ten, &Ok(bad.clone()));
    assert!(tally.is_clean(), "1 of 1,998");
    let report = tally.report(1.0);
    let counts = report.losses[0].counts;
    assert_eq!((counts.excused_not_connected, counts.excused_not_direct, report.excused), (1, 1, 2));
    assert!((report.losses[0].excused_not_connected_percent - 100.0 / 1_998.0).abs() < 1e-9);
    let mut few = Tally::default();
    for _ in 0..3 {
        few.add(&ten, &Ok(bad.clone()));
        tally.add(&ten, &Ok(bad.clone()));
    }
    assert!(few.is_clean(), "3 of 3 are too few to tell");
    assert_eq!(tally.exceeded().collect::<Vec<_>>(), [(10, 4, 2)], "4 of 2,001");
    assert!(!tally.is_clean());
}
