//! TURN servers that have no room are left alone for a time, and those that do not have the family for good (RFC 8656 §7.3,
//! §7.4).

use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{BaseId, TransportAddress};
use floe_stun::Instant;
use floe_turn::{AllocateError, RequestError};

use crate::{
    gatherer::Gatherer,
    host::JobKey,
    relay::RelayJob,
    server::{Addresses, ServerState, Targets},
};

/// RFC 8656 §7.4: new local ports to try after 437.
pub(crate) const MAX_NEW_PORTS: u8 = 3;
/// RFC 8656 §7.4: how long a server is left alone after that.
const REST_AFTER_PORTS: Duration = Duration::from_secs(120);
/// RFC 8656 §14.8: ADDRESS-FAMILY not supported.
const FAMILY_NOT_SUPPORTED: u16 = 440;
/// RFC 8656 §7.3, §7.4: never again, where nobody says that the server has changed.
const FOR_GOOD: Instant = Instant::from_nanos(u64::MAX);
/// RFC 8656 §7.4: how long a server is left alone that has no room for the user (486) or for anybody (508).
const REST_AFTER_REFUSAL: Duration = Duration::from_secs(60);
/// Servers remembered to which a configured one has redirected and that have no room: those of a cluster that are asked for
/// the components of one session.
const MAX_ELSEWHERE: usize = 8;
/// How often an allocation that was lost is asked for after a rest: the server counts the lost one for 10 minutes, its lifetime
/// where none is asked for (RFC 8656 §3.2).
pub(crate) const MAX_RESTS: u8 = 10;

/// A TURN server is asked for no allocation for a time, from wherever.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) until: Instant,
    /// What it said.
    pub(crate) error: AllocateError,
    /// It was reported in this gathering.
    pub(crate) said: bool,
}

impl ServerState {
    /// Why it is asked for no allocation now at an address of this family, which is that of what would be relayed.
    pub(crate) fn resting(&mut self, address: TransportAddress, now: Instant) -> Option<&mut Rest> {
        let family = self.families.get_mut(family(address)).and_then(Option::as_mut);
        self.rest.as_mut().filter(|rest| now < rest.until).or(family)
    }

    /// All that it was said to rest for.
    pub(crate) fn rests_mut(&mut self) -> impl Iterator<Item = &mut Rest> {
        self.rest.iter_mut().chain(self.families.iter_mut().flatten())
    }

    /// When the first of what rests of it may be asked again.
    pub(crate) fn rests_until(&self, now: Instant) -> Option<Instant> {
        let elsewhere = self.elsewhere.iter().map(|(_, rest)| rest.until);
        self.rest.iter().map(|rest| rest.until).chain(elsewhere).filter(|until| now < *until).min()
    }

    /// Whether this is one of its addresses, and not one it has redirected to.
    fn is_own(&self, address: TransportAddress) -> bool {
        let Addresses::Known(known) = &self.addresses else { return false };
        known.iter().any(|own| own.with_scope(address.scope()) == address)
    }

    /// Why this address, of its own or one it has redirected to, is asked for no allocation now.
    fn rest_at(&self, address: TransportAddress, now: Instant) -> Option<&Rest> {
        let goes_on = |rest: &&Rest| now < rest.until;
        if !self.is_own(address) {
            let elsewhere = self.elsewhere.iter().find(|(known, _)| *known == address);
            return elsewhere.map(|(_, rest)| rest).filter(goes_on);
        }
        let family = self.families.get(family(address)).and_then(Option::as_ref);
        self.rest.as_ref().filter(goes_on).or(family)
    }
}

/// Place of a family among those of a [`ServerState`].
fn family(address: TransportAddress) -> usize {
    usize::from(!address.is_ipv4())
}

impl Gatherer {
    /// RFC 8656 §7.4: a server without room, or that knows the 5-tuple from whichever port, is not asked again for a time, not
    /// at another of its addresses either. One that another has redirected to rests alone: the next time that one may
    /// redirect elsewhere.
    pub(crate) fn let_rest(&mut self, key: JobKey, at: TransportAddress, error: AllocateError, ports: u8) {
        let rest = match error {
            AllocateError::QuotaReached | AllocateError::InsufficientCapacity => REST_AFTER_REFUSAL,
            AllocateError::Mismatch if ports >= MAX_NEW_PORTS => REST_AFTER_PORTS,
            AllocateError::Request(RequestError::Refused { code: FAMILY_NOT_SUPPORTED }) => {
                return self.leave_family(key, at, error);
            }
            AllocateError::UnusableAddress(told) if told.is_ipv4() != at.is_ipv4() => {
                return self.leave_family(key, at, error);
            }
            _ => return,
        };
        let now = self.now;
        let rest = Rest { until: now.after(rest), error, said: true };
        let Some(state) = self.servers.get_mut(key.server) else { return };
        if state.is_own(at) {
            state.rest = Some(rest);
            for (_, job) in self.relay_jobs.iter_mut().filter(|(of, _)| of.server == key.server) {
                job.targets.clear();
            }
        } else {
            state.elsewhere.retain(|(known, rest)| *known != at && now < rest.until);
            if state.elsewhere.len() >= MAX_ELSEWHERE {
                state.elsewhere.remove(0);
            }
            state.elsewhere.push((at, rest));
        }
        self.clients.touch();
    }

    /// RFC 8656 §7.3, §7.4: a server that has no addresses of the family asked for, or grants those of another one, is asked
    /// for none of them any more. One that another has redirected to is asked again where that one redirects there again.
    fn leave_family(&mut self, key: JobKey, at: TransportAddress, error: AllocateError) {
        let Some(state) = self.servers.get_mut(key.server).filter(|state| state.is_own(at)) else { return };
        let Some(family) = state.families.get_mut(family(at)) else { return };
        *family = Some(Rest { until: FOR_GOOD, error, said: true });
        let alike = |of: &JobKey, job: &RelayJob| of.server == key.server && job.local.same_family(at);
        for (_, job) in self.relay_jobs.iter_mut().filter(|(of, job)| alike(of, job)) {
            job.targets.clear();
        }
        self.clients.touch();
    }

    /// Why this address of a server is asked for no allocation now.
    pub(crate) fn rest_of(&self, server: usize, at: TransportAddress) -> Option<AllocateError> {
        let rest = self.servers.get(server)?.rest_at(at, self.now);
        rest.map(|rest| rest.error)
    }

    /// Ends attempts whose next request would be for a server that rests, however they came to that: by a challenge, a pause, a
    /// socket that came late, another port. It was said by then that the server has no room.
    pub(crate) fn give_up_at_rest(&mut self) {
        let waiting = self.relays.iter().filter(|(_, entry)| {
            entry.waits_to_allocate() && self.rest_of(entry.key.server, entry.relay.server).is_some()
        });
        let waiting: Vec<(BaseId, JobKey)> = waiting.map(|(base, entry)| (*base, entry.key)).collect();
        for (base, key) in waiting {
            self.release(base);
            self.try_next(key);
        }
    }

    /// The next address of a job's server is tried at once.
    pub(crate) fn try_next(&mut self, key: JobKey) {
        if let Some(job) = self.relay_jobs.get_mut(&key) {
            job.targets.hurry(self.now);
        }
        self.jobs.touch();
    }

    /// Asks again for allocations that were lost, and for which their servers had no room until now.
    pub(crate) fn wake_relays(&mut self) {
        let now = self.now;
        let due =
            self.relay_jobs.iter().filter(|(_, job)| job.rests_until().is_some_and(|until| until <= now));
        for key in due.map(|(key, _)| *key).collect::<Vec<_>>() {
            let wanted = self.may_be_gathered(key.local) && !self.turns.is_given_back(key.host());
            if wanted && !self.is_gathered(key.local) {
                // The list of interfaces that is to come decides whether it begins anew.
                self.relay_jobs.remove(&key);
                continue;
            }
            let room = self.wanted_relays() < self.limits().relays;
            let (Some(state), Some(job)) = (self.servers.get(key.server), self.relay_jobs.get_mut(&key))
            else {
                continue;
            };
            if !wanted {
                job.end();
            } else if room {
                job.resume(now, Targets::new(now, state.reachable(job.local)));
            } else {
                job.rest(now.after(REST_AFTER_REFUSAL));
            }
        }
    }

    /// A generation begins: what waits for its server to have room is looked at, and said, once more.
    pub(crate) fn resume_relays(&mut self) {
        let now = self.now;
        for (key, job) in self.relay_jobs.iter_mut().filter(|(_, job)| job.rests_until().is_some()) {
            if let Some(state) = self.servers.get(key.server) {
                job.begin_again(now, Targets::new(now, state.reachable(job.local)));
            }
        }
    }
}
