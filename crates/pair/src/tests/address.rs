use core::net::{SocketAddr, SocketAddrV6};
use core::str::FromStr;
use std::string::ToString;

use proptest::prelude::*;

use super::{address, any_address, any_ip};
use crate::{Candidate, Foundation, TransportAddress};

#[test]
fn v4_mapped_is_ipv4() {
    assert_eq!(address("[::ffff:192.0.2.1]:5000"), address("192.0.2.1:5000"));
    assert!(address("[::ffff:192.0.2.1]:5000").is_ipv4());
    assert!(address("[::192.0.2.1]:5000").is_ipv6(), "IPv4-compatible is another form");
}

#[test]
fn flow_labels_go_and_scopes_stay_with_link_local_only() {
    let scoped = |ip: &str| {
        let ip = ip.parse().expect("IPv6");
        TransportAddress::from(SocketAddr::V6(SocketAddrV6::new(ip, 7, 0xABCDE, 3)))
    };
    assert_eq!(scoped("2001:db8::1"), address("[2001:db8::1]:7"));
    assert_eq!(scoped("fe80::1"), address("[fe80::1]:7").with_scope(3));
    assert_ne!(scoped("fe80::1"), address("[fe80::1]:7"));
    assert_eq!(scoped("fe80::1").with_scope(0), address("[fe80::1]:7"));
    assert_eq!(scoped("fe80::1").to_string(), "[fe80::1%3]:7");
    assert_eq!(address("[fe80::1%3]:7"), scoped("fe80::1"));
}

#[test]
fn kinds_of_addresses() {
    #[track_caller]
    fn is(text: &str, [link_local, loopback, unspecified, unicast]: [bool; 4]) {
        let address = TransportAddress::new(FromStr::from_str(text).expect("an IP address"), 1);
        let found =
            [address.is_link_local(), address.is_loopback(), address.is_unspecified(), address.is_unicast()];
        assert_eq!(found, [link_local, loopback, unspecified, unicast], "{text}");
    }
    is("192.0.2.1", [false, false, false, true]);
    is("127.255.0.9", [false, true, false, true]);
    is("169.254.1.1", [false, false, false, true]);
    is("0.0.0.0", [false, false, true, false]);
    is("224.0.0.251", [false, false, false, false]);
    is("255.255.255.255", [false, false, false, false]);
    is("::1", [false, true, false, true]);
    is("::", [false, false, true, false]);
    is("fe80::1", [true, false, false, true]);
    is("febf::1", [true, false, false, true]);
    is("fec0::1", [false, false, false, true]);
    is("ff02::fb", [false, false, false, false]);
    is("::ffff:127.0.0.1", [false, true, false, true]);
}

#[test]
fn concealed_is_of_the_same_family() {
    assert_eq!(address("10.0.0.1:5000").concealed(), address("0.0.0.0:9"));
    assert_eq!(address("[2001:db8::1]:5000").concealed(), address("[::]:9"));
}

#[test]
fn t1_values_held_by_the_hundred_are_small() {
    assert_eq!(size_of::<TransportAddress>(), 24);
    assert_eq!(size_of::<Option<TransportAddress>>(), 24);
    assert_eq!(size_of::<Foundation>(), 32);
    assert!(size_of::<Candidate>() <= 88, "{}", size_of::<Candidate>());
}

proptest! {
    #[test]
    fn text_and_socket_form_come_back(one in any_address(), scope: u32) {
        let one = one.with_scope(scope);
        prop_assert_eq!(one.to_string().parse(), Ok(one));
        prop_assert_eq!(TransportAddress::from(one.socket_addr()), one);
        prop_assert_eq!(TransportAddress::new(one.ip(), one.port()).with_scope(one.scope()), one);
    }

    #[test]
    fn ip_is_kept_in_its_canonical_form(ip in any_ip(), port: u16) {
        let one = TransportAddress::new(ip, port);
        prop_assert_eq!((one.ip(), one.port()), (ip.to_canonical(), port));
        prop_assert_eq!(one.is_ipv4(), ip.to_canonical().is_ipv4());
    }

    #[test]
    fn order_is_that_of_socket_addresses(a in any_address(), b in any_address()) {
        prop_assert_eq!(a.cmp(&b), a.socket_addr().cmp(&b.socket_addr()));
    }
}
