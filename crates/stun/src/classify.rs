//! Which protocol a datagram is of (RFC 7983 §7 as RFC 9443 §3 changed it).

use crate::{HEADER_BYTES, MAGIC_COOKIE};

/// What a datagram is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatagramClass {
    /// STUN: 0 to 3.
    Stun,
    /// ZRTP: 16 to 19.
    Zrtp,
    /// DTLS: 20 to 63.
    Dtls,
    /// ChannelData of TURN: 64 to 79, only from a TURN server.
    TurnChannel,
    /// QUIC: 64 to 127 but for ChannelData, and 192 to 255.
    Quic,
    /// RTP or RTCP: 128 to 191.
    Rtp,
    /// Nothing that has a range, or no byte at all: to be dropped.
    Unknown,
}

/// Where a datagram came from, as far as the classification needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A TURN server that has answered us, on the socket of that allocation.
    TurnServer,
    /// Anyone else.
    Other,
}

/// Classifies a datagram by its first byte. RFC 9443 §3: 64 to 79 is ChannelData if it comes from our TURN
/// server, else QUIC.
///
/// ```
/// use floe_stun::classify::{DatagramClass, Source, classify};
///
/// assert_eq!(classify(&[0x40, 0, 0, 0], Source::TurnServer), DatagramClass::TurnChannel);
/// assert_eq!(classify(&[0x40, 0, 0, 0], Source::Other), DatagramClass::Quic);
/// ```
#[must_use]
#[inline]
pub fn classify(datagram: &[u8], source: Source) -> DatagramClass {
    let Some(&first) = datagram.first() else { return DatagramClass::Unknown };
    match (first, source) {
        (0..=3, _) => DatagramClass::Stun,
        (16..=19, _) => DatagramClass::Zrtp,
        (20..=63, _) => DatagramClass::Dtls,
        (64..=79, Source::TurnServer) => DatagramClass::TurnChannel,
        (128..=191, _) => DatagramClass::Rtp,
        (64..=127 | 192..=255, _) => DatagramClass::Quic,
        (4..=15, _) => DatagramClass::Unknown,
    }
}

/// Whether a datagram has the form of a STUN message: first byte, cookie, and a length field that fits. Costs
/// next to nothing, and says nothing about the attributes.
#[must_use]
#[inline]
pub fn looks_like_stun(datagram: &[u8]) -> bool {
    let Some(([first, _, l0, l1, c0, c1, c2, c3, ..], body)) = datagram.split_first_chunk::<HEADER_BYTES>()
    else {
        return false;
    };
    *first < 4
        && u32::from_be_bytes([*c0, *c1, *c2, *c3]) == MAGIC_COOKIE
        && usize::from(u16::from_be_bytes([*l0, *l1])) == body.len()
        && l1.trailing_zeros() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oth_01_every_first_byte_from_a_turn_server_and_from_elsewhere() {
        for first in 0..=255_u8 {
            let expected = |channel| match first {
                0..=3 => DatagramClass::Stun,
                16..=19 => DatagramClass::Zrtp,
                20..=63 => DatagramClass::Dtls,
                64..=79 => channel,
                80..=127 | 192..=255 => DatagramClass::Quic,
                128..=191 => DatagramClass::Rtp,
                4..=15 => DatagramClass::Unknown,
            };
            let datagram = [first, 0, 0, 0];
            assert_eq!(classify(&datagram, Source::TurnServer), expected(DatagramClass::TurnChannel));
            assert_eq!(classify(&datagram, Source::Other), expected(DatagramClass::Quic));
        }
        assert_eq!(classify(&[], Source::TurnServer), DatagramClass::Unknown);
    }

    #[test]
    fn oth_01_stun_is_known_by_cookie_and_length_too() {
        let mut datagram = [0; 24];
        datagram[3] = 4;
        datagram[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        assert!(looks_like_stun(&datagram));
        assert!(!looks_like_stun(&datagram[..20]) && !looks_like_stun(&datagram[..19]));
        for (index, value) in [(0, 4), (0, 0x40), (2, 1), (3, 3), (3, 5), (4, 0), (7, 0)] {
            let mut other = datagram;
            other[index] = value;
            assert!(!looks_like_stun(&other), "byte {index} = {value}");
        }
    }
}
