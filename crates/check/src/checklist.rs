//! One checklist for each data stream: its components, its queue, its state (RFC 8445 §6.1.2.1, §8.1.2).

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use floe_pair::{CandidateType, ComponentId, StreamId, TieBreaker};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::candidates::Local;
use crate::config::ConsentConfig;
use crate::event::{Event, RestartReason, State};
use crate::limits::ROLE_SWITCH_LIMIT;
use crate::pairs::{Pair, PairId, PairTable, Traits, Valid};
use crate::renominate::Moves;

/// One component of a data stream.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and read at its own rule")]
pub(crate) struct Component {
    pub id: ComponentId,
    /// It joined when another component of its data stream had a selected pair.
    pub later: bool,
    /// The pair we nominate, from the decision until the answer.
    pub nomination: Option<PairId>,
    /// When the decision on a nomination is looked at again.
    pub hold: Option<Instant>,
    /// Until when ordinary checks wait for the peer's nomination.
    pub rest_until: Option<Instant>,
    /// The best valid pair, once it was seen that no open pair is better.
    pub unrivalled: Option<PairId>,
    pub selected: Option<PairId>,
    /// The pair that data goes over while none is selected (RFC 8445 §12.1).
    pub best: Option<PairId>,
    /// A pair was selected: the component's other pairs have left the checklist or, with renomination, stand beside it.
    pub concluded: bool,
    /// The generation was replaced before that: what it keeps as selected is the best valid pair of then.
    pub makeshift: bool,
    /// A nomination of ours of the selected pair was answered with success, in the present tenure of our role.
    pub confirmed: bool,
    /// Tiebreaker of the peer when it nominated the pair we accepted last; `None` if it was ours.
    pub nominator: Option<TieBreaker>,
    /// Tiebreakers of the peer whose nominations were overruled by later ones.
    pub overruled: Vec<TieBreaker>,
    /// The peer has answered a consent request of the present tenure: the roles are settled.
    pub settled: bool,
    /// Consent on the selected pair has ended, and there is no other.
    pub consent_lost: bool,
    /// Renomination: values, moves and what is suggested where there is none.
    pub moves: Moves,
    /// The pair that the application nominated last.
    pub commanded: Option<PairId>,
    /// When the liveness time of the selected pair is over.
    pub dead_at: Option<Instant>,
    pub state: State,
    reported_selected: Option<PairId>,
    reported_once: bool,
    reported_lost: bool,
}

impl Component {
    pub(crate) fn new(id: ComponentId) -> Self {
        Self {
            id,
            later: false,
            nomination: None,
            hold: None,
            rest_until: None,
            unrivalled: None,
            selected: None,
            best: None,
            concluded: false,
            makeshift: false,
            confirmed: false,
            nominator: None,
            overruled: Vec::new(),
            settled: false,
            consent_lost: false,
            moves: Moves::default(),
            commanded: None,
            dead_at: None,
            state: State::New,
            reported_selected: None,
            reported_once: false,
            reported_lost: false,
        }
    }

    /// Another nomination counts from now on: of the peer with this tiebreaker, or of ours. The one before is remembered.
    pub(crate) fn overrule(&mut self, nominator: Option<TieBreaker>) {
        let before = core::mem::replace(&mut self.nominator, nominator);
        if self.overruled.len() < usize::from(ROLE_SWITCH_LIMIT) {
            self.overruled.extend(before);
        }
    }
}

impl Component {
    /// RFC 8445 §12.1: once a pair was selected, data goes there or nowhere.
    pub(crate) fn sending(&self) -> Option<PairId> {
        if self.consent_lost { self.selected } else { self.selected.or(self.best) }
    }

    /// Whether anything of it is not what was told.
    fn is_untold(&self) -> bool {
        self.selected != self.reported_selected
            || self.consent_lost != self.reported_lost
            || self.moves.is_untold()
    }
}

/// The checklist of a data stream. Its pairs stand in the table of the set.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is set and read at its own rule")]
pub(crate) struct Checklist {
    pub stream: StreamId,
    /// Place in the set: the order in which streams were added.
    pub order: u16,
    /// In order of their ids.
    pub components: Vec<Component>,
    /// RFC 8445 §6.1.4.1: first in, first out. Each pair stands in it once, so that it is short.
    pub triggered: Vec<PairId>,
    pub local_complete: bool,
    pub remote_complete: bool,
    /// The highest component the peer has told a candidate for, of use or not; of account when it has told them all.
    pub remote_components: Option<ComponentId>,
    /// RFC 8445 §8.1.2: Completed, a nominated pair for each component.
    pub completed: bool,
    /// What was not selected was freed.
    pub freed: bool,
    /// Patience of what was added after the peer's parameters were known.
    pub patient_until: Option<Instant>,
    pub state: State,
}

impl Checklist {
    pub(crate) fn new(stream: StreamId, order: u16) -> Self {
        Self {
            stream,
            order,
            components: Vec::new(),
            triggered: Vec::new(),
            local_complete: false,
            remote_complete: false,
            remote_components: None,
            completed: false,
            freed: false,
            patient_until: None,
            state: State::New,
        }
    }

    pub(crate) fn component(&self, id: ComponentId) -> Option<&Component> {
        self.components.iter().find(|component| component.id == id)
    }

    pub(crate) fn component_mut(&mut self, id: ComponentId) -> Option<&mut Component> {
        self.components.iter_mut().find(|component| component.id == id)
    }

    /// Candidates may be told again by both sides: a component was added. One that the peer did not have may come with it,
    /// and takes as little from those that work.
    pub(crate) fn reopen(&mut self) {
        let begun = self.components.iter().any(|component| component.concluded);
        let highest = self.remote_components.filter(|_| begun && self.remote_complete);
        for component in self.components.iter_mut().filter(|component| !component.concluded) {
            component.later |= highest.is_some_and(|highest| component.id > highest);
        }
        (self.local_complete, self.remote_complete, self.remote_components) = (false, false, None);
        self.completed = false;
    }

    /// RFC 8445 §6.1.2.2: components the peer has no candidates for are not part of the stream. One for which a
    /// peer-reflexive candidate led to a pair is.
    pub(crate) fn counts(&self, component: &Component) -> bool {
        component.selected.is_some()
            || !self.remote_complete
            || self.remote_components.is_none_or(|highest| component.id <= highest)
    }

    /// Whether the stream is not what it should be while the component is not. What joined later and came to nothing
    /// takes nothing from those that work.
    fn matters(&self, component: &Component) -> bool {
        let in_vain = component.later && component.state == State::Failed;
        self.counts(component) && !in_vain
    }

    /// RFC 8445 §8.1.2: all that is part of the stream has, or has had, a nominated pair.
    fn is_completed(&self) -> bool {
        if let [only] = self.components.as_slice() {
            return only.concluded;
        }
        let concluded = |component: &Component| component.concluded;
        let mut all = self.components.iter().filter(|component| self.matters(component));
        self.components.iter().any(concluded) && all.all(concluded)
    }

    /// RFC 8838 §8: whether pairs may still join by signalling.
    pub(crate) fn expects_candidates(&self, now: Instant, patient_until: Option<Instant>) -> bool {
        // RFC 8863 §5: the timer may stand in for an end-of-candidates indication that never comes.
        let patience_over = patient_until.is_some_and(|until| until <= now);
        !self.local_complete || !(self.remote_complete || patience_over)
    }

    /// Whether [`poll_event`](Self::poll_event) has anything to tell.
    pub(crate) fn is_untold(&self) -> bool {
        self.components.iter().any(Component::is_untold)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let stream = self.stream;
        for component in &mut self.components {
            let id = component.id;
            if !component.is_untold() {
                continue;
            }
            if component.selected != component.reported_selected {
                component.reported_selected = component.selected;
                if component.selected.is_some() {
                    if !core::mem::replace(&mut component.reported_once, true) {
                        component.moves.told = None;
                    }
                    return Some(Event::Selected { stream, component: id });
                }
            }
            if let Some(reason) = component.moves.told.take() {
                return Some(Event::Moved { stream, component: id, reason });
            }
            if let Some(reason) = component.moves.poll_suggestion() {
                return Some(Event::RestartSuggested { stream, component: id, reason });
            }
            if component.consent_lost != component.reported_lost {
                component.reported_lost = component.consent_lost;
                if component.consent_lost {
                    return Some(Event::ConsentLost { stream, component: id });
                }
            }
        }
        None
    }
}

impl ChecklistSet {
    /// A selected pair that is no longer valid is selected no more. Where there is a standby pair, data goes over that
    /// one, until it or another is nominated.
    pub(crate) fn settle_selected(&mut self) {
        let (pairs, renominates) = (&self.pairs, self.is_renominating() && !self.retired);
        let both_lite = self.are_both_lite();
        for checklist in &mut self.streams {
            let stream = checklist.stream;
            for component in checklist.components.iter_mut().filter(|component| !component.consent_lost) {
                let lost = |id| pairs.get(id).is_none_or(|pair: &Pair| pair.valid.is_none());
                if component.selected.is_some_and(lost) {
                    component.selected = None;
                } else if component.selected.is_some() || !component.concluded {
                    continue;
                }
                // RFC 8445 §8.2: what two lite agents have not agreed upon yet is chosen anew, of what is left.
                if both_lite && !component.concluded {
                    continue;
                }
                let fit = |pair: &Pair| pair.listed && !pair.wish.vetoed && pairs.may_be_nominated(pair);
                let standby = pairs.valid(stream, component.id).any(|(pair, _)| fit(pair));
                component.consent_lost = !(renominates && standby);
                if component.consent_lost {
                    component.moves.suggest(RestartReason::Lost);
                }
            }
        }
    }

    /// States as levels, from what the pairs are now.
    pub(crate) fn settle_states(&mut self, now: Instant, reordered: bool) {
        let known = self.peer.is_some();
        let reordered = reordered | self.pairs.take_reordered();
        let (passive, wait, patience) = (self.is_passive(), self.config.patience, self.patient_until);
        let (pairs, liveness) =
            (&self.pairs, self.config.consent.map(|consent: ConsentConfig| consent.liveness));
        for checklist in &mut self.streams {
            // RFC 8863 §4: nothing fails while the timer runs, even with an empty checklist.
            let patience = patience.max(checklist.patient_until);
            let patience_over = patience.is_some_and(|until| until <= now);
            let may_fail = known && patience_over && !checklist.expects_candidates(now, patience);
            let stream = checklist.stream;
            for component in &mut checklist.components {
                component.dead_at = None;
                if reordered {
                    component.best = best(pairs, stream, component);
                }
                component.state = if !known {
                    State::New
                } else if let Some(pair) = component.selected.and_then(|id| pairs.get(id)) {
                    let consent = pair.valid.as_ref().and_then(|valid| valid.consent.as_ref());
                    component.dead_at =
                        consent.zip(liveness).and_then(|(consent, liveness)| consent.dead_at(liveness));
                    if !component.concluded {
                        State::Connected
                    } else if component.dead_at.is_some_and(|at| at <= now) {
                        State::Disconnected
                    } else {
                        State::Completed
                    }
                } else if component.consent_lost {
                    State::Disconnected
                } else {
                    let own = |pair: &&Pair| pair.is_of(stream, component.id);
                    if passive {
                        // A lite agent can but wait: the peer that has checked a pair may yet nominate it.
                        let heard = pairs.iter().filter(own).filter_map(|pair| pair.last_request).max();
                        component.hold = heard.map(|at| at.after(wait));
                    }
                    let open = |pair: &Pair| !passive && !pair.state.is_settled();
                    if pairs.valid(stream, component.id).next().is_some() {
                        State::Connected
                    } else if may_fail
                        && component.hold.is_none_or(|until| until <= now)
                        && !pairs.likely(Traits::OPEN).filter(own).any(open)
                    {
                        State::Failed
                    } else {
                        State::Checking
                    }
                };
            }
            checklist.settle();
        }
        self.state = overall(&self.streams);
        self.settle_completion(now);
    }

    /// RFC 8445 §8.3.1: three seconds after all is completed, what was not selected may go.
    fn settle_completion(&mut self, now: Instant) {
        if self.retired {
            return;
        }
        // RFC 8445 §8.3.2: a lite agent may free at once; not where a peer of RFC 5245 may still change its mind.
        let at_once = self.local.lite && self.peer.as_ref().is_some_and(|peer| peer.regular);
        let linger = if at_once { Duration::ZERO } else { self.config.linger };
        let mut newly = false;
        for checklist in &mut self.streams {
            // What joined in vain may get pairs after all: then it is waited for once more.
            let completed = checklist.is_completed();
            newly |= completed && !checklist.completed;
            checklist.completed = completed;
        }
        if newly {
            self.free_at = Some(now.after(linger));
        }
    }

    /// Frees the pairs and candidates of completed checklists that nothing waits for any more.
    pub(crate) fn free_candidates(&mut self, now: Instant) {
        if self.free_at.is_none_or(|at| now < at) {
            return;
        }
        if self.are_roles_open() {
            (self.free_at, self.free_later) = (None, true);
            return;
        }
        let components: Vec<_> = self
            .streams
            .iter()
            .filter(|checklist| checklist.completed)
            .flat_map(|checklist| {
                checklist.components.iter().map(|component| (checklist.stream, component.id))
            })
            .collect();
        for (stream, component) in components {
            self.trim(now, stream, component);
        }
        for checklist in self.streams.iter_mut().filter(|checklist| checklist.completed) {
            if !core::mem::replace(&mut checklist.freed, true) {
                self.bases.free(checklist.stream);
            }
            self.events.push(Event::CandidatesFree { stream: checklist.stream });
        }
        let (streams, bases, candidates) = (&self.streams, &mut self.bases, &self.candidates);
        let transactions = &mut self.transactions;
        let completed =
            |stream| streams.iter().any(|checklist| checklist.stream == stream && checklist.completed);
        for pair in self.pairs.iter().filter(|pair| !pair.listed && completed(pair.stream)) {
            transactions.cancel(pair.id);
        }
        let transactions = &self.transactions;
        self.pairs.retain(|pair| {
            let stays = pair.listed
                || !completed(pair.stream)
                // RFC 7675 §5.1: a pair whose consent was lost is remembered for as long as its base lives.
                || (pair.revoked && bases.contains(pair.base))
                // RFC 8445 §8.1.2: answers to cancelled transactions are awaited for as long as they may come.
                || transactions.concerns(pair.id);
            let kind = || candidates.remote(pair.remote).map(|remote| remote.candidate.kind);
            if !stays && kind() == Some(CandidateType::PeerReflexive) {
                bases.free_one(pair.base);
            }
            stays
        });
        let waiting = transactions.iter().filter_map(|check| check.transaction.poll_timeout()).max();
        let checking = self.is_still_checking();
        let leaving = self.pairs.iter().any(|pair| !pair.listed && !pair.revoked);
        self.free_at = waiting.filter(|_| leaving);
        self.free_later = checking && self.free_at.is_none();
        if self.free_at.is_none() && !checking {
            self.free_memory();
        }
    }

    /// Whether a data stream was freed ([`Event::CandidatesFree`](crate::Event::CandidatesFree)): from then on what
    /// [`is_base_used`](Self::is_base_used) denies of a base holds until another pair joins.
    pub fn is_freed(&self, stream: StreamId) -> bool {
        self.checklist(stream).is_some_and(|checklist| checklist.freed)
    }

    /// What was to be freed and could not be: the roles are settled now, and all checks have ended.
    pub(crate) fn settle_freeing(&mut self, now: Instant) {
        if self.free_later && !self.are_roles_open() && !self.is_still_checking() {
            (self.free_at, self.free_later) = (Some(now), false);
        }
    }

    /// A role conflict that shows only now may yet move a selected pair: the first answer to a consent request tells that
    /// there is none.
    fn are_roles_open(&self) -> bool {
        let open = |component: &Component| component.selected.is_some() && !component.settled;
        // A lite agent asks for no consent; its role is settled by what it is.
        self.config.consent.is_some()
            && !self.local.lite
            && self.streams.iter().any(|list| list.completed && list.components.iter().any(open))
    }

    /// What completed checklists need no more. The peer's candidates stay for the life of the generation: a new base of
    /// ours is paired with them. So do ours, with renomination, but for those that were learned, which stand for nothing; and
    /// ours for a component that joined in vain, which the peer may yet add.
    fn free_memory(&mut self) {
        let streams = &self.streams;
        let completed =
            |stream| streams.iter().any(|checklist| checklist.stream == stream && checklist.completed);
        let waits = |local: &Local| {
            let list = streams.iter().find(|list| list.stream == local.stream);
            let found = list.and_then(|list| Some((list, list.component(local.candidate.component)?)));
            found.is_some_and(|(list, of)| list.counts(of) && !of.concluded)
        };
        let (pairs, bases, renominates) = (&self.pairs, &self.bases, self.is_renominating());
        self.candidates.remotes.retain(|remote| {
            !completed(remote.stream)
                || !remote.learned
                || renominates
                || pairs.iter().any(|pair| pair.remote == remote.id)
        });
        self.candidates.locals.retain(|local| {
            !completed(local.stream)
                || (renominates && bases.contains(local.base) && !local.is_learned())
                || waits(local)
                || pairs.iter().any(|pair| pair.stands_on(local.id))
        });
        self.candidates
            .pack(|remote| completed(remote.stream) && !pairs.iter().any(|pair| pair.remote == remote.id));
        for checklist in self.streams.iter_mut().filter(|checklist| checklist.completed) {
            checklist.triggered = Vec::new();
        }
        self.release_memory();
    }

    pub(crate) fn release_memory(&mut self) {
        self.candidates.release_memory();
        self.transactions.release_memory();
        self.events.release_memory();
        self.outbox.release_memory();
    }

    pub(crate) fn patience_of(&self, checklist: &Checklist) -> Option<Instant> {
        self.patient_until.max(checklist.patient_until)
    }
}

impl Checklist {
    fn settle(&mut self) {
        if let [only] = self.components.as_slice() {
            // What is usual, without a search.
            self.state = if self.counts(only) { only.state } else { State::New };
            return;
        }
        let mut counted =
            self.components.iter().filter(|component| self.matters(component)).map(|found| found.state);
        // RFC 8445 §7.2.5.4: one component without a pair fails the stream.
        self.state = [State::Failed, State::Disconnected, State::New, State::Checking, State::Connected]
            .into_iter()
            .find(|state| counted.clone().any(|found| found == *state))
            .unwrap_or(if counted.next().is_some() { State::Completed } else { State::New });
    }
}

/// How a pair stands in the valid list: the greater is [`Component::best`].
pub(crate) fn order_of(pair: &Pair, valid: &Valid) -> impl Ord + use<> {
    (pair.wish.pinned, pair.preference(), !pair.replaced, valid.priority, Reverse(pair.id))
}

/// RFC 8445 §12.1: before selection data goes over the valid pair of highest priority, as the application ranks them.
fn best(pairs: &PairTable, stream: StreamId, component: &Component) -> Option<PairId> {
    let order = |(pair, valid): &(&Pair, &Valid)| order_of(pair, valid);
    let fit = |(pair, _): &(&Pair, _)| !pair.wish.vetoed && (pair.listed || !component.concluded);
    pairs.valid(stream, component.id).filter(fit).max_by_key(order).map(|(pair, _)| pair.id)
}

/// RFC 8445 §6.1.3: Failed if all checklists are, Completed if all that live are.
fn overall(streams: &[Checklist]) -> State {
    let states = || streams.iter().map(|checklist| checklist.state);
    match streams {
        [] => return State::New,
        [only] => return only.state,
        _ => {}
    }
    [State::Disconnected, State::New, State::Checking, State::Connected, State::Completed]
        .into_iter()
        .find(|state| states().any(|found| found == *state))
        .unwrap_or(State::Failed)
}
