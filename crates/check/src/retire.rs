//! A generation that a restart has replaced (RFC 8445 §9).

use alloc::vec::Vec;

use floe_pair::{ComponentId, StreamId};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::pairs::{Pair, PairId};
use crate::state::{PairEvent, PairState};

impl ChecklistSet {
    /// Another generation takes this one's place: what is left is one pair for each component, the selected one, else the
    /// best valid one; with it those over which its data comes in. Data goes on over it, so that consent on it is kept as
    /// before, and requests with the credentials of this generation are still answered. No check begins any more, nothing
    /// is nominated, and of all events only
    /// [`Event::ConsentLost`](crate::Event::ConsentLost) is left. There is no way back.
    pub fn retire(&mut self, now: Instant) {
        let now = self.advance(now);
        if self.retired {
            return;
        }
        self.retired = true;
        (self.patient_until, self.free_at, self.free_later) = (None, None, false);
        let mut kept = self.pairs_carrying_data();
        let stays = |pair: &&Pair| self.pairs.entry_of(pair.id).is_some_and(|entry| kept.contains(&entry.id));
        // What is valid itself stays for its own sake only, and what has failed since for nobody's.
        let proves = |pair: &&Pair| pair.valid.is_none() && pair.state != PairState::Failed;
        let producers = self.pairs.iter().filter(proves).filter(stays);
        kept.extend(producers.map(|pair| pair.id).collect::<Vec<_>>());
        self.pairs.retain(|pair| kept.contains(&pair.id));
        for pair in self.pairs.change(|_| true) {
            // RFC 8445 §9: the state of the checks is flushed. The pair itself is proved, whatever was under way on it.
            pair.step(PairEvent::Succeed);
            (pair.listed, pair.queued, pair.nominating, pair.peer_nominated) = (true, false, false, false);
            (pair.fresh_at, pair.failure) = (None, None);
        }
        self.transactions.retain(|_| false);
        self.early = Vec::new();
        self.bases.forget_pending();
        for checklist in &mut self.streams {
            (checklist.triggered, checklist.patient_until) = (Vec::new(), None);
            for component in &mut checklist.components {
                (component.nomination, component.hold) = (None, None);
                component.makeshift = !component.concluded;
                // Whether nominated or not: data stays on it, and its loss is told.
                let own = |pair: &&Pair| pair.valid.is_some() && pair.is_of(checklist.stream, component.id);
                component.selected = self.pairs.iter().find(own).map(|pair| pair.id);
                component.concluded = component.selected.is_some();
                component.overruled = Vec::new();
            }
        }
        let pairs = &self.pairs;
        self.candidates.remotes.retain(|remote| pairs.iter().any(|pair| pair.remote == remote.id));
        self.candidates.locals.retain(|local| pairs.iter().any(|pair| pair.stands_on(local.id)));
        self.candidates.forget_all_packed();
        self.release_memory();
        self.settle(now);
    }

    /// Whether [`retire`](Self::retire) was called.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether a pair of a component was nominated, be it before the set was retired: one that is kept without that may be
    /// another than the peer keeps.
    pub fn has_nominated(&self, stream: StreamId, component: ComponentId) -> bool {
        self.component(stream, component).is_some_and(|found| found.concluded && !found.makeshift)
    }

    fn pairs_carrying_data(&self) -> Vec<PairId> {
        let components = self.streams.iter().flat_map(|checklist| {
            checklist.components.iter().map(|component| (checklist.stream, component.id))
        });
        components
            .filter_map(|(stream, component)| self.sending(stream, component))
            .map(|pair| pair.id)
            .collect()
    }
}
