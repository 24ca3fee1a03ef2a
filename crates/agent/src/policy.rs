//! Commands about single pairs and candidates (design: policy is data). None of them can break a rule of the RFCs.

use alloc::vec::Vec;

use floe_check::{ChecklistSet, KeepError, NominateError, PairId, Renomination};
use floe_pair::{ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;
use floe_turn::Credentials;

use crate::{
    agent::{Agent, Component},
    commands::ApiError,
    path::PathHandle,
};

/// Ids of pairs are those of the generation in force ([`Agent::pairs`]). A restart makes new ones, and no id names two
/// pairs: one from before a restart is [`ApiError::NoSuchPair`].
impl Agent {
    /// Prefers a pair to those of lower rank, whatever their priorities; 0 is the rank of all others. It counts where
    /// this agent nominates; [`PairPolicy`](floe_check::PairPolicy) ranks candidate types beforehand.
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn rank(&mut self, now: Instant, pair: PairId, rank: i32) -> Result<(), ApiError> {
        self.on_pair(now, pair, |now, checks| checks.rank(now, pair, rank))
    }

    /// Never nominates a pair, or takes that back. A nomination that was sent already holds.
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn veto(&mut self, now: Instant, pair: PairId, vetoed: bool) -> Result<(), ApiError> {
        self.on_pair(now, pair, |now, checks| checks.veto(now, pair, vetoed))
    }

    /// Stays on a pair as long as it lives, or takes that back.
    ///
    /// # Errors
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn pin(&mut self, now: Instant, pair: PairId, pinned: bool) -> Result<(), ApiError> {
        self.on_pair(now, pair, |now, checks| checks.pin(now, pair, pinned))
    }

    /// Keeps a valid pair by consent checks though it is not selected, or takes that back. Without renomination it has to
    /// be told before another pair is selected. One that is still checked is kept if it comes true; one that has failed is
    /// not kept, and is kept no more should it come true later.
    ///
    /// # Errors
    /// [`ApiError::TooManyKept`] where [`KEPT_LIMIT`](floe_check::KEPT_LIMIT) others of the component are kept,
    /// [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn keep(&mut self, now: Instant, pair: PairId, kept: bool) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        let said = self.checks.keep(now, pair, kept);
        self.pump(now);
        said.map_err(|error| match error {
            KeepError::TooMany => ApiError::TooManyKept(pair),
            _ => ApiError::NoSuchPair(pair),
        })
    }

    /// Nominates a pair, without waiting for a better one.
    ///
    /// # Errors
    /// [`ApiError::Nominate`] where the rules do not allow it, [`ApiError::NoSuchPair`], [`ApiError::Closed`].
    pub fn nominate(&mut self, now: Instant, pair: PairId) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        let nominated = self.checks.nominate(now, pair);
        self.pump(now);
        nominated.map_err(|error| match error {
            NominateError::UnknownPair => ApiError::NoSuchPair(pair),
            error => ApiError::Nominate(error),
        })
    }

    /// Whether the choice of a component's pair is provisional: both agents are lite, one has several addresses, and
    /// they have not agreed yet ([`Agent::reconcile`]; RFC 8445 §8.2). [`Agent::selected`] is the choice of this agent,
    /// and carries data; each change of it is told by [`Event::Selected`](crate::Event::Selected). While candidates may
    /// still come, a single pair is provisional as well.
    pub fn is_provisional(&self, stream: StreamId, component: ComponentId) -> bool {
        self.checks.is_provisional(stream, component)
    }

    /// Two lite agents have agreed on a pair for this component: the controlling one sent an updated list of candidates
    /// that leaves the pair of its [`Agent::selected`] (RFC 8445 §6.2, §8.2). The controlled one calls this with it, and
    /// the controlling one when that was answered, each with its own address first.
    /// [`Event::Selected`](crate::Event::Selected) follows where the pair is another, and
    /// [`State::Completed`](crate::State::Completed) once no component is left. In SDP these are
    /// [`Media::concluded`](floe_pair::sdp::Media::concluded) and [`announced`](floe_pair::sdp::announced).
    ///
    /// False, and nothing changes, where there is no such pair or nothing to agree upon.
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn reconcile(
        &mut self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
        local: TransportAddress,
        remote: TransportAddress,
    ) -> Result<bool, ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        let agreed = self.checks.reconcile(now, stream, component, local, remote);
        self.pump(now);
        Ok(agreed)
    }

    /// Takes other credentials for a TURN server, by its number among the configured ones, for all that is asked of it from
    /// now on: in time before those it has run out, or after [`Event::CredentialsWanted`](crate::Event::CredentialsWanted).
    ///
    /// Allocations of the same user go on with them. An allocation belongs to its user (RFC 8656 §5): where that is another
    /// one now, a further one is asked for beside it, on a socket of its own. Its candidate is told as any other while
    /// candidates are, and is checked; with renomination data moves there when a pair over it is valid. Without it, and where the
    /// peer controls and does not move in time, [`Event::RestartSuggested`](crate::Event::RestartSuggested) says when a restart
    /// is to do it, which uses the new allocation alone. The old one carries what it carried for as long as its server renews
    /// it, and is given back when nothing uses it. `until`: when the credentials run out, if that is known.
    ///
    /// # Errors
    /// [`ApiError::NoSuchServer`], [`ApiError::Closed`].
    pub fn set_credentials(
        &mut self,
        now: Instant,
        server: usize,
        credentials: &Credentials,
        until: Option<Instant>,
    ) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        if !self.gatherer.set_credentials(now, server, credentials, until) {
            return Err(ApiError::NoSuchServer(server));
        }
        for base in self.gatherer.replaced().collect::<Vec<_>>() {
            self.all_checks_mut().for_each(|checks| checks.replace_base(now, base));
            // With what the server has refused already the pair does not last until it has been seen whether the peer moves.
            if self.gatherer.relay(base).is_some_and(|relay| relay.client.wants_credentials()) {
                let mut renominating =
                    self.live_checks_mut().filter(|checks| checks.renomination() != Renomination::Off);
                renominating.by_ref().for_each(|checks| checks.base_ends(now, base));
            }
        }
        self.pump(now);
        Ok(())
    }

    /// Says something of a pair to the checks, which know whether there is one.
    fn on_pair(
        &mut self,
        now: Instant,
        pair: PairId,
        say: impl FnOnce(Instant, &mut ChecklistSet) -> bool,
    ) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        let known = say(now, &mut self.checks);
        self.pump(now);
        if known { Ok(()) } else { Err(ApiError::NoSuchPair(pair)) }
    }

    /// Tells the checks which components send, where consent is suspended otherwise (RFC 7675 §5.1).
    pub(crate) fn note_sent(&mut self, now: Instant) {
        if self.suspends() {
            self.note_used(now);
        }
    }

    #[inline(never)]
    fn note_used(&mut self, now: Instant) {
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
