//! Roles, options and pacing: what follows from both descriptions together.

use core::time::Duration;

use super::Media;
use crate::{IceOptions, Parameters, Role};

/// Which of the two an agent is (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// It made the offer: the initiating agent of RFC 8445.
    Offerer,
    /// It answers: the responding agent.
    Answerer,
}

/// The role with which an agent begins a session (RFC 8445 §6.1.1, RFC 8839 §4.2.3): what to make an agent with. One that
/// is full or lite corrects a role that does not go with the peer's parameters by itself.
pub const fn initial_role(side: Side, ours: &Parameters, theirs: &Parameters) -> Role {
    match (ours.lite, theirs.lite, side) {
        // A lite agent sends no checks, so that it can only control another lite one.
        (false, true, _) | (false, false, Side::Offerer) | (true, true, Side::Offerer) => Role::Controlling,
        (true, false, _) | (false, false, Side::Answerer) | (true, true, Side::Answerer) => Role::Controlled,
    }
}

/// The role after a restart. It stays, unless that would leave a full agent controlled by a lite one
/// (RFC 8445 §6.1.1).
pub const fn role_after_restart(current: Role, ours: &Parameters, theirs: &Parameters) -> Role {
    // RFC 8445 §6.1.1: a full agent that becomes lite gives the role to a peer that is full; else none changes.
    match (ours.lite, theirs.lite) {
        (false, true) => Role::Controlling,
        (true, false) => Role::Controlled,
        _ => current,
    }
}

/// The role of a lite agent that gets this section of an offer. Two lite agents that both believe they are controlling
/// have both made an offer, and the one that came first wins (RFC 8839 §4.4.2.2).
pub const fn role_after_offer(current: Role, ours: &Parameters, offer: &Media) -> Role {
    if ours.lite && offer.remote_candidates.is_some() { Role::Controlled } else { current }
}

/// The options of an answer: those of ours that the offer has as well, and always `ice2` and, where it is one of ours,
/// `trickle` (RFC 8839 §4.3.2, §5.6, RFC 8840 §4.1.3).
pub fn answer_options(offer: &IceOptions, ours: &IceOptions) -> IceOptions {
    let answered = |tag: &&str| *tag == IceOptions::TRICKLE || offer.has(tag);
    let others = ours.tags().filter(|tag| *tag != IceOptions::ICE2).filter(answered);
    // A part of a list that fits is a list that fits, with the room of one tag for `ice2`.
    IceOptions::from_tags([IceOptions::ICE2].into_iter().chain(others)).unwrap_or_else(|_| IceOptions::ice2())
}

/// Whether an extension is in force: both sides have its tag (RFC 8839 §5.6).
pub fn is_agreed(tag: &str, ours: &Parameters, theirs: &Parameters) -> bool {
    ours.options.has(tag) && theirs.options.has(tag)
}

/// Ta both sides agree on: the larger of both proposals, 50 ms for who proposes none (RFC 8839 §5.5). The agent works
/// it out for itself from the same parameters, and waits no longer than 500 ms, whatever is proposed.
pub fn agreed_pacing(ours: &Parameters, theirs: &Parameters) -> Duration {
    ours.proposed_pacing().max(theirs.proposed_pacing())
}
