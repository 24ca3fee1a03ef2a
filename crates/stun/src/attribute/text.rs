//! Texts: USERNAME, REALM, NONCE, SOFTWARE, ALTERNATE-DOMAIN.

use core::fmt;

use super::{Attribute, AttributeError, AttributeType, LengthError, put};
use crate::TransactionId;

/// RFC 8489 §14.3: a USERNAME that is sent has fewer than 509 bytes.
pub(super) const SENT_USERNAME_BYTES: usize = 508;
/// RFC 8489 §14.9, §14.10, §14.14: texts that are sent have fewer than 128 characters.
pub(super) const SENT_CHARACTERS: usize = 127;

/// Characters of a text, counted as UTF-8: bytes that do not continue a character.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// Whether a text may be sent: fewer than 128 characters and fewer than 509 bytes.
pub(super) fn is_sendable_text(bytes: &[u8]) -> bool {
    bytes.len() <= SENT_USERNAME_BYTES && characters(bytes) <= SENT_CHARACTERS
}

#[inline]
const fn is_sendable_username(bytes: &[u8]) -> bool {
    bytes.len() <= SENT_USERNAME_BYTES
}

/// RFC 8489 §14.16: at most 255 characters, all of them ASCII.
const fn is_domain_name(bytes: &[u8]) -> bool {
    bytes.len() <= 255
}

macro_rules! text_attribute {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $limit:literal, $sendable:path, $debug:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            #[doc = concat!("A value to send: ", $limit, ".")]
            ///
            /// # Errors
            /// The value is longer.
            #[inline]
            pub fn new(bytes: &'a [u8]) -> Result<Self, LengthError> {
                if $sendable(bytes) {
                    Ok(Self(bytes))
                } else {
                    Err(LengthError { kind: AttributeType::$kind, length: bytes.len() })
                }
            }

            /// A value that came off the wire and is to be sent back unchanged: as long as the table of
            /// lengths allows for reading.
            ///
            /// # Errors
            /// The value is longer.
            pub fn echo(bytes: &'a [u8]) -> Result<Self, LengthError> {
                match AttributeType::$kind.lengths() {
                    Some((_, max)) if bytes.len() <= max => Ok(Self(bytes)),
                    _ => Err(LengthError { kind: AttributeType::$kind, length: bytes.len() }),
                }
            }

            /// The bytes as they stand on the wire.
            #[must_use]
            #[inline]
            pub const fn as_bytes(&self) -> &'a [u8] {
                self.0
            }

            /// The text; `None` if the bytes are not UTF-8. They are not refused for that: what they stand
            /// for is compared byte by byte.
            #[must_use]
            pub fn as_str(&self) -> Option<&'a str> {
                core::str::from_utf8(self.0).ok()
            }
        }

        impl<'a> Attribute<'a> for $name<'a> {
            const TYPE: AttributeType = AttributeType::$kind;

            #[inline]
            fn decode(value: &'a [u8], _: TransactionId) -> Result<Self, AttributeError> {
                Ok(Self(value))
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                self.0.len()
            }

            #[inline]
            fn encode(&self, _: TransactionId, out: &mut [u8]) -> Option<()> {
                put(out, self.0)
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&[u8], &mut fmt::Formatter<'_>) -> fmt::Result = $debug;
                f.write_str(stringify!($name))?;
                show(self.0, f)
            }
        }
    };
}

pub(super) use text_attribute;

/// Shows a text that is no secret, with everything unprintable escaped.
pub(super) fn show(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "(\"{}\")", bytes.escape_ascii())
}

/// Shows only how long a value is: it proves who sent it.
pub(super) fn hide(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "({} bytes)", bytes.len())
}

text_attribute! {
    /// USERNAME (RFC 8489 §14.3), prepared by OpaqueString at the edge; for ICE the two user name fragments
    /// with a colon between them, the receiver's first (RFC 8445 §7.2.2).
    Username, USERNAME, "at most 508 bytes", is_sendable_username, show
}
text_attribute! {
    /// REALM (RFC 8489 §14.9).
    Realm, REALM, "at most 127 characters", is_sendable_text, show
}
text_attribute! {
    /// NONCE (RFC 8489 §14.10). A client sends back what the server gave: [`Nonce::echo`].
    Nonce, NONCE, "at most 127 characters", is_sendable_text, hide
}
text_attribute! {
    /// SOFTWARE (RFC 8489 §14.14), for people who debug.
    Software, SOFTWARE, "at most 127 characters", is_sendable_text, show
}
text_attribute! {
    /// ALTERNATE-DOMAIN (RFC 8489 §14.16): the name the certificate of ALTERNATE-SERVER has to carry.
    AlternateDomain, ALTERNATE_DOMAIN, "at most 255 bytes", is_domain_name, show
}
