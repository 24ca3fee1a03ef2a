//! Received datagrams of one component, until the application reads them.

use std::collections::VecDeque;

use floe_agent::Ecn;

use crate::error::RecvError;

/// Datagrams of one component that wait for the application. At 10,000 packets a second a fifth of a second:
/// a reader that is later than that wants the newest.
pub const DATA_QUEUE_DATAGRAMS: usize = 2048;
/// Bytes of one component that wait for the application: a whole batch of the largest receives fits.
pub const DATA_QUEUE_BYTES: usize = 1 << 20;

/// Datagrams in order, bounded; the oldest goes for a newer one. Grows to what is used and then allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: VecDeque<u8>,
    datagrams: VecDeque<Entry>,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    len: usize,
    ecn: Ecn,
}

/// One datagram that was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// How many bytes of the buffer it is.
    pub len: usize,
    /// Its congestion mark.
    pub ecn: Ecn,
}

impl Inbox {
    /// Takes a datagram in and says how many had to go for it.
    pub(crate) fn push(&mut self, payload: &[u8], ecn: Ecn) -> u64 {
        if self.closed || payload.len() > DATA_QUEUE_BYTES {
            return 1;
        }
        let mut lost = 0_u64;
        while self.datagrams.len() >= DATA_QUEUE_DATAGRAMS
            || self.bytes.len().saturating_add(payload.len()) > DATA_QUEUE_BYTES
        {
            if self.discard_first().is_none() {
                break;
            }
            lost = lost.saturating_add(1);
        }
        self.bytes.extend(payload);
        self.datagrams.push_back(Entry { len: payload.len(), ecn });
        lost
    }

    /// Takes the oldest datagram out; `None` where there is none yet.
    pub(crate) fn pop(&mut self, buffer: &mut [u8]) -> Option<Result<Received, RecvError>> {
        if self.closed {
            return Some(Err(RecvError::Closed));
        }
        let len = self.datagrams.front()?.len;
        let Some(buffer) = buffer.get_mut(..len) else {
            self.discard_first();
            return Some(Err(RecvError::BufferTooSmall { needed: len }));
        };
        let (front, back) = self.bytes.as_slices();
        let (first, second) = buffer.split_at_mut(len.min(front.len()));
        first.copy_from_slice(front.get(..first.len()).unwrap_or_default());
        second.copy_from_slice(back.get(..second.len()).unwrap_or_default());
        self.discard_first().map(|entry| Ok(Received { len: entry.len, ecn: entry.ecn }))
    }

    /// Takes out as many as there are and fit, one after another into `buffer`.
    pub(crate) fn pop_batch(
        &mut self,
        buffer: &mut [u8],
        received: &mut [Received],
    ) -> Option<Result<usize, RecvError>> {
        let (mut filled, mut count) = (0_usize, 0_usize);
        for slot in received {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let fits = self.datagrams.front().is_some_and(|next| next.len <= rest.len());
            if count > 0 && !fits {
                break;
            }
            match self.pop(rest)? {
                Ok(one) => *slot = one,
                Err(error) => return Some(Err(error)),
            }
            filled = filled.saturating_add(slot.len);
            count = count.saturating_add(1);
        }
        Some(Ok(count))
    }

    /// Whether a datagram or the end waits to be read.
    pub(crate) fn is_ready(&self) -> bool {
        self.closed || !self.datagrams.is_empty()
    }

    /// Forgets everything; nothing is taken in any more.
    pub(crate) fn close(&mut self) {
        *self = Self { closed: true, ..Self::default() };
    }

    fn discard_first(&mut self) -> Option<Entry> {
        let entry = self.datagrams.pop_front()?;
        self.bytes.drain(..entry.len.min(self.bytes.len()));
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in(
            steps in prop::collection::vec(prop::option::weighted(0.6, 0..2000_usize), 0..200),
        ) {
            let (mut inbox, mut model) = (Inbox::default(), VecDeque::new());
            for (number, step) in steps.into_iter().enumerate() {
                if let Some(len) = step {
                    let datagram = vec![u8::try_from(number % 256).unwrap(); len];
                    prop_assert_eq!(inbox.push(&datagram, Ecn::Congestion), 0);
                    model.push_back(datagram);
                } else {
                    let mut buffer = [0; 2000];
                    let read = inbox.pop(&mut buffer).map(|read| buffer[..read.unwrap().len].to_vec());
                    prop_assert_eq!(read, model.pop_front());
                }
                prop_assert_eq!(inbox.is_ready(), !model.is_empty());
            }
        }
    }

    #[test]
    fn the_oldest_go_when_it_is_full() {
        let mut inbox = Inbox::default();
        let lost: u64 = (0..=DATA_QUEUE_DATAGRAMS)
            .map(|number| inbox.push(&u32::try_from(number).unwrap().to_be_bytes(), Ecn::NotCapable))
            .sum();
        assert_eq!(lost, 1);
        let mut buffer = [0; 4];
        inbox.pop(&mut buffer).unwrap().unwrap();
        assert_eq!(u32::from_be_bytes(buffer), 1);

        let mut inbox = Inbox::default();
        let large = vec![7; DATA_QUEUE_BYTES / 4];
        let lost: Vec<_> = (0..5).map(|_| inbox.push(&large, Ecn::NotCapable)).collect();
        assert_eq!(lost, [0, 0, 0, 0, 1]);
        assert_eq!(inbox.push(&vec![7; DATA_QUEUE_BYTES], Ecn::NotCapable), 4);
        assert_eq!(inbox.push(&vec![7; DATA_QUEUE_BYTES + 1], Ecn::NotCapable), 1);
    }

    #[test]
    fn a_short_buffer_loses_that_datagram_and_says_so() {
        let mut inbox = Inbox::default();
        inbox.push(b"hello", Ecn::NotCapable);
        inbox.push(b"", Ecn::Capable0);
        let mut buffer = [0; 4];
        assert_eq!(inbox.pop(&mut buffer), Some(Err(RecvError::BufferTooSmall { needed: 5 })));
        assert_eq!(inbox.pop(&mut buffer), Some(Ok(Received { len: 0, ecn: Ecn::Capable0 })));
        assert_eq!(inbox.pop(&mut buffer), None);
    }

    #[test]
    fn a_batch_takes_what_is_there_and_fits() {
        let mut inbox = Inbox::default();
        let (mut buffer, mut received) = ([0; 8], [Received::default(); 4]);
        assert_eq!(inbox.pop_batch(&mut buffer, &mut received), None);
        for datagram in ["abc", "", "def", "ghi"] {
            inbox.push(datagram.as_bytes(), Ecn::NotCapable);
        }
        assert_eq!(inbox.pop_batch(&mut buffer, &mut received), Some(Ok(3)));
        assert_eq!((&buffer[..6], received.map(|one| one.len)), (&b"abcdef"[..], [3, 0, 3, 0]));
        assert_eq!(inbox.pop_batch(&mut buffer, &mut received), Some(Ok(1)));
        assert_eq!(&buffer[..3], b"ghi");
    }

    #[test]
    fn after_the_end_nothing_comes_in_or_out() {
        let mut inbox = Inbox::default();
        inbox.push(b"hello", Ecn::NotCapable);
        inbox.close();
        assert_eq!(inbox.push(b"hello", Ecn::NotCapable), 1);
        assert_eq!(inbox.pop(&mut [0; 9]), Some(Err(RecvError::Closed)));
    }
}
