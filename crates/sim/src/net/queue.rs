//! What will happen, in order.

use std::collections::BTreeMap;

use floe_agent::{AgentKey, Answer, RequestId};
use floe_stun::Instant;

use super::{AgentId, HostId, Node, Packet, RealmId, session::Signal};

/// Something that happens at an instant.
#[derive(Debug)]
pub(super) enum Occurrence {
    /// A datagram reaches a node by one of the address spaces it is attached to.
    Arrival { node: Node, realm: RealmId, packet: Packet },
    /// The peer's signalling reaches an agent.
    Signal { to: AgentId, signal: Signal },
    /// A lookup is done.
    Answer { host: HostId, agent: AgentKey, id: RequestId, answer: Answer },
}

/// Occurrences by time; those of one instant in the order in which they were caused.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<(Instant, u64), Occurrence>,
    caused: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Instant, occurrence: Occurrence) {
        self.waiting.insert((at, self.caused), occurrence);
        self.caused = self.caused.wrapping_add(1);
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Occurrence> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
