//! The embedded server as a node of the network.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use floe_stun::Instant;

use super::{Content, Packet, RealmId};
use crate::server::{RelayRequestId, Server, ServerRequest};

/// First port given to relayed transport addresses (RFC 8656 §7.2).
const FIRST_PORT: u16 = 49_152;

/// A server of a [`Network`](super::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub(super) usize);

/// A server at work.
#[derive(Debug)]
pub(super) struct ServerNode {
    pub(super) realm: RealmId,
    pub(super) server: Server,
    pub(super) deadline: Option<Instant>,
    listen: Vec<SocketAddr>,
    relays: BTreeSet<SocketAddr>,
    next_port: u16,
}

impl ServerNode {
    pub(super) fn new(realm: RealmId, server: Server, listen: Vec<SocketAddr>) -> Self {
        Self { realm, server, deadline: None, listen, relays: BTreeSet::new(), next_port: FIRST_PORT }
    }

    /// A datagram that arrived; `false` if no socket is there.
    pub(super) fn receive(&mut self, now: Instant, packet: &Packet) -> bool {
        let Packet { from, to, content } = packet;
        match content {
            Content::Datagram(bytes) if self.listen.contains(to) => {
                self.server.handle_datagram(now, *to, *from, bytes);
            }
            Content::Datagram(bytes) if self.relays.contains(to) => {
                self.server.handle_relayed(now, *to, *from, bytes);
            }
            Content::Datagram(_) | Content::Stream(_) => return false,
            Content::Unreachable(error) => {
                let (relay, peer) = error.about;
                if self.relays.contains(&relay) {
                    self.server.handle_icmp(now, relay, peer, (error.kind, error.code, error.mtu));
                }
            }
        }
        true
    }

    pub(super) fn serve(&mut self, now: Instant, request: ServerRequest) {
        match request {
            ServerRequest::OpenRelay { id, ip, port } => self.open(now, id, ip, port),
            ServerRequest::CloseRelay { address } => {
                self.relays.remove(&address);
            }
        }
    }

    fn open(&mut self, now: Instant, id: RelayRequestId, ip: IpAddr, port: Option<u16>) {
        let port = port.or_else(|| self.free_port(ip));
        let address = port.map(|port| SocketAddr::new(ip, port)).filter(|address| !self.is_taken(*address));
        self.relays.extend(address);
        self.server.handle_relay_opened(now, id, address.ok_or(()));
    }

    fn free_port(&mut self, ip: IpAddr) -> Option<u16> {
        (FIRST_PORT..=u16::MAX).find_map(|_| {
            let port = self.next_port;
            self.next_port = port.checked_add(1).unwrap_or(FIRST_PORT);
            Some(port).filter(|port| !self.is_taken(SocketAddr::new(ip, *port)))
        })
    }

    fn is_taken(&self, address: SocketAddr) -> bool {
        self.relays.contains(&address) || self.listen.contains(&address)
    }
}
