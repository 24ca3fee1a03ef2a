//! Network address translation in the terms of RFC 4787, and NAT64 (RFC 6146) as a form of it.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use floe_stun::{Instant, Random};
use serde::{Deserialize, Serialize};

use super::{Dependence, Outbound, Part, Pinhole, Refresh};
use crate::{
    net::{Content, Link, Packet, RealmId},
    server::Prefix,
};

/// Mappings of one NAT; when all are in use, new flows are dropped.
pub(super) const MAX_MAPPINGS: usize = 4096;
/// Random ports tried before a new flow is dropped.
const PORT_TRIES: usize = 64;
/// First port given out; those below are not for clients.
const FIRST_PORT: u16 = 1024;

/// Which outer port a new mapping gets (RFC 4787 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ports {
    /// Any.
    #[default]
    Random,
    /// Any as odd or even as the inner one (§4.2.2).
    Parity,
    /// The inner one, where it is free; any otherwise (§4.2.1).
    Preserve,
}

/// What a NAT is made from. It leads from an address space of its own into another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatConfig {
    /// The address space it leads into: [`RealmId::PUBLIC`], or that of another gate.
    pub outer: RealmId,
    /// Its one address there. Other families are not forwarded.
    pub address: IpAddr,
    /// When two flows of one inner address share an outer port.
    pub mapping: Dependence,
    /// Who may send to an outer port.
    pub filtering: Dependence,
    /// Which outer ports are given out.
    pub ports: Ports,
    /// How long a mapping lives after the last datagram that refreshed it.
    pub lifetime: Duration,
    /// Which datagrams refresh a mapping.
    pub refresh: Refresh,
    /// Whether inner hosts reach each other by their outer addresses. Filters apply there as well.
    pub hairpinning: bool,
    /// Whether ICMP errors pass.
    pub icmp: bool,
    /// NAT64: the first 96 bits of the IPv6 addresses that stand for IPv4 ones inside (RFC 6052 §2.1). The outer
    /// address is an IPv4 one then.
    pub nat64: Option<Ipv6Addr>,
    /// Way to the inner address space.
    pub inner_link: Link,
    /// Way to the outer address space.
    pub outer_link: Link,
}

impl NatConfig {
    /// A NAT in front of the public address space, with mappings of two minutes that only outgoing datagrams refresh
    /// (RFC 4787 §4.3), random ports, no hairpinning, and links that cost nothing.
    pub fn new(address: IpAddr, mapping: Dependence, filtering: Dependence) -> Self {
        Self {
            outer: RealmId::PUBLIC,
            address,
            mapping,
            filtering,
            ports: Ports::Random,
            lifetime: Duration::from_secs(120),
            refresh: Refresh::Outbound,
            hairpinning: false,
            icmp: true,
            nat64: None,
            inner_link: Link::default(),
            outer_link: Link::default(),
        }
    }

    /// The well-known prefix of NAT64 (RFC 6052 §2.1).
    pub const WELL_KNOWN_64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

    pub(super) fn inner_route(&self) -> Prefix {
        match self.nat64 {
            Some(prefix) => Prefix::new(prefix.into(), 96).unwrap_or(Prefix::everything(false)),
            None => Prefix::everything(self.address.is_ipv4()),
        }
    }

    /// A remote address as the outer address space knows it.
    fn outside(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let ip = match (self.nat64, remote.ip()) {
            (None, ip) => ip,
            (Some(_), IpAddr::V6(ip)) => {
                let [.., a, b, c, d] = ip.octets();
                Ipv4Addr::new(a, b, c, d).into()
            }
            (Some(_), IpAddr::V4(_)) => return None,
        };
        (ip.is_ipv4() == self.address.is_ipv4()).then_some(SocketAddr::new(ip, remote.port()))
    }

    /// A remote address as the inner address space knows it.
    fn inside(&self, remote: SocketAddr) -> SocketAddr {
        match (self.nat64, remote.ip()) {
            (Some(prefix), IpAddr::V4(ip)) => {
                let ip = Ipv6Addr::from_bits(prefix.to_bits() | u128::from(ip.to_bits()));
                SocketAddr::new(ip.into(), remote.port())
            }
            _ => remote,
        }
    }

    fn is_inner_family(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == (self.address.is_ipv4() && self.nat64.is_none())
    }
}

#[derive(Debug)]
struct Mapping {
    inner: SocketAddr,
    part: Part,
    pinhole: Pinhole,
}

/// A NAT at work.
#[derive(Debug)]
pub(super) struct Nat {
    config: NatConfig,
    random: Random,
    by_port: BTreeMap<u16, Mapping>,
    by_flow: BTreeMap<(SocketAddr, Part), u16>,
}

impl Nat {
    pub(super) fn new(config: &NatConfig, random: Random) -> Self {
        Self { config: *config, random, by_port: BTreeMap::new(), by_flow: BTreeMap::new() }
    }

    pub(super) fn outbound(&mut self, now: Instant, mut packet: Packet) -> Outbound {
        let Some(to) =
            self.config.outside(packet.to).filter(|_| self.config.is_inner_family(packet.from.ip()))
        else {
            return Outbound::Filtered(packet);
        };
        let from = match &mut packet.content {
            Content::Unreachable(error) => {
                // About a datagram that came in: its destination is known outside by its mapping.
                let flow = (error.about.1, self.config.mapping.part(to));
                let port = self.by_flow.get(&flow).copied().filter(|port| self.is_live(now, *port));
                let Some(port) = port.filter(|_| self.config.icmp) else { return Outbound::Filtered(packet) };
                error.about = (to, SocketAddr::new(self.config.address, port));
                SocketAddr::new(self.config.address, 0)
            }
            _ => match self.translate(now, packet.from, to) {
                Some(from) => from,
                None => return Outbound::Filtered(packet),
            },
        };
        let packet = Packet { from, to, content: packet.content };
        if to.ip() != self.config.address {
            Outbound::Leaves(packet)
        } else if self.config.hairpinning {
            Outbound::TurnsBack(packet)
        } else {
            Outbound::Filtered(packet)
        }
    }

    pub(super) fn inbound(&mut self, now: Instant, mut packet: Packet) -> Result<Packet, Packet> {
        let config = self.config;
        let Some(mapping) =
            self.by_port.get_mut(&packet.to.port()).filter(|mapping| mapping.pinhole.is_live(now))
        else {
            return Err(packet);
        };
        let inner = mapping.inner;
        if let Content::Unreachable(error) = &mut packet.content {
            // RFC 5508 §4.2: known by the datagram it is about, whoever reports it.
            if !config.icmp || !mapping.pinhole.remotes.contains(&config.filtering.part(error.about.1)) {
                return Err(packet);
            }
            error.about = (inner, config.inside(error.about.1));
        } else {
            if !mapping.pinhole.remotes.contains(&config.filtering.part(packet.from)) {
                return Err(packet);
            }
            if config.refresh.by_inbound() {
                mapping.pinhole.until = now.after(config.lifetime);
            }
        }
        Ok(Packet { from: config.inside(packet.from), to: inner, content: packet.content })
    }

    /// Mappings that are alive.
    pub(super) fn mappings(&self, now: Instant) -> usize {
        self.by_port.values().filter(|mapping| mapping.pinhole.is_live(now)).count()
    }

    pub(super) fn forget(&mut self, address: Option<IpAddr>) -> IpAddr {
        self.by_port.clear();
        self.by_flow.clear();
        let before = self.config.address;
        self.config.address = address.unwrap_or(before);
        before
    }

    /// The outer source of a datagram from `from` to `to` (as known outside); `None` if it is dropped.
    fn translate(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let flow = (from, self.config.mapping.part(to));
        let known = self.by_flow.get(&flow).copied().filter(|port| self.is_live(now, *port));
        let port = match known {
            Some(port) => port,
            None => self.map(now, flow)?,
        };
        let pinhole = &mut self.by_port.get_mut(&port)?.pinhole;
        if self.config.refresh.by_outbound() || known.is_none() {
            pinhole.until = now.after(self.config.lifetime);
        }
        pinhole.open(self.config.filtering.part(to));
        Some(SocketAddr::new(self.config.address, port))
    }

    fn is_live(&self, now: Instant, port: u16) -> bool {
        self.by_port.get(&port).is_some_and(|mapping| mapping.pinhole.is_live(now))
    }

    fn map(&mut self, now: Instant, flow: (SocketAddr, Part)) -> Option<u16> {
        let port = self.free_port(now, flow.0.port())?;
        if let Some(old) = self.by_port.remove(&port) {
            self.by_flow.remove(&(old.inner, old.part));
        }
        // The flow may have had another port, which has expired.
        if let Some(old) = self.by_flow.insert(flow, port) {
            self.by_port.remove(&old);
        }
        let pinhole = Pinhole { remotes: BTreeSet::new(), until: now };
        self.by_port.insert(port, Mapping { inner: flow.0, part: flow.1, pinhole });
        Some(port)
    }

    /// A port without a live mapping.
    fn free_port(&mut self, now: Instant, inner: u16) -> Option<u16> {
        if self.by_port.len() >= MAX_MAPPINGS {
            self.forget_expired(now);
        }
        if self.by_port.len() >= MAX_MAPPINGS {
            return None;
        }
        if self.config.ports == Ports::Preserve && !self.is_live(now, inner) {
            return Some(inner);
        }
        let ports = u64::from(u16::MAX.abs_diff(FIRST_PORT)).saturating_add(1);
        (0..PORT_TRIES).find_map(|_| {
            let offset = u16::try_from(self.random.below(ports)).unwrap_or_default();
            let port = FIRST_PORT.saturating_add(offset);
            let port = if self.config.ports == Ports::Parity { port & !1 | inner & 1 } else { port };
            Some(port).filter(|port| !self.is_live(now, *port))
        })
    }

    fn forget_expired(&mut self, now: Instant) {
        self.by_port.retain(|_, mapping| mapping.pinhole.is_live(now));
        self.by_flow.retain(|_, port| self.by_port.contains_key(port));
    }

    #[cfg(test)]
    pub(super) fn table_sizes(&self) -> (usize, usize) {
        (self.by_port.len(), self.by_flow.len())
    }
}
