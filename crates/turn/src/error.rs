//! What can go wrong, one type for each operation.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

/// Why one request to the server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// No answer in the time of RFC 8489 §6.2.1.
    TimedOut,
    /// Answers came, but none of them was signed with our key (RFC 8489 §9.2.5).
    IntegrityViolated,
    /// The server asks for credentials and none were given.
    CredentialsNeeded,
    /// The server answered 401 to a request that carried our credentials.
    Unauthenticated,
    /// The server called every nonce stale that it had handed out just before.
    StaleNonce,
    /// The nonce announces password algorithms that the answer does not list (RFC 8489 §9.2.1).
    BidDown,
    /// None of the password algorithms of the server is known here.
    NoCommonAlgorithm,
    /// The answer lacks what it must have, or has what cannot be read.
    Malformed,
    /// The server answered with another error code.
    Refused {
        /// The error code, 300 to 699.
        code: u16,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimedOut => "the server does not answer",
            Self::IntegrityViolated => "the answers are not signed with the key of this user",
            Self::CredentialsNeeded => "the server asks for credentials and none are set",
            Self::Unauthenticated => "the server does not accept the credentials (401)",
            Self::StaleNonce => "the server calls every nonce stale (438)",
            Self::BidDown => "the password algorithms that the nonce announces are missing",
            Self::NoCommonAlgorithm => "no password algorithm of the server is supported",
            Self::Malformed => "the answer of the server is malformed",
            Self::Refused { code } => return write!(f, "the server refused with error {code}"),
        })
    }
}

impl core::error::Error for RequestError {}

/// What may be done after an allocation failed (RFC 8656 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not before something about the server or the settings has changed.
    Never,
    /// From another local port, at most three of them; then a rest of two minutes.
    NewPort,
    /// Not before this much time has passed.
    After(Duration),
}

/// Why there is no allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllocateError {
    /// The request failed.
    Request(RequestError),
    /// 437: the server holds an allocation for this 5-tuple already.
    Mismatch,
    /// 486: the user has as many allocations as the server grants.
    QuotaReached,
    /// 508: the server has no relayed transport address left.
    InsufficientCapacity,
    /// 300, naming a server that was tried less than five minutes ago (RFC 8489 §10).
    RedirectLoop(SocketAddr),
    /// 300, and this was one redirection too many.
    RedirectedTooOften,
    /// 300 without a server that can be reached from here.
    RedirectedNowhere,
    /// The relayed transport address cannot be one, or is not of the family asked for; the allocation is deleted.
    UnusableAddress(SocketAddr),
    /// The lifetime is too short to keep the allocation alive, in seconds; the allocation is deleted.
    UnusableLifetime(u32),
}

impl AllocateError {
    /// What the owner may do next.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Mismatch => Retry::NewPort,
            Self::QuotaReached | Self::InsufficientCapacity => Retry::After(Duration::from_secs(60)),
            // A server that fails or is silent may recover; the pause keeps a caller in a loop harmless.
            Self::Request(RequestError::TimedOut | RequestError::Refused { code: 500..=599 }) => {
                Retry::After(Duration::from_secs(60))
            }
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for AllocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Mismatch => {
                f.write_str("the server already has an allocation for this address and port (437)")
            }
            Self::QuotaReached => f.write_str("the allocation quota of the user is reached (486)"),
            Self::InsufficientCapacity => f.write_str("the server has no capacity left (508)"),
            Self::RedirectLoop(to) => write!(f, "redirected to {to}, which was tried already (300)"),
            Self::RedirectedTooOften => f.write_str("redirected too often (300)"),
            Self::RedirectedNowhere => f.write_str("redirected without a usable alternate server (300)"),
            Self::UnusableAddress(address) => write!(f, "the relayed address {address} cannot be used"),
            Self::UnusableLifetime(seconds) => write!(f, "a lifetime of {seconds} s cannot be used"),
        }
    }
}

impl core::error::Error for AllocateError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

/// Why there is no permission for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PermissionError {
    /// There is no allocation and none is being made.
    NoAllocation,
    /// No relayed transport address of the family of the peer is held (443 would be the answer).
    FamilyNotHeld,
    /// As many peers as the client keeps are permitted already.
    TableFull,
    /// The request failed.
    Request(RequestError),
    /// The permission ran out before the server renewed it.
    Expired,
}

impl fmt::Display for PermissionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAllocation => "there is no allocation",
            Self::FamilyNotHeld => "the allocation has no relayed address of this family",
            Self::TableFull => "no more peers can be permitted",
            Self::Request(error) => return error.fmt(f),
            Self::Expired => "the permission ran out",
        })
    }
}

impl core::error::Error for PermissionError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

/// Why no channel is bound to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelError {
    /// There is no open allocation.
    NoAllocation,
    /// No relayed transport address of the family of the peer is held (443 would be the answer).
    FamilyNotHeld,
    /// As many channels as the client keeps are bound, or cooling down, already.
    TableFull,
    /// The request failed.
    Request(RequestError),
    /// The binding ran out before the server renewed it.
    Expired,
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAllocation => "there is no allocation",
            Self::FamilyNotHeld => "the allocation has no relayed address of this family",
            Self::TableFull => "no more channels can be bound",
            Self::Request(error) => return error.fmt(f),
            Self::Expired => "the channel binding ran out",
        })
    }
}

impl core::error::Error for ChannelError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            _ => None,
        }
    }
}

/// Why an allocation is gone that was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostReason {
    /// 437: the server does not know the allocation (any more).
    Mismatch,
    /// The lifetime ended before the server renewed it; what its last answer was, if there was one.
    Expired(Option<RequestError>),
    /// The server shortened the lifetime to this many seconds, too few to keep the allocation alive.
    UnusableLifetime(u32),
}

impl fmt::Display for LostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mismatch => f.write_str("the server does not know the allocation (437)"),
            Self::Expired(None) => f.write_str("the allocation ran out"),
            Self::Expired(Some(error)) => write!(f, "the allocation ran out: {error}"),
            Self::UnusableLifetime(seconds) => {
                write!(f, "the lifetime was shortened to {seconds} s, which cannot be used")
            }
        }
    }
}

impl core::error::Error for LostReason {}

/// Why a datagram cannot be sent to a peer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// There is no open allocation.
    NoAllocation,
    /// The server has not confirmed a permission for the peer, or it has run out.
    NoPermission,
    /// The buffer is too small for the indication.
    BufferTooSmall,
    /// The payload does not fit into a STUN message.
    PayloadTooLong,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAllocation => "there is no allocation",
            Self::NoPermission => "there is no permission for the peer",
            Self::BufferTooSmall => "the buffer is too small",
            Self::PayloadTooLong => "the payload is too long",
        })
    }
}

impl core::error::Error for SendError {}

/// Why a redirection cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FollowError {
    /// No server has redirected this client.
    NotRedirected,
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client was not redirected")
    }
}

impl core::error::Error for FollowError {}

/// Why a user name and password are not TURN credentials; never carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The user name is empty.
    EmptyUsername,
    /// The user name has this many bytes; 508 are allowed (RFC 8489 §14.3).
    UsernameTooLong(usize),
    /// The password has this many bytes; 1024 are allowed.
    PasswordTooLong(usize),
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyUsername => f.write_str("the user name is empty"),
            Self::UsernameTooLong(len) => write!(f, "the user name has {len} bytes, 508 are allowed"),
            Self::PasswordTooLong(len) => write!(f, "the password has {len} bytes, 1024 are allowed"),
        }
    }
}

impl core::error::Error for CredentialsError {}
