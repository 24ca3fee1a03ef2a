//! Network address translation in the terms of RFC 4787.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use floe_stun::{Instant, Random};

use super::{Link, RealmId};

/// Mappings of one NAT; when all are in use, new flows are dropped.
const MAX_MAPPINGS: usize = 4096;
/// Remotes a mapping remembers for filtering; later ones get no way in.
const MAX_REMOTES: usize = 1024;
/// Random ports tried before a new flow is dropped.
const PORT_TRIES: usize = 64;
/// First port given out; those below are not for clients.
const FIRST_PORT: u16 = 1024;

/// How much of the remote address decides (RFC 4787 §4.1 for mappings, §5 for filters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// Nothing.
    EndpointIndependent,
    /// The IP address.
    AddressDependent,
    /// IP address and port.
    AddressAndPortDependent,
}

/// The part of a remote address that decides.
type Part = (Option<IpAddr>, Option<u16>);

impl Dependence {
    fn part(self, remote: SocketAddr) -> Part {
        match self {
            Self::EndpointIndependent => (None, None),
            Self::AddressDependent => (Some(remote.ip()), None),
            Self::AddressAndPortDependent => (Some(remote.ip()), Some(remote.port())),
        }
    }
}

/// What a NAT is made from. It leads from an address space of its own into another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatConfig {
    /// The address space it leads into: [`RealmId::PUBLIC`], or that of another NAT.
    pub outer: RealmId,
    /// Its one address there. Other families are not forwarded.
    pub address: IpAddr,
    /// When two flows of one inner address share an outer port.
    pub mapping: Dependence,
    /// Who may send to an outer port.
    pub filtering: Dependence,
    /// How long a mapping lives after the last datagram that went out.
    pub lifetime: Duration,
    /// Whether inner hosts reach each other by their outer addresses.
    pub hairpinning: bool,
    /// Way to the inner address space.
    pub inner_link: Link,
    /// Way to the outer address space.
    pub outer_link: Link,
}

impl NatConfig {
    /// A NAT in front of the public address space, with mappings of two minutes (RFC 4787 §4.3), no hairpinning,
    /// and links that cost nothing.
    pub fn new(address: IpAddr, mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            outer: RealmId::PUBLIC,
            address,
            mapping,
            filtering,
            lifetime: Duration::from_secs(120),
            hairpinning: false,
            inner_link: Link::default(),
            outer_link: Link::default(),
        }
    }
}

#[derive(Debug)]
struct Mapping {
    inner: SocketAddr,
    part: Part,
    /// Filter state lives and dies with the mapping.
    remotes: BTreeSet<Part>,
    until: Instant,
}

/// A NAT at work.
#[derive(Debug)]
pub(super) struct Nat {
    pub(super) config: NatConfig,
    pub(super) inner: RealmId,
    random: Random,
    by_port: BTreeMap<u16, Mapping>,
    by_flow: BTreeMap<(SocketAddr, Part), u16>,
}

impl Nat {
    pub(super) fn new(config: NatConfig, inner: RealmId, random: Random) -> Self {
        Self { config, inner, random, by_port: BTreeMap::new(), by_flow: BTreeMap::new() }
    }

    /// A datagram from inside: the source it leaves with, or `None` if it is dropped.
    pub(super) fn outbound(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if from.is_ipv4() != self.config.address.is_ipv4() || to.is_ipv4() != from.is_ipv4() {
            return None;
        }
        let flow = (from, self.config.mapping.part(to));
        let port = match self.by_flow.get(&flow).copied().filter(|port| self.is_live(now, *port)) {
            Some(port) => port,
            None => self.map(now, flow)?,
        };
        let mapping = self.by_port.get_mut(&port)?;
        mapping.until = now.after(self.config.lifetime);
        if mapping.remotes.len() < MAX_REMOTES {
            mapping.remotes.insert(self.config.filtering.part(to));
        }
        Some(SocketAddr::new(self.config.address, port))
    }

    /// A datagram from outside: the inner address it goes to, or `None` if it is filtered.
    pub(super) fn inbound(&self, now: Instant, from: SocketAddr, port: u16) -> Option<SocketAddr> {
        let mapping = self.by_port.get(&port).filter(|mapping| now < mapping.until)?;
        mapping.remotes.contains(&self.config.filtering.part(from)).then_some(mapping.inner)
    }

    /// Mappings that are alive.
    pub(super) fn mappings(&self, now: Instant) -> usize {
        self.by_port.values().filter(|mapping| now < mapping.until).count()
    }

    fn is_live(&self, now: Instant, port: u16) -> bool {
        self.by_port.get(&port).is_some_and(|mapping| now < mapping.until)
    }

    fn map(&mut self, now: Instant, flow: (SocketAddr, Part)) -> Option<u16> {
        let port = self.free_port(now)?;
        if let Some(old) = self.by_port.remove(&port) {
            self.by_flow.remove(&(old.inner, old.part));
        }
        // The flow may have had another port, which has expired.
        if let Some(old) = self.by_flow.insert(flow, port) {
            self.by_port.remove(&old);
        }
        let mapping = Mapping { inner: flow.0, part: flow.1, remotes: BTreeSet::new(), until: now };
        self.by_port.insert(port, mapping);
        Some(port)
    }

    /// A random port without a live mapping.
    fn free_port(&mut self, now: Instant) -> Option<u16> {
        if self.by_port.len() >= MAX_MAPPINGS {
            self.forget_expired(now);
        }
        if self.by_port.len() >= MAX_MAPPINGS {
            return None;
        }
        let ports = u64::from(u16::MAX.abs_diff(FIRST_PORT)).saturating_add(1);
        (0..PORT_TRIES).find_map(|_| {
            let offset = u16::try_from(self.random.below(ports)).unwrap_or_default();
            Some(FIRST_PORT.saturating_add(offset)).filter(|port| !self.is_live(now, *port))
        })
    }

    fn forget_expired(&mut self, now: Instant) {
        self.by_port.retain(|_, mapping| now < mapping.until);
        self.by_flow.retain(|_, port| self.by_port.contains_key(port));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &str = "10.0.0.2:5000";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn nat(mapping: Dependence, filtering: Dependence) -> Nat {
        let config = NatConfig::new("203.0.113.1".parse().unwrap(), mapping, filtering);
        Nat::new(config, RealmId(1), Random::from_seed([5; 32]))
    }

    /// A remote, another port of it, another host.
    fn remotes() -> [SocketAddr; 3] {
        [address("198.51.100.1:1"), address("198.51.100.1:2"), address("198.51.100.2:1")]
    }

    #[test]
    fn rfc4787_4_1_which_flows_share_a_mapping() {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        for (mapping, distinct) in
            [(EndpointIndependent, 1), (AddressDependent, 2), (AddressAndPortDependent, 3)]
        {
            let mut nat = nat(mapping, EndpointIndependent);
            let now = Instant::from_millis(0);
            let outer = remotes().map(|to| nat.outbound(now, address(INNER), to).unwrap());
            assert_eq!(BTreeSet::from(outer).len(), distinct, "{mapping:?}");
            assert_eq!(remotes().map(|to| nat.outbound(now, address(INNER), to).unwrap()), outer, "stays so");
            assert_eq!(nat.mappings(now), distinct);
            let other = nat.outbound(now, address("10.0.0.3:5000"), remotes()[0]).unwrap();
            assert!(!outer.contains(&other), "another inner host");
        }
    }

    #[test]
    fn rfc4787_5_who_may_send_in() {
        use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
        let cases = [
            (EndpointIndependent, [true, true, true]),
            (AddressDependent, [true, true, false]),
            (AddressAndPortDependent, [true, false, false]),
        ];
        for (filtering, expected) in cases {
            let mut nat = nat(EndpointIndependent, filtering);
            let now = Instant::from_millis(0);
            let outer = nat.outbound(now, address(INNER), remotes()[0]).unwrap();
            let let_in = remotes().map(|from| nat.inbound(now, from, outer.port()) == Some(address(INNER)));
            assert_eq!(let_in, expected, "{filtering:?}");
            assert_eq!(nat.inbound(now, remotes()[0], outer.port() ^ 1), None, "no mapping");
        }
    }

    #[test]
    fn mappings_live_from_the_last_datagram_out() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
        let at = |seconds: u64| Instant::from_millis(seconds * 1_000);
        let outer = nat.outbound(at(0), address(INNER), remotes()[0]).unwrap();
        assert_eq!(nat.outbound(at(100), address(INNER), remotes()[0]), Some(outer));
        assert!(nat.inbound(at(219), remotes()[0], outer.port()).is_some());
        assert_eq!(nat.inbound(at(220), remotes()[0], outer.port()), None, "what comes in does not refresh");
        assert_eq!(nat.mappings(at(220)), 0);
        assert_ne!(nat.outbound(at(220), address(INNER), remotes()[0]), Some(outer));
        assert_eq!((nat.by_port.len(), nat.by_flow.len()), (1, 1));
    }

    #[test]
    fn the_tables_are_bounded_and_make_room() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::AddressAndPortDependent);
        let inner = |port| SocketAddr::from(([10, 0, 0, 2], port));
        for port in 0..u16::try_from(MAX_MAPPINGS).unwrap() {
            assert!(nat.outbound(Instant::from_millis(0), inner(port), remotes()[0]).is_some());
        }
        assert_eq!(nat.outbound(Instant::from_millis(0), inner(60_000), remotes()[0]), None);
        assert!(nat.outbound(Instant::from_millis(120_000), inner(60_000), remotes()[0]).is_some());
        assert_eq!((nat.by_port.len(), nat.by_flow.len()), (1, 1));
    }

    #[test]
    fn other_families_are_not_forwarded() {
        let mut nat = nat(Dependence::EndpointIndependent, Dependence::EndpointIndependent);
        assert_eq!(
            nat.outbound(Instant::ORIGIN, address("[2001:db8::1]:1"), address("[2001:db8::2]:1")),
            None
        );
    }
}
