//! Commands about single pairs and candidates (design: policy is data). None of them can break a rule of the RFCs.

use floe_check::{NominateError, PairId};
use floe_pair::{ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Component, Life},
    path::PathHandle,
};

/// Ids of pairs are those of the generation in force ([`Agent::pairs`]); a restart makes new ones.
impl Agent {
    /// Prefers a pair to those of lower rank, whatever their priorities; 0 is the rank of all others. It counts where
    /// this agent nominates; [`PairPolicy`](floe_check::PairPolicy) ranks candidate types beforehand.
    pub fn rank(&mut self, now: Instant, pair: PairId, rank: i32) {
        self.on_pairs(now, |now, checks| checks.rank(now, pair, rank));
    }

    /// Never nominates a pair, or takes that back.
    pub fn veto(&mut self, now: Instant, pair: PairId, vetoed: bool) {
        self.on_pairs(now, |now, checks| checks.veto(now, pair, vetoed));
    }

    /// Stays on a pair as long as it lives, or takes that back.
    pub fn pin(&mut self, now: Instant, pair: PairId, pinned: bool) {
        self.on_pairs(now, |now, checks| checks.pin(now, pair, pinned));
    }

    /// Keeps a valid pair by consent checks though it is not selected, or takes that back.
    pub fn keep(&mut self, now: Instant, pair: PairId, kept: bool) {
        self.on_pairs(now, |now, checks| checks.keep(now, pair, kept));
    }

    /// Nominates a pair.
    ///
    /// # Errors
    /// [`NominateError`] where the rules do not allow it.
    pub fn nominate(&mut self, now: Instant, pair: PairId) -> Result<(), NominateError> {
        let mut result = Ok(());
        self.on_pairs(now, |now, checks| result = checks.nominate(now, pair));
        result
    }

    /// Between two lite agents of which one has several addresses the choice of a pair is provisional until the peers
    /// have agreed ([`Agent::reconcile`]; RFC 8445 §8.2).
    pub fn is_provisional(&self, stream: StreamId, component: ComponentId) -> bool {
        self.checks.is_provisional(stream, component)
    }

    /// Two lite agents have agreed on a pair by another exchange (RFC 8445 §8.2). False where there is no such pair.
    pub fn reconcile(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        local: TransportAddress,
        remote: TransportAddress,
    ) -> bool {
        let mut agreed = false;
        self.on_pairs(now, |now, checks| agreed = checks.reconcile(now, stream, component, local, remote));
        agreed
    }

    fn on_pairs(&mut self, now: Instant, act: impl FnOnce(Instant, &mut floe_check::ChecklistSet)) {
        let now = self.advance(now);
        if self.life == Life::Open {
            act(now, &mut self.checks);
            self.pump(now);
        }
    }

    /// Tells the checks which components send, where consent is suspended otherwise (RFC 7675 §5.1).
    pub(crate) fn note_sent(&mut self, now: Instant) {
        if !self.suspends() {
            return;
        }
        let Self { components, checks, generations, .. } = self;
        let sends = |component: &&Component| component.path.as_ref().is_some_and(PathHandle::take_used);
        for component in components.iter().filter(sends) {
            checks.data_sent(now, component.stream, component.id);
            for earlier in &mut generations.earlier {
                earlier.checks.data_sent(now, component.stream, component.id);
            }
        }
    }

    /// Whether consent rests while the application sends nothing.
    pub(crate) fn suspends(&self) -> bool {
        self.checks.config().consent.is_some_and(|consent| consent.suspend)
    }
}
