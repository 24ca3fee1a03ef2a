use proptest::prelude::*;

use super::{ALL_TRANSPORTS, any_candidate, host};
use crate::{Candidate, ComponentId, TcpType, Transport, Unpairable, can_pair, pairing};

#[track_caller]
fn udp(local: &str, remote: &str) -> Result<(), Unpairable> {
    pairing(&host(Transport::Udp, local), &host(Transport::Udp, remote))
}

#[test]
fn ice_11_link_local_ipv6_only_with_link_local() {
    assert_eq!(udp("[fe80::1]:1", "[fe80::2]:1"), Ok(()));
    assert_eq!(udp("[fe80::1]:1", "[2001:db8::2]:1"), Err(Unpairable::LinkLocal));
    assert_eq!(udp("[2001:db8::1]:1", "[fe80::2]:1"), Err(Unpairable::LinkLocal));
    assert_eq!(udp("[2001:db8::1]:1", "[2001:db8::2]:1"), Ok(()));
    assert_eq!(udp("169.254.1.1:1", "192.0.2.1:1"), Ok(()), "the rule is for IPv6");
}

#[test]
fn ice_11_two_links_are_told_apart_where_both_are_known() {
    assert_eq!(udp("[fe80::1%2]:1", "[fe80::2%2]:1"), Ok(()));
    assert_eq!(udp("[fe80::1%2]:1", "[fe80::2]:1"), Ok(()), "a signalled address has no scope");
    assert_eq!(udp("[fe80::1%2]:1", "[fe80::2%3]:1"), Err(Unpairable::LinkLocal));
}

#[test]
fn rfc8445_6_1_2_2_same_component_and_family() {
    assert_eq!(udp("192.0.2.1:1", "198.51.100.1:1"), Ok(()));
    assert_eq!(udp("192.0.2.1:1", "[2001:db8::2]:1"), Err(Unpairable::Family));
    assert_eq!(udp("[2001:db8::2]:1", "192.0.2.1:1"), Err(Unpairable::Family));
    let ours = host(Transport::Udp, "192.0.2.1:1");
    let theirs = Candidate { component: ComponentId::RTCP, ..ours.clone() };
    assert_eq!(pairing(&ours, &theirs), Err(Unpairable::Component));
}

#[test]
fn t03_addresses_that_mean_no_host_are_not_checked() {
    for remote in ["0.0.0.0:1", "224.0.0.251:5353", "255.255.255.255:1", "192.0.2.9:0"] {
        assert_eq!(udp("192.0.2.1:1", remote), Err(Unpairable::Destination), "{remote}");
    }
    for remote in ["[::]:1", "[ff02::fb]:5353"] {
        assert_eq!(udp("[2001:db8::1]:1", remote), Err(Unpairable::Destination), "{remote}");
    }
}

#[test]
fn tcp_03_directions_that_pair() {
    use TcpType::{Active, Passive, SimultaneousOpen};
    let meets = [(Active, Passive), (Passive, Active), (SimultaneousOpen, SimultaneousOpen)];
    for local in ALL_TRANSPORTS {
        for remote in ALL_TRANSPORTS {
            let expected = match (local, remote) {
                (Transport::Udp, Transport::Udp) => true,
                (Transport::Tcp(local), Transport::Tcp(remote)) => meets.contains(&(local, remote)),
                _ => false,
            };
            let (ours, theirs) = (host(local, "192.0.2.1:1"), host(remote, "192.0.2.2:1"));
            assert_eq!(can_pair(&ours, &theirs), expected, "{local:?} {remote:?}");
        }
    }
}

#[test]
fn tcp_03_a_passive_local_candidate_sends_no_checks() {
    let sends = ALL_TRANSPORTS.map(Transport::sends_checks);
    assert_eq!(sends, [true, true, false, true]);
}

#[test]
fn tcp_02_the_port_of_an_active_remote_does_not_matter() {
    let passive = host(Transport::Tcp(TcpType::Passive), "192.0.2.1:1");
    assert!(can_pair(&passive, &host(Transport::Tcp(TcpType::Active), "192.0.2.2:0")));
}

proptest! {
    #[test]
    fn both_agents_agree_on_what_pairs(ours in any_candidate(), theirs in any_candidate()) {
        let usable = |one: &Candidate| one.address.is_unicast();
        prop_assume!(usable(&ours) && usable(&theirs));
        prop_assert_eq!(can_pair(&ours, &theirs), can_pair(&theirs, &ours));
    }
}
