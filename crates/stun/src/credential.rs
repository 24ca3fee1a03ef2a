//! Long-term credentials: keys, user name hash, algorithms, nonce cookie (RFC 8489 §9.2).

use md5::Digest;
use zeroize::Zeroizing;

use crate::IntegrityKey;

/// How the key is made of user name, realm and password (RFC 8489 §18.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PasswordAlgorithm {
    /// MD5, a key of 16 bytes: the only one of RFC 5389.
    Md5,
    /// SHA-256, a key of 32 bytes.
    Sha256,
}

impl PasswordAlgorithm {
    /// Its number in the registry (RFC 8489 §18.5).
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Md5 => 0x0001,
            Self::Sha256 => 0x0002,
        }
    }

    /// The algorithm of this number; `None` if the codec does not support it.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            0x0001 => Some(Self::Md5),
            0x0002 => Some(Self::Sha256),
            _ => None,
        }
    }
}

impl IntegrityKey {
    /// Key of a long-term credential by the algorithm that was agreed on.
    ///
    /// User name, realm and password are taken as they are prepared: OpaqueString (or SASLprep for a
    /// server of RFC 5389) is the caller's work. RFC 8489 §9.2.2: quotes around user name and realm and
    /// NUL bytes at the end of each of the three do not go into the key.
    #[must_use]
    pub fn long_term(algorithm: PasswordAlgorithm, username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        match algorithm {
            PasswordAlgorithm::Md5 => Self::long_term_md5(username, realm, password),
            PasswordAlgorithm::Sha256 => Self::long_term_sha256(username, realm, password),
        }
    }

    /// RFC 8489 §9.2.2: the MD5 of user name, realm and password with colons between them.
    #[must_use]
    pub fn long_term_md5(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let key = Zeroizing::new(<[u8; 16]>::from(joined::<md5::Md5>(username, realm, password)));
        Self::new(key.as_slice())
    }

    /// RFC 8489 §18.5.1.2: the SHA-256 of user name, realm and password with colons between them.
    #[must_use]
    pub fn long_term_sha256(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let key = Zeroizing::new(<[u8; 32]>::from(joined::<sha2::Sha256>(username, realm, password)));
        Self::new(key.as_slice())
    }
}

fn joined<D: Digest>(username: &[u8], realm: &[u8], password: &[u8]) -> md5::digest::Output<D> {
    let mut hash = D::new();
    hash.update(without_quotes(without_nuls(username)));
    hash.update(b":");
    hash.update(without_quotes(without_nuls(realm)));
    hash.update(b":");
    hash.update(without_nuls(password));
    hash.finalize()
}

fn without_nuls(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., 0] = text {
        text = rest;
    }
    text
}

fn without_quotes(text: &[u8]) -> &[u8] {
    if let [b'"', inner @ .., b'"'] = text { inner } else { text }
}

/// USERHASH (RFC 8489 §14.4): the SHA-256 of the prepared user name and realm with a colon between them.
#[must_use]
pub fn userhash(username: &[u8], realm: &[u8]) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    hash.update(username);
    hash.update(b":");
    hash.update(realm);
    hash.finalize().into()
}

/// What every nonce cookie begins with (RFC 8489 §9.2).
const COOKIE_PREFIX: &[u8; 9] = b"obMatJos2";
/// Base64 digits of RFC 4648 §4.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The STUN Security Features a server supports (RFC 8489 §18.1). They stand in the nonce, which the client
/// sends back under its HMAC: nobody on the way can take one out unnoticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SecurityFeatures {
    /// Bit 0: the server sends PASSWORD-ALGORITHMS.
    pub password_algorithms: bool,
    /// Bit 1: the server takes USERHASH for USERNAME.
    pub username_anonymity: bool,
}

/// The 13 characters a server of RFC 8489 puts before its nonce (§9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NonceCookie([u8; 13]);

impl NonceCookie {
    /// The cookie for these features.
    #[must_use]
    pub fn new(features: SecurityFeatures) -> Self {
        // Bit 0 is the most significant of 24, so both known bits are in the first of four base64 digits.
        let first = u8::from(features.password_algorithms) << 5 | u8::from(features.username_anonymity) << 4;
        let mut cookie = *b"obMatJos2AAAA";
        if let (Some(place), Some(digit)) =
            (cookie.get_mut(COOKIE_PREFIX.len()), BASE64.get(usize::from(first)))
        {
            *place = *digit;
        }
        Self(cookie)
    }

    /// The characters.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 13] {
        &self.0
    }
}

/// The features that a nonce's cookie names; `None` if it has no cookie, which means a server of RFC 5389.
///
/// Bits that no RFC has given a meaning are ignored.
///
/// ```
/// use floe_stun::nonce_features;
///
/// assert!(nonce_features(b"obMatJos2gAAAf//499k954d6OL").is_some_and(|f| f.password_algorithms));
/// assert_eq!(nonce_features(b"f//499k954d6OL34oL9FSTvy64sA"), None);
/// ```
#[must_use]
pub fn nonce_features(nonce: &[u8]) -> Option<SecurityFeatures> {
    let digits = nonce.strip_prefix(COOKIE_PREFIX)?.first_chunk::<4>()?;
    let mut bits = 0_u32;
    for digit in digits {
        let value = BASE64.iter().position(|known| known == digit)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
    }
    Some(SecurityFeatures {
        password_algorithms: bits & 1 << 23 != 0,
        username_anonymity: bits & 1 << 22 != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEATURES: [SecurityFeatures; 4] = [
        SecurityFeatures { password_algorithms: false, username_anonymity: false },
        SecurityFeatures { password_algorithms: true, username_anonymity: false },
        SecurityFeatures { password_algorithms: false, username_anonymity: true },
        SecurityFeatures { password_algorithms: true, username_anonymity: true },
    ];

    #[test]
    fn rfc8489_9_2_nonce_cookies_are_written_and_read() {
        let texts = [b"obMatJos2AAAA", b"obMatJos2gAAA", b"obMatJos2QAAA", b"obMatJos2wAAA"];
        for (features, text) in FEATURES.into_iter().zip(texts) {
            assert_eq!(NonceCookie::new(features).as_bytes(), text);
            let mut nonce = [b'x'; 20];
            nonce[..13].copy_from_slice(text);
            assert_eq!(nonce_features(&nonce), Some(features));
            assert_eq!(nonce_features(text), Some(features));
        }
    }

    #[test]
    fn nonces_without_a_cookie_are_of_rfc5389() {
        for nonce in
            [&b""[..], b"obMatJos2", b"obMatJos2AAA", b"obMatJos3AAAA", b"obMatJos2AA=A", b"xobMatJos2AAAA"]
        {
            assert_eq!(nonce_features(nonce), None, "{}", nonce.escape_ascii());
        }
    }

    #[test]
    fn bits_without_a_meaning_are_ignored() {
        assert_eq!(nonce_features(b"obMatJos2//// rest"), Some(FEATURES[3]));
        assert_eq!(nonce_features(b"obMatJos2P///"), Some(FEATURES[0]));
    }

    #[test]
    fn algorithms_have_the_numbers_of_the_registry() {
        for algorithm in [PasswordAlgorithm::Md5, PasswordAlgorithm::Sha256] {
            assert_eq!(PasswordAlgorithm::from_number(algorithm.number()), Some(algorithm));
        }
        assert_eq!(PasswordAlgorithm::from_number(0), None);
        assert_eq!(PasswordAlgorithm::from_number(3), None);
    }

    #[test]
    fn only_what_surrounds_a_name_is_taken_off() {
        assert_eq!(without_quotes(b"\"a\"b\""), b"a\"b");
        assert_eq!(without_quotes(b"\"ab"), b"\"ab");
        assert_eq!(without_quotes(b"\""), b"\"");
        assert_eq!(without_nuls(b"\0a\0\0"), b"\0a");
        assert_eq!(without_nuls(b"\0"), b"");
    }
}
