//! The world around an ICE agent, without sockets and without waiting.
//!
//! - [`net`] is a network on a virtual clock: hosts with agents, links, NATs and servers, whose whole traffic follows
//!   from a seed.
//! - [`server`] is a STUN and TURN server as a plain state machine: bytes and instants go in, bytes, requests and the
//!   next deadline come out. Tests run it on virtual time, `floe demo` on loopback sockets.
//! - [`scenario`] makes values of whole sessions, and runs them with every one of the [`invariants`] watched.
//! - [`sweep`] runs many of them over every pair of NAT kinds.
//! - [`expectation`] says what is possible between two kinds of NAT, whoever tries it.
//!
//! Nothing in this crate reads a clock, opens a socket or draws ambient randomness: equal inputs and equal seeds
//! give byte-identical outputs.

pub mod expectation;
pub mod invariants;
pub mod net;
pub mod scenario;
pub mod server;
pub mod sweep;
