//! Which pair is nominated, when, and what follows (RFC 8445 §8.1).

use floe_pair::{ComponentId, Role, StreamId, TieBreaker};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::checklist::Component;
use crate::event::{MoveReason, RestartReason};
use crate::limits::ROLE_SWITCH_LIMIT;
use crate::pairs::{Pair, PairId, PairTable, Traits, Valid};
use crate::state::PairState;
use crate::timing::{Outlook, Prospect, Timing, timing};
use crate::transactions::Check;

impl ChecklistSet {
    /// Decides for each component without a selected pair. RFC 8445 §8.1.1: the controlling agent picks one valid
    /// pair, and while its nomination is under way no other.
    pub(crate) fn decide_nominations(&mut self, now: Instant) {
        if self.standing.role != Role::Controlling || self.peer.is_none() {
            return;
        }
        let known = Outlook {
            now,
            ta: self.ta_in_force(),
            began: self.peer_began,
            told: self.told_at.unwrap_or(now),
            rtt: None,
            extended: self.extended_at,
            listed: 0,
            held: None,
            direct: None,
        };
        let (mut held, mut direct) = (None, None);
        for checklist in &mut self.streams {
            let stream = checklist.stream;
            let growing = !(checklist.local_complete && checklist.remote_complete);
            for component in &mut checklist.components {
                component.hold = None;
                if let Some(id) = component.nomination.or(component.selected) {
                    direct = direct.max(direct_since(&self.pairs, id));
                }
                if component.nomination.is_some() {
                    continue;
                }
                if component.concluded {
                    // Selected when the roles were the other way round, or not settled: the nomination is repeated,
                    // since the peer may not have heard of it, or may have accepted another one of its own.
                    let again = component.selected.filter(|_| !component.confirmed);
                    let again = again.and_then(|id| self.pairs.get(id)?.valid.as_ref());
                    if let Some(id) = again.map(|valid| valid.producer)
                        && let Some(pair) = self.pairs.get_mut(id)
                        && pair.state == PairState::Succeeded
                        && !pair.nomination_failed
                    {
                        (component.nomination, pair.nominating) = (Some(id), true);
                    }
                    continue;
                }
                let Some(best) = worthiest(&self.pairs, stream, component.id) else { continue };
                let Some(valid) = &best.valid else { continue };
                let unexplained = self.candidates.is_unexplained(best.remote);
                let prospect = Prospect { best, since: valid.since, growing, unexplained };
                let id = valid.producer;
                let outlook = outlook(&self.pairs, Outlook { held, direct, ..known });
                let timing = timing(outlook, prospect, &self.pairs, self.ranked);
                match self.config.policy.bound(timing, valid.since, now) {
                    Timing::Hold(until) => {
                        component.hold = Some(until);
                        held = held.max(component.hold);
                    }
                    Timing::Now => {
                        component.nomination = Some(id);
                        direct = direct.max(Some(valid.since).filter(|_| !best.relayed));
                        // RFC 8445 §8.1.1: the check that produced the valid pair is the one that is repeated.
                        if let Some(pair) = self.pairs.get_mut(id) {
                            pair.nominating = true;
                        }
                    }
                }
            }
        }
    }

    /// Whether a component that has a valid pair may yet decide on its nomination.
    pub(crate) fn is_deciding(&self) -> bool {
        let undecided = |component: &Component| !component.concluded && component.nomination.is_none();
        self.standing.role == Role::Controlling
            && self.pairs.may_have(Traits::VALID)
            && self.streams.iter().any(|list| list.components.iter().any(undecided))
    }

    /// A nomination ends with the pair whose check it is: with its base, or where the set was too full for it.
    pub(crate) fn settle_nominations(&mut self) {
        let pairs = &self.pairs;
        let live = |id| pairs.get(id).is_some_and(|pair| pair.nominating && pair.state != PairState::Failed);
        for checklist in &mut self.streams {
            for component in &mut checklist.components {
                if component.nomination.is_some_and(|id| !live(id)) {
                    (component.nomination, component.moves.reason, component.confirmed) = (None, None, false);
                }
            }
        }
    }

    /// What the application holds of the pairs of a component has changed. RFC 8445 §8.1.1: a pair is nominated by a request
    /// with USE-CANDIDATE. Before that a nomination is taken back where its pair is vetoed, and, unless it was commanded,
    /// where another is worth more.
    pub(crate) fn reconsider_nomination(&mut self, stream: StreamId, component: ComponentId) {
        let Some(of) = self.component(stream, component) else { return };
        let Some(id) = of.nomination.filter(|id| !self.is_nomination_sent(*id)) else { return };
        let Some(pair) = self.nominee(id) else { return };
        let is_worthiest =
            || fittest(&self.pairs, stream, component).is_some_and(|worthiest| worthiest.id == pair.id);
        let commanded = of.commanded == Some(pair.id);
        if pair.wish.vetoed || !(commanded || is_worthiest()) {
            self.take_back_nomination(stream, component);
        }
    }

    /// Whether a nomination is more than a decision: a request went out for it, and an answer would count.
    pub(crate) fn is_nomination_sent(&self, id: PairId) -> bool {
        let Some(pair) = self.pairs.get(id) else { return false };
        pair.state != PairState::Succeeded || self.is_nomination_open(pair)
    }

    /// Whether an answer to a nomination of the pair that was sent would count.
    pub(crate) fn is_nomination_open(&self, pair: &Pair) -> bool {
        let confirmed = self.component(pair.stream, pair.component).map_or(0, |of| of.moves.confirmed);
        let counts = |check: &Check| {
            check.pair == pair.id && check.use_candidate && check.value.is_none_or(|value| value > confirmed)
        };
        self.transactions.iter().any(counts)
    }

    /// Takes back what was not sent.
    pub(crate) fn take_back_nomination(&mut self, stream: StreamId, component: ComponentId) {
        let Some(of) = self.component_mut(stream, component) else { return };
        let Some(id) = of.nomination.take() else { return };
        let (reason, stays) = (of.moves.reason.take(), of.selected);
        if let Some(pair) = self.pairs.get_mut(id) {
            pair.nominating = false;
        }
        // What was to be left because it is slow is not left.
        let stays = stays.filter(|_| reason == Some(MoveReason::Faster));
        if let Some(pair) = stays.and_then(|id| self.pairs.get_mut(id)) {
            pair.slow = false;
        }
    }

    /// The valid pair that a nomination of `id` is about.
    pub(crate) fn nominee(&self, id: PairId) -> Option<&Pair> {
        self.pairs.entry_of(id)
    }

    /// RFC 8445 §7.2.5.3.4, §7.3.1.5: the nominated flag of the valid pair that a nomination of `id` is about is set.
    /// `ours`: by the answer to a nomination of ours.
    pub(crate) fn set_nominated(&mut self, id: PairId, ours: bool) {
        let Some(target) = self.nominee(id).map(|pair| pair.id) else {
            if ours {
                // Nothing is valid by its check: another one is repeated instead.
                self.nomination_failed(id);
            }
            return;
        };
        let Some(pair) = self.pairs.get(target) else { return };
        let (stream, component) = (pair.stream, pair.component);
        let several = !ours && self.peer.as_ref().is_some_and(|peer| !peer.regular);
        for pair in self.pairs.change(|pair| pair.valid.is_some() && pair.is_of(stream, component)) {
            if let Some(valid) = &mut pair.valid {
                valid.nominated = pair.id == target || (valid.nominated && several);
            }
        }
        if let Some(pair) = self.pairs.get_mut(id) {
            (pair.nominating, pair.peer_nominated) = (false, false);
            // What was selected may be tried anew as often as in the beginning.
            pair.fresh_used = 0;
        }
        self.conclude(stream, component, ours.then_some(id));
        if let Some(component) = self.component_mut(stream, component) {
            component.confirmed |= ours;
            if ours {
                // RFC 8445 §8.1.1: what we have nominated since is the one nomination there is.
                component.overrule(None);
            }
        }
    }

    /// RFC 8445 §8.1.2: a nominated pair concludes its component. `ours`: the pair whose nomination by us was answered.
    fn conclude(&mut self, stream: StreamId, component: ComponentId, ours: Option<PairId>) {
        // RFC 8445 §8.1.1: of several nominated pairs the one of highest priority is used.
        let nominated = |pair: &Pair| pair.valid.as_ref().is_some_and(|valid| valid.nominated);
        let Some(selected) = self.pairs.best_valid(stream, component, nominated).map(|pair| pair.id) else {
            return;
        };
        let renominates = self.is_renominating();
        let linger = self.now.after(self.config.linger);
        let now = self.now;
        let Some(found) = self.component_mut(stream, component) else { return };
        let moved = found.concluded && found.selected != Some(selected);
        // Renomination draft §3.3: the peer follows the greatest value. A nomination may be sent several times, and each be
        // answered; where a newer one is under way meanwhile, that one counts, and is still to be answered.
        let is_newer = |other: &PairId| renominates && ours.is_some_and(|answered| answered != *other);
        let under_way = found.nomination.filter(is_newer);
        let reason = found.moves.reason.take_if(|_| under_way.is_none());
        if moved {
            let reason = reason.filter(|_| ours.is_some()).unwrap_or(MoveReason::Peer);
            (found.moves.told, found.moves.at) = (Some(reason), Some(now));
        }
        let left = found.selected.replace(selected).filter(|_| moved);
        if core::mem::take(&mut found.consent_lost) {
            found.moves.forget(RestartReason::Lost);
        }
        found.concluded = true;
        (found.nomination, found.hold) = (under_way, None);
        self.wake_consent(left);
        if renominates {
            // What else there is goes on and stays, until the linger time is over and it is known what is worth keeping;
            // data on the pair that was left is accepted meanwhile.
            self.free_at = if moved { Some(linger) } else { self.free_at };
            for pair in self.pairs.change(|pair| pair.is_of(stream, component)) {
                pair.beside = true;
                if Some(pair.id) == left {
                    pair.leave();
                }
                pair.left &= pair.id != selected;
                // It may have left before, and the peer has come back to it.
                pair.listed |= pair.id == selected;
                // A nomination that only told the peer again may have failed with it: it can be gone back to.
                pair.nomination_failed &= Some(pair.id) != left;
            }
            return;
        }
        let several = self.follows_rfc5245();
        // RFC 8445 §8.1.1: a peer that nominates several pairs may send on any of them: there are agents that take the one
        // that was nominated last. What it then keeps is seen when the rest is freed.
        let kept = |pair: &Pair| {
            let nominated = |valid: &Valid| several && valid.nominated;
            // What the application keeps is kept up by consent, and by nothing else.
            pair.id == selected || pair.valid.as_ref().is_some_and(|valid| pair.wish.kept || nominated(valid))
        };
        let own = |pair: &Pair| pair.is_of(stream, component);
        self.pairs.conclude(own, kept, |pair| several && pair.peer_nominated);
        // The check that is repeated where the selected pair has to be nominated again is that of its producer.
        self.keep_producers();
        let pairs = &self.pairs;
        let left = |pair: &Pair| pair.is_of(stream, component) && !pair.listed && !pair.peer_nominated;
        for check in self.transactions.iter_mut().filter(|check| pairs.get(check.pair).is_some_and(left)) {
            check.transaction.cancel_retransmission();
        }
        if let Some(checklist) = self.streams.iter_mut().find(|checklist| checklist.stream == stream) {
            checklist.triggered.retain(|id| pairs.get(*id).is_some_and(|pair| pair.queued));
        }
    }

    /// Whether the peer controls and may nominate several pairs of a component, as RFC 5245 let it.
    pub(crate) fn follows_rfc5245(&self) -> bool {
        self.standing.role == Role::Controlled && self.peer.as_ref().is_some_and(|peer| !peer.regular)
    }

    /// Our nomination was not accepted: the next valid pair has its turn.
    pub(crate) fn nomination_failed(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        (pair.nominating, pair.nomination_failed) = (false, true);
        let (stream, component) = (pair.stream, pair.component);
        if let Some(component) = self.component_mut(stream, component)
            && component.nomination == Some(id)
        {
            (component.nomination, component.moves.reason) = (None, None);
            // The peer may have accepted it all the same: it is told again which pair is the selected one.
            component.confirmed = false;
        }
    }

    /// Whether we, controlled, take a nomination of the pair that the checks of `id` prove (or will). `nominator` is the
    /// tiebreaker the peer had when it nominated.
    pub(crate) fn accepts_nomination(
        &self,
        stream: StreamId,
        component: ComponentId,
        id: Option<PairId>,
        nominator: TieBreaker,
    ) -> bool {
        let Some(found) = self.component(stream, component) else { return false };
        let Some(selected) = found.selected else { return true };
        let pending = |id: PairId| self.pairs.get(id).is_some_and(|pair| pair.peer_nominated);
        let proved = |id: PairId| self.nominee(id).is_some_and(|pair| pair.id == selected);
        if id.is_some_and(|id| proved(id) || (pending(id) && found.nominator == Some(nominator))) {
            return true;
        }
        if self.peer.as_ref().is_some_and(|peer| !peer.regular) {
            // RFC 8445 §8.1.1: a peer of RFC 5245 may nominate several pairs. §8.3.1: that settles within three
            // seconds, after which nothing moves the selected pair.
            return self.free_at.is_some()
                || self.free_later
                || self.checklist(stream).is_some_and(|checklist| !checklist.completed);
        }
        // RFC 8445 §8.1.1: one nomination. After a role conflict each side may have accepted one of the other: what
        // the agent that ends up controlling nominates counts. The peer's tiebreaker tells, since it changes with each
        // 487. Bounded, so that no peer moves the pair at will by playing with roles.
        found.nominator != Some(nominator)
            && !found.overruled.contains(&nominator)
            && found.overruled.len() < usize::from(ROLE_SWITCH_LIMIT)
    }

    /// RFC 8445 §7.3.1.5: the nominated flag now, or when the triggered check succeeds. Apart, for few checks nominate.
    #[inline(never)]
    pub(crate) fn note_nomination(&mut self, id: PairId, nominator: TieBreaker) {
        let Some(pair) = self.pairs.get(id) else { return };
        let (stream, component, state) = (pair.stream, pair.component, pair.state);
        let mut void = self.is_renominating();
        if let Some(found) = self.component_mut(stream, component)
            && found.nominator != Some(nominator)
        {
            found.overrule(Some(nominator));
            void = true;
        }
        // What the peer nominated before its role was settled is void, and so is what it has renominated since.
        let is_void = |pair: &Pair| void && pair.peer_nominated && pair.is_of(stream, component);
        for pair in self.pairs.change(is_void) {
            pair.peer_nominated = false;
            if pair.id != id {
                pair.leave();
            }
        }
        if state == PairState::Succeeded {
            self.set_nominated(id, false);
        } else if let Some(pair) = self.pairs.get_mut(id) {
            pair.peer_nominated = true;
        }
    }
}

/// What the pairs add to what is known of the set.
fn outlook(pairs: &PairTable, known: Outlook) -> Outlook {
    let listed = pairs.count_listed();
    let rtt = pairs.iter().filter_map(|pair| pair.rtt).max();
    Outlook { rtt, listed: u32::try_from(listed).unwrap_or(u32::MAX), ..known }
}

/// The valid pair of a component that would be nominated.
fn worthiest(pairs: &PairTable, stream: StreamId, component: ComponentId) -> Option<&Pair> {
    let worthiest = fittest(pairs, stream, component)?;
    // With our own check of what the peer has nominated still under way: the peer may hold that pair already.
    let own = |pair: &&Pair| pair.is_of(stream, component);
    let mut promised = pairs.likely(Traits::PROMISED).filter(own);
    let is_promised = promised.any(|pair| pair.peer_nominated && !pair.state.is_settled());
    Some(worthiest).filter(|_| !is_promised)
}

/// The valid pair of a component that is worth most, of those that may be nominated.
fn fittest(pairs: &PairTable, stream: StreamId, component: ComponentId) -> Option<&Pair> {
    let fit = |pair: &Pair| pair.listed && !pair.wish.vetoed && pairs.can_nominate(pair);
    pairs.most_worthy(stream, component, fit)
}

/// When a pair that needs no relay became valid, by its own check or another's.
fn direct_since(pairs: &PairTable, id: PairId) -> Option<Instant> {
    let direct = pairs.get(id).filter(|pair| !pair.relayed)?;
    let valid = direct.valid.as_ref().or_else(|| pairs.proved_by(id)?.valid.as_ref())?;
    Some(valid.since)
}
