//! The gatherer: its inputs and outputs. What it does for each type of candidate is in `host`, `reflexive` and `relay`.

use alloc::{boxed::Box, vec::Vec};
use core::{net::IpAddr, time::Duration};

use floe_pair::{BaseId, Candidate, ComponentId, Few, Place, SocketId, StreamId, TransportAddress};
use floe_stun::{Instant, Message, Random, TransactionId};

use crate::{
    candidates::CandidateTable,
    config::{Config, ConfigError, MAX_COMPONENTS, MAX_TA, MIN_TA},
    event::Event,
    host::{Ask, Host, HostKey, JobKey},
    interface::SkipReason,
    locals::Local,
    map::SortedMap,
    name::Name,
    outbox::Outbox,
    reflexive::ReflexiveJob,
    relay::{Relay, RelayEntry, RelayJob},
    request::{Answer, Request, RequestId},
    room::Turns,
    server::ServerState,
};

/// One datagram for the driver to send: the first `len` bytes of the buffer it lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct GatherTransmit {
    /// The socket it leaves from, and its source address.
    pub place: Place,
    /// The server.
    pub to: TransportAddress,
    /// Length in bytes.
    pub len: usize,
}

/// How far gathering has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not asked for yet.
    Idle,
    /// Complete at `end` at the latest. That it takes long is said at `deadline`, once.
    Gathering { deadline: Option<Instant>, end: Instant },
    /// Said to be complete; jobs may still go on.
    Complete,
    /// Complete; no server is asked any more, and of new addresses there are host candidates only.
    Concluded,
    /// Nothing is gathered any more; allocations are being released.
    Closed,
}

/// What is known of a group of machines, so that nothing is searched for at each poll.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Something may have changed since the last settling; what follows is as of then.
    pub(crate) changed: bool,
    may_send: bool,
    wants_slot: bool,
    timer: Option<Instant>,
}

impl Watch {
    pub(crate) const fn touch(&mut self) {
        (self.changed, self.may_send) = (true, true);
    }
}

/// Gathers candidates and keeps them alive. See the [crate] for how it is used.
#[derive(Debug)]
pub struct Gatherer {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) stage: Stage,
    pub(crate) refreshing: bool,
    pub(crate) components: SortedMap<(StreamId, ComponentId), ()>,
    pub(crate) interfaces_known: bool,
    pub(crate) locals: Few<Local>,
    pub(crate) skipped: Vec<(Box<str>, IpAddr, SkipReason)>,
    pub(crate) used: Few<(Name, IpAddr)>,
    pub(crate) servers: Vec<ServerState>,
    pub(crate) asked: SortedMap<RequestId, Ask>,
    pub(crate) hosts: SortedMap<HostKey, Host>,
    pub(crate) reflexive: SortedMap<JobKey, Box<ReflexiveJob>>,
    /// The Binding transactions in progress, so that an answer finds its job without a search.
    pub(crate) transactions: SortedMap<TransactionId, JobKey>,
    pub(crate) relay_jobs: SortedMap<JobKey, Box<RelayJob>>,
    pub(crate) relays: SortedMap<BaseId, Box<RelayEntry>>,
    /// Who lives on which socket: a host candidate or an allocation.
    pub(crate) places: SortedMap<Place, BaseId>,
    /// The bases of host candidates.
    pub(crate) bases: SortedMap<BaseId, Place>,
    pub(crate) table: CandidateTable,
    pub(crate) out: Outbox,
    /// Numbers given to requests, bases and local addresses so far.
    pub(crate) given: u32,
    /// The server whose turn is next.
    lane: usize,
    pub(crate) turns: Turns,
    /// Before it nothing leaves but what has a slot of its own.
    pub(crate) floor: Instant,
    /// The Binding and allocation jobs.
    pub(crate) jobs: Watch,
    /// The TURN clients; each may have changed when it was lent to the owner.
    pub(crate) clients: Watch,
}

impl Gatherer {
    /// A gatherer that has not started.
    ///
    /// # Errors
    /// The configuration is out of range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let mut out = Outbox::default();
        let mut servers = Vec::new();
        for (index, server) in config.servers.iter().enumerate() {
            let (state, error) = ServerState::new(server, &config);
            if let Some(error) = error {
                out.notice(Event::ServerFailed { server: index, local: None, address: None, error });
            }
            servers.push(state);
        }
        Ok(Self {
            table: CandidateTable::new(config.limits.candidates),
            config,
            now: Instant::ORIGIN,
            stage: Stage::Idle,
            refreshing: true,
            components: SortedMap::new(),
            interfaces_known: false,
            locals: Few::new(),
            skipped: Vec::new(),
            used: Few::new(),
            servers,
            asked: SortedMap::new(),
            hosts: SortedMap::new(),
            reflexive: SortedMap::new(),
            transactions: SortedMap::new(),
            relay_jobs: SortedMap::new(),
            relays: SortedMap::new(),
            places: SortedMap::new(),
            bases: SortedMap::new(),
            out,
            given: 0,
            lane: 0,
            turns: Turns::default(),
            floor: Instant::ORIGIN,
            jobs: Watch::default(),
            clients: Watch::default(),
        })
    }

    /// Begins to gather for these components; the deadlines count from here. Called again it adds components,
    /// for which gathering goes on until [`Event::Complete`] comes again.
    pub fn start(&mut self, now: Instant, components: &[(StreamId, ComponentId)]) {
        self.advance(now);
        if self.stage == Stage::Closed {
            return;
        }
        let known = self.components.len();
        let room = MAX_COMPONENTS.saturating_sub(known);
        for component in components.iter().take(room) {
            self.components.insert(*component, ());
        }
        self.table.limit_to(self.limits().candidates);
        if self.stage == Stage::Idle {
            self.time_credentials();
        }
        if self.stage == Stage::Idle || self.components.len() > known {
            self.begin();
        }
        self.fill();
        self.settle();
    }

    /// Gathering goes on, or begins, from here. What is found is kept alive until it ends again.
    pub(crate) fn begin(&mut self) {
        let end = self.now.after(self.config.patience);
        let deadline = Some(self.now.after(self.config.deadline)).filter(|deadline| *deadline < end);
        self.stage = Stage::Gathering { deadline, end };
        self.refreshing = true;
    }

    /// A component is not needed any more: its sockets close, its allocations are released.
    pub fn remove_component(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        self.advance(now);
        self.components.remove(&(stream, component));
        self.drop_jobs(|key| key.stream == stream && key.component == component);
        self.settle();
    }

    /// The answer to a request. One that nobody waits for any more closes its socket.
    pub fn handle_answer(&mut self, now: Instant, id: RequestId, answer: Answer) {
        self.advance(now);
        let asked = self.asked.remove(&id);
        match asked {
            Some(Ask::Host(key)) => self.host_answered(key, answer),
            Some(Ask::Relay { key, server, ports }) => self.relay_answered(key, server, ports, answer),
            Some(Ask::Resolve { server }) => self.resolved(server, answer),
            None => self.decline(&answer),
        }
        if !self.servers.is_empty() {
            self.fill();
        } else if self.asked.is_empty() || !self.turns.holds_nothing() {
            // Nothing else waits for an answer but the end, and what a limit has held back.
            self.jobs.touch();
        }
        self.settle();
    }

    /// A STUN message that arrived on a host base. Returns whether it answers a Binding request to a server:
    /// transaction id, source and place must be those of one in progress.
    pub fn handle_message(
        &mut self,
        now: Instant,
        place: Place,
        source: TransportAddress,
        message: &Message<'_>,
    ) -> bool {
        self.advance(now);
        let taken = self.binding_answered(place, source, message);
        if taken {
            self.settle();
        }
        taken
    }

    /// Timers. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Random) {
        self.advance(now);
        self.settle();
        if self.poll_timeout().is_none_or(|at| self.now < at) {
            return;
        }
        let floor = self.floor;
        self.relay_timeouts(rng);
        self.reflexive_timeouts(rng);
        self.ask_for_credentials();
        if floor != self.floor {
            self.clients.touch();
        }
        self.jobs.touch();
        self.settle();
        self.run_deadlines();
    }

    /// The pacing interval in force from now on (RFC 8445 §14.2), taken as within 5 and 500 ms.
    pub fn set_ta(&mut self, ta: Duration) {
        self.config.ta = ta.clamp(MIN_TA, MAX_TA);
    }

    /// Whether a first transmission waits for a slot of the pacer (RFC 8445 §14.2).
    #[inline]
    pub fn wants_slot(&self) -> bool {
        let jobs = if self.jobs.changed { self.job_wants_slot() } else { self.jobs.wants_slot };
        jobs || if self.clients.changed { self.client_wants_slot() } else { self.clients.wants_slot }
    }

    fn job_wants_slot(&self) -> bool {
        self.reflexive.values().any(|job| job.wants_slot())
    }

    fn client_wants_slot(&self) -> bool {
        self.relays.values().any(|entry| entry.wants_slot())
    }

    /// Uses a slot; servers take turns. Returns whether there was something to begin.
    pub fn take_slot(&mut self, now: Instant, rng: &mut Random) -> bool {
        self.advance(now);
        self.settle();
        let count = self.servers.len();
        for lane in (self.lane..count).chain(0..self.lane.min(count)) {
            if self.serve(lane, rng) {
                self.lane = lane.saturating_add(1);
                self.settle();
                return true;
            }
        }
        false
    }

    /// Begins one transaction with this server.
    fn serve(&mut self, lane: usize, rng: &mut Random) -> bool {
        // A permission holds up a check that may be the one that works; an allocation only a candidate.
        if self.relay_slot(lane, true, rng) {
            return true;
        }
        let allocate_first = self.servers.get(lane).is_some_and(|server| server.allocate_next);
        let began_allocation = allocate_first && self.relay_slot(lane, false, rng);
        let began_binding = !began_allocation && self.binding_slot(lane, rng);
        let began_allocation =
            began_allocation || (!began_binding && !allocate_first && self.relay_slot(lane, false, rng));
        if let Some(server) = self.servers.get_mut(lane) {
            server.allocate_next = began_binding;
            if began_binding || began_allocation {
                server.times.asked.get_or_insert(self.now);
            }
        }
        began_binding || began_allocation
    }

    /// Whether [`Self::poll_transmit`] may have a datagram.
    #[inline]
    pub fn has_transmits(&mut self) -> bool {
        self.settle();
        self.jobs.may_send || self.clients.may_send
    }

    /// The next datagram to send, written into `buffer`. 1,500 bytes are enough for any of them.
    #[inline]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<GatherTransmit> {
        if self.has_transmits() { self.next_transmit(buffer) } else { None }
    }

    fn next_transmit(&mut self, buffer: &mut [u8]) -> Option<GatherTransmit> {
        if self.jobs.may_send {
            let transmit = self.binding_transmit(buffer);
            if transmit.is_some() {
                return transmit;
            }
            self.jobs.may_send = false;
        }
        if !self.clients.may_send {
            return None;
        }
        let transmit = self.relay_transmit(buffer);
        self.clients.may_send = transmit.is_some();
        transmit
    }

    /// Whether [`Self::poll_request`] has one.
    #[inline]
    pub fn has_requests(&mut self) -> bool {
        self.settle();
        self.out.has_requests()
    }

    /// The next request to the driver.
    #[inline]
    pub fn poll_request(&mut self) -> Option<Request> {
        self.settle();
        self.out.take_request()
    }

    /// How many candidates were found that no event has told yet.
    #[inline]
    pub fn unreported(&self) -> usize {
        self.table.unreported()
    }

    /// The next event.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.settle();
        if self.out.is_silent() && self.table.is_reported() { None } else { self.next_event() }
    }

    fn next_event(&mut self) -> Option<Event> {
        if let Some(event) = self.out.take_event() {
            // There may be room again for what waits in a TURN client.
            self.clients.changed |= matches!(event, Event::Turn(..));
            return Some(event);
        }
        if let Some((stream, candidate, base)) = self.table.report() {
            return Some(Event::Candidate { stream, candidate, base });
        }
        self.out.take_last()
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let jobs = if self.jobs.changed { self.next_job() } else { self.jobs.timer };
        let relays = if self.clients.changed { self.next_client() } else { self.clients.timer };
        match (jobs, relays) {
            (Some(job), Some(relay)) => Some(job.min(relay)),
            (jobs, relays) => jobs.or(relays),
        }
    }

    /// The one place somebody lives at, and the base of that host candidate, where there are no others and no allocations.
    #[inline]
    pub fn only_base(&self) -> Option<(&Place, BaseId)> {
        let (place, base) = self.places.only()?;
        self.relays.is_empty().then_some((place, *base))
    }

    /// The base of the host candidate that lives at this place.
    #[inline]
    pub fn base_at(&self, place: Place) -> Option<BaseId> {
        // Who lives at a place is a host or a relay.
        let is_host = |base: &BaseId| self.relays.is_empty() || self.bases.contains_key(base);
        self.places.get(&place).copied().filter(is_host)
    }

    /// The place of a host base.
    #[inline]
    pub fn place_of(&self, base: BaseId) -> Option<Place> {
        self.bases.get(&base).copied()
    }

    /// Whether there is any allocation.
    #[inline]
    pub fn has_relays(&self) -> bool {
        !self.relays.is_empty()
    }

    /// An allocation, from the moment its socket is open.
    #[inline]
    pub fn relay(&self, base: BaseId) -> Option<&Relay> {
        self.relays.get(&base).map(|entry| &entry.relay)
    }

    /// An allocation, to give it datagrams and commands. What that leads to is noticed at the next poll.
    pub fn relay_mut(&mut self, base: BaseId) -> Option<&mut Relay> {
        let entry = self.relays.get_mut(&base)?;
        self.clients.touch();
        Some(&mut entry.relay)
    }

    /// The allocation a datagram from `source` at `place` is for: it must come from its server.
    #[inline]
    pub fn relay_at(&self, place: Place, source: TransportAddress) -> Option<BaseId> {
        if self.relays.is_empty() {
            return None;
        }
        let base = self.places.get(&place)?;
        self.relays.get(base).filter(|entry| entry.relay.server == source).map(|_| *base)
    }

    /// Whether this is an address of this host that candidates come from, whatever its port.
    pub fn is_local(&self, address: TransportAddress) -> bool {
        self.locals.iter().any(|local| local.address == address.with_port(0))
    }

    /// Closes a socket that was meant for a candidate here, unless one lives on it.
    pub fn give_back(&mut self, socket: SocketId) {
        self.free(socket);
    }

    /// The candidates found so far that still stand, but for those of [`Self::withheld`].
    pub fn candidates(&self) -> impl Iterator<Item = (StreamId, &Candidate, BaseId)> {
        self.table.iter(false)
    }

    /// Those that still stand and are left to earlier generations, or may be: the interfaces are to be listed yet.
    pub fn withheld(&self) -> impl Iterator<Item = (StreamId, &Candidate, BaseId)> {
        self.table.iter(true)
    }

    /// Whether gathering is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete | Stage::Concluded | Stage::Closed)
    }

    /// Ends everything: sockets of hosts close, allocations are released and their sockets then close too.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        self.stage = Stage::Closed;
        self.drop_jobs(|_| true);
        for (id, _) in core::mem::take(&mut self.asked) {
            self.out.withdraw(id);
        }
        self.settle();
    }

    /// Whether everything was given back after [`Self::close`], and each request taken.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed && self.relays.is_empty() && !self.out.has_requests()
    }

    /// A `now` of the past counts as the last one.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Follows up on what an input changed: starts attempts that are due, notices the end, and keeps what
    /// [`Self::poll_timeout`] and [`Self::wants_slot`] answer.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.clients.changed || self.jobs.changed {
            self.follow_up();
        }
    }

    fn follow_up(&mut self) {
        if self.clients.changed {
            self.drain_relays();
            // Gathering may have waited for the renewal of an allocation.
            self.jobs.changed |= matches!(self.stage, Stage::Gathering { .. });
        }
        if self.jobs.changed {
            if self.has_jobs() {
                self.probe_next();
                self.allocate_next();
            }
            self.refill();
            self.finish();
            self.jobs.timer = self.next_job();
            self.jobs.wants_slot = self.job_wants_slot();
            self.jobs.changed = false;
        }
        if self.clients.changed {
            self.clients.timer = self.next_client();
            self.clients.wants_slot = self.client_wants_slot();
            self.clients.changed = false;
        }
    }

    /// Whether any server is asked, or was. Most agents have none.
    fn has_jobs(&self) -> bool {
        !(self.reflexive.is_empty() && self.relay_jobs.is_empty())
    }

    fn next_job(&self) -> Option<Instant> {
        let deadline = match self.stage {
            Stage::Gathering { deadline, end } => Some(deadline.unwrap_or(end)),
            _ => None,
        };
        if !self.has_jobs() && self.turns.holds_nothing() {
            return deadline;
        }
        let bindings = self.reflexive.values().filter_map(|job| job.poll_timeout(self.floor));
        let allocations = self.relay_jobs.values().filter_map(|job| job.poll_timeout());
        let others = [deadline, self.next_room(), self.next_expiry()].into_iter().flatten();
        bindings.chain(allocations).chain(others).min()
    }

    fn next_client(&self) -> Option<Instant> {
        self.relays.values().filter_map(|entry| entry.poll_timeout(self.floor)).min()
    }

    /// A new number. Wraps after four thousand million of them.
    pub(crate) fn number(&mut self) -> u32 {
        self.given = self.given.wrapping_add(1);
        self.given
    }

    /// Gives a socket back that nobody wants, unless it is one in use.
    pub(crate) fn decline(&mut self, answer: &Answer) {
        match answer {
            Answer::Bound { socket, .. }
            | Answer::Connected { socket, .. }
            | Answer::Listening { socket, .. } => {
                self.free(*socket);
            }
            _ => {}
        }
    }

    /// Closes a socket on which nothing lives any more.
    pub(crate) fn free(&mut self, socket: SocketId) {
        if self.places.keys().all(|place| place.socket != socket) {
            self.out.close(socket);
        }
    }
}
