//! Writing a message into a caller's buffer, in the one order the RFC allows.
//!
//! ```text
//! MessageWriter --put*--> MessageWriter --sign--> SignedWriter --[sign_sha256]--> SignedWriter
//!       |  |                                          |   |
//!       |  +--fingerprint--> length                   |   +--fingerprint--> length
//!       +-----finish-------> length                   +------finish-------> length
//! ```

use core::fmt;

use crate::attribute::{Attribute, AttributeType, put};
use crate::fingerprint::{self, FINGERPRINT_BYTES};
use crate::header::message_type;
use crate::integrity::{Algorithm, IntegrityKey, SHA1_BYTES, SHA256_BYTES, Sha1Key};
use crate::message::padded;
use crate::{Class, HEADER_BYTES, MAGIC_COOKIE, MAX_MESSAGE_BYTES, Method, TransactionId};

/// A 420 names at most so many attributes: more than any RFC defines, and fewer than a hostile request can
/// hold.
pub const MAX_UNKNOWN_ATTRIBUTES: usize = 64;

/// A message in the making.
///
/// ```
/// use floe_stun::attribute::{ErrorCode, Realm};
/// use floe_stun::{Class, MessageWriter, Method, TransactionId};
///
/// let mut buffer = [0; 128];
/// let id = TransactionId([1; 12]);
/// let mut writer = MessageWriter::new(&mut buffer, Class::Error, Method::ALLOCATE, id)?;
/// writer.put(&ErrorCode::new(ErrorCode::UNAUTHENTICATED, "Unauthenticated"))?;
/// writer.put(&Realm::new(b"example.org")?)?;
/// let len = writer.fingerprint()?;
/// assert_eq!(len, 20 + 24 + 16 + 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its header's length field is right after every step; padding is zero whatever
/// the buffer held before.
#[derive(Debug)]
#[must_use]
pub struct MessageWriter<'b> {
    buffer: &'b mut [u8],
    /// Bytes written so far, header included.
    len: usize,
    id: TransactionId,
}

impl<'b> MessageWriter<'b> {
    /// Begins a message at the front of `buffer`.
    ///
    /// # Errors
    /// [`WriteError::BufferTooSmall`] if not even the header fits.
    #[inline]
    pub fn new(
        buffer: &'b mut [u8],
        class: Class,
        method: Method,
        id: TransactionId,
    ) -> Result<Self, WriteError> {
        let header = buffer.first_chunk_mut::<HEADER_BYTES>().ok_or(WriteError::BufferTooSmall)?;
        let [t0, t1] = message_type(class, method).to_be_bytes();
        let [c0, c1, c2, c3] = MAGIC_COOKIE.to_be_bytes();
        let (front, place_of_id) = header.split_at_mut(8);
        front.copy_from_slice(&[t0, t1, 0, 0, c0, c1, c2, c3]);
        place_of_id.copy_from_slice(&id.0);
        Ok(Self { buffer, len: HEADER_BYTES, id })
    }

    /// Appends an attribute.
    ///
    /// # Errors
    /// It does not fit into the buffer or into a STUN message, or it is one that only
    /// [`sign`](Self::sign) and [`fingerprint`](Self::fingerprint) write. The message is as it was before.
    #[inline]
    pub fn put<'a, A: Attribute<'a>>(&mut self, attribute: &A) -> Result<(), WriteError> {
        let id = self.id;
        self.append(A::TYPE, attribute.encoded_len(), |value| attribute.encode(id, value))
    }

    /// Appends an attribute of any type as raw bytes.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn put_raw(&mut self, kind: AttributeType, value: &[u8]) -> Result<(), WriteError> {
        self.append(kind, value.len(), |place| put(place, value))
    }

    /// Appends UNKNOWN-ATTRIBUTES (RFC 8489 §14.13) with the first [`MAX_UNKNOWN_ATTRIBUTES`] of these types,
    /// as [`Message::unknown_required`](crate::Message::unknown_required) lists them.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn put_unknown(
        &mut self,
        types: impl Iterator<Item = AttributeType> + Clone,
    ) -> Result<(), WriteError> {
        let types = types.take(MAX_UNKNOWN_ATTRIBUTES);
        let len = types.clone().count().saturating_mul(2);
        self.append(AttributeType::UNKNOWN_ATTRIBUTES, len, |value| {
            let (places, _) = value.as_chunks_mut::<2>();
            for (place, kind) in places.iter_mut().zip(types) {
                *place = kind.get().to_be_bytes();
            }
            Some(())
        })
    }

    #[inline]
    fn append(
        &mut self,
        kind: AttributeType,
        len: usize,
        encode: impl FnOnce(&mut [u8]) -> Option<()>,
    ) -> Result<(), WriteError> {
        if kind.is_protection() {
            return Err(WriteError::Protection(kind));
        }
        let value = attribute_place(self.buffer, self.len, kind, len)?;
        encode(value).ok_or(WriteError::BufferTooSmall)?;
        self.len = self.len.wrapping_add(padded(len)).wrapping_add(4);
        set_length_field(self.buffer, self.len);
        Ok(())
    }

    /// The bytes written so far: a whole message at every step.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Ends the message without protection; returns its length in bytes.
    #[must_use]
    pub const fn finish(self) -> usize {
        self.len
    }

    /// Ends the message with FINGERPRINT (RFC 8489 §14.7); returns its length in bytes.
    ///
    /// # Errors
    /// It does not fit.
    #[inline]
    pub fn fingerprint(self) -> Result<usize, WriteError> {
        write_fingerprint(self.buffer, self.len)
    }

    /// Appends MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.5, §14.6).
    ///
    /// # Errors
    /// It does not fit.
    #[inline]
    pub fn sign(self, key: &IntegrityKey, algorithm: Algorithm) -> Result<SignedWriter<'b>, WriteError> {
        let sign = |covered: &[u8], out: &mut [u8]| key.sign(algorithm, covered, out);
        let len = write_integrity(self.buffer, self.len, algorithm, sign)?;
        Ok(SignedWriter { buffer: self.buffer, len, last: algorithm })
    }

    /// Appends MESSAGE-INTEGRITY (RFC 8489 §14.5).
    ///
    /// # Errors
    /// It does not fit.
    #[inline]
    pub fn sign_sha1(self, key: &Sha1Key) -> Result<SignedWriter<'b>, WriteError> {
        let sign = |covered: &[u8], out: &mut [u8]| key.sign(covered, out);
        let len = write_integrity(self.buffer, self.len, Algorithm::Sha1, sign)?;
        Ok(SignedWriter { buffer: self.buffer, len, last: Algorithm::Sha1 })
    }
}

/// A message that carries an integrity attribute: no other attribute can follow.
#[derive(Debug)]
#[must_use]
pub struct SignedWriter<'b> {
    buffer: &'b mut [u8],
    len: usize,
    /// The integrity attribute that stands last.
    last: Algorithm,
}

impl SignedWriter<'_> {
    /// Appends MESSAGE-INTEGRITY-SHA256 behind MESSAGE-INTEGRITY, for a peer whose ability is not known
    /// (RFC 8489 §9.1.2).
    ///
    /// # Errors
    /// [`WriteError::SignedTwice`] if it stands there already; or it does not fit.
    pub fn sign_sha256(mut self, key: &IntegrityKey) -> Result<Self, WriteError> {
        if self.last == Algorithm::Sha256 {
            return Err(WriteError::SignedTwice);
        }
        let sign = |covered: &[u8], out: &mut [u8]| key.sign(Algorithm::Sha256, covered, out);
        self.len = write_integrity(self.buffer, self.len, Algorithm::Sha256, sign)?;
        self.last = Algorithm::Sha256;
        Ok(self)
    }

    /// Ends the message with FINGERPRINT (RFC 8489 §14.7); returns its length in bytes.
    ///
    /// # Errors
    /// It does not fit.
    #[inline]
    pub fn fingerprint(self) -> Result<usize, WriteError> {
        write_fingerprint(self.buffer, self.len)
    }

    /// Ends the message; returns its length in bytes.
    #[must_use]
    pub const fn finish(self) -> usize {
        self.len
    }
}

/// Writes type, length and zero padding of an attribute behind the first `at` bytes and returns the place of
/// its value.
#[inline]
fn attribute_place(
    buffer: &mut [u8],
    at: usize,
    kind: AttributeType,
    len: usize,
) -> Result<&mut [u8], WriteError> {
    let wire_len = u16::try_from(len).map_err(|_| WriteError::MessageTooLong)?;
    let end = at.wrapping_add(4).wrapping_add(padded(len));
    if end > MAX_MESSAGE_BYTES {
        return Err(WriteError::MessageTooLong);
    }
    let place = buffer.get_mut(at..end).ok_or(WriteError::BufferTooSmall)?;
    // RFC 8489 §14: padding is zero on sending. The last four bytes hold all of it; what is not padding there
    // is written over.
    if let Some(last) = place.last_chunk_mut::<4>() {
        *last = [0; 4];
    }
    let (head, value) = place.split_first_chunk_mut::<4>().ok_or(WriteError::BufferTooSmall)?;
    let ([k0, k1], [l0, l1]) = (kind.get().to_be_bytes(), wire_len.to_be_bytes());
    *head = [k0, k1, l0, l1];
    value.get_mut(..len).ok_or(WriteError::BufferTooSmall)
}

/// RFC 8489 §5: the length field counts what follows the header, which is a multiple of four and at most
/// 65532.
#[inline]
fn set_length_field(buffer: &mut [u8], len: usize) {
    if let Some([_, _, l0, l1]) = buffer.first_chunk_mut::<4>() {
        [.., *l0, *l1] = len.wrapping_sub(HEADER_BYTES).to_be_bytes();
    }
}

#[inline]
fn write_integrity(
    buffer: &mut [u8],
    at: usize,
    algorithm: Algorithm,
    sign: impl FnOnce(&[u8], &mut [u8]),
) -> Result<usize, WriteError> {
    let (kind, tag_bytes) = match algorithm {
        Algorithm::Sha1 => (AttributeType::MESSAGE_INTEGRITY, SHA1_BYTES),
        Algorithm::Sha256 => (AttributeType::MESSAGE_INTEGRITY_SHA256, SHA256_BYTES),
    };
    attribute_place(buffer, at, kind, tag_bytes)?;
    let end = at.wrapping_add(4).wrapping_add(tag_bytes);
    // RFC 8489 §14.5: what is hashed has a length field that ends behind this attribute.
    set_length_field(buffer, end);
    let (covered, rest) = buffer.split_at_mut_checked(at).ok_or(WriteError::BufferTooSmall)?;
    let end_of_tag = tag_bytes.wrapping_add(4);
    sign(covered, rest.get_mut(4..end_of_tag).ok_or(WriteError::BufferTooSmall)?);
    Ok(end)
}

#[inline]
fn write_fingerprint(buffer: &mut [u8], at: usize) -> Result<usize, WriteError> {
    attribute_place(buffer, at, AttributeType::FINGERPRINT, 4)?;
    let end = at.wrapping_add(FINGERPRINT_BYTES);
    // RFC 8489 §14.7: the CRC covers a length field that counts FINGERPRINT too.
    set_length_field(buffer, end);
    let (covered, rest) = buffer.split_at_mut_checked(at).ok_or(WriteError::BufferTooSmall)?;
    let value = fingerprint::value(covered).to_be_bytes();
    rest.get_mut(4..).and_then(|rest| put(rest, &value)).ok_or(WriteError::BufferTooSmall)?;
    Ok(end)
}

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The buffer ends before the message does.
    BufferTooSmall,
    /// A STUN message cannot be that long.
    MessageTooLong,
    /// This attribute is written by `sign` and `fingerprint` only.
    Protection(AttributeType),
    /// MESSAGE-INTEGRITY-SHA256 stands there already.
    SignedTwice,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall => f.write_str("the buffer is too small for the message"),
            Self::MessageTooLong => f.write_str("the message is longer than STUN allows"),
            Self::Protection(kind) => write!(f, "{kind} cannot be written as an ordinary attribute"),
            Self::SignedTwice => f.write_str("the message has its MESSAGE-INTEGRITY-SHA256 already"),
        }
    }
}

impl core::error::Error for WriteError {}
