//! STUN (RFC 8489) without I/O: messages, attributes, integrity, framing and one client transaction.
//!
//! Everything here works on buffers of the caller. Reading a message is one pass that allocates nothing and
//! cannot panic ([`Message::parse`]); writing one goes through types that let the integrity attributes and
//! FINGERPRINT come only in the order the RFC asks for ([`MessageWriter`]). No clock is read and no
//! randomness drawn: time is an [`Instant`] that the caller hands in, random values come from a [`Random`]
//! made of a seed.
//!
//! ```
//! use floe_stun::attribute::{Priority, Username};
//! use floe_stun::{Algorithm, Class, IntegrityKey, Message, MessageWriter, Method, TransactionId};
//!
//! let key = IntegrityKey::new(b"VOkJxbRl1RmTxUk/WvJxBt");
//! let mut buffer = [0; 128];
//! let mut writer =
//!     MessageWriter::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([7; 12]))?;
//! writer.put(&Username::new(b"evtj:h6vY")?)?;
//! writer.put(&Priority(0x6e00_01ff))?;
//! let len = writer.sign(&key, Algorithm::Sha1)?.fingerprint()?;
//!
//! let message = Message::parse(&buffer[..len])?;
//! message.verify_fingerprint()?;
//! message.verify_integrity(&key)?;
//! assert_eq!(message.get::<Priority>()?, Some(Priority(0x6e00_01ff)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod attribute;
pub mod binding;
pub mod channel;
pub mod classify;
mod constant_time;
mod credential;
mod fingerprint;
pub mod framing;
mod header;
mod integrity;
mod message;
mod random;
mod time;
pub mod transaction;
mod write;

pub use attribute::{Attribute, AttributeError, AttributeType, LengthError, RawAttribute};
pub use channel::ChannelNumber;
pub use credential::{NonceCookie, PasswordAlgorithm, SecurityFeatures, nonce_features, userhash};
pub use fingerprint::FingerprintError;
pub use header::{Class, HEADER_BYTES, MAGIC_COOKIE, MAX_MESSAGE_BYTES, Method, TransactionId};
pub use integrity::{Algorithm, IntegrityError, IntegrityKey, Sha1Key};
pub use message::{Attributes, Message, ParseError, UnknownRequired};
pub use random::Random;
pub use time::Instant;
pub use transaction::{Schedule, Transaction};
pub use write::{MAX_UNKNOWN_ATTRIBUTES, MessageWriter, SignedWriter, WriteError};
