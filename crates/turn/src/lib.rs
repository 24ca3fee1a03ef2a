//! TURN client (RFC 8656) as a state machine without I/O, and the STUN and TURN URIs (RFC 7064, RFC 7065).
//!
//! A [`Client`] is one allocation over one 5-tuple. Its owner carries datagrams between it and the server,
//! tells it the time and gives it random values; it opens no socket and reads no clock.
//!
//! | kind | methods |
//! | --- | --- |
//! | commands | [`Client::allocate`], [`Client::permit`], [`Client::forget`], [`Client::forget_others`], [`Client::bind_channel`], [`Client::unbind_channel`], [`Client::unbind_other_channels`], [`Client::follow`], [`Client::set_password`], [`Client::keep`], [`Client::stop_keeping`], [`Client::close`] |
//! | inputs | [`Client::handle_datagram`], [`Client::take_slot`], [`Client::handle_timeout`] |
//! | outputs | [`Client::poll_transmit`], [`Client::poll_event`], [`Client::poll_timeout`] |
//! | data | [`Client::send_indication`], [`Client::channel`], [`Client::permission`] |
//!
//! Outputs are drained after every command and input, each until it returns `None`, in the order of the table.
//! A command only notes what is wanted; where that takes a request which needs no slot, `poll_timeout` is due
//! at once and the following `handle_timeout` makes the request.
//!
//! ```
//! use core::net::SocketAddr;
//! use floe_stun::{Instant, Random};
//! use floe_turn::{Client, ClientConfig, Credentials};
//!
//! let server: SocketAddr = "192.0.2.1:3478".parse()?;
//! let credentials = Credentials::new(b"alice", b"secret")?;
//! let mut rng = Random::from_seed([7; 32]);
//! let mut client = Client::new(ClientConfig::new(server, Some(credentials)));
//!
//! client.allocate(Instant::ORIGIN);
//! assert!(client.wants_slot(), "the owner paces the first transmission");
//! client.take_slot(Instant::ORIGIN, &mut rng);
//! let mut buffer = [0; 1500];
//! let len = client.poll_transmit(&mut buffer).ok_or("an Allocate request to the server")?;
//! assert_eq!(buffer[..2], [0x00, 0x03]);
//! assert!(len >= 20);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod allocation;
mod auth;
mod channel;
mod client;
mod config;
mod credential;
mod data;
mod error;
mod event;
mod permission;
mod refresh;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod timer;
pub mod uri;

pub use channel::MAX_CHANNELS;
pub use client::{Client, MAX_EVENTS};
pub use config::{ClientConfig, DEFAULT_LIFETIME, Families};
pub use credential::Credentials;
pub use data::{DropReason, Incoming};
pub use error::{
    AllocateError, ChannelError, CredentialsError, FollowError, LostReason, PermissionError, RequestError,
    Retry, SendError,
};
pub use event::Event;
pub use permission::MAX_PERMISSIONS;
pub use request::{MAX_REQUEST_BYTES, MAX_REQUESTS};
