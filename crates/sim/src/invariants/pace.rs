//! Invariant 3: when transactions begin and requests are repeated.

use core::time::Duration;
use std::{collections::VecDeque, net::IpAddr};

use floe_agent::TransmitKind;
use floe_pair::{Place, TransportAddress};
use floe_stun::{Instant, Method, TransactionId};

use super::{Breach, paths::Name};

/// Requests remembered: more than are open at once in any sane session.
const MAX_REQUESTS: usize = 1_024;
/// Requests of one transaction at most, and the least wait before the second (RFC 8489 §6.2.1: Rc, RTO).
const RC: u32 = 7;
const RTO: Duration = Duration::from_millis(500);

/// From where a request was sent, to whom (over a relay the peer), what for, and with which credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) to: TransportAddress,
    pub(super) kind: TransmitKind,
    pub(super) name: Name,
}

/// A request that an agent has sent.
#[derive(Clone, Copy, Debug)]
struct Request {
    id: TransactionId,
    asked: Asked,
    answered: bool,
    sent: u32,
    first: Instant,
}

/// What one agent has begun.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last_start: Option<Instant>,
    requests: VecDeque<Request>,
    /// Peers that permissions were asked for, by the socket of the allocation.
    permitted: Vec<(Place, IpAddr)>,
}

impl Pace {
    /// What a request was for.
    pub(super) fn kind(&self, id: TransactionId) -> Option<TransmitKind> {
        // Answers mostly belong to what was sent last.
        self.requests.iter().rev().find(|request| request.id == id).map(|request| request.asked.kind)
    }

    /// An answer has come: what had been asked and when, if it is the first answer.
    pub(super) fn answered(&mut self, id: TransactionId) -> Option<(Asked, Instant)> {
        let request = self.requests.iter_mut().rev().find(|request| request.id == id)?;
        let first = !core::mem::replace(&mut request.answered, true);
        first.then_some((request.asked, request.first))
    }

    /// A request has left.
    pub(super) fn sent(
        &mut self,
        now: Instant,
        ta: Duration,
        (id, method): (TransactionId, Method),
        asked: Asked,
        permits: Option<IpAddr>,
    ) -> Result<(), Breach> {
        if let Some(known) = self.requests.iter_mut().rev().find(|request| request.id == id) {
            // The waits double: 1, 3, 7 RTO after the first. One that had to wait its turn does not move those after it.
            let after = now.since(known.first);
            let least = RTO.saturating_mul((1_u32 << known.sent.min(RC)).saturating_sub(1));
            known.sent = known.sent.saturating_add(1);
            return if known.sent > RC || after < least {
                Err(Breach::Retransmission { id, sent: known.sent, after })
            } else {
                Ok(())
            };
        }
        if self.requests.len() >= MAX_REQUESTS {
            self.requests.pop_front();
        }
        let Asked { place, kind, .. } = asked;
        let before = |known: &Request| known.answered && known.asked == asked;
        // RFC 8445 §14.2: consent, keepalives, Refresh and ChannelBind keep time by themselves. A question that was
        // answered before keeps a mapping alive (§5.1.1.4).
        let paced = match kind {
            TransmitKind::Check => true,
            TransmitKind::Gathering => !self.requests.iter().any(before),
            // A permission that is there already is only kept.
            TransmitKind::Relay if method == Method::CREATE_PERMISSION => {
                permits.is_none_or(|peer| !self.permitted.contains(&(place, peer)))
            }
            TransmitKind::Relay => method == Method::ALLOCATE,
            _ => false,
        };
        if let Some(peer) = permits.filter(|_| paced && kind == TransmitKind::Relay) {
            self.permitted.push((place, peer));
        }
        self.requests.push_back(Request { id, asked, answered: false, sent: 1, first: now });
        if !paced {
            return Ok(());
        }
        let gap = self.last_start.replace(now).map(|last| now.since(last));
        match gap {
            Some(gap) if gap < ta => Err(Breach::TooSoon { gap, ta }),
            _ => Ok(()),
        }
    }
}
