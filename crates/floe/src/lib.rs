//! A full ICE agent (RFC 8445) for tokio.
//!
//! ICE finds a path for datagrams between two hosts behind NATs and firewalls, proves that the other side wants
//! them, and keeps it. The protocol is in the crates below, without I/O; here are the sockets, the clock, names
//! and the one task that drives any number of agents.
//!
//! An [`Endpoint`] owns the sockets; an [`Agent`] is one session with one peer; a [`Connection`] carries the
//! datagrams of one of its components.
//!
//! ```no_run
//! # async fn signal(ours: &floe::pair::Parameters, _: &[floe::LocalCandidate]) -> (floe::pair::Parameters, Vec<String>) { (ours.clone(), vec![]) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = floe::Endpoint::new().await?;
//! let config = floe::Config::controlling().server("turn:turn.example.org", "alice", "password")?;
//! let agent = endpoint.agent(config)?;
//!
//! // Carried to the peer by whatever the two have for that: SIP, a web server, a chat.
//! let (parameters, candidates) = signal(&agent.local_parameters(), &agent.gathered().await).await;
//! agent.set_remote_parameters(parameters)?;
//! for candidate in candidates {
//!     agent.add_remote_candidate(&candidate.parse()?)?;
//! }
//!
//! let connection = agent.connected().await?;
//! connection.send(b"hi").await?;
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `serde` what applications send and store can be serialised: WebRTC's JSON candidates
//! ([`pair::sdp::IceCandidateInit`]), [`Report`], [`ConnectionStats`] and [`EndpointStats`] among them.
//! With the feature `webrtc-util` a [`Connection`] is a `Conn` of that crate: the transport of webrtc-rs's DTLS.

#[cfg(test)]
extern crate self as floe;

mod clock;
mod component;
mod config;
#[cfg(feature = "webrtc-util")]
mod conn;
mod connection;
mod credentials;
mod driver;
mod endpoint;
mod error;
mod handle;
mod inbox;
mod interfaces;
mod session;
mod shared;
mod socket;
#[cfg(test)]
mod tests;

pub use floe_agent::{
    Added, ApiError, CheckLimit, ComponentState, Demultiplexing, Dscp, Ecn, Event, GatherLimit, Ignored,
    MoveReason, NominateError, PairFailure, PairId, PairPolicy, PairReport, PairState, RemoteRule,
    Renomination, Report, RequestFailure, RestartReason, SelectedPair, ServerError, SkipReason, State, Usage,
    Verdict, report,
};

pub use self::{
    component::ConnectionStats,
    config::Config,
    connection::Connection,
    credentials::Preparation,
    endpoint::{Builder, Endpoint},
    error::{
        AgentError, ConnectError, CredentialsChangeError, EndpointError, PreparationError, RecvError,
        SendError, ServerConfigError,
    },
    handle::Agent,
    inbox::{DATA_QUEUE_BYTES, DATA_QUEUE_DATAGRAMS, Received},
    interfaces::{Interface, InterfaceFlags, ListInterfaces, SystemInterfaces},
    session::{EVENT_QUEUE, LocalCandidate},
    shared::EndpointStats,
};
#[doc(inline)]
pub use {
    floe_agent as agent, floe_check as check, floe_gather as gather, floe_pair as pair, floe_stun as stun,
    floe_turn as turn,
};
