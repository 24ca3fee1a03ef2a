//! UNKNOWN-ATTRIBUTES (RFC 8489 §14.13).

use core::fmt;

use super::{Attribute, AttributeError, AttributeType};
use crate::TransactionId;

/// UNKNOWN-ATTRIBUTES (RFC 8489 §14.13): the types a 420 complains about.
#[derive(Clone, Copy)]
pub struct UnknownAttributes<'a>(List<'a>);

#[derive(Clone, Copy)]
enum List<'a> {
    /// As it came: two bytes each.
    Wire(&'a [[u8; 2]]),
    /// To be sent.
    Types(&'a [AttributeType]),
}

impl<'a> UnknownAttributes<'a> {
    /// A list to send.
    #[must_use]
    pub const fn new(types: &'a [AttributeType]) -> Self {
        Self(List::Types(types))
    }

    /// The types, in order.
    #[must_use]
    pub const fn iter(&self) -> UnknownAttributesIter<'a> {
        UnknownAttributesIter(self.0)
    }
}

impl<'a> IntoIterator for &UnknownAttributes<'a> {
    type Item = AttributeType;
    type IntoIter = UnknownAttributesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for UnknownAttributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnknownAttributes<'_> {}

impl fmt::Debug for UnknownAttributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Attribute<'a> for UnknownAttributes<'a> {
    const TYPE: AttributeType = AttributeType::UNKNOWN_ATTRIBUTES;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        match value.as_chunks() {
            (types, []) => Ok(Self(List::Wire(types))),
            _ => Err(AttributeError::length(Self::TYPE, value.len())),
        }
    }

    fn encoded_len(&self) -> usize {
        match self.0 {
            List::Wire(types) => types.as_flattened().len(),
            List::Types(types) => types.len().saturating_mul(2),
        }
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let (places, _) = out.as_chunks_mut::<2>();
        let mut places = places.iter_mut();
        for kind in self {
            *places.next()? = kind.get().to_be_bytes();
        }
        Some(())
    }
}

/// The types of an [`UnknownAttributes`].
#[derive(Clone)]
pub struct UnknownAttributesIter<'a>(List<'a>);

impl Iterator for UnknownAttributesIter<'_> {
    type Item = AttributeType;

    fn next(&mut self) -> Option<AttributeType> {
        match &mut self.0 {
            List::Wire(types) => {
                let (first, rest) = types.split_first()?;
                *types = rest;
                Some(AttributeType::new(u16::from_be_bytes(*first)))
            }
            List::Types(types) => {
                let (first, rest) = types.split_first()?;
                *types = rest;
                Some(*first)
            }
        }
    }
}

impl fmt::Debug for UnknownAttributesIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
