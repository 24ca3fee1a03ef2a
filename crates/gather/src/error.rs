//! Why a server gave no candidate.

use core::fmt;

use floe_pair::TransportAddress;

use crate::{event::Limit, request::RequestFailure};

/// Why a server gave no candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The URI asks for a transport that is not spoken here yet.
    UnsupportedTransport,
    /// Its name could not be resolved.
    Resolve(RequestFailure),
    /// None of its addresses can be reached from any address of this host: other family, or not an address
    /// of a server at all.
    NoUsableAddress,
    /// It was not asked so far: as much was asked of others as this limit allows at a time.
    BeyondLimit(Limit),
    /// No socket for its allocation.
    Bind(RequestFailure),
    /// It did not answer by the deadline of gathering. A later answer still counts.
    NotInTime,
    /// It did not answer at all.
    TimedOut,
    /// It answered with this error code.
    Refused(u16),
    /// It answered with something that no rule allows to be used.
    BadResponse,
    /// The answer names no address (RFC 8489 §14.1, §14.2).
    NoMappedAddress,
    /// The answer names an address that cannot be a candidate.
    BadMappedAddress(TransportAddress),
    /// The answer names a relayed address that cannot be a candidate.
    BadRelayedAddress(TransportAddress),
    /// It refused the allocation.
    Allocate(floe_turn::AllocateError),
    /// It sent us to an address that may not be used (RFC 8489 §10).
    BadRedirect(TransportAddress),
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedTransport => f.write_str("transport not supported"),
            Self::Resolve(failure) => write!(f, "name not resolved: {failure}"),
            Self::NoUsableAddress => f.write_str("no usable address"),
            Self::BeyondLimit(_) => f.write_str("not asked, a limit was reached"),
            Self::Bind(failure) => write!(f, "no socket: {failure}"),
            Self::NotInTime => f.write_str("no answer by the deadline"),
            Self::TimedOut => f.write_str("no answer"),
            Self::Refused(code) => write!(f, "error {code}"),
            Self::BadResponse => f.write_str("unusable response"),
            Self::NoMappedAddress => f.write_str("no mapped address in the response"),
            Self::BadMappedAddress(address) => write!(f, "mapped address {address} cannot be a candidate"),
            Self::BadRelayedAddress(address) => write!(f, "relayed address {address} cannot be a candidate"),
            Self::Allocate(error) => write!(f, "no allocation: {error}"),
            Self::BadRedirect(address) => write!(f, "redirected to {address}"),
        }
    }
}

impl core::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Resolve(failure) | Self::Bind(failure) => Some(failure),
            Self::Allocate(error) => Some(error),
            _ => None,
        }
    }
}
