//! Lists that most often have one entry, and lists whose entries have rising numbers.

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

/// Where the entry of this number stands in a list whose numbers rise. Most often they rise by one, and where an entry has
/// gone, those after it stand further to the front.
#[inline]
pub(crate) fn place_of<T>(list: &[T], number: u32, of: impl Fn(&T) -> u32) -> Option<usize> {
    let first = of(list.first()?);
    let index = usize::try_from(number.wrapping_sub(first)).ok()?;
    if list.get(index).is_some_and(|entry| of(entry) == number) {
        return Some(index);
    }
    list.binary_search_by_key(&number, of).ok()
}
