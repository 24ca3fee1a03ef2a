//! Attributes of the long-term credential mechanism (RFC 8489 §14) and of third-party authorization
//! (RFC 7635).

use core::fmt;

use super::number::bytes_attribute;
use super::text::{is_sendable_text, show, text_attribute};
use super::{Attribute, AttributeError, AttributeType, LengthError, put};
use crate::{PasswordAlgorithm, TransactionId};

/// USERHASH (RFC 8489 §14.4), sent instead of USERNAME: see [`userhash`](crate::userhash).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Userhash(
    /// SHA-256 of user name, colon, realm.
    pub [u8; 32],
);

impl<'a> Attribute<'a> for Userhash {
    const TYPE: AttributeType = AttributeType::USERHASH;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        super::take(Self::TYPE, value).map(Self)
    }

    fn encoded_len(&self) -> usize {
        32
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        *out.first_chunk_mut()? = self.0;
        Some(())
    }
}

/// PASSWORD-ALGORITHMS (RFC 8489 §14.11): what a server offers, the best first. Kept as the bytes it came
/// in, because a client has to send it back unchanged (§9.2.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PasswordAlgorithms<'a>(&'a [u8]);

impl<'a> PasswordAlgorithms<'a> {
    /// SHA-256, then MD5: what a server of RFC 8489 offers.
    pub const SHA256_AND_MD5: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 2, 0, 0, 0, 1, 0, 0]);
    /// SHA-256 alone.
    pub const SHA256: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 2, 0, 0]);
    /// MD5 alone.
    pub const MD5: PasswordAlgorithms<'static> = PasswordAlgorithms(&[0, 1, 0, 0]);

    /// A list to send, in the format of the wire: what a server gave.
    ///
    /// # Errors
    /// [`AttributeError::Value`] if an entry is cut short.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, AttributeError> {
        let mut entries = PasswordAlgorithmEntries(bytes);
        while entries.next().is_some() {}
        // What is left over could not be read as an entry.
        if entries.0.is_empty() { Ok(Self(bytes)) } else { Err(AttributeError::Value(Self::TYPE)) }
    }

    /// The bytes as they stand on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The entries, in the order of the server's preference.
    #[must_use]
    pub const fn iter(&self) -> PasswordAlgorithmEntries<'a> {
        PasswordAlgorithmEntries(self.0)
    }

    /// RFC 8489 §9.2.5: the first algorithm of the list that the codec supports.
    #[must_use]
    pub fn first_supported(&self) -> Option<PasswordAlgorithm> {
        self.iter().find_map(|entry| entry.algorithm())
    }
}

impl<'a> IntoIterator for &PasswordAlgorithms<'a> {
    type Item = PasswordAlgorithmAttribute<'a>;
    type IntoIter = PasswordAlgorithmEntries<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for PasswordAlgorithms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithms<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHMS;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        Self::from_bytes(value)
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        put(out, self.0)
    }
}

/// The entries of a [`PasswordAlgorithms`] list.
#[derive(Clone, Debug)]
pub struct PasswordAlgorithmEntries<'a>(&'a [u8]);

impl<'a> Iterator for PasswordAlgorithmEntries<'a> {
    type Item = PasswordAlgorithmAttribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, rest) = split_entry(self.0)?;
        self.0 = rest;
        Some(entry)
    }
}

/// One algorithm with its parameters off the front of a list. RFC 8489 §14.11: the parameters are padded to
/// four bytes; the padding of the last entry may be missing, since it is the attribute's own.
fn split_entry(bytes: &[u8]) -> Option<(PasswordAlgorithmAttribute<'_>, &[u8])> {
    let ([n0, n1, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    let parameters = rest.get(..length)?;
    let rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((PasswordAlgorithmAttribute { number: u16::from_be_bytes([*n0, *n1]), parameters }, rest))
}

/// PASSWORD-ALGORITHM (RFC 8489 §14.12): what the client used; also one entry of PASSWORD-ALGORITHMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PasswordAlgorithmAttribute<'a> {
    /// Number of the algorithm (RFC 8489 §18.5).
    pub number: u16,
    /// Parameters without padding; none for the two algorithms there are.
    pub parameters: &'a [u8],
}

impl PasswordAlgorithmAttribute<'_> {
    /// The attribute for an algorithm the codec supports.
    #[must_use]
    pub const fn new(algorithm: PasswordAlgorithm) -> Self {
        Self { number: algorithm.number(), parameters: &[] }
    }

    /// The algorithm, if the codec supports it. RFC 8489 §18.5.1: neither MD5 nor SHA-256 has parameters.
    #[must_use]
    pub const fn algorithm(&self) -> Option<PasswordAlgorithm> {
        if self.parameters.is_empty() { PasswordAlgorithm::from_number(self.number) } else { None }
    }
}

impl<'a> Attribute<'a> for PasswordAlgorithmAttribute<'a> {
    const TYPE: AttributeType = AttributeType::PASSWORD_ALGORITHM;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        match split_entry(value) {
            Some((entry, [])) => Ok(entry),
            _ => Err(AttributeError::Value(Self::TYPE)),
        }
    }

    fn encoded_len(&self) -> usize {
        self.parameters.len().next_multiple_of(4).saturating_add(4)
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let length = u16::try_from(self.parameters.len()).ok()?;
        let (head, rest) = out.split_first_chunk_mut::<4>()?;
        let ([n0, n1], [l0, l1]) = (self.number.to_be_bytes(), length.to_be_bytes());
        *head = [n0, n1, l0, l1];
        // RFC 8489 §14.12: the parameters' own padding is zero too.
        rest.fill(0);
        put(rest, self.parameters)
    }
}

text_attribute! {
    /// THIRD-PARTY-AUTHORIZATION (RFC 7635 §6.1): the server's name for the authorization server.
    ThirdPartyAuthorization, THIRD_PARTY_AUTHORIZATION, "at most 127 characters", is_sendable_text, show
}
bytes_attribute! {
    /// ACCESS-TOKEN (RFC 7635 §6.2), opaque to the client. Not shown in `Debug`.
    AccessToken, ACCESS_TOKEN
}
