//! Frozen and Waiting over the whole checklist set (RFC 8445 §6.1.2.6, §6.1.4.2, §7.2.5.3.3; RFC 8838 §12). Sees all
//! pairs, never one list.

use alloc::vec::Vec;

use crate::candidates::FoundationKey;
use crate::pairs::Pair;
use crate::state::{PairEvent, PairState};

/// RFC 8445 §6.1.2.6: of each foundation the pair that comes first (checklist, component, priority) becomes Waiting,
/// all others stay Frozen. Done once, when the first check is about to begin.
pub(crate) fn initial(pairs: &mut [Pair]) {
    let mut order: Vec<(FoundationKey, _, usize)> = pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| pair.listed)
        .map(|(index, pair)| (pair.foundation, pair.rank(), index))
        .collect();
    order.sort_unstable();
    order.dedup_by_key(|(foundation, ..)| *foundation);
    for (_, _, index) in order {
        // A pair that was triggered before stands for its foundation already.
        if let Some(pair) = pairs.get_mut(index).filter(|pair| pair.state == PairState::Frozen) {
            pair.step(PairEvent::Unfreeze);
        }
    }
}

/// RFC 8838 §12: whether a pair that joins later is Waiting from the beginning: if it is the topmost of its foundation
/// (rule 1) or if its foundation has a pair that succeeded (rule 2).
pub(crate) fn joins_waiting(pairs: &[Pair], new: &Pair) -> bool {
    let mut topmost = true;
    for pair in pairs.iter().filter(|pair| pair.foundation == new.foundation && pair.id != new.id) {
        if pair.state == PairState::Succeeded {
            return true;
        }
        topmost &= !pair.listed || new.rank() < pair.rank();
    }
    topmost
}

/// RFC 8445 §7.2.5.3.3: success thaws all Frozen pairs of the foundation, in all checklists.
pub(crate) fn thaw_foundation(pairs: &mut [Pair], foundation: FoundationKey) {
    for pair in pairs {
        if pair.foundation == foundation && pair.state == PairState::Frozen {
            pair.step(PairEvent::Unfreeze);
        }
    }
}

/// RFC 8445 §6.1.4.2 step 2, for a checklist without a Waiting pair: the first Frozen pair of each foundation that
/// has no pair Waiting or In-Progress in any checklist becomes Waiting. Returns whether there was one.
pub(crate) fn thaw_idle(pairs: &mut [Pair], order: u16) -> bool {
    let mut any = false;
    while let Some(index) = first_idle(pairs, order) {
        if let Some(pair) = pairs.get_mut(index) {
            pair.step(PairEvent::Unfreeze);
        }
        any = true;
    }
    any
}

/// Whether [`thaw_idle`] would thaw something.
pub(crate) fn can_thaw(pairs: &[Pair], order: u16) -> bool {
    first_idle(pairs, order).is_some()
}

fn first_idle(pairs: &[Pair], order: u16) -> Option<usize> {
    let frozen = |pair: &&Pair| pair.listed && pair.state == PairState::Frozen && pair.order == order;
    // A pair that left its checklist is no reason to wait: nobody looks after it any more.
    let busy = |foundation: FoundationKey| {
        pairs.iter().any(|pair| {
            pair.listed
                && pair.foundation == foundation
                && matches!(pair.state, PairState::Waiting | PairState::InProgress)
        })
    };
    pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| frozen(pair) && !busy(pair.foundation))
        .min_by_key(|(_, pair)| pair.rank())
        .map(|(index, _)| index)
}
