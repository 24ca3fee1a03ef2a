//! Restart (RFC 8445 §9): new credentials, the roles and everything gathered kept.

use alloc::vec::Vec;

use floe_check::{ChecklistSet, PairId, PairReport};
use floe_pair::{Parameters, Pwd, Ufrag};
use floe_stun::Instant;

use crate::{
    agent::{Agent, draw},
    commands::ApiError,
    event::Event,
    generation::{Belongs, Earlier, Early, Phase},
};

/// Ids left for pairs that a generation makes while the restart after it is unanswered: an agent has some hundred at a
/// time.
const PAIR_IDS_AHEAD: u32 = 1 << 16;
/// No generation begins with a higher id, so that none runs out of them: after some thirty thousand restarts they begin
/// again.
const LAST_FIRST_PAIR_ID: u32 = 1 << 31;

impl Agent {
    /// Restarts ICE (RFC 8445 §9): from now on [`Agent::local_parameters`] are others, with a user fragment and a
    /// password that are drawn anew, and are to be told to the peer. All candidates come again as events, those of
    /// STUN servers once they have answered again; sockets and allocations stay, those of addresses that
    /// the rules of RFC 8445 §5.1.1.1 skip by now as long as a generation before uses them. Role and tiebreaker stay too.
    /// With [`relisted`](floe_gather::Config::relisted) candidates come once the interfaces were told again
    /// ([`Agent::handle_interfaces`]), those of addresses that are there by then.
    ///
    /// Until the peer's new parameters are given ([`Agent::set_remote_parameters`]) the generation before goes on as
    /// if nothing had happened, and [`Agent::rollback`] returns to it. After that its pairs carry data until the new
    /// generation has selected its own, and 3 s longer what the peer still sends there is accepted.
    ///
    /// Where a restart is unanswered already nothing changes: an offer is under way. The number of the generation in
    /// force is returned. A restart before the peer's first parameters replaces the first offer: the answer to the
    /// one it replaced is not to be handed in, or each side would follow the other without end.
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn restart(&mut self, now: Instant) -> Result<u32, ApiError> {
        let now = self.open(now)?;
        if self.is_restarting() {
            return Ok(self.generations.number);
        }
        let (ufrag, pwd) = draw(&mut self.random);
        self.restart_with(now, ufrag, pwd)
    }

    /// The same with credentials of the application.
    ///
    /// # Errors
    /// [`ApiError::SameCredentials`] where one of both is like before (RFC 8445 §9: both have to change),
    /// [`ApiError::UfragTooLong`], [`ApiError::RestartPending`] while another restart is unanswered,
    /// [`ApiError::Closed`].
    pub fn restart_with(&mut self, now: Instant, ufrag: Ufrag, pwd: Pwd) -> Result<u32, ApiError> {
        let now = self.open(now)?;
        if self.is_restarting() {
            return Err(ApiError::RestartPending);
        }
        if !ufrag.is_sendable() {
            return Err(ApiError::UfragTooLong(ufrag.as_str().len()));
        }
        let before = self.checks.local_parameters();
        if self.names().any(|(known, _)| known == ufrag.as_str()) || before.pwd.expose() == pwd.expose() {
            return Err(ApiError::SameCredentials);
        }
        self.begin_generation(now, ufrag, pwd);
        self.pump(now);
        Ok(self.generations.number)
    }

    /// Gives up a restart that the peer has not taken: the generation before is in force again, with everything it
    /// has, also of addresses that the restart had no use for. Only for an offer that was refused or never sent: a peer that has taken it would wait for candidates of
    /// credentials that are gone.
    ///
    /// # Errors
    /// [`ApiError::NoRestart`] where no restart waits for its answer, [`ApiError::Closed`].
    pub fn rollback(&mut self, now: Instant) -> Result<(), ApiError> {
        let now = self.open(now)?;
        self.catch_up();
        let standing = self.generations.earlier.pop_if(|earlier| earlier.phase == Phase::Standing);
        let standing = standing.ok_or(ApiError::NoRestart)?;
        let given = core::mem::replace(&mut self.checks, standing.checks).next_pair_id();
        self.checks.continue_pair_ids(given);
        self.generations.number = standing.number;
        self.generations.ended = standing.ended;
        self.generations.renamed = true;
        self.gatherer.roll_back(now);
        self.emit(Event::RolledBack { generation: standing.number });
        // What was gathered for the other generation is of no use to one that has concluded.
        self.conclude(now);
        self.pump(now);
        Ok(())
    }

    /// What the peer signalled: user fragment, password, options (RFC 8839 §5). The same again changes nothing.
    ///
    /// Where a restart of this agent is unanswered, others than before are the answer. Otherwise others are a restart
    /// of the peer, and this agent restarts as well (RFC 8839 §4.4.2.1): [`Event::Restarted`] says so, and
    /// [`Agent::local_parameters`] are the answer.
    ///
    /// # Errors
    /// [`ApiError::ParametersChanged`] where the user fragment is that of before and the password is not (both have to
    /// change), [`ApiError::OldGeneration`] for parameters the peer had before, as from an answerer that did not
    /// restart, [`ApiError::Closed`].
    pub fn set_remote_parameters(&mut self, now: Instant, parameters: Parameters) -> Result<(), ApiError> {
        let now = self.open(now)?;
        if let Some(before) = self.checks.remote_parameters() {
            if before.ufrag == parameters.ufrag {
                let same = before.pwd.expose() == parameters.pwd.expose();
                return if same { Ok(()) } else { Err(ApiError::ParametersChanged) };
            }
            if self.generations.is_past(&parameters.ufrag) {
                return Err(ApiError::OldGeneration);
            }
            self.follow_restart(now);
        } else {
            let standing = self.generations.standing().and_then(|earlier| earlier.checks.remote_parameters());
            let unchanged = standing.is_some_and(|before| before.ufrag == parameters.ufrag);
            if unchanged || self.generations.is_past(&parameters.ufrag) {
                return Err(ApiError::OldGeneration);
            }
        }
        self.answered(now, parameters);
        self.stale = true;
        Ok(())
    }

    /// The peer has restarted: so does this agent.
    fn follow_restart(&mut self, now: Instant) {
        let (ufrag, pwd) = draw(&mut self.random);
        self.begin_generation(now, ufrag, pwd);
    }

    /// The parameters that belong to the generation in force are known.
    fn answered(&mut self, now: Instant, parameters: Parameters) {
        let held = self.generations.take_held(&parameters.ufrag);
        let before = self.generations.standing().and_then(|earlier| earlier.checks.remote_parameters());
        if let Some(before) = before.map(|before| before.ufrag.clone()) {
            self.generations.leave(before);
        }
        if self.is_restarting() {
            self.generations.retire(now);
            self.ledger.renew();
        }
        self.checks.set_remote_parameters(now, parameters);
        self.generations.renamed = true;
        for early in held {
            match early {
                Early::Candidate(stream, candidate) => {
                    self.take_candidate(now, Belongs::InForce, stream, candidate);
                }
                Early::Component(stream, component) => self.checks.note_remote_component(stream, component),
                Early::End(stream) => self.end_of_candidates(now, Belongs::InForce, stream),
            }
        }
    }

    /// Lets the earlier generations go once their time is over, and with them what allocations did for them alone.
    pub(crate) fn drop_earlier(&mut self, now: Instant) {
        if self.generations.are_over(now) {
            self.forget_earlier(now);
        }
    }

    #[inline(never)]
    fn forget_earlier(&mut self, now: Instant) {
        let earlier = self.generations.earlier.iter().flat_map(|earlier| earlier.checks.pairs());
        let of_the_past: Vec<_> = earlier.map(|pair| (pair.base, pair.remote.address.ip())).collect();
        self.generations.clear();
        self.forget_channels();
        for (base, peer) in of_the_past {
            let Some(relay) = self.gatherer.relay_mut(base) else { continue };
            let own = |pair: &PairReport| pair.base == base && pair.remote.address.ip() == peer;
            if !self.checks.pairs().any(|pair| own(&pair)) {
                relay.client.forget(peer);
            }
        }
        self.free_again(now);
    }

    /// Puts a new generation in force, with every component, base and candidate there is. The one before stands.
    fn begin_generation(&mut self, now: Instant, ufrag: Ufrag, pwd: Pwd) {
        // Candidates that wait to be told belong to the generation before.
        self.pump(now);
        let before = self.checks.local_parameters();
        let local = Parameters { ufrag, pwd, ..before.clone() };
        // RFC 8445 §6.1.1: the role persists. §16.1: the tiebreaker may change and need not.
        let (role, tiebreaker) = (self.checks.role(), self.checks.tiebreaker());
        let mut checks = ChecklistSet::new(self.checks.config().clone(), role, tiebreaker, local);
        for component in &self.components {
            checks.add_component(now, component.stream, component.id);
        }
        // The one before goes on making pairs, and may be in force again.
        let first = self.checks.next_pair_id().0.saturating_add(PAIR_IDS_AHEAD);
        checks.continue_pair_ids(PairId(if first <= LAST_FIRST_PAIR_ID { first } else { 0 }));
        let last = self.generations.last.saturating_add(1);
        let before = Earlier {
            number: core::mem::replace(&mut self.generations.number, last),
            checks: core::mem::replace(&mut self.checks, checks),
            ended: core::mem::take(&mut self.generations.ended),
            phase: Phase::Standing,
        };
        self.generations.last = last;
        self.generations.shelve(before);
        self.generations.renamed = true;
        self.emit(Event::Restarted { generation: last });
        if self.gatherer.is_started() {
            // RFC 8838 §13: what was added to a data stream that had ended joins it now.
            let all: Vec<_> = self.components.iter().map(|part| (part.stream, part.id)).collect();
            self.gatherer.start(now, &all);
        }
        // Mappings that nobody kept alive may be gone: they are asked for again, and told once they are known. So is everything
        // where the interfaces are listed for the restart: what is there by then is told.
        self.gatherer.restart(now);
        let known: Vec<_> = self
            .gatherer
            .candidates()
            .map(|(stream, candidate, base)| (stream, candidate.clone(), base))
            .collect();
        for (stream, candidate, base) in known {
            if self.is_too_much(stream, &candidate, base) {
                continue;
            }
            self.tell_in_force(now, stream, &candidate, base);
        }
    }
}
