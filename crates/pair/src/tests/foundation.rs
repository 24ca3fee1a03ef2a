use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::IpAddr;
use std::format;
use std::string::ToString;

use proptest::prelude::*;

use super::{any_kind, any_transport, ice_chars};
use crate::{CandidateType, Foundation, FoundationError, Foundations, Protocol, TcpType, Transport};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

#[test]
fn ice_05_lengths_and_alphabet() {
    assert_eq!("".parse::<Foundation>(), Err(FoundationError::Length(0)));
    for length in 1..=32 {
        let text = "z".repeat(length);
        assert_eq!(text.parse::<Foundation>().map(|f| f.to_string()), Ok(text));
    }
    assert_eq!("z".repeat(33).parse::<Foundation>(), Err(FoundationError::Length(33)));
    assert_eq!("a-b".parse::<Foundation>(), Err(FoundationError::NotIceChar { index: 1 }));
    assert_eq!(Foundation::from_bytes(b"a\0"), Err(FoundationError::NotIceChar { index: 1 }));
    assert_ne!("A".parse::<Foundation>(), "a".parse::<Foundation>());
    assert_eq!(format!("{:?}", "a0+B/1".parse::<Foundation>()), "Ok(Foundation(a0+B/1))");
}

#[test]
fn ice_05_each_part_of_the_key_counts_and_nothing_else() {
    use CandidateType::{Host, Relayed, ServerReflexive};
    let mut given = Foundations::new();
    let (a, b, s, t) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("198.51.100.1"), ip("2001:db8::1"));
    let first = given.foundation_of(ServerReflexive, a, Some(s), Protocol::Udp);
    assert_eq!(given.foundation_of(ServerReflexive, a, Some(s), Protocol::Udp), first);
    assert_ne!(given.foundation_of(Relayed, a, Some(s), Protocol::Udp), first, "another type");
    assert_ne!(given.foundation_of(ServerReflexive, b, Some(s), Protocol::Udp), first, "another base");
    assert_ne!(given.foundation_of(ServerReflexive, a, Some(t), Protocol::Udp), first, "another server");
    assert_ne!(given.foundation_of(ServerReflexive, a, Some(s), Protocol::Tcp), first, "another protocol");

    let tcp = given.foundation_of(Host, a, None, Transport::Tcp(TcpType::Active));
    assert_eq!(
        given.foundation_of(Host, a, None, Transport::Tcp(TcpType::Passive)),
        tcp,
        "direction is no protocol"
    );
    assert_eq!(given.foundation_of(Host, a, Some(s), Protocol::Tcp), tcp, "a host candidate has no server");
    assert_eq!(
        given.foundation_of(Host, ip("::ffff:192.0.2.1"), None, Protocol::Tcp),
        tcp,
        "one address, two texts"
    );
}

#[test]
fn ice_29_the_foundation_of_a_learned_candidate_is_like_no_other() {
    let mut given = Foundations::new();
    let (one, two) = (given.unique(), given.unique());
    assert_ne!(one, two);
    let signalled: Foundation = one.as_str().parse().expect("its text is a foundation");
    assert_ne!(signalled, one, "not even like the one a peer signals with the same text");
    assert_eq!(signalled.as_str(), one.as_str());
}

#[test]
fn ice_29_the_mark_of_a_learned_candidate_collides_with_no_text_of_full_length() {
    let mut given = Foundations::new();
    let learned: BTreeSet<_> = (0..2_000).map(|_| given.unique()).collect();
    assert_eq!(learned.len(), 2_000);
    assert!(
        learned
            .iter()
            .all(|one| one.as_str().parse::<Foundation>().is_ok_and(|text| !learned.contains(&text)))
    );
}

#[test]
fn t1_foundations_remembered_are_bounded() {
    let mut given = Foundations::new();
    let of = |number: usize| IpAddr::from(u32::try_from(number).expect("small").to_be_bytes());
    let all: Vec<_> = (0..3 * Foundations::MAX_KNOWN)
        .map(|number| given.foundation_of(CandidateType::Host, of(number), None, Protocol::Udp))
        .collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "still all different");
    let mut again = |number| given.foundation_of(CandidateType::Host, of(number), None, Protocol::Udp);
    assert_eq!(again(0), all[0]);
    assert_ne!(
        again(2 * Foundations::MAX_KNOWN),
        all[2 * Foundations::MAX_KNOWN],
        "beyond the bound none is remembered"
    );
}

proptest! {
    #[test]
    fn ice_05_equal_exactly_when_the_keys_are(
        keys in proptest::collection::vec((any_kind(), 0_u8..3, proptest::option::of(0_u8..3), any_transport()), 1..60)
    ) {
        let mut given = Foundations::new();
        let mut seen = BTreeMap::new();
        for (kind, base, server, transport) in keys {
            let foundation = given.foundation_of(
                kind,
                [192, 0, 2, base].into(),
                server.map(|server| [198, 51, 100, server].into()),
                transport,
            );
            let server = server.filter(|_| kind != CandidateType::Host);
            let key = (kind, base, server, transport.protocol());
            prop_assert_eq!(*seen.entry(key).or_insert(foundation), foundation);
            prop_assert_eq!(seen.values().filter(|known| **known == foundation).count(), 1);
        }
    }

    #[test]
    fn ice_05_order_and_text_agree(a in ice_chars(1..=32), b in ice_chars(1..=32)) {
        let (first, second): (Foundation, Foundation) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        prop_assert_eq!(first.as_str(), a);
    }
}
