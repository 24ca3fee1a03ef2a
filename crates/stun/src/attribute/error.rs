//! ERROR-CODE and ADDRESS-ERROR-CODE.

use core::fmt;

use super::text::{SENT_CHARACTERS, show};
use super::turn::AddressFamily;
use super::{Attribute, AttributeError, AttributeType, put, take};
use crate::TransactionId;

/// ERROR-CODE (RFC 8489 §14.8): why a request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode<'a> {
    code: u16,
    reason: &'a [u8],
}

impl ErrorCode<'_> {
    /// RFC 8489 §14.8: ask the server in ALTERNATE-SERVER.
    pub const TRY_ALTERNATE: u16 = 300;
    /// RFC 8489 §14.8: the request was malformed.
    pub const BAD_REQUEST: u16 = 400;
    /// RFC 8489 §14.8: credentials are missing or wrong.
    pub const UNAUTHENTICATED: u16 = 401;
    /// RFC 8656 §19: not allowed, whoever asks.
    pub const FORBIDDEN: u16 = 403;
    /// RFC 8016 §3.1: mobility is not allowed.
    pub const MOBILITY_FORBIDDEN: u16 = 405;
    /// RFC 8489 §14.8: a comprehension-required attribute was not understood.
    pub const UNKNOWN_ATTRIBUTE: u16 = 420;
    /// RFC 8656 §19: there is no such allocation, or there is one already.
    pub const ALLOCATION_MISMATCH: u16 = 437;
    /// RFC 8489 §14.8: the nonce has expired; the answer brings a new one.
    pub const STALE_NONCE: u16 = 438;
    /// RFC 8656 §19: the server cannot allocate an address of this family.
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: u16 = 440;
    /// RFC 8656 §19: the allocation was made with other credentials.
    pub const WRONG_CREDENTIALS: u16 = 441;
    /// RFC 8656 §19: the server does not relay this transport.
    pub const UNSUPPORTED_TRANSPORT: u16 = 442;
    /// RFC 8656 §19: the peer's address is of another family than the allocation.
    pub const PEER_ADDRESS_FAMILY_MISMATCH: u16 = 443;
    /// RFC 6062 §6.3: there is a connection to this peer already.
    pub const CONNECTION_ALREADY_EXISTS: u16 = 446;
    /// RFC 6062 §6.3: the peer could not be connected to, or timed out.
    pub const CONNECTION_TIMEOUT: u16 = 447;
    /// RFC 8656 §19: this user holds as many allocations as it may.
    pub const ALLOCATION_QUOTA_REACHED: u16 = 486;
    /// RFC 8445 §16.2: both agents claim the same role.
    pub const ROLE_CONFLICT: u16 = 487;
    /// RFC 8489 §14.8: a passing fault of the server.
    pub const SERVER_ERROR: u16 = 500;
    /// RFC 8656 §19: the server cannot carry more at present.
    pub const INSUFFICIENT_CAPACITY: u16 = 508;
}

impl<'a> ErrorCode<'a> {
    /// An error to send.
    ///
    /// `code` is 300 to 699, other numbers are taken as the nearer end of that range; of `reason` the first
    /// 127 characters are kept (RFC 8489 §14.8). So what is written is well formed, whatever is passed.
    #[must_use]
    pub fn new(code: u16, reason: &'a str) -> Self {
        Self { code: code.clamp(300, 699), reason: first_characters(reason) }
    }

    /// The code, 300 to 699.
    #[must_use]
    #[inline]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The reason phrase as it stands on the wire, at most 763 bytes.
    #[must_use]
    #[inline]
    pub const fn reason_bytes(&self) -> &'a [u8] {
        self.reason
    }

    /// The reason phrase; `None` if the sender did not write UTF-8.
    #[must_use]
    pub fn reason(&self) -> Option<&'a str> {
        core::str::from_utf8(self.reason).ok()
    }

    /// The reason phrase with everything that is not UTF-8 replaced by U+FFFD.
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn reason_lossy(&self) -> alloc::borrow::Cow<'a, str> {
        alloc::string::String::from_utf8_lossy(self.reason)
    }
}

impl fmt::Debug for ErrorCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErrorCode {}", self.code)?;
        show(self.reason, f)
    }
}

impl<'a> Attribute<'a> for ErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ERROR_CODE;

    #[inline]
    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [_, _, class, number] = take(Self::TYPE, value)?;
        let code = read_code(Self::TYPE, class, number)?;
        Ok(Self { code, reason: value.get(4..).unwrap_or_default() })
    }

    #[inline]
    fn encoded_len(&self) -> usize {
        self.reason.len().saturating_add(4)
    }

    #[inline]
    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        write_code(0, self.code, self.reason, out)
    }
}

/// ADDRESS-ERROR-CODE (RFC 8656 §18.12): why one of two address families was not allocated.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressErrorCode<'a> {
    family: AddressFamily,
    code: u16,
    reason: &'a [u8],
}

impl<'a> AddressErrorCode<'a> {
    /// An error to send; `code` and `reason` are kept in range as by [`ErrorCode::new`].
    #[must_use]
    pub fn new(family: AddressFamily, code: u16, reason: &'a str) -> Self {
        Self { family, code: code.clamp(300, 699), reason: first_characters(reason) }
    }

    /// The family that was not allocated.
    #[must_use]
    pub const fn family(&self) -> AddressFamily {
        self.family
    }

    /// The code, 300 to 699; the RFC names 440 and 508.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The reason phrase as it stands on the wire.
    #[must_use]
    pub const fn reason_bytes(&self) -> &'a [u8] {
        self.reason
    }

    /// The reason phrase; `None` if the sender did not write UTF-8.
    #[must_use]
    pub fn reason(&self) -> Option<&'a str> {
        core::str::from_utf8(self.reason).ok()
    }
}

impl fmt::Debug for AddressErrorCode<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressErrorCode {:?} {}", self.family, self.code)?;
        show(self.reason, f)
    }
}

impl<'a> Attribute<'a> for AddressErrorCode<'a> {
    const TYPE: AttributeType = AttributeType::ADDRESS_ERROR_CODE;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [family, _, class, number] = take(Self::TYPE, value)?;
        Ok(Self {
            family: AddressFamily::from_wire(family)?,
            code: read_code(Self::TYPE, class, number)?,
            reason: value.get(4..).unwrap_or_default(),
        })
    }

    fn encoded_len(&self) -> usize {
        self.reason.len().saturating_add(4)
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        write_code(self.family.to_wire(), self.code, self.reason, out)
    }
}

/// RFC 8489 §14.8: the hundreds digit is 3 to 6 and stands in three bits, the five above them are ignored;
/// the rest is 0 to 99.
#[inline]
fn read_code(kind: AttributeType, class: u8, number: u8) -> Result<u16, AttributeError> {
    let class = class & 0x07;
    if !(3..=6).contains(&class) || number > 99 {
        return Err(AttributeError::Value(kind));
    }
    Ok(u16::from(class).wrapping_mul(100).wrapping_add(u16::from(number)))
}

#[inline]
fn write_code(first: u8, code: u16, reason: &[u8], out: &mut [u8]) -> Option<()> {
    let (head, rest) = out.split_first_chunk_mut::<4>()?;
    let class = u8::try_from(code / 100).ok()?;
    let number = u8::try_from(code % 100).ok()?;
    *head = [first, 0, class, number];
    put(rest, reason)
}

/// The first 127 characters, at most 508 bytes.
fn first_characters(text: &str) -> &[u8] {
    let end = text.char_indices().nth(SENT_CHARACTERS).map_or(text.len(), |(at, _)| at);
    text.as_bytes().get(..end).unwrap_or_default()
}
