//! Lite agents (RFC 8445 §2.5).

use floe_agent::{AgentConfig, Event, State, TransmitKind};
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
