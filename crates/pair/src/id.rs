//! Names of places, streams and components.

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU16;

/// A UDP socket or a stream, named by the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SocketId(pub u32);

/// Where datagrams leave from: a socket and its local address, or an allocation on a TURN server. Named by the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BaseId(pub u32);

/// Where on this host a datagram arrived or leaves: one socket may serve several local addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    /// The socket or stream.
    pub socket: SocketId,
    /// The local address of the datagram, as packet information tells it.
    pub local_ip: IpAddr,
}

/// A data stream of the session; each has a checklist of its own (RFC 8445 §6.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamId(pub u16);

/// Component of a data stream, 1 to 256 (RFC 8839 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "u16", into = "u16")
)]
pub struct ComponentId(NonZeroU16);

impl ComponentId {
    /// RTP, and whatever is the only component of its stream.
    pub const RTP: Self = Self(NonZeroU16::MIN);
    /// RTCP that is not multiplexed with RTP.
    pub const RTCP: Self = Self(NonZeroU16::MIN.saturating_add(1));

    /// The component `id`; `None` outside 1 to 256.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(id) if id.get() <= 256 => Some(Self(id)),
            _ => None,
        }
    }

    /// The number, 1 to 256.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<ComponentId> for u16 {
    fn from(id: ComponentId) -> Self {
        id.get()
    }
}

impl TryFrom<u16> for ComponentId {
    type Error = OutOfRange;

    fn try_from(id: u16) -> Result<Self, OutOfRange> {
        Self::new(id).ok_or(OutOfRange { value: id.into() })
    }
}

/// A number outside the range of the type it was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The number.
    pub value: u32,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is out of range", self.value)
    }
}

impl core::error::Error for OutOfRange {}
