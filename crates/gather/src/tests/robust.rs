//! Any order of inputs, and the same inputs twice.

use core::time::Duration;

use alloc::{vec, vec::Vec};
use floe_pair::{ComponentId, Place, SocketId, StreamId};
use floe_stun::{Instant, Message, Random};
use proptest::prelude::*;

use super::lab::{Lab, RTCP, RTP, at, config, interface};
use super::script::{stun, turn};
use crate::{
    Answer, Config, ConfigError, Event, Gatherer, Interface, InterfaceFlags, Request, RequestFailure,
    RequestId,
};

#[derive(Clone, Debug)]
enum Input {
    Start(u16),
    Interfaces(u8),
    Remove(u16),
    Answer { id: u32, answer: u8, socket: u32 },
    AnswerAsked { answer: u8, socket: u32 },
    Message { socket: u32, bytes: Vec<u8> },
    Slot,
    Timeout,
    Later(u64),
    Back(u64),
    StopRefreshing,
    Conclude,
    Release,
    Restart,
    Leave,
    Close,
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        1 => (0..4_u16).prop_map(Input::Start),
        2 => any::<u8>().prop_map(Input::Interfaces),
        1 => (0..4_u16).prop_map(Input::Remove),
        2 => (0..40_u32, any::<u8>(), 0..20_u32).prop_map(|(id, answer, socket)| Input::Answer { id, answer, socket }),
        6 => (any::<u8>(), 0..60_u32).prop_map(|(answer, socket)| Input::AnswerAsked { answer, socket }),
        1 => (0..9_u32, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(socket, bytes)| Input::Message { socket, bytes }),
        6 => Just(Input::Slot),
        4 => Just(Input::Timeout),
        2 => (0..60_000_u64).prop_map(Input::Later),
        1 => (0..60_000_u64).prop_map(Input::Back),
        1 => Just(Input::StopRefreshing),
        1 => Just(Input::Conclude),
        1 => Just(Input::Release),
        2 => Just(Input::Restart),
        1 => Just(Input::Leave),
        1 => Just(Input::Close),
    ]
}

fn answer(kind: u8, socket: u32) -> Answer {
    let ip = |last: u8| core::net::IpAddr::from([10, 0, last, 1]);
    match kind % 6 {
        0 | 1 => Answer::Bound { socket: SocketId(socket), local: at("0.0.0.0:7000") },
        2 => Answer::Bound {
            socket: SocketId(socket),
            local: floe_pair::TransportAddress::new(ip(kind), 7_000),
        },
        3 => Answer::Failed(RequestFailure::AddressInUse),
        4 => Answer::Resolved(vec![ip(kind), at("198.51.100.2:0").ip(), at("127.0.0.1:0").ip()]),
        _ => Answer::Connected { socket: SocketId(socket), local: at("10.0.0.1:1") },
    }
}

/// Gives the input; returns the requests that came of everything.
fn apply(
    gatherer: &mut Gatherer,
    now: &mut Instant,
    rng: &mut Random,
    asked: &mut Vec<RequestId>,
    input: &Input,
) {
    match input {
        Input::Start(stream) => gatherer.start(*now, &[(StreamId(*stream), ComponentId::RTP), RTCP]),
        Input::Interfaces(mask) => {
            let ips = [
                "10.0.0.1",
                "10.0.1.1",
                "10.0.2.1",
                "2001:db8::1",
                "127.0.0.1",
                "fe80::1",
                "10.0.3.1",
                "224.0.0.1",
            ];
            let list: Vec<_> = ips
                .iter()
                .enumerate()
                .filter(|(bit, _)| mask >> bit & 1 == 1)
                .map(|(_, ip)| {
                    let one = interface(ip);
                    // The last one is no candidate in any case: its bit says that the IPv6 address is deprecated.
                    let old = mask & 0x80 != 0 && ip.contains(':');
                    Interface { flags: one.flags.with(InterfaceFlags::DEPRECATED, old), ..one }
                })
                .collect();
            gatherer.handle_interfaces(*now, &list);
        }
        Input::Remove(stream) => gatherer.remove_component(*now, StreamId(*stream), ComponentId::RTP),
        Input::Answer { id, answer: kind, socket } => {
            gatherer.handle_answer(*now, RequestId(*id), answer(*kind, *socket));
        }
        Input::AnswerAsked { answer: kind, socket } => {
            if let Some(id) = asked.pop() {
                gatherer.handle_answer(*now, id, answer(*kind, *socket));
            }
        }
        Input::Message { socket, bytes } => {
            let place = Place { socket: SocketId(*socket), local_ip: at("10.0.0.1:0").ip() };
            if let Some(base) = gatherer.relay_at(place, at("198.51.100.2:3478")) {
                let relay = gatherer.relay_mut(base).expect("it was found");
                let _ = relay.client.handle_datagram(*now, bytes, rng);
            }
            if let Ok(message) = Message::parse(bytes) {
                gatherer.handle_message(*now, place, at("198.51.100.1:3478"), &message);
            }
        }
        Input::Slot => {
            assert_eq!(gatherer.wants_slot(), gatherer.take_slot(*now, rng));
        }
        Input::Timeout => {
            *now = gatherer.poll_timeout().unwrap_or(*now).max(*now);
            gatherer.handle_timeout(*now, rng);
        }
        Input::Later(ms) => *now = now.after(Duration::from_millis(*ms)),
        Input::Back(ms) => {
            gatherer.handle_timeout(Instant::from_millis(now.as_millis().saturating_sub(*ms)), rng);
        }
        Input::StopRefreshing => gatherer.stop_refreshing(),
        Input::Conclude => gatherer.conclude(*now),
        Input::Release => gatherer.release_unused(*now, |relay| relay.base.0 % 2 == 0),
        Input::Restart => gatherer.restart(*now),
        Input::Leave => {
            gatherer.release_left(*now, |base| base.0 % 2 == 0);
            gatherer.release_skipped(*now, |base| base.0 % 3 == 0);
        }
        Input::Close => gatherer.close(*now),
    }
}

fn drain(gatherer: &mut Gatherer, asked: &mut Vec<RequestId>) -> usize {
    let mut buffer = [0; 1_500];
    let mut complete = 0;
    while gatherer.poll_transmit(&mut buffer).is_some() {}
    while let Some(request) = gatherer.poll_request() {
        asked.extend(request.id());
        assert!(!matches!(request, Request::Connect { .. }));
    }
    while let Some(event) = gatherer.poll_event() {
        complete += usize::from(matches!(event, Event::Complete));
    }
    assert!(gatherer.poll_request().is_none(), "events lead to no requests");
    complete
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_inputs_panics_or_stalls(inputs in prop::collection::vec(input(), 0..120)) {
        let urls = ["stun:198.51.100.1", "turn:198.51.100.2", "turn:turn.example.org"];
        let mut gatherer = Gatherer::new(Config { loopback: true, ..config(&urls) }).expect("good");
        let (mut now, mut rng, mut asked) = (Instant::ORIGIN, Random::from_seed([9; 32]), vec![]);
        for input in &inputs {
            apply(&mut gatherer, &mut now, &mut rng, &mut asked, input);
            drain(&mut gatherer, &mut asked);
        }
        // From here on only timers run: all come to an end, and each does something.
        gatherer.stop_refreshing();
        gatherer.close(now);
        drain(&mut gatherer, &mut asked);
        for _ in 0..10_000 {
            let Some(at) = gatherer.poll_timeout() else { break };
            now = now.max(at);
            gatherer.handle_timeout(now, &mut rng);
            drain(&mut gatherer, &mut asked);
        }
        prop_assert_eq!(gatherer.poll_timeout(), None);
        prop_assert!(gatherer.is_closed());
    }

    #[test]
    fn gathering_ends_in_time_whatever_is_answered(answers in prop::collection::vec((any::<u8>(), 0..200_u32), 0..40)) {
        let mut gatherer = Gatherer::new(config(&["stun:198.51.100.1", "turn:turn.example.org"])).expect("good");
        let (mut now, mut rng, mut asked) = (Instant::from_millis(5), Random::from_seed([9; 32]), vec![]);
        let end = now.after(Duration::from_millis(39_500));
        gatherer.start(now, &[RTP]);
        gatherer.handle_interfaces(now, &[interface("10.0.0.1"), interface("10.0.1.1")]);
        let mut complete = drain(&mut gatherer, &mut asked);
        for (kind, socket) in answers {
            apply(&mut gatherer, &mut now, &mut rng, &mut asked, &Input::AnswerAsked { answer: kind, socket });
            while gatherer.take_slot(now, &mut rng) {}
            complete += drain(&mut gatherer, &mut asked);
        }
        while let Some(at) = gatherer.poll_timeout().filter(|at| *at <= end) {
            now = now.max(at);
            gatherer.handle_timeout(now, &mut rng);
            while gatherer.take_slot(now, &mut rng) {}
            complete += drain(&mut gatherer, &mut asked);
        }
        prop_assert_eq!(complete, 1);
        prop_assert!(gatherer.is_complete());
    }
}

#[test]
fn equal_inputs_give_equal_outputs() {
    let run = || {
        let (_, script) = turn("198.51.100.2:0");
        let mut lab = Lab::new(config(&["turn:198.51.100.2", "stun:198.51.100.1"])).behind_nat();
        lab = lab.server("198.51.100.2:3478", script).server("198.51.100.1:3478", stun());
        lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(Duration::from_secs(40));
        (alloc::format!("{:?}", lab.events), lab.sent, lab.requests)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_clock_that_goes_back_is_taken_as_standing_still() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"]));
    lab.start(&["10.0.0.7"]).run(Duration::from_secs(2));
    let due = lab.gatherer.poll_timeout();
    lab.gatherer.handle_timeout(Instant::ORIGIN, &mut lab.rng);
    assert_eq!(lab.gatherer.poll_timeout(), due);
}

#[test]
fn reports_nobody_reads_are_bounded_and_counted() {
    let mut gatherer = Gatherer::new(Config::default()).expect("defaults");
    for last in 0..=u8::MAX {
        for third in 0..4 {
            let ip = alloc::format!("127.0.{third}.{last}");
            gatherer.handle_interfaces(Instant::ORIGIN, &[interface(&ip)]);
        }
    }
    let events: Vec<_> = core::iter::from_fn(|| gatherer.poll_event()).collect();
    assert!(matches!(events[0], Event::EventsLost(768)));
    assert_eq!(events.len(), 1 + 256);
}

#[test]
fn configurations_out_of_range_are_refused() {
    let ta = |ms| Gatherer::new(Config { ta: Duration::from_millis(ms), ..Config::default() }).err();
    assert_eq!(ta(4), Some(ConfigError::Ta(Duration::from_millis(4))));
    assert_eq!(ta(501), Some(ConfigError::Ta(Duration::from_millis(501))));
    assert_eq!((ta(5), ta(500)), (None, None));
    let urls = ["stun:198.51.100.1"; 17];
    assert_eq!(Gatherer::new(config(&urls)).err(), Some(ConfigError::TooManyServers { given: 17 }));
    let refresh = Duration::from_millis(999);
    assert_eq!(
        Gatherer::new(Config { refresh, ..Config::default() }).err(),
        Some(ConfigError::Refresh(refresh))
    );
}
