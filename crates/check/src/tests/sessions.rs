//! Whole sessions: streams and components, orders of signalling, NATs, loss.

use std::boxed::Box;
use std::vec::Vec;

use floe_pair::{CandidateType, ComponentId, Parameters, Role, StreamId};
use floe_stun::Random;

use super::world::*;
use crate::{Admission, Config, Event, PairState, State};

const VIDEO: StreamId = StreamId(1);
const RTCP: ComponentId = ComponentId::RTCP;

fn seeded(seed: u32) -> Random {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&seed.to_be_bytes());
    Random::from_seed(bytes)
}

/// Two streams of two components, `hosts` addresses on each side.
fn multi(hosts: u16) -> World {
    multi_between(hosts, [parameters("left"), parameters("right")], Config::default())
}

fn multi_between(hosts: u16, parameters: [Parameters; 2], config: Config) -> World {
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::between(roles, parameters, millis(40), 3, config);
    let places = [(STREAM, RTP), (STREAM, RTCP), (VIDEO, RTP), (VIDEO, RTCP)];
    for (side, net) in world.sides.iter_mut().zip(0..) {
        for (place, (stream, component)) in places.into_iter().enumerate() {
            side.set.add_component(ms(0), stream, component);
            for index in 0..hosts {
                let at = std::format!("10.0.{net}.{}:{}", index + 1, 1_000 + place);
                side.add_host(stream, component, index, &at);
            }
        }
    }
    world
}

#[test]
fn all_components_of_all_streams_complete() {
    for hosts in 1..=3 {
        let mut world = multi(hosts);
        world.signal();
        assert!(world.run_to_selection(ms(2_000)), "{hosts} hosts");
        for (stream, component) in [(STREAM, RTP), (STREAM, RTCP), (VIDEO, RTP), (VIDEO, RTCP)] {
            world.assert_agreed(stream, component);
        }
        world.run(ms(100_000));
        for side in &world.sides {
            assert_eq!((side.set.state(), side.set.pairs().count()), (State::Completed, 4));
        }
    }
}

#[test]
fn a_peer_with_fewer_components_completes() {
    let mut world = multi(1);
    let fewer: Vec<_> =
        world.sides[1].candidates.iter().filter(|(_, found, _)| found.component == RTP).cloned().collect();
    world.sides[1].candidates = fewer;
    world.signal();
    world.complete_gathering();
    assert!(world.run_until(ms(2_000), |world| world.sides[0].set.state() == State::Completed));
    assert_eq!(world.sides[0].set.component_state(STREAM, RTCP), Some(State::Checking));
}

#[test]
fn p03_every_order_of_signalling_connects() {
    // What each side may be told, in all orders, 100 ms apart; checks of the other side come in between.
    let steps: [fn(&mut World, usize); 3] =
        [World::tell_local, World::tell_parameters, World::tell_candidates];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for left in orders {
        for right in orders {
            for lead in [0, 150, 1_000] {
                let mut world = World::hosts(2, millis(50));
                for turn in 0..3 {
                    steps[left[turn]](&mut world, 0);
                    let end = world.now.after(millis(100));
                    world.run(end);
                    if lead == 0 {
                        steps[right[turn]](&mut world, 1);
                    }
                }
                if lead > 0 {
                    let end = world.now.after(millis(lead));
                    world.run(end);
                    for turn in right {
                        steps[turn](&mut world, 1);
                        let end = world.now.after(millis(100));
                        world.run(end);
                    }
                }
                let known = world.now;
                assert!(world.run_to_selection(ms(20_000)), "{left:?} {right:?} {lead}");
                let took = world.now.since(known);
                assert!(took <= millis(1_500), "{left:?} {right:?} {lead}: {took:?}");
                world.assert_agreed(STREAM, RTP);
            }
        }
    }
}

#[test]
fn a_side_that_is_told_no_candidates_is_found_by_its_peer() {
    let mut world = World::hosts(2, millis(50));
    for index in 0..2 {
        world.tell_local(index);
        world.tell_parameters(index);
    }
    world.tell_candidates(1);
    assert!(world.run_to_selection(ms(2_000)));
    world.assert_agreed(STREAM, RTP);
    let learned = world.sides[0].set.selected(STREAM, RTP).expect("selected").remote_candidate.kind;
    assert_eq!(learned, CandidateType::PeerReflexive);
}

#[test]
fn behind_a_nat_the_mapped_address_is_the_local_candidate() {
    for signalled in [false, true] {
        let mut world = World::hosts(1, millis(50));
        let (inside, outside) = (world.sides[0].bases[0].1, address("192.0.2.7:7777"));
        world.outside.push((inside, outside));
        // Nothing reaches the inside address from outside.
        world.passes = Box::new(move |_, _, to, _| to != inside);
        if signalled {
            let base = world.sides[0].bases[0].0;
            let reflexive = candidate(CandidateType::ServerReflexive, RTP, 0, outside);
            world.sides[0].candidates.push((STREAM, reflexive, base));
        }
        world.signal();
        assert!(world.run_to_selection(ms(2_000)));
        world.assert_agreed(STREAM, RTP);
        let pair = world.sides[0].set.selected(STREAM, RTP).expect("selected");
        let kind = if signalled { CandidateType::ServerReflexive } else { CandidateType::PeerReflexive };
        assert_eq!((pair.local.address, pair.local.kind), (outside, kind));
    }
}

#[test]
fn p07_under_loss_both_sides_end_on_the_same_pair() {
    for seed in 0..400 {
        let mut rng = seeded(seed);
        let hosts = 1 + u16::try_from(rng.below(3)).expect("few");
        let mut world = World::hosts(hosts, millis(10 + rng.below(200)));
        let loss = rng.below(31);
        let mut dice = rng.split();
        world.passes = Box::new(move |_, _, _, _| dice.below(100) >= loss);
        // Either side may begin, and candidates may lag behind.
        let first = usize::try_from(rng.below(2)).expect("one bit");
        for index in [first, 1 - first] {
            world.tell_local(index);
            world.tell_parameters(index);
            let end = world.now.after(millis(rng.below(300)));
            world.run(end);
            world.tell_candidates(index);
        }
        assert!(world.run_to_selection(ms(60_000)), "seed {seed}");
        let end = world.now.after(millis(3_000));
        world.run(end);
        world.assert_agreed(STREAM, RTP);
        for side in &world.sides {
            let selected =
                side.events.iter().filter(|(_, event)| matches!(event, Event::Selected { .. })).count();
            assert_eq!(selected, 1, "T14, seed {seed}");
        }
    }
}

#[test]
fn a_relay_is_asked_to_admit_each_peer_once_and_before_any_check() {
    let mut world = World::hosts(1, millis(50));
    let side = &mut world.sides[0];
    let relay = floe_pair::BaseId(9);
    side.set.add_base(relay, Admission::PerPeer);
    side.bases.push((relay, address("203.0.113.1:50000")));
    side.candidates.push((
        STREAM,
        candidate(CandidateType::Relayed, RTP, 0, address("203.0.113.1:50000")),
        relay,
    ));
    // Only the relay reaches the peer.
    let blocked = world.sides[0].bases[0].1;
    world.passes = Box::new(move |_, from, to, _| from != blocked && to != blocked);
    world.signal();
    world.run(ms(100));
    let peer = world.sides[1].bases[0].1;
    let wanted = Event::AdmissionWanted { base: relay, peer: peer.ip() };
    assert_eq!(world.sides[0].events.iter().filter(|(_, event)| *event == wanted).count(), 1);
    assert!(world.sides[0].set.pairs().all(|pair| pair.base != relay || pair.requests_sent == 0));
    let now = world.now;
    world.sides[0].set.admit(now, relay, peer.ip());
    assert!(world.run_to_selection(ms(3_000)));
    world.assert_agreed(STREAM, RTP);
    assert_eq!(world.sides[0].set.selected(STREAM, RTP).expect("selected").base, relay);
}

#[test]
fn a_refused_or_forgotten_admission_fails_its_pairs_only() {
    for refuse in [true, false] {
        let mut world = World::hosts(1, millis(50));
        let side = &mut world.sides[0];
        let relay = floe_pair::BaseId(9);
        side.set.add_base(relay, Admission::PerPeer);
        side.bases.push((relay, address("203.0.113.1:50000")));
        side.candidates.push((
            STREAM,
            candidate(CandidateType::Relayed, RTP, 0, address("203.0.113.1:50000")),
            relay,
        ));
        world.lose(100, 0);
        world.signal();
        world.complete_gathering();
        world.run(ms(100));
        let (now, peer) = (world.now, world.sides[1].bases[0].1.ip());
        if refuse {
            world.sides[0].set.refuse(now, relay, peer);
            let state = world.sides[0].set.pairs().find(|pair| pair.base == relay).map(|pair| pair.state);
            assert_eq!(state, Some(PairState::Failed));
        }
        world.run(ms(41_000));
        assert_eq!(world.sides[0].set.state(), State::Failed, "P04: never stuck");
    }
}

#[test]
fn a_base_that_goes_takes_its_pairs_along() {
    let mut world = World::hosts(2, millis(50));
    world.signal();
    assert!(world.run_to_selection(ms(1_000)));
    let (now, base) = (world.now, world.sides[0].set.selected(STREAM, RTP).expect("selected").base);
    world.sides[0].set.remove_base(now, base);
    assert_eq!(world.sides[0].set.state(), State::Disconnected);
    assert!(world.sides[0].set.best_valid(STREAM, RTP).is_none());
}

#[test]
fn ice_40_a_stream_with_a_failed_component_sends_nothing() {
    let mut world = multi(1);
    let dead = world.sides[0]
        .candidates
        .iter()
        .find(|(_, found, _)| found.component == RTCP)
        .expect("one")
        .1
        .address;
    world.passes = Box::new(move |_, from, to, _| from != dead && to != dead);
    world.signal();
    world.complete_gathering();
    world.run(ms(30_000));
    let side = &world.sides[0].set;
    assert!(side.best_valid(STREAM, RTP).is_some() && side.best_valid(VIDEO, RTP).is_some());
    world.run(ms(60_000));
    let side = &world.sides[0].set;
    assert_eq!(side.stream_state(STREAM), Some(State::Failed));
    assert!(side.best_valid(STREAM, RTP).is_none() && side.selected(STREAM, RTP).is_none());
    assert!(side.selected(VIDEO, RTP).is_some(), "the other stream goes on");
}

#[test]
fn p04_with_no_path_both_sides_fail_and_rest() {
    let mut world = World::hosts(3, millis(50));
    world.lose(100, 0);
    world.signal();
    world.complete_gathering();
    let failed = |world: &World| world.sides.iter().all(|side| side.set.state() == State::Failed);
    assert!(world.run_until(ms(60_000), failed));
    for side in &world.sides {
        assert_eq!((side.set.poll_timeout(), side.set.wants_slot()), (None, None), "nothing left to do");
    }
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let run = || {
        let mut world = World::hosts(3, millis(50));
        let mut trace = Vec::new();
        let seen = std::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
        let sink = seen.clone();
        let mut dice = seeded(5);
        world.passes = Box::new(move |now, from, to, bytes| {
            sink.borrow_mut().push((now, from, to, bytes.to_vec()));
            dice.below(100) >= 20
        });
        world.signal();
        world.run(ms(60_000));
        trace.append(&mut seen.borrow_mut());
        trace
    };
    assert!(run() == run());
}

/// Random commands, messages and instants: nothing panics, bounds hold, deadlines are true.
/// The options and kinds of both agents by chance.
fn random_world(seed: u32) -> World {
    let kinds: [&[&str]; 3] = [&["ice2"], &["ice2", "renomination2"], &[]];
    let of = |name: &str, at: u32| {
        let mut parameters = with_options(name, kinds[usize::try_from(at % 3).expect("three")]);
        parameters.lite = at % 5 == 4;
        parameters
    };
    let consent = crate::ConsentConfig { suspend: seed.is_multiple_of(2), ..crate::ConsentConfig::default() };
    let config = Config {
        consent: Some(consent),
        standby: u8::try_from(seed % 3).expect("three"),
        ..Config::default()
    };
    multi_between(2, [of("left", seed), of("right", seed / 3)], config)
}

fn add_late(world: &mut World, side: usize, index: u16) {
    let at = std::format!("10.0.{side}.{}:2000", index % 200);
    if world.sides.iter().all(|side| side.bases.iter().all(|(_, known)| *known != address(&at))) {
        let base = world.sides[side].add_host(STREAM, RTP, index, &at);
        let (stream, candidate, _) = world.sides[side].candidates.last().expect("just added").clone();
        let now = world.now;
        world.sides[side].set.add_local_candidate(now, stream, candidate, base);
    }
}

/// Now and then a base goes, or a component.
fn take_away(side: &mut Side, at: floe_stun::Instant, base: bool, rng: &mut Random) {
    if base {
        let base = side.bases[usize::try_from(rng.below(8)).expect("few")].0;
        if rng.below(10) == 0 {
            side.set.remove_base(at, base);
        }
    } else if rng.below(20) == 0 {
        side.set.remove_component(at, VIDEO, RTCP);
    }
}

#[test]
fn p37_random_operations_do_no_harm() {
    for seed in 0..60 {
        let mut rng = seeded(1_000 + seed);
        let mut world = random_world(seed);
        world.lose(20, 1);
        let mut now = 0;
        for _ in 0..300 {
            let side = usize::try_from(rng.below(2)).expect("one bit");
            let at = ms(now);
            world.now = world.now.max(at);
            match rng.below(22) {
                0 => world.tell_local(side),
                1 => world.tell_parameters(side),
                2 => world.tell_candidates(side),
                3 => world.sides[side].set.local_gathering_complete(at, STREAM),
                4 => world.sides[side].set.remote_gathering_complete(at, VIDEO),
                what @ (5 | 6) => take_away(&mut world.sides[side], at, what == 5, &mut rng),
                // A clock that goes back, and one that jumps.
                7 => world.sides[side].set.handle_timeout(ms(now / 2), &mut rng),
                8 => now += rng.below(40_000),
                9 => {
                    if rng.below(60) == 0 {
                        world.sides[side].set.retire(at);
                    }
                }
                10 => world.sides[side].set.data_sent(at, STREAM, RTP),
                11 => world.sides[side].set.add_component(at, VIDEO, RTCP),
                12 => {
                    let set = &mut world.sides[side].set;
                    let pair = crate::PairId(u32::try_from(rng.below(40)).expect("few"));
                    match rng.below(5) {
                        0 => _ = set.rank(at, pair, i32::MAX),
                        1 => _ = set.veto(at, pair, true),
                        2 => _ = set.pin(at, pair, true),
                        3 => _ = set.keep(at, pair, true).is_ok(),
                        _ => {
                            let _ = set.nominate(at, pair);
                        }
                    }
                }
                13 => {
                    if rng.below(40) == 0 {
                        world.sides[side].set.remove_stream(at, VIDEO);
                    }
                }
                14 => {
                    if rng.below(8) == 0 {
                        let index = u16::try_from(rng.below(50)).expect("few");
                        add_late(&mut world, side, 100 + index);
                    }
                }
                _ => now += rng.below(100),
            }
            let end = ms(now);
            world.run(end);
            for side in &world.sides {
                assert!(side.set.pairs().filter(|pair| pair.listed).count() <= 100);
                assert!(side.set.poll_timeout().is_none_or(|next| next > world.now), "seed {seed}");
            }
        }
    }
}
