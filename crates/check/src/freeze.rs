//! Frozen and Waiting over the whole checklist set (RFC 8445 §6.1.2.6, §6.1.4.2, §7.2.5.3.3; RFC 8838 §12). Sees all
//! pairs, never one list.
//!
//! The rules are written over what they look at and no more, so that the model in `model/` checks them, and not a copy,
//! over all states of small sets.

use alloc::vec::Vec;

use crate::state::{PairEvent, PairState};

/// What the rules look at in a pair, and the one thing they do to it.
pub(crate) trait Freezable {
    /// Pairs of one foundation have equal ones.
    type Foundation: Copy + Ord;
    /// Order within a foundation; no two pairs have the same.
    type Rank: Ord;
    /// Order of ordinary checks, the first one least.
    type Turn: Ord;

    fn foundation(&self) -> Self::Foundation;
    fn rank(&self) -> Self::Rank;
    fn turn(&self) -> Self::Turn;
    /// Place of its checklist in the set.
    fn order(&self) -> u16;
    fn state(&self) -> PairState;
    /// Still in its checklist.
    fn is_listed(&self) -> bool;
    /// Checked beside the selected pair of its component: nothing that is still needed waits for it.
    fn is_beside(&self) -> bool {
        false
    }
    /// Waiting for an ordinary check: neither in the triggered-check queue nor about to be nominated.
    fn is_ordinary(&self) -> bool;
    /// A check can begin.
    fn is_ready(&self) -> bool;
    fn step(&mut self, event: PairEvent);
}

/// RFC 8445 §6.1.2.6: of each foundation the pair that comes first (checklist, component, priority) becomes Waiting,
/// all others stay Frozen. Done once, when the first check is about to begin.
pub(crate) fn initial<P: Freezable>(pairs: &mut [P]) {
    if pairs.is_sorted_by(|one, next| one.foundation() < next.foundation()) {
        // What is usual, without a search: each pair is the only one of its foundation.
        for pair in pairs.iter_mut().filter(|pair| pair.is_listed() && pair.state() == PairState::Frozen) {
            pair.step(PairEvent::Unfreeze);
        }
        return;
    }
    let mut order: Vec<(P::Foundation, usize)> = Vec::with_capacity(pairs.len());
    let listed = pairs.iter().enumerate().filter(|(_, pair)| pair.is_listed());
    order.extend(listed.map(|(index, pair)| (pair.foundation(), index)));
    order.sort_unstable();
    for same in order.chunk_by(|(foundation, _), (other, _)| foundation == other) {
        let first = match same {
            // What is usual, without a search.
            [(_, only)] => Some(*only),
            _ => same.iter().map(|(_, index)| *index).min_by_key(|index| pairs.get(*index).map(P::rank)),
        };
        // A pair that was triggered before stands for its foundation already.
        let pair = first.and_then(|index| pairs.get_mut(index));
        if let Some(pair) = pair.filter(|pair| pair.state() == PairState::Frozen) {
            pair.step(PairEvent::Unfreeze);
        }
    }
}

/// RFC 8838 §12: whether a pair that joins later, and is not among `pairs`, is Waiting from the beginning: if it is the
/// topmost of its foundation (rule 1) or if its foundation has a pair that succeeded (rule 2).
pub(crate) fn joins_waiting<P: Freezable>(pairs: &[P], new: &P) -> bool {
    let mut topmost = true;
    for pair in pairs.iter().filter(|pair| pair.foundation() == new.foundation()) {
        if pair.state() == PairState::Succeeded {
            return true;
        }
        topmost &= !pair.is_listed() || new.rank() < pair.rank();
    }
    topmost
}

/// RFC 8445 §7.2.5.3.3: success thaws all Frozen pairs of the foundation, in all checklists.
pub(crate) fn thaw_foundation<P: Freezable>(pairs: &mut [P], foundation: P::Foundation) {
    for pair in pairs {
        if pair.state() == PairState::Frozen && pair.foundation() == foundation {
            pair.step(PairEvent::Unfreeze);
        }
    }
}

/// RFC 8445 §6.1.4.2 steps 2 to 4: the pair of this checklist whose ordinary check begins next. Where the checklist has
/// no Waiting pair, what can be thawed is thawed first. A pair whose permission is asked for counts as begun: an answer
/// of the TURN server that is lost keeps nobody else waiting.
pub(crate) fn next_ordinary<P: Freezable>(pairs: &mut [P], order: u16) -> Option<&P> {
    if !pairs.iter().any(|pair| may_go(pair, order)) {
        while let Some(index) = first_idle(pairs, order) {
            pairs.get_mut(index)?.step(PairEvent::Unfreeze);
        }
    }
    pairs.iter().filter(|pair| may_go(*pair, order)).min_by_key(|pair| pair.turn())
}

/// Whether [`next_ordinary`] would find a pair, or thaw one.
pub(crate) fn has_ordinary<P: Freezable>(pairs: &[P], order: u16) -> bool {
    pairs.iter().any(|pair| may_go(pair, order)) || first_idle(pairs, order).is_some()
}

/// Whether an ordinary check of this pair may begin in this checklist.
pub(crate) fn may_go<P: Freezable>(pair: &P, order: u16) -> bool {
    pair.order() == order && pair.is_ordinary() && pair.is_ready()
}

/// RFC 8445 §6.1.4.2 step 2: the first Frozen pair whose foundation has no pair Waiting or In-Progress in any checklist.
/// RFC 8445 §8.1.2 takes the pairs of a component out of it when one is selected; those that renomination keeps are
/// waited for by their like only.
fn first_idle<P: Freezable>(pairs: &[P], order: u16) -> Option<usize> {
    // A pair that left its checklist is no reason to wait: nobody looks after it any more.
    let active =
        |pair: &P| pair.is_listed() && matches!(pair.state(), PairState::Waiting | PairState::InProgress);
    let busy = |frozen: &P| {
        let holds = |pair: &P| active(pair) && (frozen.is_beside() || !pair.is_beside());
        pairs.iter().any(|pair| pair.foundation() == frozen.foundation() && holds(pair))
    };
    pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| pair.state() == PairState::Frozen && pair.order() == order && pair.is_listed())
        .filter(|(_, pair)| !busy(pair))
        .min_by_key(|(_, pair)| pair.rank())
        .map(|(index, _)| index)
}
