//! Which agent a datagram on a shared socket is for.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use floe_pair::{Place, SocketId, TransportAddress};
use floe_stun::{
    Class, Message, TransactionId,
    attribute::Username,
    classify::{DatagramClass, Source, classify},
};

use super::AgentKey;
use crate::io::{Transmit, TransmitKind};

/// Peers' addresses known for one agent: its pairs over all components, with room for peer-reflexive ones.
const MOST_ROUTES_PER_AGENT: usize = 1024;
/// Agents that talk to one address over one place, as between two endpoints of one port each. Data cannot be
/// told apart there, so more would only make it slower; the oldest goes.
const MOST_SHARERS: usize = 64;
/// Requests to servers whose answers may still come: RFC 8489 §6.2.1 waits 39.5 s, at most 200 start each second.
const MOST_REQUESTS: usize = 8192;

/// Who owns a socket, and on shared ones who talks to whom.
#[derive(Debug, Default)]
pub(super) struct Routes {
    owners: BTreeMap<SocketId, Owner>,
    ufrags: BTreeMap<Box<str>, AgentKey>,
    /// By place and source, the latest agent last. On one shared port that talks to another shared port
    /// the same address serves many agents; then a message's own contents decide.
    peers: BTreeMap<(Place, TransportAddress), Vec<AgentKey>>,
    /// What to take out of `peers` when an agent goes.
    of_agent: BTreeMap<AgentKey, Vec<(Place, TransportAddress)>>,
    requests: BTreeMap<TransactionId, AgentKey>,
    /// The ids of `requests`, oldest first.
    order: VecDeque<TransactionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    One(AgentKey),
    Shared,
}

/// The agents that a datagram may be for, the likeliest first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates {
    first: Option<AgentKey>,
    /// Then those that know the address, from the latest back.
    peers: Option<(Place, TransportAddress)>,
    left: usize,
}

impl Candidates {
    pub(super) fn next(&mut self, routes: &Routes) -> Option<AgentKey> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let known = routes.peers.get(&self.peers?)?;
        self.left = self.left.checked_sub(1)?;
        known.get(self.left).copied()
    }
}

impl Routes {
    pub(super) fn share(&mut self, socket: SocketId) {
        self.owners.insert(socket, Owner::Shared);
    }

    pub(super) fn own(&mut self, socket: SocketId, key: AgentKey) {
        self.owners.entry(socket).or_insert(Owner::One(key));
    }

    pub(super) fn disown(&mut self, socket: SocketId, key: AgentKey) {
        if self.owners.get(&socket) == Some(&Owner::One(key)) {
            self.owners.remove(&socket);
        }
    }

    pub(super) fn add_ufrag(&mut self, ufrag: &str, key: AgentKey) {
        self.ufrags.insert(ufrag.into(), key);
    }

    pub(super) fn remove(&mut self, ufrag: &str, key: AgentKey) {
        if self.ufrags.get(ufrag) == Some(&key) {
            self.ufrags.remove(ufrag);
        }
        self.owners.retain(|_, owner| *owner != Owner::One(key));
        for route in self.of_agent.remove(&key).unwrap_or_default() {
            if let Some(known) = self.peers.get_mut(&route) {
                known.retain(|other| *other != key);
                if known.is_empty() {
                    self.peers.remove(&route);
                }
            }
        }
    }

    /// Whom a datagram may be for.
    pub(super) fn find(&self, place: Place, source: TransportAddress, payload: &[u8]) -> Candidates {
        let none = Candidates { first: None, peers: None, left: 0 };
        match self.owners.get(&place.socket) {
            None => return none,
            Some(Owner::One(key)) => return Candidates { first: Some(*key), ..none },
            Some(Owner::Shared) => {}
        }
        let left = self.peers.get(&(place, source)).map_or(0, Vec::len);
        let known = Candidates { peers: Some((place, source)), left, ..none };
        if classify(payload, Source::Other) != DatagramClass::Stun {
            // Data says nothing of whose it is: the agents that know the address are asked, the latest first.
            return known;
        }
        let Ok(message) = Message::parse(payload) else { return known };
        match message.class() {
            // RFC 8445 §7.3: the part of USERNAME before the colon is the receiver's.
            Class::Request => Candidates { first: self.named_in(&message), ..none },
            Class::Success | Class::Error => match self.requests.get(&message.transaction_id()) {
                Some(key) => Candidates { first: Some(*key), ..none },
                None => known,
            },
            Class::Indication => known,
        }
    }

    /// An agent took something from this address: it is asked first for what comes from there.
    pub(super) fn learn(&mut self, place: Place, source: TransportAddress, key: AgentKey) {
        if self.owners.get(&place.socket) != Some(&Owner::Shared) {
            return;
        }
        if self.peers.get(&(place, source)).is_some_and(|known| known.contains(&key)) {
            return;
        }
        let routes = self.of_agent.entry(key).or_default();
        if routes.len() >= MOST_ROUTES_PER_AGENT {
            return;
        }
        routes.push((place, source));
        let known = self.peers.entry((place, source)).or_default();
        if known.len() >= MOST_SHARERS {
            known.remove(0);
        }
        known.push(key);
    }

    /// A datagram of `key` is about to leave: its answer comes back to it.
    pub(super) fn note_transmit(&mut self, key: AgentKey, transmit: &Transmit, buffer: &[u8]) {
        if self.owners.get(&transmit.from.socket) != Some(&Owner::Shared) {
            return;
        }
        let is_request = matches!(
            transmit.kind,
            TransmitKind::Check | TransmitKind::Consent | TransmitKind::Gathering | TransmitKind::Relay
        );
        if !is_request {
            return;
        }
        if matches!(transmit.kind, TransmitKind::Check | TransmitKind::Consent) {
            self.learn(transmit.from, transmit.to, key);
            // Where one agent alone talks to the address, the address is enough.
            if self.peers.get(&(transmit.from, transmit.to)).is_some_and(|known| known.len() == 1) {
                return;
            }
        }
        let Some(id) = buffer.get(8..).and_then(|rest| rest.first_chunk::<12>()) else { return };
        let id = TransactionId(*id);
        if self.requests.insert(id, key).is_some() {
            return;
        }
        self.order.push_back(id);
        while self.order.len() > MOST_REQUESTS {
            if let Some(oldest) = self.order.pop_front() {
                self.requests.remove(&oldest);
            }
        }
    }

    fn named_in(&self, message: &Message<'_>) -> Option<AgentKey> {
        let username = message.get::<Username<'_>>().ok().flatten()?;
        let (local, _) = username.as_str()?.split_once(':')?;
        self.ufrags.get(local).copied()
    }
}
