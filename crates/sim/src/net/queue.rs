//! What will happen, in order.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use floe_agent::{AgentKey, Answer, RequestId};
use floe_stun::Instant;

use super::{AgentId, HostId, Node, Packet, RealmId, session::Signal};

/// Something that happens at an instant.
#[derive(Debug)]
pub(super) enum Occurrence {
    /// A datagram begins the last part of its way: down the link of the node it goes to.
    Descent { node: Node, link: usize, realm: RealmId, packet: Packet },
    /// A datagram reaches a node by one of the address spaces it is attached to.
    Arrival { node: Node, realm: RealmId, packet: Packet },
    /// A third party puts a datagram into an address space.
    Injection { realm: RealmId, packet: Packet },
    /// The peer's signalling reaches an agent.
    Signal { to: AgentId, recalls: u32, signal: Signal },
    /// A lookup is done.
    Answer { host: HostId, agent: AgentKey, id: RequestId, answer: Answer },
}

/// Occurrences by time; those of one instant in the order in which they were caused.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The order, and where the occurrence lies.
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    places: Vec<Option<Occurrence>>,
    free: Vec<usize>,
    caused: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Instant, occurrence: Occurrence) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len().saturating_sub(1)
        });
        if let Some(slot) = self.places.get_mut(place) {
            *slot = Some(occurrence);
        }
        self.order.push(Reverse((at, self.caused, place)));
        self.caused = self.caused.wrapping_add(1);
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Occurrence> {
        self.next_at().filter(|at| *at <= now)?;
        let Reverse((.., place)) = self.order.pop()?;
        self.free.push(place);
        self.places.get_mut(place)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_come_by_time_and_then_in_the_order_of_their_causes() {
        let mut queue = Queue::default();
        let signal = |number| Occurrence::Answer {
            host: HostId(number),
            agent: floe_agent::Hub::new().insert(super::super::tests::idle_agent()),
            id: RequestId(0),
            answer: Answer::Resolved(Vec::new()),
        };
        for (number, ms) in [(0, 30), (1, 10), (2, 20), (3, 10), (4, 10)] {
            queue.push(Instant::from_millis(ms), signal(number));
        }
        let mut popped = Vec::new();
        while let Some(at) = queue.next_at() {
            assert!(queue.pop_due(Instant::from_nanos(at.as_nanos() - 1)).is_none(), "not before its time");
            let Some(Occurrence::Answer { host, .. }) = queue.pop_due(at) else { panic!("lost") };
            popped.push(host.0);
        }
        assert_eq!(popped, [1, 3, 4, 2, 0]);
    }
}
