//! Sockets without an agent: what a network does to datagrams, seen without ICE.

use std::net::{IpAddr, SocketAddr};

use floe_agent::Answer;
use floe_pair::{Place, SocketId, TransportAddress};
use floe_stun::Instant;

use super::{HostId, Network};

/// A socket of a host that belongs to no agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BareSocket {
    pub(super) host: HostId,
    pub(super) socket: SocketId,
    pub(super) ip: IpAddr,
}

/// A datagram that reached a bare socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When.
    pub at: Instant,
    /// Its source, as it was seen there.
    pub from: SocketAddr,
    /// What it held.
    pub payload: Vec<u8>,
}

impl Network {
    /// Opens a socket on an address of a host, on any port. `None` if the host has no such address, or no free port.
    pub fn open_bare(&mut self, host: HostId, ip: IpAddr) -> Option<BareSocket> {
        let node = self.hosts.get_mut(host.0)?;
        let Answer::Bound { socket, .. } = node.bind(TransportAddress::new(ip, 0)) else { return None };
        node.bare.insert(socket, Vec::new());
        Some(BareSocket { host, socket, ip })
    }

    /// The address a bare socket is bound to.
    pub fn bare_address(&self, bare: BareSocket) -> Option<SocketAddr> {
        self.hosts.get(bare.host.0)?.socket_address(bare.socket)
    }

    /// Sends a datagram.
    pub fn send_bare(&mut self, bare: BareSocket, to: SocketAddr, payload: &[u8]) {
        let place = Place { socket: bare.socket, local_ip: bare.ip };
        self.leave(bare.host, place, to, payload.to_vec());
    }

    /// Takes what arrived, oldest first.
    pub fn take_bare(&mut self, bare: BareSocket) -> Vec<Heard> {
        let heard = self.hosts.get_mut(bare.host.0).and_then(|node| node.bare.get_mut(&bare.socket));
        heard.map(core::mem::take).unwrap_or_default()
    }
}
