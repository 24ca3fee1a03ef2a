//! What can be seen of pairs from outside.

use core::time::Duration;

use floe_pair::{BaseId, Candidate, ComponentId, PairPriority, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::checklist::Checklist;
use crate::event::State;
use crate::pairs::{Failure, Pair, PairId};
use crate::state::PairState;

/// A pair that data may be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedPair {
    /// The pair.
    pub id: PairId,
    /// Where data leaves from.
    pub base: BaseId,
    /// Where data goes: a link-local address with the zone of the base.
    pub remote: TransportAddress,
    /// The local candidate: the address at which the peer sees us.
    pub local: Candidate,
    /// The remote candidate, its address as it was signalled or seen: without a zone.
    pub remote_candidate: Candidate,
    /// When consent ends unless another answer comes; the end of time where no consent is kept. Nothing may be sent
    /// from this instant on.
    pub valid_until: Instant,
    /// Measured round-trip time, if an answer could be told to belong to one transmission.
    pub rtt: Option<Duration>,
}

/// Where the data of a component goes: what of a [`SelectedPair`] is looked at after each input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where data leaves from.
    pub base: BaseId,
    /// Where data goes: a link-local address with the zone of the base.
    pub remote: TransportAddress,
    /// As in [`SelectedPair::valid_until`].
    pub valid_until: Instant,
}

/// A pair, for reports and statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one pair, for people to read")]
pub struct PairReport {
    /// The pair.
    pub id: PairId,
    /// Its data stream.
    pub stream: StreamId,
    /// Its component.
    pub component: ComponentId,
    /// Where its checks leave from.
    pub base: BaseId,
    /// The local candidate; once the pair is valid, the one that the peer sees.
    pub local: Candidate,
    /// The remote candidate, its address as it was signalled or seen: without a zone.
    pub remote: Candidate,
    /// Order in the checklist.
    pub priority: PairPriority,
    /// Its state.
    pub state: PairState,
    /// Whether it is in the valid list.
    pub valid: bool,
    /// Whether it was nominated.
    pub nominated: bool,
    /// Whether it is the selected pair of its component.
    pub selected: bool,
    /// Whether it still stands in its checklist: after nomination the others of the component have left, but for what is
    /// kept beside the selected pair.
    pub listed: bool,
    /// Whether it is kept beside the selected pair as a standby pair.
    pub standby: bool,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Measured round-trip time.
    pub rtt: Option<Duration>,
    /// When its first check was sent.
    pub first_check: Option<Instant>,
    /// When it became valid.
    pub valid_since: Option<Instant>,
    /// Requests sent, retransmissions and consent included.
    pub requests_sent: u32,
    /// Authenticated answers received.
    pub responses_received: u32,
    /// Authenticated requests received.
    pub requests_received: u32,
    /// When the latest of them came.
    pub last_request: Option<Instant>,
}

/// Where a pair stands: what of a [`PairReport`] changes from input to input, for those who look after each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairStanding {
    /// The pair.
    pub id: PairId,
    /// Its data stream.
    pub stream: StreamId,
    /// Its component.
    pub component: ComponentId,
    /// Where its checks leave from.
    pub base: BaseId,
    /// Where they go.
    pub to: TransportAddress,
    /// Its state.
    pub state: PairState,
    /// Whether it is in the valid list.
    pub valid: bool,
    /// Whether it is the selected pair of its component.
    pub selected: bool,
    /// Whether it still stands in its checklist.
    pub listed: bool,
}

impl ChecklistSet {
    /// Where all pairs stand, in the order in which they were made.
    pub fn pair_standings(&self) -> impl Iterator<Item = PairStanding> {
        self.pairs.iter().map(|pair| PairStanding {
            id: pair.id,
            stream: pair.stream,
            component: pair.component,
            base: pair.base,
            to: pair.to,
            state: pair.state,
            valid: pair.valid.is_some(),
            selected: self.selected_of(pair) == Some(pair.id),
            listed: pair.listed,
        })
    }

    fn selected_of(&self, pair: &Pair) -> Option<PairId> {
        self.component(pair.stream, pair.component)?.selected
    }

    /// All pairs there are, in the order in which they were made. After nomination most are freed: who wants them
    /// asks before.
    pub fn pairs(&self) -> impl Iterator<Item = PairReport> {
        self.pairs.iter().filter_map(|pair| self.report(pair))
    }

    /// Stream, state and failure of all pairs, for counting them.
    pub fn pair_states(&self) -> impl Iterator<Item = (StreamId, PairState, Option<Failure>)> {
        self.pairs.iter().map(|pair| (pair.stream, pair.state, pair.failure))
    }

    /// One pair.
    pub fn pair(&self, id: PairId) -> Option<PairReport> {
        self.report(self.pairs.get(id)?)
    }

    /// The selected pair of a component, while consent on it lasts.
    pub fn selected(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        let id = self.component(stream, component)?.selected?;
        self.usable(self.pairs.get(id)?)
    }

    /// The selected pair of a component, whether data may be sent on it yet or not: that depends on the others of its stream,
    /// too (RFC 8445 §12.1).
    pub fn selected_pair(&self, stream: StreamId, component: ComponentId) -> Option<PairReport> {
        self.pair(self.component(stream, component)?.selected?)
    }

    /// The route of the selected pair.
    pub fn selected_route(&self, stream: StreamId, component: ComponentId) -> Option<Route> {
        let id = self.component(stream, component)?.selected?;
        self.route_of(self.pairs.get(id)?)
    }

    /// The route of the pair that [`best_valid`](Self::best_valid) names.
    pub fn route(&self, stream: StreamId, component: ComponentId) -> Option<Route> {
        self.route_of(self.sending(stream, component)?)
    }

    /// The pair to send data on: the selected one, before selection the valid one of highest priority
    /// (RFC 8445 §12.1).
    pub fn best_valid(&self, stream: StreamId, component: ComponentId) -> Option<SelectedPair> {
        self.usable(self.sending(stream, component)?)
    }

    pub(crate) fn sending(&self, stream: StreamId, component: ComponentId) -> Option<&Pair> {
        let sending = self.component(stream, component)?.sending()?;
        self.pairs.get(sending).filter(|pair| pair.valid.is_some())
    }

    /// Whether the peer, as far as it has told, has no such component (RFC 8445 §6.1.2.2): its candidates have ended, and
    /// none is for this component or one above it.
    pub fn is_absent(&self, stream: StreamId, component: ComponentId) -> bool {
        let absent = |list: &Checklist| list.component(component).is_some_and(|found| !list.counts(found));
        self.checklist(stream).is_some_and(absent)
    }

    /// Whether a component of a data stream waits for its first nominated pair, so that the checklist is Running
    /// (RFC 8445 §6.1.2.1). One that joins when others have theirs does not make it Running again for them.
    pub fn is_running(&self, stream: StreamId) -> bool {
        let waits = |list: &Checklist| {
            let mut counted = list.components.iter().filter(|found| list.counts(found) && !found.later);
            counted.any(|found| !found.concluded)
        };
        self.checklist(stream).is_some_and(waits)
    }

    /// Whether a component has failed: with its data stream (RFC 8445 §7.2.5.4), or by itself where it joined a running
    /// one and came to nothing.
    pub fn has_failed(&self, stream: StreamId, component: ComponentId) -> bool {
        self.stream_state(stream) == Some(State::Failed)
            || self.component(stream, component).is_some_and(|found| found.state == State::Failed)
    }

    /// Whether consent on the selected pair of a component has ended (RFC 7675 §5.1) and nothing has taken its place.
    pub fn is_consent_lost(&self, stream: StreamId, component: ComponentId) -> bool {
        self.component(stream, component).is_some_and(|found| found.consent_lost)
    }

    /// Whether data from this source on this base is accepted: there is a valid pair, selected or not. RFC 8445 §7.2.5.3.2:
    /// where the check of the pair has shown that the peer sees the address of another base, what it sends there comes in
    /// here, as the answer did.
    pub fn is_valid(&self, base: BaseId, source: TransportAddress) -> Option<(StreamId, ComponentId)> {
        let pair = self.pairs.find(base, source.with_scope(0))?;
        // A lite agent does not check: what the peer has checked it may use, and data may come before it nominates. A peer
        // that is lite as well checks nothing, and may have chosen another pair than we have (RFC 8445 §8.2, §12.2).
        let used = || pair.heard || self.are_both_lite();
        let valid = pair.valid.is_some() || (self.local.lite && !pair.revoked && used());
        let valid = valid || self.pairs.entry_of(pair.id).is_some();
        valid.then_some((pair.stream, pair.component))
    }

    /// Whether data from this source on this base may be held until their pair is valid, and for which component: something
    /// authenticated came from there in this generation; or both agents are lite, as far as is known, so that nothing will,
    /// and the peer has candidates to tell yet (RFC 8445 §8.2).
    pub fn may_become_valid(
        &self,
        base: BaseId,
        source: TransportAddress,
    ) -> Option<(StreamId, ComponentId)> {
        let source = source.with_scope(0);
        if let Some(pair) = self.pairs.find(base, source) {
            return (pair.heard && !pair.revoked).then_some((pair.stream, pair.component));
        }
        let owner = self.bases.owner(base)?;
        let known = || self.early.iter().any(|early| early.base == base && early.source == source);
        let untold = || self.checklist(owner.0).is_some_and(|checklist| !checklist.remote_complete);
        (known() || (self.may_both_be_lite() && untold())).then_some(owner)
    }

    fn route_of(&self, pair: &Pair) -> Option<Route> {
        let valid = pair.valid.as_ref()?;
        // RFC 8445 §12.1: where one component ends without a pair, nothing is sent for the whole stream.
        if self.stream_state(pair.stream) == Some(State::Failed) || !self.is_sending_allowed(pair.stream) {
            return None;
        }
        let forever = Instant::from_nanos(u64::MAX);
        let valid_until = valid.consent.as_ref().map_or(forever, crate::consent::Consent::deadline);
        Some(Route { base: pair.base, remote: self.way_to(pair.base, pair.to), valid_until })
    }

    fn usable(&self, pair: &Pair) -> Option<SelectedPair> {
        let Route { base, remote, valid_until } = self.route_of(pair)?;
        Some(SelectedPair {
            id: pair.id,
            base,
            remote,
            local: self.candidates.local(pair.valid.as_ref()?.local)?.candidate.clone(),
            remote_candidate: self.candidates.remote(pair.remote)?.candidate.clone(),
            valid_until,
            rtt: pair.rtt,
        })
    }

    fn report(&self, pair: &Pair) -> Option<PairReport> {
        let local = pair.valid.as_ref().map_or(pair.local, |valid| valid.local);
        Some(PairReport {
            id: pair.id,
            stream: pair.stream,
            component: pair.component,
            base: pair.base,
            local: self.candidates.local(local)?.candidate.clone(),
            remote: self.candidates.remote(pair.remote)?.candidate.clone(),
            priority: pair.priority,
            state: pair.state,
            valid: pair.valid.is_some(),
            nominated: pair.valid.as_ref().is_some_and(|valid| valid.nominated),
            selected: self.selected_of(pair) == Some(pair.id),
            listed: pair.listed,
            standby: pair.standby,
            failure: pair.failure,
            rtt: pair.rtt,
            first_check: pair.first_check,
            valid_since: pair.valid.as_ref().map(|valid| valid.since),
            requests_sent: pair.requests_sent,
            responses_received: pair.responses_received,
            requests_received: pair.requests_received,
            last_request: pair.last_request,
        })
    }
}
