//! How a network is put together, and changed while it runs.

use core::{fmt, time::Duration};
use std::net::{IpAddr, SocketAddr};

use floe_agent::{Agent, AgentConfig, ConfigError};

use super::{
    AgentId, GateConfig, HostAddress, HostId, Intruder, Lanes, Link, NatConfig, Network, Node, RealmId,
    ServerId, Way,
    gate::Gate,
    host::{Host, Mailbox},
    link::Lane,
    realm::{Attachment, Realm},
    relay::ServerNode,
};
use crate::server::{Server, ServerConfig};

/// Why a network cannot be built as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Another node has this address in this address space.
    AddressTaken(IpAddr),
    /// The address space belongs to another network.
    NoSuchRealm(RealmId),
    /// The host belongs to another network.
    NoSuchHost(HostId),
    /// The agent's configuration is not usable.
    Agent(ConfigError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken(ip) => write!(f, "address {ip} is taken"),
            Self::NoSuchRealm(_) => f.write_str("no such address space"),
            Self::NoSuchHost(_) => f.write_str("no such host"),
            Self::Agent(error) => write!(f, "agent: {error}"),
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Agent(error) => Some(error),
            _ => None,
        }
    }
}

impl Network {
    /// An empty address space that nothing leads to: a network without a way out, until a gate is added to it.
    pub fn add_realm(&mut self) -> RealmId {
        self.realms.push(Realm::default());
        RealmId(self.realms.len().saturating_sub(1))
    }

    /// A NAT and the empty address space behind it.
    ///
    /// # Errors
    /// As [`Network::add_gate`].
    pub fn add_nat(&mut self, config: NatConfig) -> Result<RealmId, BuildError> {
        let inner = self.add_realm();
        self.add_gate(inner, config)?;
        Ok(inner)
    }

    /// A gate between `inner` and the address space its configuration names. An address space may have several: each
    /// has the addresses it is for, the narrowest range first.
    ///
    /// # Errors
    /// [`BuildError`]: an address space does not exist, or the gate's address is taken.
    pub fn add_gate(&mut self, inner: RealmId, config: impl Into<GateConfig>) -> Result<(), BuildError> {
        let config = config.into();
        let outer = config.outer();
        let node = Node::Gate(self.gates.len());
        let (inner_link, outer_link) = config.links();
        self.realms.get(inner.0).ok_or(BuildError::NoSuchRealm(inner))?;
        if let GateConfig::Nat(nat) = &config {
            self.attach(outer, nat.address, node, outer_link)?;
        }
        self.add_routes(outer, &config.outer_routes(), node, outer_link)?;
        self.add_routes(inner, &config.inner_routes(), node, inner_link)?;
        let random = self.seeds.split();
        self.gates.push(Gate::new(config, inner, random));
        Ok(())
    }

    /// A host with these addresses; no two of them may be equal, not even in different address spaces.
    ///
    /// # Errors
    /// [`BuildError`]: an address is taken, or its address space does not exist. Nothing is added then but the
    /// addresses before it.
    pub fn add_host(&mut self, addresses: &[HostAddress]) -> Result<HostId, BuildError> {
        let id = HostId(self.hosts.len());
        for (index, address) in addresses.iter().enumerate() {
            if addresses.iter().take(index).any(|other| other.ip == address.ip) {
                return Err(BuildError::AddressTaken(address.ip));
            }
            self.attach(address.realm, address.ip, Node::Host(id), address.link)?;
        }
        self.hosts.push(Host::new(addresses.to_vec()));
        Ok(id)
    }

    /// A server on its listening and relay addresses.
    ///
    /// # Errors
    /// [`BuildError`]: an address is taken by another node, or the address space does not exist.
    pub fn add_server(
        &mut self,
        realm: RealmId,
        config: ServerConfig,
        link: Link,
    ) -> Result<ServerId, BuildError> {
        let id = ServerId(self.servers.len());
        let listen = config.listen.clone();
        let mut ips: Vec<IpAddr> =
            listen.iter().map(SocketAddr::ip).chain(config.relay_ips.iter().copied()).collect();
        ips.sort_unstable();
        ips.dedup();
        for ip in ips {
            self.attach(realm, ip, Node::Server(id), link)?;
        }
        let server = Server::new(config, self.draw_seed());
        self.servers.push(ServerNode::new(realm, server, listen));
        Ok(id)
    }

    /// A third party that sees the datagrams of an address space.
    pub fn add_intruder(&mut self, intruder: Intruder) {
        self.intruders.push(intruder);
    }

    /// A name that hosts can look up, which takes `delay`. Other names have no address.
    pub fn add_name(&mut self, name: &str, addresses: Vec<IpAddr>, delay: Duration) {
        self.names.insert(name.into(), (addresses, delay));
    }

    /// An agent on a host. It does nothing yet.
    ///
    /// # Errors
    /// [`BuildError`]: there is no such host, or the configuration is not usable.
    pub fn add_agent(&mut self, host: HostId, config: AgentConfig) -> Result<AgentId, BuildError> {
        let agent = Agent::new(config).map_err(BuildError::Agent)?;
        let node = self.hosts.get_mut(host.0).ok_or(BuildError::NoSuchHost(host))?;
        let key = node.hub.insert(agent);
        node.mailboxes.insert(key, Mailbox::default());
        self.drain_host(host);
        Ok(AgentId { host, key })
    }

    /// The gates before an address space forget all mappings and pinholes, as after a restart. A translator gets this
    /// outer address, if one is given and free; its old one belongs to nobody then.
    pub fn rebind(&mut self, inner: RealmId, address: Option<IpAddr>) {
        for gate in self.gates.iter_mut().filter(|gate| gate.inner == inner) {
            let outer = self.realms.get_mut(gate.outer.0);
            let free = address.filter(|ip| outer.as_ref().is_some_and(|realm| realm.is_free(*ip)));
            let before = gate.forget(free);
            if let (Some(realm), Some(before), Some(free)) = (outer, before, free)
                && let Some(attachment) = realm.detach(before)
            {
                realm.attach(free, attachment);
            }
        }
    }

    /// What every datagram goes through, from now on, that crosses an address space from one node to another, beside
    /// the links of both.
    pub fn set_weather(&mut self, realm: RealmId, weather: Way) {
        let Some(space) = self.realms.get_mut(realm.0) else { return };
        space.weather = weather;
        for link in space.links() {
            if let Some(lanes) = self.links.get_mut(link) {
                lanes.weather.way = weather;
            }
        }
    }

    /// Replaces the link of a host's address.
    pub fn set_link(&mut self, host: HostId, ip: IpAddr, link: Link) {
        let Some(address) = self.hosts.get_mut(host.0).and_then(|node| node.address_mut(ip)) else { return };
        address.link = link;
        let attachment =
            self.realms.get(address.realm.0).and_then(|realm| realm.sender(Node::Host(host), ip));
        if let Some(lanes) = attachment.and_then(|attachment| self.links.get_mut(attachment.link)) {
            (lanes.up.way, lanes.down.way) = (link.up, link.down);
        }
    }

    fn attach(&mut self, realm: RealmId, ip: IpAddr, node: Node, link: Link) -> Result<(), BuildError> {
        let link = self.add_link(realm, link)?;
        let space = self.realms.get_mut(realm.0).ok_or(BuildError::NoSuchRealm(realm))?;
        if space.attach(ip, Attachment { node, link }) { Ok(()) } else { Err(BuildError::AddressTaken(ip)) }
    }

    fn add_routes(
        &mut self,
        realm: RealmId,
        ranges: &[crate::server::Prefix],
        node: Node,
        link: Link,
    ) -> Result<(), BuildError> {
        if ranges.is_empty() {
            return Ok(());
        }
        let link = self.add_link(realm, link)?;
        let space = self.realms.get_mut(realm.0).ok_or(BuildError::NoSuchRealm(realm))?;
        for range in ranges {
            space.add_route(*range, Attachment { node, link });
        }
        Ok(())
    }

    fn add_link(&mut self, realm: RealmId, link: Link) -> Result<usize, BuildError> {
        let weather = self.realms.get(realm.0).ok_or(BuildError::NoSuchRealm(realm))?.weather;
        let lanes = Lanes { up: Lane::new(link.up), weather: Lane::new(weather), down: Lane::new(link.down) };
        self.links.push(lanes);
        Ok(self.links.len().saturating_sub(1))
    }
}
