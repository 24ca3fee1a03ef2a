//! Third parties without a password, and servers that misbehave.

use super::*;

fn intruded(intrusion: Intrusion) -> Scenario {
    let mut scenario = Scenario::between(NatKind::EimEif, NatKind::None);
    scenario.intruders =
        vec![PublicIntruder { intrusion, chance: Probability::ALWAYS, delay: Duration::from_millis(1) }];
    scenario
}

/// What must not change: who is selected, how, and when.
#[derive(Debug, PartialEq)]
struct Essence {
    types: Vec<[floe_pair::CandidateType; 2]>,
    usable: [Option<Duration>; 2],
    selected: [Option<Duration>; 2],
}

fn essence(outcome: &Outcome) -> Essence {
    Essence { types: outcome.types.clone(), usable: outcome.usable, selected: outcome.selected }
}

#[test]
fn t06_forged_answers_change_nothing() {
    let calm = passes(&Scenario::between(NatKind::EimEif, NatKind::None), 1);
    let mapped = "192.0.2.66:66".parse().unwrap();
    let errors = [400, 401, 403, 420, 487, 500]
        .into_iter()
        .flat_map(|code| [false, true].map(|signed| Intrusion::Error { code, signed }));
    for intrusion in errors.chain([Intrusion::Success { mapped }, Intrusion::Check, Intrusion::Data]) {
        let outcome = passes(&intruded(intrusion), 1);
        // Answers of STUN servers carry no integrity: there a forged one that comes first counts (RFC 8445 §19.3).
        if matches!(intrusion, Intrusion::Check | Intrusion::Data) {
            assert_eq!(essence(&outcome), essence(&calm), "{intrusion:?}");
        }
        assert!(outcome.connected && outcome.direct, "{intrusion:?}: {outcome:?}");
    }
}

#[test]
fn t06_forged_answers_to_checks_change_nothing_at_all() {
    let mut calm = open();
    calm.sides[0].interfaces.push(Interface::new(None));
    let before = passes(&calm, 1);
    for intrusion in [
        Intrusion::Success { mapped: "192.0.2.66:66".parse().unwrap() },
        Intrusion::Error { code: 487, signed: true },
        Intrusion::Error { code: 487, signed: false },
        Intrusion::Error { code: 400, signed: false },
        Intrusion::Error { code: 500, signed: true },
    ] {
        let chance = Probability::ALWAYS;
        let intruders = vec![PublicIntruder { intrusion, chance, delay: Duration::ZERO }];
        let outcome = passes(&Scenario { intruders, ..calm.clone() }, 1);
        assert_eq!(essence(&outcome), essence(&before), "{intrusion:?}");
    }
}

#[test]
fn t08_replayed_datagrams_change_no_selection() {
    let froms = [None, Some("192.0.2.66:66".parse().unwrap()), Some("198.51.100.77:7".parse().unwrap())];
    // Requests that come before the true ones, and everything a little later than the true ones.
    let ways = [(true, 3), (false, 25), (false, 300)];
    for (from, (requests, delay)) in froms.into_iter().flat_map(|from| ways.map(|way| (from, way))) {
        for (a, b) in [(NatKind::None, NatKind::None), (NatKind::EimEif, NatKind::EimApdf)] {
            let calm = passes(&Scenario::between(a, b), 1);
            let mut scenario = Scenario::between(a, b);
            let (chance, delay) = (Probability::ALWAYS, Duration::from_millis(delay));
            let intrusion = Intrusion::Replay { from, requests };
            scenario.intruders = vec![PublicIntruder { intrusion, chance, delay }];
            let outcome = passes(&scenario, 1);
            assert!(outcome.direct, "{from:?}");
            assert_eq!(outcome.types, calm.types, "{from:?}");
        }
    }
}

#[test]
fn p02_a_server_that_misbehaves_does_not_hold_up_one_that_works() {
    let alone = passes(&Scenario::between(NatKind::EimApdf, NatKind::ApdmApdf), 1);
    for mood in [Mood::Dead, Mood::Slow, Mood::Garbage] {
        let mut scenario = Scenario::between(NatKind::EimApdf, NatKind::ApdmApdf);
        scenario.servers.push(mood);
        for side in &mut scenario.sides {
            (side.stun, side.turn) = (vec![1, 0], vec![1, 0]);
        }
        let outcome = passes(&scenario, 1);
        assert!(outcome.connected);
        // Each server more costs a slot for each question, and there are a few of them.
        let limit = alone.both_usable().unwrap() + Duration::from_millis(200);
        assert!(outcome.both_usable().unwrap() < limit, "{mood:?}: {:?}", outcome.both_usable());
    }
}

#[test]
fn a_server_may_die_in_the_middle_of_a_session() {
    let mut scenario = Scenario::between(NatKind::ApdmApdf, NatKind::ApdmApdf);
    scenario.changes = vec![Change {
        at: Duration::from_millis(50),
        event: Happening::Server { server: 0, mood: Mood::Dead },
    }];
    scenario.expect = Expect { connect: false, direct: false };
    assert!(!passes(&scenario, 1).connected);
}
