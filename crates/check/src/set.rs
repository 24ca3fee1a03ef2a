//! The checklist set: what there is, and what happens after each input.

use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{
    BaseId, ComponentId, IceOptions, Parameters, Priority, Role, StreamId, TieBreaker, TransportAddress,
    Ufrag,
};
use floe_stun::{Instant, Random, Sha1Key};

use crate::admission::Bases;
use crate::candidates::Candidates;
use crate::checklist::{Checklist, Component};
use crate::config::Config;
use crate::event::{Event, EventQueue, State};
use crate::lean::push_lean;
use crate::limits::SPENT_LIMIT;
use crate::marks::NEVER;
use crate::outbox::Outbox;
use crate::pairs::{Failure, Pair, PairTable, Traits};
use crate::policy::TypeRanks;
use crate::renominate::{Nominates, Renomination};
use crate::role::Standing;
use crate::schedule::Urgency;
use crate::transactions::Transactions;

/// How often a timeout looks again for what is due: the last check ends, then what waited for it is freed, then the
/// transactions end that were cancelled by that and are overdue, on a host that slept.
const ROUNDS: usize = 3;

/// The peer's parameters, and what every check to it needs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub parameters: Parameters,
    pub key: Sha1Key,
    /// USERNAME of our requests: the peer's fragment, a colon, ours (RFC 8445 §7.2.2).
    pub username: Vec<u8>,
    /// The peer follows RFC 8445 or a renomination draft, so that one pair of a component is nominated at a time.
    pub regular: bool,
    /// Whether, and how, the selected pair may change.
    pub renomination: Renomination,
}

/// A check that came too early to be acted upon (RFC 8445 §7.3); it was answered.
#[derive(Debug)]
pub(crate) struct Early {
    pub base: BaseId,
    pub source: TransportAddress,
    pub ufrag: Ufrag,
    pub priority: Priority,
    pub nominate: Option<Nominates>,
}

/// Connectivity checks of one agent for one generation: the checklists of all its data streams.
///
/// Methods that take `now` treat an instant earlier than the last one as the last one. What follows from candidates,
/// parameters and components that were told to the set is seen once its events were read.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and read at its own rule")]
pub struct ChecklistSet {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    /// Ta in force.
    ta: Duration,
    pub(crate) standing: Standing,
    pub(crate) local: Parameters,
    pub(crate) local_key: Sha1Key,
    pub(crate) peer: Option<Peer>,
    pub(crate) bases: Bases,
    pub(crate) candidates: Candidates,
    pub(crate) streams: Vec<Checklist>,
    pub(crate) pairs: PairTable,
    /// The policy or the application ranks pairs otherwise than by relays and priority.
    pub(crate) ranked: bool,
    pub(crate) transactions: Transactions,
    pub(crate) early: Vec<Early>,
    pub(crate) outbox: Outbox,
    pub(crate) events: EventQueue,
    /// The first check has begun: from now on pairs join by the rules for trickled ones.
    pub(crate) started: bool,
    /// Position in `streams` whose turn it is.
    pub(crate) turn: u16,
    /// The check that began last was a nomination made again.
    pub(crate) insisted: bool,
    /// Another generation has taken this one's place.
    pub(crate) retired: bool,
    /// RFC 7675 §5.1: where the credentials of this generation are spent, though the pair itself was removed.
    pub(crate) spent: Vec<(BaseId, TransportAddress)>,
    /// Retransmissions to addresses not heard from keep Ta from each other.
    pub(crate) retransmit_floor: Instant,
    pub(crate) patient_until: Option<Instant>,
    /// When the peer's first authenticated request was received.
    pub(crate) peer_began: Option<Instant>,
    /// When the first local candidate came.
    pub(crate) told_at: Option<Instant>,
    /// When the latest local candidate came, after checks had begun.
    pub(crate) extended_at: Option<Instant>,
    pub(crate) free_at: Option<Instant>,
    /// To be freed as soon as nothing stands against it.
    pub(crate) free_later: bool,
    next_order: u16,
    /// Something was told to the set, and what follows from it is not settled yet.
    pub(crate) unsettled: bool,
    /// Some level is not what was told of it.
    pub(crate) stirred: bool,
    /// Where data goes may be another way than when this was asked last.
    pub(crate) rerouted: bool,
    pub(crate) wants: Option<Urgency>,
    /// When something is to be done next; the end of time if never.
    pub(crate) deadline: Instant,
    /// When a level changes because time has passed; the same.
    levels_due: Instant,
    pub(crate) state: State,
    pub(crate) reported_state: State,
    pub(crate) reported_role: Role,
}

impl ChecklistSet {
    /// A set without streams. `tiebreaker` is drawn by the agent, one for all its generations (RFC 8445 §16.1).
    pub fn new(config: Config, role: Role, tiebreaker: TieBreaker, local: Parameters) -> Self {
        let config = config.bounded();
        let (ta, ranked) = (config.ta, config.policy.ranks != TypeRanks::default());
        Self {
            config,
            now: Instant::ORIGIN,
            ta,
            standing: Standing::new(role, tiebreaker),
            local_key: Sha1Key::new(local.pwd.expose().as_bytes()),
            local,
            peer: None,
            bases: Bases::default(),
            candidates: Candidates::default(),
            streams: Vec::new(),
            pairs: PairTable::default(),
            ranked,
            transactions: Transactions::default(),
            early: Vec::new(),
            outbox: Outbox::default(),
            events: EventQueue::default(),
            started: false,
            turn: 0,
            insisted: false,
            retired: false,
            spent: Vec::new(),
            retransmit_floor: Instant::ORIGIN,
            patient_until: None,
            peer_began: None,
            told_at: None,
            extended_at: None,
            free_at: None,
            free_later: false,
            next_order: 0,
            unsettled: false,
            stirred: true,
            rerouted: true,
            wants: None,
            deadline: NEVER,
            levels_due: NEVER,
            state: State::New,
            reported_state: State::New,
            reported_role: role,
        }
    }

    /// Adds a component, and its data stream if it is the first. Known ones are left as they are; more streams than
    /// [`STREAM_LIMIT`](crate::STREAM_LIMIT) are not taken. Once the peer's parameters are known, patience for what is
    /// added runs from `now` (RFC 8863 §4).
    ///
    /// Both sides' ends of candidates for that stream are taken back: those of the component are still to be told.
    pub fn add_component(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let now = self.advance(now);
        if self.retired || self.component(stream, component).is_some() {
            return;
        }
        // RFC 8863 §4: the peer has as long for what is added later. A set that rests has not seen the time pass.
        let patient_until = self.peer.is_some().then(|| now.after(self.config.patience));
        if self.checklist(stream).is_none() {
            if self.streams.len() >= crate::limits::STREAM_LIMIT {
                return;
            }
            push_lean(&mut self.streams, Checklist::new(stream, self.next_order));
            self.next_order = self.next_order.saturating_add(1);
        }
        let Some(checklist) = self.checklist_mut(stream) else { return };
        if let Err(place) = checklist.components.binary_search_by_key(&component, |known| known.id) {
            if checklist.components.is_empty() {
                checklist.components.reserve_exact(1);
            }
            let mut joining = Component::new(component);
            joining.later = checklist.components.iter().any(|other| other.concluded);
            checklist.components.insert(place, joining);
            checklist.reopen();
            checklist.patient_until = patient_until;
        }
        self.unsettled = true;
    }

    /// Removes a component with its candidates and pairs, and its stream if it was the last: bundled streams and
    /// multiplexed RTCP need no checks of their own.
    pub fn remove_component(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let now = self.advance(now);
        let gone = |pair: &Pair| pair.is_of(stream, component);
        let (pairs, streams) = (&mut self.pairs, &mut self.streams);
        self.transactions.retain(|check| pairs.get(check.pair).is_some_and(|pair| !gone(pair)));
        if let Some(checklist) = streams.iter_mut().find(|checklist| checklist.stream == stream) {
            checklist.triggered.retain(|id| pairs.get(*id).is_some_and(|pair| !gone(pair)));
            checklist.components.retain(|known| known.id != component);
        }
        streams.retain(|checklist| !checklist.components.is_empty());
        self.remember_spent(gone);
        self.pairs.retain(|pair| !gone(pair));
        self.candidates
            .locals
            .retain(|local| local.stream != stream || local.candidate.component != component);
        self.candidates
            .remotes
            .retain(|remote| remote.stream != stream || remote.candidate.component != component);
        self.candidates.forget_packed(stream, component);
        self.candidates.denied.retain(|denied| denied.stream != stream || denied.component != component);
        for base in self.bases.disown((stream, component)) {
            self.early.retain(|early| early.base != base);
        }
        self.release_memory();
        self.settle(now);
    }

    /// Pairs that go for good, and whose credentials are spent all the same.
    pub(crate) fn remember_spent(&mut self, gone: impl Fn(&Pair) -> bool) {
        let going = self.pairs.iter().filter(|pair| gone(pair) && self.is_spent(pair));
        let spent: Vec<_> = going.map(|pair| (pair.base, pair.to)).collect();
        self.spent.extend(spent);
        let excess = self.spent.len().saturating_sub(SPENT_LIMIT);
        self.spent.drain(..excess);
    }

    /// Removes a data stream: all its components, as [`remove_component`](Self::remove_component) does.
    pub fn remove_stream(&mut self, now: Instant, stream: StreamId) {
        while let Some(component) = self.checklist(stream).and_then(|list| list.components.last()) {
            self.remove_component(now, stream, component.id);
        }
    }

    /// The peer's parameters: from now on checks can be sent and patience runs (RFC 8863 §4). May come after its
    /// candidates and after its first checks. Only the first call counts: other parameters are another generation.
    pub fn set_remote_parameters(&mut self, now: Instant, remote: Parameters) {
        let now = self.advance(now);
        if self.peer.is_some() || self.retired {
            return;
        }
        self.ta = remote.proposed_pacing().min(Config::MAX_TA).max(self.config.ta);
        let username = [remote.ufrag.as_bytes(), b":", self.local.ufrag.as_bytes()].concat();
        let key = Sha1Key::new(remote.pwd.expose().as_bytes());
        let renomination =
            Renomination::agreed(&self.local.options, &remote, self.config.legacy_renomination);
        // Renomination drafts: where it is in use, nobody nominates aggressively; the latest nomination counts.
        let regular = remote.options.has(IceOptions::ICE2) || renomination != Renomination::Off;
        self.peer = Some(Peer { parameters: remote, key, username, regular, renomination });
        self.determine_role();
        // RFC 8863 §4: the timer starts with the parameters of both sides, candidates or not.
        self.patient_until = Some(now.after(self.config.patience));
        self.replay_early();
        self.unsettled = true;
    }

    /// No more local candidates will come for this stream.
    pub fn local_gathering_complete(&mut self, now: Instant, stream: StreamId) {
        self.advance(now);
        if let Some(checklist) = self.checklist_mut(stream) {
            checklist.local_complete = true;
        }
        self.unsettled = true;
    }

    /// The peer has told a candidate of this component, which may be of no use and not be given to the set: the component is
    /// part of the stream all the same (RFC 8445 §6.1.2.2). Known of those that are given.
    pub fn note_remote_component(&mut self, stream: StreamId, component: ComponentId) {
        let open = |list: &&mut Checklist| !list.remote_complete && list.component(component).is_some();
        if let Some(checklist) = self.checklist_mut(stream).filter(open) {
            checklist.remote_components = checklist.remote_components.max(Some(component));
        }
    }

    /// The peer has no more candidates for this stream (RFC 8838 §14): any that come later are ignored.
    pub fn remote_gathering_complete(&mut self, now: Instant, stream: StreamId) {
        self.advance(now);
        let candidates = &self.candidates;
        let Some(checklist) = self.streams.iter_mut().find(|checklist| checklist.stream == stream) else {
            return;
        };
        checklist.remote_complete = true;
        // RFC 8445 §6.1.2.2: a stream has no more components than either side has candidates for.
        checklist.remote_components = checklist.remote_components.max(candidates.highest_component(stream));
        self.unsettled = true;
    }

    /// Does what is due: retransmissions, fresh checks, failures, consent, waits. Before
    /// [`poll_timeout`](Self::poll_timeout) it does nothing.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Random) {
        let now = self.advance(now);
        self.catch_up();
        // What follows at once is done with it: a deadline that stays where it was would look like nothing done.
        for _ in 0..ROUNDS {
            if now < self.deadline {
                return;
            }
            self.run_admissions(now);
            self.run_transactions(now);
            self.run_fresh(now);
            self.run_consent(now, rng);
            self.free_candidates(now);
            self.settle(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do: at once, where what was told to the set since
    /// events were read has to be acted upon.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = if self.unsettled { self.now } else { self.deadline };
        Some(due).filter(|due| *due < NEVER)
    }

    /// What happened. Role, selections and states are levels: told as the difference to what was told before.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.catch_up();
        if !self.stirred && self.events.is_empty() && !self.bases.is_any_wanted() {
            return None;
        }
        let event = self.next_event();
        self.stirred = self.is_level_untold();
        event
    }

    /// Whether a [`route`](Self::route) may be another one than when this was asked last, or may last longer: what it is made
    /// of changes with the levels, and with the consent of the pair that data goes over.
    #[inline]
    pub fn take_rerouted(&mut self) -> bool {
        core::mem::take(&mut self.rerouted)
    }

    fn is_level_untold(&self) -> bool {
        self.standing.role != self.reported_role
            || self.state != self.reported_state
            || self.streams.iter().any(Checklist::is_untold)
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.bases.poll_wanted() {
            return Some(event);
        }
        if self.retired {
            // RFC 8445 §9: of what was, only the data and its consent go on.
            let lost = |event: &Event| matches!(event, Event::ConsentLost { .. });
            return core::iter::from_fn(|| self.streams.iter_mut().find_map(Checklist::poll_event))
                .find(lost);
        }
        if self.standing.role != self.reported_role {
            self.reported_role = self.standing.role;
            return Some(Event::RoleSwitched(self.standing.role));
        }
        if let Some(event) = self.events.pop() {
            return Some(event);
        }
        if let Some(event) = self.streams.iter_mut().find_map(Checklist::poll_event) {
            return Some(event);
        }
        if self.state != self.reported_state {
            self.reported_state = self.state;
            return Some(Event::State(self.state));
        }
        None
    }

    /// The role now.
    pub fn role(&self) -> Role {
        self.standing.role
    }

    /// The tiebreaker now; it changes when a 487 is received.
    pub fn tiebreaker(&self) -> TieBreaker {
        self.standing.tiebreaker
    }

    /// Our parameters.
    pub fn local_parameters(&self) -> &Parameters {
        &self.local
    }

    /// The peer's parameters, once known.
    pub fn remote_parameters(&self) -> Option<&Parameters> {
        self.peer.as_ref().map(|peer| &peer.parameters)
    }

    /// Ta in force: the higher one of both proposals, ours until the peer's is known (RFC 8445 §14.2).
    #[inline]
    pub fn ta_in_force(&self) -> Duration {
        self.ta
    }

    /// State of the whole set. Streams that have failed do not count while others live.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// State of a data stream.
    pub fn stream_state(&self, stream: StreamId) -> Option<State> {
        self.checklist(stream).map(|checklist| checklist.state)
    }

    /// State of a component.
    pub fn component_state(&self, stream: StreamId, component: ComponentId) -> Option<State> {
        self.component(stream, component).map(|component| component.state)
    }

    pub(crate) fn checklist(&self, stream: StreamId) -> Option<&Checklist> {
        self.streams.iter().find(|checklist| checklist.stream == stream)
    }

    pub(crate) fn checklist_mut(&mut self, stream: StreamId) -> Option<&mut Checklist> {
        self.streams.iter_mut().find(|checklist| checklist.stream == stream)
    }

    /// Asked for in many places: the search stands in one.
    #[inline(never)]
    pub(crate) fn component(&self, stream: StreamId, component: ComponentId) -> Option<&Component> {
        self.checklist(stream)?.component(component)
    }

    pub(crate) fn component_mut(
        &mut self,
        stream: StreamId,
        component: ComponentId,
    ) -> Option<&mut Component> {
        self.checklist_mut(stream)?.component_mut(component)
    }

    /// The later one of `now` and the latest instant seen, which it becomes.
    pub(crate) fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// Pairs that lost what they stood on: they fail, their transactions end.
    pub(crate) fn fail_where(&mut self, failure: Failure, gone: impl Fn(&Pair) -> bool) {
        for pair in self.pairs.change(|pair| gone(pair)) {
            pair.discard(failure);
            pair.queued = false;
            // What was lost under a valid pair is lost for the generation.
            pair.admitted &= failure != Failure::NotAdmitted;
            pair.revoked |= failure == Failure::BaseRemoved;
        }
        let pairs = &self.pairs;
        self.transactions.retain(|check| pairs.get(check.pair).is_some_and(|pair| !gone(pair)));
        for checklist in &mut self.streams {
            checklist.triggered.retain(|id| pairs.get(*id).is_some_and(|pair| !gone(pair)));
        }
    }

    /// Acts on what was told to the set: once for all that came in a row. [`poll_event`](Self::poll_event) and everything
    /// that arrives begin with it.
    #[inline]
    pub fn catch_up(&mut self) {
        if self.unsettled {
            self.settle(self.now);
        }
    }

    /// Brings what follows from a check that has begun, or from a request of the peer, up to date. Most of them change
    /// nothing but when something is due, and what has a slot next.
    pub(crate) fn settle_check(&mut self, now: Instant) {
        self.pairs.refresh();
        if self.do_levels_stand(now) {
            self.wants = self.next_urgency();
            self.deadline = self.next_deadline();
        } else {
            self.settle(now);
        }
    }

    /// Brings what follows from a request of the peer up to date: nothing, where it has led to no check. Whatever else it leads
    /// to changes a pair as well.
    pub(crate) fn settle_request(&mut self, now: Instant) {
        if self.pairs.is_touched() || !self.do_levels_stand(now) {
            self.settle_check(now);
        }
    }

    /// Whether nothing that levels follow from has changed since they were settled: no time has come, it is the same pairs
    /// that are valid, open and listed, and what else a check or a request changes decides nothing now. That is another
    /// pair in progress or heard from while a nomination waits for a better one, or while what is Frozen may thaw.
    fn do_levels_stand(&self, now: Instant) -> bool {
        !self.unsettled
            && !self.pairs.has_news()
            && now < self.deadline
            && !self.is_passive()
            && !self.is_renominating()
            && !self.is_deciding()
            && !(self.pairs.may_have(Traits::FROZEN) && self.is_resting())
            && !self.bases.is_any_gated()
    }

    /// Brings everything that follows from the pairs up to date. Runs after each input.
    pub(crate) fn settle(&mut self, now: Instant) {
        self.unsettled = false;
        self.pairs.refresh();
        // Before the first check nothing is valid, but at a lite agent, and nothing is to be decided.
        let reordered = if self.started || self.local.lite {
            self.settle_valid(now)
        } else {
            debug_assert!(!self.pairs.may_have(Traits::VALID), "a pair is valid by a check");
            self.pairs.take_risen();
            self.pairs.take_reordered()
        };
        self.settle_states(now, reordered);
        self.settle_freeing(now);
        self.wants = self.next_urgency();
        self.stirred = self.is_level_untold();
        self.levels_due = self.next_level(now);
        self.deadline = self.next_deadline();
    }

    /// What follows from the valid pairs. Says whether which pairs are valid, open or listed has changed, or their order.
    fn settle_valid(&mut self, now: Instant) -> bool {
        self.rerouted = true;
        self.settle_nominations();
        self.settle_selected();
        self.settle_lite(now);
        let reordered = self.pairs.take_reordered();
        if !self.is_passive() {
            self.decide_nominations(now);
            self.decide_moves(now);
            self.decide_rest(reordered);
            self.thaw_at_rest();
        }
        self.pairs.refresh();
        if self.started && self.peer.is_some() && self.bases.is_any_gated() {
            self.want_admissions(now);
        }
        reordered
    }

    /// The earliest of all timers.
    fn next_deadline(&mut self) -> Instant {
        let others = [self.pairs.next_due(), self.bases.next_deadline(), self.free_at];
        let due = others.into_iter().flatten().fold(self.levels_due, Instant::min);
        self.transactions.next_due(self.retransmit_floor, due)
    }

    /// The earliest of those that only change a level. Past ones do not count: the level is settled.
    fn next_level(&self, now: Instant) -> Instant {
        let ahead = |at: Option<Instant>| at.filter(|at| *at > now).unwrap_or(NEVER);
        let mut next = ahead(self.patient_until);
        for checklist in &self.streams {
            next = next.min(ahead(checklist.patient_until));
            for component in &checklist.components {
                let Component { hold, rest_until, dead_at, .. } = *component;
                next = next.min(ahead(hold)).min(ahead(rest_until)).min(ahead(dead_at));
            }
        }
        next
    }
}
