//! FINGERPRINT (RFC 8489 §14.7).

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, Table};

/// Bytes of the attribute: type, length, value.
pub(crate) const FINGERPRINT_BYTES: usize = 8;

/// RFC 8489 §14.7: keeps the value from being the CRC-32 of an application's own packet.
const XOR: u32 = 0x5354_554E;

/// 16 tables of 256 entries, made once when compiling: a table made per call costs more than the message.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// The value of a FINGERPRINT that follows these bytes; their length field already counts the attribute.
#[inline]
pub(crate) fn value(covered: &[u8]) -> u32 {
    checksum(covered) ^ XOR
}

/// CRC-32 (ITU V.42) over the library's tables, 16 bytes at a time and then by words.
///
/// The library's own loop takes what is left after the last 16 bytes byte by byte. A STUN message leaves 4, 8
/// or 12, which made up a third of the time of a response's FINGERPRINT.
#[inline]
fn checksum(bytes: &[u8]) -> u32 {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let (words, rest) = rest.as_chunks::<4>();
    let mut state = !0;
    for [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] in blocks {
        let after = ahead(8, [*e, *f, *g, *h]) ^ ahead(4, [*i, *j, *k, *l]) ^ ahead(0, [*m, *n, *o, *p]);
        state = ahead(12, mixed(state, [*a, *b, *c, *d])) ^ after;
    }
    for word in words {
        state = ahead(0, mixed(state, *word));
    }
    for byte in rest {
        let [low, ..] = state.to_le_bytes();
        state = entry(0, low ^ byte) ^ (state >> 8);
    }
    !state
}

/// The four bytes the state is about to take in.
#[inline]
fn mixed(state: u32, word: [u8; 4]) -> [u8; 4] {
    (state ^ u32::from_le_bytes(word)).to_le_bytes()
}

/// What four bytes contribute to the state once they and `distance` more bytes are taken in.
#[inline]
fn ahead(distance: usize, [a, b, c, d]: [u8; 4]) -> u32 {
    let at = |steps| distance.wrapping_add(steps);
    (entry(at(3), a) ^ entry(at(2), b)) ^ (entry(at(1), c) ^ entry(at(0), d))
}

#[inline]
fn entry(table: usize, byte: u8) -> u32 {
    CRC.table().get(table).and_then(|entries| entries.get(usize::from(byte))).copied().unwrap_or(0)
}

/// Checks the FINGERPRINT that ends a message.
#[inline]
pub(crate) fn verify(message: &[u8]) -> Result<(), FingerprintError> {
    let (Some(claimed), Some(covered)) =
        (message.last_chunk::<4>(), message.get(..message.len().saturating_sub(FINGERPRINT_BYTES)))
    else {
        return Err(FingerprintError::Absent);
    };
    if value(covered) == u32::from_be_bytes(*claimed) { Ok(()) } else { Err(FingerprintError::Mismatch) }
}

/// Why FINGERPRINT does not prove that a datagram is STUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FingerprintError {
    /// There is none.
    Absent,
    /// It is not that of these bytes.
    Mismatch,
}

impl fmt::Display for FingerprintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "no FINGERPRINT",
            Self::Mismatch => "wrong FINGERPRINT",
        })
    }
}

impl core::error::Error for FingerprintError {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_library_for_every_length() {
        let bytes: Vec<u8> = (0..=255_u8).chain((0..=255).rev()).collect();
        for end in 0..bytes.len() {
            for start in [0, 1, 7].into_iter().filter(|start| *start <= end) {
                assert_eq!(checksum(&bytes[start..end]), CRC.checksum(&bytes[start..end]), "{start}..{end}");
            }
        }
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926, "the check value of the registry");
    }

    #[test]
    fn a_message_without_room_for_it_has_none() {
        assert_eq!(verify(&[0; 3]), Err(FingerprintError::Absent));
    }
}
