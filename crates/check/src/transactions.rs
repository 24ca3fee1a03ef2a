//! The table of open check transactions.

use alloc::vec::Vec;
use core::time::Duration;

use floe_pair::{BaseId, Priority, Role, TieBreaker, TransportAddress};
use floe_stun::{Instant, Schedule, Transaction, TransactionId};

use crate::marks::NEVER;
use crate::pairs::PairId;

/// One Binding request of a check. All that its bytes are made from is fixed when it begins, so that a retransmission
/// is the same bytes and a late 487 can be told from a new one.
#[derive(Debug)]
pub(crate) struct Check {
    pub transaction: Transaction,
    pub pair: PairId,
    pub base: BaseId,
    pub to: TransportAddress,
    pub role: Role,
    /// Which tenure of its role the agent was in: a 487 of an earlier one is late.
    pub tenure: u32,
    pub tiebreaker: TieBreaker,
    pub priority: Priority,
    pub use_candidate: bool,
    /// What NOMINATION says, where renomination is in use.
    pub value: Option<u32>,
    /// The address was heard from when it began: its retransmissions need not keep apart from each other.
    pub heard: bool,
    /// An answer with wrong integrity was dropped.
    pub violated: bool,
}

impl Check {
    /// Whether its retransmissions keep Ta from those of others: its address has not answered.
    pub(crate) fn is_kept_apart(&self) -> bool {
        !self.heard && !self.transaction.is_cancelled()
    }

    /// When it has to be looked at; the end of time if it was given up.
    fn due(&self) -> Instant {
        self.transaction.poll_timeout().unwrap_or(NEVER)
    }
}

/// One that has ended: what its answer, or its failure, is acted upon by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub pair: PairId,
    pub base: BaseId,
    pub to: TransportAddress,
    pub tenure: u32,
    pub priority: Priority,
    pub use_candidate: bool,
    pub value: Option<u32>,
    pub violated: bool,
    /// It was cancelled before.
    pub cancelled: bool,
    /// Round-trip time, if it was answered now.
    pub rtt: Option<Duration>,
}

/// RTO of a check is never more, nor ever less than [`MIN_RTO`].
pub(crate) const MAX_RTO: Duration = Duration::from_secs(1);
/// RFC 8445 §14.3: RTO of a check is never less.
pub(crate) const MIN_RTO: Duration = Duration::from_millis(500);

/// Transactions that get their memory at once: with one pair its check and its nomination, some of them made again; with many
/// as many as there are under way in a session where nothing is lost.
const FEW: usize = 4;
const MANY: usize = 16;

/// Schedule of a check (RFC 8489 §6.2.1): at most seven requests.
pub(crate) fn schedule(ta: Duration, active: usize) -> Schedule {
    // RFC 8445 §14.3: never below 500 ms, growing with the checks under way. The formula there grows with the square
    // of their number; other formulas are allowed, and at one second even a long list keeps its pace.
    let rto = ta.saturating_mul(u32::try_from(active).unwrap_or(u32::MAX)).clamp(MIN_RTO, MAX_RTO);
    Schedule { rto, ..Schedule::default() }
}

/// Open transactions in the order in which they began.
#[derive(Debug)]
pub(crate) struct Transactions {
    list: Vec<Check>,
    /// None of them has to be looked at before. What happens to one only puts that off.
    not_before: Instant,
}

impl Default for Transactions {
    fn default() -> Self {
        Self { list: Vec::new(), not_before: NEVER }
    }
}

impl Transactions {
    /// Looks for one that has just begun.
    pub(crate) fn get_recent(&self, id: TransactionId) -> Option<&Check> {
        self.list.iter().rfind(|check| check.transaction.id() == id)
    }

    pub(crate) fn get_mut(&mut self, id: TransactionId) -> Option<&mut Check> {
        self.list.iter_mut().find(|check| check.transaction.id() == id)
    }

    pub(crate) fn place_of(&self, id: TransactionId) -> Option<usize> {
        self.list.iter().position(|check| check.transaction.id() == id)
    }

    /// Takes out the one at a place that was found just now. What it leaves is copied before, since it is far less than all.
    pub(crate) fn take(&mut self, now: Instant, place: usize) -> Option<Ended> {
        let Check { transaction, pair, base, to, tenure, priority, use_candidate, value, violated, .. } =
            self.list.get(place)?;
        let ended = Ended {
            pair: *pair,
            base: *base,
            to: *to,
            tenure: *tenure,
            priority: *priority,
            use_candidate: *use_candidate,
            value: *value,
            violated: *violated,
            cancelled: transaction.is_cancelled(),
            rtt: transaction.rtt(now),
        };
        self.list.remove(place);
        Some(ended)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Check> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Check> {
        self.list.iter_mut()
    }

    /// When the first of them has to be looked at, or that `other` timer is due if it is sooner. Retransmissions that are to be
    /// kept apart are not due before `floor`.
    pub(crate) fn next_due(&mut self, floor: Instant, other: Instant) -> Instant {
        if other <= self.not_before {
            return other;
        }
        let (mut apart, mut others) = (NEVER, NEVER);
        for check in &self.list {
            let due = check.due();
            if check.is_kept_apart() {
                apart = apart.min(due);
            } else {
                others = others.min(due);
            }
        }
        self.not_before = others.min(apart);
        other.min(others).min(apart.max(floor))
    }

    /// Makes room for one more than there are, of at most `limit`; false if all are in use.
    pub(crate) fn make_room(&mut self, limit: usize) -> bool {
        if self.list.len() < limit {
            return true;
        }
        let oldest = self.list.iter().position(|check| check.transaction.is_cancelled());
        if let Some(index) = oldest {
            self.list.remove(index);
        }
        oldest.is_some()
    }

    pub(crate) fn has_room(&self, limit: usize) -> bool {
        self.list.len() < limit || self.list.iter().any(|check| check.transaction.is_cancelled())
    }

    /// Makes room for those of so many pairs, before the first of them.
    pub(crate) fn expect(&mut self, pairs: usize) {
        if self.list.capacity() == 0 {
            self.list.reserve_exact(pairs.clamp(FEW, MANY));
        }
    }

    pub(crate) fn push(&mut self, check: Check) {
        self.not_before = self.not_before.min(check.due());
        self.list.push(check);
    }

    /// RFC 8445 §7.3.1.4, §8.1.2: the pair's transactions are sent no more; their answers still count.
    pub(crate) fn cancel(&mut self, pair: PairId) {
        for check in self.list.iter_mut().filter(|check| check.pair == pair) {
            check.transaction.cancel_retransmission();
        }
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Check) -> bool) {
        self.list.retain(keep);
    }

    pub(crate) fn concerns(&self, pair: PairId) -> bool {
        self.list.iter().any(|check| check.pair == pair)
    }

    pub(crate) fn release_memory(&mut self) {
        self.list.shrink_to_fit();
    }
}
