//! What earlier generations still carry after a restart (RFC 8445 §9, §12.1), and for how long.

use std::net::SocketAddr;

use floe_agent::{AgentConfig, Event, State};
use floe_pair::{ComponentId, StreamId};
use floe_stun::{Message, attribute::Username};

use crate::{
    restart::{credentials, restart, states, stream_states},
    world::{COMPONENT, Id, Loss, STREAM, World, ms},
};

const SECOND: StreamId = StreamId(1);

fn two_streams(mut config: AgentConfig) -> AgentConfig {
    config.streams = vec![(STREAM, vec![COMPONENT]), (SECOND, vec![COMPONENT])];
    config
}

/// Loses the requests between two addresses whose user fragments are others than these.
fn newer_lost(between: [SocketAddr; 2], known: [String; 2]) -> Loss {
    Box::new(move |from, to, bytes| {
        let name = Message::parse(bytes).ok().and_then(|message| {
            let name = message.get::<Username<'_>>().ok()??.as_str()?.to_owned();
            Some(name)
        });
        let is_new =
            name.is_some_and(|name| name.split(':').any(|part| !known.iter().any(|own| own == part)));
        is_new && between.contains(&from) && between.contains(&to)
    })
}

/// Where the host candidate of a data stream is.
fn address(world: &World, (node, key): Id, of: StreamId) -> SocketAddr {
    let own = |event: &Event| match event {
        Event::LocalCandidate { stream, candidate, .. } if *stream == of => {
            Some(candidate.address.socket_addr())
        }
        _ => None,
    };
    world.nodes[node].events_of(key).find_map(own).unwrap()
}

/// Whether one datagram goes each way on a component.
fn carries(world: &mut World, [a, b]: [Id; 2], stream: StreamId, component: ComponentId) -> [bool; 2] {
    [(a, b), (b, a)].map(|(from, to)| {
        let payload = format!("\u{80}{from:?} {stream:?} {component:?} at {:?}", world.now).into_bytes();
        let sent = world.send_on(from, stream, component, &payload);
        world.run_for(world.delay * 3);
        sent && world.nodes[to.0].data.iter().any(|(key, data)| *key == to.1 && *data == payload)
    })
}

/// RFC 8445 §12.1: of a stream that finds nothing in the new generation data goes on over the previous pair, for as long
/// as there is consent, whatever becomes of the other streams; with one stream it is no different.
#[test]
fn p17_a_stream_that_finds_nothing_after_a_restart_keeps_its_previous_pair() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_streams);
    world.connect(&ids, ms(5_000));
    let between = ids.map(|id| address(&world, id, SECOND));
    world.lost = newer_lost(between, ids.map(|id| credentials(&world, id).0));
    let old = world.agent(ids[0]).path(SECOND, COMPONENT).unwrap();
    restart(&mut world, ids[0]);
    for _ in 0..120 {
        world.run_for(ms(1_000));
        for stream in [STREAM, SECOND] {
            assert_eq!(carries(&mut world, ids, stream, COMPONENT), [true, true], "at {:?}", world.now);
        }
    }
    for id in ids {
        assert_eq!(stream_states(&world, id, SECOND).last(), Some(&State::Failed));
        assert_eq!(stream_states(&world, id, STREAM).last(), Some(&State::Completed));
    }
    assert!(world.agent(ids[0]).path(SECOND, COMPONENT).unwrap().is_same(&old), "not touched");
    // Once another restart brings it a pair of its own, the old generation goes.
    world.lost = Box::new(|_, _, _| false);
    restart(&mut world, ids[1]);
    world.connect(&ids, ms(5_000));
    world.run_for(ms(4_000));
    assert!(world.is_completed(&ids));
    assert_eq!(carries(&mut world, ids, SECOND, COMPONENT), [true, true]);
    for id in ids {
        assert_eq!(world.agent(id).parameters_of(0).map(|old| old.ufrag.clone()), None);
    }
}

/// RFC 7675 §5.1: that pair ends with its consent, and then the old generation has nothing left.
#[test]
fn con_05_the_previous_pair_of_a_stream_that_finds_nothing_ends_with_its_consent() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_streams);
    world.connect(&ids, ms(5_000));
    let between = ids.map(|id| address(&world, id, SECOND));
    world.lost = newer_lost(between, ids.map(|id| credentials(&world, id).0));
    restart(&mut world, ids[0]);
    world.run_for(ms(60_000));
    assert!(world.agent(ids[0]).path(SECOND, COMPONENT).is_some());
    world.lost = Box::new(move |from, to, _| between.contains(&from) && between.contains(&to));
    world.run_for(ms(31_000));
    for id in ids {
        assert!(world.agent(id).path(SECOND, COMPONENT).is_none());
        assert!(world.agent(id).parameters_of(0).is_none(), "it carries nothing");
        let lost = |event: &&Event| matches!(event, Event::ConsentLost { stream: SECOND, .. });
        assert_eq!(world.nodes[id.0].events_of(id.1).filter(lost).count(), 1);
    }
    assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true]);
    assert!(states(&world, ids[0]).ends_with(&[State::Completed]));
}
