//! The 20 bytes every message begins with (RFC 8489 §5).

use core::fmt;

/// Bytes of the STUN header.
pub const HEADER_BYTES: usize = 20;
/// Bytes of the longest message: the length field is a multiple of four of at most 65532.
pub const MAX_MESSAGE_BYTES: usize = HEADER_BYTES + 65_532;
/// RFC 8489 §5: bytes 4 to 7 of every message, in network byte order.
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

/// STUN transaction id, 96 bits from a cryptographic source (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionId(pub [u8; 12]);

impl fmt::Debug for TransactionId {
    /// Shows nothing. RFC 7675 §5.1: an application that could obtain the ids of its consent requests could answer them
    /// in the peer's name, and what holds them is printed by many. Who means to show one has `Display`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(redacted)")
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a message is for (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// The request was carried out.
    Success,
    /// The request was refused; ERROR-CODE says why.
    Error,
}

impl Class {
    /// The class bits C1 and C0 at their places in the message type.
    const fn bits(self) -> u16 {
        match self {
            Self::Request => 0x000,
            Self::Indication => 0x010,
            Self::Success => 0x100,
            Self::Error => 0x110,
        }
    }

    /// Whether this is a success or error response.
    #[must_use]
    pub const fn is_response(self) -> bool {
        matches!(self, Self::Success | Self::Error)
    }
}

/// What a request asks for: 12 bits (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Method(u16);

impl Method {
    /// RFC 8489 §18.2.
    pub const BINDING: Self = Self(0x001);
    /// RFC 8656 §17.
    pub const ALLOCATE: Self = Self(0x003);
    /// RFC 8656 §17.
    pub const REFRESH: Self = Self(0x004);
    /// RFC 8656 §17; only as an indication.
    pub const SEND: Self = Self(0x006);
    /// RFC 8656 §17; only as an indication.
    pub const DATA: Self = Self(0x007);
    /// RFC 8656 §17.
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// RFC 8656 §17.
    pub const CHANNEL_BIND: Self = Self(0x009);
    /// RFC 6062 §6.1.
    pub const CONNECT: Self = Self(0x00A);
    /// RFC 6062 §6.1.
    pub const CONNECTION_BIND: Self = Self(0x00B);
    /// RFC 6062 §6.1; only as an indication.
    pub const CONNECTION_ATTEMPT: Self = Self(0x00C);

    /// The method of this number; `None` beyond 12 bits.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < 0x1000 { Some(Self(number)) } else { None }
    }

    /// The number, 0 to 0xFFF.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::BINDING => "Binding",
            Self::ALLOCATE => "Allocate",
            Self::REFRESH => "Refresh",
            Self::SEND => "Send",
            Self::DATA => "Data",
            Self::CREATE_PERMISSION => "CreatePermission",
            Self::CHANNEL_BIND => "ChannelBind",
            Self::CONNECT => "Connect",
            Self::CONNECTION_BIND => "ConnectionBind",
            Self::CONNECTION_ATTEMPT => "ConnectionAttempt",
            _ => return None,
        })
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Method({:#05x})", self.0),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// RFC 8489 §5, Figure 3: the class bits lie between those of the method.
#[inline]
pub(crate) const fn message_type(class: Class, method: Method) -> u16 {
    let m = method.0;
    (m & 0xF80) << 2 | (m & 0x070) << 1 | m & 0x00F | class.bits()
}

#[inline]
pub(crate) const fn class_of(message_type: u16) -> Class {
    match (message_type & 0x100 != 0, message_type & 0x010 != 0) {
        (false, false) => Class::Request,
        (false, true) => Class::Indication,
        (true, false) => Class::Success,
        (true, true) => Class::Error,
    }
}

#[inline]
pub(crate) const fn method_of(message_type: u16) -> Method {
    let t = message_type;
    Method((t & 0x3E00) >> 2 | (t & 0x00E0) >> 1 | t & 0x000F)
}

#[cfg(test)]
mod tests {
    use std::format;

    use super::*;

    #[test]
    fn every_message_type_splits_and_joins() {
        for number in 0..0x1000 {
            let method = Method::new(number).unwrap();
            for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
                let joined = message_type(class, method);
                assert_eq!(joined & 0xC000, 0);
                assert_eq!((class_of(joined), method_of(joined)), (class, method));
            }
        }
        assert_eq!(Method::new(0x1000), None);
    }

    #[test]
    fn rfc8489_5_the_examples_of_the_text() {
        assert_eq!(message_type(Class::Request, Method::BINDING), 0x0001);
        assert_eq!(message_type(Class::Success, Method::BINDING), 0x0101);
    }

    #[test]
    fn names_are_shown() {
        assert_eq!(format!("{:?}", Method::CHANNEL_BIND), "ChannelBind");
        assert_eq!(format!("{}", Method(0xABC)), "Method(0xabc)");
        assert_eq!(format!("{}", TransactionId([0xA5; 12])), "a5".repeat(12));
    }
}
