//! How long a session takes, on the virtual clock.
//!
//! The clock starts when both agents have the other's parameters and all candidates: there is no server to ask, and
//! signalling takes no time.

#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a panic fails the test")]

use core::time::Duration;

use floe_sim::{
    expectation::NatKind,
    net::{Link, Probability},
    scenario::{Expect, Interface, Outcome, Scenario, Signalling},
};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Round-trip times of a LAN, a country and an ocean.
const ROUND_TRIPS: [Duration; 3] = [ms(9), ms(47), ms(203)];
const TAS: [Duration; 2] = [ms(5), ms(50)];

/// Which pairs of interfaces carry datagrams; all others swallow them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Working {
    All,
    First,
    Last,
}

/// Two hosts with `hosts` interfaces each, one round trip apart.
fn scenario(hosts: u8, working: Working, round_trip: Duration, ta: Duration) -> Scenario {
    let mut scenario = Scenario::between(NatKind::None, NatKind::None);
    scenario.servers.clear();
    scenario.weather.delay = Duration::ZERO;
    scenario.signalling = Signalling { delay: Duration::ZERO, answer: Duration::ZERO, trickle: true };
    scenario.expect = Expect { connect: true, direct: true };
    for (number, side) in (0..).zip(&mut scenario.sides) {
        (side.stun, side.turn, side.ta) = (Vec::new(), Vec::new(), ta);
        side.interfaces = (0..hosts)
            .map(|host| {
                let shared = match working {
                    Working::All => None,
                    Working::First => Some(host == 0),
                    Working::Last => Some(host + 1 == hosts),
                };
                // A network that only the other side's interface is in as well, or nobody's.
                let island = shared.map(|shared| if shared { host } else { 100 + 50 * number + host });
                // Each datagram crosses both links.
                Interface { island, link: Link::delay(round_trip / 4), ..Interface::new(None) }
            })
            .collect();
    }
    scenario
}

fn run(scenario: &Scenario, seed: u64) -> Outcome {
    let outcome = scenario.run(seed).map_err(|failure| failure.to_string());
    assert!(outcome.as_ref().is_ok_and(|outcome| outcome.connected && outcome.direct), "{outcome:?}");
    outcome.unwrap()
}

#[test]
fn p01_selected_in_two_round_trips_and_usable_in_one_where_the_first_pair_works() {
    for round_trip in ROUND_TRIPS {
        for ta in TAS {
            for hosts in 1..=8 {
                for working in [Working::First, Working::All] {
                    let outcome = run(&scenario(hosts, working, round_trip, ta), 1);
                    let [controlling, controlled] = outcome.selected.map(Option::unwrap);
                    let told =
                        format!("{hosts} hosts, {working:?}, RTT {round_trip:?}, Ta {ta:?}: {outcome:?}");
                    assert!(controlling <= round_trip * 2 + ta, "{told}");
                    assert!(controlled <= round_trip * 3 / 2 + ta, "{told}");
                    assert!(outcome.both_usable().unwrap() <= round_trip + ta, "{told}");
                }
            }
        }
    }
}

#[test]
fn p01_the_last_of_64_pairs_is_found_at_the_pace_of_ta() {
    for round_trip in ROUND_TRIPS {
        for ta in TAS {
            let outcome = run(&scenario(8, Working::Last, round_trip, ta), 1);
            let selected = outcome.both_selected().unwrap();
            assert!(selected <= ta * 64 + round_trip * 2, "RTT {round_trip:?}, Ta {ta:?}: {selected:?}");
        }
    }
}

#[test]
fn p01_loss_costs_no_more_than_it_must() {
    const SEEDS: u64 = 1_000;
    let mut scenario = scenario(1, Working::All, ms(50), ms(5));
    scenario.weather.loss = Probability::percent(30);
    let mut times = Vec::new();
    let mut datagrams = 0;
    for seed in 0..SEEDS {
        let outcome = run(&scenario, seed);
        times.push(outcome.both_selected().unwrap());
        datagrams += outcome.datagrams;
    }
    times.sort_unstable();
    let p99 = times[989];
    #[allow(clippy::cast_precision_loss, reason = "a mean of small numbers")]
    let mean = datagrams as f64 / SEEDS as f64;
    assert!(p99 <= ms(1_850) && mean <= 12.7, "p99 {p99:?}, {mean} datagrams");
}
