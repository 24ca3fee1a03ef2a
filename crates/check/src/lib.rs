//! The connectivity checks of ICE (RFC 8445 §6 to §8) without I/O: checklists and their set, the triggered-check
//! queues, roles, nomination, and consent (RFC 7675) on what was found.
//!
//! A [`ChecklistSet`] is one generation of one agent. It sends from a [`BaseId`](floe_pair::BaseId) and knows neither
//! sockets nor relays: whoever owns it wraps what leaves and unwraps what arrives, and answers
//! [`Event::AdmissionWanted`] where a base must be opened for each peer.
//!
//! Four kinds of methods, as in the other crates: inputs (`handle_*`), commands (`add_*`, `set_*`), outputs (`poll_*`,
//! drained until `None` after every input, in the order `poll_transmit`, `poll_event`, `poll_timeout`) and getters. A
//! check begins only when it is given a slot ([`ChecklistSet::take_slot`]); retransmissions, answers, consent and
//! keepalives need none.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod admission;
mod candidates;
mod checklist;
mod config;
mod consent;
mod event;
mod forming;
mod freeze;
mod lean;
mod limits;
mod lite;
mod marks;
#[cfg(test)]
#[path = "../model/mod.rs"]
mod model;
mod nominate;
mod outbox;
mod packed;
mod pairs;
mod policy;
mod reflexive;
mod renominate;
mod report;
mod request;
mod response;
mod retire;
mod role;
mod schedule;
mod set;
mod standby;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod transactions;
mod usage;

pub use admission::Admission;
pub use config::{Config, ConsentConfig};
pub use event::{DropReason, Event, Limit, MoveReason, Outcome, RemoteOutcome, RestartReason, State};
pub use limits::{
    EARLY_CHECK_LIMIT, EVENT_LIMIT, FRESH_LIMIT, KEPT_LIMIT, LIMITED_COMPONENTS, LOCAL_CANDIDATE_LIMIT,
    PEER_REFLEXIVE_LIMIT, PEERS_PER_BASE, RESPONSE_LIMIT, ROLE_SWITCH_LIMIT, STREAM_LIMIT, TRANSACTION_LIMIT,
    limit_of, peer_reflexive_limit, transaction_limit,
};
pub use outbox::{CheckTransmit, TransmitKind};
pub use pairs::{Failure, PairId};
pub use policy::{AddressPrefix, KeepError, NominateError, PairPolicy, RemoteRule, TypeRanks, Verdict};
pub use renominate::Renomination;
pub use report::{PairReport, PairStanding, Route, SelectedPair};
pub use role::{RoleVerdict, judge_role};
pub use schedule::Urgency;
pub use set::ChecklistSet;
pub use state::{InvalidMove, PairEvent, PairState};
pub use usage::Usage;
