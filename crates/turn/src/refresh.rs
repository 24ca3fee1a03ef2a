//! When something the server keeps for us ends, and when it is to be renewed.
//!
//! Allocation, permissions and channel bindings are all leases: granted for a time, renewed by a request.

use core::time::Duration;

use floe_stun::Instant;
use floe_stun::attribute::ErrorCode;

use crate::error::RequestError;

/// Lifetimes under this are renewed at one half, others at two thirds: either way there is room for a whole
/// transaction of 39.5 s and, save for the shortest, for another one after it.
const SHORT: Duration = Duration::from_secs(300);
/// Least time from one renewal to the next, whatever lifetime a server grants (no refresh in a loop).
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after no answer, and first pause after one that a later request may not get again.
const PAUSE: Duration = Duration::from_secs(1);
/// First pause after a 401, doubled each time.
const SHORT_PAUSE: Duration = Duration::from_millis(250);
/// RFC 8489 §6.3.4: how often a request that met a server error is repeated before a rest.
pub(crate) const MAX_SERVER_ERRORS: u8 = 4;
/// The rest after that, and the first pause after a refusal that another try will hardly change.
const REST: Duration = Duration::from_secs(60);
/// How often [`REST`] is doubled at most: to 16 minutes.
const MAX_DOUBLINGS: u8 = 4;

/// One thing the server keeps for us until an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    until: Instant,
    /// When to ask for more time; `None` while such a request is in flight.
    renew_at: Option<Instant>,
    /// Requests for more time that have failed in a row.
    failures: u8,
}

impl Lease {
    /// Granted by the answer, here at `now`, to a request first sent at `started`. The server counts from when
    /// it got the request, so counting from `started` never ends later than the server does.
    pub(crate) fn granted(now: Instant, started: Instant, lifetime: Duration) -> Self {
        let wait = if lifetime < SHORT {
            lifetime.checked_div(2)
        } else {
            lifetime.saturating_mul(2).checked_div(3)
        };
        let renew_at = started.after(wait.unwrap_or(lifetime)).max(now.after(MIN_INTERVAL));
        Self { until: started.after(lifetime), renew_at: Some(renew_at), failures: 0 }
    }

    /// The same, renewed after this time if not sooner.
    pub(crate) fn kept(self, now: Instant, keep: Option<Duration>) -> Self {
        let soon = keep.map(|keep| now.after(keep.max(MIN_INTERVAL)));
        Self { renew_at: self.renew_at.map(|at| soon.map_or(at, |soon| at.min(soon))), ..self }
    }

    /// Renewed at once, unless that is under way.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.renew_at = self.renew_at.map(|at| at.min(now));
    }

    /// Whether it is being renewed, or is to be now.
    pub(crate) fn is_renewing(&self, now: Instant) -> bool {
        self.renew_at.is_none_or(|at| at <= now)
    }

    /// Takes the later of both: answers may overtake each other.
    pub(crate) fn extend(&mut self, other: Self) {
        if other.until >= self.until {
            *self = other;
        }
    }

    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    pub(crate) fn is_live(&self, now: Instant) -> bool {
        now < self.until
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|at| at <= now)
    }

    /// Whether the last request for more time failed for what the server said of itself, and a repetition is still worth
    /// more than asking in another way.
    pub(crate) fn is_repeated(&self, error: RequestError) -> bool {
        let passing = matches!(error, RequestError::Refused { code } if is_passing(code));
        passing && self.failures <= MAX_SERVER_ERRORS
    }

    pub(crate) fn begin(&mut self) {
        self.renew_at = None;
    }

    /// The request for more time failed; another one follows after a pause, if there is time left for it.
    pub(crate) fn fail(&mut self, now: Instant, error: RequestError) {
        let mut wait = pause(error, self.failures);
        if may_pass(error) {
            // The longer pauses are for those who have time. What is about to end is worth some more requests.
            let half_the_rest = self.until.since(now).checked_div(2).unwrap_or_default();
            wait = wait.min(half_the_rest.max(pause(error, 0)).max(PAUSE));
        }
        self.renew_at = Some(now.after(wait));
        self.failures = self.failures.saturating_add(1);
    }

    /// The request is to be made again at once, in another form.
    pub(crate) fn renew_at_once(&mut self, now: Instant) {
        self.renew_at = Some(now);
    }

    /// What made the last requests fail has changed: the next one need not wait.
    pub(crate) fn retry_at_once(&mut self, now: Instant) {
        if self.failures > 0 && self.renew_at.is_some() {
            (self.failures, self.renew_at) = (0, Some(now));
        }
    }

    /// The next instant at which something is due; `wanted` unless the lease is to run out.
    pub(crate) fn deadline(&self, wanted: bool) -> Instant {
        match self.renew_at {
            Some(at) if wanted => at.min(self.until),
            _ => self.until,
        }
    }
}

/// How long to wait after the n-th failure in a row.
pub(crate) fn pause(error: RequestError, failures: u8) -> Duration {
    let doubled = |pause: Duration, times: u8, most: u8| pause.saturating_mul(1 << times.min(most));
    match error {
        // It took 39.5 s to find out, and time is running.
        RequestError::TimedOut | RequestError::IntegrityViolated => PAUSE,
        // The allocation was granted to these credentials, so that this may be a server that says 401 for 438.
        // The nonce it gave along is used before it is old; if it is of no help, the credentials have run out.
        RequestError::Unauthenticated => doubled(SHORT_PAUSE, failures, 8),
        // RFC 8489 §6.3.4: a server error may pass, but is not to be met with a flood of requests.
        RequestError::Refused { code } if is_passing(code) => match failures.checked_sub(MAX_SERVER_ERRORS) {
            None => doubled(PAUSE, failures, MAX_SERVER_ERRORS),
            Some(more) => doubled(REST, more, MAX_DOUBLINGS),
        },
        // Each of these was four requests already.
        RequestError::StaleNonce => doubled(PAUSE.saturating_mul(4), failures, MAX_DOUBLINGS),
        // A refused peer is not asked for again and again.
        _ => doubled(REST, failures, MAX_DOUBLINGS),
    }
}

/// Whether this error code is one that the same request may not meet a little later.
pub(crate) const fn is_passing(code: u16) -> bool {
    matches!(code, 500..=599) && code != ErrorCode::INSUFFICIENT_CAPACITY
}

/// Whether this error code can be about one peer of those that a request names (RFC 8656 §10.2: 400, 403, 443). Others are
/// about the server, or about who asks.
pub(crate) const fn is_about_peer(code: u16) -> bool {
    matches!(code, 400..=499) && code != ErrorCode::WRONG_CREDENTIALS
}

/// Whether this error is one that the same request may not meet a little later.
fn may_pass(error: RequestError) -> bool {
    match error {
        RequestError::Refused { code } => is_passing(code),
        RequestError::TimedOut
        | RequestError::IntegrityViolated
        | RequestError::Unauthenticated
        | RequestError::StaleNonce => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const START: Instant = Instant::from_millis(1_000_000);

    #[test]
    fn p18_a_renewal_is_due_at_one_half_under_five_minutes_and_at_two_thirds_from_there() {
        for (lifetime, due) in [(2, 1), (60, 30), (299, 149), (300, 200), (600, 400), (3_600, 2_400)] {
            let lease = Lease::granted(START, START, Duration::from_secs(lifetime));
            let after = lease.deadline(true).since(START);
            assert_eq!(after.as_secs(), due, "{lifetime} s");
            assert_eq!(lease.deadline(false), START.after(Duration::from_secs(lifetime)));
        }
    }

    #[test]
    fn time_runs_from_the_first_transmission_of_the_request() {
        let now = START.after(Duration::from_secs(39));
        let lease = Lease::granted(now, START, Duration::from_secs(300));
        assert_eq!(lease.until(), START.after(Duration::from_secs(300)));
        assert_eq!(lease.deadline(true), START.after(Duration::from_secs(200)));
        let short = Lease::granted(now, START, Duration::from_secs(40));
        assert_eq!(short.deadline(true), now.after(Duration::from_secs(1)), "not at once");
    }

    #[test]
    fn t29_p24_pauses_grow_and_end_somewhere() {
        let table = [
            (RequestError::TimedOut, 1_000, 1_000),
            (RequestError::Unauthenticated, 250, 64_000),
            (RequestError::StaleNonce, 4_000, 64_000),
            (RequestError::Malformed, 60_000, 960_000),
            (RequestError::Refused { code: 403 }, 60_000, 960_000),
            (RequestError::Refused { code: 500 }, 1_000, 960_000),
            (RequestError::Refused { code: 508 }, 60_000, 960_000),
        ];
        for (error, first, longest) in table {
            let pauses: Vec<_> = (0..=u8::MAX).map(|failures| pause(error, failures).as_millis()).collect();
            assert!(pauses.is_sorted(), "{error:?}");
            assert_eq!((pauses.first(), pauses.last()), (Some(&first), Some(&longest)), "{error:?}");
        }
    }
}
