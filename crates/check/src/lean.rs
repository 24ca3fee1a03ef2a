//! Lists that most often have one entry.

use alloc::vec::Vec;

/// Appends an entry. The first one gets the memory of one, not of four: an agent that has concluded keeps one pair, of
/// one local and one remote candidate, in one stream of one component.
#[inline]
pub(crate) fn push_lean<T>(list: &mut Vec<T>, entry: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(entry);
}
