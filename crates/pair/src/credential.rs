//! Username fragment and password (RFC 8839 §5.4).

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use zeroize::Zeroizing;

/// Longest credential of either kind that is accepted; the RFC sets it so that buffers can be sized.
const MAX_LENGTH: usize = 256;

/// Whether `byte` may stand in a foundation, a username fragment or a password: a letter, a digit, `+` or `/`.
pub(crate) const fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// The byte itself if it is an ice-char, else a letter that takes its place.
const fn to_ice_char(byte: u8) -> u8 {
    if is_ice_char(byte) { byte } else { b'a' | (byte & 0x0F) }
}

/// Checks alphabet and length; the text is handed back only when both hold.
fn checked(bytes: &[u8], shortest: usize) -> Result<&str, CredentialError> {
    if bytes.len() < shortest || bytes.len() > MAX_LENGTH {
        return Err(CredentialError::Length(bytes.len()));
    }
    if let Some(index) = bytes.iter().position(|&byte| !is_ice_char(byte)) {
        return Err(CredentialError::NotIceChar { index });
    }
    // Ice-chars are ASCII: the conversion cannot fail any more.
    str::from_utf8(bytes).map_err(|error| CredentialError::NotIceChar { index: error.valid_up_to() })
}

/// Fragments up to this length have no memory of their own: those that agents draw are 4 to 16 characters long.
const SHORT: usize = 22;

/// ICE username fragment, 4 to 256 ice-chars.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ufrag(Chars);

/// Ice-chars: in place, followed by zeros, whenever there is room for them.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Chars {
    Short { bytes: [u8; SHORT], length: u8 },
    Long(Box<[u8]>),
}

impl From<&[u8]> for Chars {
    fn from(text: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(text);
                Self::Short { bytes, length }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl Ufrag {
    /// The shortest fragment: 24 bits at 6 bits a character.
    pub const MIN_LENGTH: usize = 4;
    /// The longest fragment that is accepted.
    pub const MAX_LENGTH: usize = MAX_LENGTH;
    /// The longest fragment that may be sent.
    pub const MAX_SENT_LENGTH: usize = 32;

    /// Fragment of these ice-chars.
    ///
    /// # Errors
    /// Fewer than 4 or more than 256 bytes, or one that is no ice-char.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CredentialError> {
        checked(bytes, Self::MIN_LENGTH).map(|text| Self(text.as_bytes().into()))
    }

    /// A new fragment of 8 ice-chars, 48 bits. `fill` writes ice-chars, 6 random bits each, from a cryptographic
    /// source into all of the bytes it is given; a byte that is no ice-char is exchanged for one.
    pub fn random(mut fill: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        Self(bytes.map(to_ice_char).as_slice().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Ice-chars are ASCII: the conversion cannot fail.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text as it stands in a USERNAME attribute.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Chars::Short { bytes, length } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Chars::Long(bytes) => bytes,
        }
    }

    /// Whether an agent may use this fragment as its own.
    pub fn is_sendable(&self) -> bool {
        // RFC 8839 §5.4: never more than 32 characters when sending, though 256 are accepted.
        self.as_bytes().len() <= Self::MAX_SENT_LENGTH
    }
}

impl Ord for Ufrag {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Ufrag {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ufrag").field(&self.as_str()).finish()
    }
}

impl FromStr for Ufrag {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for Ufrag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// ICE password, 22 to 256 ice-chars. Secret: `Debug` hides it, the memory is wiped on drop, and there is no
/// `PartialEq`, because what is compared is message integrity, in constant time.
#[derive(Clone)]
pub struct Pwd(Zeroizing<Box<str>>);

impl Pwd {
    /// The shortest password: 128 bits at 6 bits a character.
    pub const MIN_LENGTH: usize = 22;
    /// The longest password that is accepted.
    pub const MAX_LENGTH: usize = MAX_LENGTH;

    /// Password of these ice-chars.
    ///
    /// # Errors
    /// Fewer than 22 or more than 256 bytes, or one that is no ice-char.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CredentialError> {
        checked(bytes, Self::MIN_LENGTH).map(|text| Self(Zeroizing::new(text.into())))
    }

    /// A new password of 24 ice-chars, 144 bits. `fill` is as in [`Ufrag::random`].
    pub fn random(mut fill: impl FnMut(&mut [u8])) -> Self {
        let mut bytes = Zeroizing::new([0; 24]);
        fill(&mut *bytes);
        for byte in bytes.iter_mut() {
            *byte = to_ice_char(*byte);
        }
        // Ice-chars are ASCII: the conversion cannot fail. It copies into the exact size, so that nothing is left behind.
        Self(Zeroizing::new(str::from_utf8(&*bytes).unwrap_or_default().into()))
    }

    /// The secret text, for signalling it and for deriving the integrity key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pwd {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Debug for Pwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pwd(redacted)")
    }
}

/// Why a text is no username fragment or password; never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialError {
    /// The length in bytes, which is too small or too large.
    Length(usize),
    /// The byte at `index` is not a letter, a digit, `+` or `/`.
    NotIceChar {
        /// Offset in bytes.
        index: usize,
    },
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => write!(f, "{length} bytes is too short or too long"),
            Self::NotIceChar { index } => write!(f, "byte {index} is not a letter, a digit, plus or slash"),
        }
    }
}

impl core::error::Error for CredentialError {}
