//! Which servers are asked from where: as many at a time as there is room for, and all addresses in turn (RFC 8445 §5.1.1.2).

use alloc::{boxed::Box, vec::Vec};

use floe_pair::{StreamId, TransportAddress};
use floe_stun::Instant;

use crate::{
    config::Limits,
    error::ServerError,
    event::Limit,
    gatherer::{Gatherer, Stage},
    host::{Host, HostKey, JobKey},
    locals::{LocalId, Use},
    map::SortedMap,
    reflexive::ReflexiveJob,
    relay::RelayJob,
    restart::STALE_AFTER,
    server::{Addresses, Server, Targets},
};

/// How many times a limit the jobs of one generation may be in all, those that have ended among them: with the default limits
/// RTP and RTCP from as many addresses as there may be (64) can ask one server for allocations, or sixteen for mappings.
const MAX_FILLS: usize = 8;

/// Where limits hold jobs back, and which jobs are not wanted any more.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Apart, so that the many agents whom no limit holds back stay small.
    held: Option<Box<Held>>,
    /// No allocation is asked for there any more in this generation.
    given_back: SortedMap<HostKey, ()>,
}

/// What limits hold back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Sockets for host candidates.
    pub(crate) hosts_wait: bool,
    reflexive: Turn,
    relays: Turn,
    /// Until then sockets that were asked for, and are not there yet, have the places of their Binding jobs kept.
    sockets: Option<Instant>,
}

/// What one limit holds back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turn {
    holds_back: bool,
    /// Whose turn is next, once there is room or a new generation begins; kept while there is nowhere to ask from, as until
    /// the interfaces are listed.
    next: Option<JobKey>,
}

impl Turns {
    /// Whether no allocation is asked for there any more in this generation.
    pub(crate) fn is_given_back(&self, host: HostKey) -> bool {
        self.given_back.contains_key(&host)
    }

    /// Whether no limit holds anything back.
    pub(crate) const fn holds_nothing(&self) -> bool {
        self.held.is_none()
    }

    fn held(&self) -> Held {
        self.held.as_deref().copied().unwrap_or_default()
    }

    pub(crate) fn hold(&mut self, change: impl FnOnce(&mut Held)) {
        let before = self.held();
        let mut held = before;
        change(&mut held);
        if held != before {
            self.held = (held != Held::default()).then(|| Box::new(held));
        }
    }
}

/// A server that can be asked from an address.
struct Askable {
    /// How many others can be that come before it.
    round: usize,
    server: usize,
    local: LocalId,
    address: TransportAddress,
}

/// How many more jobs may begin, where so many go on and so many there are in all.
fn room(limit: usize, live: usize, all: usize) -> usize {
    limit.saturating_sub(live).min(limit.saturating_mul(MAX_FILLS).saturating_sub(all))
}

/// When there will be room for one more, where those that go on without an answer are silent from these instants on.
fn room_at(limit: usize, live: usize, all: usize, silent: impl Iterator<Item = Instant>) -> Option<Instant> {
    if limit.saturating_mul(MAX_FILLS) <= all {
        return None;
    }
    let mut silent: Vec<_> = silent.collect();
    silent.sort_unstable();
    silent.get(live.saturating_sub(limit)).copied()
}

impl Gatherer {
    /// The limits in force.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits.of(self.components.len())
    }

    /// The servers that can be asked from each address: the first one of every address, then the second ones.
    fn askable(&self, takes: impl Fn(&Server) -> bool) -> Vec<Askable> {
        let mut askable = Vec::new();
        for local in self.locals.iter().filter(|local| local.purpose == Use::Gathered) {
            let servers = self.config.servers.iter().zip(&self.servers).enumerate();
            let servers =
                servers.filter(|(_, (server, state))| takes(server) && state.can_be_asked(local.address));
            askable.extend(servers.enumerate().map(|(round, (server, _))| {
                let (local, address) = (local.id, local.address);
                Askable { round, server, local, address }
            }));
        }
        askable.sort_by_key(|one| one.round);
        askable
    }

    /// RFC 8445 §5.1.1.2: each address of this host with each server that can be asked from it, for each component. The
    /// first server of every address comes before the second of any, so that no address goes without for the sake of
    /// another one; nor does a component, as far as the limit goes: where there are more of them, those that have any have
    /// all addresses. Those from `first` on come first.
    fn pairings(
        &self,
        askable: &[Askable],
        limit: usize,
        first: Option<JobKey>,
    ) -> impl Iterator<Item = (JobKey, TransportAddress)> {
        let components = self.components.len();
        let by_component = limit < components;
        let all = move || {
            askable.chunk_by(|one, next| one.round == next.round).flat_map(move |round| {
                let (outer, inner) =
                    if by_component { (components, round.len()) } else { (round.len(), components) };
                (0..outer).flat_map(move |outer| {
                    (0..inner).filter_map(move |inner| {
                        let (component, place) = if by_component { (outer, inner) } else { (inner, outer) };
                        let &(stream, component) = self.components.key_at(component)?;
                        let &Askable { server, local, address, .. } = round.get(place)?;
                        Some((JobKey { server, local, stream, component }, address))
                    })
                })
            })
        };
        // An address or a component may have gone: at least those servers come later that had their turn.
        let place = first.and_then(|first| {
            let of_server = || all().position(|(key, _)| key.server == first.server);
            all().position(|(key, _)| key == first).or_else(of_server)
        });
        let place = place.unwrap_or_default();
        all().skip(place).chain(all().take(place))
    }

    /// One Binding job for each server and host candidate that can reach it. A host whose socket is not there yet has its
    /// place kept, for some time.
    pub(crate) fn fill_reflexive(&mut self) {
        let (now, limit) = (self.now, self.limits().reflexive);
        let room = room(limit, self.live_reflexive(), self.own_reflexive().count());
        let host = |key: JobKey| match self.hosts.get(&key.host())? {
            Host::Failed => None,
            Host::Asked(since) if since.after(STALE_AFTER) <= now => None,
            host => Some(*host),
        };
        let (askable, next) = (self.askable(|_| true), self.turns.held().reflexive.next);
        let mut wanted: Vec<_> = self
            .pairings(&askable, limit, next)
            .filter(|(key, _)| !self.reflexive.contains_key(key))
            .filter_map(|(key, _)| Some((key, host(key)?)))
            .take(room.saturating_add(1))
            .collect();
        let held_back = wanted.get(room).map(|(key, _)| *key);
        wanted.truncate(room);
        let mut sockets = None;
        for (key, host) in wanted {
            let (base, place, address) = match host {
                Host::Bound { base, place, address } => (base, place, address),
                Host::Asked(since) => {
                    let until = since.after(STALE_AFTER);
                    sockets = Some(sockets.map_or(until, |known: Instant| known.min(until)));
                    continue;
                }
                Host::Failed => continue,
            };
            let Some(state) = self.servers.get(key.server) else { continue };
            let targets = Targets::new(now, state.reachable(address));
            let job = ReflexiveJob::new(base, place, address, targets);
            self.reflexive.insert(key, Box::new(job));
        }
        self.turns.hold(|held| {
            (held.reflexive.holds_back, held.sockets) = (held_back.is_some(), sockets);
            if sockets.is_none() {
                held.reflexive.next = held_back.or(next.filter(|_| askable.is_empty()));
            }
        });
        if sockets.is_none() && held_back.is_some() {
            self.out.limit(Limit::Reflexive);
        }
        self.note_reached();
    }

    /// One allocation for each TURN server and address that can reach it, for each component. It does not wait
    /// for a host candidate: its socket is another.
    pub(crate) fn fill_relays(&mut self) {
        let limit = self.limits().relays;
        let room = room(limit, self.wanted_relays(), self.own_relays().count());
        let is_open = |key| !self.relay_jobs.contains_key(&key) && !self.turns.is_given_back(key.host());
        let askable = self.askable(|server| server.url.is_turn());
        let next = self.turns.held().relays.next;
        let mut wanted: Vec<_> = self
            .pairings(&askable, limit, next)
            .filter(|(key, _)| is_open(*key))
            .take(room.saturating_add(1))
            .collect();
        let held_back = wanted.get(room).map(|(key, _)| *key);
        wanted.truncate(room);
        self.turns.hold(|held| {
            let next = held_back.or(next.filter(|_| askable.is_empty()));
            held.relays = Turn { holds_back: held_back.is_some(), next };
        });
        if held_back.is_some() {
            self.out.limit(Limit::Relays);
        }
        for (key, local) in wanted {
            let Some(state) = self.servers.get(key.server) else { continue };
            let targets = Targets::new(self.now, state.reachable(local));
            self.relay_jobs.insert(key, Box::new(RelayJob::new(self.now, local, targets)));
        }
        self.note_reached();
    }

    /// The Binding jobs of addresses that are gathered from.
    fn own_reflexive(&self) -> impl Iterator<Item = &ReflexiveJob> {
        let own = self.reflexive.iter().filter(|(key, _)| self.is_gathered(key.local));
        own.map(|(_, job)| &**job)
    }

    /// How many of them count: what has had no answer for long most likely gets none, and nobody waits behind it.
    fn live_reflexive(&self) -> usize {
        self.own_reflexive().filter(|job| !job.has_ended() && !job.is_silent(self.now)).count()
    }

    /// The allocation jobs of addresses that are gathered from.
    fn own_relays(&self) -> impl Iterator<Item = (JobKey, &RelayJob)> {
        let own = self.relay_jobs.iter().filter(|(key, _)| self.is_gathered(key.local));
        own.map(|(key, job)| (*key, &**job))
    }

    /// How many allocations there are, or are being asked for, from addresses that are gathered from. Those that have had no
    /// answer for long do not count.
    pub(crate) fn wanted_relays(&self) -> usize {
        let own = self.own_relays().filter(|(_, job)| job.wants_allocation());
        own.filter(|(key, job)| !job.is_silent(self.now, || self.waits_for_slot(*key))).count()
    }

    /// When something makes room for what is held back, if nothing is heard until then.
    pub(crate) fn next_room(&self) -> Option<Instant> {
        let Held { reflexive, relays, sockets, .. } = self.turns.held();
        if !(reflexive.holds_back || relays.holds_back) || !self.may_refill() || self.table.is_full() {
            return None;
        }
        let is_ahead = |at: &Instant| self.now < *at;
        let limits = self.limits();
        let of_reflexive = || {
            let silent = self.own_reflexive().filter_map(ReflexiveJob::silent_from).filter(is_ahead);
            let (live, all) = (self.live_reflexive(), self.own_reflexive().count());
            let room = room_at(limits.reflexive, live, all, silent);
            sockets.filter(is_ahead).into_iter().chain(room).min()
        };
        let of_relays = || {
            let silent =
                self.own_relays().filter_map(|(key, job)| job.silent_from(|| self.waits_for_slot(key)));
            let (live, all) = (self.wanted_relays(), self.own_relays().count());
            room_at(limits.relays, live, all, silent.filter(is_ahead))
        };
        let of_reflexive = reflexive.holds_back.then(of_reflexive).flatten();
        let of_relays = relays.holds_back.then(of_relays).flatten();
        of_reflexive.into_iter().chain(of_relays).min()
    }

    /// Servers that are asked from an address of this generation.
    fn note_reached(&mut self) {
        let is_gathered =
            |id| self.locals.iter().any(|local| local.id == id && local.purpose == Use::Gathered);
        for key in self.reflexive.keys().chain(self.relay_jobs.keys()).filter(|key| is_gathered(key.local)) {
            self.servers.get_mut(key.server).into_iter().for_each(|state| state.reached = true);
        }
    }

    fn may_refill(&self) -> bool {
        matches!(self.stage, Stage::Gathering { .. } | Stage::Complete)
    }

    /// Begins what limits have held back, as far as other jobs have ended or are silent.
    pub(crate) fn refill(&mut self) {
        if self.turns.holds_nothing() || !self.may_refill() {
            return;
        }
        if self.turns.held().hosts_wait {
            self.ask_hosts();
        }
        // What would be found could not be told.
        while !self.table.is_full() {
            let begun = |this: &Self| this.reflexive.len().saturating_add(this.relay_jobs.len());
            let before = begun(self);
            if self.turns.held().reflexive.holds_back {
                self.fill_reflexive();
            }
            if self.turns.held().relays.holds_back {
                self.fill_relays();
            }
            if begun(self) == before {
                return;
            }
            // Some may end at once: their server rests.
            self.probe_next();
            self.allocate_next();
        }
    }

    /// RFC 8445 §8.3.1: allocations of a data stream are given back because there are pairs, not because they were of no use. No
    /// other ones are asked for in their place, from the addresses there are: another network may need one.
    pub(crate) fn leave_relays_of(&mut self, stream: StreamId) {
        if self.config.servers.is_empty() {
            return;
        }
        for component in self.components.keys().filter(|(of, _)| *of == stream) {
            for local in self.locals.iter() {
                let key = HostKey { local: local.id, stream, component: component.1 };
                self.turns.given_back.insert(key, ());
            }
        }
    }

    /// What is held back for hosts that are gone is not wanted either way.
    pub(crate) fn forget_given_back(&mut self, gone: impl Fn(HostKey) -> bool) {
        self.turns.given_back.retain(|key, ()| !gone(*key));
    }

    /// Why a server whose addresses are known was not asked from anywhere so far; `None` if it was, or there is nowhere yet.
    pub(crate) fn why_not_asked(&self, server: usize) -> Option<ServerError> {
        let state = self.servers.get(server)?;
        let mut locals = self.locals.iter().filter(|local| local.purpose == Use::Gathered).peekable();
        if state.reached || locals.peek().is_none() || !matches!(state.addresses, Addresses::Known(_)) {
            return None;
        }
        let is_turn = self.config.servers.get(server).is_some_and(|server| server.url.is_turn());
        let relays_left = self.turns.held().relays.holds_back || !self.turns.given_back.is_empty();
        let limit = if is_turn && relays_left {
            Some(Limit::Relays)
        } else {
            self.turns.held().reflexive.holds_back.then_some(Limit::Reflexive)
        };
        let could_be = locals.any(|local| state.can_be_asked(local.address));
        Some(limit.filter(|_| could_be).map_or(ServerError::NoUsableAddress, ServerError::BeyondLimit))
    }
}
