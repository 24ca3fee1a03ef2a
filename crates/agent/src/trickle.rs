//! Candidates and their end, of both sides and by generation (RFC 8838 §9 to §15).

use alloc::vec::Vec;

use floe_check::{Admission, ChecklistSet, State};
use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, StreamId, Ufrag};
use floe_stun::Instant;

use crate::{
    agent::Agent,
    commands::{Added, ApiError, Ignored},
    event::Event,
    generation::{Belongs, Earlier, Early, Ended},
};

impl Agent {
    /// The peer has no more candidates for any data stream there is now (RFC 8838 §14), in the newest generation it has
    /// told of. Without effect on a closed agent.
    pub fn remote_gathering_complete(&mut self, now: Instant) {
        let _ = self.remote_gathering_complete_of(now, None);
    }

    /// The same for the generation of a user fragment of the peer: kept where its parameters are still to come, ignored
    /// where it is one of the past. `None` means the newest.
    ///
    /// This is the indication of RFC 8840 §4.4 at session level. Where it stands with one data stream,
    /// [`Agent::remote_stream_complete`] is for it: this here would end the others.
    ///
    /// # Errors
    /// [`ApiError::Closed`].
    pub fn remote_gathering_complete_of(
        &mut self,
        now: Instant,
        ufrag: Option<&Ufrag>,
    ) -> Result<Added, ApiError> {
        let now = self.open(now)?;
        Ok(self.remote_end(now, None, ufrag))
    }

    /// The peer has no more candidates for one data stream (RFC 8838 §14): what it tells of later for this stream is
    /// ignored. The user fragment tells the generation, as in [`Agent::remote_gathering_complete_of`].
    ///
    /// # Errors
    /// [`ApiError::NoSuchStream`], [`ApiError::Closed`].
    pub fn remote_stream_complete(
        &mut self,
        now: Instant,
        stream: StreamId,
        ufrag: Option<&Ufrag>,
    ) -> Result<Added, ApiError> {
        let now = self.open(now)?;
        if self.components.iter().all(|component| component.stream != stream) {
            return Err(ApiError::NoSuchStream(stream));
        }
        Ok(self.remote_end(now, Some(stream), ufrag))
    }

    fn remote_end(&mut self, now: Instant, stream: Option<StreamId>, ufrag: Option<&Ufrag>) -> Added {
        // Candidates of a generation wait for its parameters: their end, told without a name, waits behind them.
        let ufrag = ufrag.cloned().or_else(|| self.awaited().cloned());
        match (self.belongs(ufrag.as_ref()), ufrag) {
            (Belongs::Past, _) => return Added::Ignored(Ignored::Generation),
            (Belongs::Unknown, Some(ufrag)) => {
                self.generations.hold(ufrag, Early::End(stream));
                return Added::Held;
            }
            (belongs, _) => self.end_of_candidates(now, belongs, stream),
        }
        self.stale = true;
        Added::Added
    }

    /// The user fragment that the peer named last, as long as it has told no parameters at all.
    fn awaited(&self) -> Option<&Ufrag> {
        let told = self.all_checks().any(|checks| checks.remote_parameters().is_some());
        if told { None } else { self.generations.last_held() }
    }

    /// The peer's end of candidates for a generation, of one data stream or of all there are.
    pub(crate) fn end_of_candidates(&mut self, now: Instant, of: Belongs, stream: Option<StreamId>) {
        let mut next = stream.or_else(|| self.stream_after(None));
        while let Some(ended) = next {
            if let Some(checks) = self.checks_beside(of) {
                checks.remote_gathering_complete(now, ended);
            }
            let Some(checks) = self.checks_of(of) else { return };
            checks.remote_gathering_complete(now, ended);
            next = if stream.is_some() { None } else { self.stream_after(Some(ended)) };
        }
    }

    /// A candidate was found. It belongs to each generation that makes checks; where it is that of an address that was listed
    /// again, the one before an unanswered restart knows it.
    pub(crate) fn on_local(&mut self, now: Instant, stream: StreamId, candidate: &Candidate, base: BaseId) {
        if self.is_too_much(stream, candidate, base) {
            return;
        }
        let is_new = |standing: &&mut Earlier| !standing.checks.knows_local(base, candidate.address);
        if let Some(standing) = self.generations.standing_mut().filter(is_new) {
            let told = may_tell(&standing.checks, &standing.ended, stream, candidate.component);
            let generation = standing.number;
            let line = told.then(|| candidate.clone());
            add_base(&mut standing.checks, base, candidate.kind);
            standing.checks.add_local_candidate(now, stream, candidate.clone(), base);
            if let Some(candidate) = line {
                self.emit(Event::LocalCandidate { stream, candidate, generation });
            }
        }
        self.tell_in_force(now, stream, candidate, base);
        // RFC 8445 §8.3.1: what takes the place of an allocation may come when there is nothing left that it would serve.
        let is_served = |checks: &ChecklistSet| {
            checks.is_freed(stream) && checks.stream_state(stream) == Some(State::Completed)
        };
        if self.gatherer.relay(base).is_some() && is_served(&self.checks) && !self.checks.is_base_used(base) {
            self.free_candidates(now, stream);
        }
    }

    /// RFC 8445 §5.2: a lite agent has one candidate of each IP family for each component at most. Only checks could tell
    /// which of two works.
    pub(crate) fn is_too_much(&self, stream: StreamId, candidate: &Candidate, base: BaseId) -> bool {
        if !self.local_parameters().lite {
            return false;
        }
        let mut same = self.gatherer.candidates().filter(|(of, known, _)| {
            *of == stream
                && known.component == candidate.component
                && known.address.is_ipv4() == candidate.address.is_ipv4()
        });
        same.next().is_some_and(|(_, _, first)| first != base)
    }

    /// RFC 8838 §10: told to the peer first, then paired. What may not be told any more is paired all the same: the
    /// peer learns of it by its checks (RFC 8445 §7.3.1.3).
    pub(crate) fn tell_in_force(
        &mut self,
        now: Instant,
        stream: StreamId,
        candidate: &Candidate,
        base: BaseId,
    ) {
        if may_tell(&self.checks, &self.generations.ended, stream, candidate.component) {
            let (candidate, generation) = (candidate.clone(), self.generations.number);
            self.emit(Event::LocalCandidate { stream, candidate, generation });
        }
        add_base(&mut self.checks, base, candidate.kind);
        self.checks.add_local_candidate(now, stream, candidate.clone(), base);
    }

    /// Gathering is complete for every component there is: each data stream has its end of candidates, told once in
    /// each generation (RFC 8838 §13).
    pub(crate) fn end_local(&mut self, now: Instant) {
        let mut next = self.stream_after(None);
        let mut news = false;
        while let Some(stream) = next {
            if let Some(standing) = self.generations.standing_mut() {
                standing.checks.local_gathering_complete(now, stream);
                if !standing.ended.has(stream) {
                    standing.ended.add(stream);
                    let generation = standing.number;
                    news = true;
                    self.emit(Event::EndOfCandidates { stream, generation });
                }
            }
            self.checks.local_gathering_complete(now, stream);
            if !self.generations.ended.has(stream) {
                self.generations.ended.add(stream);
                self.emit(Event::EndOfCandidates { stream, generation: self.generations.number });
            }
            next = self.stream_after(Some(stream));
        }
        if let Some(standing) = self.generations.standing().filter(|_| news) {
            let generation = standing.number;
            self.emit(Event::GatheringComplete { generation });
        }
        self.emit(Event::GatheringComplete { generation: self.generations.number });
    }

    /// The data stream that follows this one in the order of their ids.
    pub(crate) fn stream_after(&self, last: Option<StreamId>) -> Option<StreamId> {
        let streams = self.components.iter().map(|component| component.stream);
        streams.filter(|stream| Some(*stream) > last).min()
    }

    /// The data streams, each once.
    pub(crate) fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<_> = self.components.iter().map(|component| component.stream).collect();
        streams.sort_unstable();
        streams.dedup();
        streams
    }
}

/// RFC 8838 §13: no candidate is told after the end of candidates of its data stream, nor after nomination. RFC 8445
/// §8.1.1: that is of a component; others of the stream still need theirs.
fn may_tell(checks: &ChecklistSet, ended: &Ended, stream: StreamId, component: ComponentId) -> bool {
    // RFC 8445 §8.2: what two lite agents use before they have agreed is none.
    let is_nominated =
        checks.selected(stream, component).is_some() && !checks.is_provisional(stream, component);
    !ended.has(stream) && !is_nominated
}

fn add_base(checks: &mut ChecklistSet, base: BaseId, kind: CandidateType) {
    // RFC 8445 §7.2.1: a relay has to permit each peer before a check can leave it.
    let relayed = kind == CandidateType::Relayed;
    checks.add_base(base, if relayed { Admission::PerPeer } else { Admission::Open });
}
