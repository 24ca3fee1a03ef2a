//! A full ICE agent (RFC 8445) without I/O: [`Agent`] composes candidate gathering, connectivity checks and
//! TURN allocations into nominated pairs; [`Hub`] drives many agents.
//!
//! # Methods
//! An agent has four kinds of methods. *Inputs* (`handle_…`) take what happened, *commands* say what the user
//! wants, *outputs* (`poll_…`) are drained until `None` after every input and command, and *getters* tell what is.
//! The order of draining is [`Agent::poll_transmit`], [`Agent::poll_request`], [`Agent::poll_event`],
//! [`Agent::poll_data`], [`Agent::poll_timeout`].
//!
//! Nothing here opens a socket, reads a clock or draws randomness: equal inputs give equal outputs. A `now`
//! earlier than the last one counts as the last one, and an early [`Agent::handle_timeout`] does nothing.
#![no_std]

extern crate alloc;

mod agent;
mod commands;
mod config;
mod early;
mod event;
mod fork;
mod generation;
mod hub;
mod input;
mod io;
mod output;
mod pacer;
mod path;
mod policy;
mod pump;
pub mod report;
mod restart;
mod states;
mod streams;
mod trickle;

pub use agent::Agent;
pub use commands::{Added, ApiError, Ignored, SendError};
pub use config::{AgentConfig, ConfigError, Demultiplexing, MOST_STREAMS, Seed};
pub use event::{Event, State};
pub use floe_check::{
    AddressPrefix, Config as CheckConfig, ConsentConfig, Failure as PairFailure, Limit as CheckLimit,
    MoveReason, NominateError, PairId, PairPolicy, PairReport, PairStanding, PairState, RemoteRule,
    Renomination, RestartReason, SelectedPair, TypeRanks, Usage, Verdict as RuleVerdict,
};
pub use floe_gather::{
    Answer, Config as GatherConfig, Interface, InterfaceFlags, Limit as GatherLimit, Limits as GatherLimits,
    Policy, Request, RequestFailure, RequestId, Server, ServerError, SkipReason,
};
pub use floe_pair as pair;
pub use floe_stun as stun;
pub use floe_turn as turn;
pub use fork::ForkError;
pub use hub::{AgentKey, Hub};
pub use io::{DropReason, Dscp, Ecn, Handled, Received, Transmit, TransmitKind};
pub use pacer::Pacer;
pub use path::{Frame, Framing, Path, PathError, PathHandle};
pub use report::{Report, Verdict};
pub use states::ComponentState;
