//! Datagrams on a stream: a 16-bit length before each (RFC 4571 §2), as ICE-TCP uses it (RFC 6544 §3).

use core::fmt;

/// Bytes before each frame.
pub const HEADER_BYTES: usize = 2;
/// The longest frame, in bytes without its header.
pub const MAX_FRAME_BYTES: usize = 65_535;

/// The two bytes that go before a frame of `len` bytes; `None` if a frame cannot be that long. Zero is a
/// valid length (RFC 4571 §2).
#[must_use]
pub fn header(len: usize) -> Option<[u8; HEADER_BYTES]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// Cuts a stream into frames, however it is split, in storage of the caller's.
///
/// Frames that arrive whole are handed out where they lie; only a frame that came in pieces is copied. The
/// storage's length is the bound: a longer frame ends the stream ([`FrameTooLong`]), since what follows it
/// could not be told from its inside. With [`MAX_FRAME_BYTES`] of storage every frame fits.
///
/// ```
/// use floe_stun::framing::Deframer;
///
/// let mut deframer = Deframer::new([0; 1500]);
/// let mut input: &[u8] = &[0, 2, b'h', b'i', 0, 5, b't'];
/// assert_eq!(deframer.next_frame(&mut input)?, Some(b"hi".as_slice()));
/// assert_eq!(deframer.next_frame(&mut input)?, None);
/// let mut input: &[u8] = b"here";
/// assert_eq!(deframer.next_frame(&mut input)?, Some(b"there".as_slice()));
/// # Ok::<(), floe_stun::framing::FrameTooLong>(())
/// ```
pub struct Deframer<S> {
    storage: S,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a frame's first byte.
    Between,
    /// The first byte of the length is here.
    HalfHeader(u8),
    /// The frame's length, and how much of it lies in the storage.
    Inside { length: usize, filled: usize },
    /// A frame was too long.
    Broken(FrameTooLong),
}

impl<S: AsRef<[u8]> + AsMut<[u8]>> Deframer<S> {
    /// A deframer at the beginning of a stream. The contents of `storage` do not matter.
    #[must_use]
    pub const fn new(storage: S) -> Self {
        Self { storage, state: State::Between }
    }

    /// The next whole frame. Takes what it uses off the front of `input`; `None` means that all of `input`
    /// is taken and the next frame is not complete.
    ///
    /// # Errors
    /// A frame is longer than the storage; also on every later call. The connection is of no more use.
    pub fn next_frame<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'s [u8]>, FrameTooLong> {
        let Some((length, filled)) = self.begin(input)? else { return Ok(None) };
        let missing = length.saturating_sub(filled);
        if filled == 0
            && let Some((frame, rest)) = input.split_at_checked(length)
        {
            *input = rest;
            self.state = State::Between;
            return Ok(Some(frame));
        }
        let (piece, rest) = input.split_at_checked(missing).unwrap_or((*input, &[]));
        let end = filled.saturating_add(piece.len());
        if let Some(place) = self.storage.as_mut().get_mut(filled..end) {
            place.copy_from_slice(piece);
        }
        *input = rest;
        if end < length {
            self.state = State::Inside { length, filled: end };
            return Ok(None);
        }
        self.state = State::Between;
        Ok(self.storage.as_ref().get(..length))
    }

    /// Reads the length. `None` if it is not complete.
    fn begin(&mut self, input: &mut &[u8]) -> Result<Option<(usize, usize)>, FrameTooLong> {
        let (first, rest) = match self.state {
            State::Broken(error) => return Err(error),
            State::Inside { length, filled } => return Ok(Some((length, filled))),
            State::HalfHeader(first) => (first, *input),
            State::Between => {
                let Some((first, rest)) = input.split_first() else { return Ok(None) };
                (*first, rest)
            }
        };
        let Some((second, rest)) = rest.split_first() else {
            *input = rest;
            self.state = State::HalfHeader(first);
            return Ok(None);
        };
        *input = rest;
        let length = usize::from(u16::from_be_bytes([first, *second]));
        let capacity = self.storage.as_ref().len();
        if length > capacity {
            let error = FrameTooLong { length, capacity };
            self.state = State::Broken(error);
            return Err(error);
        }
        self.state = State::Inside { length, filled: 0 };
        Ok(Some((length, 0)))
    }

    /// Whether the stream may end here: no frame has begun.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Between)
    }
}

impl<S> fmt::Debug for Deframer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deframer").field("state", &self.state).finish_non_exhaustive()
    }
}

/// A frame is longer than the storage of its [`Deframer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTooLong {
    /// Bytes of the frame.
    pub length: usize,
    /// Bytes of the storage.
    pub capacity: usize,
}

impl fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a frame of {} bytes does not fit into {}", self.length, self.capacity)
    }
}

impl core::error::Error for FrameTooLong {}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// Feeds a stream in these pieces and gathers the frames.
    fn frames(capacity: usize, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameTooLong> {
        let mut deframer = Deframer::new(vec![0; capacity]);
        let mut frames = Vec::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(frame) = deframer.next_frame(&mut input)? {
                frames.push(frame.to_vec());
            }
            assert!(input.is_empty());
        }
        Ok(frames)
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_frames() {
        let stream = [0, 0, 0, 1, 7, 0, 0, 0, 3, 1, 2, 3, 0, 0];
        let expected = [vec![], vec![7], vec![], vec![1, 2, 3], vec![]];
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(frames(3, &pieces).unwrap(), expected, "cut at {first} and {second}");
            }
        }
        let single: Vec<_> = stream.chunks(1).collect();
        assert_eq!(frames(3, &single).unwrap(), expected);
    }

    #[test]
    fn a_frame_longer_than_the_storage_ends_the_stream_however_it_comes() {
        let stream = [0, 1, 9, 0, 4, 1, 2, 3, 4];
        let error = FrameTooLong { length: 4, capacity: 3 };
        assert_eq!(frames(3, &[&stream]), Err(error));
        assert_eq!(frames(3, &stream.chunks(1).collect::<Vec<_>>()), Err(error));
        let mut deframer = Deframer::new([0; 3]);
        let mut input: &[u8] = &stream[3..];
        assert_eq!(deframer.next_frame(&mut input), Err(error));
        let mut input: &[u8] = &[0, 1, 1];
        assert_eq!(deframer.next_frame(&mut input), Err(error), "it stays broken");
        assert!(!deframer.is_between_frames());
    }

    #[test]
    fn frames_of_every_length_there_can_be() {
        for len in [0, 1, 255, 256, 65_534, MAX_FRAME_BYTES] {
            let body = vec![0x5A; len];
            let head = header(len).unwrap();
            assert_eq!(frames(MAX_FRAME_BYTES, &[&head, &body]).unwrap(), core::slice::from_ref(&body));
            if let Some((first, rest)) = body.split_first() {
                let pieces: [&[u8]; 3] = [&head, &[*first], rest];
                assert_eq!(frames(MAX_FRAME_BYTES, &pieces).unwrap(), core::slice::from_ref(&body));
            }
        }
        assert_eq!(header(MAX_FRAME_BYTES.saturating_add(1)), None);
    }

    #[test]
    fn a_whole_frame_is_handed_out_where_it_lies() {
        let stream = [0, 2, 1, 2];
        let mut deframer = Deframer::new([0; 8]);
        let mut input: &[u8] = &stream;
        let frame = deframer.next_frame(&mut input).unwrap().unwrap();
        assert!(core::ptr::eq(frame, &raw const stream[2..]));
    }
}
