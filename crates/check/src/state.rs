//! State of a candidate pair.
//!
//! ```text
//!            Unfreeze          Start              Succeed
//!   Frozen ───────────▶ Waiting ─────▶ InProgress ───────▶ Succeeded ─┐
//!                          ▲              │  ▲ └───────▶ Failed        │
//!                          └── Trigger ◀──┘  └────── Nominate ◀────────┘
//! ```

use core::fmt;

/// State of a candidate pair (RFC 8445 §6.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairState {
    /// Not to be checked until a pair of its foundation has succeeded or ended.
    Frozen,
    /// To be checked when a slot comes.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check was answered with success.
    Succeeded,
    /// A check failed, or the pair can no longer be checked.
    Failed,
}

/// What may happen to a candidate pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PairEvent {
    /// Its foundation is thawed.
    Unfreeze,
    /// A check begins.
    Start,
    /// A new check is called for: by a request of the peer, by a role conflict, or because the last went unanswered.
    Trigger,
    /// The check is repeated with USE-CANDIDATE.
    Nominate,
    /// A check was answered with success, of this pair or of one that proved it.
    Succeed,
    /// The check failed.
    Fail,
    /// The base, the admission or the consent is gone.
    Discard,
}

/// A move that no rule allows: a mistake of this crate, never one of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMove {
    /// The state it was tried in.
    pub from: PairState,
    /// What was tried.
    pub event: PairEvent,
}

impl fmt::Display for InvalidMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {:?} in state {:?}", self.event, self.from)
    }
}

impl core::error::Error for InvalidMove {}

impl PairState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Frozen, Self::Waiting, Self::InProgress, Self::Succeeded, Self::Failed];

    /// The state after `event`: all legal moves of RFC 8445 §6.1.2.6 and of the sections that add to its figure.
    ///
    /// # Errors
    /// A move that no rule allows.
    pub const fn on(self, event: PairEvent) -> Result<Self, InvalidMove> {
        use PairEvent as E;
        Ok(match (self, event) {
            (Self::Frozen, E::Unfreeze)
            | (Self::Frozen | Self::Waiting | Self::InProgress | Self::Failed, E::Trigger) => Self::Waiting,
            // RFC 8445 §8.1.1: the check of a valid pair is repeated with USE-CANDIDATE.
            (Self::Waiting, E::Start) | (Self::Succeeded, E::Nominate) => Self::InProgress,
            // RFC 8445 §7.2.5.3.3: the check of one pair may prove another valid, whatever its state.
            // RFC 8445 §7.3.1.4: a pair that has succeeded is not checked again because the peer checks it.
            (_, E::Succeed) | (Self::Succeeded, E::Trigger) => Self::Succeeded,
            (Self::InProgress, E::Fail) | (_, E::Discard) => Self::Failed,
            (from, event) => return Err(InvalidMove { from, event }),
        })
    }

    /// Whether nothing more is to be expected of the pair.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
