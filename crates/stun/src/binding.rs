//! Binding messages decoded once into what the rules of ICE speak of, in one walk over the attributes.

use core::net::SocketAddr;

use crate::attribute::{
    Attribute, AttributeError, AttributeType, ErrorCode, IceControlled, IceControlling, LegacyNomination,
    MappedAddress, Nomination, Priority, RawAttribute, UseCandidate, Username, XorMappedAddress,
    decode_value,
};
use crate::{Message, TransactionId};

/// The role a check claims, with the sender's tiebreaker (RFC 8445 §7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// ICE-CONTROLLING.
    Controlling(u64),
    /// ICE-CONTROLLED.
    Controlled(u64),
}

/// What a Binding request or indication says. Nothing here is believed before the message's integrity is
/// verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BindingRequest<'a> {
    /// USERNAME, as it stands on the wire.
    pub username: Option<&'a [u8]>,
    /// PRIORITY; any 32 bits.
    pub priority: Option<u32>,
    /// ICE-CONTROLLING or ICE-CONTROLLED, whichever comes first.
    pub claim: Option<Claim>,
    /// USE-CANDIDATE is there.
    pub use_candidate: bool,
    /// NOMINATION.
    pub nomination: Option<u32>,
    /// The nomination attribute of the older renomination draft.
    pub legacy_nomination: Option<u32>,
    /// There is a comprehension-required attribute the codec does not know: RFC 8489 §6.3.1 wants a 420, for
    /// which [`Message::unknown_required`] has the list.
    pub unknown_required: bool,
}

impl<'a> BindingRequest<'a> {
    /// Reads the attributes; of a repeated one only the first counts. Class and method are not looked at.
    ///
    /// # Errors
    /// One of the attributes above is malformed.
    #[inline]
    pub fn decode(message: &Message<'a>) -> Result<Self, AttributeError> {
        let id = message.transaction_id();
        let mut request = Self::default();
        for attribute in message.attributes() {
            match attribute.kind {
                AttributeType::USERNAME => {
                    first(&mut request.username, &attribute, id, |username: Username<'a>| {
                        username.as_bytes()
                    })?;
                }
                AttributeType::PRIORITY => {
                    first(&mut request.priority, &attribute, id, |priority: Priority| priority.0)?;
                }
                AttributeType::ICE_CONTROLLING => {
                    first(&mut request.claim, &attribute, id, |role: IceControlling| {
                        Claim::Controlling(role.0)
                    })?;
                }
                AttributeType::ICE_CONTROLLED => {
                    first(&mut request.claim, &attribute, id, |role: IceControlled| {
                        Claim::Controlled(role.0)
                    })?;
                }
                AttributeType::USE_CANDIDATE => {
                    attribute.decode::<UseCandidate>(id)?;
                    request.use_candidate = true;
                }
                AttributeType::NOMINATION => {
                    first(&mut request.nomination, &attribute, id, |value: Nomination| value.0)?;
                }
                AttributeType::LEGACY_NOMINATION => {
                    first(&mut request.legacy_nomination, &attribute, id, |value: LegacyNomination| value.0)?;
                }
                kind => request.unknown_required |= is_unknown_required(kind),
            }
        }
        Ok(request)
    }
}

/// What a Binding response says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BindingResponse<'a> {
    /// The reflexive address: XOR-MAPPED-ADDRESS, else MAPPED-ADDRESS, which is not looked at otherwise.
    pub mapped: Option<SocketAddr>,
    /// ERROR-CODE, of an error response.
    pub error: Option<ErrorCode<'a>>,
    /// There is a comprehension-required attribute the codec does not know: RFC 8489 §6.3.3, §6.3.4 have the
    /// transaction fail.
    pub unknown_required: bool,
}

impl<'a> BindingResponse<'a> {
    /// Reads the attributes; of a repeated one only the first counts. Class and method are not looked at.
    ///
    /// # Errors
    /// One of the attributes above is malformed.
    #[inline]
    pub fn decode(message: &Message<'a>) -> Result<Self, AttributeError> {
        let mut response = Self::default();
        let (mut xored, mut plain) = (None, None);
        let id = message.transaction_id();
        for attribute in message.attributes() {
            match attribute.kind {
                AttributeType::XOR_MAPPED_ADDRESS => keep(&mut xored, attribute.value),
                AttributeType::MAPPED_ADDRESS => keep(&mut plain, attribute.value),
                AttributeType::ERROR_CODE => {
                    first(&mut response.error, &attribute, id, |error: ErrorCode<'a>| error)?;
                }
                kind => response.unknown_required |= is_unknown_required(kind),
            }
        }
        if let Some(value) = xored {
            response.mapped = known(decode_value::<XorMappedAddress>(value, id).map(|address| address.0))?;
        }
        if let (None, Some(value)) = (response.mapped, plain) {
            response.mapped = known(decode_value::<MappedAddress>(value, id).map(|address| address.0))?;
        }
        Ok(response)
    }
}

/// RFC 8489 §14: keeps the value of the first of its kind.
#[inline]
fn keep<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) {
    if place.is_none() {
        *place = Some(value);
    }
}

/// RFC 8489 §14.1: an address of an unknown family counts as absent.
#[inline]
fn known(address: Result<SocketAddr, AttributeError>) -> Result<Option<SocketAddr>, AttributeError> {
    match address {
        Ok(address) => Ok(Some(address)),
        Err(AttributeError::UnknownFamily(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// RFC 8489 §14: fills a place that is still empty.
#[inline]
fn first<'a, A: Attribute<'a>, T>(
    place: &mut Option<T>,
    attribute: &RawAttribute<'a>,
    id: TransactionId,
    value: impl FnOnce(A) -> T,
) -> Result<(), AttributeError> {
    if place.is_none() {
        *place = Some(value(attribute.decode(id)?));
    }
    Ok(())
}

#[inline]
const fn is_unknown_required(kind: AttributeType) -> bool {
    kind.is_comprehension_required() && !kind.is_known()
}
