//! What earlier generations still carry after a restart (RFC 8445 §9, §12.1), and for how long.

use std::net::SocketAddr;

use floe_agent::{AgentConfig, Event, InterfaceFlags, State};
use floe_pair::{ComponentId, Role, StreamId};
use floe_stun::{
    Message,
    attribute::{UseCandidate, Username},
};

use crate::{
    restart::{credentials, restart, states, stream, stream_states},
    world::{COMPONENT, Id, STREAM, World, ms},
};

const SECOND: StreamId = StreamId(1);
/// An address that a host has later.
const ASIDE: &str = "198.51.100.77";

fn two_streams(mut config: AgentConfig) -> AgentConfig {
    config.streams = vec![(STREAM, vec![COMPONENT]), (SECOND, vec![COMPONENT])];
    config
}

/// The user fragments in a request.
fn fragments(bytes: &[u8]) -> Option<[String; 2]> {
    let message = Message::parse(bytes).ok()?;
    let name = message.get::<Username<'_>>().ok()??;
    let (to, from) = name.as_str()?.split_once(':')?;
    Some([to, from].map(str::to_owned))
}

/// Whether a datagram is a request with other user fragments than those of now.
fn newer(world: &World, ids: [Id; 2]) -> impl Fn(&[u8]) -> bool + use<> {
    let known = ids.map(|id| credentials(world, id).0);
    move |bytes| fragments(bytes).is_some_and(|names| names.iter().any(|name| !known.contains(name)))
}

/// Loses such requests, where `on` says so.
fn lose_newer(world: &mut World, ids: [Id; 2], on: impl Fn(SocketAddr, SocketAddr, &[u8]) -> bool + 'static) {
    let newer = newer(world, ids);
    world.lost = Box::new(move |from, to, bytes| newer(bytes) && on(from, to, bytes));
}

fn nominates(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|message| matches!(message.get::<UseCandidate>(), Ok(Some(_))))
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
    lose_newer(&mut world, ids, move |from, to, _| between.contains(&from) && between.contains(&to));
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

/// A component that joins one stream, while another has no pair yet, takes nothing back that has moved (RFC 8445 §12.1: the
/// previous pairs are those of a checklist that is Running).
#[test]
fn rfc8445_12_1_a_component_that_joins_after_a_restart_takes_the_others_nowhere() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_streams);
    world.connect(&ids, ms(5_000));
    // The first stream has another way from here on, the second has none.
    let (first, second) = (address(&world, ids[0], STREAM), address(&world, ids[1], SECOND));
    world.add_address(ids[0], ASIDE);
    lose_newer(&mut world, ids, move |from, to, _| [from, to].iter().any(|at| [first, second].contains(at)));
    restart(&mut world, ids[0]);
    world.run_for(ms(5_000));
    let paths = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).unwrap());
    assert_eq!(paths[1].path().to.socket_addr().ip().to_string(), ASIDE, "the first has moved");
    assert_eq!(world.agent(ids[0]).stream_state(STREAM), Some(State::Completed));
    assert_eq!(world.agent(ids[0]).state(), State::Connected, "the second is still checked");
    for id in ids {
        world.command(id, |now, agent| agent.add_component(now, STREAM, ComponentId::RTCP).unwrap());
    }
    for (id, path) in ids.iter().zip(&paths) {
        assert!(world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(path));
    }
    world.tell_candidates(ids);
    world.run_for(ms(2_000));
    assert_eq!(carries(&mut world, ids, STREAM, ComponentId::RTCP), [true, true]);
    for (id, path) in ids.iter().zip(&paths) {
        assert!(world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(path));
    }
}

/// RFC 8445 §12.1: the previous selected pair is one that was nominated. A generation that is replaced before has but a
/// valid pair, and the peer may keep another: data does not go there, however many such generations there are.
#[test]
fn rfc8445_12_1_restarts_before_a_selection_leave_data_on_the_pair_that_was_selected() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let first = ids.map(|id| address(&world, id, STREAM));
    world.add_address(ids[0], ASIDE);
    // The new generations find another way alone, and nominations get lost.
    lose_newer(&mut world, ids, move |from, to, bytes| {
        (first.contains(&from) && first.contains(&to)) || nominates(bytes)
    });
    let paths = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).unwrap());
    for round in 0..8 {
        restart(&mut world, ids[round % 2]);
        for _ in 0..4 {
            assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true], "round {round}");
            for (id, path) in ids.iter().zip(&paths) {
                assert!(world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(path), "round {round}");
            }
            world.run_for(ms(200));
        }
        for id in ids {
            assert!(world.agent(id).pairs().any(|pair| pair.valid && !pair.nominated), "round {round}");
        }
    }
    world.lost = Box::new(|_, _, _| false);
    world.connect(&ids, ms(10_000));
    assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true]);
}

/// Where nothing was ever nominated, data stays on the first pair, also when there is no room for all generations.
#[test]
fn rfc8445_12_1_restarts_without_any_selection_leave_data_where_it_is() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.lost = Box::new(|_, _, bytes| nominates(bytes));
    world.run_for(ms(2_000));
    let first = ids.map(|id| address(&world, id, STREAM));
    world.add_address(ids[0], ASIDE);
    let paths = ids.map(|id| world.agent(id).path(STREAM, COMPONENT).unwrap());
    let newer = newer(&world, ids);
    world.lost = Box::new(move |from, to, bytes| {
        nominates(bytes) || newer(bytes) && first.contains(&from) && first.contains(&to)
    });
    for round in 0..8 {
        restart(&mut world, ids[round % 2]);
        world.run_for(ms(1_000));
        assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true], "round {round}");
        for (id, path) in ids.iter().zip(&paths) {
            assert!(world.agent(*id).path(STREAM, COMPONENT).unwrap().is_same(path), "round {round}");
        }
    }
}

/// RFC 7675 §5.1: that pair ends with its consent, and then the old generation has nothing left.
#[test]
fn con_05_the_previous_pair_of_a_stream_that_finds_nothing_ends_with_its_consent() {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, two_streams);
    world.connect(&ids, ms(5_000));
    let between = ids.map(|id| address(&world, id, SECOND));
    lose_newer(&mut world, ids, move |from, to, _| between.contains(&from) && between.contains(&to));
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

/// RFC 8445 §6.1.2.2: a component that the peer does not have is no part of its stream, and stays so when another joins.
#[test]
fn a_component_the_peer_has_not_takes_nothing_from_the_others_when_a_further_one_joins() {
    let mut world = World::new(2);
    let ids = rtcp_here_alone(&mut world);
    world.connect(&ids, ms(5_000));
    let third = ComponentId::new(3).unwrap();
    world.command(ids[0], |now, agent| agent.add_component(now, STREAM, third).unwrap());
    for _ in 0..12 {
        world.run_for(ms(10_000));
        assert_eq!(carries(&mut world, ids, STREAM, COMPONENT), [true, true], "at {:?}", world.now);
    }
    assert!(world.is_completed(&ids));
}

/// Two components here, one at the peer.
fn rtcp_here_alone(world: &mut World) -> [Id; 2] {
    let mut config = World::config(Role::Controlling, 1);
    config.streams = vec![(STREAM, vec![COMPONENT, ComponentId::RTCP])];
    let ids = [world.add(0, config), world.add(1, World::config(Role::Controlled, 2))];
    world.introduce(ids);
    ids
}

/// A restart is no flap there either: what the peer has not is missed in no generation.
#[test]
fn p14_a_restart_is_no_flap_where_the_peer_has_not_every_component() {
    for by in [0, 1] {
        let mut world = World::new(2);
        world.signalling = ms(50);
        let ids = rtcp_here_alone(&mut world);
        world.connect(&ids, ms(5_000));
        let told = states(&world, ids[0]).len();
        restart(&mut world, ids[by]);
        world.run_for(ms(10));
        let restarted = world.now.after(ms(5_000));
        assert!(world.run_until(restarted, |world| world.agent(ids[0]).generation() == 1));
        world.connect(&ids, ms(5_000));
        assert_eq!(states(&world, ids[0])[told..], [State::Connected, State::Completed], "restart by {by}");
        assert_eq!(stream_states(&world, ids[0], STREAM), states(&world, ids[0]));
    }
}

/// RFC 8445 §6.1.2.2: what the peer has not is no part of the session, and nothing is in the way of it.
#[test]
fn p38_a_component_that_the_peer_has_not_is_not_missed() {
    let mut world = World::new(2);
    let ids = rtcp_here_alone(&mut world);
    world.connect(&ids, ms(5_000));
    let report = world.agent(ids[0]).report();
    assert_eq!((report.components.all, report.components.selected, report.verdicts()), (1, 1, vec![]));
}

/// RFC 8445 §5.1.1.1, §9, RFC 4862 §5.5.4: an address that got deprecated goes on serving what began with it; a restart
/// gathers from another one, and the old one goes with the last generation that uses it.
#[test]
fn p17_an_address_that_got_deprecated_carries_data_until_a_restart_has_another_pair() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    let old = address(&world, ids[0], STREAM).ip();
    world.change_address(ids[0], ASIDE, InterfaceFlags::DEPRECATED);
    assert_eq!(stream(&mut world, ids, ms(5_000)), [Vec::<u32>::new(), vec![]]);
    assert!(world.agent(ids[0]).pairs().any(|pair| pair.selected && pair.local.address.ip() == old));
    world.signalling = ms(50);
    let generation = restart(&mut world, ids[0]);
    assert_eq!(
        stream(&mut world, ids, ms(2_000)),
        [Vec::<u32>::new(), vec![]],
        "over the old pair, then the new one"
    );
    let told: Vec<_> = world.nodes[0]
        .events_of(ids[0].1)
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, generation: of, .. } if *of == generation => {
                Some(candidate.address.ip())
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [ASIDE.parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(world.nodes[0].ports.len(), 2, "the generation before is still there");
    world.run_for(ms(10_000));
    assert!(world.is_completed(&ids));
    assert_eq!(world.nodes[0].ports.len(), 1, "nobody uses the old address any more");
    assert_eq!(stream(&mut world, ids, ms(1_000)), [Vec::<u32>::new(), vec![]]);
}

/// RFC 8981, RFC 8445 §8.3.1: what was gathered from addresses that are deprecated by now, and no pair uses, is given
/// back, with renomination as well.
#[test]
fn p23_addresses_of_many_days_do_not_pile_up() {
    for renomination in [false, true] {
        let mut world = World::new(2);
        let ids = world.pair_with([0, 1], 1, |mut config| {
            config.renomination = renomination;
            config
        });
        world.connect(&ids, ms(5_000));
        for day in 1..=7 {
            world.new_address_of_day(ids[0], day);
            world.run_for(ms(120_000));
            let ports = world.nodes[0].ports.len();
            assert!(ports <= 3, "{ports} sockets on day {day}, renomination {renomination}");
            assert_eq!(stream(&mut world, ids, ms(100)), [Vec::<u32>::new(), vec![]]);
        }
    }
}
