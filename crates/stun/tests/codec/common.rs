//! What the tests of the codec share: messages built by hand, tags computed by another library, and one
//! function that asks a message everything there is to ask.

use std::fmt::Write;

use crc::{CRC_32_ISO_HDLC, Crc};
use floe_stun::attribute::{
    AccessToken, AdditionalAddressFamily, AddressErrorCode, AlternateDomain, AlternateServer, CacheTimeout,
    ChangeRequest, ConnectionId, Data, DontFragment, DtlsInStun, DtlsInStunAck, ErrorCode, EvenPort,
    GoogConnectionId, GoogDelta, GoogDeltaAck, GoogDeltaSyncRequest, GoogLastIceCheckReceived,
    GoogMessageIntegrity32, GoogMiscInfo, GoogNetworkInfo, GoogRetransmitCount, IceControlled,
    IceControlling, Icmp, LegacyNomination, Lifetime, MappedAddress, MobilityTicket, Nomination, Nonce,
    OtherAddress, Padding, PasswordAlgorithmAttribute, PasswordAlgorithms, Priority, Realm,
    RequestedAddressFamily, RequestedTransport, ReservationToken, ResponseOrigin, ResponsePort, Software,
    ThirdPartyAuthorization, TransactionTransmitCounter, UnknownAttributes, UseCandidate, Userhash, Username,
    XorMappedAddress, XorPeerAddress, XorRelayedAddress,
};
use floe_stun::binding::{BindingRequest, BindingResponse};
use floe_stun::{Attribute, AttributeError, AttributeType, ChannelNumber, Message};
use hmac::{Hmac, KeyInit, Mac};

/// Bytes of a hex text; white space is ignored.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The transaction id of messages built by hand.
pub(crate) const ID: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// A message put together without the crate's writer, so that it can be wrong.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) bytes: Vec<u8>,
}

impl Raw {
    /// A header of this message type without attributes.
    pub(crate) fn new(message_type: u16) -> Self {
        let mut bytes = message_type.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xA4, 0x42]);
        bytes.extend(ID);
        Self { bytes }
    }

    pub(crate) fn request() -> Self {
        Self::new(0x0001)
    }

    /// Appends an attribute, padded with `padding`, and sets the length field.
    pub(crate) fn padded_with(mut self, kind: u16, value: &[u8], padding: u8) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), padding);
        let len = self.bytes.len();
        self.set_length(len - 20)
    }

    pub(crate) fn attribute(self, kind: u16, value: &[u8]) -> Self {
        self.padded_with(kind, value, 0)
    }

    pub(crate) fn set_length(mut self, length: usize) -> Self {
        self.bytes[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        self
    }

    /// The message so far with a length field that counts `more` bytes to come.
    fn covered(&self, more: usize) -> Vec<u8> {
        self.clone().set_length(self.bytes.len() - 20 + more).bytes
    }

    /// Appends MESSAGE-INTEGRITY computed by the hmac crate.
    pub(crate) fn sha1(self, key: &[u8]) -> Self {
        let tag = hmac_sha1(key, &self.covered(24));
        self.attribute(0x0008, &tag)
    }

    /// Appends the first `len` bytes of an HMAC-SHA256 computed by the hmac crate, then zeros.
    pub(crate) fn sha256_of(self, key: &[u8], len: usize) -> Self {
        let mut tag = hmac_sha256(key, &self.covered(4 + len.next_multiple_of(4)));
        tag.resize(len, 0);
        self.attribute(0x001C, &tag)
    }

    pub(crate) fn sha256(self, key: &[u8]) -> Self {
        self.sha256_of(key, 32)
    }

    /// Appends FINGERPRINT computed by the crc crate's own loop.
    pub(crate) fn fingerprint(self) -> Self {
        let value = crc32(&self.covered(8)) ^ 0x5354_554E;
        self.attribute(0x8028, &value.to_be_bytes())
    }

    /// The bytes in an allocation that ends where they end.
    pub(crate) fn tight(self) -> Box<[u8]> {
        self.bytes.into_boxed_slice()
    }
}

pub(crate) fn hmac_sha1(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn crc32(data: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(data)
}

/// A reproducible stream of numbers for mutations; quality does not matter.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[3]
    }
}

/// Calls `$use!(Type)` for every typed attribute.
macro_rules! for_every_attribute {
    ($use:ident) => {
        $use!(
            MappedAddress ChangeRequest Username<'_> ErrorCode<'_> UnknownAttributes<'_> ChannelNumber
            Lifetime XorPeerAddress Data<'_> Realm<'_> Nonce<'_> XorRelayedAddress RequestedAddressFamily
            EvenPort RequestedTransport DontFragment AccessToken<'_> PasswordAlgorithmAttribute<'_> Userhash
            XorMappedAddress ReservationToken Priority UseCandidate Padding<'_> ResponsePort ConnectionId
            Nomination AdditionalAddressFamily AddressErrorCode<'_> PasswordAlgorithms<'_>
            AlternateDomain<'_> Icmp Software<'_> AlternateServer TransactionTransmitCounter CacheTimeout
            IceControlled IceControlling ResponseOrigin OtherAddress ThirdPartyAuthorization<'_>
            MobilityTicket<'_> LegacyNomination GoogNetworkInfo GoogLastIceCheckReceived<'_>
            GoogMiscInfo<'_> GoogConnectionId<'_> GoogDelta<'_> GoogDeltaAck<'_> GoogDeltaSyncRequest<'_>
            GoogMessageIntegrity32 DtlsInStun<'_> DtlsInStunAck<'_> GoogRetransmitCount
        )
    };
}

pub(crate) use for_every_attribute;

/// Types the table knows and the codec gives no typed value for: the three that protect a message, and two of
/// RFC 3489 that are only not refused.
pub(crate) const UNTYPED: [AttributeType; 5] = [
    AttributeType::MESSAGE_INTEGRITY,
    AttributeType::MESSAGE_INTEGRITY_SHA256,
    AttributeType::FINGERPRINT,
    AttributeType::SOURCE_ADDRESS,
    AttributeType::CHANGED_ADDRESS,
];

/// Reads every typed attribute of a message, iterates what is a list, and shows all of it. Returns what each
/// `get` said, by type.
pub(crate) fn touch(message: &Message<'_>) -> Vec<(AttributeType, Result<bool, AttributeError>)> {
    let mut shown = format!("{message:?}");
    let mut said = Vec::new();
    macro_rules! get_each {
        ($($name:ty)*) => {$(
            let got = message.get::<$name>();
            write!(shown, "{got:?}").unwrap();
            said.push((<$name as Attribute<'_>>::TYPE, got.map(|value| value.is_some())));
            for value in message.get_all::<$name>() {
                write!(shown, "{value:?}").unwrap();
            }
        )*};
    }
    for_every_attribute!(get_each);
    for raw in message.attributes() {
        write!(shown, "{raw:?}{}", raw.kind).unwrap();
        assert!(message.raw(raw.kind).is_some());
    }
    let lists = (message.get::<UnknownAttributes<'_>>(), message.get::<PasswordAlgorithms<'_>>());
    if let (Ok(Some(types)), _) = &lists {
        write!(shown, "{:?}", types.iter().collect::<Vec<_>>()).unwrap();
    }
    if let (_, Ok(Some(algorithms))) = &lists {
        write!(shown, "{:?}{:?}", algorithms.first_supported(), algorithms.iter().count()).unwrap();
    }
    write!(shown, "{:?}", BindingRequest::decode(message)).unwrap();
    write!(shown, "{:?}", BindingResponse::decode(message)).unwrap();
    write!(shown, "{:?}", message.unknown_required().collect::<Vec<_>>()).unwrap();
    write!(shown, "{:?}{:?}", message.sha256_length(), message.verify_fingerprint()).unwrap();
    assert!(!shown.is_empty());
    said
}
