//! Reading a message: one scan that checks it, then a view that cannot be wrong.

use core::fmt;

use crate::attribute::{Attribute, AttributeError, AttributeType, RawAttribute, decode_value};
use crate::header::{class_of, method_of};
use crate::integrity::{Algorithm, IntegrityError, IntegrityKey, Sha1Key};
use crate::{Class, FingerprintError, HEADER_BYTES, MAGIC_COOKIE, Method, TransactionId, fingerprint};

/// A checked view of exactly one STUN message; copies nothing and is cheap to pass around.
///
/// What stands behind the first integrity attribute is not visible through it: RFC 8489 §9 has a receiver
/// ignore everything there but MESSAGE-INTEGRITY-SHA256 and FINGERPRINT.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    header: &'a [u8; HEADER_BYTES],
    marks: Marks,
}

/// Where the attributes that protect a message stand, in bytes from its start; 0: there is none that counts.
#[derive(Clone, Copy, Default)]
struct Marks {
    /// MESSAGE-INTEGRITY.
    sha1: usize,
    /// MESSAGE-INTEGRITY-SHA256.
    sha256: usize,
    /// FINGERPRINT.
    fingerprint: usize,
    /// The end of the visible attributes.
    visible: usize,
}

impl Marks {
    /// The one scan over a message's attributes.
    #[inline]
    fn find(bytes: &[u8], body: &[u8]) -> Result<Self, ParseError> {
        let mut marks = Self::default();
        // Every attribute begins on a word, and the caller has seen that the body ends on one.
        let (mut words, _) = body.as_chunks::<4>();
        while let Some(([k0, k1, l0, l1], rest)) = words.split_first() {
            let kind = AttributeType::new(u16::from_be_bytes([*k0, *k1]));
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            // RFC 8489 §14: the length does not count the padding, the next attribute starts behind it.
            let Some(next) = rest.get(length.wrapping_add(3) >> 2..) else {
                return Err(ParseError::AttributeBeyondEnd(kind));
            };
            let at = bytes.len().wrapping_sub(words.as_flattened().len());
            match kind {
                // RFC 8489 §9: behind either integrity attribute another MESSAGE-INTEGRITY is ignored.
                AttributeType::MESSAGE_INTEGRITY if marks.sha1 | marks.sha256 == 0 => {
                    marks.sha1 = protected::<{ AttributeType::MESSAGE_INTEGRITY.get() }>(at, length)?;
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 if marks.sha256 == 0 => {
                    marks.sha256 =
                        protected::<{ AttributeType::MESSAGE_INTEGRITY_SHA256.get() }>(at, length)?;
                }
                // RFC 8489 §14.7: FINGERPRINT is the last attribute.
                AttributeType::FINGERPRINT if !next.is_empty() => return Err(ParseError::AfterFingerprint),
                AttributeType::FINGERPRINT => {
                    marks.fingerprint = protected::<{ AttributeType::FINGERPRINT.get() }>(at, length)?;
                }
                _ => {}
            }
            words = next;
        }
        // What counts first ends the visible part: a SHA-1 tag stands before the SHA-256 tag or not at all.
        marks.visible = [marks.sha1, marks.sha256, marks.fingerprint]
            .into_iter()
            .find(|&at| at != 0)
            .unwrap_or(bytes.len());
        Ok(marks)
    }
}

/// Passes the place of a protecting attribute on if the table allows its length. RFC 8489 §14.6: an
/// HMAC-SHA256 cut short is cut at a multiple of four bytes; the other two have a fixed length that is one.
#[inline]
fn protected<const KIND: u16>(at: usize, length: usize) -> Result<usize, ParseError> {
    let kind = AttributeType::new(KIND);
    let allowed = const { AttributeType::new(KIND).lengths() };
    match allowed {
        Some((min, max)) if min <= length && length <= max && length.is_multiple_of(4) => Ok(at),
        _ => Err(ParseError::ProtectionLength { kind, length }),
    }
}

impl<'a> Message<'a> {
    /// Checks a datagram, or one message cut out of a stream, in one pass; time is linear in its length.
    ///
    /// Checked are the rules of RFC 8489 §5 and §14 that hold for any message: leading bits, cookie, length,
    /// attributes that fill the message exactly, the lengths of the attributes that protect it, and FINGERPRINT
    /// as the last. The lengths of all other attributes are checked where one is read ([`get`](Self::get)):
    /// an attribute that nobody asks for does not make a message unreadable.
    ///
    /// # Errors
    /// The bytes are not one well-formed message. RFC 8489 §6.3: to be dropped silently.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::TooShort(bytes.len()));
        };
        let [t0, t1, l0, l1, c0, c1, c2, c3, ..] = *header;
        let message_type = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if message_type & 0xC000 != 0 {
            return Err(ParseError::LeadingBits);
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(ParseError::Cookie);
        }
        // RFC 8489 §5: every attribute is padded to four bytes, so the length is a multiple of four.
        if length & 3 != 0 {
            return Err(ParseError::UnalignedLength(length));
        }
        if length != body.len() {
            return Err(ParseError::LengthMismatch { header: length, actual: body.len() });
        }
        let marks = Marks::find(bytes, body)?;
        Ok(Self { bytes, header, marks })
    }

    /// Request, indication, success or error response.
    #[must_use]
    #[inline]
    pub const fn class(&self) -> Class {
        class_of(self.message_type())
    }

    /// The method.
    #[must_use]
    #[inline]
    pub const fn method(&self) -> Method {
        method_of(self.message_type())
    }

    /// The transaction id.
    #[must_use]
    #[inline]
    pub const fn transaction_id(&self) -> TransactionId {
        let [_, _, _, _, _, _, _, _, id @ ..] = *self.header;
        TransactionId(id)
    }

    #[inline]
    const fn message_type(&self) -> u16 {
        let [t0, t1, ..] = *self.header;
        u16::from_be_bytes([t0, t1])
    }

    /// The whole message.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The visible attributes in order: those before the first integrity attribute and FINGERPRINT.
    #[must_use]
    #[inline]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.bytes.get(HEADER_BYTES..self.marks.visible).unwrap_or_default() }
    }

    /// The value of the first visible attribute of this type, whatever its length.
    #[must_use]
    #[inline]
    pub fn raw(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// The first visible attribute of type `A`. RFC 8489 §14: of a repeated attribute only the first counts.
    ///
    /// # Errors
    /// The attribute is there and malformed, or of an unknown address family.
    #[inline]
    pub fn get<A: Attribute<'a>>(&self) -> Result<Option<A>, AttributeError> {
        self.raw(A::TYPE).map(|value| decode_value(value, self.transaction_id())).transpose()
    }

    /// Every visible attribute of type `A`, for those that a method allows several times (XOR-PEER-ADDRESS in
    /// CreatePermission, RFC 8656 §10.1).
    #[inline]
    pub fn get_all<A: Attribute<'a>>(&self) -> impl Iterator<Item = Result<A, AttributeError>> + use<'a, A> {
        let id = self.transaction_id();
        self.attributes()
            .filter(|attribute| attribute.kind == A::TYPE)
            .map(move |attribute| decode_value(attribute.value, id))
    }

    /// The visible comprehension-required attributes that the codec does not know, for a 420
    /// (RFC 8489 §6.3.1); repeated as often as they stand in the message.
    #[must_use]
    pub fn unknown_required(&self) -> UnknownRequired<'a> {
        UnknownRequired { attributes: self.attributes() }
    }

    /// Whether there is an integrity attribute, right or wrong.
    #[must_use]
    #[inline]
    pub const fn has_integrity(&self) -> bool {
        self.marks.sha1 != 0 || self.marks.sha256 != 0
    }

    /// Which integrity attribute [`verify_integrity`](Self::verify_integrity) would check.
    #[must_use]
    #[inline]
    pub const fn integrity_algorithm(&self) -> Option<Algorithm> {
        if self.marks.sha256 != 0 {
            Some(Algorithm::Sha256)
        } else if self.marks.sha1 != 0 {
            Some(Algorithm::Sha1)
        } else {
            None
        }
    }

    /// Bytes of the HMAC-SHA256 in MESSAGE-INTEGRITY-SHA256, 16 to 32 in steps of four (RFC 8489 §14.6);
    /// `None` without that attribute. Only 32 ever verify here: ICE and TURN allow no truncation.
    #[must_use]
    pub fn sha256_length(&self) -> Option<usize> {
        if self.marks.sha256 == 0 { None } else { self.value_at(self.marks.sha256).map(<[u8]>::len) }
    }

    /// Whether the last attribute is FINGERPRINT, right or wrong.
    #[must_use]
    #[inline]
    pub const fn has_fingerprint(&self) -> bool {
        self.marks.fingerprint != 0
    }

    /// Checks FINGERPRINT (RFC 8489 §14.7).
    ///
    /// # Errors
    /// There is none, or it is not that of these bytes.
    #[inline]
    pub fn verify_fingerprint(&self) -> Result<(), FingerprintError> {
        if self.marks.fingerprint == 0 {
            return Err(FingerprintError::Absent);
        }
        fingerprint::verify(self.bytes)
    }

    /// Checks MESSAGE-INTEGRITY-SHA256 if it is there, else MESSAGE-INTEGRITY, in constant time.
    ///
    /// # Errors
    /// There is none, it is not of this key and these bytes, or it is an HMAC-SHA256 cut short: RFC 8489
    /// §14.6 allows that only where a usage says so, and neither ICE nor TURN does.
    #[inline]
    pub fn verify_integrity(&self, key: &IntegrityKey) -> Result<Algorithm, IntegrityError> {
        let (algorithm, at) = match (self.marks.sha1, self.marks.sha256) {
            (0, 0) => return Err(IntegrityError::Absent),
            (at, 0) => (Algorithm::Sha1, at),
            (_, at) => (Algorithm::Sha256, at),
        };
        let Some((covered, protection)) = self.bytes.split_at_checked(at) else {
            return Err(IntegrityError::Absent);
        };
        key.verify(algorithm, covered, protection).map(|()| algorithm)
    }

    /// Checks MESSAGE-INTEGRITY, of a sender that is known to use nothing else.
    ///
    /// # Errors
    /// As for [`verify_integrity`](Self::verify_integrity); [`IntegrityError::Mismatch`] also where
    /// MESSAGE-INTEGRITY-SHA256 is there, which counts before it and is not looked at here.
    #[inline]
    pub fn verify_sha1(&self, key: &Sha1Key) -> Result<(), IntegrityError> {
        if self.marks.sha256 != 0 {
            return Err(IntegrityError::Mismatch);
        }
        let at = self.marks.sha1;
        let Some((covered, protection)) = self.bytes.split_at_checked(at).filter(|_| at != 0) else {
            return Err(IntegrityError::Absent);
        };
        key.verify(covered, protection)
    }

    /// The value of the attribute at this offset.
    #[inline]
    fn value_at(&self, at: usize) -> Option<&'a [u8]> {
        let ([_, _, l0, l1], rest) = self.bytes.get(at..)?.split_first_chunk::<4>()?;
        rest.get(..usize::from(u16::from_be_bytes([*l0, *l1])))
    }
}

impl fmt::Debug for Message<'_> {
    /// Shows types and lengths, never values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("class", &self.class())
            .field("method", &self.method())
            .field("id", &format_args!("{}", self.transaction_id()))
            .field("attributes", &self.attributes())
            .field("integrity", &self.integrity_algorithm())
            .field("fingerprint", &self.has_fingerprint())
            .finish()
    }
}

/// Bytes of a value with its padding.
#[inline]
pub(crate) const fn padded(length: usize) -> usize {
    length.wrapping_add(3) & !3
}

/// The visible attributes of a [`Message`], in order.
#[derive(Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = RawAttribute<'a>;

    #[inline]
    fn next(&mut self) -> Option<RawAttribute<'a>> {
        let ([k0, k1, l0, l1], tail) = self.rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        // `Message::parse` has seen that all of it is there.
        let (value, _) = tail.split_at_checked(length)?;
        self.rest = tail.get(padded(length)..)?;
        Some(RawAttribute { kind: AttributeType::new(u16::from_be_bytes([*k0, *k1])), value })
    }
}

impl fmt::Debug for Attributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The types a 420 has to name: see [`Message::unknown_required`].
#[derive(Clone, Debug)]
pub struct UnknownRequired<'a> {
    attributes: Attributes<'a>,
}

impl Iterator for UnknownRequired<'_> {
    type Item = AttributeType;

    fn next(&mut self) -> Option<AttributeType> {
        self.attributes
            .find(|attribute| attribute.kind.is_comprehension_required() && !attribute.kind.is_known())
            .map(|attribute| attribute.kind)
    }
}

/// Why bytes are not one STUN message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer bytes than a header has.
    TooShort(usize),
    /// The two leading bits are not zero.
    LeadingBits,
    /// There is no magic cookie.
    Cookie,
    /// The length field is not a multiple of four.
    UnalignedLength(usize),
    /// The length field does not say what follows the header.
    LengthMismatch {
        /// The length field.
        header: usize,
        /// Bytes behind the header.
        actual: usize,
    },
    /// An attribute says it is longer than what is left of the message.
    AttributeBeyondEnd(AttributeType),
    /// An integrity attribute or FINGERPRINT of a length it cannot have.
    ProtectionLength {
        /// The attribute.
        kind: AttributeType,
        /// Bytes of its value.
        length: usize,
    },
    /// Something stands behind FINGERPRINT.
    AfterFingerprint,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(length) => write!(f, "{length} bytes are too few for a header"),
            Self::LeadingBits => f.write_str("the two leading bits are not zero"),
            Self::Cookie => f.write_str("no magic cookie"),
            Self::UnalignedLength(length) => write!(f, "length {length} is not a multiple of four"),
            Self::LengthMismatch { header, actual } => {
                write!(f, "length field says {header}, {actual} bytes follow the header")
            }
            Self::AttributeBeyondEnd(kind) => write!(f, "{kind} ends beyond the message"),
            Self::ProtectionLength { kind, length } => write!(f, "{kind} cannot have {length} bytes"),
            Self::AfterFingerprint => f.write_str("FINGERPRINT is not the last attribute"),
        }
    }
}

impl core::error::Error for ParseError {}
