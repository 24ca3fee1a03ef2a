//! Which servers are asked from where: as many at a time as there is room for, and all addresses in turn (RFC 8445 §5.1.1.2).

use alloc::{boxed::Box, vec::Vec};

use floe_pair::TransportAddress;

use crate::{
    config::Limits,
    error::ServerError,
    event::Limit,
    gatherer::{Gatherer, Stage},
    host::{Host, JobKey},
    locals::{LocalId, Use},
    reflexive::ReflexiveJob,
    relay::RelayJob,
    server::{Addresses, Server, Targets},
};

/// How many times a limit the jobs of one generation may be in all, those that have ended among them: with the default limits
/// RTP and RTCP from as many addresses as there may be (64) can ask one server for allocations, or sixteen for mappings.
const MAX_FILLS: usize = 8;

/// Where a limit holds jobs back: the address whose turn is next, once something has ended or a new generation begins.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Sockets for host candidates are held back too.
    pub(crate) hosts_wait: bool,
    reflexive: Option<LocalId>,
    relays: Option<LocalId>,
}

/// How many more jobs may begin, where so many go on and so many there are in all.
fn room(limit: usize, live: usize, all: usize) -> usize {
    limit.saturating_sub(live).min(limit.saturating_mul(MAX_FILLS).saturating_sub(all))
}

impl Gatherer {
    /// The limits in force.
    pub(crate) fn limits(&self) -> Limits {
        self.config.limits.of(self.components.len())
    }

    /// RFC 8445 §5.1.1.2: each address of this host with each server that can be asked from it, for each component. The
    /// first server of every address comes before the second of any, so that no address goes without for the sake of
    /// another one. Those from `first` on come first.
    fn pairings(
        &self,
        first: Option<LocalId>,
        takes: impl Fn(&Server) -> bool + Copy,
    ) -> impl Iterator<Item = (JobKey, TransportAddress)> {
        let place = self.locals.iter().position(|local| Some(local.id) == first).unwrap_or_default();
        let (before, after) = self.locals.split_at_checked(place).unwrap_or_default();
        let locals = after.iter().chain(before).filter(|local| local.purpose == Use::Gathered);
        (0..self.servers.len()).flat_map(move |round| {
            locals.clone().flat_map(move |local| {
                let servers = self.config.servers.iter().zip(&self.servers).enumerate();
                let mut askable = servers
                    .filter(move |(_, (server, state))| takes(server) && state.can_be_asked(local.address));
                let server = askable.nth(round).map(|(server, _)| server);
                let keys = move |server| {
                    let local = local.id;
                    let keys = self.components.keys();
                    keys.map(move |&(stream, component)| JobKey { server, local, stream, component })
                };
                server.into_iter().flat_map(keys).map(move |key| (key, local.address))
            })
        })
    }

    /// One Binding job for each server and host candidate that can reach it. A host whose socket is not there yet has its
    /// place kept.
    pub(crate) fn fill_reflexive(&mut self) {
        let own = self.reflexive.iter().filter(|(key, _)| self.is_gathered(key.local));
        let live = own.clone().filter(|(_, job)| !job.has_ended()).count();
        let room = room(self.limits().reflexive, live, own.count());
        let host = |key: JobKey| self.hosts.get(&key.host()).copied();
        let wanted: Vec<_> = self
            .pairings(self.turns.reflexive, |_| true)
            .filter(|(key, _)| {
                matches!(host(*key), Some(Host::Asked | Host::Bound { .. }))
                    && !self.reflexive.contains_key(key)
            })
            .take(room.saturating_add(1))
            .map(|(key, _)| (key, host(key)))
            .collect();
        let held_back = wanted.get(room).map(|(key, _)| key.local);
        let mut expecting = false;
        for (key, host) in wanted.into_iter().take(room) {
            let Some(Host::Bound { base, place, address }) = host else {
                expecting = true;
                continue;
            };
            let Some(state) = self.servers.get(key.server) else { continue };
            let targets = Targets::new(self.now, state.reachable(address));
            let job = ReflexiveJob::new(base, place, address, targets);
            self.reflexive.insert(key, Box::new(job));
        }
        if !expecting {
            self.turns.reflexive = held_back;
            if held_back.is_some() {
                self.out.limit(Limit::Reflexive);
            }
        }
        self.note_reached();
    }

    /// One allocation for each TURN server and address that can reach it, for each component. It does not wait
    /// for a host candidate: its socket is another.
    pub(crate) fn fill_relays(&mut self) {
        let all = self.relay_jobs.keys().filter(|key| self.is_gathered(key.local)).count();
        let room = room(self.limits().relays, self.wanted_relays(), all);
        let wanted: Vec<_> = self
            .pairings(self.turns.relays, |server| server.url.is_turn())
            .filter(|(key, _)| !self.relay_jobs.contains_key(key))
            .take(room.saturating_add(1))
            .collect();
        self.turns.relays = wanted.get(room).map(|(key, _)| key.local);
        if self.turns.relays.is_some() {
            self.out.limit(Limit::Relays);
        }
        for (key, local) in wanted.into_iter().take(room) {
            let Some(state) = self.servers.get(key.server) else { continue };
            let targets = Targets::new(self.now, state.reachable(local));
            self.relay_jobs.insert(key, Box::new(RelayJob::new(self.now, local, targets)));
        }
        self.note_reached();
    }

    /// How many allocations there are, or are being asked for, from addresses that are gathered from.
    pub(crate) fn wanted_relays(&self) -> usize {
        let own = self.relay_jobs.iter().filter(|(key, _)| self.is_gathered(key.local));
        own.filter(|(_, job)| job.wants_allocation()).count()
    }

    /// Servers that are asked from an address of this generation.
    fn note_reached(&mut self) {
        let is_gathered =
            |id| self.locals.iter().any(|local| local.id == id && local.purpose == Use::Gathered);
        for key in self.reflexive.keys().chain(self.relay_jobs.keys()).filter(|key| is_gathered(key.local)) {
            self.servers.get_mut(key.server).into_iter().for_each(|state| state.reached = true);
        }
    }

    /// Begins what limits have held back, as far as other jobs have ended.
    pub(crate) fn refill(&mut self) {
        if !matches!(self.stage, Stage::Gathering { .. } | Stage::Complete) {
            return;
        }
        if self.turns.hosts_wait {
            self.ask_hosts();
        }
        // What would be found could not be told.
        while !self.table.is_full() {
            let begun = |this: &Self| this.reflexive.len().saturating_add(this.relay_jobs.len());
            let before = begun(self);
            if self.turns.reflexive.is_some() {
                self.fill_reflexive();
            }
            if self.turns.relays.is_some() {
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

    /// RFC 8445 §8.3.1: allocations are given back because there are pairs, not because they were of no use. No other ones
    /// are asked for in their place.
    pub(crate) fn leave_relays_held_back(&mut self) {
        self.turns.relays = None;
    }

    /// Why a server whose addresses are known was not asked from anywhere so far; `None` if it was, or there is nowhere yet.
    pub(crate) fn why_not_asked(&self, server: usize) -> Option<ServerError> {
        let state = self.servers.get(server)?;
        let mut locals = self.locals.iter().filter(|local| local.purpose == Use::Gathered).peekable();
        if state.reached || locals.peek().is_none() || !matches!(state.addresses, Addresses::Known(_)) {
            return None;
        }
        let is_turn = self.config.servers.get(server).is_some_and(|server| server.url.is_turn());
        let limit = match (self.turns.relays, self.turns.reflexive) {
            (Some(_), _) if is_turn => Some(Limit::Relays),
            (_, Some(_)) => Some(Limit::Reflexive),
            _ => None,
        };
        let could_be = locals.any(|local| state.can_be_asked(local.address));
        Some(limit.filter(|_| could_be).map_or(ServerError::NoUsableAddress, ServerError::BeyondLimit))
    }
}
