//! What a handle allows, to the nanosecond and to the byte.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use floe_pair::SocketId;
use floe_stun::channel::ChannelData;
use proptest::prelude::*;

use super::*;

const SERVER: TransportAddress = TransportAddress::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3478);
const DEADLINE: Instant = Instant::from_nanos(7_000_000_123);

fn handle(framing: Framing) -> PathHandle {
    let from = Place { socket: SocketId(4), local_ip: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)) };
    let path = Path { from, to: SERVER, framing, dscp: Dscp::BEST_EFFORT, generation: 1 };
    PathHandle::new(path, DEADLINE)
}

fn channel(number: u16) -> Framing {
    Framing::Channel(ChannelNumber::new(number).unwrap())
}

fn nanosecond_before(instant: Instant) -> Instant {
    Instant::from_nanos(instant.as_nanos() - 1)
}

#[test]
fn t15_not_one_byte_at_or_after_the_deadline() {
    for framing in [Framing::Direct, channel(0x4000), Framing::Stream] {
        let handle = handle(framing);
        assert!(handle.frame(Instant::ORIGIN, 1).is_ok());
        assert!(handle.frame(nanosecond_before(DEADLINE), 1).is_ok());
        assert_eq!(handle.frame(DEADLINE, 1), Err(PathError::Expired));
        assert_eq!(handle.frame(DEADLINE, usize::MAX), Err(PathError::Expired));
        assert_eq!(handle.frame(Instant::from_nanos(u64::MAX), 0), Err(PathError::Expired));
    }
}

#[test]
fn the_deadline_moves_under_those_who_hold_a_copy() {
    let handle = handle(Framing::Direct);
    let copy = handle.clone();
    let later = Instant::from_nanos(DEADLINE.as_nanos() + 1);
    handle.extend(later);
    assert_eq!(copy.deadline(), later);
    assert!(copy.frame(DEADLINE, 1).is_ok());
    assert_eq!(copy.frame(later, 1), Err(PathError::Expired));
    handle.revoke();
    assert_eq!(
        copy.frame(Instant::ORIGIN, 0),
        Err(PathError::Expired),
        "at any time, also by a clock at its origin"
    );
}

#[test]
fn handles_are_the_same_by_identity_not_by_value() {
    let handle = handle(Framing::Direct);
    assert!(handle.is_same(&handle.clone()));
    assert!(!handle.is_same(&self::handle(Framing::Direct)));
}

#[test]
fn each_framing_has_its_longest_payload() {
    for (framing, most, header) in
        [(Framing::Direct, 65_507, 0), (channel(0x4FFF), 65_503, 4), (Framing::Stream, 65_535, 2)]
    {
        let handle = handle(framing);
        let frame = handle.frame(Instant::ORIGIN, most).unwrap();
        assert_eq!(frame.header().len(), header);
        assert_eq!((frame.from, frame.to, frame.dscp), (handle.path().from, SERVER, Dscp::BEST_EFFORT));
        assert_eq!(handle.frame(Instant::ORIGIN, most + 1), Err(PathError::TooLong(most)));
        assert_eq!(handle.frame(Instant::ORIGIN, usize::MAX), Err(PathError::TooLong(most)));
    }
}

/// RFC 8656 §12.4, and RFC 4571 §2 for a stream.
#[test]
fn headers_byte_for_byte() {
    let header = |framing, len| {
        let frame = handle(framing).frame(Instant::ORIGIN, len).unwrap();
        <Vec<u8>>::from(frame.header())
    };
    assert_eq!(header(Framing::Direct, 9), []);
    assert_eq!(header(channel(0x4000), 0), [0x40, 0, 0, 0]);
    assert_eq!(
        header(channel(0x4ABC), 5),
        [0x4A, 0xBC, 0, 5],
        "the length without padding, which UDP needs not"
    );
    assert_eq!(header(channel(0x4FFF), 0x1234), [0x4F, 0xFF, 0x12, 0x34]);
    assert_eq!(header(Framing::Stream, 0x0102), [1, 2]);
}

proptest! {
    #[test]
    fn channel_data_is_read_as_it_was_framed(
        number in 0x4000..=0x4FFF_u16,
        payload in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        let frame = handle(channel(number)).frame(Instant::ORIGIN, payload.len()).unwrap();
        let datagram = [frame.header(), &payload].concat();
        let read = ChannelData::parse(&datagram).unwrap();
        prop_assert_eq!((read.number.get(), read.payload), (number, payload.as_slice()));
    }

    #[test]
    fn t15_the_deadline_alone_decides(now in any::<u64>(), deadline in any::<u64>()) {
        let handle = handle(Framing::Direct);
        handle.extend(Instant::from_nanos(deadline));
        prop_assert_eq!(handle.frame(Instant::from_nanos(now), 1).is_ok(), now < deadline);
    }
}
