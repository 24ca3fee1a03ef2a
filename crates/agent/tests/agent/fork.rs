//! One offer, several answers (RFC 8839 §7.3).

use floe_agent::{Event, Interface, InterfaceFlags, State, TransmitKind};
use floe_pair::{CandidateLine, CandidateType, ComponentId, Role};

use crate::world::{COMPONENT, Id, STREAM, World, asking, ms};

/// A gathers and offers; everybody on the other nodes answers. The first answer is A's, a fork takes each other.
fn forked(world: &mut World, answers: usize) -> (Vec<Id>, Vec<Id>) {
    let a = world.add(0, asking("turn", World::config(Role::Controlling, 1)));
    world.gather(a);
    world.run_for(ms(200));
    let answerers: Vec<Id> = (1..=answers)
        .map(|node| {
            let seed = u32::try_from(node).unwrap() + 10;
            let id = world.add(node, World::config(Role::Controlled, seed));
            world.tell_parameters(a, id);
            offer(world, a, id);
            world.gather(id);
            id
        })
        .collect();
    // All of them check at once, before A knows of any.
    world.run_for(ms(100));
    let mut sides = vec![];
    for (place, answerer) in answerers.iter().enumerate() {
        let side = if place == 0 { a } else { fork(world, a, place) };
        world.tell_parameters(*answerer, side);
        world.join([side, *answerer]);
        offer(world, *answerer, side);
        sides.push(side);
        world.run_for(ms(30));
    }
    (sides, answerers)
}

/// All candidates of one side so far.
fn offer(world: &mut World, from: Id, to: Id) {
    let lines: Vec<_> = world.nodes[from.0]
        .events_of(from.1)
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(CandidateLine::from(candidate)),
            _ => None,
        })
        .collect();
    for line in lines {
        world.command(to, |now, agent| agent.add_remote_candidate(now, STREAM, &line).unwrap());
    }
}

fn fork(world: &mut World, of: Id, seed: usize) -> Id {
    let seed = [u8::try_from(seed).unwrap(); 32];
    let key = world.nodes[of.0].hub.fork(world.now, of.1, seed).unwrap();
    world.drain(of.0);
    (of.0, key)
}

#[test]
fn each_answer_to_one_offer_is_a_session_of_its_own() {
    let mut world = World::new(4);
    let (sides, answerers) = forked(&mut world, 3);
    // Before what is not used is given back, 3 s after completion.
    world.run_for(ms(2_000));
    let all: Vec<Id> = sides.iter().chain(&answerers).copied().collect();
    assert!(
        world.is_completed(&all),
        "{:?}",
        all.iter().map(|id| world.agent(*id).state()).collect::<Vec<_>>()
    );
    let ours = world.agent(sides[0]).local_parameters().clone();
    let selected = |side: &Id| world.agent(*side).selected(STREAM, COMPONENT).unwrap().local.address;
    let addresses: Vec<_> = sides.iter().map(selected).collect();
    for (side, answerer) in sides.iter().zip(&answerers) {
        assert_eq!(world.agent(*side).local_parameters().ufrag, ours.ufrag);
        assert_eq!(world.carries_data([*side, *answerer]), [true, true]);
    }
    assert!(addresses.windows(2).all(|two| two[0] == two[1]), "one socket: {addresses:?}");
    // RFC 8656 §3.2: an allocation is one agent's, and no 5-tuple has two.
    assert_eq!(world.server.allocations(), 3);
    assert_eq!(world.nodes[0].ports.len(), 1 + 3);
    // Sessions of their own: each has its own tiebreaker.
    let mut tiebreakers: Vec<u64> = vec![];
    for sent in world.sent.iter().filter(|sent| sent.by.0 == 0 && sent.kind == TransmitKind::Check) {
        // Those over a relay are wrapped.
        let Ok(message) = floe_stun::Message::parse(&sent.bytes) else { continue };
        let claim = message.get::<floe_stun::attribute::IceControlling>().unwrap();
        tiebreakers.extend(claim.map(|claim| claim.0));
    }
    tiebreakers.sort_unstable();
    tiebreakers.dedup();
    assert_eq!(tiebreakers.len(), 3);
}

#[test]
fn a_socket_lives_as_long_as_any_of_its_agents() {
    let mut world = World::new(3);
    let (sides, answerers) = forked(&mut world, 2);
    world.run_for(ms(5_000));
    let port = world.host_address(sides[0]).port();
    world.command(sides[0], |now, agent| agent.close(now));
    world.run_for(ms(4_000));
    assert!(world.agent(sides[0]).is_closed());
    assert!(world.socket(0, port).is_some());
    assert_eq!(world.carries_data([sides[1], answerers[1]]), [true, true]);
    assert_eq!(world.agent(sides[1]).state(), State::Completed);
    world.command(sides[1], |now, agent| agent.close(now));
    world.run_for(ms(4_000));
    assert!(world.nodes[0].ports.is_empty(), "and no longer");
    assert_eq!(world.server.allocations(), 0);
}

/// A fork that never uses the sockets it was given keeps none of them open, whatever keeps it from using them.
#[test]
fn p33_sockets_that_a_fork_never_uses_are_closed_with_the_others() {
    let two = |mut config: floe_agent::AgentConfig| {
        config.streams = vec![(STREAM, vec![ComponentId::RTP, ComponentId::RTCP])];
        config
    };
    for (case, fork_first) in (0..4).flat_map(|case| [(case, false), (case, true)]) {
        let mut world = World::new(1);
        let a = world.add(0, two(World::config(Role::Controlling, 1)));
        world.gather(a);
        let child = fork(&mut world, a, 7);
        assert_eq!(world.nodes[0].ports.len(), 2);
        match case {
            // It was closed before it was told of any interface.
            0 => {}
            // A component was removed first.
            1 => {
                world.command(child, |now, agent| {
                    agent.remove_component(now, STREAM, ComponentId::RTCP).unwrap();
                });
                world.gather(child);
                world.command(a, |now, agent| {
                    agent.remove_component(now, STREAM, ComponentId::RTCP).unwrap();
                });
                assert_eq!(world.nodes[0].ports.len(), 1, "both have given it back");
            }
            // The host has another address by now.
            2 => {
                let ip = "198.51.100.99".parse().unwrap();
                let flags = InterfaceFlags::UP;
                let other = [Interface { name: "eth1".into(), index: 1, ip, prefix_len: 24, flags }];
                world.command(child, |now, agent| {
                    agent.handle_interfaces(now, &other);
                    agent.gather(now);
                });
                assert_eq!(world.nodes[0].ports.len(), 4, "two of its own");
            }
            // Its owner throws it away.
            _ => {
                assert!(world.nodes[0].hub.remove(child.1).is_some());
                world.drain(0);
            }
        }
        let order = if fork_first { [child, a] } else { [a, child] };
        for id in order.iter().filter(|id| case != 3 || **id == a) {
            world.command(*id, |now, agent| agent.close(now));
            world.run_for(ms(10));
            assert!(world.agent(*id).is_closed());
            assert!(world.nodes[0].hub.remove(id.1).is_some());
            world.drain(0);
        }
        assert!(world.nodes[0].ports.is_empty(), "case {case}, {fork_first}: {:?}", world.nodes[0].ports);
        assert!(world.nodes[0].hub.poll_timeout().is_none());
    }
}

/// Where the last of those who use a socket is thrown away, the driver is told.
#[test]
fn p33_a_shared_socket_is_nobodys_once_both_are_removed() {
    let mut world = World::new(1);
    let a = world.add(0, World::config(Role::Controlling, 1));
    world.gather(a);
    let child = fork(&mut world, a, 7);
    for id in [a, child] {
        assert_eq!(world.nodes[0].ports.len(), 1);
        assert!(world.nodes[0].hub.remove(id.1).is_some());
        world.drain(0);
    }
    assert!(world.nodes[0].ports.is_empty());
}

/// RFC 8839 §7.3: what the offer names is there for each answer, whatever the rules of RFC 8445 §5.1.1.1 would choose by now.
#[test]
fn p36_a_fork_is_met_at_an_address_of_the_offer_that_the_rules_skip_by_now() {
    let new = "198.51.100.77";
    for (case, relisted) in (0..3).flat_map(|case| [(case, false), (case, true)]) {
        let mut world = World::new(3);
        let config = |role, seed| {
            let mut config = World::config(role, seed);
            config.gathering.relisted = relisted;
            config
        };
        let a = world.add(0, config(Role::Controlling, 1));
        world.gather(a);
        world.run_for(ms(100));
        let port = world.host_address(a).port();
        match case {
            // The network changes after the offer.
            0 => world.change_address(a, new, InterfaceFlags::DEPRECATED),
            // And another one is not sent, with the address left out of it.
            1 => {
                world.change_address(a, new, InterfaceFlags::DEPRECATED);
                world.command(a, |now, agent| agent.restart(now).unwrap());
                world.change_address(a, new, InterfaceFlags::DEPRECATED);
                world.command(a, |now, agent| agent.rollback(now).unwrap());
            }
            // Another offer is on its way, and the network as it was so far.
            _ => {
                world.command(a, |now, agent| agent.restart(now).unwrap());
            }
        }
        let child = fork(&mut world, a, 7);
        if case == 2 {
            world.gather(a);
            world.gather(child);
        } else {
            world.change_address(child, new, InterfaceFlags::DEPRECATED);
            world.command(child, |now, agent| agent.gather(now));
        }
        let expected = if case == 2 { [port].into() } else { [port, port + 1, port + 2].into() };
        let ports: std::collections::BTreeSet<_> = world.nodes[0].ports.values().copied().collect();
        assert!(ports.is_subset(&expected), "{ports:?} are not {expected:?}, case {case}, {relisted}");
        // Nothing but the address of the offer can be reached.
        world.lost = Box::new(move |from, to, _| [from, to].iter().any(|at| at.ip().to_string() == new));
        for (node, side) in [(1, a), (2, child)] {
            let answerer = world.add(node, config(Role::Controlled, 10 + u32::try_from(node).unwrap()));
            world.tell_parameters(side, answerer);
            offer(&mut world, a, answerer);
            world.gather(answerer);
            world.tell_parameters(answerer, side);
            world.join([side, answerer]);
            world.connect(&[side, answerer], ms(5_000));
            let selected = world.agent(side).selected(STREAM, COMPONENT).unwrap().local.address;
            assert_eq!(selected.port(), port, "case {case}, {relisted}");
            assert_eq!(world.carries_data([side, answerer]), [true, true]);
        }
    }
}

/// RFC 8839 §7.3: an answerer that nobody knows yet is for the agent that waits for an answer, and not for one whose
/// own restart is unanswered.
#[test]
fn p36_the_check_of_an_unknown_answerer_goes_to_the_agent_that_has_no_peer() {
    let mut world = World::new(4);
    let (sides, answerers) = forked(&mut world, 2);
    world.run_for(ms(3_000));
    world.part([sides[1], answerers[1]]);
    world.command(sides[1], |now, agent| agent.restart(now).unwrap());
    // A third answer is expected.
    let free = fork(&mut world, sides[0], 9);
    world.gather(free);
    let third = world.add(3, World::config(Role::Controlled, 77));
    world.tell_parameters(free, third);
    offer(&mut world, sides[0], third);
    world.gather(third);
    let from = world.sent.len();
    world.run_for(ms(300));
    let to = world.host_address(third);
    let answered: Vec<_> = world.sent[from..]
        .iter()
        .filter(|sent| sent.kind == TransmitKind::Response && sent.to == to)
        .map(|sent| sent.by)
        .collect();
    assert!(!answered.is_empty() && answered.iter().all(|by| *by == free), "{answered:?} is not {free:?}");
}

#[test]
fn a_fork_restarts_on_its_own() {
    let mut world = World::new(3);
    let (sides, answerers) = forked(&mut world, 2);
    world.run_for(ms(5_000));
    world.command(sides[1], |now, agent| agent.restart(now).unwrap());
    world.run_for(ms(5_000));
    for (side, answerer) in sides.iter().zip(&answerers) {
        assert_eq!(world.carries_data([*side, *answerer]), [true, true]);
    }
    assert_eq!(sides.iter().map(|side| world.agent(*side).generation()).collect::<Vec<_>>(), [0, 1]);
    assert!(world.is_completed(&sides));
}

#[test]
fn a_closed_agent_is_not_forked_and_one_that_was_told_to_end_tells_nothing_more() {
    let mut world = World::new(2);
    let a = world.add(0, asking("turn", World::config(Role::Controlling, 1)));
    world.gather(a);
    world.run_for(ms(500));
    let child = fork(&mut world, a, 7);
    world.gather(child);
    world.run_for(ms(500));
    let told = world.nodes[0].events_of(child.1).any(|event| matches!(event, Event::LocalCandidate { .. }));
    assert!(!told, "the end of candidates of this offer was told (RFC 8838 §13)");
    let kinds: Vec<_> = world.nodes[0]
        .events_of(a.1)
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [CandidateType::Host, CandidateType::Relayed]);
    world.command(a, |now, agent| agent.close(now));
    assert!(world.nodes[0].hub.fork(world.now, a.1, [1; 32]).is_err());
}
