//! A hub as the owner of agents.

use floe_agent::{
    Agent, Answer, Ecn, Event, Handled, Hub, Interface, InterfaceFlags, Received, Request, RequestId,
};
use floe_pair::{Role, SocketId};
use floe_stun::Instant;

use crate::{
    forge,
    world::{World, ms},
};

const NOW: Instant = Instant::from_millis(1);

fn agent(seed: u32) -> Agent {
    Agent::new(World::config(Role::Controlling, seed)).unwrap()
}

fn interfaces(ip: &str) -> [Interface; 1] {
    let ip = ip.parse().unwrap();
    [Interface { name: "eth0".into(), index: 1, ip, prefix_len: 24, flags: InterfaceFlags::UP }]
}

fn is_send<T: Send>() {}

fn is_shared<T: Send + Sync>() {}

#[test]
fn agents_hubs_and_paths_move_between_threads() {
    is_send::<Agent>();
    is_send::<Hub>();
    is_shared::<floe_agent::PathHandle>();
    assert!(Hub::new().is_empty());
}

#[test]
fn a_key_is_of_one_agent_for_ever() {
    let mut hub = Hub::new();
    let first = hub.insert(agent(1));
    let second = hub.insert(agent(2));
    assert_eq!(hub.len(), 2);
    assert!(hub.remove(first).is_some());
    assert!(hub.remove(first).is_none());
    let third = hub.insert(agent(3));
    assert_ne!(first, third);
    assert!(hub.agent(first).is_none() && hub.agent_mut(first).is_none());
    let answer = Answer::Bound { socket: SocketId(1), local: "192.0.2.1:1".parse().unwrap() };
    assert!(!hub.handle_answer(NOW, first, RequestId(1), answer), "who is gone wants no socket");
    assert!(hub.agent(second).is_some() && hub.agent(third).is_some());
    assert_eq!(hub.len(), 2);
}

#[test]
fn no_output_is_lost_whatever_the_order_of_draining() {
    let mut hub = Hub::new();
    let keys: Vec<_> = (0..5).map(|seed| hub.insert(agent(seed))).collect();
    for key in &keys {
        let agent = hub.agent_mut(*key).unwrap();
        agent.handle_interfaces(NOW, &interfaces("192.0.2.1"));
        agent.gather(NOW);
    }
    // Half of the requests are answered while the others wait to be read, and one agent goes meanwhile.
    let mut bound = vec![];
    while let Some((key, request)) = hub.poll_request() {
        let Request::BindUdp { id, local, .. } = request else { panic!("{request:?}") };
        let socket = SocketId(u32::try_from(bound.len()).unwrap());
        assert!(hub.handle_answer(NOW, key, id, Answer::Bound { socket, local: local.with_port(9) }));
        bound.push(key);
        if key == keys[1] {
            assert!(hub.remove(keys[3]).is_some());
        }
    }
    assert_eq!(bound, [keys[0], keys[1], keys[2], keys[4]]);
    let mut found = vec![];
    while let Some((key, event)) = hub.poll_event() {
        if matches!(event, Event::LocalCandidate { .. }) {
            found.push(key);
        }
    }
    found.sort_unstable();
    assert_eq!(found, bound);

    // Events first, requests afterwards: the last event comes with the last request.
    hub.agent_mut(keys[0]).unwrap().close(NOW);
    let closed = |hub: &mut Hub| {
        core::iter::from_fn(|| hub.poll_event()).filter(|(_, event)| matches!(event, Event::Closed)).count()
    };
    assert_eq!(closed(&mut hub), 0);
    let closing: Vec<_> = core::iter::from_fn(|| hub.poll_request()).collect();
    assert_eq!(closing, [(keys[0], Request::Close { socket: SocketId(0) })]);
    assert_eq!(closed(&mut hub), 1);
}

#[test]
fn p33_agents_that_come_and_go_leave_nothing_behind() {
    let mut world = World::new(2);
    world.share(0);
    world.share(1);
    let mut allocated = vec![];
    // More than may share one address at a time.
    for round in 0..70 {
        let before = world.allocations;
        let session = world.pair([0, 1], round);
        world.connect(&session, ms(2_000));
        assert_eq!(world.carries_data(session), [true, true], "round {round}");
        if round % 2 == 0 {
            for id in session {
                world.command(id, |now, agent| agent.close(now));
            }
            world.run_for(ms(100));
        }
        for (node, key) in session {
            assert!(world.nodes[node].hub.remove(key).is_some());
        }
        assert!(world.nodes.iter().all(|node| node.hub.is_empty()));
        world.sent.clear();
        allocated.push(world.allocations - before);
    }
    assert!(allocated[20..].iter().all(|count| *count <= allocated[2] + 40), "{allocated:?}");
    assert_eq!(world.nodes[0].hub.poll_timeout(), None);
}

/// A socket of a hub and what is handed to it.
fn arrives(hub: &mut Hub, socket: u32, local_ip: &str) -> (Option<floe_agent::AgentKey>, bool) {
    let mut payload = *b"\x80 data";
    let received = Received {
        socket: SocketId(socket),
        local_ip: local_ip.parse().unwrap(),
        source: "203.0.113.1:9".parse().unwrap(),
        ecn: Ecn::NotCapable,
        payload: &mut payload,
    };
    let (key, handled) = hub.handle_datagram(NOW, received);
    (key, matches!(handled, Handled::NotOurs(_)))
}

#[test]
fn a_socket_number_may_be_given_again_when_its_agent_has_closed_it_or_is_gone() {
    let mut hub = Hub::new();
    let mut last = None;
    for (seed, closes) in [(1, true), (2, false), (3, true)] {
        let key = hub.insert(agent(seed));
        assert_eq!(arrives(&mut hub, 7, "192.0.2.1"), (None, true), "nobody is there");
        let agent = hub.agent_mut(key).unwrap();
        agent.handle_interfaces(NOW, &interfaces("192.0.2.1"));
        agent.gather(NOW);
        let Some((_, Request::BindUdp { id, local, .. })) = hub.poll_request() else { panic!("no request") };
        let answer = Answer::Bound { socket: SocketId(7), local: local.with_port(9) };
        assert!(hub.handle_answer(NOW, key, id, answer));
        assert_eq!(arrives(&mut hub, 7, "192.0.2.1"), (Some(key), false));
        assert_eq!(arrives(&mut hub, 7, "::ffff:192.0.2.1"), (Some(key), false), "the same address");
        assert_eq!(arrives(&mut hub, 7, "192.0.2.2"), (None, true), "another address of the host");
        assert_eq!(arrives(&mut hub, 8, "192.0.2.1"), (None, true), "another socket");
        if closes {
            hub.agent_mut(key).unwrap().close(NOW);
            while hub.poll_request().is_some() {}
        } else {
            assert!(hub.remove(key).is_some());
        }
        assert_ne!(last.replace(key), Some(key));
    }
}

#[test]
fn a_check_that_comes_right_behind_a_command_is_for_the_fork_it_names() {
    let mut hub = Hub::new();
    let parent = hub.insert(agent(1));
    let first = hub.agent_mut(parent).unwrap();
    first.handle_interfaces(NOW, &interfaces("192.0.2.1"));
    first.gather(NOW);
    let Some((_, Request::BindUdp { id, local, .. })) = hub.poll_request() else { panic!("no request") };
    let at = local.with_port(9);
    assert!(hub.handle_answer(NOW, parent, id, Answer::Bound { socket: SocketId(7), local: at }));
    let forks = [hub.fork(NOW, parent, [7; 32]).unwrap(), hub.fork(NOW, parent, [8; 32]).unwrap()];
    for fork in forks {
        let fork = hub.agent_mut(fork).unwrap();
        fork.handle_interfaces(NOW, &interfaces("192.0.2.1"));
        fork.gather(NOW);
    }
    assert!(hub.poll_request().is_none(), "they have the socket");
    hub.handle_timeout(NOW);
    let ours = hub.agent(parent).unwrap().local_parameters().clone();
    let check = |hub: &mut Hub, peer: &Agent, id: u8| {
        let username = format!("{}:{}", ours.ufrag.as_str(), peer.local_parameters().ufrag.as_str());
        let mut payload = forge::check(&username, ours.pwd.expose(), [id; 12]);
        let received = Received {
            socket: SocketId(7),
            local_ip: at.ip(),
            source: "203.0.113.1:9".parse().unwrap(),
            ecn: Ecn::NotCapable,
            payload: &mut payload,
        };
        hub.handle_datagram(NOW, received).0
    };
    // Nothing is drained in between.
    for (fork, number) in forks.into_iter().rev().zip(1..) {
        let peer = agent(100 + u32::from(number));
        let parameters = peer.local_parameters().clone();
        hub.agent_mut(fork).unwrap().set_remote_parameters(NOW, parameters).unwrap();
        assert_eq!(check(&mut hub, &peer, number), Some(fork));
    }
    assert_eq!(check(&mut hub, &agent(200), 9), Some(parent), "that knows no peer yet");
}
