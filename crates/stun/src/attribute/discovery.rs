//! Attributes of NAT behaviour discovery (RFC 5780 §7).

use super::number::{bytes_attribute, number_attribute};
use super::{Attribute, AttributeError, AttributeType, take};
use crate::TransactionId;

/// CHANGE-REQUEST (RFC 5780 §7.2): where the server shall answer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChangeRequest {
    /// From its other IP address.
    pub ip: bool,
    /// From its other port.
    pub port: bool,
}

impl<'a> Attribute<'a> for ChangeRequest {
    const TYPE: AttributeType = AttributeType::CHANGE_REQUEST;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [_, _, _, flags] = take(Self::TYPE, value)?;
        Ok(Self { ip: flags & 0x04 != 0, port: flags & 0x02 != 0 })
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let flags = if self.ip { 0x04 } else { 0 } | if self.port { 0x02 } else { 0 };
        *out.first_chunk_mut()? = [0, 0, 0, flags];
        Some(())
    }
}

/// RESPONSE-PORT (RFC 5780 §7.5): the port of ours the server shall answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponsePort(
    /// The port.
    pub u16,
);

impl<'a> Attribute<'a> for ResponsePort {
    const TYPE: AttributeType = AttributeType::RESPONSE_PORT;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        take(Self::TYPE, value).map(|port| Self(u16::from_be_bytes(port)))
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let [high, low] = self.0.to_be_bytes();
        *out.first_chunk_mut()? = [high, low, 0, 0];
        Some(())
    }
}

bytes_attribute! {
    /// PADDING (RFC 5780 §7.6): bytes that mean nothing and make the message long.
    Padding, PADDING
}
number_attribute! {
    /// CACHE-TIMEOUT (number registered by RFC 5780 §9.1): seconds a server keeps its answer.
    CacheTimeout(u32), CACHE_TIMEOUT
}
