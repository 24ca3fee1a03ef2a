//! Sweeps in small.

use super::*;
use crate::expectation::NatKind;

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
