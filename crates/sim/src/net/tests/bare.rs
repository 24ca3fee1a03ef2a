//! The network without agents: bare sockets through gates and over links.

use core::num::NonZeroU32;
use std::net::Ipv6Addr;

use super::*;

/// A network with one public host, and a bare socket there.
fn public(network: &mut Network, ip: &str) -> BareSocket {
    let ip: IpAddr = ip.parse().unwrap();
    let host = network.add_host(&[HostAddress::new(RealmId::PUBLIC, ip, Link::default())]).unwrap();
    network.open_bare(host, ip).unwrap()
}

fn inside(network: &mut Network, realm: RealmId, ip: &str) -> BareSocket {
    let ip: IpAddr = ip.parse().unwrap();
    let host = network.add_host(&[HostAddress::new(realm, ip, Link::default())]).unwrap();
    network.open_bare(host, ip).unwrap()
}

fn prefix(text: &str, bits: u8) -> Prefix {
    Prefix::new(ip(text), bits).unwrap()
}

/// Sends one datagram and tells from where it was seen, if it arrived.
fn reach(network: &mut Network, from: BareSocket, to: SocketAddr, at: BareSocket) -> Option<SocketAddr> {
    network.take_bare(at);
    network.send_bare(from, to, b"hello");
    network.run_for(ms(1_000));
    let heard = network.take_bare(at);
    assert!(heard.len() <= 1);
    heard.first().map(|heard| heard.from)
}

fn address(network: &Network, socket: BareSocket) -> SocketAddr {
    network.bare_address(socket).unwrap()
}

#[test]
fn nat64_carries_a_v6_host_to_the_v4_internet_and_back() {
    let mut network = Network::new([1; 32]);
    let eim = Dependence::EndpointIndependent;
    let inner = network.add_realm();
    let nat64 = Some(NatConfig::WELL_KNOWN_64);
    network.add_gate(inner, NatConfig { nat64, ..NatConfig::new(ip("203.0.113.64"), eim, eim) }).unwrap();
    // IPv6 itself has another way out.
    let home = prefix("2001:db8:64::", 48);
    network.add_gate(inner, FirewallConfig::new(vec![home], Admits::Answers(eim))).unwrap();
    let six = inside(&mut network, inner, "2001:db8:64::2");
    let (four, other) = (public(&mut network, "198.51.100.1"), public(&mut network, "2001:db8:9::1"));
    let port = address(&network, four).port();
    let synthesized = SocketAddr::new("64:ff9b::198.51.100.1".parse().unwrap(), port);
    let seen = reach(&mut network, six, synthesized, four).unwrap();
    assert_eq!(seen.ip(), ip("203.0.113.64"));
    assert_eq!(reach(&mut network, four, seen, six), Some(synthesized));
    let own = address(&network, six);
    let to = address(&network, other);
    assert_eq!(reach(&mut network, other, own, six), None, "the firewall lets nobody in uninvited");
    assert_eq!(reach(&mut network, six, to, other), Some(own), "no translation");
    assert_eq!(reach(&mut network, other, own, six), Some(to));
}

#[test]
fn translated_prefixes_are_reached_from_outside_at_once() {
    let mut network = Network::new([1; 32]);
    let inner = network.add_realm();
    network.add_gate(inner, PrefixConfig::new(prefix("fd00:1::", 48), prefix("2001:db8:1::", 48))).unwrap();
    let host = inside(&mut network, inner, "fd00:1::2");
    let remote = public(&mut network, "2001:db8:9::1");
    let outer = SocketAddr::new(ip("2001:db8:1::2"), address(&network, host).port());
    let to = address(&network, remote);
    assert_eq!(reach(&mut network, remote, outer, host), Some(to));
    assert_eq!(reach(&mut network, host, to, remote), Some(outer));
}

#[test]
fn a_carrier_nat_before_a_home_nat_filters_by_both() {
    let mut network = Network::new([1; 32]);
    let (eim, apd) = (Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
    let carrier = network.add_nat(NatConfig::new(ip("203.0.113.1"), eim, apd)).unwrap();
    let home = NatConfig { outer: carrier, ..NatConfig::new(ip("100.64.0.1"), eim, eim) };
    let home = network.add_nat(home).unwrap();
    let host = inside(&mut network, home, "192.168.1.2");
    let (first, second) = (public(&mut network, "198.51.100.1"), public(&mut network, "198.51.100.2"));
    let to = address(&network, first);
    let seen = reach(&mut network, host, to, first).unwrap();
    assert_eq!(seen.ip(), ip("203.0.113.1"));
    assert_eq!(reach(&mut network, first, seen, host), Some(to));
    assert_eq!(reach(&mut network, second, seen, host), None, "the carrier's filter");
    assert_eq!((network.mappings(carrier), network.mappings(home)), (1, 1));
}

#[test]
fn two_hosts_behind_one_nat_meet_by_hairpinning_where_it_is_on() {
    for hairpinning in [true, false] {
        let mut network = Network::new([1; 32]);
        let eim = Dependence::EndpointIndependent;
        let config = NatConfig { hairpinning, ..NatConfig::new(ip("203.0.113.1"), eim, eim) };
        let inner = network.add_nat(config).unwrap();
        let (a, b) = (inside(&mut network, inner, "10.0.0.2"), inside(&mut network, inner, "10.0.0.3"));
        let outside = public(&mut network, "198.51.100.1");
        let to = address(&network, outside);
        let seen = [a, b].map(|socket| reach(&mut network, socket, to, outside).unwrap());
        let expected = hairpinning.then_some(seen[0]);
        assert_eq!(reach(&mut network, a, seen[1], b), expected, "seen by the outer address");
        let direct = address(&network, b);
        assert_eq!(reach(&mut network, a, direct, b), Some(address(&network, a)), "on one LAN in any case");
    }
}

#[test]
fn a_rebound_nat_loses_old_ways_and_gives_new_ones() {
    let mut network = Network::new([1; 32]);
    let eim = Dependence::EndpointIndependent;
    let inner = network.add_nat(NatConfig::new(ip("203.0.113.1"), eim, eim)).unwrap();
    let host = inside(&mut network, inner, "10.0.0.2");
    let outside = public(&mut network, "198.51.100.1");
    let to = address(&network, outside);
    let before = reach(&mut network, host, to, outside).unwrap();
    network.rebind(inner, None);
    assert_eq!(reach(&mut network, outside, before, host), None);
    network.rebind(inner, Some(ip("203.0.113.2")));
    let after = reach(&mut network, host, to, outside).unwrap();
    assert_eq!(after.ip(), ip("203.0.113.2"));
    assert_eq!(reach(&mut network, outside, after, host), Some(to));
    network.rebind(inner, Some(ip("198.51.100.1")));
    let kept = reach(&mut network, host, to, outside).unwrap();
    assert_eq!(kept.ip(), ip("203.0.113.2"), "the address was taken");
}

/// What ICMP says to the sender, by the story.
fn told(network: &Network, to: SocketAddr) -> Vec<(u8, u8, u32)> {
    let told = |entry: &Entry| match &entry.content {
        Content::Unreachable(error) if entry.to == to && entry.fate == Fate::Delivered => {
            Some((error.kind, error.code, error.mtu))
        }
        _ => None,
    };
    network.trace().story().iter().filter_map(told).collect()
}

#[test]
fn senders_are_told_by_icmp_unless_a_gate_drops_it() {
    for icmp in [true, false] {
        let mut network = Network::new([1; 32]);
        network.keep_story(1_000);
        let eim = Dependence::EndpointIndependent;
        let config = NatConfig { icmp, ..NatConfig::new(ip("203.0.113.1"), eim, eim) };
        let inner = network.add_nat(config).unwrap();
        let host = inside(&mut network, inner, "10.0.0.2");
        let outside = public(&mut network, "198.51.100.1");
        let nobody = SocketAddr::new(ip("198.51.100.1"), 9);
        assert_eq!(reach(&mut network, host, nobody, outside), None);
        let own = address(&network, host);
        assert_eq!(told(&network, own), if icmp { vec![(3, 3, 0)] } else { vec![] });
    }
}

#[test]
fn what_is_too_long_for_a_link_is_dropped_and_its_sender_told() {
    let mut network = Network::new([1; 32]);
    network.keep_story(1_000);
    let way = Way { mtu: Some(1_280), ..Way::default() };
    let ip: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 1).into();
    let link = Link { down: way, ..Link::default() };
    let host = network.add_host(&[HostAddress::new(RealmId::PUBLIC, ip, link)]).unwrap();
    let narrow = network.open_bare(host, ip).unwrap();
    let sender = public(&mut network, "2001:db8:9::2");
    let to = address(&network, narrow);
    for (bytes, arrives) in [(1_232, true), (1_233, false)] {
        network.send_bare(sender, to, &vec![0; bytes]);
        network.run_for(ms(100));
        assert_eq!(network.take_bare(narrow).len(), usize::from(arrives));
    }
    assert_eq!(told(&network, address(&network, sender)), [(2, 0, 1_280)]);
}

#[test]
fn a_slow_link_makes_a_queue() {
    let mut network = Network::new([1; 32]);
    let receiver_ip = ip("198.51.100.1");
    let way = Way { rate: NonZeroU32::new(100_000), ..Way::default() };
    let link = Link { down: way, ..Link::default() };
    let host = network.add_host(&[HostAddress::new(RealmId::PUBLIC, receiver_ip, link)]).unwrap();
    let receiver = network.open_bare(host, receiver_ip).unwrap();
    let sender = public(&mut network, "198.51.100.2");
    let to = address(&network, receiver);
    for _ in 0..4 {
        network.send_bare(sender, to, &[0; 972]);
    }
    network.run_for(ms(1_000));
    let times: Vec<u64> = network.take_bare(receiver).iter().map(|heard| heard.at.as_millis()).collect();
    assert_eq!(times, [10, 20, 30, 40]);
}

#[test]
fn reordering_and_duplication_lose_nothing() {
    let mut network = Network::new([3; 32]);
    let receiver = public(&mut network, "198.51.100.1");
    let way = Way {
        reorder: Probability::percent(20),
        duplicate: Probability::percent(10),
        hold: ms(10),
        ..Way::default()
    };
    let sender_ip = ip("198.51.100.2");
    let link = Link { up: way, ..Link::default() };
    let host = network.add_host(&[HostAddress::new(RealmId::PUBLIC, sender_ip, link)]).unwrap();
    let sender = network.open_bare(host, sender_ip).unwrap();
    let to = address(&network, receiver);
    for number in 0..200_u8 {
        network.send_bare(sender, to, &[number]);
        network.run_for(ms(1));
    }
    network.run_for(ms(100));
    let mut heard: Vec<u8> = network.take_bare(receiver).iter().map(|heard| heard.payload[0]).collect();
    assert!(!heard.is_sorted());
    assert!((205..245).contains(&heard.len()), "{}", heard.len());
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), 200);
}

#[test]
fn a_link_can_change_while_the_network_runs() {
    let mut network = Network::new([1; 32]);
    let (a, b) = (public(&mut network, "198.51.100.1"), public(&mut network, "198.51.100.2"));
    let to = address(&network, b);
    assert!(reach(&mut network, a, to, b).is_some());
    network.set_link(b.host, ip("198.51.100.2"), Link::default().with_loss(Probability::ALWAYS));
    assert!(reach(&mut network, a, to, b).is_none());
    network.set_calm(true);
    assert!(reach(&mut network, a, to, b).is_some(), "in a calm nothing is lost");
}

#[test]
fn third_parties_replay_what_they_see() {
    let mut network = Network::new([1; 32]);
    let (a, b) = (public(&mut network, "198.51.100.1"), public(&mut network, "198.51.100.2"));
    let claimed = "192.0.2.66:66".parse().unwrap();
    network.add_intruder(Intruder {
        realm: RealmId::PUBLIC,
        intrusion: Intrusion::Replay { from: Some(claimed), requests: false },
        chance: Probability::ALWAYS,
        delay: ms(5),
    });
    let to = address(&network, b);
    network.send_bare(a, to, b"once");
    network.run_for(ms(100));
    let heard: Vec<_> =
        network.take_bare(b).into_iter().map(|heard| (heard.at.as_millis(), heard.from)).collect();
    assert_eq!(heard, [(0, address(&network, a)), (5, claimed)]);
}
