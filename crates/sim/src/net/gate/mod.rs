//! What stands between two address spaces: address translators and firewalls.

mod firewall;
mod nat;
mod prefix;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use floe_stun::Instant;
use serde::{Deserialize, Serialize};

pub use firewall::{Admits, FirewallConfig};
pub use nat::{NatConfig, Ports};
pub use prefix::PrefixConfig;

use super::{Link, Packet, RealmId};
use crate::server::Prefix;
use firewall::Firewall;
use nat::Nat;

/// Remotes that filter state remembers; later ones get no way in.
const MAX_REMOTES: usize = 1024;

/// How much of the remote address decides (RFC 4787 §4.1 for mappings, §5 for filters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

/// Which datagrams keep state alive (RFC 4787 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// Those that go out.
    #[default]
    Outbound,
    /// Those that come in.
    Inbound,
    /// Both.
    Both,
}

impl Refresh {
    fn by_outbound(self) -> bool {
        self != Self::Inbound
    }

    fn by_inbound(self) -> bool {
        self != Self::Outbound
    }
}

/// A gate between an inner address space and an outer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateConfig {
    /// A network address translator: IPv4, or NAT64.
    Nat(NatConfig),
    /// A firewall without translation.
    Firewall(FirewallConfig),
    /// Stateless translation of IPv6 prefixes.
    Prefix(PrefixConfig),
}

impl From<NatConfig> for GateConfig {
    fn from(config: NatConfig) -> Self {
        Self::Nat(config)
    }
}

impl From<FirewallConfig> for GateConfig {
    fn from(config: FirewallConfig) -> Self {
        Self::Firewall(config)
    }
}

impl From<PrefixConfig> for GateConfig {
    fn from(config: PrefixConfig) -> Self {
        Self::Prefix(config)
    }
}

impl GateConfig {
    pub(super) fn outer(&self) -> RealmId {
        match self {
            Self::Nat(config) => config.outer,
            Self::Firewall(config) => config.outer,
            Self::Prefix(config) => config.outer,
        }
    }

    /// The links to the inner and to the outer address space.
    pub(super) fn links(&self) -> (Link, Link) {
        match self {
            Self::Nat(config) => (config.inner_link, config.outer_link),
            Self::Firewall(config) => (config.inner_link, config.outer_link),
            Self::Prefix(config) => (config.inner_link, config.outer_link),
        }
    }

    /// What the inner address space sends by this gate.
    pub(super) fn inner_routes(&self) -> Vec<Prefix> {
        match self {
            Self::Nat(config) => vec![config.inner_route()],
            Self::Firewall(config) => {
                let everything = |network: &Prefix| Prefix::everything(network.is_ipv4());
                let mut all: Vec<Prefix> = config.networks.iter().map(everything).collect();
                all.dedup();
                all
            }
            Self::Prefix(_) => vec![Prefix::everything(false)],
        }
    }

    /// What the outer address space sends to this gate, beside the gate's own address.
    pub(super) fn outer_routes(&self) -> Vec<Prefix> {
        match self {
            Self::Nat(_) => Vec::new(),
            Self::Firewall(config) => config.networks.clone(),
            Self::Prefix(config) => vec![config.outside],
        }
    }
}

/// Who may come in, for one inner address and port. Lives and dies with the mapping it belongs to.
#[derive(Debug)]
struct Pinhole {
    remotes: BTreeSet<Part>,
    until: Instant,
}

impl Pinhole {
    fn is_live(&self, now: Instant) -> bool {
        now < self.until
    }

    fn open(&mut self, part: Part) {
        if self.remotes.len() < MAX_REMOTES {
            self.remotes.insert(part);
        }
    }
}

/// A gate at work.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) inner: RealmId,
    pub(super) outer: RealmId,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Nat(Box<Nat>),
    Firewall(Box<Firewall>),
    Prefix(Box<PrefixConfig>),
}

/// What a gate does with a datagram from inside.
#[derive(Debug)]
pub(super) enum Outbound {
    /// It goes on outside.
    Leaves(Packet),
    /// It comes back in, by the gate's own outer address.
    TurnsBack(Packet),
    /// It goes nowhere.
    Filtered(Packet),
    /// It goes nowhere, and its sender is told.
    Rejected(Packet),
}

impl Gate {
    pub(super) fn new(config: GateConfig, inner: RealmId, random: floe_stun::Random) -> Self {
        let outer = config.outer();
        let kind = match config {
            GateConfig::Nat(config) => Kind::Nat(Box::new(Nat::new(&config, random))),
            GateConfig::Firewall(config) => Kind::Firewall(Box::new(Firewall::new(config))),
            GateConfig::Prefix(config) => Kind::Prefix(Box::new(config)),
        };
        Self { inner, outer, kind }
    }

    pub(super) fn outbound(&mut self, now: Instant, packet: Packet) -> Outbound {
        match &mut self.kind {
            Kind::Nat(nat) => nat.outbound(now, packet),
            Kind::Firewall(firewall) => firewall.outbound(now, packet),
            Kind::Prefix(config) => match config.outbound(packet) {
                Ok(packet) => Outbound::Leaves(packet),
                Err(packet) => Outbound::Filtered(packet),
            },
        }
    }

    /// What comes in and where it goes, or what was dropped.
    pub(super) fn inbound(&mut self, now: Instant, packet: Packet) -> Result<Packet, Packet> {
        match &mut self.kind {
            Kind::Nat(nat) => nat.inbound(now, packet),
            Kind::Firewall(firewall) => firewall.inbound(now, packet),
            Kind::Prefix(config) => config.inbound(packet),
        }
    }

    /// Mappings or pinholes that are alive.
    pub(super) fn mappings(&self, now: Instant) -> usize {
        match &self.kind {
            Kind::Nat(nat) => nat.mappings(now),
            Kind::Firewall(firewall) => firewall.pinholes(now),
            Kind::Prefix(_) => 0,
        }
    }

    /// Forgets all state. A translator may be given another outer address, which it says it had before.
    pub(super) fn forget(&mut self, address: Option<IpAddr>) -> Option<IpAddr> {
        match &mut self.kind {
            Kind::Nat(nat) => Some(nat.forget(address)),
            Kind::Firewall(firewall) => {
                firewall.forget();
                None
            }
            Kind::Prefix(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
