//! Relayed candidates: one TURN client for each allocation (RFC 8445 §5.1.1.2, RFC 8656).

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use floe_pair::{BaseId, CandidateType, ComponentId, Place, StreamId, TransportAddress};
use floe_stun::{Instant, Random};
use floe_turn::{AllocateError, Client, ClientConfig, Event as TurnEvent, Families, LostReason, Retry};

use crate::{
    candidates::{Added, Found},
    config::Policy,
    error::ServerError,
    event::Event,
    gatherer::{GatherTransmit, Gatherer, Stage},
    host::{Ask, JobKey},
    locals::{LocalId, Use},
    request::{Answer, Request, RequestFailure},
    rest::{MAX_NEW_PORTS, MAX_RESTS},
    restart::STALE_AFTER,
    server::{Targets, can_reach, is_plausible, source_of},
};

/// How long one address of a server is waited for, after our last word to it, before the next one is asked too.
/// Longer than for a Binding request: an allocation takes two exchanges, and a second one counts against a quota.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_secs(1);
/// An allocation, or one in the making, on a socket of its own.
#[derive(Debug)]
pub struct Relay {
    /// The TURN client. Its transmissions, timers, slots and events are the gatherer's; datagrams and commands
    /// come from the owner of the gatherer.
    pub client: Client,
    /// The socket and the local address it talks to the server from.
    pub place: Place,
    /// The server's address.
    pub server: TransportAddress,
    /// The base of the relayed candidate.
    pub base: BaseId,
    /// The data stream it is for.
    pub stream: StreamId,
    /// The component it is for.
    pub component: ComponentId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Allocating,
    Open,
    /// Of its events only the last one is of interest.
    Releasing,
}

/// A relay and what the gatherer knows of it. Place and base are kept apart from what is lent out.
#[derive(Debug)]
pub(crate) struct RelayEntry {
    pub(crate) relay: Relay,
    pub(crate) key: JobKey,
    place: Place,
    pub(crate) phase: Phase,
    /// New ports used up so far.
    ports: u8,
    /// A generation has begun, and the renewal it led to has not ended: the server may have forgotten the allocation.
    pub(crate) doubtful: bool,
    /// Its user has no credentials any more; its job goes on for another one.
    pub(crate) replaced: bool,
}

impl RelayEntry {
    pub(crate) fn wants_slot(&self) -> bool {
        self.phase != Phase::Releasing && self.relay.client.wants_slot()
    }

    /// Whether it waits for a slot to ask for the allocation.
    pub(crate) fn waits_to_allocate(&self) -> bool {
        self.phase == Phase::Allocating && self.relay.client.wants_slot()
    }

    /// Whether the server has not said yet that it still knows the allocation.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.phase == Phase::Open && self.doubtful
    }

    /// When it has something to do, of which nothing but the end of an allocation is sent before `floor`.
    pub(crate) fn poll_timeout(&self, floor: Instant) -> Option<Instant> {
        let due = self.relay.client.poll_timeout()?;
        Some(if self.phase == Phase::Releasing { due } else { due.max(floor) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Asking,
    /// One address of the server has granted it.
    Allocated,
    /// The server has no room for it, and is asked again then.
    Resting(Instant),
    Ended,
}

/// One TURN server asked from one local address for one component.
#[derive(Debug)]
pub(crate) struct RelayJob {
    /// With port 0.
    pub(crate) local: TransportAddress,
    pub(crate) targets: Targets,
    progress: Progress,
    /// When it was begun.
    begun: Instant,
    /// When its first request left.
    asked: Option<Instant>,
    /// It was reported as unanswered; nothing worse is left to say.
    late: bool,
    /// In this gathering its allocation was found to be lost, and it is asked for anew.
    renewed: bool,
    /// How often it has waited for its server to have room since its allocation was lost.
    rests: u8,
}

impl RelayJob {
    pub(crate) const fn new(now: Instant, local: TransportAddress, targets: Targets) -> Self {
        let (progress, asked, late, renewed, rests) = (Progress::Asking, None, false, false, 0);
        Self { local, targets, progress, begun: now, asked, late, renewed, rests }
    }

    /// One whose allocation takes the place of another, and is waited for where the server has no room.
    pub(crate) fn succeeding(now: Instant, local: TransportAddress, targets: Targets) -> Self {
        Self { rests: 1, ..Self::new(now, local, targets) }
    }

    /// From when on it has asked for long, its server or the driver for a socket, if no answer comes. `waits`: its turn is
    /// still to come.
    pub(crate) fn silent_from(&self, waits: impl FnOnce() -> bool) -> Option<Instant> {
        if self.is_done() || (self.asked.is_none() && waits()) {
            return None;
        }
        Some(self.asked.unwrap_or(self.begun).after(STALE_AFTER))
    }

    /// Whether it has asked for long and has no answer yet.
    pub(crate) fn is_silent(&self, now: Instant, waits: impl FnOnce() -> bool) -> bool {
        // Most are younger: who waits for a slot is not searched for.
        self.begun.after(STALE_AFTER) <= now && self.silent_from(waits).is_some_and(|at| at <= now)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.progress != Progress::Asking
    }

    /// Whether it has an allocation or asks for one.
    pub(crate) fn wants_allocation(&self) -> bool {
        matches!(self.progress, Progress::Asking | Progress::Allocated)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done() { self.rests_until() } else { self.targets.poll_timeout() }
    }

    /// When it asks again, where its server has no room for it.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        if let Progress::Resting(until) = self.progress { Some(until) } else { None }
    }

    /// Nothing is left to be asked. Where an allocation was lost for which the server has no room until then, it may be asked
    /// again: most likely it still counts the lost one.
    pub(crate) fn rest_or_end(&mut self, until: Option<Instant>) {
        match until.filter(|_| self.renewed || self.rests > 0) {
            Some(until) => self.rest(until),
            None => self.end(),
        }
    }

    pub(crate) fn rest(&mut self, until: Instant) {
        self.progress = if self.rests < MAX_RESTS { Progress::Resting(until) } else { Progress::Ended };
        self.rests = self.rests.saturating_add(1);
    }

    /// Its rest is over. What it meets now was said before.
    pub(crate) fn resume(&mut self, now: Instant, targets: Targets) {
        (self.targets, self.progress, self.late) = (targets, Progress::Asking, true);
        (self.begun, self.asked) = (now, None);
    }

    /// A generation begins while it rests.
    pub(crate) fn begin_again(&mut self, now: Instant, targets: Targets) {
        self.resume(now, targets);
        self.rests = 1;
    }

    /// Asks for nothing any more, and its allocation is not wanted.
    pub(crate) fn end(&mut self) {
        self.progress = Progress::Ended;
    }

    /// Whether it is to be reported as unanswered; said once in each gathering. `doubtful`: its allocation is one of the
    /// generation before, and nothing was heard of it since.
    pub(crate) fn give_up_waiting(&mut self, doubtful: bool) -> bool {
        let waiting = (doubtful || !self.is_done()) && !self.late;
        self.late |= waiting;
        waiting
    }
}

impl Gatherer {
    /// Asks for a socket towards the next address of each server whose turn has come, and ends jobs that have
    /// none left.
    pub(crate) fn allocate_next(&mut self) {
        self.wake_relays();
        let now = self.now;
        let (mut due, mut refused) = (Vec::new(), Vec::new());
        for (key, job) in self.relay_jobs.iter_mut().filter(|(_, job)| job.progress == Progress::Asking) {
            let Some(server) = job.targets.take_due(now) else { continue };
            let Some(rest) = self.servers.get_mut(key.server).and_then(|state| state.resting(server, now))
            else {
                due.push((*key, job.local, server));
                continue;
            };
            job.targets.clear();
            if !core::mem::replace(&mut rest.said, true) {
                refused.push((key.server, ServerError::Allocate(rest.error)));
            }
        }
        for (server, error) in refused {
            self.out.notice(Event::ServerFailed { server, local: None, address: None, error });
        }
        for (key, local, server) in due {
            self.ask_relay_socket(key, local, server, 0);
        }
        for (key, job) in self.relay_jobs.iter_mut().filter(|(_, job)| job.progress == Progress::Asking) {
            let asking =
                self.relays.values().any(|entry| entry.key == *key && entry.phase == Phase::Allocating)
                    || self
                        .asked
                        .values()
                        .any(|ask| matches!(ask, Ask::Relay { key: asked, .. } if asked == key));
            if job.targets.is_empty() && !asking {
                job.rest_or_end(self.servers.get(key.server).and_then(|server| server.rests_until(now)));
            }
        }
    }

    fn ask_relay_socket(
        &mut self,
        key: JobKey,
        local: TransportAddress,
        server: TransportAddress,
        ports: u8,
    ) {
        let id = self.ask(Ask::Relay { key, server, ports });
        self.out.request(Request::BindUdp { id, local, shareable: false });
    }

    /// The socket of an allocation is there, or is not.
    pub(crate) fn relay_answered(
        &mut self,
        key: JobKey,
        server: TransportAddress,
        ports: u8,
        answer: Answer,
    ) {
        let Some(job) = self.relay_jobs.get(&key).filter(|job| job.progress == Progress::Asking) else {
            return self.decline(&answer);
        };
        let local = job.local;
        let (place, _) = match self.bound_place(local, answer) {
            Ok(bound) => bound,
            Err(failure) => return self.relay_failed(key, server, ServerError::Bind(failure)),
        };
        // The 5-tuple names the allocation: nobody else may use the socket (RFC 8656 §3.2).
        if self.places.keys().any(|other| other.socket == place.socket) {
            return self.relay_failed(key, server, ServerError::Bind(RequestFailure::AddressInUse));
        }
        let credentials = self.config.servers.get(key.server).and_then(|server| server.credentials.clone());
        let mut settings = ClientConfig::new(server.socket_addr(), credentials);
        settings.families = if local.is_ipv4() { Families::V4 } else { Families::V6 };
        settings.rto = self.rto();
        // RFC 8445 §5.1.1.4: until ICE has concluded Refresh requests keep the relayed candidate, and the mapping of a NAT
        // before the server with it: most forget one long before the allocation ends.
        settings.keep = self.refreshing.then_some(self.config.refresh);
        let mut client = Client::new(settings);
        client.allocate(self.now);
        let base = BaseId(self.number());
        let relay = Relay { client, place, server, base, stream: key.stream, component: key.component };
        let phase = Phase::Allocating;
        let entry = RelayEntry { relay, key, place, phase, ports, doubtful: false, replaced: false };
        self.relays.insert(base, Box::new(entry));
        self.places.insert(place, base);
        self.clients.touch();
    }

    /// One attempt has failed: the next address is tried at once.
    fn relay_failed(&mut self, key: JobKey, server: TransportAddress, error: ServerError) {
        self.try_next(key);
        if let Some(job) = self.relay_jobs.get(&key).filter(|job| !job.late) {
            let local = Some(job.local.ip());
            self.out.notice(Event::ServerFailed { server: key.server, local, address: Some(server), error });
        }
    }

    /// Gives a slot to a client of this server: to an open allocation, else to one in the making.
    pub(crate) fn relay_slot(&mut self, lane: usize, open: bool, rng: &mut Random) -> bool {
        let now = self.now;
        let phase = if open { Phase::Open } else { Phase::Allocating };
        for entry in self.relays.values_mut().filter(|entry| entry.key.server == lane && entry.phase == phase)
        {
            if entry.relay.client.wants_slot() && entry.relay.client.take_slot(now, rng) {
                if let Some(job) = self.relay_jobs.get_mut(&entry.key).filter(|_| !open) {
                    job.targets.wait(now.after(NEXT_ADDRESS_AFTER));
                    job.asked.get_or_insert(now);
                }
                self.clients.touch();
                self.jobs.touch();
                return true;
            }
        }
        false
    }

    pub(crate) fn relay_transmit(&mut self, buffer: &mut [u8]) -> Option<GatherTransmit> {
        self.relays.values_mut().find_map(|entry| {
            let len = entry.relay.client.poll_transmit(buffer)?;
            Some(GatherTransmit { place: entry.place, to: entry.relay.server, len })
        })
    }

    pub(crate) fn relay_timeouts(&mut self, rng: &mut Random) {
        for entry in self.relays.values_mut() {
            if entry.poll_timeout(self.floor).is_some_and(|at| at <= self.now) {
                if entry.phase != Phase::Releasing {
                    // A host that slept: allocations wake up one after the other, at the pace of Ta.
                    self.floor = self.now.after(self.config.ta);
                }
                entry.relay.client.handle_timeout(self.now, rng);
                self.clients.touch();
            }
        }
    }

    /// Takes what the TURN clients have to say, and what follows from it for others.
    pub(crate) fn drain_relays(&mut self) {
        loop {
            self.clients.changed = false;
            self.take_events();
            self.give_up_at_rest();
            if !self.clients.changed {
                break;
            }
        }
        self.clients.changed = true;
        for entry in self.relays.values_mut().filter(|entry| entry.doubtful) {
            entry.doubtful = entry.relay.client.is_renewing();
        }
    }

    fn take_events(&mut self) {
        let mut last = None;
        // The table changes on the way: the next one is looked for by its key.
        loop {
            let next = self.relays.keys().find(|base| Some(**base) > last).copied();
            let Some(base) = next else { break };
            last = next;
            while self.out.takes_turn_events() {
                let Some(entry) = self.relays.get_mut(&base) else { break };
                let Some(event) = entry.relay.client.poll_event() else { break };
                self.on_relay(base, event);
            }
        }
    }

    fn on_relay(&mut self, base: BaseId, event: TurnEvent) {
        let Some(entry) = self.relays.get(&base) else { return };
        let (phase, key, replaced) = (entry.phase, entry.key, entry.replaced);
        match (phase, event) {
            (Phase::Allocating, TurnEvent::Allocated { relayed, mapped, .. }) => {
                self.allocated(base, relayed.into(), mapped.map(TransportAddress::from));
            }
            (Phase::Allocating, TurnEvent::AllocateFailed(error)) => self.not_allocated(base, key, error),
            (Phase::Allocating, TurnEvent::Redirected(to)) => self.redirected(base, to.into()),
            (Phase::Open, event @ TurnEvent::Lost(lost)) => {
                self.out.turn(base, event);
                self.retire(base);
                let forgotten = matches!(lost, LostReason::Mismatch | LostReason::Expired(_));
                let goes_on = replaced || (forgotten && self.ask_anew(key));
                if let Some(job) = self.relay_jobs.get_mut(&key).filter(|_| !goes_on) {
                    job.progress = Progress::Ended;
                }
                self.release(base);
            }
            (_, TurnEvent::Released) => {
                if self.stage == Stage::Closed {
                    self.out.turn(base, event);
                }
                self.forget_relay(base);
            }
            (Phase::Open, TurnEvent::CredentialsWanted) => self.refused(base, key),
            (Phase::Open, event) => self.out.turn(base, event),
            (Phase::Allocating | Phase::Releasing, _) => {}
        }
    }

    /// A new generation begins with the allocations there are. RFC 8445 §5.1.1.4: until ICE has concluded again Refresh
    /// requests keep their candidates, and the mappings on the way to the servers. Each is tried at once: what made somebody
    /// restart may have taken them away.
    pub(crate) fn keep_relays(&mut self) {
        for job in self.relay_jobs.values_mut() {
            (job.renewed, job.late) = (false, false);
        }
        let locals = &self.locals;
        let is_left =
            |key: JobKey| locals.iter().any(|local| local.id == key.local && local.purpose == Use::Left);
        for entry in self.relays.values_mut().filter(|entry| entry.phase == Phase::Open) {
            entry.relay.client.keep(self.now, self.config.refresh);
            entry.doubtful = !(is_left(entry.key) || entry.replaced);
        }
        self.clients.touch();
    }

    /// RFC 8656 §5: the server does not know the allocation, or its time is over. Between two generations a NAT may have
    /// forgotten its mapping, or the host have slept: until ICE has concluded the relay is asked for once more in each
    /// generation, on another socket. RFC 8838 §13: after the end of candidates it is not told, and the peer learns of it by
    /// checks.
    fn ask_anew(&mut self, key: JobKey) -> bool {
        let is_wanted = matches!(self.stage, Stage::Gathering { .. } | Stage::Complete);
        let Some(server) =
            self.servers.get(key.server).filter(|_| is_wanted && self.may_be_gathered(key.local))
        else {
            return false;
        };
        let Some(job) = self.relay_jobs.get_mut(&key).filter(|job| !job.renewed) else { return false };
        let targets = Targets::new(self.now, server.reachable(job.local));
        **job = RelayJob { renewed: true, ..RelayJob::new(self.now, job.local, targets) };
        self.jobs.touch();
        true
    }

    fn allocated(&mut self, base: BaseId, relayed: TransportAddress, mapped: Option<TransportAddress>) {
        let Some(entry) = self.relays.get(&base) else { return };
        let (key, server) = (entry.key, entry.relay.server);
        let Some(local) = self.relay_jobs.get(&key).filter(|job| !job.is_done()).map(|job| job.local) else {
            // Another address of the server was faster.
            return self.release(base);
        };
        // RFC 8445 §5.1.1.2: a relayed candidate that is a host candidate as well is none.
        if !is_plausible(relayed, local, self.config.loopback) || self.table.is_host(relayed) {
            self.release(base);
            return self.relay_failed(key, server, ServerError::BadRelayedAddress(relayed));
        }
        let now = self.now;
        if let Some(times) = self.times_mut(key.server) {
            times.relayed.get_or_insert(now);
        }
        // RFC 8839 §5.1: the related address is the mapped one; hidden where only relays may be seen (P40).
        let seen = mapped.filter(|mapped| self.config.policy == Policy::All && mapped.is_unicast());
        let mut found = Found {
            stream: key.stream,
            component: key.component,
            kind: CandidateType::Relayed,
            address: relayed,
            base,
            base_ip: relayed.ip(),
            local,
            server: Some(server),
            source: source_of(key.server, false),
            related: Some(seen.unwrap_or(relayed.concealed())),
        };
        self.number_anew(&mut found);
        let added = self.add_candidate(&found);
        let Some(job) = self.relay_jobs.get_mut(&key) else { return };
        self.jobs.touch();
        if added == Added::New {
            job.progress = Progress::Allocated;
            if let Some(entry) = self.relays.get_mut(&base) {
                entry.phase = Phase::Open;
            }
        } else {
            job.progress = Progress::Ended;
            self.release(base);
        }
        self.end_attempts(key, Some(base));
    }

    /// The attempts of a job at addresses of its server are not needed, but for the one that was granted.
    pub(crate) fn end_attempts(&mut self, key: JobKey, winner: Option<BaseId>) {
        let others: Vec<_> = self
            .relays
            .iter()
            .filter(|(base, entry)| {
                Some(**base) != winner && entry.key == key && entry.phase == Phase::Allocating
            })
            .map(|(base, _)| *base)
            .collect();
        for base in others {
            self.release(base);
        }
        let asked: Vec<_> = self
            .asked
            .iter()
            .filter(|(_, ask)| matches!(ask, Ask::Relay { key: asked, .. } if *asked == key))
            .map(|(id, _)| *id)
            .collect();
        for id in asked {
            self.asked.remove(&id);
            self.out.withdraw(id);
        }
    }

    fn not_allocated(&mut self, base: BaseId, key: JobKey, error: AllocateError) {
        let Some(entry) = self.relays.get(&base) else { return };
        let (server, ports) = (entry.relay.server, entry.ports);
        // RFC 8656 §7.3: an allocation that cannot be used is deleted first, where there is one.
        self.release(base);
        let waiting = self.relay_jobs.get(&key).filter(|job| !job.is_done()).map(|job| job.local);
        match waiting {
            Some(local) if error.retry() == Retry::NewPort && ports < MAX_NEW_PORTS => {
                self.ask_relay_socket(key, local, server, ports.saturating_add(1));
                self.jobs.touch();
            }
            _ => {
                self.let_rest(key, server, error, ports);
                self.not_succeeded(key, error);
                self.relay_failed(key, server, ServerError::Allocate(error));
            }
        }
    }

    /// RFC 8489 §10: another server of the same family and transport. It comes before all others, since its
    /// request is made at once; circles are the client's to notice.
    fn redirected(&mut self, base: BaseId, to: TransportAddress) {
        let Some((key, from)) = self.relays.get(&base).map(|entry| (entry.key, entry.relay.server)) else {
            return;
        };
        let Some(local) = self.relay_jobs.get(&key).map(|job| job.local) else { return };
        // As of the server that redirects: a link-local one is on the link of the local address.
        let to = to.with_scope(local.scope());
        // T26: an odd address is not talked to.
        let usable = is_plausible(to, local, self.config.loopback) && can_reach(local, to);
        if let Some(error) = self.rest_of(key.server, to) {
            self.release(base);
            return self.relay_failed(key, to, ServerError::Allocate(error));
        }
        let Some(entry) = self.relays.get_mut(&base) else { return };
        if usable && entry.relay.client.follow(self.now).is_ok() {
            entry.relay.server = to;
            if let Some(job) = self.relay_jobs.get_mut(&key) {
                job.targets.wait(self.now.after(NEXT_ADDRESS_AFTER));
            }
            self.jobs.touch();
        } else {
            self.release(base);
            self.relay_failed(key, from, ServerError::BadRedirect(to));
        }
    }

    /// Gives an allocation, or what may become one, back to its server; its socket closes when that is done.
    pub(crate) fn release(&mut self, base: BaseId) {
        let Some(entry) = self.relays.get_mut(&base).filter(|entry| entry.phase != Phase::Releasing) else {
            return;
        };
        entry.phase = Phase::Releasing;
        entry.relay.client.close(self.now);
        self.clients.touch();
        self.jobs.touch();
    }

    /// Allocations that can be used.
    pub(crate) fn open_relays(&self) -> Vec<BaseId> {
        self.bases_in(Phase::Open)
    }

    /// Allocations that can be used and were asked for from an address.
    pub(crate) fn open_relays_of(&self, local: LocalId) -> impl Iterator<Item = BaseId> {
        let of_it = move |entry: &RelayEntry| entry.phase == Phase::Open && entry.key.local == local;
        self.relays.iter().filter(move |(_, entry)| of_it(entry)).map(|(base, _)| *base)
    }

    fn bases_in(&self, phase: Phase) -> Vec<BaseId> {
        self.relays.iter().filter(|(_, entry)| entry.phase == phase).map(|(base, _)| *base).collect()
    }

    /// Nothing is left at the server: the socket closes.
    fn forget_relay(&mut self, base: BaseId) {
        if let Some(entry) = self.relays.remove(&base) {
            self.places.remove(&entry.place);
            self.free(entry.place.socket);
            self.jobs.touch();
        }
    }
}
