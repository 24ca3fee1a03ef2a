use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::format;
use std::string::String;

use proptest::prelude::*;

use super::{ALL_TRANSPORTS, address, any_address};
use crate::{CandidateType, LocalAddress, LocalPreference, LocalPreferences, Transport, TransportAddress};

fn v4(number: u32) -> LocalAddress {
    let ip = IpAddr::V4(Ipv4Addr::from(0xC000_0200 + number));
    LocalAddress { address: TransportAddress::new(ip, 0), reliable: true }
}

fn v6(number: u16) -> LocalAddress {
    let ip = IpAddr::V6(Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, number));
    LocalAddress { address: TransportAddress::new(ip, 0), reliable: true }
}

fn of(preferences: &LocalPreferences, local: LocalAddress) -> Option<u16> {
    let found = preferences.get(local.address.with_port(5000), CandidateType::Host, Transport::Udp, 0);
    found.map(LocalPreference::get)
}

/// Families in the order of preference, as digits.
fn families(addresses: &[LocalAddress]) -> String {
    let preferences = LocalPreferences::new(addresses.iter().copied());
    let mut order: Vec<_> = addresses.iter().map(|local| (of(&preferences, *local), local.address)).collect();
    order.sort_by(|a, b| b.cmp(a));
    order.iter().map(|(_, address)| if address.is_ipv4() { '4' } else { '6' }).collect()
}

#[test]
fn ice_07_the_greatest_preference_is_for_a_single_address() {
    assert_eq!(of(&LocalPreferences::new([v4(1)]), v4(1)), Some(65535));
    assert_eq!(of(&LocalPreferences::new([v4(1), v4(1)]), v4(1)), Some(65535), "told twice");
    let two = LocalPreferences::new([v4(1), v4(2)]);
    assert!(of(&two, v4(1)) < Some(65535) && of(&two, v4(2)) < of(&two, v4(1)), "order of the list is kept");
    assert_eq!(of(&two, v4(3)), None);
}

#[test]
fn ice_07_bases_of_one_address_share_its_preference_whatever_the_port() {
    let preferences =
        LocalPreferences::new([LocalAddress { address: address("192.0.2.1:1"), reliable: true }]);
    let at = |text| preferences.get(address(text), CandidateType::Host, Transport::Udp, 0);
    assert_eq!(at("192.0.2.1:2"), Some(LocalPreference::MAX));
    assert_eq!(at("192.0.2.1:3"), at("192.0.2.1:2"));
}

#[test]
fn ice_07_link_local_addresses_of_two_links_are_two() {
    let (one, two) = (address("[fe80::1%1]:0"), address("[fe80::1%2]:0"));
    let local = |address| LocalAddress { address, reliable: true };
    let preferences = LocalPreferences::new([local(one), local(two)]);
    assert_ne!(of(&preferences, local(one)), of(&preferences, local(two)));
}

#[test]
fn dst_01_families_are_interleaved_after_the_head_start() {
    #[track_caller]
    fn is(v6_count: u16, v4_count: u32, expected: &str) {
        let v4_first: Vec<_> = (1..=v4_count).map(v4).chain((1..=v6_count).map(v6)).collect();
        let v6_first: Vec<_> = v4_first.iter().rev().copied().collect();
        assert_eq!(families(&v4_first), expected);
        assert_eq!(families(&v6_first), expected, "whatever the order they are told in");
    }
    // The example of RFC 8421 §4: an IPv4 address after four IPv6 addresses.
    is(6, 2, "66664646");
    is(1, 1, "64");
    is(2, 1, "664");
    is(2, 2, "6644");
    is(3, 3, "664644");
    is(1, 3, "6444");
    is(5, 0, "66666");
    is(0, 3, "444");
    is(0, 0, "");
}

#[test]
fn dst_02_unreliable_addresses_come_last_and_are_not_counted() {
    let unreliable = |local| LocalAddress { reliable: false, ..local };
    let addresses = [unreliable(v6(1)), v4(1), unreliable(v6(2)), v6(3), unreliable(v4(2))];
    let preferences = LocalPreferences::new(addresses.iter().copied());
    let expected = [v6(3), v4(1), v6(1), v6(2), v4(2)];
    let found: Vec<_> = expected.iter().map(|local| of(&preferences, *local)).collect();
    assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
    let counted =
        [v6(1), v6(2), v6(3), v6(4), v4(1), unreliable(v4(2)), unreliable(v4(3)), unreliable(v4(4))];
    assert_eq!(families(&counted), "66664444", "the head start is that of five addresses, not of eight");
    assert_eq!(families(&[v4(1), v6(1)]), "64", "without information all are equal");
}

#[test]
fn ice_07_an_address_that_appears_later_gets_an_unused_preference() {
    let mut preferences = LocalPreferences::new([v4(1)]);
    assert!(preferences.insert(v6(1).address) && preferences.insert(v4(2).address));
    let found = [of(&preferences, v4(1)), of(&preferences, v6(1)), of(&preferences, v4(2))];
    assert_eq!(found[0], Some(65535), "what was signalled stays");
    assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");

    preferences.remove(v6(1).address);
    assert_eq!(of(&preferences, v6(1)), None);
    assert!(preferences.insert(v4(3).address) && of(&preferences, v4(3)) < found[2], "not the freed one");
    assert!(preferences.insert(v6(1).address));
    assert_eq!(of(&preferences, v6(1)), found[1], "the same address gets the same one again");
}

#[test]
fn ice_07_the_first_address_that_appears_is_a_single_one() {
    let mut preferences = LocalPreferences::default();
    assert!(preferences.insert(v4(1).address));
    assert_eq!(of(&preferences, v4(1)), Some(65535));
}

#[test]
fn p05_addresses_beyond_the_bound_get_none_until_one_is_gone() {
    let addresses: Vec<_> = (0..300).map(v4).collect();
    let mut preferences = LocalPreferences::new(addresses.iter().copied());
    let distinct: BTreeSet<_> = addresses.iter().filter_map(|local| of(&preferences, *local)).collect();
    assert_eq!(distinct.len(), LocalPreferences::MAX_ADDRESSES);
    assert!(!preferences.insert(v6(1).address));
    let freed = of(&preferences, v4(7));
    preferences.remove(v4(7).address);
    assert!(preferences.insert(v6(1).address) && !preferences.insert(v6(2).address));
    assert_eq!(of(&preferences, v6(1)), freed);
}

proptest! {
    #[test]
    fn ice_07_unique_among_candidates_of_one_type_and_component(
        told in proptest::collection::vec((any_address(), any::<bool>()), 0..40),
        later in proptest::collection::vec(any_address(), 0..10),
        sources in 1..=LocalPreferences::MAX_SOURCES,
    ) {
        let told: Vec<_> = told.into_iter().map(|(address, reliable)| LocalAddress { address, reliable }).collect();
        let mut preferences = LocalPreferences::new(told.iter().copied());
        for address in &later {
            prop_assert!(preferences.insert(*address));
        }
        let bases: BTreeSet<_> =
            told.iter().map(|local| local.address).chain(later).map(|address| address.with_port(0)).collect();
        for kind in CandidateType::ALL {
            let mut seen = BTreeSet::new();
            for (base, transport) in bases.iter().flat_map(|base| ALL_TRANSPORTS.map(|transport| (base, transport))) {
                for source in 0..sources {
                    let preference = preferences.get(*base, kind, transport, source);
                    prop_assert!(preference.is_some());
                    prop_assert!(seen.insert(preference), "{} {:?} {}", base, transport, source);
                }
                prop_assert_eq!(preferences.get(*base, kind, transport, LocalPreferences::MAX_SOURCES), None);
            }
        }
    }
}

#[test]
fn dst_01_the_order_of_a_family_is_kept() {
    let told: Vec<_> = (1..=9).map(v6).chain((1..=4).map(v4)).collect();
    let preferences = LocalPreferences::new(told.iter().copied());
    for family in [&told[..9], &told[9..]] {
        let found: Vec<_> = family.iter().map(|local| of(&preferences, *local)).collect();
        assert!(found.is_sorted_by(|a, b| a > b), "{}", format!("{found:?}"));
    }
}
