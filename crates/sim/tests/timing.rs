//! What timing may not change: which pair is in use, and that a late answer connects.

#![allow(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a panic fails the test")]

use core::time::Duration;

use floe_agent::Event;
use floe_pair::CandidateType::{self, Host, Relayed};
use floe_sim::{
    expectation::{NatKind, direct_is_possible, is_connectable},
    net::{Link, Way},
    scenario::{Interface, Life, Mood, Scenario, Signalling, Story},
};
use floe_stun::{Instant, Random};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Two hosts behind NATs of these kinds, with times drawn from the seed: of the network, of signalling, of the server. A
/// round trip takes less than half a second: the wait for a direct pair, which is some round trips long, is over in five.
fn at_random_times(a: NatKind, b: NatKind, seed: u64) -> Scenario {
    let mut bytes = [0x50; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = Random::from_seed(bytes);
    let mut up_to = |most: u64| ms(random.below(most + 1));
    let mut scenario = Scenario::between(a, b);
    scenario.weather = Way { delay: up_to(20), jitter: up_to(150), ..Way::default() };
    let trickle = up_to(3) > ms(0);
    scenario.signalling = Signalling { delay: up_to(400), answer: up_to(2_000), trickle };
    // Over a relay whose every answer takes two seconds there is no path within five.
    if up_to(3) == ms(0) && scenario.expect.direct {
        scenario.servers = vec![Mood::Slow];
    }
    let renomination = up_to(1) == ms(0);
    for side in &mut scenario.sides {
        side.renomination = renomination;
        for interface in &mut side.interfaces {
            interface.link = Link::delay(up_to(30));
        }
    }
    scenario.life = Some(Life { lasts: ms(16_000), every: ms(1_000) });
    scenario
}

/// When the last of all candidates was found.
fn gathered(story: &Story) -> Instant {
    let found = |event: &Event| matches!(event, Event::LocalCandidate { .. });
    story.events.iter().filter(|(.., event)| found(event)).map(|(at, ..)| *at).max().unwrap()
}

/// The types of the pair that each side uses at this time, as it sees its own end.
fn in_use(story: &Story, at: Instant) -> [Option<[CandidateType; 2]>; 2] {
    [0, 1].map(|side| {
        let told = story.events.iter().filter(|(when, of, _)| *when <= at && *of == side);
        told.filter_map(|(_, _, event)| match event {
            Event::Selected { local, remote, .. } => Some([local.kind, remote.kind]),
            _ => None,
        })
        .next_back()
    })
}

/// What the table says of two such hosts with a relay each: no relay, one, or nothing to use. More than one relay is never
/// needed, since a relay is open to everybody who may send to it.
fn relays_needed(a: NatKind, b: NatKind) -> Option<usize> {
    is_connectable(a, b, true).then(|| usize::from(!direct_is_possible(a, b)))
}

#[test]
fn p06_five_seconds_after_gathering_the_best_pair_is_in_use_behind_every_two_nats() {
    const SEEDS: u64 = 3;
    for a in NatKind::ALL {
        for b in NatKind::ALL {
            for seed in 0..SEEDS {
                let scenario = at_random_times(a, b, seed);
                let story = scenario.story(seed).unwrap();
                let name = format!("{a} and {b}, seed {seed}");
                assert!(story.result.is_ok(), "{name}: {:?}", story.result);
                let found = in_use(&story, gathered(&story).after(ms(5_000)));
                let relayed = |pair: [CandidateType; 2]| pair.iter().filter(|kind| **kind == Relayed).count();
                let relays = found.map(|pair| pair.map(relayed));
                assert_eq!(relays, [relays_needed(a, b); 2], "{name}: {found:?}");
            }
        }
    }
}

/// Two ways that work, over the NATs and a network that both hosts are in: the host candidates of the second are better,
/// and no slower.
#[test]
fn p06_five_seconds_after_gathering_the_better_of_two_direct_paths_is_in_use() {
    for (seed, part) in (0..12).zip([1, 2, 4].into_iter().cycle()) {
        let mut scenario = at_random_times(NatKind::EimEif, NatKind::EimApdf, seed);
        // The server is not reached from the network of the two, so that gathering ends late.
        scenario.signalling.trickle = true;
        let across = ms(8 * seed);
        scenario.weather = Way { delay: across, ..Way::default() };
        for side in &mut scenario.sides {
            // Each datagram crosses both links.
            let link = Link::delay(across / 2 / part);
            side.interfaces.push(Interface { island: Some(7), link, ..Interface::new(None) });
        }
        let story = scenario.story(seed).unwrap();
        assert!(story.result.is_ok(), "seed {seed}: {:?}", story.result);
        let found = in_use(&story, gathered(&story).after(ms(5_000)));
        assert_eq!(found, [Some([Host, Host]); 2], "seed {seed}");
    }
}

/// What was found is kept alive for ten minutes: mappings of NATs that forget in two, allocations that last for ten.
#[test]
fn p03_what_was_gathered_ten_minutes_ago_still_connects() {
    for (kind, relay_only) in [(NatKind::EimApdf, false), (NatKind::None, true), (NatKind::ApdmApdf, true)] {
        let mut scenario = Scenario::between(kind, kind);
        scenario.signalling.answer = ms(605_000);
        scenario.limit = ms(700_000);
        scenario.expect.direct = !relay_only;
        for side in &mut scenario.sides {
            side.relay_only = relay_only;
            if !relay_only {
                side.turn.clear();
            }
        }
        let outcome = scenario.run(1).unwrap();
        assert!(outcome.connected && outcome.direct != relay_only, "{outcome:?}");
        let selected = outcome.both_selected().unwrap();
        assert!((ms(605_000)..ms(607_000)).contains(&selected), "{selected:?}");
    }
}
