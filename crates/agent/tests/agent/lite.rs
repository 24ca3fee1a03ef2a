//! Lite agents (RFC 8445 §2.5).

use floe_agent::{AgentConfig, DropReason, Event, State, TransmitKind};
use floe_pair::{CandidateType, Role};

use crate::world::{Id, STREAM, World, asking, ms};

fn lite(role: Role, seed: u32) -> AgentConfig {
    let mut config = World::config(role, seed);
    config.lite = true;
    config
}

fn session(configs: [AgentConfig; 2]) -> (World, [Id; 2]) {
    let mut world = World::new(2);
    let [a, b] = configs;
    let ids = [world.add(0, a), world.add(1, b)];
    world.introduce(ids);
    world.run_for(ms(3_000));
    (world, ids)
}

fn sent(world: &World, by: Id, kind: TransmitKind) -> usize {
    world.sent.iter().filter(|sent| sent.by == by && sent.kind == kind).count()
}

#[test]
fn ice_10_p08_a_lite_agent_makes_no_checks_and_is_controlled_whatever_was_asked() {
    for [full_role, lite_role] in [
        [Role::Controlling, Role::Controlled],
        [Role::Controlled, Role::Controlling],
        [Role::Controlled, Role::Controlled],
    ] {
        let (mut world, ids) = session([World::config(full_role, 1), lite(lite_role, 2)]);
        assert!(world.is_completed(&ids));
        assert_eq!(ids.map(|id| world.agent(id).role()), [Role::Controlling, Role::Controlled]);
        assert_eq!(world.carries_data(ids), [true, true]);
        assert_eq!(sent(&world, ids[1], TransmitKind::Check), 0);
        assert_eq!(sent(&world, ids[1], TransmitKind::Consent), 0);
        world.run_for(ms(600_000));
        assert!(world.is_completed(&ids), "ten minutes later");
        assert_eq!(world.carries_data(ids), [true, true]);
        // Either side may restart.
        for by in [0, 1] {
            world.command(ids[by], |now, agent| agent.restart(now).unwrap());
            world.run_for(ms(5_000));
            assert!(world.is_completed(&ids), "restart by {by}");
            assert_eq!(world.carries_data(ids), [true, true]);
        }
        assert_eq!(ids.map(|id| world.agent(id).role()), [Role::Controlling, Role::Controlled]);
    }
}

/// RFC 8445 §12.1.1 is about the beginning: what a running stream sends is not stopped by what joins it.
#[test]
fn a_component_that_joins_the_stream_of_a_lite_agent_does_not_stop_its_data() {
    let (mut world, ids) = session([World::config(Role::Controlling, 1), lite(Role::Controlled, 2)]);
    let rtcp = floe_pair::ComponentId::RTCP;
    world.command(ids[1], |now, agent| agent.add_component(now, STREAM, rtcp).unwrap());
    for _ in 0..12 {
        assert_eq!(world.carries_data(ids), [true, true], "at {:?}", world.now);
        world.run_for(ms(5_000));
    }
    assert!(world.is_completed(&ids));
    world.command(ids[0], |now, agent| agent.add_component(now, STREAM, rtcp).unwrap());
    world.tell_candidates(ids);
    world.run_for(ms(3_000));
    assert!(world.send_on(ids[1], STREAM, rtcp, b"\x80"));
    assert_eq!(world.carries_data(ids), [true, true]);
}

/// RFC 8445 §6.2, §8.2: no check is ever sent.
#[test]
fn ice_10_two_lite_agents_take_their_only_pair_without_a_check() {
    let (mut world, ids) = session([lite(Role::Controlling, 1), lite(Role::Controlled, 2)]);
    assert_eq!(ids.map(|id| world.agent(id).state()), [State::Completed; 2]);
    assert_eq!(world.carries_data(ids), [true, true]);
    for kind in [TransmitKind::Check, TransmitKind::Consent] {
        assert!(world.sent.iter().all(|sent| sent.kind != kind));
    }
}

/// RFC 8445 §5.2: host candidates alone, one of IPv4 for each component.
#[test]
fn ice_10_a_lite_agent_tells_one_host_candidate_and_asks_no_server() {
    let mut world = World::new(1);
    world.server.nat = true;
    let id = world.add(0, asking("turn", lite(Role::Controlled, 1)));
    world.gather(id);
    world.add_address(id, "198.51.100.77");
    world.run_for(ms(10_000));
    let kinds: Vec<_> = world.nodes[0]
        .events_of(id.1)
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.kind),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, [CandidateType::Host]);
    assert!(world.sent.is_empty());
}

/// RFC 8445 §8.2: who knows the other's candidates sends at once. What overtakes its own candidate waits for that, in its
/// order, whether the parameters have come or not.
#[test]
fn ice_10_data_between_two_lite_agents_that_comes_before_its_candidate_is_held() {
    for knows_parameters in [true, false] {
        let mut world = World::new(2);
        let [a, b] = [world.add(0, lite(Role::Controlling, 1)), world.add(1, lite(Role::Controlled, 2))];
        world.tell_parameters(b, a);
        if knows_parameters {
            world.tell_parameters(a, b);
        }
        world.peers.insert(b, a);
        world.gather(a);
        world.gather(b);
        world.run_for(ms(50));
        let said = ["\u{80} one", "\u{80} two"].map(|said| said.as_bytes().to_vec());
        for payload in &said {
            assert!(world.send(a, payload));
        }
        world.run_for(ms(50));
        assert_eq!((&world.nodes[1].data, &world.nodes[1].dropped), (&vec![], &vec![]));
        if !knows_parameters {
            world.tell_parameters(a, b);
        }
        world.join_again([a, b]);
        world.run_for(ms(50));
        assert_eq!(world.nodes[1].data, said.map(|said| (b.1, said)));
        assert_eq!(world.carries_data([a, b]), [true, true]);
    }
}

/// The same source is a stranger where the peer is full, and checks before it sends; and where it has told all it has.
#[test]
fn t37_a_lite_agent_holds_nothing_for_strangers() {
    let stranger = "203.0.113.5:40001".parse().unwrap();
    let full = World::config(Role::Controlling, 1);
    for (peer, has_ended) in [(full, false), (lite(Role::Controlling, 1), true)] {
        let mut world = World::new(2);
        let ids @ [a, b] = [world.add(0, peer), world.add(1, lite(Role::Controlled, 2))];
        if has_ended {
            world.introduce(ids);
        } else {
            world.tell_parameters(a, b);
            world.gather(b);
        }
        world.run_for(ms(50));
        let target = world.host_address(b).port();
        let target = world.socket(1, target).unwrap();
        world.deliver(1, target, stranger, &mut [0x80; 12]);
        assert_eq!(world.nodes[1].dropped, [DropReason::NoValidPair]);
    }
}
