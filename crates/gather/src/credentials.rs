//! Other credentials for a TURN server that is in use: those made for a time are outlived by long calls.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use floe_pair::{BaseId, LocalPreferences};
use floe_stun::Instant;
use floe_turn::{AllocateError, Credentials, Event as TurnEvent, RequestError};

use crate::{
    candidates::Found,
    config::MAX_SERVERS,
    event::Event,
    gatherer::{Gatherer, Stage},
    host::JobKey,
    relay::{Phase, RelayEntry, RelayJob},
    server::{ServerState, Targets, asks_at},
};

/// Allocations of one job that others have taken the place of and that are not given back yet. Who has a new user name sooner
/// than that loses what the oldest one carries.
const MAX_REPLACED: usize = 4;

/// For how long credentials are not asked for again, if none come: renewals of all allocations are made within a third of their
/// time, and who was asked has to ask somebody.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl RelayEntry {
    /// Whether it can be used, and another one is to take its place.
    fn is_replaced(&self) -> bool {
        self.phase == Phase::Open && self.replaced
    }
}

impl ServerState {
    /// RFC 8656 §7.4: the quota that was reached is that of one user, and another one asks now.
    fn forget_quota(&mut self) {
        let is_of_user = |error: AllocateError| error == AllocateError::QuotaReached;
        self.rest.take_if(|rest| is_of_user(rest.error));
        self.elsewhere.retain(|(_, rest)| !is_of_user(rest.error));
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
    /// asked for, or was refused, is asked for again; once ICE has concluded, what takes the place of an allocation alone.
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
        if let Some(state) = self.servers.get_mut(server) {
            state.wanted_at = until.map(|until| asks_at(self.now, until));
            (state.asked_for, state.again_at) = (None, None);
            if !same_user {
                state.forget_quota();
            }
        }
        let (mut succeeded, mut attempted) = (Vec::new(), Vec::new());
        for entry in self.relays.values_mut().filter(|entry| entry.key.server == server) {
            let goes_on = entry.relay.client.set_credentials(self.now, credentials);
            match entry.phase {
                Phase::Open if !goes_on && !entry.replaced => succeeded.push(entry.key),
                Phase::Allocating if !goes_on => attempted.push(entry.key),
                _ => {}
            }
        }
        for key in succeeded {
            self.replace(key);
        }
        self.ask_refused(server, &attempted);
        self.clients.touch();
        self.jobs.touch();
        self.settle();
        true
    }

    /// Another allocation is to take the place of the one that this job has. From an address that is gathered from no more
    /// none is asked for.
    fn replace(&mut self, key: JobKey) {
        for entry in self.relays.values_mut().filter(|entry| entry.key == key && entry.phase == Phase::Open) {
            (entry.replaced, entry.doubtful) = (true, false);
        }
        let replaced: Vec<_> = self.replaced_of(key).collect();
        for base in replaced.iter().take(replaced.len().saturating_sub(MAX_REPLACED)) {
            self.give_replaced_back(*base);
        }
        if !self.ask_as(key) {
            // Once it is gathered from again, it is asked for.
            self.relay_jobs.remove(&key);
        }
    }

    /// What a server has refused, or was being asked, is asked for as another user. Where it takes the place of no allocation,
    /// limits and turns count as ever.
    fn ask_refused(&mut self, server: usize, attempted: &[JobKey]) {
        let now = self.now;
        let rests = self.servers.get(server).is_some_and(|state| state.rests_until(now).is_some());
        let waits = |job: &RelayJob| rests && job.rests_until().is_some();
        let jobs = self.relay_jobs.iter().filter(|(key, job)| key.server == server && !waits(job));
        let refused = jobs.filter(|(key, job)| !job.wants_allocation() || attempted.contains(key));
        for key in refused.map(|(key, _)| *key).collect::<Vec<_>>() {
            if self.replaced_of(key).next().is_some() {
                self.ask_as(key);
            } else if matches!(self.stage, Stage::Gathering { .. } | Stage::Complete) {
                self.end_attempts(key, None);
                self.relay_jobs.remove(&key);
            }
        }
        self.ask_succeeding();
        if matches!(self.stage, Stage::Gathering { .. } | Stage::Complete) {
            self.fill_relays();
        }
    }

    /// Asks for what takes the place of an allocation where that could not be done before: its address was not gathered from.
    pub(crate) fn ask_succeeding(&mut self) {
        let succeeding = self.succeeding().into_iter();
        for key in succeeding.filter(|key| !self.relay_jobs.contains_key(key)).collect::<Vec<_>>() {
            self.ask_as(key);
        }
    }

    /// Asks for the allocation of a job anew, in place of the one it has or has had; says whether it may.
    fn ask_as(&mut self, key: JobKey) -> bool {
        let is_open = !matches!(self.stage, Stage::Idle | Stage::Closed);
        let local = self.locals.iter().find(|local| local.id == key.local).map(|local| local.address);
        let Some(local) = local.filter(|_| is_open && self.may_be_gathered(key.local)) else { return false };
        let Some(server) = self.servers.get(key.server) else { return false };
        let job = RelayJob::succeeding(self.now, local, Targets::new(self.now, server.reachable(local)));
        self.relay_jobs.insert(key, Box::new(job));
        self.end_attempts(key, None);
        self.jobs.touch();
        true
    }

    /// A server does not take the credentials any more that it granted an allocation to. Of one that will end that is told
    /// as it is; others are wanted where none are there, or those that came are of no use either.
    pub(crate) fn refused(&mut self, base: BaseId, key: JobKey) {
        if self.relays.get(&base).is_some_and(|entry| entry.is_replaced()) {
            self.out.turn(base, TurnEvent::CredentialsWanted);
            if self.relay_jobs.iter().any(|(of, job)| of.server == key.server && job.wants_allocation()) {
                return;
            }
        }
        self.want_credentials(key.server);
    }

    /// The credentials that another user was to take over with are of no use.
    pub(crate) fn not_succeeded(&mut self, key: JobKey, error: AllocateError) {
        if error == AllocateError::Request(RequestError::Unauthenticated)
            && self.replaced_of(key).next().is_some()
        {
            self.want_credentials(key.server);
        }
    }

    /// Asks for other credentials. Allocations of one server find out one after the other: that is said once, and again after a
    /// while if none have come and they are wanted yet.
    fn want_credentials(&mut self, server: usize) {
        let Some(state) = self.servers.get_mut(server) else { return };
        match state.asked_for.map(|at| at.after(ASKED_AGAIN_AFTER)) {
            Some(again) if self.now < again => state.again_at = Some(again),
            _ => {
                (state.asked_for, state.again_at) = (Some(self.now), Some(self.now.after(ASKED_AGAIN_AFTER)));
                self.out.notice(Event::CredentialsWanted { server });
            }
        }
        self.jobs.touch();
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

    /// RFC 8445 §5.1.2: no two candidates of a component have one priority. Where the candidate of a new allocation would have
    /// that of the one whose place it takes, it is counted by a number that no server has.
    pub(crate) fn number_anew(&self, found: &mut Found) {
        let own = found.source;
        let spare = (MAX_SERVERS..LocalPreferences::MAX_SOURCES.into())
            .filter_map(|number| u8::try_from(number).ok());
        let free = core::iter::once(own)
            .chain(spare)
            .find(|source| !self.table.is_numbered(&Found { source: *source, ..*found }));
        found.source = free.unwrap_or(own);
    }

    /// Whether a server has allocations, or is asked for some.
    fn serves(&self, server: usize) -> bool {
        self.relays.values().any(|entry| entry.key.server == server && entry.phase != Phase::Releasing)
    }

    /// Whether a server has refused those that it granted an allocation to.
    fn refuses(&self, server: usize) -> bool {
        let refused =
            |entry: &RelayEntry| entry.phase == Phase::Open && entry.relay.client.wants_credentials();
        self.relays.values().any(|entry| entry.key.server == server && refused(entry))
    }

    /// When credentials are to be asked for next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let next = |server: usize, state: &ServerState| {
            let runs_out = state.wanted_at.filter(|_| self.serves(server));
            let again = state.again_at.filter(|_| self.refuses(server));
            runs_out.into_iter().chain(again).min()
        };
        self.servers.iter().enumerate().filter_map(|(server, state)| next(server, state)).min()
    }

    /// Asks for credentials in place of those that are about to run out, and again for those that have.
    pub(crate) fn ask_for_credentials(&mut self) {
        let now = self.now;
        for server in 0..self.servers.len() {
            let (serves, refuses) = (self.serves(server), self.refuses(server));
            let Some(state) = self.servers.get_mut(server) else { continue };
            let runs_out = serves && state.wanted_at.take_if(|at| *at <= now).is_some();
            let again = refuses && state.again_at.take_if(|at| *at <= now).is_some();
            if runs_out || again {
                self.want_credentials(server);
            }
        }
    }

    /// Gathering begins: of credentials that last a short time others are asked for when half of that is over.
    pub(crate) fn time_credentials(&mut self) {
        for (state, server) in self.servers.iter_mut().zip(&self.config.servers) {
            state.wanted_at = server.until.map(|until| asks_at(self.now, until));
        }
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
