//! The deadlines of all agents: a heap that knows where each agent stands in it.

use alloc::vec::Vec;

use floe_stun::Instant;

/// Earliest deadline first. Setting one costs a logarithm of the number of agents and no allocation
/// once the heap has grown to that number.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<(Instant, usize)>,
    /// Where each agent's entry is in `heap`.
    places: Vec<Option<usize>>,
}

impl Timers {
    pub(super) fn set(&mut self, agent: usize, deadline: Option<Instant>) {
        if self.places.len() <= agent {
            self.places.resize(agent.saturating_add(1), None);
        }
        let place = self.places.get(agent).copied().flatten();
        match (place, deadline) {
            (None, None) => {}
            (None, Some(at)) => {
                self.heap.push((at, agent));
                let last = self.heap.len().saturating_sub(1);
                self.note(last);
                self.rise(last);
            }
            (Some(place), Some(at)) => {
                if let Some(entry) = self.heap.get_mut(place) {
                    entry.0 = at;
                }
                self.settle(place);
            }
            (Some(place), None) => self.remove(place, agent),
        }
    }

    /// The earliest deadline and whose it is.
    pub(super) fn first(&self) -> Option<(Instant, usize)> {
        self.heap.first().copied()
    }

    fn remove(&mut self, place: usize, agent: usize) {
        self.heap.swap_remove(place);
        if let Some(entry) = self.places.get_mut(agent) {
            *entry = None;
        }
        if place < self.heap.len() {
            self.note(place);
            self.settle(place);
        }
    }

    fn settle(&mut self, place: usize) {
        let place = self.rise(place);
        self.sink(place);
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = place.saturating_sub(1) / 2;
            if !self.is_before(place, parent) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = place.saturating_mul(2).saturating_add(1);
            let right = left.saturating_add(1);
            let child = if self.is_before(right, left) { right } else { left };
            if !self.is_before(child, place) {
                return;
            }
            self.swap(place, child);
            place = child;
        }
    }

    /// False where `a` is no entry, so that a missing child never moves up.
    fn is_before(&self, a: usize, b: usize) -> bool {
        match (self.heap.get(a), self.heap.get(b)) {
            (Some(a), Some(b)) => a < b,
            _ => false,
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, place: usize) {
        let Some(&(_, agent)) = self.heap.get(place) else { return };
        if let Some(entry) = self.places.get_mut(agent) {
            *entry = Some(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_is_the_least_of_what_was_set(
            changes in prop::collection::vec((0..20_usize, prop::option::of(0..50_u64)), 0..300),
        ) {
            let mut timers = Timers::default();
            let mut model = [None; 20];
            for (agent, deadline) in changes {
                timers.set(agent, deadline.map(Instant::from_millis));
                model[agent] = deadline;
                let least = (0..20).filter_map(|agent| Some((Instant::from_millis(model[agent]?), agent))).min();
                prop_assert_eq!(timers.first(), least);
            }
        }
    }
}
