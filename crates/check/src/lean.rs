//! Lists that most often have one entry.

use alloc::vec::Vec;

/// Appends an entry. The first one gets the memory of one, not of four: an agent that has concluded keeps one pair, of
/// one local and one remote candidate, in one stream of one component.
#[inline]
pub(crate) fn push_lean<T>(list: &mut Vec<T>, entry: T) {
    reserve_lean(list, 1);
    list.push(entry);
}

/// Makes room for so many more: the first one gets the memory of one.
#[inline]
pub(crate) fn reserve_lean<T>(list: &mut Vec<T>, more: usize) {
    if more == 1 && list.is_empty() {
        list.reserve_exact(1);
    } else {
        list.reserve(more);
    }
}
