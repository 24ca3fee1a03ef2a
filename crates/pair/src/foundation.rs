//! Foundations: which candidates are likely to fare alike (RFC 8445 §5.1.1.3).

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use crate::credential::is_ice_char;
use crate::{CandidateType, Few, Protocol};

/// Length of the longest foundation, in bytes (RFC 8839 §5.1).
const MAX_LENGTH: usize = 32;

/// Foundation of a candidate, 1 to 32 ice-chars. Case counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Foundation {
    /// The text, then zeros. In a foundation made by [`Foundations::unique`] the last byte is [`OWN`].
    bytes: [u8; MAX_LENGTH],
}

/// Mark in the last byte of a foundation that must be unlike any that a peer can signal. No ice-char, so no text
/// parses to a value that has it.
const OWN: u8 = 1;

impl Foundation {
    /// Longest foundation in bytes.
    pub const MAX_LENGTH: usize = MAX_LENGTH;

    /// Foundation of these ice-chars.
    ///
    /// # Errors
    /// No byte, more than 32 bytes, or one that is no ice-char.
    pub fn from_bytes(text: &[u8]) -> Result<Self, FoundationError> {
        if let Some(index) = text.iter().position(|&byte| !is_ice_char(byte)) {
            return Err(FoundationError::NotIceChar { index });
        }
        let mut bytes = [0; MAX_LENGTH];
        match bytes.get_mut(..text.len()) {
            Some(start) if !text.is_empty() => start.copy_from_slice(text),
            _ => return Err(FoundationError::Length(text.len())),
        }
        Ok(Self { bytes })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        // All bytes before the zeros are ice-chars, so ASCII.
        str::from_utf8(text).unwrap_or_default()
    }

    /// `prefix` and a number as text: at most 11 bytes. The machinery of formatting would cost more than all else that
    /// makes a candidate.
    fn numbered(prefix: &[u8], number: u32) -> Self {
        let (mut digits, mut first, mut left) = ([b'0'; 10], 10, number);
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            *digit |= u8::try_from(left % 10).unwrap_or(0);
            (first, left) = (index, left / 10);
            if left == 0 {
                break;
            }
        }
        let text = prefix.iter().chain(digits.get(first..).unwrap_or_default());
        let mut bytes = [0; MAX_LENGTH];
        for (place, byte) in bytes.iter_mut().zip(text) {
            *place = *byte;
        }
        Self { bytes }
    }
}

impl FromStr for Foundation {
    type Err = FoundationError;

    fn from_str(text: &str) -> Result<Self, FoundationError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Foundation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Foundation({})", self.as_str())
    }
}

/// Why a text is no foundation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundationError {
    /// The length in bytes, which is 0 or above 32.
    Length(usize),
    /// The byte at `index` is not a letter, a digit, `+` or `/`.
    NotIceChar {
        /// Offset in bytes.
        index: usize,
    },
}

impl fmt::Display for FoundationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "{length} bytes is not 1 to 32"),
            Self::NotIceChar { index } => write!(f, "byte {index} is not a letter, a digit, plus or slash"),
        }
    }
}

impl core::error::Error for FoundationError {}

/// Gives the candidates of one agent their foundations: two are equal exactly when type, IP address of the base,
/// IP address of the server and protocol are. Kept by the agent over all streams and generations.
#[derive(Clone, Debug, Default)]
pub struct Foundations {
    known: Few<Key>,
    given: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    kind: CandidateType,
    base_ip: IpAddr,
    server: Option<IpAddr>,
    protocol: Protocol,
}

impl Foundations {
    /// Combinations remembered. Addresses times servers of a real host stay far below; beyond it each call gets a
    /// foundation of its own, which costs an optimisation and no correctness.
    pub const MAX_KNOWN: usize = 1024;

    /// No foundation given yet.
    pub const fn new() -> Self {
        Self { known: Few::new(), given: 0 }
    }

    /// Makes room for that many more.
    pub fn reserve(&mut self, more: usize) {
        let most = Self::MAX_KNOWN.saturating_sub(self.known.len());
        self.known.reserve(more.min(most));
    }

    /// Foundation of a local candidate. `base_ip` is the address of its base; `server` is the address by which the
    /// agent reached the STUN or TURN server, `None` for host candidates; `protocol` is what it was obtained with.
    pub fn foundation_of(
        &mut self,
        kind: CandidateType,
        base_ip: IpAddr,
        server: Option<IpAddr>,
        protocol: impl Into<Protocol>,
    ) -> Foundation {
        let server = if kind == CandidateType::Host { None } else { server.map(|ip| ip.to_canonical()) };
        let key = Key { kind, base_ip: base_ip.to_canonical(), server, protocol: protocol.into() };
        let index = match self.known.iter().position(|known| *known == key) {
            Some(index) => index,
            None if self.known.len() == Self::MAX_KNOWN => return self.unique(),
            None => {
                self.known.push(key);
                self.known.len().saturating_sub(1)
            }
        };
        Foundation::numbered(b"", u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1))
    }

    /// A foundation unlike all others, those a peer has signalled or will signal included.
    pub fn unique(&mut self) -> Foundation {
        // RFC 8445 §7.3.1.3: for a peer-reflexive remote candidate, until the peer signals the real one.
        self.given = self.given.wrapping_add(1);
        let mut foundation = Foundation::numbered(b"p", self.given);
        if let Some(last) = foundation.bytes.last_mut() {
            *last = OWN;
        }
        foundation
    }
}
