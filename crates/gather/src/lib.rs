//! Gathering of ICE candidates (RFC 8445 §5.1.1) without I/O.
//!
//! A [`Gatherer`] is told which addresses this host has ([`Interface`]) and which servers may be asked
//! ([`Server`]). It asks its driver for sockets and names ([`Request`]), writes Binding and Allocate requests
//! into a lent buffer, reads the answers, and reports each candidate the moment it is known. It keeps alive
//! what it found until it is told to stop.
//!
//! Every (server, interface address, component) is a job of its own. Jobs share nothing but the paced slots,
//! which servers take in turn, and one deadline counted from the start: whatever is dead holds up nobody.
//!
//! ```
//! use floe_gather::{Answer, Config, Event, Gatherer, Interface, InterfaceFlags, Request};
//! use floe_pair::{ComponentId, SocketId, StreamId, TransportAddress};
//! use floe_stun::Instant;
//!
//! let mut gatherer = Gatherer::new(Config::default())?;
//! let flags = InterfaceFlags::UP;
//! let interface = Interface { name: "eth0".into(), index: 2, ip: "192.0.2.7".parse()?, prefix_len: 24, flags };
//! gatherer.handle_interfaces(Instant::ORIGIN, &[interface]);
//! gatherer.start(Instant::ORIGIN, &[(StreamId(0), ComponentId::RTP)]);
//!
//! let Some(Request::BindUdp { id, local, .. }) = gatherer.poll_request() else { panic!("a socket is wanted") };
//! let answer = Answer::Bound { socket: SocketId(1), local: local.with_port(5_000) };
//! gatherer.handle_answer(Instant::ORIGIN, id, answer);
//! let Some(Event::Candidate { candidate, .. }) = gatherer.poll_event() else { panic!("it is known at once") };
//! assert_eq!(candidate.address, "192.0.2.7:5000".parse::<TransportAddress>()?);
//! assert!(matches!(gatherer.poll_event(), Some(Event::Complete)));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! After each input the outputs are drained until `None`, in this order: [`Gatherer::poll_transmit`],
//! [`Gatherer::poll_request`], [`Gatherer::poll_event`], then [`Gatherer::poll_timeout`].

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod candidates;
mod config;
mod credentials;
mod ending;
mod error;
mod event;
mod gatherer;
mod host;
mod interface;
mod locals;
mod map;
mod name;
mod outbox;
mod progress;
mod reflexive;
mod relay;
mod request;
mod rest;
mod restart;
mod room;
mod server;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]
mod tests;

pub use config::{Config, ConfigError, LIMITED_COMPONENTS, Limits, MAX_SERVERS, Policy};
pub use error::ServerError;
pub use event::{Event, Limit};
pub use gatherer::{GatherTransmit, Gatherer};
pub use interface::{Interface, InterfaceFlags, InterfaceRules, MAX_INTERFACES, SkipReason, judge};
pub use progress::ServerProgress;
pub use relay::Relay;
pub use request::{Answer, Request, RequestFailure, RequestId};
pub use server::{MAX_SERVER_ADDRESSES, Server};
