//! Bytes and sequences nobody meant.

use core::time::Duration;
use std::vec;
use std::vec::Vec;

use floe_stun::{Instant, Message, Method, Random};
use proptest::collection::vec as vec_of;
use proptest::prelude::*;

use super::server::{Act, Server, channel_data, data_indication};
use super::world::{World, addr, ip};
use crate::{AllocateError, Event, Incoming, RequestError};

#[test]
fn t25_no_error_makes_a_server_see_more_than_a_few_requests_and_none_takes_ten_seconds() {
    for code in [300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 486, 500, 508, 599, 600, 699] {
        for always in [false, true] {
            let mut server = Server::new();
            server.script = Some(std::boxed::Box::new(move |_, message| {
                if always || message.has_integrity() { Act::Error(code) } else { Act::Normal }
            }));
            let mut world = World::with(server, |_| {});
            world.client.allocate(world.now);
            let start = world.now;
            world.run(Duration::from_secs(3_600));
            let (at, event) = world.events[0];
            assert!(matches!(event, Event::AllocateFailed(_)), "{code}: {event:?}");
            assert!(at.since(start) < Duration::from_secs(10), "{code}");
            assert!(world.server.seen.len() <= 7, "{code}: {} requests", world.server.seen.len());
            assert_eq!(world.events.len(), 1);
        }
    }
}

#[test]
fn t25_a_server_that_fails_for_ever_is_asked_four_times_more() {
    let mut server = Server::new();
    server.script = Some(std::boxed::Box::new(|_, _| Act::Error(500)));
    let mut world = World::with(server, |_| {});
    world.client.allocate(world.now);
    world.run(Duration::from_secs(60));
    assert_eq!(world.server.seen.len(), 1 + 4);
    let error = AllocateError::Request(RequestError::Refused { code: 500 });
    assert_eq!(world.last(), Event::AllocateFailed(error));
}

#[test]
fn t25_t29_renewals_that_meet_errors_for_ever_stay_rare() {
    for code in [300, 400, 401, 403, 438, 441, 500, 508] {
        let mut world = World::open().permitted("203.0.113.5").bound("203.0.113.5:7000");
        world.server.script = Some(std::boxed::Box::new(move |_, _| Act::Error(code)));
        let before = world.server.seen.len();
        world.run(Duration::from_secs(600));
        let times: Vec<_> = world.server.seen[before..].iter().map(|seen| seen.at).collect();
        assert!(times.len() <= 150, "{code}: {} requests", times.len());
        let before = |at: Instant| {
            let ten_seconds = |other: &&Instant| **other <= at && at.since(**other) < Duration::from_secs(10);
            times.iter().filter(ten_seconds).count()
        };
        assert!(times.iter().all(|at| before(*at) <= 30), "{code}");
        assert!(!world.client.is_open(), "{code}: it ran out");
    }
}

/// What may happen to a client, in any order.
#[derive(Clone, Debug)]
enum Step {
    Allocate,
    Permit(u8),
    Forget(u8),
    Bind(u8),
    Unbind(u8),
    Follow,
    Password,
    Close,
    Slot,
    Wait(u32),
    Early,
    /// To the client, as from the server.
    Bytes(Vec<u8>),
    /// A real answer, with one byte changed.
    Bent(u16, u8),
    Loss(u8),
    Code(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Allocate),
        4 => (0..70_u8).prop_map(Step::Permit),
        1 => (0..70_u8).prop_map(Step::Forget),
        4 => (0..70_u8).prop_map(Step::Bind),
        1 => (0..70_u8).prop_map(Step::Unbind),
        1 => Just(Step::Follow),
        1 => Just(Step::Password),
        1 => Just(Step::Close),
        2 => Just(Step::Slot),
        6 => (0..400_000_u32).prop_map(Step::Wait),
        1 => Just(Step::Early),
        2 => vec_of(any::<u8>(), 0..60).prop_map(Step::Bytes),
        2 => (any::<u16>(), any::<u8>()).prop_map(|(at, xor)| Step::Bent(at, xor)),
        1 => (0..60_u8).prop_map(Step::Loss),
        2 => prop_oneof![Just(0), Just(300), Just(400), Just(401), Just(437), Just(438), Just(500)]
            .prop_map(Step::Code),
    ]
}

fn perform(world: &mut World, step: Step) {
    let peer =
        |number: u8| std::net::SocketAddr::new(std::net::Ipv4Addr::new(203, 0, 113, number).into(), 7_000);
    match step {
        Step::Allocate => world.client.allocate(world.now),
        Step::Permit(number) => world.client.permit(world.now, peer(number).ip()),
        Step::Forget(number) => world.client.forget(peer(number).ip()),
        Step::Bind(number) => world.client.bind_channel(world.now, peer(number)),
        Step::Unbind(number) => world.client.unbind_channel(peer(number)),
        Step::Follow => {
            let _ = world.client.follow(world.now);
        }
        Step::Password => world.client.set_password(world.now, super::server::PASSWORD).unwrap(),
        Step::Close => world.client.close(world.now),
        Step::Slot => {
            world.client.take_slot(world.now, &mut world.rng);
        }
        Step::Wait(millis) => world.run(Duration::from_millis(u64::from(millis))),
        Step::Early => world.client.handle_timeout(Instant::ORIGIN, &mut world.rng),
        Step::Bytes(bytes) => {
            let _ = world.inject(&bytes);
        }
        Step::Bent(at, xor) => {
            let mut buffer = [0; crate::MAX_REQUEST_BYTES];
            if let Some(len) = world.client.poll_transmit(&mut buffer)
                && let Some(mut answer) = world.server.handle(world.now, &buffer[..len])
            {
                let at = usize::from(at) % answer.len();
                answer[at] ^= xor;
                let _ = world.inject(&answer);
            }
        }
        Step::Loss(percent) => world.loss_percent = percent.into(),
        Step::Code(code) => {
            world.server.script = (code > 0).then(|| {
                let script: super::server::Script = std::boxed::Box::new(move |_, _| Act::Error(code));
                script
            });
        }
    }
    world.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_ends_in_peace(steps in vec_of(step(), 1..60), seed in any::<u8>()) {
        let mut server = Server::new();
        server.nonce_period = Duration::from_secs(90);
        let mut world = World::with(server, |_| {});
        world.rng = Random::from_seed([seed; 32]);
        for step in steps {
            perform(&mut world, step);
        }
        world.client.close(world.now);
        world.run(Duration::from_secs(5));
        prop_assert!(world.client.is_released());
        prop_assert_eq!(world.client.poll_timeout(), None);
        let released = world.events.iter().filter(|(_, event)| *event == Event::Released).count();
        prop_assert_eq!(released, 1);
    }

    #[test]
    fn t27_no_bytes_from_the_server_are_data_without_leave(bytes in vec_of(any::<u8>(), 0..200)) {
        let mut world = World::open().permitted("203.0.113.5");
        if let Incoming::Data { peer, payload } = world.inject(&bytes) {
            prop_assert_eq!(peer.ip(), ip("203.0.113.5"));
            prop_assert!(bytes.get(payload).is_some());
        }
    }

    #[test]
    fn the_payload_that_is_found_is_the_payload_that_was_sent(payload in vec_of(any::<u8>(), 0..1_200)) {
        let mut world = World::open().bound("203.0.113.5:7000");
        let number = world.client.channel(addr("203.0.113.5:7000")).unwrap().0.get();
        let indication = data_indication(Some(addr("203.0.113.5:9")), Some(&payload), None);
        for datagram in [channel_data(number, &payload), indication] {
            match world.inject(&datagram) {
                Incoming::Data { payload: range, .. } => prop_assert_eq!(&datagram[range], &payload[..]),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}

#[test]
fn an_answer_to_another_method_or_id_counts_for_nothing() {
    let mut world = World::new();
    world.slots = false;
    world.connected = false;
    world.client.allocate(world.now);
    assert!(world.client.take_slot(world.now, &mut world.rng));
    let mut buffer = [0; 1_500];
    let len = world.client.poll_transmit(&mut buffer).unwrap();
    let answer = world.server.handle(world.now, &buffer[..len]).unwrap();
    assert_eq!(Message::parse(&answer).unwrap().method(), Method::ALLOCATE);
    let mut refresh = answer.clone();
    refresh[1] = 0x14;
    assert_eq!(Message::parse(&refresh).unwrap().method(), Method::REFRESH);
    let mut other_id = answer.clone();
    other_id[19] ^= 1;
    for forged in [refresh, other_id] {
        assert!(matches!(world.inject(&forged), Incoming::Dropped(_)));
        assert!(!world.client.wants_slot());
    }
    assert_eq!(world.inject(&answer), Incoming::Taken);
    assert!(world.client.wants_slot());
}
