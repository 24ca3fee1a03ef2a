//! Every attribute type the codec knows, with the lengths its value may have: the decoder's single source.

use core::fmt;

/// Bytes a text may have that is read (RFC 8489 §14.3: what RFC 5389 allowed).
const TEXT: usize = 763;
/// Bytes any value may have: the message's length field holds no more.
const ANY: usize = 65_528;

/// Type of an attribute (RFC 8489 §14 and §18.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeType(u16);

/// One row per type: constant, number, name in the RFC, minimum and maximum length of the value, source.
macro_rules! attribute_types {
    ($(
        $(#[$note:meta])*
        $constant:ident = $number:literal, $name:literal, $min:literal ..= $max:expr, $source:literal;
    )*) => {
        impl AttributeType {
            $(
                #[doc = concat!($name, " (", $source, ").")]
                $(#[$note])*
                pub const $constant: Self = Self($number);
            )*

            /// Every type the codec knows, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// The least and the greatest length of the value in bytes, both allowed; `None` for a type the
            /// codec does not know. This is the only table of lengths there is.
            #[must_use]
            #[inline]
            pub const fn lengths(self) -> Option<(usize, usize)> {
                match self.0 {
                    $($number => Some(($min, $max)),)*
                    _ => None,
                }
            }

            /// The name the RFC gives it; `None` for a type the codec does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

attribute_types! {
    MAPPED_ADDRESS = 0x0001, "MAPPED-ADDRESS", 4..=20, "RFC 8489 §14.1";
    CHANGE_REQUEST = 0x0003, "CHANGE-REQUEST", 4..=4, "RFC 5780 §7.2";
    /// Reserved since; known so that answers of old servers are not refused, and never read.
    SOURCE_ADDRESS = 0x0004, "SOURCE-ADDRESS", 0..=ANY, "RFC 3489 §11.2.5";
    /// Reserved since; known so that answers of old servers are not refused, and never read.
    CHANGED_ADDRESS = 0x0005, "CHANGED-ADDRESS", 0..=ANY, "RFC 3489 §11.2.3";
    USERNAME = 0x0006, "USERNAME", 0..=TEXT, "RFC 8489 §14.3";
    MESSAGE_INTEGRITY = 0x0008, "MESSAGE-INTEGRITY", 20..=20, "RFC 8489 §14.5";
    ERROR_CODE = 0x0009, "ERROR-CODE", 4..=4 + TEXT, "RFC 8489 §14.8";
    UNKNOWN_ATTRIBUTES = 0x000A, "UNKNOWN-ATTRIBUTES", 0..=ANY, "RFC 8489 §14.13";
    CHANNEL_NUMBER = 0x000C, "CHANNEL-NUMBER", 4..=4, "RFC 8656 §18.1";
    LIFETIME = 0x000D, "LIFETIME", 4..=4, "RFC 8656 §18.2";
    XOR_PEER_ADDRESS = 0x0012, "XOR-PEER-ADDRESS", 4..=20, "RFC 8656 §18.3";
    DATA = 0x0013, "DATA", 0..=ANY, "RFC 8656 §18.4";
    REALM = 0x0014, "REALM", 0..=TEXT, "RFC 8489 §14.9";
    NONCE = 0x0015, "NONCE", 0..=TEXT, "RFC 8489 §14.10";
    XOR_RELAYED_ADDRESS = 0x0016, "XOR-RELAYED-ADDRESS", 4..=20, "RFC 8656 §18.5";
    REQUESTED_ADDRESS_FAMILY = 0x0017, "REQUESTED-ADDRESS-FAMILY", 4..=4, "RFC 8656 §18.6";
    EVEN_PORT = 0x0018, "EVEN-PORT", 1..=1, "RFC 8656 §18.7";
    REQUESTED_TRANSPORT = 0x0019, "REQUESTED-TRANSPORT", 4..=4, "RFC 8656 §18.8";
    DONT_FRAGMENT = 0x001A, "DONT-FRAGMENT", 0..=0, "RFC 8656 §18.9";
    ACCESS_TOKEN = 0x001B, "ACCESS-TOKEN", 0..=ANY, "RFC 7635 §6.2";
    MESSAGE_INTEGRITY_SHA256 = 0x001C, "MESSAGE-INTEGRITY-SHA256", 16..=32, "RFC 8489 §14.6";
    PASSWORD_ALGORITHM = 0x001D, "PASSWORD-ALGORITHM", 4..=ANY, "RFC 8489 §14.12";
    USERHASH = 0x001E, "USERHASH", 32..=32, "RFC 8489 §14.4";
    XOR_MAPPED_ADDRESS = 0x0020, "XOR-MAPPED-ADDRESS", 4..=20, "RFC 8489 §14.2";
    RESERVATION_TOKEN = 0x0022, "RESERVATION-TOKEN", 8..=8, "RFC 8656 §18.10";
    PRIORITY = 0x0024, "PRIORITY", 4..=4, "RFC 8445 §16.1";
    USE_CANDIDATE = 0x0025, "USE-CANDIDATE", 0..=0, "RFC 8445 §16.1";
    PADDING = 0x0026, "PADDING", 0..=ANY, "RFC 5780 §7.6";
    /// Two bytes where the sender does not count the padding.
    RESPONSE_PORT = 0x0027, "RESPONSE-PORT", 2..=4, "RFC 5780 §7.5";
    CONNECTION_ID = 0x002A, "CONNECTION-ID", 4..=4, "RFC 6062 §6.2.1";
    NOMINATION = 0x0030, "NOMINATION", 4..=4, "renomination draft of 2026 §3.3";
    ADDITIONAL_ADDRESS_FAMILY = 0x8000, "ADDITIONAL-ADDRESS-FAMILY", 4..=4, "RFC 8656 §18.11";
    ADDRESS_ERROR_CODE = 0x8001, "ADDRESS-ERROR-CODE", 4..=4 + TEXT, "RFC 8656 §18.12";
    PASSWORD_ALGORITHMS = 0x8002, "PASSWORD-ALGORITHMS", 0..=ANY, "RFC 8489 §14.11";
    ALTERNATE_DOMAIN = 0x8003, "ALTERNATE-DOMAIN", 0..=255, "RFC 8489 §14.16";
    ICMP = 0x8004, "ICMP", 8..=8, "RFC 8656 §18.13";
    SOFTWARE = 0x8022, "SOFTWARE", 0..=TEXT, "RFC 8489 §14.14";
    ALTERNATE_SERVER = 0x8023, "ALTERNATE-SERVER", 4..=20, "RFC 8489 §14.15";
    TRANSACTION_TRANSMIT_COUNTER = 0x8025, "TRANSACTION_TRANSMIT_COUNTER", 4..=4, "RFC 7982 §3.1";
    CACHE_TIMEOUT = 0x8027, "CACHE-TIMEOUT", 4..=4, "RFC 5780 §9.1, number only";
    FINGERPRINT = 0x8028, "FINGERPRINT", 4..=4, "RFC 8489 §14.7";
    ICE_CONTROLLED = 0x8029, "ICE-CONTROLLED", 8..=8, "RFC 8445 §16.1";
    ICE_CONTROLLING = 0x802A, "ICE-CONTROLLING", 8..=8, "RFC 8445 §16.1";
    RESPONSE_ORIGIN = 0x802B, "RESPONSE-ORIGIN", 4..=20, "RFC 5780 §7.3";
    OTHER_ADDRESS = 0x802C, "OTHER-ADDRESS", 4..=20, "RFC 5780 §7.4";
    THIRD_PARTY_AUTHORIZATION = 0x802E, "THIRD-PARTY-AUTHORIZATION", 0..=TEXT, "RFC 7635 §6.1";
    MOBILITY_TICKET = 0x8030, "MOBILITY-TICKET", 0..=ANY, "RFC 8016 §3.1";
    LEGACY_NOMINATION = 0xC001, "GOOG-NOMINATION", 4..=4, "renomination draft 02 §4 as browsers number it";
    GOOG_NETWORK_INFO = 0xC057, "GOOG-NETWORK-INFO", 4..=4, "sent by browsers";
    GOOG_LAST_ICE_CHECK_RECEIVED = 0xC058, "GOOG-LAST-ICE-CHECK-RECEIVED", 0..=ANY, "sent by browsers";
    GOOG_MISC_INFO = 0xC059, "GOOG-MISC-INFO", 0..=ANY, "sent by browsers";
    GOOG_CONNECTION_ID = 0xC05B, "GOOG-CONNECTION-ID", 0..=ANY, "named by browsers";
    GOOG_DELTA = 0xC05C, "GOOG-DELTA", 0..=ANY, "named by browsers";
    GOOG_DELTA_ACK = 0xC05D, "GOOG-DELTA-ACK", 0..=ANY, "named by browsers";
    GOOG_DELTA_SYNC_REQUEST = 0xC05E, "GOOG-DELTA-SYNC-REQ", 0..=ANY, "named by browsers";
    GOOG_MESSAGE_INTEGRITY_32 = 0xC060, "GOOG-MESSAGE-INTEGRITY-32", 4..=4, "sent by browsers";
    DTLS_IN_STUN = 0xC070, "META-DTLS-IN-STUN", 0..=ANY, "sent by browsers";
    DTLS_IN_STUN_ACK = 0xC071, "META-DTLS-IN-STUN-ACK", 0..=ANY, "sent by browsers";
    GOOG_RETRANSMIT_COUNT = 0xFF00, "GOOG-RETRANSMIT-COUNT", 4..=4, "sent by browsers";
}

impl AttributeType {
    /// The type of this number; every number is one.
    #[must_use]
    #[inline]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number on the wire.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// RFC 8489 §14: a message with an attribute of the lower half cannot be processed by whoever does not
    /// understand it.
    #[must_use]
    #[inline]
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }

    /// Whether the codec has a row for it in the table.
    #[must_use]
    #[inline]
    pub const fn is_known(self) -> bool {
        self.lengths().is_some()
    }

    /// Whether only the writer's `sign` and `fingerprint` may write it.
    #[inline]
    pub(crate) const fn is_protection(self) -> bool {
        matches!(self, Self::MESSAGE_INTEGRITY | Self::MESSAGE_INTEGRITY_SHA256 | Self::FINGERPRINT)
    }
}

impl fmt::Debug for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "attribute {:#06x}", self.0),
        }
    }
}

impl fmt::Display for AttributeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
