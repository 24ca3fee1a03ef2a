//! A list that mostly has one entry.

use alloc::vec::{self, Vec};
use core::{
    iter::Chain,
    mem,
    ops::{Deref, DerefMut},
    option, slice,
};

/// Entries in one piece of memory, which is given back with the last. A single one stands in the list itself: most agents
/// have one host, and to ask for memory for each thing that is known of it took a tenth of the time of a session.
#[derive(Clone, Debug, Default)]
pub enum Few<T> {
    /// No entry.
    #[default]
    None,
    /// One.
    One(T),
    /// As many as there are.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// No entry.
    #[must_use]
    pub const fn new() -> Self {
        Self::None
    }

    /// Makes room for that many more at once.
    pub fn reserve(&mut self, more: usize) {
        match self {
            Self::Many(list) => list.reserve_exact(more),
            Self::None if more > 1 => *self = Self::Many(Vec::with_capacity(more)),
            Self::One(_) if more > 0 => {
                let mut list = Vec::with_capacity(more.saturating_add(1));
                if let Self::One(entry) = mem::take(self) {
                    list.push(entry);
                }
                *self = Self::Many(list);
            }
            Self::None | Self::One(_) => {}
        }
    }

    /// Puts an entry at this place; those from there on move up.
    pub fn insert(&mut self, place: usize, entry: T) {
        match self {
            Self::None => *self = Self::One(entry),
            Self::One(_) => {
                self.reserve(1);
                self.insert(place, entry);
            }
            Self::Many(list) => {
                if list.len() == list.capacity() {
                    // Vectors begin with room for four, of entries of which there are mostly two.
                    list.reserve_exact(list.len());
                }
                list.insert(place.min(list.len()), entry);
            }
        }
    }

    /// Appends an entry.
    #[inline]
    pub fn push(&mut self, entry: T) {
        match self {
            Self::None => *self = Self::One(entry),
            Self::Many(list) if list.len() < list.capacity() => list.push(entry),
            _ => self.insert(self.len(), entry),
        }
    }

    /// Takes the entry at this place out; those behind it move down.
    pub fn remove(&mut self, place: usize) -> Option<T> {
        if let Self::Many(list) = self {
            let entry = (place < list.len()).then(|| list.remove(place));
            self.release();
            return entry;
        }
        if place == 0 { mem::take(self).into_iter().next() } else { None }
    }

    /// Keeps the entries that are wanted, in their order.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        match self {
            Self::None => {}
            Self::One(entry) => {
                if !keep(entry) {
                    *self = Self::None;
                }
            }
            Self::Many(list) => {
                list.retain_mut(keep);
                self.release();
            }
        }
    }

    fn release(&mut self) {
        if self.is_empty() {
            *self = Self::None;
        }
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => slice::from_ref(one),
            Self::Many(list) => list,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(one) => slice::from_mut(one),
            Self::Many(list) => list,
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Self::None => (None, Vec::new()),
            Self::One(one) => (Some(one), Vec::new()),
            Self::Many(list) => (None, list),
        };
        one.into_iter().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list(steps in prop::collection::vec((0..4_u8, 0..5_usize, any::<u8>()), 0..200)) {
            let (mut few, mut model) = (Few::new(), Vec::new());
            for (step, place, value) in steps {
                match step {
                    0 => {
                        let place = place.min(model.len());
                        few.insert(place, value);
                        model.insert(place, value);
                    }
                    1 => {
                        let removed = (place < model.len()).then(|| model.remove(place));
                        prop_assert_eq!(few.remove(place), removed);
                    }
                    2 => {
                        few.retain(|entry| *entry >= value);
                        model.retain(|entry| *entry >= value);
                    }
                    _ => few.reserve(place),
                }
                prop_assert_eq!(&*few, &*model);
            }
            prop_assert!(few.into_iter().eq(model));
        }
    }

    #[test]
    fn one_entry_needs_no_memory_and_none_keeps_any() {
        let mut few = Few::new();
        few.push(1);
        assert!(matches!(few, Few::One(1)));
        few.push(2);
        few.push(3);
        assert!(matches!(&few, Few::Many(list) if list.capacity() == 4));
        few.retain(|_| false);
        assert!(matches!(few, Few::None));
    }
}
