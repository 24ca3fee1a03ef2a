//! What the core asks of its driver, and what it is answered.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, net::IpAddr, time::Duration};

use floe_pair::{SocketId, TransportAddress};

/// Names a request; its answer carries the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// Something only the driver can do. Each request but [`Request::Close`] gets one answer, or never one: then
/// only the job that asked ends, at its own deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Open a UDP socket. Answered by [`Answer::Bound`].
    BindUdp {
        /// Names the request.
        id: RequestId,
        /// The address to bind, with port 0: any.
        local: TransportAddress,
        /// Whether a socket that other agents use too will do. Never for the socket of an allocation: its
        /// 5-tuple names the allocation (RFC 8656 §3.2).
        shareable: bool,
    },
    /// Look up the addresses of a name, A and AAAA. Answered by [`Answer::Resolved`].
    Resolve {
        /// Names the request.
        id: RequestId,
        /// The name.
        name: Box<str>,
        /// The port that will be used, for resolvers that want one.
        port: u16,
    },
    /// Open a TCP connection. Answered by [`Answer::Connected`].
    Connect {
        /// Names the request.
        id: RequestId,
        /// The address to bind.
        local: TransportAddress,
        /// The address to connect to.
        remote: TransportAddress,
    },
    /// Accept TCP connections. Answered by [`Answer::Listening`].
    Listen {
        /// Names the request.
        id: RequestId,
        /// The address to bind.
        local: TransportAddress,
    },
    /// Publish a multicast DNS name for an address. Answered by [`Answer::NamePublished`].
    PublishName {
        /// Names the request.
        id: RequestId,
        /// The address to hide behind the name.
        ip: IpAddr,
    },
    /// Ask the home router to forward a port. Answered by [`Answer::Mapped`].
    MapPort {
        /// Names the request.
        id: RequestId,
        /// The address that datagrams are forwarded to.
        local: TransportAddress,
        /// For how long.
        lifetime: Duration,
    },
    /// Close a socket; it is not used any more. Has no answer.
    Close {
        /// The socket.
        socket: SocketId,
    },
}

impl Request {
    /// The id that the answer must carry; `None` where there is no answer.
    pub const fn id(&self) -> Option<RequestId> {
        match self {
            Self::BindUdp { id, .. }
            | Self::Resolve { id, .. }
            | Self::Connect { id, .. }
            | Self::Listen { id, .. }
            | Self::PublishName { id, .. }
            | Self::MapPort { id, .. } => Some(*id),
            Self::Close { .. } => None,
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// A UDP socket is open.
    Bound {
        /// How the driver names it.
        socket: SocketId,
        /// Its address. The port counts; where the IP is unspecified, the one asked for is meant.
        local: TransportAddress,
    },
    /// Addresses of a name, best first.
    Resolved(Vec<IpAddr>),
    /// A TCP connection is open.
    Connected {
        /// How the driver names it.
        socket: SocketId,
        /// Its local address.
        local: TransportAddress,
    },
    /// A listening TCP socket is open.
    Listening {
        /// How the driver names it.
        socket: SocketId,
        /// Its address.
        local: TransportAddress,
    },
    /// The name that now stands for the address.
    NamePublished(Box<str>),
    /// A port is forwarded.
    Mapped {
        /// The address outside.
        external: TransportAddress,
        /// For how long.
        lifetime: Duration,
    },
    /// It could not be done.
    Failed(RequestFailure),
}

/// Why a request could not be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RequestFailure {
    /// The address or port is taken.
    AddressInUse,
    /// The address does not belong to this host.
    AddressNotAvailable,
    /// There is no route.
    Unreachable,
    /// The other side refused.
    Refused,
    /// The name has no address.
    NotFound,
    /// The operating system forbids it.
    PermissionDenied,
    /// It took too long.
    TimedOut,
    /// The driver cannot do this.
    Unsupported,
    /// Out of sockets, ports or memory.
    Exhausted,
    /// Anything else.
    Other,
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressInUse => "address in use",
            Self::AddressNotAvailable => "address not available",
            Self::Unreachable => "network unreachable",
            Self::Refused => "refused",
            Self::NotFound => "name not found",
            Self::PermissionDenied => "permission denied",
            Self::TimedOut => "timed out",
            Self::Unsupported => "not supported",
            Self::Exhausted => "out of resources",
            Self::Other => "failed",
        })
    }
}

impl core::error::Error for RequestFailure {}
