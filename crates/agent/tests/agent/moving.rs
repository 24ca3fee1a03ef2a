//! A better pair comes late: with `renomination2` data moves to it, without it a restart is suggested.

use std::{cell::Cell, rc::Rc, time::Duration};

use floe_agent::{Event, Framing, MoveReason, RestartReason};
use floe_pair::{CandidateLine, CandidateType};
use floe_stun::{Message, Method};

use crate::world::{COMPONENT, Id, STREAM, World, asking, ms};

/// Two agents that found each other over relays, because nothing else went through; now it does, and they hear of
/// each other's host candidates.
fn late_direct(renomination: bool, legacy: bool) -> (World, [Id; 2]) {
    let mut world = World::new(2);
    let open = Rc::new(Cell::new(false));
    let server = crate::server::ADDRESS.parse::<std::net::SocketAddr>().unwrap().ip();
    let closed = Rc::clone(&open);
    world.lost = Box::new(move |from, to, _| !closed.get() && from.ip() != server && to.ip() != server);
    let ids = world.pair_with([0, 1], 1, |mut config| {
        config.renomination = renomination;
        config.checks.legacy_renomination = legacy;
        asking("turn", config)
    });
    world.part(ids);
    world.run_for(ms(500));
    tell(&mut world, ids, CandidateType::Relayed);
    world.connect(&ids, ms(20_000));
    let relayed = |world: &World, id: Id| world.agent(id).selected(STREAM, COMPONENT).unwrap().local.kind;
    assert!(ids.iter().any(|id| relayed(&world, *id) == CandidateType::Relayed));
    open.set(true);
    (world, ids)
}

/// Each tells the other its candidates of one type.
fn tell(world: &mut World, [a, b]: [Id; 2], kind: CandidateType) {
    for (from, to) in [(a, b), (b, a)] {
        let lines: Vec<_> = world.nodes[from.0]
            .events_of(from.1)
            .filter_map(|event| match event {
                Event::LocalCandidate { candidate, .. } if candidate.kind == kind => {
                    Some(CandidateLine::from(candidate))
                }
                _ => None,
            })
            .collect();
        for line in lines {
            let _ = world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
        }
    }
}

/// Sends each way every 5 ms; says how many were lost.
fn lost_in(world: &mut World, ids: [Id; 2], rounds: u32) -> usize {
    world.nodes.iter_mut().for_each(|node| node.data.clear());
    for round in 0..rounds {
        for id in ids {
            assert!(world.send(id, &[&[0x80][..], &round.to_be_bytes()].concat()));
        }
        world.run_for(ms(5));
    }
    world.run_for(ms(100));
    2 * usize::try_from(rounds).unwrap() - world.nodes.iter().map(|node| node.data.len()).sum::<usize>()
}

#[test]
fn p06_oth_05_data_moves_to_the_direct_pair_and_loses_nothing() {
    moves_to_the_direct_pair(late_direct(true, false));
}

/// Where both also speak the older draft.
#[test]
fn p06_data_moves_by_the_older_draft_as_well() {
    moves_to_the_direct_pair(late_direct(true, true));
}

fn moves_to_the_direct_pair((mut world, ids): (World, [Id; 2])) {
    tell(&mut world, ids, CandidateType::Host);
    assert_eq!(lost_in(&mut world, ids, 2_000), 0);
    for (node, key) in ids {
        let pair = world.agent((node, key)).selected(STREAM, COMPONENT).unwrap();
        assert_eq!((pair.local.kind, pair.remote_candidate.kind), (CandidateType::Host, CandidateType::Host));
        let path = world.agent((node, key)).path(STREAM, COMPONENT).unwrap();
        assert_eq!(path.path().to, pair.remote, "past the relay");
        let moved: Vec<_> = world.nodes[node]
            .events_of(key)
            .filter_map(|event| match event {
                Event::Moved { reason, .. } => Some(*reason),
                _ => None,
            })
            .collect();
        assert!(moved.last().is_some(), "{moved:?}");
        if node == 0 {
            assert!(matches!(moved[..], [.., MoveReason::Direct | MoveReason::Better]), "{moved:?}");
        } else {
            assert_eq!(moved.last(), Some(&MoveReason::Peer));
        }
    }
}

#[test]
fn p06_ice_32_without_renomination_a_restart_is_suggested_and_brings_the_direct_pair() {
    let (mut world, ids) = late_direct(false, false);
    tell(&mut world, ids, CandidateType::Host);
    assert_eq!(lost_in(&mut world, ids, 400), 0);
    let suggested = |world: &World, (node, key): Id| {
        world.nodes[node]
            .events_of(key)
            .filter(|event| {
                matches!(
                    event,
                    Event::RestartSuggested { reason: RestartReason::Direct | RestartReason::Better, .. }
                )
            })
            .count()
    };
    let moved = |event: &Event| matches!(event, Event::Moved { .. });
    assert!(world.nodes.iter().all(|node| !node.events.iter().any(|(_, event)| moved(event))));
    // A signalled candidate is kept after nomination; a new address is checked against it, and shows what would be.
    assert_eq!([suggested(&world, ids[0]), suggested(&world, ids[1])], [0, 0]);
    world.add_address(ids[0], "198.51.100.77");
    assert_eq!(lost_in(&mut world, ids, 400), 0);
    assert_eq!(suggested(&world, ids[0]), 1, "once");
    let selected = world.agent(ids[0]).selected(STREAM, COMPONENT).unwrap();
    assert!(
        [selected.local.kind, selected.remote_candidate.kind].contains(&CandidateType::Relayed),
        "it stays"
    );
    world.join_again(ids);
    world.command(ids[0], |now, agent| agent.restart(now).unwrap());
    assert_eq!(lost_in(&mut world, ids, 1_000), 0);
    for id in ids {
        let pair = world.agent(id).selected(STREAM, COMPONENT).unwrap();
        assert_eq!(pair.local.kind, CandidateType::Host);
    }
}

/// RFC 7675 §5.1: consent may rest while nothing is sent.
#[test]
fn con_01_consent_that_rests_is_regained_when_data_is_sent_again() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, |mut config| {
        config.checks.consent = Some(floe_agent::ConsentConfig { suspend: true, ..Default::default() });
        config
    });
    world.connect(&ids, ms(5_000));
    let consents = |world: &World| {
        world.sent.iter().filter(|sent| sent.kind == floe_agent::TransmitKind::Consent).count()
    };
    // While data flows, consent is kept as ever.
    for _ in 0..120 {
        assert!(world.send(ids[0], b"\x80") && world.send(ids[1], b"\x80"));
        world.run_for(ms(500));
    }
    let busy = consents(&world);
    assert!(busy >= 2 * 60 / 6, "{busy}");
    world.run_for(ms(600_000));
    assert!(consents(&world) - busy <= 8, "{} requests in ten idle minutes", consents(&world) - busy);
    assert!(world.is_completed(&ids));
    let quiet = world.sent.len();
    assert!(!world.send(ids[0], b"\x80 too early"), "not one byte without consent");
    world.run_for(ms(100));
    assert!(world.sent.len() > quiet, "asked for at once");
    assert!(world.send(ids[0], b"\x80 in time"));
    world.run_for(ms(100));
    assert!(world.nodes[1].data.iter().any(|(_, data)| data == b"\x80 in time"));
    assert!(!world.nodes[1].data.iter().any(|(_, data)| data == b"\x80 too early"));
}

/// The relayed pair that was left is kept, with its permission; its channel would cost a request every few minutes, and is
/// asked for again when it is needed.
#[test]
fn the_channel_of_a_pair_that_was_left_runs_out() {
    let (mut world, ids) = late_direct(true, false);
    world.run_for(ms(1_000));
    let asked = |world: &World, method: Method| {
        let of = |sent: &&crate::world::Sent| {
            Message::parse(&sent.bytes).is_ok_and(|message| message.method() == method)
        };
        world.sent.iter().filter(of).count()
    };
    assert!(asked(&world, Method::CHANNEL_BIND) > 0);
    let left = ids.map(|id| world.agent(id).selected(STREAM, COMPONENT).unwrap().id);
    for (id, pair) in ids.into_iter().zip(left) {
        world.command(id, |now, agent| agent.keep(now, pair, true).expect("a pair it has"));
    }
    tell(&mut world, ids, CandidateType::Host);
    world.run_for(ms(5_000));
    let is_direct = |world: &World| {
        let pair = world.agent(ids[0]).selected(STREAM, COMPONENT).unwrap();
        [pair.local.kind, pair.remote_candidate.kind] == [CandidateType::Host; 2]
    };
    assert!(is_direct(&world), "moved");
    let before = [Method::CHANNEL_BIND, Method::CREATE_PERMISSION].map(|method| asked(&world, method));
    // A binding lasts ten minutes, and one that is in use is renewed after seven.
    world.run_for(Duration::from_secs(580));
    assert_eq!(asked(&world, Method::CHANNEL_BIND), before[0], "nothing goes over it");
    assert!(asked(&world, Method::CREATE_PERMISSION) > before[1], "the pair itself is kept");
    world.command(ids[0], |now, agent| agent.nominate(now, left[0])).unwrap();
    world.run_for(ms(1_000));
    assert!(!is_direct(&world), "gone back to");
    let framings = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).expect("a path").path().framing);
    assert!(framings.iter().any(|framing| matches!(framing, Framing::Channel(_))), "{framings:?}");
    world.run_for(ms(100));
    assert_eq!(world.carries_data(ids), [true, true]);
    assert!(asked(&world, Method::CHANNEL_BIND) > before[0], "and is renewed again");
}
