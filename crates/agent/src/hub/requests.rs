//! Whose answer a message on a shared socket is.

use alloc::{boxed::Box, vec};

use floe_stun::TransactionId;

use super::AgentKey;

/// Entries of one group: the chance that as many newer requests fall into it before an answer comes is small.
const GROUP: usize = 4;
/// Groups; a power of two. Ten thousand agents ask for consent two thousand times a second: room for four seconds.
const GROUPS: u16 = 2048;

type Group = [Option<(TransactionId, AgentKey)>; GROUP];

/// The latest requests that left over shared sockets, by transaction id. A table of one size, in which the oldest
/// of a group goes: nothing is allocated for a request. The ids are our own random ones, so that nobody outside
/// can choose which group they fall into.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Empty before the first.
    groups: Box<[Group]>,
}

impl Requests {
    /// Notes a request, again where it is a retransmission.
    pub(super) fn note(&mut self, id: TransactionId, key: AgentKey) {
        if self.groups.is_empty() {
            self.groups = vec![Group::default(); usize::from(GROUPS)].into_boxed_slice();
        }
        let Some(group) = self.groups.get_mut(place(id)) else { return };
        let known = group.iter().position(|entry| entry.is_some_and(|(noted, _)| noted == id));
        // Those before it move along, onto its place or over the oldest.
        if let Some(moved) = group.get_mut(..=known.unwrap_or(GROUP - 1)) {
            moved.rotate_right(1);
        }
        if let Some(first) = group.first_mut() {
            *first = Some((id, key));
        }
    }

    /// Who sent the request with this id.
    pub(super) fn find(&self, id: TransactionId) -> Option<AgentKey> {
        let group = self.groups.get(place(id))?;
        group.iter().flatten().find(|(noted, _)| *noted == id).map(|(_, key)| *key)
    }
}

fn place(id: TransactionId) -> usize {
    let [a, b, ..] = id.0;
    usize::from(u16::from_be_bytes([a, b]) & (GROUPS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> AgentKey {
        AgentKey { index, generation: 0 }
    }

    /// All in one group.
    fn id(number: u8) -> TransactionId {
        TransactionId([0, 3, number, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    #[test]
    fn the_latest_of_a_group_are_found_and_a_retransmission_counts_as_late() {
        let mut requests = Requests::default();
        assert_eq!(requests.find(id(0)), None);
        for number in 0..4 {
            requests.note(id(number), key(number.into()));
        }
        requests.note(id(0), key(0));
        requests.note(id(4), key(4));
        let found: [_; 5] = core::array::from_fn(|number| requests.find(id(number.try_into().unwrap())));
        assert_eq!(found, [Some(key(0)), None, Some(key(2)), Some(key(3)), Some(key(4))]);
    }
}
