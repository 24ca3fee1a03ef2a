//! Which agent a datagram on a shared socket is for.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use floe_pair::{Place, SocketId, TransportAddress};
use floe_stun::{
    AttributeType, Class, Message, TransactionId,
    classify::{DatagramClass, Source, classify},
};

use super::{AgentKey, requests::Requests};
use crate::io::{Transmit, TransmitKind};

/// Peers' addresses known for one agent: its pairs over all components, with room for peer-reflexive ones. When
/// full, those go that no pair of it leads to; if there is none, the oldest, which is noted again with the next check
/// there.
const MOST_ROUTES_PER_AGENT: usize = 1024;
/// Agents that are known to talk to one address over one place, as between two endpoints of one port each. Each is
/// asked whether data from there is its own. When full, further ones are found by user name and transaction id only.
const MOST_SHARERS: usize = 64;

/// Who owns a socket, and on shared ones who talks to whom.
#[derive(Debug, Default)]
pub(super) struct Routes {
    owners: BTreeMap<SocketId, Owner>,
    /// How many agents use a socket that was one agent's before it was forked.
    users: BTreeMap<SocketId, usize>,
    /// By their own user fragment, then by the peer's. Several have one fragment where one offer has several answers; all of
    /// them stand here, as many as the application has forked: of one that did not, the checks would be answered by another
    /// with the same password.
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, BTreeSet<AgentKey>>>,
    /// By place and source, the latest agent last.
    sharers: BTreeMap<Route, Vec<AgentKey>>,
    /// What to take out of the others when an agent goes.
    of_agent: BTreeMap<AgentKey, Noted>,
    requests: Requests,
    /// Checks to addresses that their agent alone talks to. The address tells whose an answer is, unless it comes from
    /// another one. Apart, so that these many push none of the others out.
    alone: Requests,
}

type Route = (Place, TransportAddress);
/// An agent's user fragment and its peer's, which is [`UNKNOWN`] as long as it has none.
type Name = (Box<str>, Box<str>);
/// No user fragment is empty (RFC 8839 §5.4).
const UNKNOWN: &str = "";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    One(AgentKey),
    Shared,
}

#[derive(Debug, Default)]
struct Noted {
    sockets: Vec<SocketId>,
    /// The oldest first.
    routes: VecDeque<Route>,
    /// The names of its generations.
    names: Vec<Name>,
}

/// Whom a datagram may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Nobody,
    /// The owner of the socket, or of the transaction.
    One(AgentKey),
    /// Whom the user name of a request names ([`Routes::named_in`]).
    Named,
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

    /// An agent and its fork use this socket from now on.
    pub(super) fn join(&mut self, socket: SocketId, parent: AgentKey, fork: AgentKey) {
        if self.owners.get(&socket) == Some(&Owner::One(parent)) {
            self.owners.insert(socket, Owner::Shared);
            self.users.insert(socket, 1);
        }
        if let Some(users) = self.users.get_mut(&socket) {
            *users = users.saturating_add(1);
            self.of_agent.entry(fork).or_default().sockets.push(socket);
        }
    }

    pub(super) fn is_in_use(&self, socket: SocketId) -> bool {
        self.users.get(&socket).is_some_and(|users| *users > 0)
    }

    /// An agent wants a socket closed. False where others still use it.
    pub(super) fn disown(&mut self, socket: SocketId, key: AgentKey) -> bool {
        if let Some(users) = self.users.get_mut(&socket) {
            *users = users.saturating_sub(1);
            if *users > 0 {
                if let Some(noted) = self.of_agent.get_mut(&key) {
                    noted.sockets.retain(|known| *known != socket);
                }
                return false;
            }
            self.users.remove(&socket);
            self.owners.remove(&socket);
        }
        if self.owners.get(&socket) == Some(&Owner::One(key)) {
            self.owners.remove(&socket);
        }
        if let Some(noted) = self.of_agent.get_mut(&key) {
            noted.sockets.retain(|known| *known != socket);
        }
        true
    }

    /// An agent is there with these user fragments, its own and its peer's for each of its generations, and no others.
    /// True where generations have come or gone.
    pub(super) fn name<'a>(
        &mut self,
        names: impl Iterator<Item = (&'a str, Option<&'a str>)>,
        key: AgentKey,
    ) -> bool {
        let now: Vec<Name> = names.map(|(own, peer)| (own.into(), peer.unwrap_or(UNKNOWN).into())).collect();
        let before = core::mem::take(&mut self.of_agent.entry(key).or_default().names);
        for name in before.iter().filter(|name| !now.contains(name)) {
            self.unname(name, key);
        }
        for (own, peer) in now.iter().filter(|name| !before.contains(name)) {
            let peers = self.names.entry(own.clone()).or_default();
            peers.entry(peer.clone()).or_default().insert(key);
        }
        let same = before.iter().map(|(own, _)| own).eq(now.iter().map(|(own, _)| own));
        self.of_agent.entry(key).or_default().names = now;
        !same
    }

    fn unname(&mut self, (own, peer): &Name, key: AgentKey) {
        let Some(peers) = self.names.get_mut(own) else { return };
        if let Some(known) = peers.get_mut(peer) {
            known.remove(&key);
            if known.is_empty() {
                peers.remove(peer);
            }
        }
        if peers.is_empty() {
            self.names.remove(own);
        }
    }

    /// An agent is gone. Returns the sockets that it shared with others and nobody uses any more.
    pub(super) fn remove(&mut self, key: AgentKey) -> Vec<SocketId> {
        let Some(noted) = self.of_agent.remove(&key) else { return Vec::new() };
        let mut orphans = Vec::new();
        for name in &noted.names {
            self.unname(name, key);
        }
        for socket in noted.sockets {
            if self.owners.get(&socket) == Some(&Owner::One(key)) {
                self.owners.remove(&socket);
            }
            if let Some(users) = self.users.get_mut(&socket) {
                *users = users.saturating_sub(1);
                if *users == 0 {
                    self.users.remove(&socket);
                    self.owners.remove(&socket);
                    orphans.push(socket);
                }
            }
        }
        for route in noted.routes {
            unshare(&mut self.sharers, &route, key);
        }
        orphans
    }

    /// An agent talks to these, in order, and to nobody else. Where it has no room for another one then the oldest goes.
    pub(super) fn keep(&mut self, key: AgentKey, talks: &[Route]) {
        let Some(noted) = self.of_agent.get_mut(&key) else { return };
        let sharers = &mut self.sharers;
        noted.routes.retain(|route| {
            let kept = talks.binary_search(route).is_ok();
            if !kept {
                unshare(sharers, route, key);
            }
            kept
        });
        if noted.routes.len() >= MOST_ROUTES_PER_AGENT
            && let Some(oldest) = noted.routes.pop_front()
        {
            unshare(sharers, &oldest, key);
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
            Class::Request => Target::Named,
            Class::Success | Class::Error => {
                let id = message.transaction_id();
                let sender = self.requests.find(id).or_else(|| self.alone.find(id));
                sender.map_or(Target::Response, Target::One)
            }
            Class::Indication => Target::Data,
        }
    }

    /// Those who talk to this address over this place, the latest last.
    pub(super) fn sharers(&self, place: Place, source: TransportAddress) -> &[AgentKey] {
        self.sharers.get(&(place, source.with_scope(0))).map_or(&[], Vec::as_slice)
    }

    /// An agent talks to this address over this place: it has checked it, or took a check from there. False where it has
    /// no room for it ([`Routes::keep`]).
    pub(super) fn learn(&mut self, place: Place, source: TransportAddress, key: AgentKey) -> bool {
        if self.owners.get(&place.socket) != Some(&Owner::Shared) {
            return true;
        }
        // RFC 4007 §6: the place tells the zone of a link-local address, which pairs do not have.
        let route = (place, source.with_scope(0));
        let sharers = self.sharers.get(&route).map_or(&[][..], Vec::as_slice);
        if sharers.len() >= MOST_SHARERS || sharers.contains(&key) {
            return true;
        }
        let noted = self.of_agent.entry(key).or_default();
        let room = noted.routes.len() < MOST_ROUTES_PER_AGENT;
        if room {
            noted.routes.push_back(route);
            self.sharers.entry(route).or_default().push(key);
        }
        room
    }

    /// A datagram of `key` is about to leave: its answer comes back to it. False as in [`Routes::learn`].
    pub(super) fn note_transmit(&mut self, key: AgentKey, transmit: &Transmit, buffer: &[u8]) -> bool {
        if self.owners.get(&transmit.from.socket) != Some(&Owner::Shared) {
            return true;
        }
        let is_check = match transmit.kind {
            TransmitKind::Check | TransmitKind::Consent => {
                if !self.learn(transmit.from, transmit.to, key) {
                    return false;
                }
                true
            }
            TransmitKind::Gathering | TransmitKind::Relay => false,
            TransmitKind::Response | TransmitKind::Keepalive | TransmitKind::Data => return true,
        };
        let requests = if !is_check || self.sharers(transmit.from, transmit.to) != [key] {
            &mut self.requests
        } else if transmit.kind == TransmitKind::Check {
            // RFC 8445 §7.2.5.2.1: an answer from elsewhere fails the pair, at once.
            &mut self.alone
        } else {
            // RFC 7675 §5.1: an answer from elsewhere renews no consent.
            return true;
        };
        if let Some(id) = buffer.get(8..).and_then(|rest| rest.first_chunk::<12>()) {
            requests.note(TransactionId(*id), key);
        }
        true
    }

    /// Whom a request is for: the first part of its user name is the local one, the second tells forks apart. One without
    /// a peer yet takes what no other knows.
    pub(super) fn named_in(&self, payload: &[u8]) -> Option<AgentKey> {
        let message = Message::parse(payload).ok()?;
        let username = message.raw(AttributeType::USERNAME)?;
        let (own, peer) = core::str::from_utf8(username).ok()?.split_once(':')?;
        let peers = self.names.get(own)?;
        let known = peers.get(peer).or_else(|| peers.get(UNKNOWN)).or_else(|| peers.values().next())?;
        known.first().copied()
    }
}

/// An agent does not talk over this route any more.
fn unshare(sharers: &mut BTreeMap<Route, Vec<AgentKey>>, route: &Route, key: AgentKey) {
    if let Some(known) = sharers.get_mut(route) {
        known.retain(|other| *other != key);
        if known.is_empty() {
            sharers.remove(route);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use floe_stun::{MessageWriter, Method, attribute::Username};

    use super::*;

    fn key(index: u32) -> AgentKey {
        AgentKey { index, generation: 0 }
    }

    /// RFC 8445 §7.3: the user name is the only thing that tells forks of one offer apart before they have talked.
    #[test]
    fn each_of_many_forks_is_found_by_its_user_name() {
        let mut routes = Routes::default();
        let named = |routes: &Routes, username: &str| {
            let mut buffer = [0; 100];
            let id = TransactionId([1; 12]);
            let mut writer = MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, id).unwrap();
            writer.put(&Username::new(username.as_bytes()).unwrap()).unwrap();
            let len = writer.fingerprint().unwrap();
            routes.named_in(&buffer[..len])
        };
        let peers: Vec<String> = (0..200).map(|index| format!("peer{index}")).collect();
        for index in 0..200 {
            assert!(routes.name([("ours", None)].into_iter(), key(index)));
        }
        // Nobody knows the peer yet: one of those that have none.
        assert_eq!(named(&routes, "ours:peer150"), Some(key(0)));
        assert_eq!(named(&routes, "theirs:peer150"), None);
        for (index, peer) in (0..199).zip(&peers) {
            assert!(!routes.name([("ours", Some(peer.as_str()))].into_iter(), key(index)));
        }
        for (index, peer) in (0..199).zip(&peers) {
            assert_eq!(named(&routes, &format!("ours:{peer}")), Some(key(index)));
        }
        assert_eq!(named(&routes, "ours:another"), Some(key(199)));
        for index in 1..200 {
            routes.remove(key(index));
        }
        // The only one decides itself whether it takes a check.
        assert_eq!(named(&routes, "ours:another"), Some(key(0)));
        routes.remove(key(0));
        assert_eq!(named(&routes, "ours:peer0"), None);
        assert!(routes.names.is_empty());
    }

    #[test]
    fn a_peer_is_known_by_its_link_local_address_with_and_without_a_zone() {
        let at = |text: &str| text.parse::<TransportAddress>().expect("an address");
        let place = Place { socket: SocketId(1), local_ip: at("[fe80::a]:1").ip() };
        let mut routes = Routes::default();
        routes.share(place.socket);
        // What is signalled has no zone, what arrives has.
        let (bare, zoned) = (at("[fe80::b]:9"), at("[fe80::b%2]:9"));
        assert!(routes.learn(place, bare, key(1)));
        assert!(routes.learn(place, zoned, key(2)));
        for source in [bare, zoned] {
            assert_eq!(routes.sharers(place, source), [key(1), key(2)]);
        }
        routes.keep(key(2), &[(place, bare)]);
        assert_eq!(routes.sharers(place, zoned), [key(1), key(2)]);
    }
}
