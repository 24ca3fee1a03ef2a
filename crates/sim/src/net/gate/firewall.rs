//! Firewalls: no translation, and nobody comes in uninvited.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use floe_stun::Instant;

use super::{Dependence, Outbound, Pinhole, Refresh};
use crate::{
    net::{Content, Link, Packet, RealmId},
    server::Prefix,
};

/// Inner addresses and ports with state; when all are in use, new ones get nothing in.
const MAX_PINHOLES: usize = 4096;

/// What a firewall lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Everything that goes out, and what comes in from whom something was sent to before.
    Answers(Dependence),
    /// No UDP in either direction. `tell`: senders inside are told by ICMP.
    Nothing {
        /// Whether senders inside learn of it.
        tell: bool,
    },
}

/// What a firewall is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirewallConfig {
    /// The address space outside.
    pub outer: RealmId,
    /// The networks inside; outside they are reached by way of the firewall.
    pub networks: Vec<Prefix>,
    /// What passes.
    pub admits: Admits,
    /// How long state lives after the last datagram that refreshed it.
    pub lifetime: Duration,
    /// Which datagrams refresh it.
    pub refresh: Refresh,
    /// Whether ICMP errors pass.
    pub icmp: bool,
    /// Way to the inner address space.
    pub inner_link: Link,
    /// Way to the outer address space.
    pub outer_link: Link,
}

impl FirewallConfig {
    /// A firewall in front of the public address space whose state lives for two minutes, and links that cost nothing.
    /// RFC 6092 §3.2.2 asks home gateways for [`Dependence::EndpointIndependent`] filters, most are stricter.
    pub fn new(networks: Vec<Prefix>, admits: Admits) -> Self {
        Self {
            outer: RealmId::PUBLIC,
            networks,
            admits,
            lifetime: Duration::from_secs(120),
            refresh: Refresh::Both,
            icmp: true,
            inner_link: Link::default(),
            outer_link: Link::default(),
        }
    }
}

/// A firewall at work.
#[derive(Debug)]
pub(super) struct Firewall {
    config: FirewallConfig,
    pinholes: BTreeMap<SocketAddr, Pinhole>,
}

impl Firewall {
    pub(super) fn new(config: FirewallConfig) -> Self {
        Self { config, pinholes: BTreeMap::new() }
    }

    pub(super) fn outbound(&mut self, now: Instant, packet: Packet) -> Outbound {
        let filtering = match self.config.admits {
            _ if matches!(packet.content, Content::Unreachable(_)) => {
                return if self.config.icmp { Outbound::Leaves(packet) } else { Outbound::Filtered(packet) };
            }
            Admits::Nothing { tell: true } => return Outbound::Rejected(packet),
            Admits::Nothing { tell: false } => return Outbound::Filtered(packet),
            Admits::Answers(filtering) => filtering,
        };
        if self.pinholes.len() >= MAX_PINHOLES {
            self.pinholes.retain(|_, pinhole| pinhole.is_live(now));
        }
        let known = self.pinholes.get(&packet.from).is_some_and(|pinhole| pinhole.is_live(now));
        if known || self.pinholes.len() < MAX_PINHOLES {
            let until = now.after(self.config.lifetime);
            let fresh = || Pinhole { remotes: BTreeSet::new(), until };
            let pinhole = self.pinholes.entry(packet.from).or_insert_with(fresh);
            if !known {
                *pinhole = fresh();
            }
            if self.config.refresh.by_outbound() {
                pinhole.until = until;
            }
            pinhole.open(filtering.part(packet.to));
        }
        Outbound::Leaves(packet)
    }

    pub(super) fn inbound(&mut self, now: Instant, packet: Packet) -> Result<Packet, Packet> {
        let Admits::Answers(filtering) = self.config.admits else { return Err(packet) };
        let (inner, remote) = match &packet.content {
            Content::Unreachable(_) if !self.config.icmp => return Err(packet),
            Content::Unreachable(error) => error.about,
            _ => (packet.to, packet.from),
        };
        let pinhole = self.pinholes.get_mut(&inner).filter(|pinhole| pinhole.is_live(now));
        match pinhole {
            Some(pinhole) if pinhole.remotes.contains(&filtering.part(remote)) => {
                if self.config.refresh.by_inbound() {
                    pinhole.until = now.after(self.config.lifetime);
                }
                Ok(packet)
            }
            _ => Err(packet),
        }
    }

    pub(super) fn pinholes(&self, now: Instant) -> usize {
        self.pinholes.values().filter(|pinhole| pinhole.is_live(now)).count()
    }

    pub(super) fn forget(&mut self) {
        self.pinholes.clear();
    }
}
