//! The end of gathering, and of what was gathered and is not used (RFC 8445 §8.3, RFC 8838 §13).

use alloc::vec::Vec;
use core::net::IpAddr;

use floe_pair::{BaseId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::{
    error::ServerError,
    event::Event,
    gatherer::{Gatherer, Stage},
    host::{Ask, JobKey},
    map::SortedMap,
    relay::{Phase, Relay},
    server::Addresses,
};

impl Gatherer {
    /// ICE has its pairs: no server is asked any more, and gathering is complete; of addresses that come later
    /// there are host candidates only. What is being asked ends,
    /// allocations in the making are given back, server-reflexive candidates are no longer kept alive (RFC 8445
    /// §8.3.1). Allocations that stand are kept alive until [`Self::release_unused`] or [`Self::close`].
    ///
    /// A component that is added by [`Self::start`] later is gathered for as ever, and kept alive until ICE has concluded
    /// again.
    pub fn conclude(&mut self, now: Instant) {
        self.advance(now);
        if matches!(self.stage, Stage::Idle | Stage::Concluded | Stage::Closed) {
            return;
        }
        self.stop_refreshing();
        for job in self.reflexive.values_mut() {
            job.end();
        }
        self.transactions = SortedMap::new();
        // What takes the place of an allocation is asked for as long as that may be in use.
        let succeeding = self.succeeding();
        let goes = |key: &JobKey| !succeeding.contains(key);
        for (_, job) in self.relay_jobs.iter_mut().filter(|(key, _)| goes(key)) {
            if !job.is_done() || job.rests_until().is_some() {
                job.end();
            }
        }
        let allocating =
            self.relays.iter().filter(|(_, entry)| entry.phase == Phase::Allocating && goes(&entry.key));
        for base in allocating.map(|(base, _)| *base).collect::<Vec<_>>() {
            self.release(base);
        }
        for (id, ask) in core::mem::take(&mut self.asked) {
            if matches!(ask, Ask::Relay { key, .. } if !goes(&key)) {
                self.asked.insert(id, ask);
                continue;
            }
            self.out.withdraw(id);
            match ask {
                Ask::Host(key) => {
                    self.hosts.remove(&key);
                }
                Ask::Resolve { server } => {
                    if let Some(state) = self.servers.get_mut(server) {
                        state.addresses = Addresses::Wanted;
                    }
                }
                Ask::Relay { .. } => {}
            }
        }
        if matches!(self.stage, Stage::Gathering { .. }) {
            self.out.complete();
        }
        self.stage = Stage::Concluded;
        self.jobs.touch();
        self.settle();
    }

    /// Server-reflexive candidates and mappings of allocations are no longer kept alive: RFC 8445 §8.3.1 frees them by that
    /// and nothing else.
    pub fn stop_refreshing(&mut self) {
        self.refreshing = false;
        // Those that go on are in use: consent or keepalives pass through them.
        for entry in self.relays.values_mut() {
            entry.relay.client.stop_keeping();
        }
        for job in self.reflexive.values_mut().filter(|job| job.is_done()) {
            job.end();
        }
        let jobs = &self.reflexive;
        self.transactions.retain(|_, key| jobs.get(key).is_some_and(|job| !job.is_done()));
        self.jobs.touch();
    }

    /// RFC 8445 §8.3.1: candidates that no session uses may be freed. Gives each allocation back that is not to be
    /// kept; its candidate goes, [`Event::BaseGone`] says so, and its socket closes when the server has it back. For
    /// its data stream no other one is asked for from the addresses there are, until [`Self::restart`].
    pub fn release_unused(&mut self, now: Instant, keep: impl Fn(&Relay) -> bool) {
        self.advance(now);
        for base in self.open_relays() {
            let Some(entry) = self.relays.get(&base).filter(|entry| !keep(&entry.relay)) else { continue };
            let (stream, replaced) = (entry.relay.stream, entry.replaced);
            if let Some(job) = self.relay_jobs.get_mut(&entry.key).filter(|_| !replaced) {
                job.end();
            }
            self.retire(base);
            self.release(base);
            if !replaced {
                self.leave_relays_of(stream);
            }
        }
        self.settle();
    }

    /// Permissions and channels for peers that are not to be kept are no longer refreshed, on every allocation.
    pub fn forget_peers(&mut self, keep: impl Fn(StreamId, BaseId, IpAddr) -> bool) {
        for entry in self.relays.values_mut() {
            let (stream, base) = (entry.relay.stream, entry.relay.base);
            entry.relay.client.forget_others(|ip| keep(stream, base, ip));
        }
        self.clients.touch();
    }

    /// Channels to peers that are not to be kept are no longer refreshed, on every allocation; permissions are.
    pub fn forget_channels(&mut self, keep: impl Fn(BaseId, TransportAddress) -> bool) {
        for entry in self.relays.values_mut() {
            let base = entry.relay.base;
            entry.relay.client.unbind_other_channels(|peer| keep(base, peer.into()));
        }
        self.clients.touch();
    }

    /// What is due of the deadlines of gathering as a whole.
    pub(crate) fn run_deadlines(&mut self) {
        let Stage::Gathering { deadline, end } = &mut self.stage else { return };
        if *end <= self.now {
            self.gather_unlisted();
            self.complete();
        } else if deadline.take_if(|deadline| *deadline <= self.now).is_some() {
            self.gather_unlisted();
            self.report_unanswered();
            self.out.deadline_passed();
            self.jobs.touch();
            self.settle();
        }
    }

    /// Every job has ended: nothing more will come.
    pub(crate) fn finish(&mut self) {
        let resolving = self.servers.iter().any(|server| server.addresses.are_awaited());
        let done = matches!(self.stage, Stage::Gathering { .. })
            && self.interfaces_known
            && self.asked.is_empty()
            && !resolving
            && !self.reflexive.values().any(|job| job.is_awaited())
            && self.relay_jobs.values().all(|job| job.is_done())
            && !self.relays.values().any(|entry| entry.is_doubtful());
        if done {
            self.complete();
        }
    }

    fn complete(&mut self) {
        self.stage = Stage::Complete;
        self.report_unanswered();
        self.out.complete();
        self.jobs.touch();
    }

    /// Says of each server that gave nothing so far what it was that did not come.
    fn report_unanswered(&mut self) {
        let mut late = Vec::new();
        for index in 0..self.servers.len() {
            let not_asked = self.why_not_asked(index);
            let Some(server) = self.servers.get_mut(index) else { continue };
            // RFC 8445 §5.1.1.2 pairs each host candidate with each server; what was not asked has no pair.
            let error = if server.addresses.are_awaited() { Some(ServerError::NotInTime) } else { not_asked };
            if let Some(error) = error.filter(|_| !core::mem::replace(&mut server.late, true)) {
                late.push((index, None, None, error));
            }
        }
        for (key, job) in self.reflexive.iter_mut() {
            let local = Some(job.local().ip());
            late.extend(
                job.give_up_waiting()
                    .map(|address| (key.server, local, Some(address), ServerError::NotInTime)),
            );
        }
        for (key, job) in self.relay_jobs.iter_mut() {
            let entry = self.relays.values().find(|entry| entry.key == *key && !entry.replaced);
            if job.give_up_waiting(entry.is_some_and(|entry| entry.is_doubtful())) {
                let address = entry.map(|entry| entry.relay.server);
                late.push((key.server, Some(job.local.ip()), address, ServerError::NotInTime));
            }
        }
        for (server, local, address, error) in late {
            self.out.notice(Event::ServerFailed { server, local, address, error });
        }
    }
}
