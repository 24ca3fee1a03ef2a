//! ChannelData messages of TURN (RFC 8656 §12.4).

use core::fmt;

/// Bytes before the data: channel number and length.
pub const HEADER_BYTES: usize = 4;

/// A channel number a client may use, 0x4000 to 0x4FFF (RFC 8656 §12). Also the attribute CHANNEL-NUMBER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest number.
    pub const MIN: Self = Self(0x4000);
    /// The highest number.
    pub const MAX: Self = Self(0x4FFF);

    /// RFC 8656 §12: 0x4000 to 0x4FFF; `None` for any other number.
    #[must_use]
    #[inline]
    pub const fn new(number: u16) -> Option<Self> {
        if number >> 12 == 4 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// A ChannelData message: application data and the channel it travels on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel.
    pub number: ChannelNumber,
    /// The application data; may be empty.
    pub payload: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// Reads a datagram, or a message cut out of a stream. Bytes behind the data are padding and ignored:
    /// RFC 8656 §12.5 allows it over UDP and demands it over TCP.
    ///
    /// ```
    /// use floe_stun::channel::{ChannelData, write_header};
    /// use floe_stun::ChannelNumber;
    ///
    /// let mut datagram = write_header(ChannelNumber::MIN, 2).to_vec();
    /// datagram.extend(b"hi");
    /// assert_eq!(ChannelData::parse(&datagram)?.payload, b"hi");
    /// # Ok::<(), floe_stun::channel::ChannelDataError>(())
    /// ```
    ///
    /// # Errors
    /// RFC 8656 §12.6: the number is of the reserved range, or the datagram shorter than the length it
    /// claims. To be dropped silently.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ChannelDataError> {
        let Some(([n0, n1, l0, l1], rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(ChannelDataError::TooShort(bytes.len()));
        };
        let number = u16::from_be_bytes([*n0, *n1]);
        let claimed = usize::from(u16::from_be_bytes([*l0, *l1]));
        let number = ChannelNumber::new(number).ok_or(ChannelDataError::Number(number))?;
        let payload = rest.get(..claimed).ok_or(ChannelDataError::Length { claimed, actual: rest.len() })?;
        Ok(Self { number, payload })
    }
}

impl fmt::Debug for ChannelData<'_> {
    /// Shows the length of the data only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelData({:#06x}, {} bytes)", self.number.0, self.payload.len())
    }
}

/// The four bytes that go before `len` bytes of application data.
#[must_use]
#[inline]
pub const fn write_header(number: ChannelNumber, len: u16) -> [u8; HEADER_BYTES] {
    let ([n0, n1], [l0, l1]) = (number.0.to_be_bytes(), len.to_be_bytes());
    [n0, n1, l0, l1]
}

/// Zero bytes that follow `len` bytes of data over a stream (RFC 8656 §12.5): 0 to 3.
#[must_use]
#[inline]
pub const fn padding(len: u16) -> usize {
    // Two's complement: what is missing to the next multiple of four.
    (len.wrapping_neg() & 3) as usize
}

/// Why bytes are no ChannelData message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelDataError {
    /// Fewer bytes than the header has.
    TooShort(usize),
    /// Not a channel number (RFC 8656 §12: 0x5000 and up are reserved).
    Number(u16),
    /// The data is cut short.
    Length {
        /// What the header says.
        claimed: usize,
        /// Bytes behind the header.
        actual: usize,
    },
}

impl fmt::Display for ChannelDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(length) => write!(f, "{length} bytes are too few for a ChannelData header"),
            Self::Number(number) => write!(f, "{number:#06x} is not a channel number"),
            Self::Length { claimed, actual } => write!(f, "{claimed} bytes claimed, {actual} there"),
        }
    }
}

impl core::error::Error for ChannelDataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8656_12_6_short_and_reserved_messages_are_refused() {
        let number = ChannelNumber::MIN;
        let whole = [0x40, 0, 0, 3, 1, 2, 3];
        assert_eq!(ChannelData::parse(&whole), Ok(ChannelData { number, payload: &[1, 2, 3] }));
        for end in 0..4 {
            assert_eq!(ChannelData::parse(&whole[..end]), Err(ChannelDataError::TooShort(end)));
        }
        for end in 4..7 {
            let actual = usize::saturating_sub(end, 4);
            assert_eq!(
                ChannelData::parse(&whole[..end]),
                Err(ChannelDataError::Length { claimed: 3, actual })
            );
        }
        for number in [0x0000_u16, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
            let [high, low] = number.to_be_bytes();
            assert_eq!(ChannelData::parse(&[high, low, 0, 0]), Err(ChannelDataError::Number(number)));
        }
    }

    #[test]
    fn padding_is_ignored_and_no_data_is_valid() {
        let empty = ChannelData { number: ChannelNumber::MAX, payload: &[] };
        assert_eq!(ChannelData::parse(&[0x4F, 0xFF, 0, 0]), Ok(empty));
        assert_eq!(ChannelData::parse(&[0x4F, 0xFF, 0, 0, 9, 9, 9]), Ok(empty));
        assert_eq!(write_header(ChannelNumber::MAX, 0xABCD), [0x4F, 0xFF, 0xAB, 0xCD]);
        assert_eq!([0, 1, 2, 3, 4, u16::MAX].map(padding), [0, 3, 2, 1, 0, 1]);
    }
}
