//! Checks over a relay (RFC 8445 §7.2.1, §7.3.1.2), with the TURN server of the simulator on the wire.

use std::{cell::Cell, rc::Rc};

use floe_agent::{
    Dscp, Event, Policy, TransmitKind,
    pair::TransportAddress,
    stun::{Class, Instant, Message, Method, attribute::XorPeerAddress, channel::ChannelData},
};
use floe_check::ConsentConfig;
use spec_tests::wire::{
    Answer, Ask, Datagram, Fate, RTP, STREAM, World, address, answer, ms,
    relay::{HOSTS, SERVER, gather_relay, over_the_relay, relayed},
};

/// Until the left side has its relayed candidate.
#[track_caller]
fn gather(world: &mut World) -> TransportAddress {
    gather_relay(world, 0)
}

/// A TURN message to the server.
struct ToServer {
    at: Instant,
    method: Method,
    peer: Option<TransportAddress>,
}

fn to_server(world: &World) -> Vec<ToServer> {
    let sent = world.sent_to(address(SERVER));
    sent.filter_map(|datagram| {
        let message = Message::parse(&datagram.bytes).ok()?;
        let peer = message.get::<XorPeerAddress>().expect("well-formed").map(|peer| peer.0.into());
        Some(ToServer { at: datagram.at, method: message.method(), peer })
    })
    .collect()
}

#[test]
fn ice_18_a_permission_for_the_peer_comes_before_any_check_over_a_relay() {
    let (mut world, _server) = over_the_relay(40);
    gather(&mut world);
    world.introduce();
    assert!(world.run_to_selection(ms(5_000)));
    let peer = address("203.0.113.1:1000");
    let asked = to_server(&world);
    let place = |method| asked.iter().position(|one| one.method == method);
    let permission = place(Method::CREATE_PERMISSION).expect("a permission is asked for");
    assert_eq!(
        asked[permission].peer.map(TransportAddress::ip),
        Some(peer.ip()),
        "towards the candidate's address"
    );
    let first = place(Method::SEND).expect("checks go in Send indications");
    let (asked_at, sent_at) = (asked[permission].at, asked[first].at);
    assert!(sent_at.since(asked_at) >= ms(40), "and after the permission was granted");
    assert!(asked.iter().all(|one| one.peer.is_none_or(|at| at.ip() == peer.ip())), "for nobody else");
    // Channels come when ICE has chosen (RFC 8445 §7.2.1), not before.
    let selected = world.first(0, |event| matches!(event, Event::Selected { .. })).expect("selected");
    let bound = asked.iter().find(|one| one.method == Method::CHANNEL_BIND).map(|one| one.at);
    assert!(bound.is_none_or(|bound| bound >= selected), "{bound:?} before {selected:?}");
    world.run(ms(1_000));
    assert!(to_server(&world).iter().any(|one| one.method == Method::CHANNEL_BIND), "but then");
}

#[test]
fn ice_18_the_permission_is_kept_until_ice_concludes() {
    let (mut world, server) = over_the_relay(40);
    let relay = gather(&mut world);
    // The peer's parameters come, and no answer of it for ten minutes: its candidate is checked again and again.
    world.tell_parameters(0);
    world.tell_candidates(0);
    let peer = address("203.0.113.1:1000");
    let mut asked_again = 0;
    for _ in 0..60 {
        world.run(ms(10_000));
        // A request of the peer over the relay keeps ICE going, and shows whether the permission stands.
        let before = world.sent_to(peer).filter(|datagram| datagram.from == relay).count();
        let id = world.sides[0].new_id();
        let own = world.sides[0].agent.local_parameters().ufrag.as_str().to_owned();
        let ask = Ask { username: Some(format!("{own}:x")), ..Ask::controlled() };
        world.inject(peer, relay, ask.bytes(id));
        world.run(ms(200));
        let after = world.sent_to(peer).filter(|datagram| datagram.from == relay).count();
        asked_again += usize::from(after > before);
    }
    assert_eq!(asked_again, 60, "every request came through and was answered");
    let permissions: Vec<_> = to_server(&world)
        .iter()
        .filter(|one| one.method == Method::CREATE_PERMISSION)
        .map(|one| one.at)
        .collect();
    for two in permissions.windows(2) {
        assert!(two[1].since(two[0]) < ms(300_000), "never without one: {permissions:?}");
    }
    assert_eq!(server.allocations(), 1);
}

#[test]
fn ice_28_the_mapped_address_on_a_relay_is_the_peers() {
    let (mut world, _server) = over_the_relay(40);
    let relay = gather(&mut world);
    world.introduce();
    assert!(world.run_to_selection(ms(5_000)));
    let peer = address("203.0.113.1:1000");
    let mapped = |datagram: &Datagram| {
        let message = Message::parse(&datagram.bytes).ok()?;
        let found = message.get::<floe_agent::stun::attribute::XorMappedAddress>().ok()??;
        Some(TransportAddress::from(found.0))
    };
    // Answers of the left side leave the relay and say where the server saw the peer.
    let answers: Vec<_> = world.sent_to(peer).filter(|one| one.from == relay).filter_map(mapped).collect();
    assert!(!answers.is_empty() && answers.iter().all(|at| *at == peer), "{answers:?}");
    // And the right side says where it saw the relay: the candidate of the selected pair.
    let answers: Vec<_> = world.sent_to(relay).filter_map(mapped).collect();
    assert!(!answers.is_empty() && answers.iter().all(|at| *at == relay), "{answers:?}");
    let selected = world.sides[0].agent.selected(STREAM, RTP).expect("selected");
    assert_eq!((selected.local.address, selected.remote), (relay, peer));
    world.assert_agreed();
    assert!(world.send(0, b"\x80 out") && world.send(1, b"\x80 back"));
    world.run(ms(100));
    assert_eq!(world.sides[1].data, [(STREAM, RTP, b"\x80 out".to_vec())]);
    assert_eq!(world.sides[0].data, [(STREAM, RTP, b"\x80 back".to_vec())]);
}

#[test]
fn t07_icmp_errors_fail_no_pair() {
    // Each check that leaves the relay is followed by an ICMP error of every kind, which anybody may forge.
    let (mut world, server) = over_the_relay(40);
    gather(&mut world);
    world.introduce();
    let peer = address("203.0.113.1:1000");
    let mut seen = 0;
    while !world.is_completed() && world.now < spec_tests::wire::at(5_000) {
        world.run(ms(1));
        let sent = world.sent_to(peer).count();
        if sent > seen {
            seen = sent;
            for (kind, code) in [(3, 0), (3, 1), (3, 3), (3, 13), (11, 0)] {
                server.icmp(world.now, peer, kind, code);
            }
        }
    }
    assert!(seen > 0 && world.is_completed(), "the pair is checked and connects all the same");
    assert!(world.sides[0].agent.pairs().all(|pair| pair.failure.is_none() || !pair.valid));
    for _ in 0..10 {
        server.icmp(world.now, peer, 3, 3);
        world.run(ms(1_000));
    }
    assert!(world.send(0, b"\x80") && world.is_completed(), "and stays connected");
}

#[test]
fn s04_closing_with_an_allocation_releases_it_first() {
    for until in [0, 45, 90, 130, 170, 300, 2_000] {
        let (mut world, server) = over_the_relay(40);
        world.run(ms(until));
        world.introduce();
        world.run(ms(until));
        world.sides[0].agent.close(world.now);
        world.collect(0);
        world.run(ms(4_000));
        assert!(world.sides[0].agent.is_closed(), "closed at {until} ms");
        assert!(matches!(world.sides[0].events.last(), Some((_, Event::Closed))));
        assert!(world.sides[0].sockets.is_empty());
        assert_eq!(server.allocations(), 0, "closed at {until} ms");
        let closed = world.first(0, |event| matches!(event, Event::Closed)).expect("closed");
        let own = [TransmitKind::Check, TransmitKind::Response, TransmitKind::Relay, TransmitKind::Gathering];
        let ip = address("198.51.100.1:1").ip();
        let late = world.log.iter().filter(|one| one.from.ip() == ip && one.at > closed);
        assert_eq!(late.filter(|one| one.kind.is_some_and(|kind| own.contains(&kind))).count(), 0);
    }
}

#[test]
fn p05_one_peer_address_costs_one_permission_and_one_channel() {
    let (mut world, _server) = over_the_relay(40);
    gather(&mut world);
    world.tell_parameters(0);
    world.tell_parameters(1);
    // Ten candidates of one host: ten ports of the address that has the permission.
    for port in 1000..1010 {
        let line =
            format!("candidate:{port} 1 UDP {} 203.0.113.1 {port} typ host", 2_130_706_431 - (port - 1000));
        let line = line.parse().expect("well-formed");
        let now = world.now;
        let _ = world.sides[0].agent.add_remote_candidate(now, STREAM, &line).expect("in time");
    }
    world.collect(0);
    world.tell_candidates(1);
    assert!(world.run_to_selection(ms(10_000)));
    world.run(ms(5_000));
    let asked = to_server(&world);
    let count = |method| asked.iter().filter(|one| one.method == method).count();
    assert_eq!((count(Method::CREATE_PERMISSION), count(Method::CHANNEL_BIND)), (1, 1));
    let channel = world.sent_to(address(SERVER)).filter(|one| ChannelData::parse(&one.bytes).is_ok()).count();
    assert!(channel > 0, "consent goes over the channel");
}

#[test]
fn rfc8445_7_3_1_2_answers_of_the_peer_over_a_relay_are_read_as_any() {
    // Written by hand: a request that came in a Data indication is answered to its sender, by way of the server.
    let (mut world, _server) = over_the_relay(40);
    let relay = gather(&mut world);
    world.tell_parameters(0);
    world.tell_candidates(0);
    world.run(ms(200));
    let peer = address("203.0.113.1:1000");
    let check = world.sent_to(peer).find(|one| one.from == relay).cloned().expect("a check over the relay");
    let id = Message::parse(&check.bytes).expect("STUN").transaction_id();
    let pwd = world.sides[1].agent.local_parameters().pwd.expose().to_owned();
    world.inject(peer, relay, answer(id, Answer::Success(relay), Some(&pwd)));
    world.run(ms(100));
    let valid = world.sides[0].agent.pairs().find(|pair| pair.valid).expect("valid by that answer");
    assert_eq!((valid.local.address, valid.remote.address), (relay, peer));
}

/// RFC 7675 §6, RFC 8445 §7.2.2: the mark is on the outer datagram, whether that is a Send indication or ChannelData.
#[test]
fn con_07_what_goes_over_a_relay_is_marked_as_what_goes_straight() {
    let mark = Dscp::new(46).expect("a code point");
    let (mut world, _server) = relayed([true, true], ms(40), |_, config| {
        config.gathering.policy = Policy::RelayOnly;
        config.dscp = mark;
    });
    for side in 0..2 {
        gather_relay(&mut world, side);
    }
    world.introduce();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(5_000)));
    world.run(ms(60_000));
    for kind in [TransmitKind::Check, TransmitKind::Response, TransmitKind::Consent] {
        let sent = || world.sent_to(address(SERVER)).filter(|one| one.kind == Some(kind));
        assert!(sent().count() > 2 && sent().all(|one| one.dscp == mark), "{kind:?}");
    }
    // In both forms: the first checks in Send indications, consent on the channel.
    let is = |one: &Datagram, kind| one.kind == Some(kind);
    let on_channel =
        |one: &Datagram| is(one, TransmitKind::Consent) && ChannelData::parse(&one.bytes).is_ok();
    assert!(world.sent_to(address(SERVER)).any(on_channel));
    let indicated = |one: &Datagram| {
        is(one, TransmitKind::Check)
            && Message::parse(&one.bytes).is_ok_and(|message| message.method() == Method::SEND)
    };
    assert!(world.sent_to(address(SERVER)).any(indicated));
}

/// Requests start 4 to 6 s apart, and thirty seconds after the last answer not one byte more goes to the relay. Nothing
/// else that the relay brings counts: data, the peer's own requests, answers with another key.
#[test]
fn con_05_p15_over_a_relay_consent_ends_exactly_thirty_seconds_after_the_last_answer() {
    let (mut world, _server) = over_the_relay(40);
    let relay = gather_relay(&mut world, 0);
    world.introduce();
    assert!(world.run_to_selection(ms(5_000)));
    let before = |at: Instant| Instant::from_nanos(at.as_nanos() - 1);
    let lost = |world: &World| world.first(0, |event| matches!(event, Event::ConsentLost { .. }));
    let [own, peer] = HOSTS.map(|ip| address(&format!("{ip}:1000")));
    // From half a minute on the peer's answers are lost, and only they.
    let came = Rc::new(Cell::new((world.now, None)));
    let (note, delay, deaf) = (came.clone(), world.delay, world.now.after(ConsentConfig::EXPIRY));
    let mut judge = std::mem::replace(&mut world.judge, Box::new(|_| Fate::Lost));
    world.judge = Box::new(move |one| {
        let parsed = Message::parse(&one.bytes).ok().filter(|_| one.from == peer && one.to == relay);
        match parsed.map(|message| (message.class(), message.transaction_id())) {
            Some((Class::Success, id)) if one.kind.is_some() => {
                // To the relay, and on to the agent.
                let arrival = if one.at < deaf { one.at.after(delay * 2) } else { note.get().0 };
                note.set((arrival, Some(id)));
                if one.at >= deaf {
                    return Fate::Lost;
                }
            }
            _ => {}
        }
        judge(one)
    });
    world.run_until(deaf.after(ms(200)), |_| false);
    let (latest, _) = came.get();
    let (end, asked) = (latest.after(ConsentConfig::EXPIRY), world.log.len());
    let path = world.sides[0].agent.path(STREAM, RTP).expect("a path");
    // Between the answers that do not come: data, and an answer that whoever reads along could write.
    world.sides[0].data.clear();
    while world.now.after(ms(500)) < end {
        assert!(world.send(1, b"\x80 data"));
        let (_, id) = came.get();
        let id = id.expect("answered");
        world.inject(peer, relay, answer(id, Answer::Success(relay), Some("another0password12345678")));
        world.run(ms(500));
    }
    assert!(world.sides[0].data.len() > 40, "data comes in");
    world.run_until(before(end), |_| false);
    assert_eq!((world.now, lost(&world)), (before(end), None));
    assert!(world.send(0, b"\x80") && path.frame(world.now, 1).is_ok());
    world.now = end;
    assert!(!world.send(0, b"\x80") && path.frame(end, 1).is_err());
    world.run(ms(1_000));
    assert_eq!(lost(&world), Some(end));
    let kind = |one: &&Datagram, kind| one.kind == Some(kind);
    let requests =
        world.log.iter().skip(asked).filter(|one| one.from == peer && kind(one, TransmitKind::Consent));
    assert!(requests.count() >= 4, "the peer went on asking");
    let starts: Vec<Instant> = world
        .log
        .iter()
        .filter(|one| one.from.ip() == own.ip() && kind(one, TransmitKind::Consent))
        .map(|one| one.at)
        .collect();
    let waits: Vec<_> = starts.windows(2).map(|two| two[1].since(two[0]).as_millis()).collect();
    assert!(waits.len() >= 9 && waits.iter().all(|wait| (4_000..=6_000).contains(wait)), "{waits:?}");
}
