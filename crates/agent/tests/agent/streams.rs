//! Data streams and components that come and go while the agent runs.

use floe_agent::{ApiError, Event, State};
use floe_pair::{ComponentId, StreamId};

use crate::world::{COMPONENT, Id, STREAM, World, asking, ms};

const SECOND: StreamId = StreamId(1);

/// Whether one datagram goes each way on this component.
fn carries(world: &mut World, ids: [Id; 2], stream: StreamId, component: ComponentId) -> [bool; 2] {
    let [a, b] = ids;
    [(a, b), (b, a)].map(|(from, to)| {
        let payload = format!("\u{80}{from:?} {stream:?} {component:?} at {:?}", world.now).into_bytes();
        let sent = world.send_on(from, stream, component, &payload);
        world.run_for(world.delay * 4);
        sent && world.nodes[to.0].data.iter().any(|(key, data)| *key == to.1 && *data == payload)
    })
}

fn two_components(mut config: floe_agent::AgentConfig) -> floe_agent::AgentConfig {
    config.streams = vec![(STREAM, vec![ComponentId::RTP, ComponentId::RTCP])];
    config
}

#[test]
fn a_stream_joins_a_running_session_without_a_restart() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let handles = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).unwrap());
    // The peer adds it a little later.
    for id in ids {
        world.command(id, |now, agent| agent.add_component(now, SECOND, COMPONENT).unwrap());
        world.run_for(ms(70));
    }
    world.tell_candidates(ids);
    world.connect(&ids, ms(5_000));
    assert_eq!(carries(&mut world, ids, SECOND, COMPONENT), [true, true]);
    assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true]);
    for (id, handle) in ids.iter().zip(handles) {
        assert!(
            world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(&handle),
            "the first was not touched"
        );
        assert_eq!(world.agent(*id).generation(), 0);
        let ends = world.nodes[id.0].events_of(id.1);
        let ends = ends.filter(|event| matches!(event, Event::GatheringComplete { .. })).count();
        assert_eq!(ends, 2, "the new stream has an end of candidates of its own");
    }
}

#[test]
fn what_is_removed_gives_back_sockets_allocations_and_pairs() {
    for at in [20, 60, 300, 5_000] {
        let mut world = World::new(2);
        let ids = world.pair_with([0, 1], 1, |config| asking("turn", two_components(config)));
        world.run_for(ms(at));
        for id in ids {
            let removed =
                world.command(id, |now, agent| agent.remove_component(now, STREAM, ComponentId::RTCP));
            assert_eq!(removed, Ok(()));
        }
        world.run_for(ms(1_500));
        assert!(world.is_completed(&ids), "at {at}");
        assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true]);
        // What is not used is given back 3 s after completion.
        let left = usize::from(at < 1_000);
        assert_eq!(world.server.allocations(), 2 * left, "at {at}: those of the component that is left");
        for id in ids {
            let ports = world.nodes[id.0].ports.len();
            assert_eq!(ports, 1 + left, "at {at}: a host's and an allocation's socket");
            assert!(world.agent(id).pairs().all(|pair| pair.component == ComponentId::RTP));
            assert!(world.agent(id).path(STREAM, ComponentId::RTCP).is_none());
        }
    }
}

#[test]
fn a_path_of_what_is_removed_ends_at_once() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_components);
    world.connect(&ids, ms(5_000));
    let path = world.agent(ids[0]).path(STREAM, ComponentId::RTCP).unwrap();
    world.command(ids[0], |now, agent| agent.remove_component(now, STREAM, ComponentId::RTCP).unwrap());
    assert!(path.frame(world.now, 1).is_err());
    let last = world.nodes[0].events_of(ids[0].1).last();
    assert!(matches!(last, Some(Event::PathChanged { component: ComponentId::RTCP, .. })), "{last:?}");
    assert_eq!(world.agent(ids[0]).state(), State::Completed);
}

#[test]
fn p05_streams_come_and_go_a_hundred_times_and_nothing_grows() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let mut sizes = vec![];
    for round in 0..100 {
        let stream = StreamId(round % 7 + 1);
        for id in ids {
            world.command(id, |now, agent| agent.add_component(now, stream, COMPONENT).unwrap());
        }
        world.tell_candidates(ids);
        world.connect(&ids, ms(2_000));
        assert_eq!(carries(&mut world, ids, stream, COMPONENT), [true, true]);
        for id in ids {
            world.command(id, |now, agent| agent.remove_stream(now, stream).unwrap());
        }
        world.run_for(ms(100));
        let agent = world.agent(ids[0]);
        sizes.push((agent.pairs().count(), world.nodes[0].ports.len()));
    }
    assert!(sizes.iter().all(|size| *size == (1, 1)), "{sizes:?}");
    assert!(world.is_completed(&ids));
}

#[test]
fn p17_a_restart_takes_streams_as_they_are() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_components);
    world.connect(&ids, ms(5_000));
    world.signalling = ms(100);
    world.command(ids[0], |now, agent| agent.restart(now).unwrap());
    // In the midst of it one side and then the other multiplexes RTCP.
    for id in ids {
        world.run_for(ms(30));
        world.command(id, |now, agent| agent.remove_component(now, STREAM, ComponentId::RTCP).unwrap());
    }
    world.run_for(ms(5_000));
    assert!(world.is_completed(&ids));
    assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true]);
}

#[test]
fn what_is_not_there_cannot_be_removed_and_one_component_stays() {
    let mut world = World::new(1);
    let id = world.add(0, World::config(floe_pair::Role::Controlling, 1));
    world.command(id, |now, agent| {
        assert_eq!(
            agent.remove_component(now, STREAM, ComponentId::RTCP),
            Err(ApiError::NoSuchComponent(STREAM, ComponentId::RTCP))
        );
        assert_eq!(agent.remove_stream(now, SECOND), Err(ApiError::NoSuchStream(SECOND)));
        assert_eq!(agent.remove_component(now, STREAM, COMPONENT), Err(ApiError::LastComponent));
        assert_eq!(agent.remove_stream(now, STREAM), Err(ApiError::LastComponent));
        assert_eq!(agent.add_component(now, STREAM, COMPONENT), Ok(()), "it is there already");
        for stream in 1..64 {
            assert_eq!(agent.add_component(now, StreamId(stream), COMPONENT), Ok(()));
        }
        assert_eq!(agent.add_component(now, StreamId(64), COMPONENT), Err(ApiError::TooManyStreams));
        assert_eq!(agent.add_component(now, StreamId(63), ComponentId::RTCP), Ok(()));
        agent.close(now);
        assert_eq!(agent.add_component(now, SECOND, COMPONENT), Err(ApiError::Closed));
        assert_eq!(agent.remove_stream(now, SECOND), Err(ApiError::Closed));
    });
}
