//! Scenarios as values, and what comes of them.

#![allow(clippy::arithmetic_side_effects, reason = "overflow panics, and a panic fails the test")]

mod breaking;
mod hostile;
mod lives;
mod topologies;

use super::*;

const EIM: Dependence = Dependence::EndpointIndependent;
const APD: Dependence = Dependence::AddressAndPortDependent;

#[track_caller]
fn passes(scenario: &Scenario, seed: u64) -> Outcome {
    scenario.run(seed).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Two hosts in the public address space, no servers.
fn open() -> Scenario {
    let mut scenario = Scenario::between(NatKind::None, NatKind::None);
    for side in &mut scenario.sides {
        (side.stun, side.turn) = (Vec::new(), Vec::new());
    }
    scenario.servers.clear();
    scenario
}

#[test]
fn p12_every_cell_comes_to_what_the_table_says() {
    for a in NatKind::ALL {
        for b in NatKind::ALL {
            let scenario = Scenario::between(a, b);
            let outcome = passes(&scenario, 1);
            let expected = (scenario.expect.connect, scenario.expect.direct);
            assert_eq!((outcome.connected, outcome.direct), expected, "{a} {b}");
        }
    }
}

#[test]
fn a_scenario_is_a_value_that_can_be_written_down() {
    let mut scenario = Scenario::between(NatKind::EimApdf, NatKind::UdpBlocked);
    scenario.weather.loss = Probability::percent(5);
    scenario.changes.push(Change { at: Duration::from_millis(3), event: Happening::Rebind { gate: 0 } });
    scenario.changes.push(Change { at: Duration::ZERO, event: Happening::Weather(Way::default()) });
    scenario.intruders.push(PublicIntruder {
        intrusion: Intrusion::Error { code: 487, signed: true },
        chance: Probability::ALWAYS,
        delay: Duration::ZERO,
    });
    let text = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    assert!(serde_json::from_str::<Scenario>(&text.replacen("\"gates\"", "\"doors\"", 1)).is_err());

    let short = r#"{"sides":[{"role":"controlling","interfaces":[{}]},{"role":"controlled","interfaces":[{}]}],
        "expect":{"connect":true,"direct":true}}"#;
    let scenario: Scenario = serde_json::from_str(short).unwrap();
    assert!(passes(&scenario, 1).direct);
}

#[test]
fn a_run_is_a_scenario_and_a_seed() {
    let mut scenario = Scenario::between(NatKind::EimApdf, NatKind::ApdmApdf);
    scenario.weather.loss = Probability::percent(10);
    let hash = |seed| scenario.run_twice(seed).unwrap().hash;
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}

#[test]
fn a_story_tells_every_step_and_every_word() {
    let story = Scenario::between(NatKind::EimApdf, NatKind::ApdmApdf).story(1).unwrap().to_string();
    for part in ["candidate:", "typ srflx", "is Completed", "USE-CANDIDATE", "filtered", "Allocate error 401"]
    {
        assert!(story.contains(part), "{part} is missing");
    }
    let times: Vec<f64> =
        story.lines().filter_map(|line| line.split(" ms ").next()?.trim().parse().ok()).collect();
    assert!(times.len() > 50 && times.is_sorted());
}

#[test]
fn a_scenario_that_makes_no_sense_is_refused() {
    let mut scenario = open();
    scenario.components = 0;
    let failure = scenario.run(1).unwrap_err();
    assert!(matches!(failure.cause, Cause::Build(_)), "{failure}");
}
