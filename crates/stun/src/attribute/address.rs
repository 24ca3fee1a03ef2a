//! Transport addresses, plain and XORed with cookie and transaction id.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Attribute, AttributeError, AttributeType};
use crate::{MAGIC_COOKIE, TransactionId};

/// RFC 8489 §14.1: the family numbers.
pub(super) const IPV4: u8 = 0x01;
pub(super) const IPV6: u8 = 0x02;

const COOKIE: [u8; 4] = MAGIC_COOKIE.to_be_bytes();

/// What an address is XORed with: nothing for the plain attributes. RFC 8489 §14.2: the port with the first
/// two bytes, an IPv4 address with four, an IPv6 address with all sixteen.
const PLAIN: [u8; 16] = [0; 16];

#[inline]
fn mask_of(id: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    let (cookie, rest) = mask.split_at_mut(COOKIE.len());
    cookie.copy_from_slice(&COOKIE);
    rest.copy_from_slice(&id.0);
    mask
}

#[inline]
fn port_mask(mask: [u8; 16]) -> u16 {
    let [m0, m1, ..] = mask;
    u16::from_be_bytes([m0, m1])
}

/// RFC 8489 §14.1: the first byte says nothing and is ignored.
#[inline]
fn read(kind: AttributeType, value: &[u8], mask: [u8; 16]) -> Result<SocketAddr, AttributeError> {
    let wrong_length = AttributeError::length(kind, value.len());
    let Some(([_, family, p0, p1], ip)) = value.split_first_chunk::<4>() else { return Err(wrong_length) };
    let port = u16::from_be_bytes([*p0, *p1]) ^ port_mask(mask);
    let ip: IpAddr = match *family {
        IPV4 => {
            let ip = <[u8; 4]>::try_from(ip).map_err(|_| wrong_length)?;
            let [m0, m1, m2, m3, ..] = mask;
            Ipv4Addr::from_bits(u32::from_be_bytes(ip) ^ u32::from_be_bytes([m0, m1, m2, m3])).into()
        }
        IPV6 => {
            let ip = <[u8; 16]>::try_from(ip).map_err(|_| wrong_length)?;
            Ipv6Addr::from_bits(u128::from_be_bytes(ip) ^ u128::from_be_bytes(mask)).into()
        }
        other => return Err(AttributeError::UnknownFamily(other)),
    };
    Ok(SocketAddr::new(ip, port))
}

#[inline]
const fn written_len(address: &SocketAddr) -> usize {
    if address.is_ipv4() { 8 } else { 20 }
}

#[inline]
fn write(address: &SocketAddr, mask: [u8; 16], out: &mut [u8]) -> Option<()> {
    let family = if address.is_ipv4() { IPV4 } else { IPV6 };
    let [p0, p1] = (address.port() ^ port_mask(mask)).to_be_bytes();
    let (head, ip) = out.split_first_chunk_mut::<4>()?;
    *head = [0, family, p0, p1];
    match address.ip() {
        IpAddr::V4(v4) => {
            let [m0, m1, m2, m3, ..] = mask;
            *ip.first_chunk_mut()? = (v4.to_bits() ^ u32::from_be_bytes([m0, m1, m2, m3])).to_be_bytes();
        }
        IpAddr::V6(v6) => *ip.first_chunk_mut()? = (v6.to_bits() ^ u128::from_be_bytes(mask)).to_be_bytes(),
    }
    Some(())
}

macro_rules! address_attribute {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $mask:expr) => {
        $(#[$doc])*
        ///
        /// An address family that is neither IPv4 nor IPv6 is [`AttributeError::UnknownFamily`], and callers
        /// treat the attribute as absent. Flow label and scope are not part of the wire format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(
            /// The address.
            pub SocketAddr,
        );

        impl<'a> Attribute<'a> for $name {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], id: TransactionId) -> Result<Self, AttributeError> {
                let mask: fn(TransactionId) -> [u8; 16] = $mask;
                read(Self::TYPE, value, mask(id)).map(Self)
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                written_len(&self.0)
            }

            #[inline]
            fn encode(&self, id: TransactionId, out: &mut [u8]) -> Option<()> {
                let mask: fn(TransactionId) -> [u8; 16] = $mask;
                write(&self.0, mask(id), out)
            }
        }
    };
}

address_attribute! {
    /// MAPPED-ADDRESS (RFC 8489 §14.1): where the request came from, as servers older than RFC 5389 say it.
    MappedAddress, MAPPED_ADDRESS, |_| PLAIN
}
address_attribute! {
    /// XOR-MAPPED-ADDRESS (RFC 8489 §14.2): where the request came from.
    XorMappedAddress, XOR_MAPPED_ADDRESS, mask_of
}
address_attribute! {
    /// XOR-PEER-ADDRESS (RFC 8656 §18.3): the peer as the TURN server sees it.
    XorPeerAddress, XOR_PEER_ADDRESS, mask_of
}
address_attribute! {
    /// XOR-RELAYED-ADDRESS (RFC 8656 §18.5): what the TURN server allocated.
    XorRelayedAddress, XOR_RELAYED_ADDRESS, mask_of
}
address_attribute! {
    /// ALTERNATE-SERVER (RFC 8489 §14.15): the server to ask instead.
    AlternateServer, ALTERNATE_SERVER, |_| PLAIN
}
address_attribute! {
    /// RESPONSE-ORIGIN (RFC 5780 §7.3): where the response was sent from.
    ResponseOrigin, RESPONSE_ORIGIN, |_| PLAIN
}
address_attribute! {
    /// OTHER-ADDRESS (RFC 5780 §7.4): where a response to CHANGE-REQUEST would come from.
    OtherAddress, OTHER_ADDRESS, |_| PLAIN
}
