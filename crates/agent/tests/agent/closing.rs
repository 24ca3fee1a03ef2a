//! Closing at any moment.

use floe_agent::{Agent, Answer, Ecn, Event, Handled, PathError, Received, Request, State, TransmitKind};
use floe_pair::{Role, SocketId};
use floe_stun::Instant;

use crate::world::{COMPONENT, STREAM, World, asking, ip, ms};

/// A session that is closed after so many things have happened.
#[track_caller]
fn close_after(steps: u32, scheme: &str, lossy: bool) {
    let mut world = World::new(2);
    let mut count = 0_u32;
    world.lost = Box::new(move |_, _, _| {
        count += 1;
        lossy && count.is_multiple_of(3)
    });
    let session = world.pair_with([0, 1], 1, |config| asking(scheme, config));
    let (mut left, limit) = (steps, world.now.after(ms(20_000)));
    world.run_until(limit, |_| {
        let over = left == 0;
        left = left.saturating_sub(1);
        over
    });
    let paths = session.map(|id| world.agent(id).path(STREAM, COMPONENT));
    let sent = world.sent.len();
    for (id, path) in session.into_iter().zip(paths) {
        world.command(id, |now, agent| agent.close(now));
        assert_eq!(world.agent(id).state(), State::Closed);
        assert!(world.agent(id).path(STREAM, COMPONENT).is_none());
        if let Some(path) = path {
            // Also for one whose clock is behind.
            assert_eq!(path.frame(Instant::ORIGIN, 1), Err(PathError::Expired), "revoked in the call");
        }
        assert!(!world.send(id, b"\x80"));
    }
    world.run_for(ms(4_000));
    for (node, key) in session {
        assert!(world.agent((node, key)).is_closed(), "after {steps} steps");
        let events: Vec<_> = world.nodes[node].events_of(key).collect();
        assert!(matches!(events.last(), Some(Event::Closed)), "{:?}", events.last());
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Closed)).count(), 1);
        assert!(world.nodes[node].ports.is_empty(), "{:?}", world.nodes[node].ports);
    }
    assert!(world.sent[sent..].iter().all(|sent| sent.kind == TransmitKind::Relay));
    if !lossy {
        assert_eq!(world.server.allocations(), 0, "after {steps} steps");
    }
    let (sent, polls) = (world.sent.len(), world.timed_out);
    world.run_for(ms(1_000_000));
    assert_eq!((world.sent.len(), world.timed_out), (sent, polls), "nothing goes on after the end");
}

#[test]
fn p23_p33_closing_after_any_step_gives_everything_back() {
    for steps in (0..120).chain([200, 500, 1_000]) {
        close_after(steps, "turn", false);
        close_after(steps, "turn", true);
        close_after(steps, "stun", false);
    }
}

#[test]
fn p33_closing_again_or_commanding_a_closed_agent_does_nothing() {
    let mut world = World::new(2);
    let [a, b] = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.connect(&[a, b], ms(5_000));
    let line = "candidate:1 1 udp 1 203.0.113.1 9 typ host".parse().unwrap();
    let parameters = world.agent(b).local_parameters().clone();
    for round in 0..3 {
        let events = world.nodes[0].events.len();
        world.command(a, |now, agent| {
            agent.close(now);
            agent.close(now);
            agent.gather(now);
            agent.remote_gathering_complete(now);
            assert!(agent.set_remote_parameters(now, parameters.clone()).is_err());
            assert!(agent.add_remote_candidate(now, STREAM, &line).is_err());
        });
        world.gather(a);
        if round == 2 {
            assert_eq!(world.nodes[0].events.len(), events, "after the last event");
        }
        world.run_for(ms(4_000));
    }
    assert!(matches!(world.nodes[0].events_of(a.1).last(), Some(Event::Closed)));
    assert!(world.nodes[0].ports.is_empty());
}

/// Answers that come when nobody waits for them any more.
#[test]
fn p23_a_socket_that_is_opened_after_the_end_is_closed() {
    let now = Instant::from_millis(5);
    let mut agent = Agent::new(World::config(Role::Controlling, 1)).unwrap();
    agent.handle_interfaces(
        now,
        &[floe_agent::Interface {
            name: "eth0".into(),
            index: 1,
            ip: ip(0),
            prefix_len: 24,
            flags: floe_agent::InterfaceFlags::UP,
        }],
    );
    agent.gather(now);
    let Some(Request::BindUdp { id, local, .. }) = agent.poll_request() else { panic!("a socket is wanted") };
    agent.close(now);
    let events: Vec<_> = core::iter::from_fn(|| agent.poll_event()).collect();
    assert!(matches!(events[..], [Event::State(State::Closed), Event::Closed]), "{events:?}");
    agent.handle_answer(now, id, Answer::Bound { socket: SocketId(3), local: local.with_port(7) });
    assert_eq!(agent.poll_request(), Some(Request::Close { socket: SocketId(3) }));
    assert!(agent.poll_event().is_none());
    assert!(agent.poll_timeout().is_none());
}

/// What was to be sent when the agent was closed is not sent any more.
#[test]
fn p33_answers_and_checks_that_wait_are_not_sent_after_close() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    let check = world.sent.iter().find(|sent| sent.by == b && sent.kind == TransmitKind::Check).unwrap();
    let (mut bytes, source) = (check.bytes.clone(), world.host_address(b).into());
    let socket = world.socket(0, world.host_address(a).port()).unwrap();
    let (now, hub) = (world.now, &mut world.nodes[0].hub);
    let received =
        Received { socket, local_ip: ip(0), source, ecn: Ecn::NotCapable, payload: bytes.as_mut_slice() };
    let (_, handled) = hub.handle_datagram(now, received);
    assert!(matches!(handled, Handled::Taken));
    hub.agent_mut(a.1).unwrap().close(now);
    assert!(hub.poll_transmit(&mut [0; 1500]).is_none());
}

/// An address of the host goes away under a session.
#[test]
fn p33_a_base_that_is_gone_takes_path_and_socket_along_at_once() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
    let now = world.now;
    world.command(a, |now, agent| agent.handle_interfaces(now, &[]));
    assert_eq!(path.frame(now, 1), Err(PathError::Expired));
    assert!(world.nodes[0].ports.is_empty());
    let said = |wanted: fn(&Event) -> bool| world.nodes[0].events_of(a.1).any(wanted);
    assert!(said(|event| matches!(event, Event::ConsentLost { .. })));
    assert!(!world.send(a, b"\x80"));
    world.run_for(ms(60_000));
}
