//! A small map.

use floe_pair::Few;

/// In a list of so many entries a key is found sooner one by one than by halves.
const SHORT: usize = 16;

/// Entries in order of their keys, in one piece of memory: most agents have one host, no server and no relay, and the nodes
/// of a tree are made for eleven entries. Every table kept in it is bounded by the limits and the number of
/// components: mostly some ten entries, and thousands with a hundred components. What is large is kept in boxes.
#[derive(Debug)]
pub(crate) struct SortedMap<K, V> {
    list: Few<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SortedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self { list: Few::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.list.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.list.iter_mut().map(|(key, value)| (&*key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.list.iter().map(|(key, _)| key)
    }

    pub(crate) fn key_at(&self, place: usize) -> Option<&K> {
        self.list.get(place).map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.list.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.list.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.list.retain(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where a key is.
    #[inline]
    fn place(&self, key: &K) -> Option<usize> {
        if self.list.len() <= SHORT {
            self.list.iter().position(|(known, _)| known == key)
        } else {
            self.list.binary_search_by(|(known, _)| known.cmp(key)).ok()
        }
    }

    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.list.get(self.place(key)?).map(|(_, value)| value)
    }

    /// The only entry there is.
    #[inline]
    pub(crate) fn only(&self) -> Option<(&K, &V)> {
        if let [(key, value)] = &*self.list { Some((key, value)) } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key)?;
        self.list.get_mut(place).map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_some()
    }

    /// Adds an entry, or gives the one there is another value.
    #[inline]
    pub(crate) fn insert(&mut self, key: K, value: V) {
        // Keys are mostly numbers that count up.
        let is_last = self.list.last().is_none_or(|(last, _)| *last < key);
        if is_last {
            self.list.push((key, value));
        } else if let Some(known) = self.get_mut(&key) {
            *known = value;
        } else {
            let place = self.list.partition_point(|(known, _)| *known < key);
            self.list.insert(place, (key, value));
        }
    }

    /// Makes room for that many more at once.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.list.reserve(more);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.list.remove(self.place(key)?).map(|(_, value)| value)
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = <Few<(K, V)> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0..40_u8, prop::option::of(any::<u16>())), 0..200)) {
            let (mut map, mut model) = (SortedMap::new(), BTreeMap::new());
            for (key, value) in steps {
                if let Some(value) = value {
                    map.insert(key, value);
                    model.insert(key, value);
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
