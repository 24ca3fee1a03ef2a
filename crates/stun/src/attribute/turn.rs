//! Attributes of TURN (RFC 8656 §18), of its TCP allocations (RFC 6062) and of its mobility (RFC 8016).

use core::fmt;
use core::net::IpAddr;

use super::address::{IPV4, IPV6};
use super::number::{bytes_attribute, flag_attribute, number_attribute};
use super::{Attribute, AttributeError, AttributeType, take};
use crate::{ChannelNumber, TransactionId};

/// IPv4 or IPv6 (RFC 8489 §14.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AddressFamily {
    /// Family 0x01.
    Ipv4,
    /// Family 0x02.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    pub(super) const fn from_wire(number: u8) -> Result<Self, AttributeError> {
        match number {
            IPV4 => Ok(Self::Ipv4),
            IPV6 => Ok(Self::Ipv6),
            other => Err(AttributeError::UnknownFamily(other)),
        }
    }

    pub(super) const fn to_wire(self) -> u8 {
        match self {
            Self::Ipv4 => IPV4,
            Self::Ipv6 => IPV6,
        }
    }
}

/// CHANNEL-NUMBER (RFC 8656 §18.1). A number outside the range a client may use is
/// [`AttributeError::Value`].
impl<'a> Attribute<'a> for ChannelNumber {
    const TYPE: AttributeType = AttributeType::CHANNEL_NUMBER;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [high, low, _, _] = take(Self::TYPE, value)?;
        Self::new(u16::from_be_bytes([high, low])).ok_or(AttributeError::Value(Self::TYPE))
    }

    fn encoded_len(&self) -> usize {
        4
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let [high, low] = self.get().to_be_bytes();
        *out.first_chunk_mut()? = [high, low, 0, 0];
        Some(())
    }
}

number_attribute! {
    /// LIFETIME (RFC 8656 §18.2): seconds until the allocation expires; 0 deletes it.
    Lifetime(u32), LIFETIME
}
bytes_attribute! {
    /// DATA (RFC 8656 §18.4): what the peer sent, or shall be sent to it. Not shown in `Debug`.
    Data, DATA
}
flag_attribute! {
    /// DONT-FRAGMENT (RFC 8656 §18.9): the server shall set the DF bit when it relays.
    DontFragment, DONT_FRAGMENT
}
number_attribute! {
    /// CONNECTION-ID (RFC 6062 §6.2.1): names a connection of a TCP allocation to a peer.
    ConnectionId(u32), CONNECTION_ID
}
bytes_attribute! {
    /// MOBILITY-TICKET (RFC 8016 §3.1): opens an allocation from a new address; empty in the first request.
    /// Not shown in `Debug`.
    MobilityTicket, MOBILITY_TICKET
}

/// An attribute of four bytes of which only the first counts.
macro_rules! first_byte_attribute {
    ($(#[$doc:meta])* $name:ident($field:ty), $kind:ident, $read:expr, $write:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(
            /// What the first byte says; the other three are zero on sending and ignored on receipt.
            pub $field,
        );

        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
                let [first, _, _, _] = take(Self::TYPE, value)?;
                let read: fn(u8) -> Result<$field, AttributeError> = $read;
                read(first).map(Self)
            }

            fn encoded_len(&self) -> usize {
                4
            }

            fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
                let write: fn($field) -> u8 = $write;
                *out.first_chunk_mut()? = [write(self.0), 0, 0, 0];
                Some(())
            }
        }
    };
}

first_byte_attribute! {
    /// REQUESTED-TRANSPORT (RFC 8656 §18.8): the protocol number of the relayed side.
    RequestedTransport(u8), REQUESTED_TRANSPORT, Ok, |number| number
}
first_byte_attribute! {
    /// REQUESTED-ADDRESS-FAMILY (RFC 8656 §18.6): the family the relayed address shall have.
    RequestedAddressFamily(AddressFamily), REQUESTED_ADDRESS_FAMILY,
    AddressFamily::from_wire, AddressFamily::to_wire
}
first_byte_attribute! {
    /// ADDITIONAL-ADDRESS-FAMILY (RFC 8656 §18.11): allocate an address of this family too; only IPv6 is
    /// allowed in a request.
    AdditionalAddressFamily(AddressFamily), ADDITIONAL_ADDRESS_FAMILY,
    AddressFamily::from_wire, AddressFamily::to_wire
}

impl RequestedTransport {
    /// RFC 8656 §18.8: UDP, the only one of TURN itself.
    pub const UDP: Self = Self(17);
    /// RFC 6062 §4.1: TCP.
    pub const TCP: Self = Self(6);
}

/// EVEN-PORT (RFC 8656 §18.7): the relayed port shall be even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EvenPort {
    /// Also reserve the next higher port, for RTCP.
    pub reserve: bool,
}

impl<'a> Attribute<'a> for EvenPort {
    const TYPE: AttributeType = AttributeType::EVEN_PORT;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [flags] = take(Self::TYPE, value)?;
        Ok(Self { reserve: flags & 0x80 != 0 })
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        *out.first_mut()? = if self.reserve { 0x80 } else { 0 };
        Some(())
    }
}

/// RESERVATION-TOKEN (RFC 8656 §18.10): takes a port that EVEN-PORT reserved. Not shown in `Debug`: whoever
/// has it takes the port.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReservationToken(
    /// The token as the server gave it.
    pub [u8; 8],
);

impl fmt::Debug for ReservationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReservationToken(redacted)")
    }
}

impl<'a> Attribute<'a> for ReservationToken {
    const TYPE: AttributeType = AttributeType::RESERVATION_TOKEN;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        take(Self::TYPE, value).map(Self)
    }

    fn encoded_len(&self) -> usize {
        8
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        *out.first_chunk_mut()? = self.0;
        Some(())
    }
}

/// ICMP (RFC 8656 §18.13): an ICMP message the server got for a datagram it relayed. Never authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// ICMP type, of ICMPv4 or ICMPv6 as the peer's address is.
    pub kind: u8,
    /// ICMP code.
    pub code: u8,
    /// The next hop's MTU in bytes where type and code say "too big", else zero.
    pub data: u32,
}

impl<'a> Attribute<'a> for Icmp {
    const TYPE: AttributeType = AttributeType::ICMP;

    fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
        let [_, _, kind, code, d0, d1, d2, d3] = take(Self::TYPE, value)?;
        Ok(Self { kind, code, data: u32::from_be_bytes([d0, d1, d2, d3]) })
    }

    fn encoded_len(&self) -> usize {
        8
    }

    fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
        let [d0, d1, d2, d3] = self.data.to_be_bytes();
        *out.first_chunk_mut()? = [0, 0, self.kind, self.code, d0, d1, d2, d3];
        Some(())
    }
}
