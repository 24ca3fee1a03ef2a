//! Candidates learned from checks (RFC 8445 §7.2.5.3.1, §7.3.1.3), and what happens when they are signalled later.

use alloc::vec::Vec;

use floe_pair::{BaseId, Candidate, ComponentId, Priority, StreamId, Transport, TransportAddress};

use crate::ChecklistSet;
use crate::candidates::{Local, LocalId, Remote, RemoteId};
use crate::event::{Event, Limit};
use crate::forming::is_relayed;
use crate::limits::{LOCAL_CANDIDATE_LIMIT, peer_reflexive_limit};
use crate::pairs::{Pair, PairId};
use crate::state::PairState;

/// The local candidate that the peer has seen.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub id: LocalId,
    pub base: BaseId,
    pub priority: Priority,
}

impl Seen {
    fn of(local: &Local) -> Self {
        Self { id: local.id, base: local.base, priority: local.candidate.priority }
    }
}

impl ChecklistSet {
    /// The remote candidate at this address, learned now if need be. `None` where a limit leaves no place for it.
    pub(crate) fn remote_seen(
        &mut self,
        stream: StreamId,
        component: ComponentId,
        transport: Transport,
        address: TransportAddress,
        priority: Priority,
    ) -> Option<RemoteId> {
        self.candidates.unpack(stream, component, Some(address));
        if let Some(known) = self.candidates.remote_at(stream, component, address) {
            return Some(known.id);
        }
        let (count, learned) = (self.candidates.count_remotes(), self.candidates.count_learned());
        let components = self.streams.iter().map(|list| list.components.len()).sum();
        let full = if learned >= peer_reflexive_limit(components) {
            Some(Limit::PeerReflexive)
        } else {
            (count >= self.limit_of(self.config.remote_limit)).then_some(Limit::RemoteCandidates)
        };
        let id = self.candidates.learn_remote(stream, component, transport, address, priority);
        if let Some(limit) = full {
            let candidate = self.candidates.remote(id)?.candidate.clone();
            let only_learned = limit == Limit::PeerReflexive;
            let accept = |remote: &Remote| remote.id != id && (remote.learned || !only_learned);
            if !self.evict_remote(limit, stream, &candidate, accept) {
                self.candidates.remotes.retain(|remote| remote.id != id);
                return None;
            }
        }
        self.events.push(Event::RemoteLearned { stream, component, address });
        Some(id)
    }

    /// The local candidate at this address, learned now if need be (RFC 8445 §7.2.5.3.1).
    pub(crate) fn local_seen(
        &mut self,
        pair: PairId,
        mapped: TransportAddress,
        priority: Priority,
    ) -> Option<Seen> {
        let pair = self.pairs.get(pair)?;
        let (stream, component, base) = (pair.stream, pair.component, pair.base);
        let own = self.candidates.local(pair.local)?;
        let near = &own.candidate;
        // The zone of a link-local address is not on the wire.
        let (transport, mapped) = (near.transport, mapped.with_scope(near.address.scope()));
        // What is usual, without a search. A base has no address twice.
        if near.address == mapped && own.base == base {
            return Some(Seen::of(own));
        }
        if let Some(known) = self.candidates.local_at(stream, component, base, mapped) {
            return Some(Seen::of(known));
        }
        let own = Seen::of(own);
        if !self.make_room_for_local() {
            return Some(own);
        }
        let id = self.candidates.learn_local(stream, component, base, transport, mapped, priority);
        self.events.push(Event::LocalLearned { stream, component, address: mapped });
        self.candidates.local(id).map(Seen::of)
    }

    /// Makes place for another local candidate, where there is none, by the oldest that was learned and that no pair stands
    /// on: a NAT may show another address with each answer. False if there is no such one.
    pub(crate) fn make_room_for_local(&mut self) -> bool {
        if self.candidates.locals.len() < self.limit_of(LOCAL_CANDIDATE_LIMIT) {
            return true;
        }
        let idle =
            |local: &Local| local.is_learned() && !self.pairs.iter().any(|pair| pair.stands_on(local.id));
        let oldest = self.candidates.locals.iter().position(idle);
        oldest.map(|index| self.candidates.locals.remove(index)).is_some()
    }

    /// A learned candidate is signalled: it gets its type, foundation and priority. Pairs there are go on as they
    /// are; pairs with the other bases are made where the component is `open` for them.
    pub(crate) fn take_over(&mut self, id: RemoteId, candidate: Candidate, open: bool) {
        let (relayed, kind) = (is_relayed(&candidate), candidate.kind);
        let ranks = self.config.policy.ranks;
        // RFC 8445 §7.3.1.3: the signalled foundation is the actual one.
        let foundation = self.candidates.remote_foundation(&candidate.foundation).unwrap_or(id.0);
        let Some(remote) = self.candidates.remote_mut(id) else { return };
        let stream = remote.stream;
        (remote.candidate, remote.foundation, remote.learned) = (candidate, foundation, false);
        let candidates = &self.candidates;
        let mut proved = Vec::new();
        // RFC 8838 §11 4.A: the pair keeps the priority it was formed with as peer-reflexive.
        for pair in self.pairs.change(|pair| pair.remote == id) {
            pair.foundation.remote = foundation;
            let near = candidates.local(pair.local);
            if let Some(near) = near {
                pair.type_rank = ranks.of_pair(near.candidate.kind, kind);
            }
            pair.relayed = relayed || near.is_some_and(|local| is_relayed(&local.candidate));
            if pair.state == PairState::Succeeded {
                proved.push(pair.foundation);
            }
        }
        for foundation in proved {
            self.pairs.thaw(foundation);
        }
        self.explain(stream);
        if open {
            self.form_for_remote(stream, id, true);
        }
    }

    /// Takes out a remote candidate that nothing is under way with, to make place for another: of those that `accept`
    /// takes first the oldest that is kept without a pair after its component was concluded; then the ones whose pairs
    /// have all failed, and of those the ones that nothing has to be remembered of; then the ones that were left, the peer's
    /// latest request over which is the oldest; then the lowest. False if there are none of the former, and the new one is
    /// not better than that.
    pub(crate) fn evict_remote(
        &mut self,
        limit: Limit,
        stream: StreamId,
        new: &Candidate,
        accept: impl Fn(&Remote) -> bool,
    ) -> bool {
        let busy = |pair: &Pair| {
            pair.queued
                || pair.nominating
                || pair.valid.is_some()
                || matches!(pair.state, PairState::InProgress | PairState::Succeeded)
        };
        let pairs = &self.pairs;
        let of = |id: RemoteId| pairs.iter().filter(move |pair| pair.remote == id);
        // RFC 8445 §7.3.1.3: one that was learned is paired where its check came in and nowhere else; one that was signalled,
        // after nomination, with a base that may be added. So that without a pair they are what the packed ones are.
        let lists = &self.streams;
        let concluded = |remote: &Remote| {
            let list = lists.iter().find(|list| list.stream == remote.stream);
            list.and_then(|list| list.component(remote.candidate.component)).is_some_and(|of| of.concluded)
        };
        let idle = |remote: &Remote| {
            (remote.learned || concluded(remote)) && accept(remote) && of(remote.id).next().is_none()
        };
        if let Some(remote) = self.candidates.forget_oldest(idle, limit == Limit::PeerReflexive) {
            self.events.push(Event::LimitReached { limit, stream, remote });
            return true;
        }
        let failed =
            |id: RemoteId| of(id).next().is_some() && of(id).all(|pair| pair.state == PairState::Failed);
        let dead = self.candidates.remotes.iter().filter(|remote| accept(remote) && failed(remote.id));
        let dead = dead.min_by_key(|remote| of(remote.id).any(|pair| self.is_spent(pair)));
        let left = || {
            let left = self.left_pairs();
            let is_left = |pair: &Pair| pair.state == PairState::Failed || left.contains(&pair.id);
            let remotes = self.candidates.remotes.iter().filter(|remote| accept(remote));
            let left = remotes.filter(|remote| of(remote.id).next().is_some() && of(remote.id).all(is_left));
            left.min_by_key(|remote| of(remote.id).filter_map(|pair| pair.last_request).max())
        };
        let victim = dead.or_else(left).or_else(|| {
            self.candidates
                .remotes
                .iter()
                .filter(|remote| accept(remote) && remote.candidate.priority < new.priority)
                .filter(|remote| !of(remote.id).any(busy))
                .min_by_key(|remote| remote.candidate.priority)
        });
        let Some((id, address)) = victim.map(|remote| (remote.id, remote.candidate.address)) else {
            self.events.push(Event::LimitReached { limit, stream, remote: new.address });
            return false;
        };
        self.events.push(Event::LimitReached { limit, stream, remote: address });
        let gone: Vec<PairId> = of(id).map(|pair| pair.id).collect();
        self.remember_spent(|pair| pair.remote == id);
        for pair in gone {
            self.drop_pair(pair);
        }
        self.candidates.remotes.retain(|remote| remote.id != id);
        true
    }

    /// Stands for a base in pairs: see [`Candidates::local_on`](crate::candidates::Candidates::local_on).
    pub(crate) fn transport_of(&self, base: BaseId) -> Option<(LocalId, Transport)> {
        self.candidates.local_on(base).map(|local| (local.id, local.candidate.transport))
    }
}
