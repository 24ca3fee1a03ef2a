//! Sweeps in small.

use core::time::Duration;

use super::*;
use crate::{expectation::NatKind, net::Trickle, scenario::Excuse};

const LIFE: Duration = Duration::from_secs(600);

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

#[test]
fn lives_mix_everything() {
    let lives: Vec<Case> = (0..1_372).map(Case::life_of).collect();
    let sides = || lives.iter().flat_map(|case| &case.scenario.sides);
    for trickle in [Trickle::Full, Trickle::Half, Trickle::None] {
        assert!(sides().filter(|side| side.trickle == Some(trickle)).count() > 500, "{trickle:?}");
    }
    // RFC 8838 §5.
    let mixed = |case: &Case| {
        let [one, other] = [0, 1].map(|side| case.scenario.trickle_of(side));
        [one, other].contains(&Trickle::Full) && [one, other].contains(&Trickle::None)
    };
    assert!(!lives.iter().any(mixed));
    let counts = [
        sides().filter(|side| side.lite).count(),
        sides().filter(|side| side.suspend).count(),
        sides().filter(|side| side.renomination).count(),
        lives.iter().filter(|case| case.scenario.changes.is_empty()).count(),
        lives.iter().filter(|case| case.scenario.changes.len() > 2).count(),
        lives.iter().filter(|case| case.scenario.sides.iter().all(|side| side.lite)).count(),
        lives.iter().filter(|case| case.scenario.life.is_some_and(|life| life.lasts == LIFE)).count(),
    ];
    assert!(
        counts.iter().zip([90, 400, 1_200, 250, 300, 1, 400]).all(|(found, least)| *found >= least),
        "{counts:?}"
    );
    for case in lives.iter().step_by(19) {
        let written = serde_json::to_string(&case.scenario).unwrap();
        assert_eq!(serde_json::from_str::<crate::scenario::Scenario>(&written).unwrap(), case.scenario);
        // The session of the same seed is another one.
        assert!(Case::of(case.seed).scenario.life.is_none() && case.scenario.life.is_some());
    }
    for family in [Family::Sessions, Family::Lives] {
        assert_eq!(family.to_string().parse(), Ok(family));
    }
    assert_eq!("life".parse::<Family>(), Err(NoSuchFamily));
}

#[test]
fn a_small_sweep_of_lives_is_clean() {
    let mut tally = Tally::default();
    for seed in 0..49 {
        let case = Case::life_of(seed);
        tally.add(&case, &case.scenario.run(seed));
    }
    assert!(tally.is_clean(), "{:?}", tally.broken().collect::<Vec<_>>());
}

/// Lives that sweeps have stopped at: consent of two generations on one path (668, 1009, 5455, 6847), consent lost on the
/// direct pairs (1960, 3921), what a lost pair leaves beside it (3391), an allocation that was given back before a restart
/// (3413), a component held up by pairs beside the selected one of another (3938), a direct pair given up for a relay (6049),
/// consent that had rested lost twice (6832), no pair kept to move to although there was one (87087),
/// a failed component checked again beside one without consent (227735).
#[test]
fn lives_that_were_found_wanting_are_not() {
    for seed in [
        668, 1_009, 1_960, 3_391, 3_413, 3_921, 3_938, 5_455, 6_049, 6_832, 6_847, 13_399, 87_087, 227_735,
        283_305, 28_107, 77_395, 183_141, 264_773, 407_325, 656_127, 967_232, 316_201,
    ] {
        let case = Case::life_of(seed);
        let result = case.scenario.run(seed);
        assert!(result.is_ok(), "{seed}: {}", result.unwrap_err());
    }
}

#[test]
fn ordinary_checks_that_rest_until_the_peer_nominates_are_no_deadlock() {
    for seed in [3_778, 3_825, 3_850] {
        let case = Case::of(seed);
        assert!(case.scenario.run(seed).is_ok_and(|outcome| outcome.connected), "{seed}");
    }
}

#[test]
fn a_life_that_ended_by_consent_is_told_apart() {
    let case = (0..1_372).map(Case::life_of).find(|case| case.scenario.expect.connect).unwrap();
    let mut outcome = case.scenario.run(case.seed).unwrap();
    (outcome.connected, outcome.excuse) = (false, Some(Excuse::Consent(1)));
    let mut tally = Tally::default();
    tally.add(&case, &Ok(outcome.clone()));
    (outcome.connected, outcome.excuse) = (false, Some(Excuse::Checks(1)));
    tally.add(&case, &Ok(outcome));
    let counts = tally.report(1.0).losses[0].counts;
    assert_eq!((counts.ended_by_consent, counts.excused_not_connected), (1, 1));
}
