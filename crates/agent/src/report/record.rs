//! Pairs in a report.

use alloc::vec::Vec;
use core::time::Duration;

use floe_check::{Failure, PairId, PairReport, PairState};
use floe_pair::{CandidateType, ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use super::{Count, MOST_CODES, count};

/// Pairs by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PairSummary {
    /// Frozen pairs.
    pub frozen: u32,
    /// Waiting ones.
    pub waiting: u32,
    /// Those with a check under way.
    pub in_progress: u32,
    /// Those whose check has succeeded.
    pub succeeded: u32,
    /// Failed ones.
    pub failed: u32,
    /// Why pairs have failed, at most [`MOST_CODES`](super::MOST_CODES) kinds.
    pub failures: Vec<Count<Failure>>,
}

/// One pair of a full report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[allow(clippy::struct_excessive_bools, reason = "independent facts of one pair, for people to read")]
#[non_exhaustive]
pub struct PairRecord {
    /// Its name: pairs of one agent are numbered by age.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::show::serialize_pair_id"))]
    pub id: PairId,
    /// Its data stream.
    pub stream: StreamId,
    /// Its component.
    pub component: ComponentId,
    /// Type of the local candidate.
    pub local_type: CandidateType,
    /// Address of the local candidate; `None` where it is hidden.
    pub local: Option<TransportAddress>,
    /// Type of the remote candidate.
    pub remote_type: CandidateType,
    /// Address of the remote candidate.
    pub remote: TransportAddress,
    /// Its state, when it was last seen.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::show::serialize_shown"))]
    pub state: PairState,
    /// Whether it is in the valid list.
    pub valid: bool,
    /// Whether it was nominated.
    pub nominated: bool,
    /// Whether it is the selected pair of its component.
    pub selected: bool,
    /// Whether it has left its checklist because another pair of the component was nominated (RFC 8445 §8.1.2).
    pub superseded: bool,
    /// Why it failed, if it did.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::show::serialize_option_shown"))]
    pub failure: Option<Failure>,
    /// Requests sent, retransmissions and consent included.
    pub requests_sent: u32,
    /// Authenticated answers received.
    pub responses_received: u32,
    /// Authenticated requests received.
    pub requests_received: u32,
    /// When things happened; `None` where it is hidden.
    pub timing: Option<PairTiming>,
    /// The last ICMP error that a relay reported for the remote address; not authenticated, a hint.
    pub icmp: Option<Icmp>,
}

/// When things happened to a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PairTiming {
    /// When its first check was sent.
    pub first_check: Option<Instant>,
    /// When it became valid.
    pub valid_since: Option<Instant>,
    /// Round-trip time, if it could be measured.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::show::serialize_rtt"))]
    pub rtt: Option<Duration>,
}

/// An ICMP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Icmp {
    /// ICMP type, in the numbering of the family of the remote address.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
}

impl PairSummary {
    /// All pairs.
    pub const fn total(&self) -> u32 {
        self.frozen
            .saturating_add(self.waiting)
            .saturating_add(self.in_progress)
            .saturating_add(self.succeeded)
            .saturating_add(self.failed)
    }

    /// How many pairs have failed for this reason.
    pub fn failed_by(&self, matches: impl Fn(Failure) -> bool) -> u32 {
        self.failures
            .iter()
            .filter(|count| matches(count.what))
            .fold(0, |sum, count| sum.saturating_add(count.times))
    }

    pub(crate) fn add(&mut self, state: PairState, failure: Option<Failure>) {
        let by_state = match state {
            PairState::Frozen => &mut self.frozen,
            PairState::Waiting => &mut self.waiting,
            PairState::InProgress => &mut self.in_progress,
            PairState::Succeeded => &mut self.succeeded,
            PairState::Failed => &mut self.failed,
        };
        *by_state = by_state.saturating_add(1);
        if let Some(failure) = failure {
            count(&mut self.failures, failure, 1, MOST_CODES);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.frozen, other.frozen),
            (&mut self.waiting, other.waiting),
            (&mut self.in_progress, other.in_progress),
            (&mut self.succeeded, other.succeeded),
            (&mut self.failed, other.failed),
        ] {
            *sum = sum.saturating_add(part);
        }
        for failure in &other.failures {
            count(&mut self.failures, failure.what, failure.times, MOST_CODES);
        }
    }

    /// Makes pairs that somebody without the password has answered look like those that nobody has.
    pub(crate) fn hide_strangers(&mut self) {
        let strangers = self.failed_by(|failure| failure == Failure::IntegrityViolated);
        if strangers > 0 {
            self.failures.retain(|count| count.what != Failure::IntegrityViolated);
            count(&mut self.failures, Failure::TimedOut, strangers, MOST_CODES);
        }
    }
}

impl PairRecord {
    pub(crate) fn new(pair: &PairReport, icmp: Option<Icmp>) -> Self {
        Self {
            id: pair.id,
            stream: pair.stream,
            component: pair.component,
            local_type: pair.local.kind,
            local: Some(pair.local.address),
            remote_type: pair.remote.kind,
            remote: pair.remote.address,
            state: pair.state,
            valid: pair.valid,
            nominated: pair.nominated,
            selected: pair.selected,
            superseded: !pair.listed,
            failure: pair.failure,
            requests_sent: pair.requests_sent,
            responses_received: pair.responses_received,
            requests_received: pair.requests_received,
            timing: Some(PairTiming {
                first_check: pair.first_check,
                valid_since: pair.valid_since,
                rtt: pair.rtt,
            }),
            icmp,
        }
    }

    pub(crate) fn hide(&mut self) {
        (self.local, self.timing, self.icmp) = (None, None, None);
        if self.failure == Some(Failure::IntegrityViolated) {
            self.failure = Some(Failure::TimedOut);
        }
    }
}

/// Brings a list in order of ids up to date with a pair; returns whether there was room for it.
pub(crate) fn update(list: &mut Vec<PairRecord>, record: PairRecord, most: usize) -> bool {
    match list.binary_search_by_key(&record.id, |known| known.id) {
        Ok(place) => {
            if let Some(known) = list.get_mut(place) {
                *known = record;
            }
            true
        }
        Err(place) if list.len() < most => {
            list.insert(place, record);
            true
        }
        Err(_) => false,
    }
}
