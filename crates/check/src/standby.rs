//! Which pairs are kept when a component has a selected one: standby pairs where renomination was negotiated, those that
//! the application keeps, and those that a controlling peer keeps.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use floe_pair::{BaseId, ComponentId, Role, StreamId};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::checklist::Component;
use crate::config::ConsentConfig;
use crate::consent::longest;
use crate::limits::PEER_KEPT_LIMIT;
use crate::pairs::{Pair, PairId, Traits};
use crate::state::PairState;

/// A controlling peer that keeps a pair checks it as often as we would, and one such check may be lost. Not to be longer
/// than that: what the peer has left is kept in vain.
pub(crate) fn kept_for(config: Option<ConsentConfig>) -> Duration {
    let longest = longest(config.unwrap_or_default());
    longest.saturating_mul(2).saturating_add(Duration::from_secs(1)).min(ConsentConfig::EXPIRY)
}

/// Whether the component of a valid pair has moved to another, or nothing has kept the pair when that was looked at.
fn is_left(pair: &Pair) -> bool {
    pair.left || !pair.listed
}

impl ChecklistSet {
    /// The standby pairs of a component, as they would be chosen now: the best valid pair on another base, or to another
    /// address where there is no other base; and the best over a relay. One that is better than the selected pair, and was
    /// left since it was silent, comes before both: it is gone back to when it answers again. Where that is not certain and
    /// the selected pair needs a relay itself, a second direct one is kept in place of a further relay.
    fn standby_of(
        &self,
        stream: StreamId,
        component: ComponentId,
        selected: PairId,
    ) -> Option<[Option<PairId>; 2]> {
        let held = self.pairs.get(selected)?;
        let (base, to, worth, relayed) = (held.base, held.to, held.worth(), held.relayed);
        let limit = if self.is_renominating() { self.config.standby } else { 0 };
        let best = |accept: &dyn Fn(&Pair) -> bool| {
            let fit = |pair: &Pair| {
                pair.id != selected
                    && pair.listed
                    && !(pair.wish.vetoed || pair.nomination_failed || pair.replaced)
                    && accept(pair)
            };
            self.pairs.most_worthy(stream, component, fit).map(|pair| pair.id)
        };
        let better = best(&|pair| !pair.slow && pair.worth() > worth);
        let first =
            better.or_else(|| best(&|pair| pair.base != base)).or_else(|| best(&|pair| pair.to != to));
        // One that was silent before may be about to end.
        let is_sure =
            |pair: &Pair| !pair.relayed && pair.valid.as_ref().is_some_and(|valid| valid.doubt == 0);
        let direct = if relayed && !first.and_then(|id| self.pairs.get(id)).is_some_and(is_sure) {
            best(&|pair| !pair.relayed && Some(pair.id) != first)
        } else {
            None
        };
        let second = direct.or_else(|| best(&|pair| pair.relayed && Some(pair.id) != first));
        Some([first.filter(|_| limit > 0), second.filter(|_| limit > 1)])
    }

    /// Pairs that the peer, which controls, keeps available (renomination draft §3.1): the best of them that fit, bounded.
    fn kept_by_peer(
        &self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        fits: impl Fn(&Pair) -> bool,
    ) -> [Option<PairId>; PEER_KEPT_LIMIT] {
        let mut kept = [None; PEER_KEPT_LIMIT];
        // Of RFC 5245 a controlling peer keeps what it has nominated, and sends on the one it likes.
        let moves = self.is_renominating() && self.standing.role == Role::Controlled;
        if !moves && !self.follows_rfc5245() {
            return kept;
        }
        let since = kept_for(self.config.consent);
        for place in 0..PEER_KEPT_LIMIT {
            let recent = |pair: &&Pair| {
                pair.listed
                    && fits(pair)
                    && !kept.contains(&Some(pair.id))
                    && pair.last_request.is_some_and(|at| now < at.after(since))
            };
            let own = self.pairs.valid(stream, component).map(|(pair, _)| pair).filter(recent);
            let best = own.max_by_key(|pair| (pair.worth(), Reverse(pair.id))).map(|pair| pair.id);
            if let Some(kept) = kept.get_mut(place) {
                *kept = best;
            }
        }
        kept
    }

    /// Takes the pairs that nothing keeps out of the checklist of a component that has a selected pair. They stay valid
    /// until their consent runs out. What is still being checked stays for as long as that lasts.
    pub(crate) fn trim(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let Some(found) = self.component(stream, component) else { return };
        let (selected, commanded, nomination) = (found.selected, found.commanded, found.nomination);
        let Some(held) = selected else { return };
        let standby = self.standby_of(stream, component, held);
        let by_peer = self.kept_by_peer(now, stream, component, |_| true);
        for pair in self.pairs.change(|pair| pair.is_of(stream, component)) {
            if let Some(standby) = standby {
                pair.standby = standby.contains(&Some(pair.id));
            }
            let stays = Some(pair.id) == selected
                || !pair.state.is_settled()
                || pair.peer_nominated
                || nomination.is_some_and(|id| id == pair.id || pair.is_proved_by(id))
                || (pair.valid.is_some()
                    && (pair.standby
                        || pair.wish.kept
                        || pair.wish.pinned
                        || Some(pair.id) == commanded
                        || by_peer.contains(&Some(pair.id))));
            if !stays {
                pair.listed = false;
            }
        }
        self.keep_producers();
    }

    /// The valid pairs that do nothing but wait for the end of the linger time, or of their consent: they were selected or
    /// nominated, and their components have moved to others. What would be kept if that time were over now is none of them,
    /// nor is what was never selected: it may be kept yet. A peer that moves on before that has several.
    pub(crate) fn left_pairs(&self) -> Vec<PairId> {
        let mut found = Vec::new();
        if !self.is_renominating() || !self.pairs.likely(Traits::VALID).any(is_left) {
            return found;
        }
        for checklist in &self.streams {
            for component in checklist.components.iter().filter(|component| component.concluded) {
                self.add_left(checklist.stream, component, &mut found);
            }
        }
        found
    }

    fn add_left(&self, stream: StreamId, of: &Component, found: &mut Vec<PairId>) {
        let Some(selected) = of.selected else { return };
        let own = || self.pairs.valid(stream, of.id).map(|(pair, _)| pair);
        if !own().any(is_left) {
            return;
        }
        let standby = self.standby_of(stream, of.id, selected).unwrap_or_default();
        // What the peer keeps it asks for again; the request that it was nominated with, before it was left, tells nothing.
        let by_peer = self.kept_by_peer(self.now, stream, of.id, |pair| !pair.left || pair.asked);
        let goes = |pair: &Pair| {
            let id = Some(pair.id);
            is_left(pair)
                && pair.state.is_settled()
                && !(pair.queued || pair.nominating || pair.peer_nominated)
                && !(pair.wish.kept || pair.wish.pinned)
                && ![of.selected, of.commanded, of.nomination].contains(&id)
                && !of.nomination.is_some_and(|producer| pair.is_proved_by(producer))
                && !(standby.contains(&id) || by_peer.contains(&id))
        };
        // Nominations of those that stay repeat the checks that have proved them.
        let proves = |pair: &Pair| own().any(|other| other.is_proved_by(pair.id) && !goes(other));
        found.extend(own().filter(|pair| goes(pair) && !proves(pair)).map(|pair| pair.id));
    }

    /// Pairs whose checks have proved others that stay: nominations of those repeat them, and their data comes in there.
    pub(crate) fn keep_producers(&mut self) {
        let mut from = 0;
        while let Some(index) = self.pairs.place_of_likely(from, Traits::VALID.and(Traits::SUCCEEDED)) {
            from = index.saturating_add(1);
            let Some(pair) = self.pairs.as_slice().get(index) else { continue };
            let kept = match &pair.valid {
                Some(valid) => Some(valid.producer).filter(|id| pair.listed && *id != pair.id),
                None if pair.listed || pair.state != PairState::Succeeded => None,
                None => self.pairs.entry_of(pair.id).filter(|entry| entry.listed).map(|_| pair.id),
            };
            if let Some(kept) = kept.and_then(|id| self.pairs.get_mut(id)) {
                kept.listed = true;
            }
        }
    }

    /// Pairs that are checked by consent only because they were kept, and are kept no more: the next request is not sent.
    pub(crate) fn trim_before_consent(&mut self, now: Instant) {
        // Within the linger time nothing goes; after it all is looked at anyway.
        if self.free_at.is_some() || self.free_later || self.retired {
            return;
        }
        let mut trimmed = false;
        for index in 0..self.pairs.as_slice().len() {
            let Some(pair) = self.pairs.as_slice().get(index) else { break };
            let consent = pair.valid.as_ref().and_then(|valid| valid.consent.as_ref());
            let (stream, component) = (pair.stream, pair.component);
            let selected = self.component(stream, component).and_then(|of| of.selected);
            let due = pair.listed && consent.is_some_and(|consent| consent.next_request() <= now);
            if due && selected.is_some_and(|selected| selected != pair.id) {
                self.trim(now, stream, component);
                trimmed = true;
            }
        }
        if trimmed && self.pairs.iter().any(|pair| !pair.listed && !pair.revoked) {
            self.free_at = Some(now.after(self.config.linger));
        }
    }

    /// Whether anything is still being found out about a pair of a checklist that is completed otherwise.
    pub(crate) fn is_still_checking(&self) -> bool {
        let open =
            |pair: &&Pair| pair.listed && matches!(pair.state, PairState::Waiting | PairState::InProgress);
        let concluded = |pair: &Pair| {
            self.component(pair.stream, pair.component).is_some_and(|component| component.concluded)
        };
        self.pairs.iter().filter(open).any(concluded)
    }

    /// Whether this base was added and is not removed.
    pub fn has_base(&self, base: BaseId) -> bool {
        self.bases.contains(base)
    }

    /// Whether a base is needed: a pair stands on it that is checked, valid, or was until just now. After completion all
    /// other bases may be closed.
    pub fn is_base_used(&self, base: BaseId) -> bool {
        let live = |pair: &Pair| pair.valid.is_some() || (pair.listed && pair.state != PairState::Failed);
        self.pairs.iter().any(|pair| pair.base == base && live(pair))
    }
}
