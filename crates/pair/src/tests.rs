//! Tests of the crate, one file for each concept. Names begin with the id of the requirement they prove.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, as it should")]

mod address;
mod corpora;
mod credential;
mod forming;
mod foundation;
mod line;
mod line_property;
mod local_preference;
mod priority;
mod prune;
mod sdp;
#[cfg(feature = "serde")]
mod serde_text;

use alloc::string::String;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;

use crate::{
    Candidate, CandidateLine, CandidateType, ComponentId, Priority, TcpType, Transport, TransportAddress,
};

/// The address `text` names.
#[track_caller]
fn address(text: &str) -> TransportAddress {
    text.parse().expect("an address")
}

/// The line `text` is.
#[track_caller]
fn line(text: &str) -> CandidateLine {
    match text.parse() {
        Ok(line) => line,
        Err(error) => panic!("{text}: {error}"),
    }
}

/// A host candidate for RTP.
#[track_caller]
fn host(transport: Transport, at: &str) -> Candidate {
    Candidate {
        component: ComponentId::RTP,
        kind: CandidateType::Host,
        transport,
        address: address(at),
        priority: Priority::MIN,
        foundation: "1".parse().expect("a foundation"),
        related: None,
    }
}

const ALL_TRANSPORTS: [Transport; 4] = [
    Transport::Udp,
    Transport::Tcp(TcpType::Active),
    Transport::Tcp(TcpType::Passive),
    Transport::Tcp(TcpType::SimultaneousOpen),
];

prop_compose! {
    fn any_ip()(v4 in any::<[u8; 4]>(), v6 in any::<[u16; 8]>(), which in 0..3) -> core::net::IpAddr {
        match which {
            0 => Ipv4Addr::from(v4).into(),
            1 => Ipv6Addr::from(v6).into(),
            _ => Ipv6Addr::new(0xFE80, 0, 0, 0, v6[0], v6[1], v6[2], v6[3]).into(),
        }
    }
}

prop_compose! {
    fn any_address()(ip in any_ip(), port: u16) -> TransportAddress {
        TransportAddress::from(SocketAddr::new(ip, port))
    }
}

fn ice_chars(length: core::ops::RangeInclusive<usize>) -> impl Strategy<Value = String> {
    let (least, most) = length.into_inner();
    proptest::string::string_regex(&std::format!("[A-Za-z0-9+/]{{{least},{most}}}"))
        .expect("a regular expression")
}

fn any_kind() -> impl Strategy<Value = CandidateType> {
    proptest::sample::select(CandidateType::ALL.as_slice())
}

fn any_transport() -> impl Strategy<Value = Transport> {
    proptest::sample::select(ALL_TRANSPORTS.as_slice())
}

prop_compose! {
    fn any_candidate()(
        component in 1_u16..=256,
        kind in any_kind(),
        transport in any_transport(),
        address in any_address(),
        port in 1_u16..,
        priority in 1_u32..1 << 31,
        foundation in ice_chars(1..=32),
        related in proptest::option::of(any_address()),
    ) -> Candidate {
        let active = transport == Transport::Tcp(TcpType::Active);
        Candidate {
            component: ComponentId::new(component).expect("in range"),
            kind,
            transport,
            address: address.with_port(if active { 9 } else { port }),
            priority: Priority::new(priority).expect("in range"),
            foundation: foundation.parse().expect("ice-chars"),
            related: (kind != CandidateType::Host).then(|| related.unwrap_or(address.concealed())),
        }
    }
}
