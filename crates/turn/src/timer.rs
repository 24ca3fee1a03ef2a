//! What happens because time passes, and the end of an allocation.

use floe_stun::{Instant, Random};

use crate::client::{Client, Phase, RELEASE_PATIENCE};
use crate::error::{ChannelError, LostReason, PermissionError, RequestError};
use crate::event::Event;
use crate::request::{Asking, Attempts, Job};

impl Client {
    /// Does what is due at `now`: retransmissions, renewals, ends. Called early it does nothing.
    pub fn handle_timeout(&mut self, now: Instant, rng: &mut Random) {
        self.tick(now);
        if self.deadline.is_none_or(|deadline| self.clock < deadline) {
            return;
        }
        self.run_transactions(rng);
        if let Phase::Allocating(Asking::Paused(until, attempts)) = self.phase
            && until <= self.clock
        {
            self.phase = Phase::Allocating(Asking::Waiting(attempts));
        }
        self.run_expiries();
        self.run_release(rng);
        self.run_renewals(rng);
        self.update_deadline();
    }

    /// Retransmissions, transactions that have run out of time, and second requests beside unanswered ones.
    fn run_transactions(&mut self, rng: &mut Random) {
        self.requests.handle_timeout(self.clock);
        while let Some(request) = self.requests.take_timed_out() {
            // RFC 8489 §9.2.5: what to say if answers came and none of them was authentic.
            let error =
                if request.violated { RequestError::IntegrityViolated } else { RequestError::TimedOut };
            self.fail(request, error, None);
        }
        while let Some((job, attempts, group)) = self.requests.take_lonely(self.clock) {
            self.start((job, attempts, group), rng);
        }
    }

    fn run_release(&mut self, rng: &mut Random) {
        let Phase::Releasing { until, ask_at } = self.phase else { return };
        if until <= self.clock {
            self.end();
        } else if ask_at.is_some_and(|at| at <= self.clock) {
            self.phase = Phase::Releasing { until, ask_at: None };
            self.requests.remove(|job| matches!(job, Job::Release));
            let group = self.requests.new_group();
            self.start((Job::Release, Attempts::NEW, group), rng);
        }
    }

    /// Allocation, permissions and channels that were not renewed in time.
    fn run_expiries(&mut self) {
        let Phase::Open(allocation) = &self.phase else { return };
        if !allocation.lease.is_live(self.clock) {
            self.lose(LostReason::Expired(allocation.last_error));
            return;
        }
        while let Some(peer) = self.channels.expire(self.clock) {
            self.push_event(Event::ChannelRefused(peer, ChannelError::Expired));
        }
        while let Some(peer) = self.permissions.expire(self.clock) {
            self.push_event(Event::PermissionRefused(peer, PermissionError::Expired));
        }
    }

    /// Requests that need no slot: renewals, and new channels.
    fn run_renewals(&mut self, rng: &mut Random) {
        let Phase::Open(allocation) = &mut self.phase else { return };
        if allocation.lease.is_due(self.clock) {
            allocation.lease.begin();
            let group = self.requests.new_group();
            if !self.start((Job::Refresh, Attempts::NEW, group), rng) {
                self.renewal_failed(RequestError::TimedOut);
            }
        }
        self.channels.assign(self.clock, rng);
        while let Some((peer, number, attempts, renewal)) = self.channels.take_due(self.clock) {
            let group = self.requests.new_group();
            if !self.start((Job::Bind { peer, number, renewal }, attempts, group), rng) {
                self.bind_failed(peer, number, RequestError::TimedOut);
            }
        }
        loop {
            let peers = self.permissions.take_due(self.clock);
            if peers.is_empty() {
                break;
            }
            let group = self.requests.new_group();
            let job = Job::Permit { peers: peers.clone(), renewal: true };
            if !self.start((job, Attempts::NEW, group), rng) {
                self.permit_failed(&peers, RequestError::TimedOut);
            }
        }
    }

    /// The allocation is gone. RFC 8656 §5: so are its permissions and channels.
    pub(crate) fn lose(&mut self, reason: LostReason) {
        self.push_event(Event::Lost(reason));
        match reason {
            LostReason::Mismatch => self.end(),
            // The server may hold it still: it renewed it, say, and the answer was lost.
            _ => self.release(),
        }
    }

    /// Begins to delete the allocation at the server.
    pub(crate) fn release(&mut self) {
        self.drop_tables();
        self.requests.clear();
        let until = self.clock.after(RELEASE_PATIENCE);
        self.phase = Phase::Releasing { until, ask_at: Some(self.clock) };
    }

    /// Gives up an allocation that is being made. The server may have granted it already, or do so yet: its
    /// answer is waited for. The request is not sent again.
    pub(crate) fn abandon(&mut self) {
        self.drop_tables();
        self.requests.retain_silently(|job| matches!(job, Job::Allocate));
        let until = self.clock.after(RELEASE_PATIENCE);
        // Without credentials yet, the answer will most likely be that they are needed.
        let ask_at = self.challenge.is_some().then_some(self.clock);
        self.phase = Phase::Releasing { until, ask_at };
    }

    /// Nothing is left at the server.
    pub(crate) fn end(&mut self) {
        self.drop_tables();
        self.requests.clear();
        self.phase = Phase::Idle;
        if self.closed {
            self.challenge = None;
            self.push_event(Event::Released);
        } else if self.allocate_next {
            self.begin();
        }
    }

    fn drop_tables(&mut self) {
        self.permissions.clear();
        self.channels.clear();
    }

    /// Finds the next instant at which something is due. Called after everything that can move it.
    pub(crate) fn update_deadline(&mut self) {
        let phase = match &self.phase {
            Phase::Allocating(Asking::Paused(until, _)) => Some(*until),
            Phase::Idle | Phase::Redirected(_) | Phase::Allocating(_) => None,
            Phase::Releasing { until, ask_at } => Some(ask_at.map_or(*until, |at| at.min(*until))),
            Phase::Open(allocation) => {
                let tables = [self.permissions.deadline(), self.channels.deadline(self.clock)];
                tables.into_iter().flatten().chain([allocation.lease.deadline(true)]).min()
            }
        };
        self.deadline = [phase, self.requests.deadline()].into_iter().flatten().min();
    }
}
