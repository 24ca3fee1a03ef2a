//! What a set tells its owner.

use alloc::collections::VecDeque;
use core::fmt;
use core::net::IpAddr;

use floe_pair::{BaseId, ComponentId, Role, StreamId, TransportAddress};

use crate::limits::EVENT_LIMIT;
use crate::pairs::PairId;

/// State of a component, a data stream or a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The peer's parameters are not known.
    New,
    /// No valid pair yet.
    Checking,
    /// A valid pair: data can flow.
    Connected,
    /// A selected pair for each component.
    Completed,
    /// The peer has not answered for the liveness time, or consent has ended on the selected pair.
    Disconnected,
    /// No pair can become valid any more.
    Failed,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A check from this base to this peer needs the base opened for it: answer with
    /// [`ChecklistSet::admit`](crate::ChecklistSet::admit) or [`refuse`](crate::ChecklistSet::refuse).
    AdmissionWanted {
        /// The base, added with [`Admission::PerPeer`](crate::Admission::PerPeer).
        base: BaseId,
        /// The peer's address.
        peer: IpAddr,
    },
    /// A pair became valid: data may be sent on it.
    PairValid {
        /// Its data stream.
        stream: StreamId,
        /// Its component.
        component: ComponentId,
        /// The pair.
        pair: PairId,
    },
    /// The component has a selected pair, or another one than before.
    Selected {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// The component's data goes over another pair than before: told after [`Event::Selected`].
    Moved {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// Why.
        reason: MoveReason,
    },
    /// The component would be better off with another pair, which only a restart can bring (RFC 8445 §8.1.1). Told once
    /// for each reason; [`RestartReason::Lost`] once for each loss.
    RestartSuggested {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// Why.
        reason: RestartReason,
    },
    /// Consent on the selected pair has ended, and there is no other to go over to: nothing may be sent. A restart helps;
    /// with renomination a pair that the peer nominates, or that comes with a new base, as well.
    ConsentLost {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
    },
    /// A role conflict was settled by taking this role.
    RoleSwitched(Role),
    /// The state of the set. Those of its data streams are asked for:
    /// [`ChecklistSet::stream_state`](crate::ChecklistSet::stream_state).
    State(State),
    /// The peer was seen at an address it has not signalled.
    RemoteLearned {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The address, without a zone: what it is compared with has none.
        address: TransportAddress,
    },
    /// The policy denies an address that the peer has signalled: no pair is made with it.
    RemoteDenied {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The address.
        address: TransportAddress,
    },
    /// The peer sees us at an address that no local candidate has.
    LocalLearned {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// The address.
        address: TransportAddress,
    },
    /// RFC 8445 §8.3.1: the wait after the data stream was completed is over. A base without a pair that is
    /// [`listed`](crate::PairReport::listed) is of no more use to it.
    CandidatesFree {
        /// The data stream.
        stream: StreamId,
    },
    /// A bound was met and something had to go.
    LimitReached {
        /// Which bound.
        limit: Limit,
        /// The data stream of what went.
        stream: StreamId,
        /// Remote address of what went.
        remote: TransportAddress,
    },
    /// So many events were lost because they were not polled.
    EventsLost(u32),
}

/// Why a component moved to another pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MoveReason {
    /// A pair of higher priority became valid.
    Better,
    /// A pair that needs no relay became valid.
    Direct,
    /// Another pair of the same kind has answered in less than half the time for a while.
    Faster,
    /// The selected pair was lost: its consent ended, or its base went.
    Lost,
    /// The application ranks, pins, vetoes or nominates pairs, or the base of the selected one was
    /// [replaced](crate::ChecklistSet::replace_base).
    Policy,
    /// The peer, which controls, has nominated another pair.
    Peer,
}

/// What a restart would cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RestartReason {
    /// A pair of higher priority is valid, and is not the selected one.
    Better,
    /// A relay carries the data, and a pair without one is valid.
    Direct,
    /// Consent on the selected pair has ended, or its base is gone, and there is no other.
    Lost,
    /// The application prefers another pair, vetoes the selected one, or the base of that was
    /// [replaced](crate::ChecklistSet::replace_base).
    Policy,
}

/// A bound that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Pairs of the set.
    Pairs,
    /// Remote candidates.
    RemoteCandidates,
    /// Peer-reflexive remote candidates.
    PeerReflexive,
    /// Peers admitted on one base.
    Peers,
}

/// What became of a candidate that the peer has signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteOutcome {
    /// It is paired, will be where a base comes for it, or was known.
    Taken,
    /// The set has no such component.
    NoComponent,
    /// It came after the peer's end of candidates (RFC 8838 §14), or the set was retired.
    Ended,
    /// The policy denies its address.
    Denied,
    /// There are as many as the limit allows, and it is the least of them.
    Full,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It was for this set and had its effect.
    Taken,
    /// It answers no transaction of this set.
    NotOurs,
    /// It was for this set and had none.
    Dropped(DropReason),
}

/// Why a datagram had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// FINGERPRINT is missing or wrong (RFC 8445 §7.3).
    Fingerprint,
    /// Not a Binding message, or not of the class it was given as.
    NotBinding,
    /// The base is unknown.
    UnknownBase,
    /// Message integrity is missing or wrong.
    Integrity,
    /// An indication with a comprehension-required attribute that is not known (RFC 8489 §6.3.2).
    UnknownAttribute,
    /// A request that was refused with an error answer.
    Refused,
    /// The queue of answers is full.
    Overload,
    /// The answer came after consent had ended (RFC 7675 §5.1).
    Late,
    /// The policy denies the address it came from.
    Denied,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fingerprint => "fingerprint missing or wrong",
            Self::NotBinding => "not a binding message of this class",
            Self::UnknownBase => "unknown base",
            Self::Integrity => "message integrity missing or wrong",
            Self::UnknownAttribute => "unknown comprehension-required attribute",
            Self::Refused => "refused with an error answer",
            Self::Overload => "queue of answers full",
            Self::Late => "too late",
            Self::Denied => "address denied by the policy",
        })
    }
}

/// Events that are no levels, in order; bounded.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    list: VecDeque<Event>,
    lost: u32,
}

impl EventQueue {
    pub(crate) fn push(&mut self, event: Event) {
        if self.list.len() < EVENT_LIMIT {
            self.list.push_back(event);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.lost == 0
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        if let Some(event) = self.list.pop_front() {
            return Some(event);
        }
        match core::mem::take(&mut self.lost) {
            0 => None,
            lost => Some(Event::EventsLost(lost)),
        }
    }

    pub(crate) fn release_memory(&mut self) {
        self.list.shrink_to_fit();
    }
}
