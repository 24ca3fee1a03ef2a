//! Bounds.

use std::boxed::Box;

use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, Priority, Role, StreamId, TransportAddress};
use floe_stun::Random;

use super::script::*;
use super::world::*;
use crate::{Admission, Config, Event, Limit, State};

fn remote_with(priority: u32, number: u32) -> Candidate {
    let ip = core::net::Ipv4Addr::from(0x0A10_0000 + number);
    let mut candidate = host(RTP, 0, TransportAddress::new(ip.into(), 9));
    candidate.priority = Priority::new(priority).expect("in range");
    candidate
}

#[test]
fn t01_a_flood_of_candidates_leaves_the_best_hundred_pairs() {
    let mut script = Script::new(Role::Controlling);
    let mut rng = Random::from_seed([4; 32]);
    for number in 0..20_000 {
        let priority = 1 + u32::try_from(rng.below(1 << 30)).expect("in range");
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(priority, number));
        assert!(script.set.pairs().count() <= 100);
    }
    // A better one still enters, and is checked first.
    script.add_remote(remote(), 0);
    assert_eq!(script.slot().expect("a check").to, remote());
    assert_eq!(script.set.pairs().count(), 100);
}

#[test]
fn ice_13_the_lowest_pair_goes_and_an_event_names_it() {
    let config = Config { pair_limit: 2, ..Config::default() };
    let mut script = Script::with(Role::Controlling, config);
    for (number, priority) in [(0, 300), (1, 200), (2, 100), (3, 400)] {
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(priority, number));
    }
    let remotes: std::vec::Vec<u32> = script.set.pairs().map(|pair| pair.remote.priority.get()).collect();
    assert_eq!(remotes, [300, 400]);
    let dropped: std::vec::Vec<_> = script
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::LimitReached { limit: Limit::Pairs, remote, .. } => Some(remote),
            _ => None,
        })
        .collect();
    assert_eq!(dropped, [remote_with(1, 2).address, remote_with(1, 1).address]);
}

#[test]
fn ice_13_pairs_that_are_made_together_are_those_that_are_made_one_by_one() {
    let pairs = |limit, together: bool| {
        let config = Config { pair_limit: limit, ..Config::default() };
        let mut script = Script::with(Role::Controlling, config);
        let remotes = |script: &mut Script| {
            for number in 0..3 {
                // The second can be sent nothing, the third is of another family.
                let mut remote = remote_with(1_000_000 - number, number);
                match number {
                    1 => remote.address = address("224.0.0.1:9"),
                    2 => remote.address = address("[2001:db8::9]:9"),
                    _ => {}
                }
                script.set.add_remote_candidate(ms(0), STREAM, remote);
            }
        };
        if !together {
            remotes(&mut script);
        }
        for index in 1..60_u16 {
            let base = BaseId(100 + u32::from(index));
            let admission = if index % 3 == 0 { Admission::PerPeer } else { Admission::Open };
            script.set.add_base(base, admission);
            let ip = if index % 2 == 0 { "10.0.0.1" } else { "2001:db8::1" };
            let at = TransportAddress::new(ip.parse().expect("an address"), 1_000 + index);
            script.set.add_local_candidate(ms(0), STREAM, host(RTP, index, at), base);
        }
        if together {
            remotes(&mut script);
        }
        let told = script.set.pairs.iter().map(|pair| (pair.base, pair.to, pair.priority, pair.admitted));
        let mut told: std::vec::Vec<_> = told.collect();
        told.sort_unstable();
        assert_consistent(&script.set);
        told
    };
    assert_eq!(pairs(100, true).len(), 60);
    assert_eq!(pairs(100, true), pairs(100, false));
    assert_eq!(pairs(40, true).len(), 40);
    assert_eq!(pairs(40, true), pairs(40, false));
}

#[test]
fn ice_13_the_cut_is_even_over_the_checklists() {
    let config = Config { pair_limit: 10, ..Config::default() };
    let mut script = Script::with(Role::Controlling, config);
    let video = StreamId(1);
    script.set.add_component(script.now, video, RTP);
    let base = BaseId(8);
    script.set.add_base(base, Admission::Open);
    script.set.add_local_candidate(ms(0), video, host(RTP, 1, address("10.0.0.2:2")), base);
    for number in 0..30 {
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(1_000_000 + number, number));
    }
    for number in 0..30 {
        script.set.add_remote_candidate(ms(0), video, remote_with(1_000 + number, 100 + number));
    }
    let of = |stream| script.set.pairs().filter(|pair| pair.stream == stream).count();
    assert_eq!((of(STREAM), of(video)), (5, 5));
}

#[test]
fn ice_44_remote_candidates_are_bounded() {
    let config = Config { remote_limit: 8, ..Config::default() };
    let mut script = Script::with(Role::Controlling, config);
    for number in 0..10_000 {
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(1 + number, number));
    }
    assert!(script.set.pairs().count() <= 8);
    let best = script.set.pairs().map(|pair| pair.remote.priority.get()).min();
    assert_eq!(best, Some(9_993), "the best eight");
    assert!(script.events().len() <= crate::EVENT_LIMIT + 4);
}

#[test]
fn pairs_of_removed_bases_make_room_for_those_that_work() {
    let mut script = Script::new(Role::Controlling);
    for number in 0..10 {
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(1_000 + number, number));
    }
    // An interface that goes and comes again, in a session where nothing works.
    let of = |base: BaseId, script: &Script| script.set.pairs().filter(|pair| pair.base == base).count();
    let mut base = BASE;
    for round in 1..=200_u16 {
        script.wait(100);
        script.set.remove_base(script.now, base);
        base = BaseId(100 + u32::from(round));
        script.set.add_base(base, Admission::Open);
        let at = TransportAddress::new(local().ip(), 2_000 + round);
        script.set.add_local_candidate(script.now, STREAM, host(RTP, 0, at), base);
        assert_eq!(of(base, &script), 10, "{round}");
    }
    assert!(script.set.pairs().count() <= 100);
    assert!(script.set.candidates.locals.len() <= 1 + 100, "those of pairs that are left");
    assert!(!script.events().iter().any(|event| matches!(event, Event::LimitReached { .. })));
    // A check from an address that is not known yet has its place as well.
    let (id, at) = (script.new_id(), address("10.0.9.9:1000"));
    let bytes = Ask::default().bytes(id);
    assert_eq!(script.answer_from(base, at, &bytes), crate::Outcome::Taken);
    assert!(script.find(at).is_some());
}

#[test]
fn events_that_nobody_polls_are_counted() {
    let config = Config { pair_limit: 1, ..Config::default() };
    let mut script = Script::with(Role::Controlling, config);
    for number in 0..1_000 {
        script.set.add_remote_candidate(ms(0), STREAM, remote_with(2_000 - number, number));
    }
    let events = script.events();
    assert!(events.iter().any(|event| matches!(event, Event::EventsLost(_))));
    assert_eq!(events.last(), Some(&Event::State(crate::State::Checking)), "levels are never lost");
}

#[test]
fn t24_a_flood_of_early_checks_is_answered_and_the_real_pair_works() {
    let mut script = Script::bare(Role::Controlled, Config::default());
    script.ask_well(remote(), &Ask::controlling());
    for number in 0..10_000_u32 {
        let ip = core::net::Ipv4Addr::from(0x0A20_0000 + number);
        script.ask_well(TransportAddress::new(ip.into(), 5), &Ask::controlling());
    }
    script.set.set_remote_parameters(script.now, parameters("right"));
    assert!(script.set.pairs().count() <= crate::EARLY_CHECK_LIMIT);
    let check = script.slot().expect("a triggered check");
    assert_eq!(check.to, remote());
    script.succeed(&check);
    assert!(script.pair(remote()).valid);
}

#[test]
fn a_candidate_of_an_unknown_stream_or_component_is_ignored() {
    let mut script = Script::new(Role::Controlling);
    script.set.add_remote_candidate(ms(0), StreamId(9), host(RTP, 0, remote()));
    script.set.add_remote_candidate(ms(0), STREAM, host(ComponentId::RTCP, 0, remote()));
    assert_eq!(script.set.pairs().count(), 0);
}

#[test]
fn p05_open_transactions_follow_a_higher_pair_limit() {
    for (pairs, expected) in [(1, 2_048), (100, 2_048), (1_024, 2_048), (4_000, 8_000)] {
        assert_eq!(crate::limits::transaction_limit(pairs), expected);
    }
}

#[test]
fn a_refused_peer_is_no_bound_that_was_met() {
    let mut script = Script::with(Role::Controlling, Config { pair_limit: 1_000, ..Config::default() });
    let relay = BaseId(8);
    script.set.add_base(relay, Admission::PerPeer);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, address("10.9.0.1:1000")), relay);
    script.set.refuse(ms(0), relay, remote().ip());
    let _ = script.events();
    for port in 1..40 {
        script.add_remote(TransportAddress::new(remote().ip(), port), port);
    }
    let over_relay = |script: &Script| {
        let own = script.set.pairs().filter(|pair| pair.base == relay);
        own.map(|pair| pair.failure).collect::<std::vec::Vec<_>>()
    };
    let mut checks = std::vec::Vec::new();
    while let Some(check) = script.slot() {
        script.wait(5);
        checks.push(check);
    }
    assert!(checks.iter().all(|check| check.from == BASE));
    assert_eq!(over_relay(&script), [Some(crate::Failure::NotAdmitted); 39]);
    assert!(!script.events().iter().any(|event| matches!(event, Event::LimitReached { .. })));
    // One address more than a base can be opened for is told.
    for number in 0..=u32::try_from(crate::PEERS_PER_BASE).expect("few") {
        let index = 100 + u16::try_from(number).expect("few");
        let candidate = host(RTP, index, remote_with(1, number).address);
        script.set.add_remote_candidate(script.now, STREAM, candidate);
    }
    let full = |event: &Event| matches!(event, Event::LimitReached { limit: Limit::Peers, .. });
    while script.slot().is_some() {
        script.wait(5);
    }
    assert!(script.events().iter().any(full));
}

/// Two agents of many components, each with a host address and a relay.
fn wide(streams: u16, components: u16) -> World {
    let mut world = World::hosts(0, millis(20));
    for (index, side) in world.sides.iter_mut().enumerate() {
        for stream in (0..streams).map(StreamId) {
            for component in 1..=components {
                let component = ComponentId::new(component).expect("in range");
                side.set.add_component(world.now, stream, component);
                let of = 1_000 + stream.0 * components + component.get();
                for (way, kind) in [CandidateType::Host, CandidateType::Relayed].into_iter().enumerate() {
                    let ip = core::net::Ipv4Addr::new(
                        10,
                        0,
                        u8::try_from(way).expect("few"),
                        1 + u8::try_from(index).expect("few"),
                    );
                    let at = TransportAddress::new(ip.into(), of);
                    let base = BaseId(u32::from(of) + 20_000 * u32::try_from(way).expect("few"));
                    side.set.add_base(base, Admission::Open);
                    side.bases.push((base, at));
                    side.candidates.push((stream, candidate(kind, component, 0, at), base));
                }
            }
        }
    }
    world
}

#[test]
fn each_of_many_components_gets_pairs_and_completes() {
    for (streams, components) in [(64, 2), (1, 130)] {
        let mut world = wide(streams, components);
        // The hosts do not reach each other.
        let direct = |at: TransportAddress| {
            at.ip() == core::net::Ipv4Addr::new(10, 0, 0, 1)
                || at.ip() == core::net::Ipv4Addr::new(10, 0, 0, 2)
        };
        world.passes = Box::new(move |_, from, to, _| !(direct(from) && direct(to)));
        world.signal();
        world.run(ms(60_000));
        for side in &world.sides {
            assert_eq!(side.set.state(), State::Completed, "{streams} x {components}");
            let states = (0..streams).map(|stream| side.set.stream_state(StreamId(stream)));
            assert!(states.into_iter().all(|state| state == Some(State::Completed)));
        }
    }
}

#[test]
fn limits_grow_with_many_components_alone() {
    for (limit, components, expected) in [
        (100, 25, 100),
        (1, 2, 1),
        (100, 26, 104),
        (50, 26, 52),
        (1, 26, 2),
        (256, 64, 656),
        (usize::MAX, 128, usize::MAX.div_ceil(25)),
    ] {
        assert_eq!(crate::limits::limit_of(limit, components), expected);
    }
}

#[test]
fn learned_candidates_are_bounded_by_the_number_of_components() {
    let mut script = Script::new(Role::Controlled);
    let [streams, components] = [20_u16, 2];
    for stream in 0..streams {
        for component in 1..=components {
            let id = ComponentId::new(component).expect("in range");
            let (stream, number) = (StreamId(stream), 100 + stream * components + component);
            script.set.add_component(script.now, stream, id);
            let base = BaseId(number.into());
            script.set.add_base(base, Admission::Open);
            let at = TransportAddress::new(local().ip(), number);
            script.set.add_local_candidate(ms(0), stream, host(id, 0, at), base);
            let at = TransportAddress::new(remote().ip(), number);
            script.set.add_remote_candidate(ms(0), stream, host(id, 0, at));
        }
    }
    // Behind a NAT that maps each way anew the peer is seen at an address of its own for each component.
    for number in 101..=100 + streams * components {
        let (base, at) = (BaseId(number.into()), TransportAddress::new(remote().ip(), 1_000 + number));
        let id = script.new_id();
        let bytes = Ask::nominating().bytes(id);
        assert_eq!(script.answer_from(base, at, &bytes), crate::Outcome::Taken, "{number}");
        assert!(script.find(at).is_some(), "{number}");
    }
}
