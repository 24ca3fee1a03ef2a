//! Which agent a datagram on a shared socket is for.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};

use floe_pair::{Place, SocketId, TransportAddress};
use floe_stun::{
    Class, Message, TransactionId,
    attribute::Username,
    classify::{DatagramClass, Source, classify},
};

use super::{AgentKey, requests::Requests};
use crate::io::{Transmit, TransmitKind};

/// Peers' addresses known for one agent: its pairs over all components, with room for peer-reflexive ones. When
/// full, further ones are not noted: checks from there are found by their user name all the same.
const MOST_ROUTES_PER_AGENT: usize = 1024;
/// Agents that are known to talk to one address over one place, as between two endpoints of one port each. Each is
/// asked whether data from there is its own. When full, further ones are found by user name and transaction id only.
const MOST_SHARERS: usize = 64;

/// Who owns a socket, and on shared ones who talks to whom.
#[derive(Debug, Default)]
pub(super) struct Routes {
    owners: BTreeMap<SocketId, Owner>,
    ufrags: BTreeMap<Box<str>, AgentKey>,
    /// By place and source, the latest agent last.
    sharers: BTreeMap<Route, Vec<AgentKey>>,
    /// What to take out of the others when an agent goes.
    of_agent: BTreeMap<AgentKey, Noted>,
    requests: Requests,
}

type Route = (Place, TransportAddress);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    One(AgentKey),
    Shared,
}

#[derive(Debug, Default)]
struct Noted {
    sockets: Vec<SocketId>,
    routes: Vec<Route>,
}

/// Whom a datagram may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Nobody,
    /// The owner of the socket, or of the transaction.
    One(AgentKey),
    /// Whom the user name of a request names.
    Named(AgentKey),
    /// One of those who talk to this address. A response is for the one that knows its transaction.
    Response,
    /// As before; data is for one that has a valid pair there.
    Data,
}

impl Routes {
    pub(super) fn share(&mut self, socket: SocketId) {
        self.owners.insert(socket, Owner::Shared);
    }

    /// The driver has opened this socket for this agent.
    pub(super) fn own(&mut self, socket: SocketId, key: AgentKey) {
        if self.owners.get(&socket) != Some(&Owner::Shared) {
            self.owners.insert(socket, Owner::One(key));
            self.of_agent.entry(key).or_default().sockets.push(socket);
        }
    }

    pub(super) fn disown(&mut self, socket: SocketId, key: AgentKey) {
        if self.owners.get(&socket) == Some(&Owner::One(key)) {
            self.owners.remove(&socket);
        }
        if let Some(noted) = self.of_agent.get_mut(&key) {
            noted.sockets.retain(|known| *known != socket);
        }
    }

    /// An agent is there. Of two with one user fragment the first keeps it: whoever comes disturbs nobody.
    pub(super) fn add(&mut self, ufrag: &str, key: AgentKey) {
        self.ufrags.entry(ufrag.into()).or_insert(key);
    }

    pub(super) fn remove(&mut self, ufrag: &str, key: AgentKey) {
        if self.ufrags.get(ufrag) == Some(&key) {
            self.ufrags.remove(ufrag);
        }
        let Some(noted) = self.of_agent.remove(&key) else { return };
        for socket in noted.sockets {
            if self.owners.get(&socket) == Some(&Owner::One(key)) {
                self.owners.remove(&socket);
            }
        }
        for route in noted.routes {
            if let Some(sharers) = self.sharers.get_mut(&route) {
                sharers.retain(|other| *other != key);
                if sharers.is_empty() {
                    self.sharers.remove(&route);
                }
            }
        }
    }

    /// Whom a datagram may be for. Costs the same for each number of agents, but for a logarithm.
    pub(super) fn find(&self, place: Place, payload: &[u8]) -> Target {
        match self.owners.get(&place.socket) {
            None => return Target::Nobody,
            Some(Owner::One(key)) => return Target::One(*key),
            Some(Owner::Shared) => {}
        }
        if classify(payload, Source::Other) != DatagramClass::Stun {
            return Target::Data;
        }
        let Ok(message) = Message::parse(payload) else { return Target::Data };
        match message.class() {
            // RFC 8445 §7.3: the part of USERNAME before the colon is the receiver's.
            Class::Request => self.named_in(&message).map_or(Target::Nobody, Target::Named),
            Class::Success | Class::Error => {
                self.requests.find(message.transaction_id()).map_or(Target::Response, Target::One)
            }
            Class::Indication => Target::Data,
        }
    }

    /// Those who talk to this address over this place, the latest last.
    pub(super) fn sharers(&self, place: Place, source: TransportAddress) -> &[AgentKey] {
        self.sharers.get(&(place, source)).map_or(&[], Vec::as_slice)
    }

    /// An agent talks to this address over this place: it has checked it, or took a check from there.
    pub(super) fn learn(&mut self, place: Place, source: TransportAddress, key: AgentKey) {
        if self.owners.get(&place.socket) != Some(&Owner::Shared) {
            return;
        }
        let route = (place, source);
        let sharers = self.sharers.get(&route).map_or(&[][..], Vec::as_slice);
        if sharers.len() >= MOST_SHARERS || sharers.contains(&key) {
            return;
        }
        let noted = self.of_agent.entry(key).or_default();
        if noted.routes.len() < MOST_ROUTES_PER_AGENT {
            noted.routes.push(route);
            self.sharers.entry(route).or_default().push(key);
        }
    }

    /// A datagram of `key` is about to leave: its answer comes back to it.
    pub(super) fn note_transmit(&mut self, key: AgentKey, transmit: &Transmit, buffer: &[u8]) {
        if self.owners.get(&transmit.from.socket) != Some(&Owner::Shared) {
            return;
        }
        match transmit.kind {
            TransmitKind::Check | TransmitKind::Consent => {
                self.learn(transmit.from, transmit.to, key);
                // Where one agent alone talks to the address, the address is enough.
                if self.sharers(transmit.from, transmit.to) == [key] {
                    return;
                }
            }
            TransmitKind::Gathering | TransmitKind::Relay => {}
            TransmitKind::Response | TransmitKind::Keepalive | TransmitKind::Data => return,
        }
        if let Some(id) = buffer.get(8..).and_then(|rest| rest.first_chunk::<12>()) {
            self.requests.note(TransactionId(*id), key);
        }
    }

    fn named_in(&self, message: &Message<'_>) -> Option<AgentKey> {
        let username = message.get::<Username<'_>>().ok().flatten()?;
        let (local, _) = username.as_str()?.split_once(':')?;
        self.ufrags.get(local).copied()
    }
}
