//! Paths over a relay: Send indications first, then a channel.

use core::time::Duration;

use floe_agent::{Event, Framing, PathError, Policy, SendError, State, TransmitKind};
use floe_pair::{CandidateType, ComponentId, Role};
use floe_stun::{ChannelNumber, Message, Method, attribute::XorPeerAddress, channel::ChannelData};

use crate::world::{COMPONENT, Id, STREAM, World, asking, ms};

/// Two agents over two allocations.
pub(crate) fn relayed(channels: bool) -> (World, [Id; 2]) {
    let mut world = World::new(2);
    world.server.channels = channels;
    let session = world.pair_with([0, 1], 1, |mut config| {
        config.gathering.policy = Policy::RelayOnly;
        asking("turn", config)
    });
    world.connect(&session, ms(10_000));
    (world, session)
}

#[test]
fn before_a_channel_is_bound_data_goes_by_way_of_the_agent() {
    let (mut world, session) = relayed(true);
    // Selected just now: the channel was asked for.
    let without = session.map(|id| world.agent(id).path(STREAM, COMPONENT).is_none());
    assert!(without.contains(&true));
    assert_eq!(world.carries_data(session), [true, true]);
    world.run_for(ms(100));
    for (node, key) in session {
        let path = world.agent((node, key)).path(STREAM, COMPONENT).unwrap();
        assert!(matches!(path.path().framing, Framing::Channel(_)));
        let changes = world.nodes[node].events_of(key);
        assert_eq!(changes.filter(|event| matches!(event, Event::PathChanged { .. })).count(), 1);
    }
    assert_eq!(world.carries_data(session), [true, true]);
}

#[test]
fn without_channels_send_indications_carry_on() {
    let (mut world, session) = relayed(false);
    world.run_for(ms(60_000));
    for id in session {
        assert!(world.agent(id).path(STREAM, COMPONENT).is_none());
    }
    assert_eq!(world.carries_data(session), [true, true]);
}

#[test]
fn a_frame_on_a_channel_is_what_the_server_reads() {
    let (mut world, [a, b]) = relayed(true);
    world.run_for(ms(100));
    let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
    let Framing::Channel(number) = path.path().framing else { panic!("{path:?}") };
    assert!(ChannelNumber::new(number.get()).is_some());
    for payload in [&b""[..], b"\x80", b"\x80 four and more"] {
        let frame = path.frame(world.now, payload.len()).unwrap();
        let datagram = [frame.header(), payload].concat();
        let read = ChannelData::parse(&datagram).unwrap();
        assert_eq!((read.number, read.payload), (number, payload));
        assert_eq!(frame.to.socket_addr(), crate::server::ADDRESS.parse().unwrap());
        let from = std::net::SocketAddr::new(frame.from.local_ip, world.nodes[0].ports[&frame.from.socket]);
        world.carry(from, frame.to.socket_addr(), datagram);
    }
    world.run_for(ms(100));
    // One without a byte is of no protocol and goes nowhere.
    let data: Vec<_> = world.nodes[1].data.iter().map(|(key, data)| (*key, data.as_slice())).collect();
    assert_eq!(data, [(b.1, &b"\x80"[..]), (b.1, b"\x80 four and more")]);
}

/// The deadline of a relayed path is the earliest of consent, channel and permission; nothing goes after it.
#[test]
fn t15_a_relayed_path_ends_with_consent() {
    let (mut world, [a, b]) = relayed(true);
    world.run_for(ms(1_000));
    let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
    world.nodes[b.0].hub.remove(b.1);
    world.run_for(ms(40_000));
    let lost = world.nodes[0].events_of(a.1).any(|event| matches!(event, Event::ConsentLost { .. }));
    assert!(lost);
    assert_eq!(path.frame(world.now, 1), Err(PathError::Expired));
    assert!(world.agent(a).path(STREAM, COMPONENT).is_none());
    let now = world.now;
    let sent = world.nodes[0].hub.agent_mut(a.1).unwrap().send(now, STREAM, COMPONENT, b"\x80", &mut [0; 99]);
    assert_eq!(sent, Err(SendError::NoPath));
}

#[test]
fn a_relayed_path_ends_with_its_permission_where_the_server_renews_nothing() {
    let (mut world, [a, _]) = relayed(true);
    world.run_for(ms(1_000));
    let (granted, path) = (world.now, world.agent(a).path(STREAM, COMPONENT).unwrap());
    // From here on the server answers no request, but relays.
    let server = crate::server::ADDRESS.parse().unwrap();
    world.lost = Box::new(move |from, _, bytes| from == server && ChannelData::parse(bytes).is_err());
    let mut last = path.deadline();
    while world.now.since(granted) < Duration::from_secs(290) {
        world.run_for(ms(1_000));
        assert!(path.deadline() >= last, "renewed by consent");
        last = path.deadline();
    }
    // RFC 8656 §9: a permission lasts five minutes; it was asked for within the first second.
    assert!(last <= granted.after(Duration::from_secs(300)), "{last:?}");
    assert!(last > granted.after(Duration::from_secs(298)), "{last:?}");
    assert_eq!(path.frame(last, 1), Err(PathError::Expired));
    let nanosecond_before = floe_stun::Instant::from_nanos(last.as_nanos() - 1);
    assert!(path.frame(nanosecond_before, 1).is_ok());
}

/// A channel that runs out under a living permission leaves Send indications, also before the timer has run.
#[test]
fn where_a_channel_ends_data_goes_on_by_way_of_the_agent() {
    let (mut world, [a, b]) = relayed(true);
    world.run_for(ms(1_000));
    let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
    // The server hears of no channel of ours any more.
    world.lost = Box::new(|from, _, bytes| {
        let binds = Message::parse(bytes).is_ok_and(|message| message.method() == Method::CHANNEL_BIND);
        binds && from.ip() == crate::world::ip(0)
    });
    world.run_for(Duration::from_secs(590));
    let last = path.deadline();
    world.run_for(ms(5_000));
    assert_eq!(path.deadline(), last, "consent is renewed, the channel is not");
    let limit = floe_stun::Instant::from_nanos(last.as_nanos() - 1);
    world.run_until(limit, |_| false);
    world.now = last;
    assert_eq!(path.frame(last, 1), Err(PathError::Expired));
    assert!(world.send(a, b"\x80 after the channel"));
    world.run_for(ms(100));
    assert!(world.agent(a).path(STREAM, COMPONENT).is_none());
    assert_eq!(world.nodes[1].data, [(b.1, b"\x80 after the channel".to_vec())]);
}

/// Checks, answers and consent over a relay are wrapped: nothing goes past it.
#[test]
fn p40_with_relays_only_everything_goes_to_the_server() {
    let (mut world, session) = relayed(true);
    world.run_for(ms(60_000));
    let server = crate::server::ADDRESS.parse().unwrap();
    assert!(world.sent.iter().all(|sent| sent.to == server));
    for kind in [TransmitKind::Check, TransmitKind::Response, TransmitKind::Consent, TransmitKind::Relay] {
        assert!(world.sent.iter().any(|sent| sent.kind == kind), "{kind:?}");
    }
    let mut consents = world.sent.iter().filter(|sent| sent.kind == TransmitKind::Consent);
    assert!(consents.next_back().is_some_and(|sent| ChannelData::parse(&sent.bytes).is_ok()));
    assert!(world.is_completed(&session));
}

/// A peer that tells ever more addresses before it has said all: those that came to nothing keep no place at the server.
#[test]
fn an_allocation_has_place_for_each_address_that_is_checked() {
    let mut world = World::new(2);
    world.server.channels = false;
    let mut config = asking("turn", World::config(Role::Controlling, 2));
    config.gathering.policy = Policy::RelayOnly;
    config.checks.pair_limit = 16;
    let a = world.add(0, config);
    let b = world.add(1, World::config(Role::Controlled, 3));
    world.tell_parameters(b, a);
    world.gather(a);
    world.run_for(ms(1_000));
    for number in 1..=96 {
        let line = format!("candidate:{number} 1 udp {number} 198.51.100.{number} 9 typ host");
        world
            .command(a, |now, agent| agent.add_remote_candidate(now, STREAM, &line.parse().unwrap()))
            .unwrap();
        if number % 16 == 0 {
            world.run_for(ms(60_000));
        }
    }
    let pairs: Vec<_> = world.agent(a).pairs().collect();
    assert_eq!(pairs.len(), 16);
    for pair in pairs {
        assert!(pair.requests_sent > 0, "{:?} {:?}", pair.remote.address, pair.failure);
    }
}

/// RFC 8445 §5.1.1.4: a NAT before the server forgets what nothing passes, and the peer may take minutes to answer.
#[test]
fn p17_while_a_restart_is_unanswered_its_relays_are_kept_alive() {
    let (mut world, [a, b]) = relayed(true);
    world.run_for(ms(10_000));
    world.part([a, b]);
    world.asleep = Some(b.0);
    world.run_for(ms(60_000));
    let before = world.sent.len();
    world.command(a, |now, agent| agent.restart(now)).unwrap();
    let (began, mut last) = (world.now, world.now);
    world.run_for(ms(180_000));
    let server = crate::server::ADDRESS.parse().unwrap();
    for sent in world.sent[before..].iter().filter(|sent| sent.by == a && sent.to == server) {
        assert!(sent.at.since(last) <= ms(15_100), "nothing from {last:?} to {:?}", sent.at);
        last = sent.at;
    }
    assert!(last.since(began) >= ms(165_000), "{last:?}");
}

/// RFC 8838 §13: nothing is told after the end of candidates. An allocation that waits behind one of a dead server is told before.
#[test]
fn p02_a_relay_that_a_limit_holds_back_behind_a_dead_server_is_told() {
    let mut world = World::new(2);
    let session = world.pair_with([0, 1], 1, |config| {
        let mut config = asking("turn", config);
        config.gathering.policy = Policy::RelayOnly;
        config.gathering.limits.relays = 1;
        let dead = floe_agent::Server::new("turn:192.0.2.99".parse().unwrap(), None);
        config.gathering.servers.insert(0, dead);
        config
    });
    world.connect(&session, ms(10_000));
    world.run_for(ms(60_000));
    for (node, key) in session {
        let told = world.nodes[node].events_of(key).filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(Some(candidate.kind)),
            Event::EndOfCandidates { .. } => Some(None),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [Some(CandidateType::Relayed), None]);
    }
}

/// RFC 8445 §8.1.1: a component has its selected pair, whatever the others of its stream have. It is told, and its channel is
/// bound (§7.2.1), also while another of a stream that had failed has not come back yet.
#[test]
fn a_component_that_is_selected_while_its_stream_has_failed_is_told_and_has_its_channel() {
    let mut world = World::new(2);
    let [a, b] = [(0, Role::Controlling), (1, Role::Controlled)].map(|(node, role)| {
        let mut config = World::config(role, 1 + u32::try_from(node).unwrap());
        config.gathering.policy = Policy::RelayOnly;
        config.streams = vec![(STREAM, vec![ComponentId::RTP, ComponentId::RTCP])];
        world.add(node, asking("turn", config))
    });
    let peer_of = |bytes: &[u8]| {
        let message = Message::parse(bytes).ok().filter(|message| message.method() == Method::SEND)?;
        message.get::<XorPeerAddress>().unwrap().map(|peer| peer.0)
    };
    // The peer is late: what is sent to it is lost.
    world.lost = Box::new(move |_, _, bytes| peer_of(bytes).is_some());
    world.tell_parameters(b, a);
    world.join([a, b]);
    world.run_for(ms(100_000));
    assert_eq!(world.agent(a).state(), State::Failed);
    let rtcp: Vec<_> = [a, b]
        .iter()
        .flat_map(|(node, key)| world.nodes[*node].events_of(*key))
        .filter_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate),
            _ => None,
        })
        .filter(|candidate| candidate.component == ComponentId::RTCP)
        .map(|candidate| candidate.address.socket_addr())
        .collect();
    assert_eq!(rtcp.len(), 2);
    world.lost = Box::new(move |_, _, bytes| peer_of(bytes).is_some_and(|peer| rtcp.contains(&peer)));
    world.tell_parameters(a, b);
    let selected = |world: &World, wanted: ComponentId| {
        let of = world.nodes[a.0].events_of(a.1);
        of.filter(|event| matches!(event, Event::Selected { component, .. } if *component == wanted)).count()
    };
    world.run_for(ms(2_000));
    assert_eq!(world.agent(a).state(), State::Failed, "the other component has not come back");
    assert_eq!([ComponentId::RTP, ComponentId::RTCP].map(|of| selected(&world, of)), [1, 0]);
    world.lost = Box::new(|_, _, _| false);
    world.connect(&[a, b], ms(10_000));
    world.run_for(ms(1_000));
    for component in [ComponentId::RTP, ComponentId::RTCP] {
        assert_eq!(selected(&world, component), 1, "{component:?}");
        for id in [a, b] {
            let path = world.agent(id).path(STREAM, component).unwrap();
            assert!(matches!(path.path().framing, Framing::Channel(_)), "{component:?}");
        }
    }
}
