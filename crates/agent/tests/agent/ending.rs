//! The end of gathering, and what is given back when ICE has its pairs.

use std::collections::BTreeSet;

use floe_agent::{Event, PairReport, Server, State, TransmitKind};
use floe_pair::{BaseId, CandidateType, Role};
use floe_stun::{Class, Instant, Message, Method, attribute::XorPeerAddress};

use crate::{
    server,
    world::{COMPONENT, Id, STREAM, World, asking, ip, ms},
};

/// When an agent said so.
fn said(world: &World, (node, key): Id, what: impl Fn(&Event) -> bool) -> usize {
    world.nodes[node].events_of(key).filter(|event| what(event)).count()
}

fn is_deadline(event: &Event) -> bool {
    matches!(event, Event::GatheringDeadline)
}

fn is_complete(event: &Event) -> bool {
    matches!(event, Event::GatheringComplete { .. })
}

/// Two agents whose server answers nothing before `answers`, and that do not reach each other.
fn apart(trickle: bool, answers: Instant) -> (World, [Id; 2]) {
    let mut world = World::new(2);
    world.server.nat = true;
    let server = server::ADDRESS.parse().unwrap();
    let began = world.now;
    let session = world.pair_with([0, 1], 1, |mut config| {
        config.trickle = trickle;
        asking("stun", config)
    });
    assert_eq!(began, world.now);
    let mut asked = [0; 2];
    let first = answers.since(began).as_millis();
    world.lost = Box::new(move |from, to, _| {
        if to == server {
            let of = usize::from(from.ip() == ip(1));
            asked[of] += 1;
            // Transmissions leave 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s after the first.
            return 500 * (1_u128 << (asked[of] - 1)) - 500 < first;
        }
        from != server
    });
    (world, session)
}

/// With trickle a server that answers late costs nobody anything, and its candidate may still be signalled.
#[test]
fn p02_p04_with_trickle_the_end_of_candidates_comes_after_the_last_of_them() {
    let (mut world, session) = apart(true, Instant::from_millis(1_000 + 7_000));
    world.run_for(ms(4_990));
    assert!(session.iter().all(|id| said(&world, *id, is_deadline) == 0));
    world.run_for(ms(20));
    for id in session {
        assert_eq!((said(&world, id, is_deadline), said(&world, id, is_complete)), (1, 0));
    }
    world.run_for(ms(3_000));
    for (node, key) in session {
        let events: Vec<_> = world.nodes[node].events_of(key).collect();
        let complete = events.iter().position(|event| is_complete(event)).unwrap();
        let reflexive = events.iter().position(|event| match event {
            Event::LocalCandidate { candidate, .. } => candidate.kind == CandidateType::ServerReflexive,
            _ => false,
        });
        assert!(reflexive.is_some_and(|reflexive| reflexive < complete), "{reflexive:?} {complete}");
        assert_eq!(said(&world, (node, key), |event| matches!(event, Event::LocalCandidate { .. })), 2);
    }
}

#[test]
fn p02_without_trickle_gathering_is_complete_at_its_deadline() {
    let (mut world, session) = apart(false, Instant::from_millis(1_000 + 7_000));
    world.run_for(ms(4_990));
    assert!(session.iter().all(|id| said(&world, *id, is_complete) == 0));
    world.run_for(ms(20));
    for id in session {
        assert_eq!((said(&world, id, is_deadline), said(&world, id, is_complete)), (0, 1));
    }
}

/// Nothing waits for a dead server but the end of candidates: the verdict comes when it came before.
#[test]
fn p04_a_dead_server_does_not_put_off_the_failure() {
    for trickle in [true, false] {
        let (mut world, session) = apart(trickle, Instant::from_millis(1_000_000));
        world.run_for(ms(39_400));
        assert!(session.iter().all(|id| world.agent(*id).state() == State::Checking));
        world.run_for(ms(700));
        for id in session {
            assert_eq!(world.agent(id).state(), State::Failed, "trickle: {trickle}");
            assert_eq!(said(&world, id, is_complete), 1);
        }
    }
}

/// RFC 8838 §13: no candidate is signalled after the nomination, so that none is looked for.
#[test]
fn p04_gathering_ends_with_the_checks() {
    for scheme in ["stun", "turn"] {
        let mut world = World::new(2);
        let server = server::ADDRESS.parse().unwrap();
        world.lost = Box::new(move |_, to, _| to == server);
        let session = world.pair_with([0, 1], 1, |config| asking(scheme, config));
        world.connect(&session, ms(2_000));
        world.run_for(ms(4_000));
        world.sent.clear();
        world.run_for(ms(60_000));
        for id in session {
            assert_eq!((said(&world, id, is_deadline), said(&world, id, is_complete)), (0, 1), "{scheme}");
            assert_eq!(said(&world, id, |event| matches!(event, Event::ServerFailed { .. })), 0);
            assert_eq!(world.nodes[id.0].ports.len(), 1, "the socket of the host candidate");
        }
        let to_server = world.sent.iter().filter(|sent| sent.to == server).count();
        assert_eq!(to_server, 0, "{scheme}: the server is left alone");
    }
}

fn selected(world: &World, id: Id) -> PairReport {
    world.agent(id).pairs().find(|pair| pair.selected).unwrap()
}

/// RFC 8445 §8.3.1: three seconds after ICE is completed.
#[test]
fn p23_allocations_of_a_direct_session_are_given_back() {
    let mut world = World::new(2);
    world.strict = true;
    let session = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.connect(&session, ms(5_000));
    assert_eq!(world.server.allocations(), 2);
    world.run_for(ms(2_500));
    assert_eq!(world.server.allocations(), 2, "a late change of the roles may want them");
    world.run_for(ms(7_000));
    assert_eq!(world.server.allocations(), 0);
    for (node, _) in session {
        assert_eq!(world.nodes[node].ports.len(), 1);
    }
    assert_eq!(world.carries_data(session), [true, true]);
    world.sent.clear();
    world.run_for(ms(700_000));
    assert!(world.sent.iter().all(|sent| sent.kind != TransmitKind::Relay), "nothing is kept alive");
    assert!(world.is_completed(&session));
    // What was given back is not missed at the end.
    for id in session {
        world.command(id, |now, agent| agent.close(now));
    }
    world.run_for(ms(100));
    assert!(session.iter().all(|id| world.agent(*id).is_closed()));
}

#[test]
fn p23_of_a_relayed_session_what_carries_it_stays() {
    let mut world = World::new(2);
    world.strict = true;
    // The hosts do not reach each other.
    world.lost = Box::new(|from, to, _| {
        from.ip() != to.ip() && [from, to].iter().all(|end| [ip(0), ip(1)].contains(&end.ip()))
    });
    let session = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.connect(&session, ms(20_000));
    world.run_for(ms(10_000));
    let relays: BTreeSet<(usize, BaseId)> = session
        .iter()
        .map(|id| (id.0, selected(&world, *id)))
        .filter(|(_, pair)| pair.local.kind == CandidateType::Relayed)
        .map(|(node, pair)| (node, pair.base))
        .collect();
    assert!(!relays.is_empty());
    assert_eq!(world.server.allocations(), relays.len());
    assert_eq!(world.carries_data(session), [true, true]);
    world.sent.clear();
    world.run_for(ms(1_300_000));
    assert_eq!(world.server.allocations(), relays.len());
    assert!(world.is_completed(&session));
    assert_eq!(world.carries_data(session), [true, true]);
    // Permissions: the selected peer's alone are renewed.
    for id in session {
        let peer = selected(&world, id).remote.address.ip();
        let of_us = world.sent.iter().filter(|sent| sent.by == id && sent.kind == TransmitKind::Relay);
        for message in of_us.filter_map(|sent| Message::parse(&sent.bytes).ok()) {
            if message.class() == Class::Request && message.method() == Method::CREATE_PERMISSION {
                let XorPeerAddress(permitted) = message.get().unwrap().unwrap();
                assert_eq!(permitted.ip(), peer);
            }
        }
        assert!(world.agent(id).selected(STREAM, COMPONENT).is_some());
    }
}

/// A host that slept while its servers were silent.
#[test]
fn t40_after_a_sleep_servers_get_no_burst() {
    for sleep in [600, 28_800_000] {
        let mut world = World::new(1);
        world.lost = Box::new(|_, _, _| true);
        let mut config = World::config(Role::Controlling, 1);
        let server = |port| Server::new(format!("stun:192.0.2.1:{port}").parse().unwrap(), None);
        config.gathering.servers = (1..=16).map(server).collect();
        let agent = world.add(0, config);
        world.gather(agent);
        world.run_for(ms(700));
        let woken = world.now.after(ms(sleep));
        world.now = woken;
        world.sent.clear();
        world.run_for(ms(2_000));
        let times: Vec<_> = world.sent.iter().map(|sent| sent.at).collect();
        assert!(times.len() >= 16 && times[0] >= woken, "all are asked again");
        assert!(times.windows(2).all(|two| two[1].since(two[0]) >= ms(5)), "{times:?}");
    }
}
