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
    // The library takes 16 bytes at a time and then single ones. A STUN message leaves 4, 8 or 12: taken as
    // words, with the same tables, they cost a quarter.
    let (blocks, rest) = covered.as_chunks::<16>();
    let (words, rest) = rest.as_chunks::<4>();
    let mut state = !CRC.checksum(blocks.as_flattened());
    for word in words {
        let [a, b, c, d] = (state ^ u32::from_le_bytes(*word)).to_le_bytes();
        state = entry(3, a) ^ entry(2, b) ^ entry(1, c) ^ entry(0, d);
    }
    for byte in rest {
        let [low, ..] = state.to_le_bytes();
        state = entry(0, low ^ byte) ^ (state >> 8);
    }
    !state ^ XOR
}

/// What `byte` contributes to the CRC when `distance` bytes follow it before the next look at the state.
#[inline]
fn entry(distance: usize, byte: u8) -> u32 {
    CRC.table().get(distance).and_then(|table| table.get(usize::from(byte))).copied().unwrap_or(0)
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
