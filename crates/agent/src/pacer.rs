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
    next: Instant,
}

impl Pacer {
    /// Least time between two slots (RFC 8445 §14.2).
    pub const FLOOR: Duration = Duration::from_millis(5);

    /// A pacer whose first slot is free at once.
    pub const fn new() -> Self {
        Self { next: Instant::ORIGIN }
    }

    /// Takes the next free slot, at or after `now`; the caller starts its transaction then, not before.
    pub fn reserve(&mut self, now: Instant) -> Instant {
        let slot = self.next.max(now);
        self.next = slot.after(Self::FLOOR);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ice_41_slots_of_all_agents_are_five_milliseconds_apart() {
        let mut pacer = Pacer::new();
        let at = |ms| Instant::from_millis(ms);
        assert_eq!(pacer.reserve(at(100)), at(100), "an idle process sends at once");
        assert_eq!(pacer.reserve(at(100)), at(105));
        assert_eq!(pacer.reserve(at(101)), at(110));
        assert_eq!(pacer.reserve(at(200)), at(200), "unused slots are not saved up");
    }
}
