//! One request and its retransmissions (RFC 8489 §6.2), without the message.
//!
//! ```text
//!            handle_timeout: next transmission due          Rc sent, Rm x RTO passed
//! Retransmitting ------------------------------> Retransmitting ------------> timed out
//!        | cancel_retransmission                                                 ^
//!        +--------------------------> Waiting -----------------------------------+
//! ```

#[cfg(test)]
mod tests;

use core::time::Duration;

use crate::{Instant, TransactionId};

/// When a request is sent again over UDP (RFC 8489 §6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Schedule {
    /// Wait after the first transmission; doubles after each further one.
    pub rto: Duration,
    /// Rc: how often the request is sent in all; 0 counts as 1.
    pub rc: u32,
    /// Rm: how many RTOs to wait after the last transmission.
    pub rm: u32,
}

impl Default for Schedule {
    /// RFC 8489 §6.2.1: RTO 500 ms, Rc 7, Rm 16, which is 39.5 s in all.
    fn default() -> Self {
        Self { rto: Duration::from_millis(500), rc: 7, rm: 16 }
    }
}

impl Schedule {
    /// Wait after the transmission of this number, counted from 1, in RTOs.
    fn wait_after(&self, transmission: u32) -> u32 {
        if transmission >= self.rc { self.rm } else { power_of_two(transmission.saturating_sub(1)) }
    }

    /// From the instant transmission `next` is (or would be) due until the failure, in RTOs.
    fn rest_from(&self, next: u32) -> u32 {
        // The waits 2^(next-1) + ... + 2^(rc-2) of RTO add up to 2^(rc-1) - 2^(next-1), then Rm.
        let doubling =
            power_of_two(self.rc.saturating_sub(1)).saturating_sub(power_of_two(next.saturating_sub(1)));
        doubling.saturating_add(self.rm)
    }
}

/// 2 to the power of `exponent`, at most 2^32 - 1.
const fn power_of_two(exponent: u32) -> u32 {
    match 1_u32.checked_shl(exponent) {
        Some(power) => power,
        None => u32::MAX,
    }
}

/// One request: when it is sent, sent again, and given up (RFC 8489 §6.2). It holds no message: the owner
/// encodes it anew for each transmission, byte for byte the same.
///
/// The first transmission is due from the beginning. After [`new`](Self::new) and after each
/// [`handle_timeout`](Self::handle_timeout) ask [`take_transmission`](Self::take_transmission) whether to
/// send.
///
/// ```
/// use core::time::Duration;
/// use floe_stun::{Instant, Schedule, Transaction, TransactionId};
///
/// let start = Instant::from_millis(1_000);
/// let mut transaction = Transaction::new(start, TransactionId([1; 12]), Schedule::default());
/// assert!(transaction.take_transmission());
/// let again = start.after(Duration::from_millis(500));
/// assert_eq!(transaction.poll_timeout(), Some(again));
/// transaction.handle_timeout(again);
/// assert!(transaction.take_transmission());
/// ```
#[derive(Clone, Debug)]
pub struct Transaction {
    id: TransactionId,
    schedule: Schedule,
    started: Instant,
    /// The latest instant seen.
    now: Instant,
    /// When the latest transmission became due.
    last_due: Instant,
    /// Transmissions that became due.
    scheduled: u32,
    /// Transmissions that were taken.
    sent: u32,
    due: bool,
    /// The next transmission or the failure; `None` once it has failed.
    deadline: Option<Instant>,
    cancelled: bool,
}

impl Transaction {
    /// RFC 8489 §6.2.2: a request over a reliable transport fails after this time, Ti.
    pub const TI: Duration = Duration::from_millis(39_500);

    /// A request over UDP. Its first transmission is due at once.
    #[must_use]
    pub fn new(now: Instant, id: TransactionId, schedule: Schedule) -> Self {
        let schedule = Schedule { rc: schedule.rc.max(1), ..schedule };
        Self {
            id,
            schedule,
            started: now,
            now,
            last_due: now,
            scheduled: 1,
            sent: 0,
            due: true,
            deadline: Some(now.after_each(schedule.rto, schedule.wait_after(1))),
            cancelled: false,
        }
    }

    /// RFC 8489 §6.2.2: a request over TCP or TLS is sent once and given up after `ti`.
    #[must_use]
    pub fn reliable(now: Instant, id: TransactionId, ti: Duration) -> Self {
        Self::new(now, id, Schedule { rto: ti, rc: 1, rm: 1 })
    }

    /// Its transaction id.
    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    /// When it began.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// How often the request was sent.
    #[must_use]
    pub const fn sent(&self) -> u32 {
        self.sent
    }

    /// When the latest transmission was due.
    #[must_use]
    pub const fn last_sent(&self) -> Instant {
        self.last_due
    }

    /// Makes the next transmission due, or gives up, if it is time. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let Some(deadline) = self.deadline else { return };
        if self.now < deadline {
            return;
        }
        if self.cancelled || self.scheduled >= self.schedule.rc {
            (self.deadline, self.due) = (None, false);
            return;
        }
        self.scheduled = self.scheduled.saturating_add(1);
        let wait = self.schedule.rto.saturating_mul(self.schedule.wait_after(self.scheduled));
        // A little late the schedule is kept; so late that the following transmission would be due too, it is
        // moved, so that a machine that slept does not send a burst.
        let base = if self.now.since(deadline) < wait { deadline } else { self.now };
        (self.due, self.last_due) = (true, self.now);
        self.deadline = Some(base.after(wait));
    }

    /// Whether the request is to be sent now; asking takes it. Transmissions that were not taken in time are
    /// not made up for.
    #[must_use]
    pub fn take_transmission(&mut self) -> bool {
        let due = core::mem::take(&mut self.due);
        self.sent = self.sent.saturating_add(u32::from(due));
        due
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None` once it has failed.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the time for an answer is over.
    #[must_use]
    pub const fn is_timed_out(&self) -> bool {
        self.deadline.is_none()
    }

    /// Sends no more, and still waits for an answer until the instant at which the transaction would have
    /// failed (RFC 8445 §7.3.1.4: its answer still counts).
    pub fn cancel_retransmission(&mut self) {
        if self.cancelled {
            return;
        }
        (self.cancelled, self.due) = (true, false);
        if self.scheduled < self.schedule.rc {
            let rest = self.schedule.rest_from(self.scheduled.saturating_add(1));
            self.deadline = self.deadline.map(|deadline| deadline.after_each(self.schedule.rto, rest));
        }
    }

    /// Whether it was cancelled: running out of time then says nothing about the path.
    #[must_use]
    pub const fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    /// Round-trip time if an answer arrived now. RFC 8489 §6.2.1 (Karn's rule): `None` if the request was
    /// sent more than once, since nobody knows which transmission was answered.
    #[must_use]
    pub fn rtt(&self, now: Instant) -> Option<Duration> {
        (self.sent == 1).then(|| now.since(self.started))
    }
}
