//! Application data: where it may go, and from whom it is taken (RFC 8445 §12, RFC 7675 §5).

use floe_agent::{
    Demultiplexing, DropReason, Event, SendError, State, TransmitKind,
    pair::{ComponentId, Role},
};
use spec_tests::wire::{
    Answer, Arrival, Ask, Bench, Fate, HOST, RTP, STREAM, Sent, THEIR_PWD, World, address, answer, at, ms,
};

/// The first bytes of a DTLS `ClientHello` (RFC 9147): what the application would answer.
const CLIENT_HELLO: &[u8] =
    &[22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 48, 0xFE, 0xFD];

fn data(payload: &[u8]) -> Arrival {
    Arrival::Data(STREAM, RTP, payload.to_vec())
}

/// A controlled agent and checks of two pairs, the better one first.
fn two_pairs() -> (Bench, [Sent; 2]) {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_remote(0, "10.0.1.1:1000");
    bench.add_remote(1, "10.0.1.2:1000");
    let checks = [bench.next_check(), bench.next_check()];
    assert_eq!(checks.each_ref().map(|check| check.to.to_string()), ["10.0.1.1:1000", "10.0.1.2:1000"]);
    (bench, checks)
}

#[test]
fn ice_40_data_goes_on_the_best_valid_pair_and_after_selection_on_the_selected_one() {
    let (mut bench, [best, other]) = two_pairs();
    assert_eq!(bench.send(b"\x80"), Err(SendError::NoPath), "nothing is valid yet");
    bench.succeed(&other);
    assert_eq!(bench.send(b"\x80"), Ok(other.to));
    bench.succeed(&best);
    assert_eq!(bench.send(b"\x80"), Ok(best.to), "of higher priority");
    for pair in [&best, &other] {
        assert_eq!(bench.receive_at(pair.from, pair.to, CLIENT_HELLO), data(CLIENT_HELLO));
    }
    let (answer, _) = bench.ask(other.to, &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    assert_eq!(bench.agent.selected(STREAM, RTP).map(|pair| pair.remote), Some(other.to));
    assert_eq!(bench.send(b"\x80"), Ok(other.to), "only on the selected one, whatever its priority");
    assert_eq!(bench.receive_at(best.from, best.to, CLIENT_HELLO), data(CLIENT_HELLO), "while it lives");
}

#[test]
fn ice_40_a_stream_without_a_pair_for_each_component_carries_nothing() {
    let rtcp = ComponentId::RTCP;
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::with(roles, [&["10.0.0.1"], &["10.0.1.1"]], ms(20), |_, config| {
        config.streams = vec![(STREAM, vec![RTP, rtcp])];
    });
    // Nothing of the second component arrives.
    world.judge = Box::new(|datagram| {
        let rtcp = datagram.from.port() == 1001 || datagram.to.port() == 1001;
        if rtcp { Fate::Lost } else { Fate::Arrives }
    });
    world.introduce();
    world.complete_gathering();
    world.run(ms(10_000));
    for side in &mut world.sides {
        assert!(side.agent.selected(STREAM, RTP).is_some());
        assert!(side.send(b"\x80").is_ok(), "while ICE goes on");
    }
    world.run(ms(110_000));
    for side in &mut world.sides {
        assert_eq!(side.agent.state(), State::Failed, "the second component has no pair");
        assert!(side.send(b"\x80").is_err(), "and so the first carries nothing either");
        assert!(side.agent.path(STREAM, RTP).is_none());
    }
}

#[test]
fn ice_40_after_the_end_of_consent_nothing_leaves() {
    let (mut bench, [best, _]) = two_pairs();
    bench.succeed(&best);
    let (answer, _) = bench.ask(best.to, &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    let path = bench.agent.path(STREAM, RTP).expect("a path");
    let end = path.deadline();
    assert_eq!(end, bench.now.after(ms(30_000)));
    bench.wait(ms(29_999));
    assert!(path.frame(bench.now, 1).is_ok() && bench.send(b"\x80").is_ok());
    bench.now = end;
    assert!(path.frame(end, 1).is_err(), "judged at the call, before any timer ran");
    assert!(bench.send(b"\x80").is_err());
    bench.agent.handle_timeout(end, &mut bench.pacer);
    bench.drain();
    assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::ConsentLost { .. })));
    assert!(bench.agent.path(STREAM, RTP).is_none());
}

#[test]
fn s14_data_before_a_valid_pair_reaches_nobody() {
    let signalled = address("10.0.1.1:1000");
    let stranger = address("203.0.113.66:9");
    for demultiplexing in [Demultiplexing::Rfc7983, Demultiplexing::AnyData] {
        let mut bench =
            Bench::bare(Role::Controlled, &[HOST], |config| config.demultiplexing = demultiplexing);
        let refused = Arrival::Dropped(DropReason::NoValidPair);
        let try_all = |bench: &mut Bench, when: &str| {
            for source in [signalled, stranger] {
                assert_eq!(bench.receive(0, source, CLIENT_HELLO), refused, "{source} {when}");
            }
            bench.drain();
            assert_eq!(bench.data, [], "{when}");
        };
        try_all(&mut bench, "before the peer is known");
        bench.meet();
        try_all(&mut bench, "before its candidate is known");
        bench.add_remote(0, "10.0.1.1:1000");
        try_all(&mut bench, "before a check");
        let check = bench.next_check();
        try_all(&mut bench, "while a check is under way");
        let forged = answer(check.id(), Answer::Success(bench.local(0)), Some("another0password12345678"));
        let _ = bench.receive_at(check.from, check.to, &forged);
        try_all(&mut bench, "after a forged answer");
        bench.succeed(&check);
        assert_eq!(bench.receive(0, signalled, CLIENT_HELLO), data(CLIENT_HELLO), "from the valid pair");
        assert_eq!(bench.receive(0, stranger, CLIENT_HELLO), refused, "and from nobody else");
    }
}

#[test]
fn s14_data_of_an_authenticated_peer_is_held_until_the_pair_is_valid() {
    let mut bench = Bench::new(Role::Controlled);
    let peer = address("10.0.1.1:1000");
    let (answer, _) = bench.ask(peer, &Ask::controlling());
    assert_eq!(answer.expect("an answer").code, None);
    assert_eq!(bench.receive(0, peer, CLIENT_HELLO), Arrival::Taken);
    bench.drain();
    assert_eq!(bench.data, [], "held");
    let check = bench.next_check();
    assert_eq!(check.to, peer);
    bench.succeed(&check);
    bench.drain();
    assert_eq!(bench.data, [(STREAM, RTP, CLIENT_HELLO.to_vec())]);
}

#[test]
fn t37_data_from_elsewhere_is_not_handed_up_during_a_session() {
    let (mut bench, [best, _]) = two_pairs();
    bench.succeed(&best);
    let (answer, _) = bench.ask(best.to, &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    let valid = best.to;
    // Another port, another address, and the same address at a socket that is not the pair's.
    for source in ["10.0.1.1:1001", "10.0.1.3:1000", "203.0.113.66:4444"] {
        let arrival = bench.receive(0, address(source), CLIENT_HELLO);
        assert_eq!(arrival, Arrival::Dropped(DropReason::NoValidPair), "{source}");
    }
    let mut elsewhere = bench.place(0);
    elsewhere.local_ip = address("10.0.9.9:1").ip();
    assert_eq!(bench.receive_at(elsewhere, valid, CLIENT_HELLO), Arrival::NotOurs);
    bench.drain();
    assert_eq!(bench.data, []);
    assert_eq!(bench.receive(0, valid, CLIENT_HELLO), data(CLIENT_HELLO));
}

#[test]
fn t37_first_bytes_of_no_known_protocol_are_dropped_by_default() {
    let (mut bench, [best, _]) = two_pairs();
    bench.succeed(&best);
    for first in 0..=255_u8 {
        let datagram = [first, 0, 0, 0, 0];
        let arrival = bench.receive_at(best.from, best.to, &datagram);
        // RFC 9443 §3: 0 to 3 STUN, which this is not; 4 to 15 nobody; 64 to 79 QUIC from all but TURN servers.
        match first {
            16..=255 => assert_eq!(arrival, data(&datagram), "{first}"),
            _ => assert!(matches!(arrival, Arrival::Dropped(_)), "{first}: {arrival:?}"),
        }
    }
}

#[test]
fn t05_a_request_with_the_address_of_a_victim_sends_it_no_data() {
    // The message is right in everything; only its source is an address that never asked for anything.
    let victim = address("198.51.100.7:53");
    for role in [Role::Controlling, Role::Controlled] {
        let mut bench = Bench::new(role);
        bench.add_remote(0, "10.0.1.1:1000");
        let check = bench.next_check();
        let ask = match role {
            Role::Controlling => Ask::controlled(),
            Role::Controlled => Ask::nominating(),
        };
        let forged = Ask { priority: Some(0x7FFF_FFFF), ..ask };
        let (answer, _) = bench.ask(victim, &forged);
        assert_eq!(answer.expect("an answer").code, None);
        assert_eq!(bench.send(CLIENT_HELLO), Err(SendError::NoPath), "{role:?}");
        bench.succeed(&check);
        assert_eq!(bench.send(CLIENT_HELLO), Ok(check.to), "the pair whose check was answered");
        let sent = bench.wait(ms(60_000));
        assert!(bench.agent.pairs().all(|pair| !pair.valid || pair.remote.address != victim));
        let to_victim = sent.iter().filter(|sent| sent.to == victim);
        assert!(to_victim.clone().all(|sent| sent.message().method().get() == 1), "checks only");
        assert!(to_victim.count() <= 7 * 41, "and a bounded number of them");
    }
}

/// A session in which everything is seen by somebody who sends it again from three places, later than the original
/// arrives or before it does.
fn replayed(before: bool) -> World {
    let mut world = World::new([&["10.0.0.1"], &["10.0.1.1"]], ms(40));
    world.introduce();
    let mut seen = 0;
    let others = ["203.0.113.66:4444", "10.0.1.1:2222", "198.51.100.7:53"].map(address);
    while world.now < at(20_000) {
        world.run(ms(5));
        while let Some(datagram) = world.log.get(seen).cloned() {
            seen += 1;
            let request = [TransmitKind::Check, TransmitKind::Consent].map(Some).contains(&datagram.kind);
            if !request || others.contains(&datagram.to) {
                continue;
            }
            for from in others {
                if before {
                    world.rush(from, datagram.to, datagram.bytes.clone());
                } else {
                    world.inject(from, datagram.to, datagram.bytes.clone());
                }
            }
        }
    }
    world
}

#[test]
fn t08_requests_replayed_from_other_addresses_change_no_selection() {
    for before in [false, true] {
        let mut world = replayed(before);
        assert!(world.is_completed());
        world.assert_agreed();
        for (remote, side) in [("10.0.1.1:1000", 0), ("10.0.0.1:1000", 1)] {
            let side = &mut world.sides[side];
            assert_eq!(side.agent.selected(STREAM, RTP).map(|pair| pair.remote), Some(address(remote)));
            assert_eq!(side.send(b"\x80"), Ok(address(remote)));
            let selections = side.events.iter().filter(|(_, event)| matches!(event, Event::Selected { .. }));
            assert_eq!(selections.count(), 1, "once, and never again; replayed before: {before}");
        }
        assert!(world.sides.iter().all(|side| side.data.is_empty()));
    }
}

#[test]
fn t05_s11_an_answer_from_another_address_makes_no_pair_valid() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    let good = answer(check.id(), Answer::Success(bench.local(0)), Some(THEIR_PWD));
    let _ = bench.receive_at(check.from, address("203.0.113.66:4444"), &good);
    assert_eq!(bench.send(b"\x80"), Err(SendError::NoPath));
    assert!(bench.agent.pairs().all(|pair| !pair.valid));
}
