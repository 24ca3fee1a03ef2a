//! What goes into an agent and comes out of it, apart from requests and events.

use core::{fmt, net::IpAddr};

use floe_pair::{ComponentId, Place, SocketId, StreamId, TransportAddress};

/// Differentiated services code point, 0 to 63 (RFC 2474); RFC 8837 says which suit WebRTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dscp(u8);

impl Dscp {
    /// Best effort: no mark.
    pub const BEST_EFFORT: Self = Self(0);

    /// A code point, unless the value is above 63.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 64 { Some(Self(value)) } else { None }
    }

    /// The six bits.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Explicit congestion notification of one datagram (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// The sender does not speak it: 00.
    #[default]
    NotCapable,
    /// Capable, code point 1: 01.
    Capable1,
    /// Capable, code point 0: 10.
    Capable0,
    /// Congestion was met: 11.
    Congestion,
}

impl Ecn {
    /// From the low two bits of the TOS or traffic class byte; the others are ignored.
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::NotCapable,
            1 => Self::Capable1,
            2 => Self::Capable0,
            _ => Self::Congestion,
        }
    }

    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotCapable => 0,
            Self::Capable1 => 1,
            Self::Capable0 => 2,
            Self::Congestion => 3,
        }
    }
}

/// A datagram that arrived.
#[derive(Debug)]
pub struct Received<'a> {
    /// The socket it was read from.
    pub socket: SocketId,
    /// The address of this host that it was sent to.
    pub local_ip: IpAddr,
    /// Who sent it.
    pub source: TransportAddress,
    /// Its congestion mark.
    pub ecn: Ecn,
    /// What it holds; lent, and handed back where it is not consumed.
    pub payload: &'a mut [u8],
}

impl Received<'_> {
    /// The place it arrived at. A socket of both families tells IPv4 addresses in their IPv6 form.
    pub fn place(&self) -> Place {
        Place { socket: self.socket, local_ip: self.local_ip.to_canonical() }
    }

    /// Whether it arrived at this place. Nothing is copied: of an IPv4 address four bytes are read, and those around them,
    /// which were written in other portions a moment ago, are not waited for.
    #[inline]
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        let is_local = |ip: &IpAddr| *ip == place.local_ip;
        self.socket == place.socket && (is_local(&self.local_ip) || is_local(&self.local_ip.to_canonical()))
    }
}

/// What became of a datagram.
#[derive(Debug)]
#[must_use]
pub enum Handled<'a> {
    /// The agent used it.
    Taken,
    /// It is application data that came over a valid pair, without any framing.
    Data {
        /// The data stream it belongs to.
        stream: StreamId,
        /// The component it belongs to.
        component: ComponentId,
        /// The data: the datagram, or a part of it.
        payload: &'a mut [u8],
    },
    /// It belongs to somebody else on this socket.
    NotOurs(&'a mut [u8]),
    /// It was for this agent and of no use.
    Dropped(DropReason),
}

/// Why a datagram was of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// It starts like STUN and is not (RFC 8489 §6.3).
    Malformed,
    /// FINGERPRINT or MESSAGE-INTEGRITY is missing or wrong, or credentials are unknown.
    Unauthenticated,
    /// A message that fits nothing in progress, or says what may not be said now.
    Unexpected,
    /// Data from an address without a valid pair (RFC 8445 §12.2, RFC 7675 §5.1).
    NoValidPair,
    /// A first byte that RFC 7983 §7 gives to nobody.
    UnknownClass,
    /// From the TURN server, but no data of a peer that has a permission.
    Relay,
    /// The agent is closed or closing.
    Closed,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed STUN message",
            Self::Unauthenticated => "not authenticated",
            Self::Unexpected => "fits nothing in progress",
            Self::NoValidPair => "data from an address without a valid pair",
            Self::UnknownClass => "first byte of no known protocol",
            Self::Relay => "not allowed by the allocation",
            Self::Closed => "the agent is closed",
        })
    }
}

/// One datagram for the driver to send: the first `len` bytes of the buffer it lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit {
    /// The socket it leaves from, and its source address.
    pub from: Place,
    /// Its destination.
    pub to: TransportAddress,
    /// How many bytes of the buffer it is.
    pub len: usize,
    /// Its mark.
    pub dscp: Dscp,
    /// Its congestion mark.
    pub ecn: Ecn,
    /// What it is for.
    pub kind: TransmitKind,
}

/// What a datagram is for: routing and statistics look at it, the network does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TransmitKind {
    /// A connectivity check (RFC 8445 §7.2).
    Check,
    /// The answer to one (RFC 8445 §7.3).
    Response,
    /// A consent request (RFC 7675 §5.1).
    Consent,
    /// A keepalive (RFC 8445 §11).
    Keepalive,
    /// A request to a STUN server.
    Gathering,
    /// A request to a TURN server.
    Relay,
    /// Application data.
    Data,
}
