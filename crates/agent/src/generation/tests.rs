//! The bounds of what is kept beside the generation in force.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use alloc::format;

use floe_pair::{Parameters, Role, TieBreaker};

use super::*;

fn checks(number: u32) -> ChecklistSet {
    let local = Parameters {
        ufrag: format!("frag{number}").parse().unwrap(),
        pwd: "p".repeat(22).parse().unwrap(),
        lite: false,
        options: floe_pair::IceOptions::ice2(),
        pacing: None,
    };
    ChecklistSet::new(floe_check::Config::default(), Role::Controlling, TieBreaker(1), local)
}

fn earlier(number: u32, phase: Phase) -> Earlier {
    Earlier { number, checks: checks(number), ended: Ended::default(), phase }
}

fn generations() -> Generations {
    Generations::default()
}

#[test]
fn p17_the_oldest_generation_goes_where_there_is_no_room() {
    let mut generations = generations();
    for number in 0..20 {
        generations.shelve(earlier(number, Phase::Retired));
    }
    let numbers: Vec<_> = generations.earlier.iter().map(|earlier| earlier.number).collect();
    assert_eq!(numbers, [16, 17, 18, 19]);
    assert!(generations.standing().is_none());
}

#[test]
fn p17_what_carries_nothing_goes_at_once_and_the_standing_one_stays() {
    let mut generations = generations();
    generations.shelve(earlier(0, Phase::Retired));
    generations.shelve(earlier(1, Phase::Standing));
    generations.settle(Instant::ORIGIN, true);
    let numbers: Vec<_> = generations.earlier.iter().map(|earlier| earlier.number).collect();
    assert_eq!(numbers, [1]);
    assert!(generations.renamed && generations.poll_timeout().is_none());
    generations.retire(Instant::ORIGIN);
    generations.settle(Instant::ORIGIN, false);
    assert!(generations.earlier.is_empty(), "it had no pair");
}

#[test]
fn trk_10_past_fragments_and_held_candidates_are_bounded() {
    let mut generations = generations();
    for number in 0..100 {
        generations.leave(format!("past{number}").parse().unwrap());
    }
    let is_past = |name: &str| generations.is_past(&name.parse().unwrap());
    assert!(is_past("past99") && is_past("past92") && !is_past("past91"));
    let [even, uneven, none]: [Ufrag; 3] = ["even", "uneven", "none"].map(|name| name.parse().unwrap());
    for number in 0..300 {
        let ufrag = if number % 2 == 0 { &even } else { &uneven };
        generations.hold(ufrag.clone(), Early::End(None));
    }
    assert_eq!(generations.held.len(), MOST_HELD);
    assert_eq!(generations.take_held(&even).len(), MOST_HELD / 2);
    assert_eq!(generations.held.len(), MOST_HELD / 2);
    assert!(generations.take_held(&none).is_empty());
    // What was held for parameters that are of the past now is of no use.
    generations.leave(uneven.clone());
    assert!(generations.take_held(&uneven).is_empty());
}
