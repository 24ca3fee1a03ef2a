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
    held: VecDeque<Early>,
    bytes: usize,
}

#[derive(Debug)]
struct Early {
    base: BaseId,
    source: TransportAddress,
    payload: Box<[u8]>,
}

/// What became of a datagram that was to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Kept,
    /// No component holds as much.
    TooLong,
}

impl EarlyData {
    /// Holds a copy; the oldest go where there is no room.
    pub(crate) fn hold(&mut self, base: BaseId, source: TransportAddress, payload: &[u8]) -> Held {
        if payload.len() > MOST_BYTES {
            return Held::TooLong;
        }
        while self.held.len() >= MOST_DATAGRAMS || self.bytes.saturating_add(payload.len()) > MOST_BYTES {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.payload.len());
        }
        self.bytes = self.bytes.saturating_add(payload.len());
        self.held.push_back(Early { base, source, payload: payload.into() });
        Held::Kept
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

    /// Forgets what came to a base that is gone.
    pub(crate) fn forget(&mut self, base: BaseId) {
        self.held.retain(|held| held.base != base);
        self.bytes = self.held.iter().map(|held| held.payload.len()).sum();
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const SOURCE: TransportAddress =
        TransportAddress::new(core::net::IpAddr::V4(core::net::Ipv4Addr::LOCALHOST), 9);

    #[test]
    fn the_oldest_go_when_full_by_number_or_by_bytes() {
        let mut early = EarlyData::default();
        for byte in 0..=16_u8 {
            assert_eq!(early.hold(BaseId(0), SOURCE, &[byte]), Held::Kept);
        }
        assert_eq!(early.release(|_, _| true).as_deref(), Some(&[1][..]), "the first had to go");
        assert_eq!(early.release(|_, _| false), None);
        assert_eq!(early.held.len(), 15);
        assert_eq!(early.hold(BaseId(0), SOURCE, &vec![7; MOST_BYTES]), Held::Kept);
        assert_eq!(early.held.len(), 1, "all fifteen made room");
        assert_eq!(early.hold(BaseId(0), SOURCE, &vec![7; MOST_BYTES + 1]), Held::TooLong);
        assert_eq!(early.release(|_, _| true).map(|held| held.len()), Some(MOST_BYTES));
        assert!(early.is_empty());
    }

    #[test]
    fn what_came_to_a_base_that_is_gone_takes_no_room() {
        let mut early = EarlyData::default();
        for base in [0, 1, 0] {
            early.hold(BaseId(base), SOURCE, &[7; MOST_BYTES / 3]);
        }
        early.forget(BaseId(0));
        assert_eq!((early.held.len(), early.bytes), (1, MOST_BYTES / 3));
        early.hold(BaseId(2), SOURCE, &[8; MOST_BYTES - MOST_BYTES / 3]);
        assert_eq!(early.held.len(), 2, "there is room again");
    }
}
