//! Data streams and components that come and go while the agent runs.

use floe_agent::{Added, ApiError, ComponentState, Event, Ignored, State};
use floe_pair::{CandidateLine, CandidateType, ComponentId, Role, StreamId};

use crate::restart::stream_states;
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

fn end(event: &Event) -> Option<StreamId> {
    if let Event::EndOfCandidates { stream, .. } = event { Some(*stream) } else { None }
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
        let told = stream_states(&world, *id, SECOND);
        assert_eq!(told.last(), Some(&State::Completed), "{told:?}");
        let first = stream_states(&world, *id, STREAM);
        assert_eq!(first.iter().filter(|state| **state == State::Completed).count(), 1, "{first:?}");
        let ends = world.nodes[id.0].events_of(id.1);
        let ends: Vec<_> = ends.filter_map(end).collect();
        assert_eq!(ends, [STREAM, SECOND], "the new stream has an end of candidates of its own");
    }
}

/// The peer never adds it: it comes to nothing by itself, and what works goes on.
#[test]
fn a_component_that_joins_in_vain_leaves_its_stream_running() {
    for consent in [true, false] {
        let mut world = World::new(2);
        let ids = world.pair_with([0, 1], 1, |mut config| {
            config.checks.consent = config.checks.consent.filter(|_| consent);
            config
        });
        world.connect(&ids, ms(5_000));
        world.command(ids[0], |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
        for _ in 0..12 {
            world.run_for(ms(10_000));
            assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true], "at {:?}", world.now);
        }
        assert!(world.is_completed(&ids), "{:?}", ids.map(|id| world.agent(id).state()));
        assert!(!world.send_on(ids[0], STREAM, ComponentId::RTCP, b"\x80"));
        let state = world.agent(ids[0]).component_state(STREAM, ComponentId::RTCP);
        assert_eq!(state, Some(ComponentState::Failed));
        // The peer has it after all, and both tell their candidates.
        world.command(ids[1], |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
        world.tell_candidates(ids);
        world.run_for(ms(5_000));
        assert_eq!(carries(&mut world, ids, STREAM, ComponentId::RTCP), [true, true]);
        assert!(world.is_completed(&ids));
    }
}

/// RFC 8445 §8.3.1: what was not selected is given back all the same, whether the component joins before or after that;
/// and if the peer has it after all, it connects.
#[test]
fn rfc8445_8_3_1_a_component_that_joins_in_vain_does_not_keep_what_is_not_used() {
    for joins_after in [1_000, 20_000] {
        let mut world = World::new(2);
        let ids = world.pair_with([0, 1], 1, |config| asking("turn", config));
        world.connect(&ids, ms(5_000));
        world.run_for(ms(joins_after));
        world.command(ids[0], |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
        world.run_for(ms(2_000));
        assert!(world.server.allocations() > 0, "one for the component that joins");
        world.run_for(ms(58_000));
        assert!(world.is_completed(&ids), "{:?}", ids.map(|id| world.agent(id).state()));
        assert_eq!(world.server.allocations(), 0, "joined after {joins_after} ms");
        assert_eq!(ids.map(|id| world.agent(id).pairs().count()), [1, 1]);
        world.command(ids[1], |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
        world.tell_candidates(ids);
        world.connect(&ids, ms(5_000));
        assert_eq!(carries(&mut world, ids, STREAM, ComponentId::RTCP), [true, true]);
        world.run_for(ms(20_000));
        assert_eq!(world.server.allocations(), 0, "joined after {joins_after} ms");
    }
}

/// RFC 8863 §4: however long nothing has happened, the peer has as long for a stream that is added as it had for the
/// first.
#[test]
fn rfc8863_4_a_stream_that_joins_a_session_at_rest_is_waited_for() {
    for connects in [true, false] {
        let mut world = World::new(2);
        let ids = world.pair([0, 1], 1);
        if connects {
            world.connect(&ids, ms(5_000));
        }
        world.lost = Box::new(|_, _, _| true);
        world.run_for(ms(60_000));
        let rests = if connects { State::Disconnected } else { State::Failed };
        assert_eq!(ids.map(|id| world.agent(id).state()), [rests; 2]);
        world.run_for(ms(600_000));
        world.lost = Box::new(|_, _, _| false);
        world.command(ids[0], |now, agent| agent.add_component(now, SECOND, COMPONENT).unwrap());
        world.run_for(ms(35_000));
        assert_eq!(stream_states(&world, ids[0], SECOND), [State::Checking], "connected before: {connects}");
        world.command(ids[1], |now, agent| agent.add_component(now, SECOND, COMPONENT).unwrap());
        world.tell_candidates(ids);
        world.run_for(ms(4_000));
        assert_eq!(carries(&mut world, ids, SECOND, COMPONENT), [true, true]);
        for id in ids {
            let told = stream_states(&world, id, SECOND);
            assert_eq!(told.last(), Some(&State::Completed), "{told:?}");
            assert!(!told.contains(&State::Failed), "{told:?}");
        }
    }
}

/// The stream is opened again for its candidates, on both sides, and what it had is not touched.
#[test]
fn a_component_joins_a_stream_that_has_ended_without_a_restart() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.connect(&ids, ms(5_000));
    world.run_for(ms(10_000));
    let handles = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).unwrap());
    for id in ids {
        world.command(id, |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
    }
    assert!(!world.is_completed(&ids), "one of its components has no pair");
    world.connect(&ids, ms(5_000));
    assert_eq!(carries(&mut world, ids, STREAM, ComponentId::RTCP), [true, true]);
    for (id, handle) in ids.iter().zip(handles) {
        assert!(world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(&handle));
        assert_eq!(world.agent(*id).generation(), 0);
        let of_rtcp = |event: &&Event| matches!(event, Event::LocalCandidate { candidate, .. } if candidate.component == ComponentId::RTCP);
        assert!(world.nodes[id.0].events_of(id.1).any(|event| of_rtcp(&event)));
        let ends = world.nodes[id.0].events_of(id.1);
        assert_eq!(ends.filter_map(end).collect::<Vec<_>>(), [STREAM, STREAM], "its end is told again");
    }
    let line: CandidateLine = "candidate:1 2 udp 1 192.0.2.7 9 typ host".parse().unwrap();
    world.run_for(ms(1_000));
    let added = world.command(ids[0], |now, agent| agent.add_remote_candidate(now, STREAM, &line));
    assert_eq!(added, Ok(Added::Ignored(Ignored::Ended)), "and counts again");
}

/// Before that it is gathered for and connects like those that were there from the beginning.
#[test]
fn a_component_joins_a_stream_whose_candidates_are_still_told() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.run_for(ms(5));
    for id in ids {
        world.command(id, |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
    }
    world.connect(&ids, ms(5_000));
    assert_eq!(carries(&mut world, ids, STREAM, ComponentId::RTCP), [true, true]);
}

/// RFC 8838 §14: the end of candidates is of one data stream; those of the others are waited for.
#[test]
fn trk_09_the_end_of_one_stream_leaves_the_candidates_of_another() {
    let mut world = World::new(2);
    let two = |mut config: floe_agent::AgentConfig| {
        config.streams = vec![(STREAM, vec![COMPONENT]), (SECOND, vec![COMPONENT])];
        config
    };
    let a = world.add(0, two(World::config(Role::Controlling, 1)));
    let b = world.add(1, two(World::config(Role::Controlled, 2)));
    world.tell_parameters(b, a);
    world.gather(a);
    world.gather(b);
    let candidates = |world: &World, of: StreamId| {
        let own = |event: &Event| match event {
            Event::LocalCandidate { stream, candidate, .. } if *stream == of => {
                assert_eq!(candidate.kind, CandidateType::Host);
                Some(CandidateLine::from(candidate))
            }
            _ => None,
        };
        world.nodes[b.0].events_of(b.1).find_map(own).unwrap()
    };
    let add = |world: &mut World, of: StreamId| {
        let line = candidates(world, of);
        world.command(a, |now, agent| agent.add_remote_candidate(now, of, &line))
    };
    let end = |world: &mut World, of: StreamId| {
        let ufrag = world.agent(b).local_parameters().ufrag.clone();
        world.command(a, |now, agent| agent.remote_stream_complete(now, of, Some(&ufrag)))
    };
    assert_eq!(add(&mut world, STREAM), Ok(Added::Added));
    assert_eq!(end(&mut world, STREAM), Ok(Added::Added));
    assert_eq!(end(&mut world, StreamId(7)), Err(ApiError::NoSuchStream(StreamId(7))));
    assert_eq!(add(&mut world, STREAM), Ok(Added::Ignored(Ignored::Ended)));
    assert_eq!(add(&mut world, SECOND), Ok(Added::Added), "another stream");
    assert_eq!(world.agent(a).report().remote.host, 2, "what is ignored is not counted");
    world.tell_parameters(a, b);
    world.run_for(ms(3_000));
    assert!(world.is_completed(&[a, b]));
    assert_eq!(carries(&mut world, [a, b], SECOND, COMPONENT), [true, true]);
    // The call for the whole generation ends what is left.
    world.command(a, |now, agent| agent.remote_gathering_complete(now));
    assert_eq!(add(&mut world, SECOND), Ok(Added::Ignored(Ignored::Ended)));
}

/// An end that comes before the parameters it belongs to goes with its stream.
#[test]
fn trk_09_an_end_that_was_held_is_of_its_stream_alone() {
    for removed in [false, true] {
        let mut world = World::new(2);
        let ids = world.pair([0, 1], 1);
        world.command(ids[0], |now, agent| agent.add_component(now, SECOND, COMPONENT).unwrap());
        world.connect(&ids[1..], ms(5_000));
        let peer = world.add(1, World::config(Role::Controlled, 9));
        let new = world.agent(peer).local_parameters().clone();
        let held =
            world.command(ids[0], |now, agent| agent.remote_stream_complete(now, SECOND, Some(&new.ufrag)));
        assert_eq!(held, Ok(Added::Held));
        if removed {
            world.command(ids[0], |now, agent| {
                agent.remove_stream(now, SECOND).unwrap();
                agent.add_component(now, SECOND, COMPONENT).unwrap();
            });
        }
        world.command(ids[0], |now, agent| agent.set_remote_parameters(now, new).unwrap());
        let line: CandidateLine = "candidate:1 1 udp 1 192.0.2.7 9 typ host".parse().unwrap();
        let mut add =
            |of| world.command(ids[0], |now, agent| agent.add_remote_candidate(now, of, &line).unwrap());
        assert_eq!(add(STREAM), Added::Added);
        let expected = if removed { Added::Added } else { Added::Ignored(Ignored::Ended) };
        assert_eq!(add(SECOND), expected, "removed: {removed}");
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
fn rfc8839_5_1_components_come_and_go_one_by_one_from_1() {
    let mut world = World::new(1);
    let agent = world.add(0, World::config(floe_pair::Role::Controlling, 1));
    let id = |id| ComponentId::new(id).expect("1 to 256");
    world.command(agent, |now, agent| {
        let gap = |stream, component| ApiError::ComponentGap(stream, id(component));
        assert_eq!(agent.add_component(now, SECOND, id(2)), Err(gap(SECOND, 2)), "a stream begins with 1");
        assert_eq!(agent.add_component(now, STREAM, id(3)), Err(gap(STREAM, 3)));
        assert_eq!(agent.add_component(now, STREAM, id(2)), Ok(()));
        assert_eq!(agent.add_component(now, STREAM, id(3)), Ok(()));
        for component in [1, 2] {
            assert_eq!(agent.remove_component(now, STREAM, id(component)), Err(gap(STREAM, component)));
        }
        assert_eq!(agent.add_component(now, STREAM, id(256)), Err(gap(STREAM, 256)));
        assert_eq!(agent.components().map(|(_, id)| id.get()).collect::<Vec<_>>(), [1, 2, 3]);
        for component in [3, 2] {
            assert_eq!(agent.remove_component(now, STREAM, id(component)), Ok(()));
        }
        assert_eq!(agent.add_component(now, SECOND, COMPONENT), Ok(()));
        assert_eq!(agent.remove_component(now, STREAM, COMPONENT), Ok(()), "the only one of its stream");
        assert_eq!(agent.components().collect::<Vec<_>>(), [(SECOND, COMPONENT)]);
    });
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

/// RFC 8445 §6.1.2.2: a component is left out where the peer has no candidate for it. One that cannot be used is one all the
/// same, and without a pair the component fails (§7.2.5.4).
#[test]
fn rfc8445_6_1_2_2_a_component_whose_candidates_are_ignored_is_none_that_the_peer_lacks() {
    let lines = [
        "candidate:9 2 udp 1 printer.local 9 typ host",
        "candidate:9 2 tcp 1 198.51.100.2 9 typ host tcptype active",
        "candidate:9 2 udp 1 224.0.0.1 9 typ host",
    ];
    let tables = core::iter::once(None).chain(lines.map(Some)).flat_map(|line| [(line, false), (line, true)]);
    for (line, overtakes) in tables {
        let mut world = World::new(2);
        let a = world.add(0, two_components(World::config(Role::Controlling, 1)));
        let b = world.add(1, World::config(Role::Controlled, 2));
        let ufrag = world.agent(b).local_parameters().ufrag.clone();
        let told = line.map(|line| {
            let line: CandidateLine = line.parse().unwrap();
            line.with_extension("ufrag", ufrag.as_str()).unwrap()
        });
        let tell = |world: &mut World| {
            let Some(line) = &told else { return };
            let added = world.command(a, |now, agent| agent.add_remote_candidate(now, STREAM, line).unwrap());
            assert!(matches!(added, Added::Ignored(_)), "{added:?}");
        };
        if overtakes {
            tell(&mut world);
        }
        world.tell_parameters(b, a);
        world.tell_parameters(a, b);
        if !overtakes {
            tell(&mut world);
        }
        world.join([a, b]);
        world.run_for(ms(5_000));
        assert_eq!(carries(&mut world, [a, b], STREAM, COMPONENT), [true, true]);
        assert_eq!(world.is_completed(&[a]), line.is_none(), "{line:?}");
        world.run_for(ms(60_000));
        let state = world.agent(a).component_state(STREAM, ComponentId::RTCP);
        assert_eq!(state == Some(ComponentState::Failed), line.is_some(), "{line:?}");
    }
}
