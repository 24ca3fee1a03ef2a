//! Candidates become pairs (RFC 8445 §6.1.2, RFC 8838 §10 to §12).

use alloc::vec::Vec;

use floe_pair::{
    BaseId, Candidate, CandidateType, ComponentId, PairPriority, StreamId, TransportAddress, is_destination,
    meeting,
};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::candidates::{Local, LocalId, Remote, RemoteId};
use crate::event::{Event, Limit, RemoteOutcome};
use crate::pairs::{Pair, PairId, Place};
use crate::state::PairState;

impl ChecklistSet {
    /// Adds a local candidate, after it was signalled to the peer (RFC 8838 §10). Its component and base must be
    /// known; a reflexive candidate has the base of its host candidate. Redundant ones are ignored, as are those of a
    /// component that has a selected pair.
    pub fn add_local_candidate(
        &mut self,
        now: Instant,
        stream: StreamId,
        candidate: Candidate,
        base: BaseId,
    ) {
        let now = self.advance(now);
        let component = candidate.component;
        let Some(found) = self.component(stream, component) else { return };
        // After nomination only what stands on a new base is of use: that is another way to the peer.
        let open = !found.concluded || (!self.local.lite && self.bases.owner(base).is_none());
        if !open || self.retired || !self.bases.contains(base) || !self.make_room_for_local() {
            return;
        }
        self.bases.set_owner(base, (stream, component));
        if self.bases.owner(base) != Some((stream, component)) {
            return;
        }
        let known = self
            .candidates
            .locals
            .iter_mut()
            .find(|local| local.base == base && local.candidate.address == candidate.address);
        if let Some(known) = known {
            // A peer has seen the address before the server told it: the same candidate, now with its real type.
            if known.candidate.kind == CandidateType::PeerReflexive {
                known.candidate = candidate;
            }
            return;
        }
        let (priority, standing) = (candidate.priority, self.candidates.local_on(base));
        let standing = standing.map(|local| local.candidate.priority);
        self.told_at.get_or_insert(now);
        if self.started {
            self.extended_at = Some(now);
        }
        let id = self.candidates.add_local(stream, candidate, base);
        match standing {
            None => self.form_for_base(stream, base, id),
            Some(other) if priority > other => self.promote(base, id),
            // RFC 8445 §6.1.2.4: replaced by its base, each pair of it is redundant with one there is.
            Some(_) => {}
        }
        self.replay_early();
        self.unsettled = true;
    }

    /// Whether a candidate of this side was added with [`Self::add_local_candidate`], and stands.
    pub fn knows_local(&self, base: BaseId, address: TransportAddress) -> bool {
        let mut on_base =
            self.candidates.locals.iter().filter(|local| local.base == base).map(|of| &of.candidate);
        on_base.any(|known| known.address == address && known.kind != CandidateType::PeerReflexive)
    }

    /// Adds a candidate the peer has signalled; its component must be known. Redundant ones are ignored, as are those
    /// of a component that has a selected pair, and all after the peer's end of candidates (RFC 8838 §14). One that
    /// was learned from a check before gets its real type, also while its pair is the selected one.
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        stream: StreamId,
        mut candidate: Candidate,
    ) -> RemoteOutcome {
        self.advance(now);
        // RFC 8839 §5.1, RFC 4007 §6: a zone means nothing beyond its host. Our bases tell theirs.
        candidate.address = candidate.address.with_scope(0);
        let component = candidate.component;
        let Some(checklist) = self.checklist(stream).filter(|list| list.component(component).is_some())
        else {
            return RemoteOutcome::NoComponent;
        };
        if self.retired || checklist.remote_complete {
            return RemoteOutcome::Ended;
        }
        let open = !checklist.component(component).is_some_and(|component| component.concluded)
            || (self.is_renominating() && !self.local.lite);
        self.note_remote_component(stream, component);
        if self.candidates.is_denied(stream, component, candidate.address)
            || !self.config.policy.allows(candidate.address, candidate.kind)
        {
            self.deny(stream, component, candidate.address);
            return RemoteOutcome::Denied;
        }
        match self.candidates.packed_at(stream, component, candidate.address) {
            Some(CandidateType::PeerReflexive) => {
                self.candidates.unpack(stream, component, Some(candidate.address));
            }
            Some(_) => return RemoteOutcome::Taken,
            None => {}
        }
        if let Some(known) = self.candidates.remote_at(stream, component, candidate.address) {
            let (id, learned) = (known.id, known.learned);
            if learned {
                self.take_over(id, candidate, open);
                self.unsettled = true;
            }
            return RemoteOutcome::Taken;
        }
        if self.candidates.count_remotes() >= self.limit_of(self.config.remote_limit)
            && !self.evict_remote(Limit::RemoteCandidates, stream, &candidate, |_| true)
        {
            return RemoteOutcome::Full;
        }
        let id = self.candidates.add_remote(stream, candidate, false);
        self.explain(stream);
        // Without renomination one that comes after nomination is kept for a base of ours that may be added.
        if open {
            self.form_for_remote(stream, id, false);
        }
        self.unsettled = true;
        RemoteOutcome::Taken
    }

    /// Pairs a base that is new with all candidates the peer has signalled.
    fn form_for_base(&mut self, stream: StreamId, base: BaseId, local: LocalId) {
        if let Some((stream, component)) = self.bases.owner(base) {
            self.candidates.unpack(stream, component, None);
        }
        if self.candidates.remotes.is_empty() {
            return;
        }
        let Some(near) = self.candidates.local_place(local) else { return };
        let component = self.candidates.locals.get(near).map(|near| near.candidate.component);
        let Some(place) = component.and_then(|component| self.place_in(stream, component)) else { return };
        // RFC 8445 §7.3.1.3: a peer-reflexive candidate is paired only where a check came in.
        let signalled = |remote: &Remote| remote.stream == stream && !remote.learned;
        let more = self.candidates.remotes.iter().filter(|remote| signalled(remote)).count();
        self.pairs.reserve(more, place.limit);
        for far in 0..self.candidates.remotes.len() {
            let Some(found) = self.candidates.remotes.get(far) else { break };
            let fits = |near| signalled(found) && self.is_of_use(near, found, &place);
            if self.candidates.locals.get(near).is_some_and(fits) {
                self.join(near, far, &place);
            }
        }
        if place.late && place.freed {
            let (pairs, of) = (&self.pairs, (stream, component));
            let idle = |remote: &Remote| {
                (remote.stream, Some(remote.candidate.component)) == of
                    && !pairs.iter().any(|pair| pair.remote == remote.id)
            };
            self.candidates.pack(idle);
        }
    }

    /// Pairs a remote candidate with all bases of its component. `met`: it may have pairs already, since it was learned.
    pub(crate) fn form_for_remote(&mut self, stream: StreamId, remote: RemoteId, met: bool) {
        let Some(far) = self.candidates.remote_place(remote) else { return };
        let Some(found) = self.candidates.remotes.get(far) else { return };
        let (component, to) = (found.candidate.component, found.candidate.address);
        let mut known = self.pairs.iter().filter(|pair| pair.is_of(stream, component));
        debug_assert!(met || known.all(|pair| pair.to != to), "a candidate outlives its pairs");
        let Some(place) = self.place_in(stream, component) else { return };
        let (bases, pairs) = (self.candidates.locals.len(), self.pairs.as_slice().len());
        // Most peers have about as many candidates as we.
        let more = if pairs == 0 { bases.saturating_mul(bases) } else { bases };
        self.pairs.reserve(more, place.limit);
        // What is usual: of a local candidate only itself has to be looked at.
        let usual = !(met || place.late || place.freed) && self.spent.is_empty();
        if usual && pairs.saturating_add(bases) <= place.limit {
            self.join_all(stream, far, &place);
            return;
        }
        for near in 0..bases {
            let (locals, remotes) = (&self.candidates.locals, &self.candidates.remotes);
            let Some((local, found)) = locals.get(near).zip(remotes.get(far)) else { break };
            if self.may_join(stream, local, found, met, &place) {
                self.join(near, far, &place);
            }
        }
    }

    /// All pairs of a remote candidate, which has none yet, join their checklist: for none of them another has to go, each is of
    /// use, and no consent of one has ended.
    fn join_all(&mut self, stream: StreamId, far: usize, place: &Place) {
        let far = self.candidates.remotes.get(far).filter(|far| self.is_eligible(far));
        let Some(far) = far else { return };
        let place = Place { unexplained: self.is_unexplained(far), ..*place };
        let (candidates, bases) = (&self.candidates, &self.bases);
        self.pairs.extend(&candidates.locals, far, &place, self.started, |near| {
            let fits = near.stream == stream && candidates.stands(near) && meets(near, far);
            if fits { bases.still_admits(near.base, far.candidate.address) } else { None }
        });
    }

    /// Whether a pair of these candidates is wanted, and there is none. RFC 8445 §6.1.2.4: reflexive candidates are replaced
    /// by their base, so that a base is paired once. `met`: the remote one may have pairs already.
    #[inline]
    fn may_join(&self, stream: StreamId, near: &Local, far: &Remote, met: bool, place: &Place) -> bool {
        near.stream == stream
            && self.candidates.stands(near)
            && !(met && self.pairs.find(near.base, far.candidate.address).is_some())
            && self.is_of_use(near, far, place)
    }

    /// Whether a remote candidate is a relay's, or looks like one that was not signalled.
    fn may_be_relayed(&self, remote: RemoteId) -> bool {
        self.candidates.remote(remote).is_some_and(|remote| is_relayed(&remote.candidate))
            || self.candidates.is_unexplained(remote)
    }

    /// What the peer has signalled tells what the addresses are that were learned from checks.
    pub(crate) fn explain(&mut self, stream: StreamId) {
        for id in self.candidates.remotes.iter().filter(|remote| remote.learned).map(|remote| remote.id) {
            let relayed = self.may_be_relayed(id);
            let candidates = &self.candidates;
            for pair in self.pairs.change(|pair| pair.remote == id && pair.stream == stream) {
                let near = candidates.local(pair.local);
                pair.relayed = relayed || near.is_some_and(|local| is_relayed(&local.candidate));
            }
        }
    }

    /// A candidate of higher priority came for a base that has pairs: theirs is the lower one, which goes.
    fn promote(&mut self, base: BaseId, id: LocalId) {
        let Some(local) = self.candidates.local(id) else { return };
        let (role, priority) = (self.standing.role, local.candidate.priority);
        for pair in self.pairs.change(|pair| pair.base == base && pair.listed) {
            // RFC 8838 §10: pairs that are or were checked stay as they are.
            if matches!(pair.state, PairState::Waiting | PairState::Frozen) {
                pair.local = id;
                pair.local_priority = priority;
                pair.check_priority = local.candidate.peer_reflexive_priority();
                pair.foundation.local = local.foundation;
                pair.set_role(role);
            }
        }
    }

    /// Makes a pair, of which there is none yet, and puts it into its checklist. `None` if the two do not go together, or
    /// if the limit leaves no place for it.
    pub(crate) fn insert_pair(&mut self, local: LocalId, remote: RemoteId) -> Option<PairId> {
        let (near, far) = (self.candidates.local_place(local)?, self.candidates.remote_place(remote)?);
        let local = self.candidates.locals.get(near)?;
        let place = self.place_in(local.stream, local.candidate.component)?;
        self.join(near, far, &place)
    }

    fn place_in(&self, stream: StreamId, component: ComponentId) -> Option<Place> {
        let checklist = self.checklist(stream)?;
        Some(Place {
            order: checklist.order,
            freed: checklist.freed,
            late: checklist.component(component).is_some_and(|component| component.concluded),
            limit: self.limit_of(self.config.pair_limit),
            role: self.standing.role,
            ranks: self.config.policy.ranks,
            unexplained: false,
        })
    }

    /// The pair of the candidates at these indexes joins its checklist.
    fn join(&mut self, near: usize, far: usize, place: &Place) -> Option<PairId> {
        let (local, remote) = (self.candidates.locals.get(near)?, self.candidates.remotes.get(far)?);
        let (stream, base, to) = (local.stream, local.base, remote.candidate.address);
        let mut admitted = self.goes_with(local, remote).filter(|_| self.is_eligible(remote))?;
        let priority = PairPriority::new(place.role, local.candidate.priority, remote.candidate.priority);
        if !self.make_room(place, priority) {
            self.events.push(Event::LimitReached { limit: Limit::Pairs, stream, remote: to });
            return None;
        }
        // What no pair needed was given back when the candidates were freed: the base may be open for the peer no more.
        if place.freed && !self.is_peer_listed(base, to.ip()) {
            self.bases.forget_peer(base, to.ip());
            admitted = self.bases.is_admitted(base, to)?;
        }
        let (near, far) = (self.candidates.locals.get(near)?, self.candidates.remotes.get(far)?);
        let place = Place { unexplained: self.is_unexplained(far), ..*place };
        let id = self.pairs.next();
        self.pairs.extend(core::slice::from_ref(near), far, &place, self.started, |_| Some(admitted));
        self.linger_for(place.late);
        Some(id)
    }

    /// Whether a remote candidate can be in a pair at all.
    fn is_eligible(&self, far: &Remote) -> bool {
        let (component, to) = (far.candidate.component, far.candidate.address);
        // The peer may have signalled the address under another type before, which the policy denies.
        is_destination(&far.candidate) && !self.candidates.is_denied(far.stream, component, to)
    }

    /// Whether two candidates go together of which the remote one is eligible, and then whether the base is open for the peer.
    fn goes_with(&self, near: &Local, far: &Remote) -> Option<bool> {
        let (base, to) = (near.base, &far.candidate.address);
        let fits = meets(near, far) && !self.spent.iter().any(|(spent, peer)| *spent == base && peer == to);
        // Its candidates outlive a base where pairs stand on them, and nothing can be sent from there.
        if fits { self.bases.still_admits(base, *to) } else { None }
    }

    /// Whether what was learned from a check is not explained by what the peer has signalled: it may be a relay's.
    fn is_unexplained(&self, far: &Remote) -> bool {
        far.learned && self.candidates.is_unexplained(far.id)
    }

    /// What was freed is freed anew some time after a pair has joined that comes late.
    fn linger_for(&mut self, late: bool) {
        if late {
            let linger = self.now.after(self.config.linger);
            self.free_at.get_or_insert(linger);
        }
    }

    /// Whether the pair of these candidates could be used. Of those that come after nomination any may be moved to or kept
    /// with renomination; without it, one that is better is a reason to suggest a restart.
    #[inline]
    fn is_of_use(&self, near: &Local, far: &Remote, place: &Place) -> bool {
        !place.late || self.is_renominating() || self.is_better(near, far)
    }

    /// Whether the pair of these candidates would be better than the selected one.
    #[inline(never)]
    fn is_better(&self, near: &Local, far: &Remote) -> bool {
        let of = self.component(near.stream, near.candidate.component).filter(|of| of.concluded);
        let selected = of.and_then(|of| of.selected);
        let Some(selected) = selected.and_then(|id| self.pairs.get(id)) else { return true };
        let (near, far, replaced) = (&near.candidate, &far.candidate, near.replaced);
        let rank = self.config.policy.ranks.of_pair(near.kind, far.kind);
        let priority = PairPriority::new(self.standing.role, near.priority, far.priority);
        (false, rank, !replaced, !(is_relayed(near) || is_relayed(far)), priority) > selected.worth()
    }

    /// RFC 8445 §6.1.2.5, RFC 8838 §10: where the set is full, a failed pair goes, one whose base was removed first; else
    /// one that was [left](Self::left_pairs), the peer's latest request over which is the oldest; else the lowest of the
    /// longest checklist. False if that would be the new pair.
    #[inline]
    fn make_room(&mut self, place: &Place, priority: PairPriority) -> bool {
        let Place { order, limit, .. } = *place;
        self.pairs.as_slice().len() < limit
            || self.pairs.count_listed() < limit
            || self.take_place(order, priority)
    }

    #[cold]
    fn take_place(&mut self, order: u16, priority: PairPriority) -> bool {
        let failed = self
            .pairs
            .iter()
            .filter(|pair| pair.listed && pair.state == PairState::Failed && !self.is_spent(pair))
            .min_by_key(|pair| (self.bases.contains(pair.base), pair.priority))
            .map(|pair| pair.id);
        if let Some(id) = failed {
            self.drop_pair(id);
            return true;
        }
        let left = self.left_pairs();
        let left = self.pairs.iter().filter(|pair| pair.listed && left.contains(&pair.id));
        let left = left.min_by_key(|pair| pair.last_request).map(|pair| (pair.id, pair.stream, pair.to));
        left.or_else(|| self.lowest(order, priority)).is_some_and(|(id, stream, remote)| {
            self.drop_pair(id);
            self.events.push(Event::LimitReached { limit: Limit::Pairs, stream, remote });
            true
        })
    }

    /// The pair that has to go for a new one of this checklist and priority.
    fn lowest(&self, order: u16, priority: PairPriority) -> Option<(PairId, StreamId, TransportAddress)> {
        let length = |of: u16| {
            let own = self.pairs.iter().filter(|pair| pair.listed && pair.order == of).count();
            own.saturating_add(usize::from(of == order))
        };
        let idle = |pair: &&Pair| {
            pair.listed
                && !(pair.queued || pair.nominating)
                && matches!(pair.state, PairState::Waiting | PairState::Frozen)
        };
        let lengths: Vec<(u16, usize)> =
            self.streams.iter().map(|checklist| (checklist.order, length(checklist.order))).collect();
        let length =
            |of: u16| lengths.iter().find(|(order, _)| *order == of).map_or(0, |(_, length)| *length);
        self.pairs
            .iter()
            .filter(idle)
            .max_by_key(|pair| (length(pair.order), core::cmp::Reverse(pair.priority)))
            .filter(|pair| {
                if pair.order == order {
                    pair.priority < priority
                } else {
                    length(pair.order) > length(order)
                }
            })
            .map(|pair| (pair.id, pair.stream, pair.to))
    }

    /// RFC 7675 §5.1: whether the credentials of this generation are never used on the pair again, which is remembered
    /// for as long as its base lives.
    pub(crate) fn is_spent(&self, pair: &Pair) -> bool {
        pair.revoked && self.bases.contains(pair.base)
    }

    /// Takes a pair out of the set with all that belongs to it.
    pub(crate) fn drop_pair(&mut self, id: PairId) {
        self.transactions.retain(|check| check.pair != id);
        for checklist in &mut self.streams {
            checklist.triggered.retain(|queued| *queued != id);
        }
        self.pairs.remove(id);
    }
}

/// Whether a local candidate sends checks and makes a pair with a remote one that is eligible.
#[inline]
fn meets(near: &Local, far: &Remote) -> bool {
    near.candidate.transport.sends_checks() && meeting(&near.candidate, &far.candidate).is_ok()
}

/// Whether a relay stands for the candidate.
pub(crate) fn is_relayed(candidate: &Candidate) -> bool {
    candidate.kind == CandidateType::Relayed
}
