//! Gates by themselves.

#![allow(clippy::arithmetic_side_effects, reason = "overflow panics, and a panic fails the test")]

use std::net::Ipv6Addr;

use floe_stun::Random;

use super::{nat::MAX_MAPPINGS, *};
use crate::net::{Content, Unreachable};

const INNER: &str = "10.0.0.2:5000";
const EIM: Dependence = Dependence::EndpointIndependent;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

fn config(mapping: Dependence, filtering: Dependence) -> NatConfig {
    NatConfig::new("203.0.113.1".parse().unwrap(), mapping, filtering)
}

fn nat(config: &NatConfig) -> Nat {
    Nat::new(config, Random::from_seed([5; 32]))
}

fn datagram(from: SocketAddr, to: SocketAddr) -> Packet {
    Packet { from, to, content: Content::Datagram(vec![1]) }
}

fn out(nat: &mut Nat, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
    match nat.outbound(now, datagram(from, to)) {
        Outbound::Leaves(packet) | Outbound::TurnsBack(packet) => Some(packet.from),
        _ => None,
    }
}

fn back(nat: &mut Nat, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
    nat.inbound(now, datagram(from, to)).ok().map(|packet| packet.to)
}

/// A remote, another port of it, another host.
fn remotes() -> [SocketAddr; 3] {
    [address("198.51.100.1:1"), address("198.51.100.1:2"), address("198.51.100.2:1")]
}

#[test]
fn rfc4787_4_1_which_flows_share_a_mapping() {
    use Dependence::{AddressAndPortDependent, AddressDependent};
    for (mapping, distinct) in [(EIM, 1), (AddressDependent, 2), (AddressAndPortDependent, 3)] {
        let mut nat = nat(&config(mapping, EIM));
        let outer = remotes().map(|to| out(&mut nat, at(0), address(INNER), to).unwrap());
        assert_eq!(BTreeSet::from(outer).len(), distinct, "{mapping:?}");
        let again = remotes().map(|to| out(&mut nat, at(0), address(INNER), to).unwrap());
        assert_eq!(again, outer, "stays so");
        assert_eq!(nat.mappings(at(0)), distinct);
        let other = out(&mut nat, at(0), address("10.0.0.3:5000"), remotes()[0]).unwrap();
        assert!(!outer.contains(&other), "another inner host");
    }
}

#[test]
fn rfc4787_5_who_may_send_in() {
    use Dependence::{AddressAndPortDependent, AddressDependent};
    let cases = [
        (EIM, [true, true, true]),
        (AddressDependent, [true, true, false]),
        (AddressAndPortDependent, [true, false, false]),
    ];
    for (filtering, expected) in cases {
        let mut nat = nat(&config(EIM, filtering));
        let outer = out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap();
        let let_in = remotes().map(|from| back(&mut nat, at(0), from, outer) == Some(address(INNER)));
        assert_eq!(let_in, expected, "{filtering:?}");
        let elsewhere = SocketAddr::new(outer.ip(), outer.port() ^ 1);
        assert_eq!(back(&mut nat, at(0), remotes()[0], elsewhere), None, "no mapping");
    }
}

#[test]
fn rfc4787_5_filter_state_is_bound_to_the_mapping() {
    let mut nat = nat(&config(EIM, Dependence::AddressAndPortDependent));
    let first = out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap();
    assert!(back(&mut nat, at(1), remotes()[0], first).is_some());
    let second = out(&mut nat, at(200), address(INNER), remotes()[1]).unwrap();
    assert_eq!(
        back(&mut nat, at(201), remotes()[0], second),
        None,
        "it was let in by a mapping that is gone"
    );
    assert!(back(&mut nat, at(201), remotes()[1], second).is_some());
}

#[test]
fn rfc4787_4_3_which_direction_refreshes() {
    for (refresh, by_outbound, by_inbound) in
        [(Refresh::Outbound, true, false), (Refresh::Inbound, false, true), (Refresh::Both, true, true)]
    {
        let config = NatConfig { refresh, ..config(EIM, EIM) };
        let (mut nat, to) = (nat(&config), remotes()[0]);
        let outer = out(&mut nat, at(0), address(INNER), to).unwrap();
        out(&mut nat, at(100), address(INNER), to).unwrap();
        assert_eq!(nat.mappings(at(121)) == 1, by_outbound, "{refresh:?}");
        let outer = out(&mut nat, at(121), address(INNER), to).unwrap_or(outer);
        // Wherever it stands now, something comes in and nothing goes out for two minutes.
        back(&mut nat, at(200), to, outer).unwrap();
        assert_eq!(back(&mut nat, at(300), to, outer).is_some(), by_inbound, "{refresh:?}");
    }
}

#[test]
fn a_mapping_that_has_expired_is_replaced_by_another() {
    let mut nat = nat(&config(EIM, EIM));
    let outer = out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap();
    assert_eq!(nat.mappings(at(120)), 0);
    assert_ne!(out(&mut nat, at(120), address(INNER), remotes()[0]), Some(outer));
    assert_eq!(nat.table_sizes(), (1, 1));
}

#[test]
fn rfc4787_4_2_ports_are_given_out_as_asked() {
    let ports = |ports| {
        let mut nat = nat(&NatConfig { ports, ..config(EIM, EIM) });
        let inner = |host: u8, port| SocketAddr::from(([10, 0, 0, host], port));
        (0..200_u16)
            .map(|number| {
                let from = inner(2, 20_001 + number);
                (from.port(), out(&mut nat, at(0), from, remotes()[0]).unwrap().port())
            })
            .collect::<Vec<_>>()
    };
    let kept = |all: &[(u16, u16)]| all.iter().filter(|(inner, outer)| inner == outer).count();
    assert_eq!(kept(&ports(Ports::Preserve)), 200);
    assert!(ports(Ports::Parity).iter().all(|(inner, outer)| inner % 2 == outer % 2));
    assert!(kept(&ports(Ports::Parity)) < 5);
    let random = ports(Ports::Random);
    assert!(random.iter().any(|(inner, outer)| inner % 2 != outer % 2) && kept(&random) < 5);

    let mut nat = nat(&NatConfig { ports: Ports::Preserve, ..config(EIM, EIM) });
    assert_eq!(out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap().port(), 5000);
    let second = out(&mut nat, at(0), address("10.0.0.3:5000"), remotes()[0]).unwrap();
    assert_ne!(second.port(), 5000, "it was taken");
}

#[test]
fn the_tables_are_bounded_and_make_room() {
    let mut nat = nat(&config(EIM, Dependence::AddressAndPortDependent));
    let inner = |port| SocketAddr::from(([10, 0, 0, 2], port));
    for port in 0..u16::try_from(MAX_MAPPINGS).unwrap() {
        assert!(out(&mut nat, at(0), inner(port), remotes()[0]).is_some());
    }
    assert_eq!(out(&mut nat, at(0), inner(60_000), remotes()[0]), None);
    assert!(out(&mut nat, at(120), inner(60_000), remotes()[0]).is_some());
    assert_eq!(nat.table_sizes(), (1, 1));
}

#[test]
fn other_families_are_not_forwarded() {
    let mut nat = nat(&config(EIM, EIM));
    let (from, to) = (address("[2001:db8::1]:1"), address("[2001:db8::2]:1"));
    assert_eq!(out(&mut nat, Instant::ORIGIN, from, to), None);
}

#[test]
fn rfc6146_nat64_translates_both_ways() {
    let nat64 = Some(NatConfig::WELL_KNOWN_64);
    let mut nat = nat(&NatConfig { nat64, ..config(EIM, Dependence::AddressDependent) });
    let (inner, remote) = (address("[2001:db8:64::2]:5000"), address("198.51.100.1:7"));
    let as_seen_inside = address("[64:ff9b::c633:6401]:7");
    let Outbound::Leaves(packet) = nat.outbound(at(0), datagram(inner, as_seen_inside)) else { panic!() };
    assert_eq!((packet.to, packet.from.ip()), (remote, "203.0.113.1".parse::<IpAddr>().unwrap()));
    let answer = nat.inbound(at(0), datagram(remote, packet.from)).unwrap();
    assert_eq!((answer.from, answer.to), (as_seen_inside, inner));
    assert_eq!(out(&mut nat, at(0), address(INNER), remote), None, "IPv4 is not for it");
}

#[test]
fn rfc5508_4_icmp_errors_find_their_way_through() {
    let mut nat = nat(&config(EIM, Dependence::AddressAndPortDependent));
    let (inner, remote) = (address(INNER), remotes()[0]);
    let outer = out(&mut nat, at(0), inner, remote).unwrap();
    let error = |about, to| Packet {
        from: address("198.51.100.99:0"),
        to,
        content: Content::Unreachable(Box::new(Unreachable { kind: 3, code: 3, mtu: 0, about })),
    };
    let about = |packet: &Packet| match &packet.content {
        Content::Unreachable(error) => error.about,
        _ => panic!("no error"),
    };
    let told = nat.inbound(at(0), error((outer, remote), outer)).unwrap();
    assert_eq!((told.to, about(&told)), (inner, (inner, remote)));
    assert!(nat.inbound(at(0), error((outer, remotes()[1]), outer)).is_err(), "nothing was sent there");
    let Outbound::Leaves(told) = nat.outbound(at(0), error((remote, inner), remote)) else { panic!() };
    assert_eq!((told.from.ip(), about(&told)), (outer.ip(), (remote, outer)));
}

#[test]
fn a_rebound_nat_knows_nothing_of_what_was() {
    let mut nat = nat(&config(EIM, EIM));
    let outer = out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap();
    let before = nat.forget(Some("203.0.113.7".parse().unwrap()));
    assert_eq!(before, outer.ip());
    assert_eq!(back(&mut nat, at(0), remotes()[0], outer), None);
    let after = out(&mut nat, at(0), address(INNER), remotes()[0]).unwrap();
    assert_eq!(after.ip(), "203.0.113.7".parse::<IpAddr>().unwrap());
}

fn network() -> Prefix {
    Prefix::new(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0).into(), 48).unwrap()
}

#[test]
fn rfc6092_a_firewall_lets_answers_in_and_nothing_else() {
    let admits = Admits::Answers(Dependence::AddressAndPortDependent);
    let mut firewall = Firewall::new(FirewallConfig::new(vec![network()], admits));
    let (inner, remote) = (address("[2001:db8:1::2]:5"), address("[2001:db8:9::1]:7"));
    let other = address("[2001:db8:9::1]:8");
    assert!(firewall.inbound(at(0), datagram(remote, inner)).is_err(), "uninvited");
    assert!(matches!(firewall.outbound(at(0), datagram(inner, remote)), Outbound::Leaves(_)));
    assert!(firewall.inbound(at(1), datagram(remote, inner)).is_ok());
    assert!(firewall.inbound(at(1), datagram(other, inner)).is_err(), "another port");
    assert!(firewall.inbound(at(110), datagram(remote, inner)).is_ok(), "comes in and refreshes");
    assert!(firewall.inbound(at(220), datagram(remote, inner)).is_ok());
    assert!(firewall.inbound(at(341), datagram(remote, inner)).is_err(), "too late");
    assert_eq!(firewall.pinholes(at(341)), 0);
}

#[test]
fn a_firewall_that_blocks_udp_says_so_or_not() {
    let (inner, remote) = (address("[2001:db8:1::2]:5"), address("[2001:db8:9::1]:7"));
    for tell in [true, false] {
        let mut firewall = Firewall::new(FirewallConfig::new(vec![network()], Admits::Nothing { tell }));
        match firewall.outbound(at(0), datagram(inner, remote)) {
            Outbound::Rejected(_) => assert!(tell),
            Outbound::Filtered(_) => assert!(!tell),
            other => panic!("{other:?}"),
        }
        assert!(firewall.inbound(at(0), datagram(remote, inner)).is_err());
    }
}

#[test]
fn rfc6296_prefixes_are_translated_without_state() {
    let outside = Prefix::new(Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0).into(), 48).unwrap();
    let config = PrefixConfig::new(network(), outside);
    let (inner, outer) = (address("[2001:db8:1:5::2]:5"), address("[2001:db8:ff:5::2]:5"));
    let remote = address("[2001:db8:9::1]:7");
    assert_eq!(config.inbound(datagram(remote, outer)).unwrap().to, inner, "nobody has to send out first");
    assert_eq!(config.outbound(datagram(inner, remote)).unwrap().from, outer);
    assert!(config.outbound(datagram(remote, outer)).is_err(), "no address of its network");
    let error = Unreachable { kind: 1, code: 4, mtu: 0, about: (outer, remote) };
    let told = Packet { from: remote, to: outer, content: Content::Unreachable(Box::new(error)) };
    let Content::Unreachable(error) = config.inbound(told).unwrap().content else { panic!() };
    assert_eq!(error.about, (inner, remote));
}
