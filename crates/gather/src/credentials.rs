//! Other credentials for a TURN server that is in use: those made for a time are outlived by long calls.

use alloc::vec::Vec;

use floe_pair::BaseId;
use floe_stun::Instant;
use floe_turn::{AllocateError, Credentials};

use crate::{
    event::Event,
    gatherer::{Gatherer, Stage},
    host::JobKey,
    relay::{Phase, RelayEntry, RelayJob},
    server::{Targets, asks_at},
};

/// Allocations of one job that others have taken the place of and that are not given back yet. Who has a new user name sooner
/// than that loses what the oldest one carries.
const MAX_REPLACED: usize = 4;

impl RelayEntry {
    /// Whether it can be used, and another one is to take its place.
    fn is_replaced(&self) -> bool {
        self.phase == Phase::Open && self.replaced
    }
}

impl Gatherer {
    /// Other credentials for a server, by its number among those of [`Config::servers`](crate::Config::servers); for all that
    /// it is asked for from now on. `false`, and nothing changes, where there is no such TURN server.
    ///
    /// What was allocated to the same user goes on with them. An allocation belongs to its user (RFC 8656 §5): where that is
    /// another one now, a further allocation is asked for beside each, on a socket of its own, and its candidate comes as any
    /// other. The old one is one of [`Self::replaced`] from here on, and is kept for as long as its server renews it, until
    /// [`Self::release_unused`], [`Self::release_left`] or the end; it is for no generation that begins later. What was being
    /// asked for, or was refused, is asked for again. Once ICE has concluded, that is for allocations that were kept alone.
    ///
    /// `until`: when they run out, if that is known.
    pub fn set_credentials(
        &mut self,
        now: Instant,
        server: usize,
        credentials: &Credentials,
        until: Option<Instant>,
    ) -> bool {
        self.advance(now);
        let known = self.config.servers.get_mut(server).filter(|server| server.url.is_turn());
        let Some(known) = known else { return false };
        let same_user = known.credentials.as_ref().map(Credentials::username) == Some(credentials.username());
        (known.credentials, known.until) = (Some(credentials.clone()), until);
        let of_it = |entry: &RelayEntry| entry.key.server == server && entry.phase != Phase::Releasing;
        let (mut again, mut attempts) = (Vec::new(), Vec::new());
        for entry in self.relays.values_mut().filter(|entry| of_it(entry)) {
            let goes_on = entry.relay.client.set_credentials(self.now, credentials);
            match entry.phase {
                Phase::Open if !goes_on && !entry.replaced => again.push((entry.key, true)),
                Phase::Allocating if !goes_on => attempts.push(entry.key),
                _ => {}
            }
        }
        if let Some(state) = self.servers.get_mut(server) {
            state.wanted_at = until.map(asks_at);
        }
        if !same_user && let Some(state) = self.servers.get_mut(server) {
            // RFC 8656 §7.4: the quota that was reached is that of one user.
            let is_of_user = |error: AllocateError| error == AllocateError::QuotaReached;
            state.rest.take_if(|rest| is_of_user(rest.error));
            state.elsewhere.retain(|(_, rest)| !is_of_user(rest.error));
        }
        let refused =
            self.relay_jobs.iter().filter(|(key, job)| key.server == server && !job.wants_allocation());
        again.extend(refused.map(|(key, _)| *key).chain(attempts).map(|key| (key, false)));
        for (key, succeeds) in again {
            self.ask_as(key, succeeds);
        }
        self.clients.touch();
        self.jobs.touch();
        self.settle();
        true
    }

    /// Asks for an allocation of a job anew. `succeeds`: it takes the place of one that is open.
    fn ask_as(&mut self, key: JobKey, succeeds: bool) {
        let is_wanted = match self.stage {
            Stage::Gathering { .. } | Stage::Complete => succeeds || !self.turns.is_given_back(key.host()),
            Stage::Concluded => succeeds,
            Stage::Idle | Stage::Closed => false,
        };
        let Some(server) =
            self.servers.get(key.server).filter(|_| is_wanted && self.may_be_gathered(key.local))
        else {
            return;
        };
        let Some(job) = self.relay_jobs.get_mut(&key) else { return };
        **job = RelayJob::new(self.now, job.local, Targets::new(self.now, server.reachable(job.local)));
        self.end_attempts(key, None);
        if succeeds {
            self.replace(key);
        }
        self.jobs.touch();
    }

    /// Another allocation is to take the place of the one that this job has.
    fn replace(&mut self, key: JobKey) {
        for entry in self.relays.values_mut().filter(|entry| entry.key == key && entry.phase == Phase::Open) {
            (entry.replaced, entry.doubtful) = (true, false);
        }
        let replaced: Vec<_> = self.replaced_of(key).collect();
        for base in replaced.iter().take(replaced.len().saturating_sub(MAX_REPLACED)) {
            self.give_replaced_back(*base);
        }
    }

    /// Allocations that can be used, and whose user has no credentials any more: they end when the server says so.
    pub fn replaced(&self) -> impl Iterator<Item = BaseId> {
        self.relays.iter().filter(|(_, entry)| entry.is_replaced()).map(|(base, _)| *base)
    }

    fn replaced_of(&self, key: JobKey) -> impl Iterator<Item = BaseId> {
        let of_it = move |entry: &RelayEntry| entry.is_replaced() && entry.key == key;
        self.relays.iter().filter(move |(_, entry)| of_it(entry)).map(|(base, _)| *base)
    }

    /// Jobs whose next allocation takes the place of one that may be in use.
    pub(crate) fn succeeding(&self) -> Vec<JobKey> {
        let replaced = self.relays.values().filter(|entry| entry.is_replaced());
        replaced.map(|entry| entry.key).collect()
    }

    /// Whether the candidate of the next allocation of a job has the second number of its server: it differs from the one whose
    /// place it takes.
    pub(crate) fn is_alternate(&self, key: JobKey) -> bool {
        let numbered = |alternate| {
            let of_it = |entry: &RelayEntry| entry.is_replaced() && entry.key == key;
            self.relays.values().any(|entry| of_it(entry) && entry.alternate == alternate)
        };
        numbered(false) && !numbered(true)
    }

    /// Whether a server has allocations, or is asked for some.
    fn serves(&self, server: usize) -> bool {
        self.relays.values().any(|entry| entry.key.server == server && entry.phase != Phase::Releasing)
    }

    /// When credentials are to be asked for next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let expiring = self.servers.iter().enumerate().filter(|(_, state)| state.wanted_at.is_some());
        expiring.filter(|(server, _)| self.serves(*server)).filter_map(|(_, state)| state.wanted_at).min()
    }

    /// Asks for credentials in place of those that are about to run out, once.
    pub(crate) fn ask_for_credentials(&mut self) {
        for server in 0..self.servers.len() {
            let serves = self.serves(server);
            let Some(state) = self.servers.get_mut(server).filter(|_| serves) else { continue };
            if state.wanted_at.take_if(|at| *at <= self.now).is_some() {
                self.out.notice(Event::CredentialsWanted { server });
            }
        }
    }

    /// The server that an allocation was asked of, by its number among those of [`Config::servers`](crate::Config::servers).
    pub fn server_of(&self, base: BaseId) -> Option<usize> {
        self.relays.get(&base).map(|entry| entry.key.server)
    }

    /// A generation begins: it has none of those that will end.
    pub(crate) fn withhold_replaced(&mut self) {
        for base in self.replaced().collect::<Vec<_>>() {
            self.table.withhold(base);
        }
    }

    pub(crate) fn release_replaced(&mut self, in_use: impl Fn(BaseId) -> bool) {
        for base in self.replaced().filter(|base| !in_use(*base)).collect::<Vec<_>>() {
            self.give_replaced_back(base);
        }
        self.settle();
    }

    fn give_replaced_back(&mut self, base: BaseId) {
        self.retire(base);
        self.release(base);
    }
}
