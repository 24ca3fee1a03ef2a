//! Gathering again for a new generation (RFC 8445 §9): what is alive is reused, what may be dead is asked for again.

use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{BaseId, ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::{
    config::Config,
    gatherer::{Gatherer, Stage},
    host::{Ask, Host, JobKey},
    request::RequestId,
    server::Addresses,
};

/// How long something is asked for, from the first request on, before a restart asks for it anew: by then requests leave 2 s
/// apart or more, and later less often. Before that they leave about as often as restarts come that would begin them again.
/// Nor does it take a place of a limit any more: what waits behind it is begun early enough to be told before the end of
/// candidates.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(2);

/// Longer than a resolver takes to give up, with several servers and repetitions.
const RESOLVER_GIVES_UP: Duration = Duration::from_secs(40);

impl Gatherer {
    /// A new generation begins. Sockets and allocations stay with their candidates. Mappings that were not kept alive
    /// any more are asked for again, and their candidates come again once the servers have answered; what has been
    /// asked for longer than 2 s without an answer, and allocations that were lost or never granted, are asked for
    /// again too, on sockets of their own, and so are names that could not be resolved, or cannot be from now on, and sockets
    /// that could not be opened; sockets asked for 2 s ago, and names 40 s ago, are asked for again where nobody has answered; a TURN server that has no room is left alone for its minute (RFC 8656 §7.4). What is left of addresses
    /// that the rules skip by now is for the generations before ([`Self::release_left`]). Mappings and allocations
    /// that stand are kept alive as before ICE had concluded, and renewed at once: an allocation that its server has
    /// forgotten is asked for anew. [`Event::Complete`] comes again, after their answers and the interfaces.
    ///
    /// With [`Config::relisted`] none of the candidates known so far is one of the new generation yet: the next
    /// [`Self::handle_interfaces`] says which are, and each of those comes as an [`Event::Candidate`] again, while nothing
    /// is begun for the others. Where no list comes, [`Config::deadline`] has those known count. Without it,
    /// [`Self::candidates`] has those of the new generation at once. Without effect before [`Gatherer::start`].
    ///
    /// [`Event::Candidate`]: crate::Event::Candidate
    /// [`Event::Complete`]: crate::Event::Complete
    pub fn restart(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if matches!(self.stage, Stage::Idle | Stage::Closed) {
            return;
        }
        // RFC 8445 §9: what is gathered is what there is now. RFC 8838 §13: the end is told when nothing more will come.
        self.interfaces_known &= !self.config.relisted;
        self.renew_locals();
        let kept: Vec<(BaseId, TransportAddress)> =
            self.reflexive.values().filter_map(|job| job.kept()).collect();
        self.drop_stale();
        self.drop_unanswered();
        let asked: Vec<BaseId> = self.bases.keys().copied().collect();
        for base in asked {
            self.table.remove_mappings(base, |address| !kept.contains(&(base, address)));
        }
        self.resume_relays();
        self.relay_jobs.retain(|_, job| job.wants_allocation());
        self.hosts.retain(|_, host| !matches!(host, Host::Failed));
        self.forget_given_back(|_| true);
        self.begin();
        self.keep_relays();
        self.withhold_replaced();
        self.leave_all();
        for server in &mut self.servers {
            (server.late, server.reached) = (false, false);
            server.rests_mut().for_each(|rest| rest.said = false);
            match server.addresses {
                Addresses::Unresolved => server.addresses = Addresses::Wanted,
                Addresses::Asked(at) => server.addresses = Addresses::AskedBefore(at),
                _ => {}
            }
        }
        self.fill();
        self.settle();
    }

    /// The generation that [`Self::restart`] was told of last is taken back: what is withheld for it is a candidate of the
    /// one before again, which knows it; only what was found since is told. Addresses of before go on as they did, but for
    /// what those that the rules skip were still asked for.
    pub fn roll_back(&mut self, now: Instant) {
        self.advance(now);
        self.bring_locals_back();
        self.fill();
        self.settle();
    }

    /// Lets go of what is over, and of what is asked for and hardly asks any more: a request is sent less and less often
    /// (RFC 8489 §6.2.1), and a new generation has its candidates gathered anew (RFC 8445 §9).
    fn drop_stale(&mut self) {
        let now = self.now;
        self.reflexive.retain(|_, job| job.renew(now));
        let jobs = &mut self.reflexive;
        self.transactions.retain(|id, key| jobs.get_mut(key).is_some_and(|job| job.asks(*id)));
        let stale =
            self.relay_jobs.iter().filter(|(key, job)| job.is_silent(now, || self.waits_for_slot(**key)));
        for key in stale.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.end_attempts(key, None);
            self.relay_jobs.remove(&key);
        }
    }

    /// Lets go of what the driver was asked for and has not answered in the time that it takes at most. What it answers after
    /// all is declined.
    fn drop_unanswered(&mut self) {
        let now = self.now;
        let (hosts, servers) = (&self.hosts, &self.servers);
        let is_over = |ask: &Ask| match ask {
            Ask::Host(key) => {
                matches!(hosts.get(key), Some(Host::Asked(since)) if since.after(STALE_AFTER) <= now)
            }
            Ask::Resolve { server } => servers.get(*server).is_some_and(|state| match state.addresses {
                Addresses::Asked(since) | Addresses::AskedBefore(since) => {
                    since.after(RESOLVER_GIVES_UP) <= now
                }
                _ => false,
            }),
            // With the job that wants it.
            Ask::Relay { .. } => false,
        };
        let over = self.asked.iter().filter(|(_, ask)| is_over(ask)).map(|(id, _)| *id);
        for id in over.collect::<Vec<_>>() {
            self.out.withdraw(id);
            match self.asked.remove(&id) {
                Some(Ask::Host(key)) => {
                    self.hosts.remove(&key);
                }
                Some(Ask::Resolve { server }) => {
                    if let Some(state) = self.servers.get_mut(server) {
                        state.addresses = Addresses::Wanted;
                    }
                }
                Some(Ask::Relay { .. }) | None => {}
            }
        }
    }

    /// Whether an allocation that is asked for has its turn still to come.
    pub(crate) fn waits_for_slot(&self, key: JobKey) -> bool {
        self.relays.values().any(|entry| entry.key == key && !entry.replaced && entry.wants_slot())
    }

    /// Whether it was told to start.
    pub fn is_started(&self) -> bool {
        self.stage != Stage::Idle
    }

    /// How it gathers.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The component whose host candidate a request to bind is for, while it is not answered.
    pub fn host_asked(&self, id: RequestId) -> Option<(StreamId, ComponentId)> {
        match self.asked.get(&id)? {
            Ask::Host(key) => Some((key.stream, key.component)),
            Ask::Relay { .. } | Ask::Resolve { .. } => None,
        }
    }
}
