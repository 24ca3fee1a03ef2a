//! Restart (RFC 8445 §9): new credentials, the roles and everything gathered kept.

use alloc::vec::Vec;

use floe_check::ChecklistSet;
use floe_pair::{Parameters, Pwd, Ufrag};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life},
    commands::ApiError,
    event::Event,
    generation::{Earlier, Early, Phase},
};

impl Agent {
    /// Restarts ICE (RFC 8445 §9): from now on [`Agent::local_parameters`] are others, with a user fragment and a
    /// password that are drawn anew, and are to be told to the peer. All candidates come again as events, those of
    /// STUN servers once they have answered again; sockets and allocations stay. Role and tiebreaker stay too.
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
        if self.life == Life::Open && self.is_restarting() {
            return Ok(self.generations.number);
        }
        let random = &mut self.random;
        let ufrag = Ufrag::random(|out| random.ice_chars(out));
        let pwd = Pwd::random(|out| random.ice_chars(out));
        self.restart_with(now, ufrag, pwd)
    }

    /// The same with credentials of the application.
    ///
    /// # Errors
    /// [`ApiError::SameCredentials`] where one of both is like before (RFC 8445 §9: both have to change),
    /// [`ApiError::UfragTooLong`], [`ApiError::RestartPending`] while another restart is unanswered,
    /// [`ApiError::Closed`].
    pub fn restart_with(&mut self, now: Instant, ufrag: Ufrag, pwd: Pwd) -> Result<u32, ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if self.is_restarting() {
            return Err(ApiError::RestartPending);
        }
        if !ufrag.is_sendable() {
            return Err(ApiError::UfragTooLong(ufrag.as_str().len()));
        }
        let before = self.checks.local_parameters();
        if self.fragments().any(|known| *known == ufrag) || before.pwd.expose() == pwd.expose() {
            return Err(ApiError::SameCredentials);
        }
        self.begin_generation(now, ufrag, pwd);
        self.pump(now);
        Ok(self.generations.number)
    }

    /// Gives up a restart that the peer has not taken: the generation before is in force again, with everything it
    /// has. Only for an offer that was refused or never sent: a peer that has taken it would wait for candidates of
    /// credentials that are gone.
    ///
    /// # Errors
    /// [`ApiError::NoRestart`] where no restart waits for its answer, [`ApiError::Closed`].
    pub fn rollback(&mut self, now: Instant) -> Result<(), ApiError> {
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        let standing = self.generations.earlier.pop_if(|earlier| earlier.phase == Phase::Standing);
        let standing = standing.ok_or(ApiError::NoRestart)?;
        self.checks = standing.checks;
        self.generations.number = standing.number;
        self.generations.ended = standing.ended;
        self.generations.renamed = true;
        self.emit(Event::RolledBack { generation: standing.number });
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
        let now = self.advance(now);
        if self.life != Life::Open {
            return Err(ApiError::Closed);
        }
        if let Some(before) = self.checks.remote_parameters() {
            if before.ufrag == parameters.ufrag {
                let same = before.pwd.expose() == parameters.pwd.expose();
                return if same { Ok(()) } else { Err(ApiError::ParametersChanged) };
            }
            if self.generations.is_past(parameters.ufrag.as_str()) {
                return Err(ApiError::OldGeneration);
            }
            self.follow_restart(now);
        } else {
            let standing = self.generations.standing().and_then(|earlier| earlier.checks.remote_parameters());
            let unchanged = standing.is_some_and(|before| before.ufrag == parameters.ufrag);
            if unchanged || self.generations.is_past(parameters.ufrag.as_str()) {
                return Err(ApiError::OldGeneration);
            }
        }
        self.answered(now, parameters);
        self.pump(now);
        Ok(())
    }

    /// The peer has restarted: so does this agent.
    fn follow_restart(&mut self, now: Instant) {
        let random = &mut self.random;
        let ufrag = Ufrag::random(|out| random.ice_chars(out));
        let pwd = Pwd::random(|out| random.ice_chars(out));
        self.begin_generation(now, ufrag, pwd);
    }

    /// The parameters that belong to the generation in force are known.
    fn answered(&mut self, now: Instant, parameters: Parameters) {
        let ufrag = parameters.ufrag.clone();
        let before = self.generations.standing().and_then(|earlier| earlier.checks.remote_parameters());
        if let Some(before) = before.map(|before| before.ufrag.clone()) {
            self.generations.leave(before);
        }
        if self.is_restarting() {
            self.generations.retire(now);
            self.ledger.renew();
        }
        self.checks.set_remote_parameters(now, parameters);
        for early in self.generations.take_held(ufrag.as_str()) {
            match early {
                Early::Candidate(stream, candidate) => {
                    self.ledger.on_remote(&candidate);
                    self.checks.add_remote_candidate(now, stream, candidate);
                }
                Early::End => self.end_of_candidates(now, crate::generation::Belongs::InForce),
            }
        }
    }

    /// Lets the earlier generations go once their time is over, and with them what allocations did for them alone.
    pub(crate) fn drop_earlier(&mut self, now: Instant) {
        if !self.generations.are_over(now) {
            return;
        }
        let earlier = self.generations.earlier.iter().flat_map(|earlier| earlier.checks.pairs());
        let of_the_past: Vec<_> = earlier.map(|pair| (pair.base, pair.remote.address)).collect();
        self.generations.clear();
        for (base, peer) in of_the_past {
            let Some(relay) = self.gatherer.relay_mut(base) else { continue };
            let own = || self.checks.pairs().filter(|pair| pair.base == base).map(|pair| pair.remote.address);
            if !own().any(|address| address == peer) {
                relay.client.unbind_channel(peer.socket_addr());
            }
            if !own().any(|address| address.ip() == peer.ip()) {
                relay.client.forget(peer.ip());
            }
        }
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
            checks.add_component(component.stream, component.id);
        }
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
        // Mappings that nobody kept alive may be gone: they are asked for again, and told once they are known.
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
            self.tell_in_force(now, stream, candidate, base);
        }
    }
}
