//! Hosts: their addresses and sockets, and the agents that live on them.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, SocketAddr, SocketAddrV6},
};

use floe_agent::{AgentKey, Answer, Event, Hub, Interface, InterfaceFlags, RequestFailure};
use floe_pair::{ComponentId, SocketId, StreamId, TransportAddress};
use floe_stun::Instant;

use super::{Heard, Link, RealmId};

/// Events and datagrams kept for whoever drives the simulation, each; the oldest goes first.
const MAX_KEPT: usize = 4096;
/// First port given out; the highest is followed by the first.
const FIRST_PORT: u16 = 49_152;

/// A host of a [`Network`](super::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) usize);

/// An agent on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId {
    pub(super) host: HostId,
    pub(super) key: AgentKey,
}

impl AgentId {
    /// The host the agent lives on.
    pub fn host(self) -> HostId {
        self.host
    }
}

/// One address of a host, on an interface of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    /// The address space it belongs to.
    pub realm: RealmId,
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_len: u8,
    /// The way to the address space.
    pub link: Link,
}

impl HostAddress {
    /// An address on a link, in a network of 24 (IPv4) or 64 bits (IPv6).
    pub const fn new(realm: RealmId, ip: IpAddr, link: Link) -> Self {
        Self { realm, ip, prefix_len: if ip.is_ipv4() { 24 } else { 64 }, link }
    }
}

/// A datagram of application data that reached an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrived {
    /// When.
    pub at: Instant,
    /// The data stream.
    pub stream: StreamId,
    /// The component.
    pub component: ComponentId,
    /// The data.
    pub payload: Vec<u8>,
}

/// What an agent said and received, for whoever drives the simulation.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pub(super) events: VecDeque<(Instant, Event)>,
    pub(super) data: VecDeque<Arrived>,
}

impl Mailbox {
    pub(super) fn note(&mut self, at: Instant, event: Event) {
        push_bounded(&mut self.events, (at, event));
    }

    pub(super) fn keep(&mut self, arrived: Arrived) {
        push_bounded(&mut self.data, arrived);
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() >= MAX_KEPT {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// A host at work.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) addresses: Vec<HostAddress>,
    pub(super) hub: Hub,
    pub(super) mailboxes: BTreeMap<AgentKey, Mailbox>,
    pub(super) deadline: Option<Instant>,
    /// What reached sockets that belong to no agent.
    pub(super) bare: BTreeMap<SocketId, Vec<Heard>>,
    sockets: BTreeMap<SocketId, SocketAddr>,
    by_address: BTreeMap<SocketAddr, SocketId>,
    next_socket: u32,
    next_port: u16,
}

impl Host {
    pub(super) fn new(addresses: Vec<HostAddress>) -> Self {
        Self {
            addresses,
            hub: Hub::new(),
            mailboxes: BTreeMap::new(),
            deadline: None,
            bare: BTreeMap::new(),
            sockets: BTreeMap::new(),
            by_address: BTreeMap::new(),
            next_socket: 0,
            next_port: FIRST_PORT,
        }
    }

    /// What the host tells its agents about itself.
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let interface = |(index, address): (u32, &HostAddress)| Interface {
            name: format!("eth{index}").into(),
            index,
            ip: address.ip,
            prefix_len: address.prefix_len,
            flags: InterfaceFlags::UP,
        };
        (1..).zip(&self.addresses).map(interface).collect()
    }

    pub(super) fn address(&self, ip: IpAddr) -> Option<&HostAddress> {
        self.addresses.iter().find(|address| address.ip == ip)
    }

    pub(super) fn address_mut(&mut self, ip: IpAddr) -> Option<&mut HostAddress> {
        self.addresses.iter_mut().find(|address| address.ip == ip)
    }

    /// Opens a socket, on any port if 0 is asked for.
    pub(super) fn bind(&mut self, local: TransportAddress) -> Answer {
        if self.address(local.ip()).is_none() {
            return Answer::Failed(RequestFailure::AddressNotAvailable);
        }
        let at = |port| SocketAddr::new(local.ip(), port);
        let port = match local.port() {
            0 => self.free_port(local.ip()),
            port => Some(port).filter(|port| !self.by_address.contains_key(&at(*port))),
        };
        let Some(port) = port else { return Answer::Failed(RequestFailure::AddressInUse) };
        let socket = SocketId(self.next_socket);
        self.next_socket = self.next_socket.wrapping_add(1);
        self.sockets.insert(socket, at(port));
        self.by_address.insert(at(port), socket);
        Answer::Bound { socket, local: local.with_port(port) }
    }

    pub(super) fn close(&mut self, socket: SocketId) {
        if let Some(address) = self.sockets.remove(&socket) {
            self.by_address.remove(&address);
        }
    }

    pub(super) fn socket_address(&self, socket: SocketId) -> Option<SocketAddr> {
        self.sockets.get(&socket).copied()
    }

    pub(super) fn socket_at(&self, address: SocketAddr) -> Option<SocketId> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn open_sockets(&self) -> usize {
        self.sockets.len()
    }

    /// The source of a datagram as the operating system tells it: link-local addresses with their interface.
    pub(super) fn seen_source(&self, source: SocketAddr, local: IpAddr) -> TransportAddress {
        let index =
            (1..).zip(&self.addresses).find(|(_, address)| address.ip == local).map(|(index, _)| index);
        match source {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
                SocketAddr::from(SocketAddrV6::new(*v6.ip(), v6.port(), 0, index.unwrap_or(0))).into()
            }
            _ => source.into(),
        }
    }

    fn free_port(&mut self, ip: IpAddr) -> Option<u16> {
        (FIRST_PORT..=u16::MAX).find_map(|_| {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            Some(port).filter(|port| !self.by_address.contains_key(&SocketAddr::new(ip, *port)))
        })
    }
}
