//! One checklist for each data stream: its components, its queue, its state (RFC 8445 §6.1.2.1, §8.1.2).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{ComponentId, StreamId, TieBreaker};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::config::ConsentConfig;
use crate::event::{Event, State};
use crate::pairs::PairId;

/// How often it is looked whether roles are settled, after the linger time.
const SETTLE_INTERVAL: Duration = Duration::from_secs(1);

/// One component of a data stream.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and read at its own rule")]
pub(crate) struct Component {
    pub id: ComponentId,
    /// The pair we nominate, from the decision until the answer.
    pub nomination: Option<PairId>,
    /// When the decision on a nomination is looked at again.
    pub hold: Option<Instant>,
    pub selected: Option<PairId>,
    /// A pair was selected: the component's other pairs have left the checklist.
    pub concluded: bool,
    /// A nomination of ours of the selected pair was answered with success, in the present tenure of our role.
    pub confirmed: bool,
    /// Tiebreaker of the peer when it nominated the pair we accepted last; `None` if it was ours.
    pub nominator: Option<TieBreaker>,
    /// Tiebreakers of the peer whose nominations were overruled by later ones.
    pub overruled: Vec<TieBreaker>,
    /// The peer has answered a consent request of the present tenure: the roles are settled.
    pub settled: bool,
    /// Consent on the selected pair has ended.
    pub consent_lost: bool,
    /// When the liveness time of the selected pair is over.
    pub dead_at: Option<Instant>,
    pub state: State,
    reported_selected: Option<PairId>,
    reported_lost: bool,
}

impl Component {
    pub(crate) fn new(id: ComponentId) -> Self {
        Self {
            id,
            nomination: None,
            hold: None,
            selected: None,
            concluded: false,
            confirmed: false,
            nominator: None,
            overruled: Vec::new(),
            settled: false,
            consent_lost: false,
            dead_at: None,
            state: State::New,
            reported_selected: None,
            reported_lost: false,
        }
    }
}

/// The checklist of a data stream. Its pairs stand in the table of the set.
#[derive(Debug)]
pub(crate) struct Checklist {
    pub stream: StreamId,
    /// Place in the set: the order in which streams were added.
    pub order: u16,
    /// In order of their ids.
    pub components: Vec<Component>,
    /// RFC 8445 §6.1.4.1: first in, first out. Each pair stands in it once.
    pub triggered: VecDeque<PairId>,
    pub local_complete: bool,
    pub remote_complete: bool,
    /// The highest component the peer has a candidate for, known when it has told them all.
    pub remote_components: Option<ComponentId>,
    /// RFC 8445 §8.1.2: Completed, a nominated pair for each component.
    pub completed: bool,
    pub state: State,
    reported_state: State,
}

impl Checklist {
    pub(crate) fn new(stream: StreamId, order: u16) -> Self {
        Self {
            stream,
            order,
            components: Vec::new(),
            triggered: VecDeque::new(),
            local_complete: false,
            remote_complete: false,
            remote_components: None,
            completed: false,
            state: State::New,
            reported_state: State::New,
        }
    }

    pub(crate) fn component(&self, id: ComponentId) -> Option<&Component> {
        self.components.iter().find(|component| component.id == id)
    }

    pub(crate) fn component_mut(&mut self, id: ComponentId) -> Option<&mut Component> {
        self.components.iter_mut().find(|component| component.id == id)
    }

    /// RFC 8445 §6.1.2.2: components the peer has no candidates for are not part of the stream. One for which a
    /// peer-reflexive candidate led to a pair is.
    pub(crate) fn counts(&self, component: &Component) -> bool {
        component.selected.is_some()
            || !self.remote_complete
            || self.remote_components.is_none_or(|highest| component.id <= highest)
    }

    /// RFC 8838 §8: whether pairs may still join by signalling.
    pub(crate) fn expects_candidates(&self, now: Instant, patient_until: Option<Instant>) -> bool {
        // RFC 8863 §5: the timer may stand in for an end-of-candidates indication that never comes.
        let patience_over = patient_until.is_some_and(|until| until <= now);
        !self.local_complete || !(self.remote_complete || patience_over)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let stream = self.stream;
        for component in &mut self.components {
            let id = component.id;
            if component.selected != component.reported_selected {
                component.reported_selected = component.selected;
                if component.selected.is_some() {
                    return Some(Event::Selected { stream, component: id });
                }
            }
            if component.consent_lost != component.reported_lost {
                component.reported_lost = component.consent_lost;
                if component.consent_lost {
                    return Some(Event::ConsentLost { stream, component: id });
                }
            }
        }
        if self.state == self.reported_state {
            return None;
        }
        self.reported_state = self.state;
        Some(Event::StreamState { stream, state: self.state })
    }
}

impl ChecklistSet {
    /// A selected pair that is no longer valid is selected no more.
    pub(crate) fn settle_selected(&mut self) {
        let pairs = &self.pairs;
        for component in self.streams.iter_mut().flat_map(|checklist| &mut checklist.components) {
            let Some(id) = component.selected else { continue };
            if pairs.get(id).is_none_or(|pair| pair.valid.is_none()) {
                component.selected = None;
                component.consent_lost = true;
            }
        }
    }

    /// States as levels, from what the pairs are now.
    pub(crate) fn settle_states(&mut self, now: Instant) {
        let known = self.peer.is_some();
        let patience_over = self.patient_until.is_some_and(|until| until <= now);
        let (pairs, liveness) =
            (&self.pairs, self.config.consent.map(|consent: ConsentConfig| consent.liveness));
        for checklist in &mut self.streams {
            // RFC 8863 §4: nothing fails while the timer runs, even with an empty checklist.
            let may_fail = known && patience_over && !checklist.expects_candidates(now, self.patient_until);
            let stream = checklist.stream;
            for component in &mut checklist.components {
                component.dead_at = None;
                component.state = if !known {
                    State::New
                } else if let Some(pair) = component.selected.and_then(|id| pairs.get(id)) {
                    let consent = pair.valid.as_ref().and_then(|valid| valid.consent.as_ref());
                    component.dead_at = consent
                        .zip(liveness)
                        .map(|(consent, liveness)| consent.last_answer().after(liveness));
                    if component.dead_at.is_some_and(|at| at <= now) {
                        State::Disconnected
                    } else {
                        State::Completed
                    }
                } else if component.consent_lost {
                    State::Disconnected
                } else {
                    let mut own =
                        pairs.iter().filter(|pair| pair.stream == stream && pair.component == component.id);
                    if own.clone().any(|pair| pair.valid.is_some()) {
                        State::Connected
                    } else if may_fail && own.all(|pair| pair.state.is_settled()) {
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
        let linger = self.config.linger;
        let mut newly = false;
        for checklist in self.streams.iter_mut().filter(|checklist| !checklist.completed) {
            let mut counted = checklist.components.iter().filter(|component| checklist.counts(component));
            let all = !checklist.components.is_empty() && counted.all(|component| component.concluded);
            checklist.completed = all;
            newly |= all;
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
        // A role conflict that shows only now may yet move a selected pair: the first answer to a consent request tells
        // that there is none.
        let unsettled = |component: &Component| component.selected.is_some() && !component.settled;
        if self.config.consent.is_some()
            && self
                .streams
                .iter()
                .any(|checklist| checklist.completed && checklist.components.iter().any(unsettled))
        {
            self.free_at = Some(now.after(SETTLE_INTERVAL));
            return;
        }
        for checklist in self.streams.iter().filter(|checklist| checklist.completed) {
            self.events.push(Event::CandidatesFree { stream: checklist.stream });
        }
        let (streams, transactions) = (&self.streams, &self.transactions);
        let completed =
            |stream| streams.iter().any(|checklist| checklist.stream == stream && checklist.completed);
        // RFC 8445 §8.1.2: answers to cancelled transactions are awaited for as long as they may come.
        self.pairs.retain(|pair| pair.listed || !completed(pair.stream) || transactions.concerns(pair.id));
        let waiting = transactions.iter().filter_map(|check| check.transaction.poll_timeout()).max();
        self.free_at = waiting.filter(|_| self.pairs.iter().any(|pair| !pair.listed));
        if self.free_at.is_some() {
            return;
        }
        let pairs = &self.pairs;
        let remains =
            |stream, used: &dyn Fn(&crate::pairs::Pair) -> bool| !completed(stream) || pairs.iter().any(used);
        self.candidates.remotes.retain(|remote| remains(remote.stream, &|pair| pair.remote == remote.id));
        self.candidates.locals.retain(|local| {
            remains(local.stream, &|pair| {
                pair.local == local.id || pair.valid.as_ref().is_some_and(|valid| valid.local == local.id)
            })
        });
        self.candidates.release_memory();
        self.transactions.release_memory();
        self.events.release_memory();
        self.outbox.release_memory();
        for checklist in self.streams.iter_mut().filter(|checklist| checklist.completed) {
            checklist.triggered = VecDeque::new();
        }
    }
}

impl Checklist {
    fn settle(&mut self) {
        let mut counted =
            self.components.iter().filter(|component| self.counts(component)).map(|found| found.state);
        // RFC 8445 §7.2.5.4: one component without a pair fails the stream.
        self.state = [State::Failed, State::Disconnected, State::New, State::Checking, State::Connected]
            .into_iter()
            .find(|state| counted.clone().any(|found| found == *state))
            .unwrap_or(if counted.next().is_some() { State::Completed } else { State::New });
    }
}

/// RFC 8445 §6.1.3: Failed if all checklists are, Completed if all that live are.
fn overall(streams: &[Checklist]) -> State {
    let states = || streams.iter().map(|checklist| checklist.state);
    if streams.is_empty() {
        return State::New;
    }
    [State::Disconnected, State::New, State::Checking, State::Connected, State::Completed]
        .into_iter()
        .find(|state| states().any(|found| found == *state))
        .unwrap_or(State::Failed)
}
