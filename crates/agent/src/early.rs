//! Data that comes before its pair is known to be valid (design: early data).

use alloc::{boxed::Box, collections::VecDeque};

use floe_pair::{BaseId, TransportAddress};

/// Datagrams held for a component: a peer sends for about one round trip before our check is answered.
pub(crate) const MOST_DATAGRAMS: usize = 16;
/// Bytes held for a component: sixteen datagrams of an Ethernet's size.
pub(crate) const MOST_BYTES: usize = 24 * 1024;

/// What one component holds; the oldest goes when it is full.
#[derive(Debug, Default)]
pub(crate) struct EarlyData {
    held: VecDeque<Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    base: BaseId,
    source: TransportAddress,
    payload: Box<[u8]>,
}

impl EarlyData {
    /// Holds a copy. Returns how many older datagrams had to go, or 1 where this one is too large itself.
    pub(crate) fn hold(&mut self, base: BaseId, source: TransportAddress, payload: &[u8]) -> u32 {
        if payload.len() > MOST_BYTES {
            return 1;
        }
        let mut gone = 0_u32;
        while self.held.len() >= MOST_DATAGRAMS || self.bytes.saturating_add(payload.len()) > MOST_BYTES {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.payload.len());
            gone = gone.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(payload.len());
        self.held.push_back(Held { base, source, payload: payload.into() });
        gone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The oldest datagram whose place and source are valid by now.
    pub(crate) fn release(
        &mut self,
        mut is_valid: impl FnMut(BaseId, TransportAddress) -> bool,
    ) -> Option<Box<[u8]>> {
        let index = self.held.iter().position(|held| is_valid(held.base, held.source))?;
        let held = self.held.remove(index)?;
        self.bytes = self.bytes.saturating_sub(held.payload.len());
        Some(held.payload)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_full_by_number_or_by_bytes() {
        let source = TransportAddress::new([192, 0, 2, 1].into(), 9);
        let mut early = EarlyData::default();
        for byte in 0..=16_u8 {
            assert_eq!(early.hold(BaseId(0), source, &[byte]), u32::from(byte == 16));
        }
        assert_eq!(early.release(|_, _| true).as_deref(), Some(&[1][..]));
        assert_eq!(early.release(|_, _| false), None);
        assert_eq!(early.hold(BaseId(0), source, &[7; MOST_BYTES]), 15, "all fifteen make room");
        assert_eq!(early.hold(BaseId(0), source, &[7; MOST_BYTES + 1]), 1, "too large to be held");
        assert_eq!(early.release(|_, _| true).map(|held| held.len()), Some(MOST_BYTES));
        assert!(early.is_empty());
    }
}
