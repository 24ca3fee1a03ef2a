//! Where a component's data goes, in a form that senders use without asking the agent.

use alloc::sync::Arc;
use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use floe_pair::{Place, TransportAddress};
use floe_stun::{ChannelNumber, Instant, channel, framing};

use crate::io::Dscp;

/// What stands before a payload on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// Nothing: a datagram to the peer itself.
    Direct,
    /// A `ChannelData` header: a datagram to the TURN server (RFC 8656 §12.4).
    Channel(ChannelNumber),
    /// A length of two bytes: a frame on a stream (RFC 4571 §2).
    Stream,
}

/// One way to the peer. Never changes; another way is another `Path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The socket the datagrams leave from, and their source address.
    pub from: Place,
    /// Where they are sent: the peer, or the TURN server. A link-local address has the zone of the socket.
    pub to: TransportAddress,
    /// What stands before each payload.
    pub framing: Framing,
    /// Mark of each datagram.
    pub dscp: Dscp,
    /// How many paths this component had before.
    pub generation: u32,
}

/// A [`Path`] with the instant until which it may be used, shared between the agent and senders.
///
/// The instant is the end of consent (RFC 7675 §5.1), of the channel binding or of the permission
/// (RFC 8656 §9, §12), whichever comes first. The agent moves it; a revoked path has it at the origin.
#[derive(Clone)]
pub struct PathHandle(Arc<Shared>);

struct Shared {
    path: Path,
    deadline: AtomicU64,
    /// Somebody has sent, or wanted to, since the agent looked.
    used: AtomicBool,
}

/// Why a datagram may not be sent on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// Consent, channel binding or permission has ended, or the agent took the path back.
    Expired,
    /// The payload does not fit the framing; the number is the largest payload that does.
    TooLong(usize),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("the path may no longer be used"),
            Self::TooLong(most) => write!(f, "the payload is longer than the {most} bytes that fit"),
        }
    }
}

impl core::error::Error for PathError {}

/// How one payload goes out: the datagram is [`Frame::header`], then the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Frame {
    /// The socket it leaves from, and its source address.
    pub from: Place,
    /// Its destination.
    pub to: TransportAddress,
    /// Its mark.
    pub dscp: Dscp,
    header: [u8; 4],
    header_len: u8,
}

impl Frame {
    /// What stands before the payload: 0, 2 or 4 bytes.
    pub fn header(&self) -> &[u8] {
        self.header.get(..usize::from(self.header_len)).unwrap_or_default()
    }
}

impl PathHandle {
    /// Longest payload of a datagram over IPv4; IPv6 allows 20 bytes more, which nobody should use.
    pub const LARGEST_DATAGRAM: usize = 65_507;

    pub(crate) fn new(path: Path, deadline: Instant) -> Self {
        Self(Arc::new(Shared {
            path,
            deadline: AtomicU64::new(deadline.as_nanos()),
            used: AtomicBool::new(false),
        }))
    }

    /// The way itself.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The first instant at which nothing may be sent any more.
    pub fn deadline(&self) -> Instant {
        Instant::from_nanos(self.0.deadline.load(Ordering::Acquire))
    }

    /// Asks whether `payload_len` bytes may go out at `now`, and how.
    ///
    /// # Errors
    /// [`PathError::Expired`] at and after the deadline, [`PathError::TooLong`] for what no datagram holds.
    #[inline]
    pub fn frame(&self, now: Instant, payload_len: usize) -> Result<Frame, PathError> {
        // Written once in a while only: many senders read one line of memory.
        if !self.0.used.load(Ordering::Relaxed) {
            self.0.used.store(true, Ordering::Relaxed);
        }
        // RFC 7675 §5.1: not one byte at or after the expiry of consent.
        if now >= self.deadline() {
            return Err(PathError::Expired);
        }
        let path = &self.0.path;
        let (header, header_len) = header(path.framing, payload_len)?;
        Ok(Frame { from: path.from, to: path.to, dscp: path.dscp, header, header_len })
    }

    /// Whether both handles are of one path, not only of equal ones.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether anybody has asked for a frame since this was asked.
    pub(crate) fn take_used(&self) -> bool {
        self.0.used.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn extend(&self, deadline: Instant) {
        self.0.deadline.store(deadline.as_nanos(), Ordering::Release);
    }

    pub(crate) fn revoke(&self) {
        self.extend(Instant::ORIGIN);
    }
}

impl fmt::Debug for PathHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathHandle").field("path", self.path()).field("deadline", &self.deadline()).finish()
    }
}

#[inline]
fn header(framing: Framing, payload_len: usize) -> Result<([u8; 4], u8), PathError> {
    // ChannelData and frames count their length in 16 bits.
    const LARGEST_COUNTED: usize = 65_535;
    const CHANNEL_HEADER: usize = 4;
    let most = match framing {
        Framing::Direct => PathHandle::LARGEST_DATAGRAM,
        Framing::Channel(_) => PathHandle::LARGEST_DATAGRAM - CHANNEL_HEADER,
        Framing::Stream => LARGEST_COUNTED,
    };
    let too_long = PathError::TooLong(most);
    if payload_len > most {
        return Err(too_long);
    }
    let length = u16::try_from(payload_len).map_err(|_| too_long)?;
    Ok(match framing {
        Framing::Direct => ([0; 4], 0),
        Framing::Channel(number) => (channel::write_header(number, length), 4),
        Framing::Stream => {
            let [high, low] = framing::header(payload_len).ok_or(too_long)?;
            ([high, low, 0, 0], 2)
        }
    })
}

#[cfg(test)]
mod tests;
