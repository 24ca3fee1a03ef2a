//! HMAC-SHA1 and HMAC-SHA256 of messages, with the key schedule done once per password.

use core::fmt;

use sha1::Digest;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::constant_time::tags_are_equal;

/// Bytes of the HMAC-SHA1 in MESSAGE-INTEGRITY (RFC 8489 §14.5).
pub(crate) const SHA1_BYTES: usize = 20;
/// Bytes of a whole HMAC-SHA256 in MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
pub(crate) const SHA256_BYTES: usize = 32;

/// Block size of both hashes.
const BLOCK: usize = 64;

/// Which HMAC protects a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// HMAC-SHA1 in MESSAGE-INTEGRITY (RFC 8489 §14.5).
    Sha1,
    /// HMAC-SHA256 in MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.6).
    Sha256,
}

/// A key for MESSAGE-INTEGRITY alone, in 40 bytes: of agents that send nothing else, as those of ICE do.
///
/// Secret, as [`IntegrityKey`] is.
#[derive(Clone)]
pub struct Sha1Key(Midstates<5>);

impl Sha1Key {
    /// A key of these bytes, as in [`IntegrityKey::new`].
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self(Midstates::new::<Sha1>(&mut block::<5, Sha1>(key)))
    }

    /// As [`IntegrityKey::verify`], of MESSAGE-INTEGRITY.
    #[inline]
    pub(crate) fn verify(&self, covered: &[u8], protection: &[u8]) -> Result<(), IntegrityError> {
        let claimed = words(protection).ok_or(IntegrityError::Truncated)?;
        let equal = tags_are_equal(&self.0.mac::<Sha1>(covered, SHA1_BYTES), claimed);
        if equal { Ok(()) } else { Err(IntegrityError::Mismatch) }
    }

    /// As [`IntegrityKey::sign`], for MESSAGE-INTEGRITY.
    #[inline]
    pub(crate) fn sign(&self, covered: &[u8], out: &mut [u8]) {
        put_words(&self.0.mac::<Sha1>(covered, SHA1_BYTES), out);
    }
}

impl Drop for Sha1Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Sha1Key {}

impl fmt::Debug for Sha1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha1Key(redacted)")
    }
}

/// A key for MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256. For the former it is scheduled once: what is kept are the
/// states of the hash after the key's first block, so that a message costs no key schedule. Most keys never meet the
/// latter: for it the schedule is made for each message.
///
/// Secret: `Debug` shows nothing, it wipes itself on drop, and there is no `PartialEq`, because what is
/// compared is authentication tags, in constant time.
#[derive(Clone)]
pub struct IntegrityKey {
    sha1: Sha1Key,
    /// The key as the first block of HMAC-SHA256 takes it.
    sha256: [u8; BLOCK],
}

impl IntegrityKey {
    /// A key of these bytes. For short-term credentials they are the prepared password (RFC 8489 §9.1.1);
    /// for ICE the password as it was signalled.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { sha1: Sha1Key::new(key), sha256: *block::<8, Sha256>(key) }
    }

    /// Whether the integrity attribute that `protection` begins with is that of the bytes it covers, whose
    /// length field is first made to end behind it.
    #[inline]
    pub(crate) fn verify(
        &self,
        algorithm: Algorithm,
        covered: &[u8],
        protection: &[u8],
    ) -> Result<(), IntegrityError> {
        match algorithm {
            Algorithm::Sha1 => self.sha1.verify(covered, protection),
            Algorithm::Sha256 => {
                let claimed = words(protection).ok_or(IntegrityError::Truncated)?;
                let tag = self.schedule_sha256().mac::<Sha256>(covered, SHA256_BYTES);
                if tags_are_equal(&tag, claimed) { Ok(()) } else { Err(IntegrityError::Mismatch) }
            }
        }
    }

    /// The tag of these bytes, whose length field is taken to end behind it, written to `out`, which has
    /// exactly the tag's length.
    #[inline]
    pub(crate) fn sign(&self, algorithm: Algorithm, covered: &[u8], out: &mut [u8]) {
        match algorithm {
            Algorithm::Sha1 => self.sha1.sign(covered, out),
            Algorithm::Sha256 => {
                put_words(&self.schedule_sha256().mac::<Sha256>(covered, SHA256_BYTES), out);
            }
        }
    }

    fn schedule_sha256(&self) -> Zeroizing<Midstates<8>> {
        Zeroizing::new(Midstates::new::<Sha256>(&mut Zeroizing::new(self.sha256)))
    }
}

impl Drop for IntegrityKey {
    fn drop(&mut self) {
        self.sha256.zeroize();
    }
}

impl ZeroizeOnDrop for IntegrityKey {}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(redacted)")
    }
}

/// A hash of `N` state words as HMAC needs it.
trait Hash<const N: usize> {
    const INITIAL: [u32; N];
    fn compress(state: &mut [u32; N], blocks: &[[u8; BLOCK]]);
    /// Hash of a key that is longer than a block, at the front of a block of zeros.
    fn shorten(key: &[u8], block: &mut [u8; BLOCK]);
}

struct Sha1;

impl Hash<5> for Sha1 {
    const INITIAL: [u32; 5] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];

    #[inline]
    fn compress(state: &mut [u32; 5], blocks: &[[u8; BLOCK]]) {
        sha1::block_api::compress(state, blocks);
    }

    fn shorten(key: &[u8], block: &mut [u8; BLOCK]) {
        copy(&mut block[..], &sha1::Sha1::digest(key));
    }
}

struct Sha256;

impl Hash<8> for Sha256 {
    const INITIAL: [u32; 8] = [
        0x6A09_E667,
        0xBB67_AE85,
        0x3C6E_F372,
        0xA54F_F53A,
        0x510E_527F,
        0x9B05_688C,
        0x1F83_D9AB,
        0x5BE0_CD19,
    ];

    #[inline]
    fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK]]) {
        sha2::block_api::compress256(state, blocks);
    }

    fn shorten(key: &[u8], block: &mut [u8; BLOCK]) {
        copy(&mut block[..], &sha2::Sha256::digest(key));
    }
}

/// The two states of RFC 2104 that depend on the key alone.
#[derive(Clone)]
struct Midstates<const N: usize> {
    inner: [u32; N],
    outer: [u32; N],
}

impl<const N: usize> Midstates<N> {
    /// From the key's block, which is of no further use: it is padded in its place, so that there is one copy to wipe.
    fn new<H: Hash<N>>(block: &mut [u8; BLOCK]) -> Self {
        let inner = keyed::<N, H>(block, 0x36);
        Self { inner, outer: keyed::<N, H>(block, 0x36 ^ 0x5C) }
    }

    /// HMAC of the covered bytes with their length field set. RFC 8489 §14.5, §14.6: it counts up to the end
    /// of the integrity attribute whose tag has `tag_bytes`, and nothing behind it.
    #[inline]
    fn mac<H: Hash<N>>(&self, covered: &[u8], tag_bytes: usize) -> [u32; N] {
        // The attribute's own header is 4 bytes, the message header's 20 are not counted.
        let [.., l0, l1] = covered.len().wrapping_add(tag_bytes).wrapping_sub(16).to_be_bytes();
        let mut state = self.inner;
        let mut last = [[0; BLOCK]; 2];
        let rest = if let Some((first, rest)) = covered.split_first_chunk::<BLOCK>() {
            let mut first = *first;
            set_length_field(&mut first, [l0, l1]);
            H::compress(&mut state, &[first]);
            let (blocks, rest) = rest.as_chunks::<BLOCK>();
            if !blocks.is_empty() {
                H::compress(&mut state, blocks);
            }
            copy(last.as_flattened_mut(), rest);
            rest
        } else {
            copy(last.as_flattened_mut(), covered);
            set_length_field(last.as_flattened_mut(), [l0, l1]);
            covered
        };
        // Both hashes pad with one bit, zeros, and the length in bits as 64-bit number; the key's block counts.
        let bits = (covered.len().wrapping_add(BLOCK) as u64).wrapping_mul(8);
        if let Some(byte) = last.as_flattened_mut().get_mut(rest.len()) {
            *byte = 0x80;
        }
        let used = if rest.len() < BLOCK.wrapping_sub(8) { 1 } else { 2 };
        if let Some(blocks) = last.get_mut(..used) {
            if let Some(place) = blocks.as_flattened_mut().last_chunk_mut() {
                *place = bits.to_be_bytes();
            }
            H::compress(&mut state, blocks);
        }
        self.finish::<H>(&state)
    }

    /// The outer hash: over the inner one, which fits into one block.
    #[inline]
    fn finish<H: Hash<N>>(&self, inner: &[u32; N]) -> [u32; N] {
        let mut block = [0; BLOCK];
        let (places, _) = block.as_chunks_mut::<4>();
        let padding = core::iter::once(&0x8000_0000);
        for (place, word) in places.iter_mut().zip(inner.iter().chain(padding)) {
            *place = word.to_be_bytes();
        }
        let bits = (size_of::<[u32; N]>().wrapping_add(BLOCK) as u64).wrapping_mul(8);
        if let Some(place) = block.last_chunk_mut() {
            *place = bits.to_be_bytes();
        }
        let mut state = self.outer;
        H::compress(&mut state, &[block]);
        state
    }
}

impl<const N: usize> Zeroize for Midstates<N> {
    fn zeroize(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// The key as RFC 2104 wants it: a whole block, its hash where it is longer.
fn block<const N: usize, H: Hash<N>>(key: &[u8]) -> Zeroizing<[u8; BLOCK]> {
    let mut block = Zeroizing::new([0; BLOCK]);
    if key.len() > BLOCK {
        H::shorten(key, &mut block);
    } else {
        copy(block.as_mut_slice(), key);
    }
    block
}

/// State of the hash after the key's block, each byte of it first XORed with RFC 2104's pad.
fn keyed<const N: usize, H: Hash<N>>(block: &mut [u8; BLOCK], pad: u8) -> [u32; N] {
    for byte in block.iter_mut() {
        *byte ^= pad;
    }
    let mut state = H::INITIAL;
    H::compress(&mut state, core::slice::from_ref(block));
    state
}

/// Sets bytes 2 and 3 of a message.
#[inline]
fn set_length_field(bytes: &mut [u8], length: [u8; 2]) {
    if let Some([_, _, l0, l1]) = bytes.first_chunk_mut::<4>() {
        [*l0, *l1] = length;
    }
}

/// Copies to the front of `to`, as much as fits.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    if let Some(place) = to.get_mut(..from.len()) {
        place.copy_from_slice(from);
    }
}

/// The tag of the integrity attribute these bytes begin with, in words; `None` if it is not a whole one.
#[inline]
fn words<const N: usize>(attribute: &[u8]) -> Option<&[[u8; 4]; N]> {
    let (words, _) = attribute.as_chunks::<4>();
    let ([_, _, l0, l1], words) = words.split_first()?;
    let whole = usize::from(u16::from_be_bytes([*l0, *l1])) == size_of::<[u32; N]>();
    if whole { words.first_chunk() } else { None }
}

#[inline]
fn put_words(words: &[u32], out: &mut [u8]) {
    let (places, _) = out.as_chunks_mut::<4>();
    for (place, word) in places.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
}

/// Why the integrity of a message is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IntegrityError {
    /// There is no integrity attribute.
    Absent,
    /// It was made with another key, or the message was changed.
    Mismatch,
    /// MESSAGE-INTEGRITY-SHA256 holds only a part of the HMAC.
    Truncated,
}

impl fmt::Display for IntegrityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no integrity attribute",
            Self::Mismatch => "wrong integrity attribute",
            Self::Truncated => "integrity attribute cut short",
        })
    }
}

impl core::error::Error for IntegrityError {}
