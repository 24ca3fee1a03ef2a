//! What can go wrong, one type for each operation.

use std::{error::Error, fmt, io, net::SocketAddr};

use floe_agent::{ApiError, ConfigError};
use floe_turn::uri::UriError;

pub use crate::credentials::PreparationError;

/// Why there is no [`Endpoint`](crate::Endpoint).
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointError {
    /// It was made outside a tokio runtime.
    NoRuntime,
    /// No socket at this address.
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime => f.write_str("an endpoint needs a tokio runtime"),
            Self::Bind { address, error } => write!(f, "no socket at {address}: {error}"),
        }
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Bind { error, .. } => Some(error),
            Self::NoRuntime => None,
        }
    }
}

/// Why an endpoint makes no [`Agent`](crate::Agent).
#[derive(Debug)]
#[non_exhaustive]
pub enum AgentError {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// Another agent of the endpoint has this user fragment: checks that arrive could not be told apart.
    UfragInUse,
    /// The operating system gives no random bytes.
    Randomness(getrandom::Error),
    /// The endpoint is closed, or its runtime has ended.
    Closed,
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::UfragInUse => f.write_str("another agent of the endpoint has this user fragment"),
            Self::Randomness(error) => write!(f, "no random bytes from the operating system: {error}"),
            Self::Closed => f.write_str("the endpoint is closed"),
        }
    }
}

impl Error for AgentError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Randomness(error) => Some(error),
            Self::UfragInUse | Self::Closed => None,
        }
    }
}

/// Why a server cannot be in a [`Config`](crate::Config).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerConfigError {
    /// The text is no STUN or TURN URI.
    Uri(UriError),
    /// A TURN server without user name and password.
    CredentialsNeeded,
    /// User name or password cannot be used.
    Preparation(PreparationError),
}

impl fmt::Display for ServerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(error) => error.fmt(f),
            Self::CredentialsNeeded => f.write_str("a TURN server needs a user name and a password"),
            Self::Preparation(error) => error.fmt(f),
        }
    }
}

impl Error for ServerConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Uri(error) => Some(error),
            Self::Preparation(error) => Some(error),
            Self::CredentialsNeeded => None,
        }
    }
}

/// Why other credentials of a server are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsChangeError {
    /// User name or password cannot be used.
    Preparation(PreparationError),
    /// There is no such server, or the agent was closed.
    Agent(ApiError),
}

impl fmt::Display for CredentialsChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preparation(error) => error.fmt(f),
            Self::Agent(error) => error.fmt(f),
        }
    }
}

impl Error for CredentialsChangeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Preparation(error) => Some(error),
            Self::Agent(error) => Some(error),
        }
    }
}

/// Why a datagram was not sent. What the network says is about the path at that moment: a later one may arrive.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// No pair is valid yet, or none any more.
    NotConnected,
    /// The peer's consent has ended (RFC 7675 §5.1).
    ConsentExpired,
    /// The payload is longer than the datagrams of this path.
    TooLong,
    /// The relay cannot carry it now.
    Relay(floe_turn::SendError),
    /// What the operating system says of this datagram.
    Socket(io::Error),
    /// The kernel's buffer is full. Only [`Connection::try_send`](crate::Connection::try_send) says this.
    WouldBlock,
    /// The agent is closed, or the component was removed from it.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("not connected"),
            Self::ConsentExpired => f.write_str("the peer's consent has ended"),
            Self::TooLong => f.write_str("the datagram is too long"),
            Self::Relay(error) => write!(f, "relay: {error}"),
            Self::Socket(error) => error.fmt(f),
            Self::WouldBlock => f.write_str("the send buffer is full"),
            Self::Closed => f.write_str("closed"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Relay(error) => Some(error),
            Self::Socket(error) => Some(error),
            _ => None,
        }
    }
}

/// Why no datagram was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The buffer is shorter than the datagram, which is lost.
    BufferTooSmall {
        /// Its length in bytes.
        needed: usize,
    },
    /// The agent is closed, or the component was removed from it.
    Closed,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed } => {
                write!(f, "the buffer is shorter than the datagram of {needed} bytes")
            }
            Self::Closed => f.write_str("closed"),
        }
    }
}

impl Error for RecvError {}

/// Why a component did not come to a usable pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// No pair can become valid any more, of this component or of another of its data stream (RFC 8445 §7.2.5.4).
    Failed,
    /// The peer's consent has ended (RFC 7675 §5.1); a restart would ask for it anew.
    ConsentLost,
    /// The peer has no such component (RFC 8445 §6.1.2.2), as far as it has told.
    Absent,
    /// The agent is closed, or the component was removed from it.
    Closed,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "no candidate pair works",
            Self::ConsentLost => "the peer's consent has ended",
            Self::Absent => "the peer has no such component",
            Self::Closed => "closed",
        })
    }
}

impl Error for ConnectError {}
