//! Sessions that last: restarts, lite agents, consent that ends and consent that rests; and the invariants of lives,
//! broken on purpose.

use floe_agent::Event;
use floe_pair::{ComponentId, StreamId};

use super::{
    super::{build::World, run::Run},
    breaking::{spoiled, spoiled_agents, violation, watch},
    *,
};
use crate::{
    invariants::{Breach, Invariant, Violation},
    net::{RealmId, Trickle},
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lasting(mut scenario: Scenario, lasts: u64, every: u64) -> Scenario {
    scenario.life = Some(Life { lasts: seconds(lasts), every: seconds(every) });
    scenario.limit = seconds(lasts + 240);
    scenario
}

fn happen(scenario: &mut Scenario, at: Duration, event: Happening) {
    scenario.changes.push(Change { at, event });
}

/// Runs a life, after something was done to the network.
#[track_caller]
fn disturbed(
    scenario: &Scenario,
    adjust: impl FnMut(usize, &mut floe_agent::AgentConfig),
    disturb: impl FnOnce(&mut Run<'_>),
) -> Violation {
    let mut run = Run::new(scenario, 1, World::new(scenario, 1, adjust).unwrap());
    disturb(&mut run);
    assert!(!run.completes(), "nothing was seen");
    run.violation().expect("a violation")
}

#[test]
fn p17_restarts_at_any_time_by_either_side_or_both_lose_nothing() {
    for (a, b) in [(NatKind::None, NatKind::EimApdf), (NatKind::ApdmApdf, NatKind::ApdmApdf)] {
        for who in [&[0][..], &[1], &[0, 1]] {
            for at in [0, 1, 19, 21, 39, 41, 60, 90, 150, 400, 5_000, 30_000] {
                for trickle in [Trickle::Full, Trickle::Half, Trickle::None] {
                    let mut scenario = lasting(Scenario::between(a, b), 40, 1);
                    scenario.sides.iter_mut().for_each(|side| side.trickle = Some(trickle));
                    for side in who {
                        happen(&mut scenario, Duration::from_millis(at), Happening::Restart { side: *side });
                    }
                    let outcome = passes(&scenario, at);
                    assert!(outcome.connected, "{a} {b}: {who:?} at {at} ms, {trickle:?}");
                }
            }
        }
    }
}

#[test]
fn trk_who_does_not_trickle_tells_all_in_one() {
    for trickle in [Trickle::Full, Trickle::Half, Trickle::None] {
        let mut scenario = open();
        scenario.servers.push(Mood::Dead);
        // Who hears of the other one early may connect, and gathers no longer: both have to wait.
        for side in &mut scenario.sides {
            (side.stun, side.trickle) = (vec![0], Some(trickle));
        }
        let usable = passes(&scenario, 1).usable[1].unwrap();
        // The deadline of gathering is after 5 s.
        assert_eq!(usable >= seconds(5), trickle != Trickle::Full, "{trickle:?}: {usable:?}");
        assert!(usable < seconds(7), "{trickle:?}: {usable:?}");
    }
}

#[test]
fn ice_10_lite_agents_live_with_full_ones_and_with_each_other() {
    for lite in [[true, false], [false, true], [true, true]] {
        for renomination in [false, true] {
            let mut scenario = lasting(Scenario::between(NatKind::None, NatKind::None), 60, 1);
            for (side, lite) in scenario.sides.iter_mut().zip(lite) {
                (side.lite, side.renomination) = (lite, renomination);
                (side.stun, side.turn) = (Vec::new(), Vec::new());
            }
            happen(&mut scenario, seconds(20), Happening::Restart { side: 0 });
            assert!(passes(&scenario, 3).direct, "{lite:?}");
        }
    }
}

#[test]
fn con_04_a_life_that_ends_by_consent_is_excused_and_a_restart_brings_it_back() {
    let gone = Way { loss: Probability::ALWAYS, ..Way::default() };
    let mut scenario = lasting(Scenario::between(NatKind::EimApdf, NatKind::EimApdf), 100, 1);
    happen(&mut scenario, seconds(20), Happening::Weather(gone));
    let outcome = passes(&scenario, 1);
    assert!(!outcome.connected && matches!(outcome.excuse, Some(Excuse::Consent(_))), "{outcome:?}");
    let weather = scenario.weather;
    happen(&mut scenario, seconds(70), Happening::Weather(weather));
    happen(&mut scenario, seconds(80), Happening::Restart { side: 1 });
    assert!(passes(&scenario, 1).connected);
    // Gates that have forgotten everything are no loss.
    let mut scenario = lasting(Scenario::between(NatKind::EimApdf, NatKind::EimApdf), 100, 1);
    for gate in [0, 1] {
        happen(&mut scenario, seconds(20), Happening::Rebind { gate });
    }
    assert!(matches!(violation(&scenario).breach, Breach::NotConnected(_)));
}

#[test]
fn con_04_what_is_answered_in_the_generation_before_keeps_no_consent() {
    // The generation before asks for consent until 3 s after the restart, the new one first 4 s after it.
    let gone = Way { loss: Probability::ALWAYS, ..Way::default() };
    let mut scenario = lasting(Scenario::between(NatKind::None, NatKind::None), 60, 1);
    happen(&mut scenario, seconds(5), Happening::Restart { side: 0 });
    happen(&mut scenario, Duration::from_millis(8_800), Happening::Weather(gone));
    for seed in 0..8 {
        let outcome = passes(&scenario, seed);
        assert!(!outcome.connected && matches!(outcome.excuse, Some(Excuse::Consent(_))), "{outcome:?}");
    }
}

#[test]
fn con_consent_that_rests_is_regained() {
    for suspend in [[true, false], [true, true]] {
        let mut scenario = lasting(Scenario::between(NatKind::EimApdf, NatKind::ApdmApdf), 600, 70);
        for (side, suspend) in scenario.sides.iter_mut().zip(suspend) {
            side.suspend = suspend;
        }
        assert!(passes(&scenario, 5).connected, "{suspend:?}");
    }
}

#[test]
fn con_01_who_sends_before_consent_ends_goes_on_sending() {
    // Consent rests from the sixth second on, and its last chance is after 24 s.
    for every in [20, 25, 27, 28] {
        let mut scenario = lasting(Scenario::between(NatKind::EimApdf, NatKind::EimEif), 600, every);
        scenario.sides.iter_mut().for_each(|side| side.suspend = true);
        let mut run = Run::new(&scenario, every, World::new(&scenario, every, |_, _| {}).unwrap());
        assert!(run.completes(), "{:?}", run.violation());
        let refused = run.talk.refused;
        assert_eq!(refused, 0, "each {every} s");
    }
}

#[test]
fn invariant_2_sees_data_that_is_lost_or_refused_where_nothing_loses_it() {
    let scenario = lasting(open(), 60, 1);
    let weather = Way { loss: Probability::percent(5), ..scenario.weather };
    let lost = disturbed(
        &scenario,
        |_, _| {},
        |run| {
            run.world.network.set_weather(RealmId::PUBLIC, weather);
        },
    );
    assert_eq!(lost.invariant, Invariant::Agree);
    assert!(matches!(lost.breach, Breach::DataLost { refused: false, .. }), "{lost}");

    let rests = |_: usize, config: &mut floe_agent::AgentConfig| {
        config.checks.consent.iter_mut().for_each(|consent| consent.suspend = true);
    };
    let refused = disturbed(&lasting(open(), 200, 70), rests, |_| {});
    assert!(matches!(refused.breach, Breach::DataLost { refused: true, .. }), "{refused}");
}

#[test]
fn invariant_2_sees_sides_that_are_in_different_generations() {
    let seen = spoiled(&open(), |run| {
        let [_, b] = run.world.agents;
        run.world.network.command(b, |now, agent| agent.restart(now).unwrap());
        assert!(run.judge_agreement().is_none());
    });
    assert_eq!((seen.invariant, seen.breach), (Invariant::Agree, Breach::OtherGeneration([0, 1])));
}

#[test]
fn invariant_3_sees_a_lite_agent_that_asks() {
    let mut scenario = open();
    scenario.sides[0].lite = true;
    let seen = spoiled_agents(&scenario, |_, config| config.lite = false, |_| {});
    assert_eq!(seen.invariant, Invariant::Paced);
    assert!(matches!(seen.breach, Breach::LiteAsked(_)), "{seen}");
}

#[test]
fn invariant_4_sees_consent_that_ends_too_early_or_too_late() {
    let lost = |run: &mut Run<'_>| {
        let (now, [agent, _]) = (run.world.network.now(), run.world.agents);
        let (stream, component) = (StreamId(0), ComponentId::RTP);
        watch(run).on_event(now, agent, &Event::ConsentLost { stream, component });
    };
    let early = spoiled(&open(), lost);
    assert_eq!(early.invariant, Invariant::Consented);
    let Breach::ConsentEnded(ends) = &early.breach else { panic!("{early}") };
    assert!(!ends.is_empty() && ends.iter().all(|end| *end > early.at), "{early}");

    let late = spoiled_agents(
        &open(),
        |_, config| config.checks.consent = None,
        |run| {
            run.world.network.run_for(seconds(31));
            lost(run);
        },
    );
    let Breach::ConsentEnded(ends) = &late.breach else { panic!("{late}") };
    assert!(!ends.is_empty() && ends.iter().all(|end| *end < late.at), "{late}");
}

#[test]
fn a_life_is_a_value_that_can_be_written_down() {
    let mut scenario = lasting(open(), 60, 1);
    scenario.sides[0] = Side { lite: true, ..scenario.sides[0].clone() };
    scenario.sides[1] =
        Side { suspend: true, renomination: true, trickle: Some(Trickle::Half), ..scenario.sides[1].clone() };
    happen(&mut scenario, seconds(2), Happening::Restart { side: 1 });
    let text = serde_json::to_string(&scenario).unwrap();
    assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
    let short = serde_json::to_string(&open()).unwrap();
    for new in ["lite", "suspend", "renomination", "life"] {
        assert!(!short.contains(new), "{new} is written only where it is meant");
    }
}
