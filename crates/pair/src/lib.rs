//! Values of ICE that need neither time nor I/O: transport addresses, credentials, candidates and their text,
//! foundations, priorities, and the rules by which candidates become ordered, pruned and limited pairs.
//!
//! Everything is checked once, where it is made: a [`Priority`] lies in its range, a [`Foundation`] holds only
//! ice-chars, a [`TransportAddress`] is never an IPv4-mapped IPv6 address.
//!
//! [`sdp`] reads and writes what offers, answers and trickled messages say of ICE, with the rules for them.
//!
//! ```
//! use floe_pair::{Candidate, CandidateLine, PairPriority, Role, can_pair};
//!
//! let ours: CandidateLine = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host".parse()?;
//! let theirs: CandidateLine = "candidate:7 1 udp 1694498815 198.51.100.2 6000 typ srflx raddr 10.0.0.1 rport 9".parse()?;
//! let (ours, theirs): (Candidate, Candidate) = (ours.candidate().unwrap(), theirs.candidate().unwrap());
//! assert!(can_pair(&ours, &theirs));
//! let here = PairPriority::new(Role::Controlling, ours.priority, theirs.priority);
//! let there = PairPriority::new(Role::Controlled, theirs.priority, ours.priority);
//! assert_eq!(here, there);
//! # Ok::<(), floe_pair::CandidateError>(())
//! ```
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
mod candidate;
mod credential;
mod error;
mod few;
mod forming;
mod foundation;
mod id;
mod kind;
mod line;
mod local_preference;
mod name;
mod options;
mod parameters;
mod parse;
mod priority;
mod prune;
mod role;
pub mod sdp;
#[cfg(feature = "serde")]
mod serde_text;
#[cfg(test)]
mod tests;
mod transport;

pub use address::TransportAddress;
pub use candidate::Candidate;
pub use credential::{CredentialError, Pwd, Ufrag};
pub use error::{CandidateError, Field};
#[doc(hidden)]
pub use few::Few;
pub use forming::{Unpairable, can_pair, is_destination, meeting, pairing};
pub use foundation::{Foundation, FoundationError, Foundations};
pub use id::{BaseId, ComponentId, OutOfRange, Place, SocketId, StreamId};
pub use kind::{CandidateType, TypePreference};
pub use line::{CandidateLine, ExtensionError, Extensions, RelatedAddress};
pub use local_preference::{LocalAddress, LocalPreferences};
pub use name::{ConnectionAddress, HostName};
pub use options::{IceOptions, IceOptionsError};
pub use parameters::Parameters;
pub use priority::{LocalPreference, PairPriority, Priority};
pub use prune::{DEFAULT_PAIR_LIMIT, PairKey, limit, prune, remove_redundant};
pub use role::{Role, TieBreaker};
pub use transport::{Protocol, TcpType, Transport};
