//! Attributes as typed values (RFC 8489 §14 and the RFCs that add to it).
//!
//! [`AttributeType::lengths`] is the one table of minimum and maximum value lengths; [`RawAttribute::decode`]
//! checks it before any decoder sees a byte. Each typed value says how it is written; the message's writer
//! adds type, length and padding.

mod address;
mod browser;
mod credential;
mod discovery;
mod error;
mod ice;
mod list;
mod number;
mod table;
mod text;
mod turn;

#[cfg(test)]
mod tests;

use core::fmt;

pub use address::{
    AlternateServer, MappedAddress, OtherAddress, ResponseOrigin, XorMappedAddress, XorPeerAddress,
    XorRelayedAddress,
};
pub use browser::{
    DtlsInStun, DtlsInStunAck, GoogConnectionId, GoogDelta, GoogDeltaAck, GoogDeltaSyncRequest,
    GoogLastIceCheckReceived, GoogMessageIntegrity32, GoogMiscInfo, GoogNetworkInfo, GoogRetransmitCount,
};
pub use credential::{
    AccessToken, PasswordAlgorithmAttribute, PasswordAlgorithmEntries, PasswordAlgorithms,
    ThirdPartyAuthorization, Userhash,
};
pub use discovery::{CacheTimeout, ChangeRequest, Padding, ResponsePort};
pub use error::{AddressErrorCode, ErrorCode};
pub use ice::{
    IceControlled, IceControlling, LegacyNomination, Nomination, Priority, TransactionTransmitCounter,
    UseCandidate,
};
pub use list::{UnknownAttributes, UnknownAttributesIter};
pub use table::AttributeType;
pub use text::{AlternateDomain, Nonce, Realm, Software, Username};
pub use turn::{
    AdditionalAddressFamily, AddressFamily, ConnectionId, Data, DontFragment, EvenPort, Icmp, Lifetime,
    MobilityTicket, RequestedAddressFamily, RequestedTransport, ReservationToken,
};

use crate::TransactionId;

/// A typed attribute: how its value is read and written.
pub trait Attribute<'a>: Sized {
    /// Its type on the wire.
    const TYPE: AttributeType;

    /// Reads a value. Whoever calls this has checked its length against [`AttributeType::lengths`]:
    /// use [`RawAttribute::decode`] or [`Message::get`](crate::Message::get).
    ///
    /// # Errors
    /// The value is malformed; never a panic, whatever the bytes.
    fn decode(value: &'a [u8], id: TransactionId) -> Result<Self, AttributeError>;

    /// Bytes of the value, without padding.
    fn encoded_len(&self) -> usize;

    /// Writes the value into `out`, which is [`encoded_len`](Self::encoded_len) bytes long.
    /// `None` if it is shorter.
    fn encode(&self, id: TransactionId, out: &mut [u8]) -> Option<()>;
}

/// An attribute as it stands in the message: its type and its value without padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawAttribute<'a> {
    /// The type.
    pub kind: AttributeType,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl<'a> RawAttribute<'a> {
    /// The typed value, after its length was checked against the table.
    ///
    /// # Errors
    /// [`AttributeError::Type`] if this is another attribute than `A`, [`AttributeError::Length`] if the table
    /// does not allow the length, otherwise what the attribute's decoder found.
    #[inline]
    pub fn decode<A: Attribute<'a>>(&self, id: TransactionId) -> Result<A, AttributeError> {
        if self.kind != A::TYPE {
            return Err(AttributeError::Type(self.kind));
        }
        decode_value(self.value, id)
    }
}

impl fmt::Debug for RawAttribute<'_> {
    /// Shows type and length only: the value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}[{}]", self.kind, self.value.len())
    }
}

/// The only way from bytes to a typed value: the length table first, then the decoder.
#[inline]
pub(crate) fn decode_value<'a, A: Attribute<'a>>(
    value: &'a [u8],
    id: TransactionId,
) -> Result<A, AttributeError> {
    let bounds = const { A::TYPE.lengths() };
    if let Some((min, max)) = bounds
        && (value.len() < min || value.len() > max)
    {
        return Err(AttributeError::Length { kind: A::TYPE, length: value.len() });
    }
    A::decode(value, id)
}

/// Why an attribute could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeError {
    /// Another attribute than the one asked for.
    Type(AttributeType),
    /// The value is shorter or longer than its type allows.
    Length {
        /// The attribute.
        kind: AttributeType,
        /// Bytes of its value.
        length: usize,
    },
    /// An address or an address family that is neither IPv4 nor IPv6. RFC 8489 §14.1: to be treated as if
    /// the attribute were not there.
    UnknownFamily(u8),
    /// The length is right and the content is not.
    Value(AttributeType),
}

impl AttributeError {
    /// A length that the decoder itself found wrong for what the value says (an IPv6 family with 4 bytes).
    pub(crate) const fn length(kind: AttributeType, length: usize) -> Self {
        Self::Length { kind, length }
    }
}

impl fmt::Display for AttributeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(kind) => write!(f, "the attribute is a {kind}"),
            Self::Length { kind, length } => write!(f, "{kind} cannot have {length} bytes"),
            Self::UnknownFamily(family) => write!(f, "address family {family:#04x} is unknown"),
            Self::Value(kind) => write!(f, "the value of {kind} is malformed"),
        }
    }
}

impl core::error::Error for AttributeError {}

/// A value is too long to be sent in its attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LengthError {
    /// The attribute.
    pub kind: AttributeType,
    /// Bytes given.
    pub length: usize,
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes are too long for {}", self.length, self.kind)
    }
}

impl core::error::Error for LengthError {}

/// Copies `bytes` to the front of `out`.
#[inline]
pub(crate) fn put(out: &mut [u8], bytes: &[u8]) -> Option<()> {
    out.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// The first `N` bytes of a value whose length was checked.
#[inline]
pub(crate) fn take<const N: usize>(kind: AttributeType, value: &[u8]) -> Result<[u8; N], AttributeError> {
    value.first_chunk().copied().ok_or(AttributeError::length(kind, value.len()))
}
