//! The pace of the whole process (RFC 8445 §14.2).

use core::time::Duration;

use floe_stun::Instant;

/// Hands out the slots in which new transactions may start, over all agents of a process.
///
/// RFC 8445 §14.2: however many agents a host runs, they start no more than one transaction in 5 ms
/// together. A plain value: whoever drives the agents owns it and lends it to
/// [`Agent::handle_timeout`](crate::Agent::handle_timeout).
#[derive(Clone, Debug, Default)]
pub struct Pacer {
    /// The first slot that nobody has.
    next: Instant,
    /// When the floor after the last start is over. Slots alone do not keep it: a timer that fires late
    /// would find all those reserved meanwhile at once.
    open_at: Instant,
}

impl Pacer {
    /// Least time between two slots (RFC 8445 §14.2).
    pub const FLOOR: Duration = Duration::from_millis(5);

    /// A pacer whose first slot is free at once.
    pub const fn new() -> Self {
        Self { next: Instant::ORIGIN, open_at: Instant::ORIGIN }
    }

    /// Takes the next free slot, at or after `now`. [`Pacer::start`] uses it.
    pub fn reserve(&mut self, now: Instant) -> Instant {
        let slot = self.next.max(self.open_at).max(now);
        self.next = slot.after(Self::FLOOR);
        slot
    }

    /// Asks whether a transaction may start at `now` in a slot that was reserved. If so it has to: the floor counts
    /// from here.
    ///
    /// # Errors
    /// It may not start yet: the slot to try again in.
    pub fn start(&mut self, now: Instant, slot: Instant) -> Result<(), Instant> {
        if now < slot {
            return Err(slot);
        }
        if self.open_at <= now {
            self.open_at = now.after(Self::FLOOR);
            return Ok(());
        }
        // Somebody was late. A little of it moves those behind along; who would have to wait for longer than one
        // slot takes a new one, so that after a long sleep not everybody wakes up for each.
        if self.open_at.since(slot) < Self::FLOOR { Err(self.open_at) } else { Err(self.reserve(now)) }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn ice_41_slots_of_all_agents_are_five_milliseconds_apart() {
        let mut pacer = Pacer::new();
        assert_eq!(pacer.reserve(at(100)), at(100), "an idle process sends at once");
        assert_eq!(pacer.reserve(at(100)), at(105));
        assert_eq!(pacer.reserve(at(101)), at(110));
        assert_eq!(pacer.reserve(at(200)), at(200), "unused slots are not saved up");
    }

    #[test]
    fn ice_41_a_late_timer_delays_those_behind_and_lets_no_two_start_at_once() {
        let mut pacer = Pacer::new();
        let slots: Vec<_> = (0..3).map(|_| pacer.reserve(at(100))).collect();
        assert_eq!(pacer.start(at(99), slots[0]), Err(at(100)), "not before its time");
        assert_eq!(pacer.start(at(102), slots[0]), Ok(()));
        assert_eq!(pacer.start(at(106), slots[1]), Err(at(107)), "a little late moves the next one along");
        assert_eq!(pacer.start(at(107), slots[1]), Ok(()));
        assert_eq!(pacer.start(at(150), slots[2]), Ok(()));
    }

    #[test]
    fn t40_after_a_sleep_one_starts_and_the_others_queue_again() {
        let mut pacer = Pacer::new();
        let slots: Vec<_> = (0..4).map(|_| pacer.reserve(at(100))).collect();
        let woken = at(36_000_000);
        assert_eq!(pacer.start(woken, slots[0]), Ok(()));
        let again: Vec<_> = slots[1..].iter().map(|slot| pacer.start(woken, *slot)).collect();
        let next = |count: u64| Err(at(36_000_000 + 5 * count));
        assert_eq!(again, [next(1), next(2), next(3)]);
    }

    proptest! {
        /// Whatever the lateness of timers, starts keep the floor, and each waiting agent has its turn.
        #[test]
        fn ice_41_the_floor_holds_and_all_start_however_late_timers_are(
            late in prop::collection::vec(0..20_u64, 300),
        ) {
            let mut pacer = Pacer::new();
            let mut waiting: BTreeMap<u32, Instant> = (0..20).map(|agent| (agent, pacer.reserve(at(0)))).collect();
            let (mut now, mut last): (_, Option<Instant>) = (at(0), None);
            for late in late {
                let Some(first) = waiting.values().min().copied() else { return Ok(()) };
                now = first.after(Duration::from_millis(late)).max(now);
                let mut free = true;
                for agent in 0..20 {
                    let Some(slot) = waiting.get(&agent).copied().filter(|slot| *slot <= now) else { continue };
                    match pacer.start(now, slot) {
                        Ok(()) => {
                            let floor = last.is_none_or(|last| now.since(last) >= Pacer::FLOOR);
                            prop_assert!(floor, "{:?} after {:?}", now, last);
                            prop_assert!(core::mem::take(&mut free), "one at a time");
                            last = Some(now);
                            waiting.remove(&agent);
                        }
                        Err(later) => {
                            prop_assert!(later > now, "no busy loop");
                            waiting.insert(agent, later);
                        }
                    }
                }
            }
            prop_assert!(waiting.is_empty(), "{} still wait", waiting.len());
        }
    }
}
