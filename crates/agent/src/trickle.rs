//! Candidates and their end, of both sides and by generation (RFC 8838 §9 to §15).

use alloc::vec::Vec;

use floe_check::{Admission, ChecklistSet};
use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, StreamId};
use floe_stun::Instant;

use crate::{
    agent::{Agent, Life},
    commands::{Added, Ignored},
    event::Event,
    generation::{Belongs, Early},
};

impl Agent {
    /// The peer has no more candidates (RFC 8838 §14), in the newest generation it has told of.
    pub fn remote_gathering_complete(&mut self, now: Instant) {
        let _ = self.remote_gathering_complete_of(now, None);
    }

    /// The same for the generation of a user fragment of the peer (RFC 8840 §4.4 tells it): kept where its
    /// parameters are still to come, ignored where it is one of the past. `None` means the newest.
    pub fn remote_gathering_complete_of(&mut self, now: Instant, ufrag: Option<&str>) -> Added {
        let now = self.advance(now);
        let belongs = self.belongs(ufrag);
        if self.life != Life::Open || belongs == Belongs::Past {
            return Added::Ignored(Ignored::Generation);
        }
        if let (Belongs::Unknown, Some(ufrag)) = (belongs, ufrag) {
            self.generations.hold(ufrag, Early::End);
            return Added::Held;
        }
        self.end_of_candidates(now, belongs);
        self.pump(now);
        Added::Added
    }

    /// The peer's end of candidates for a generation.
    pub(crate) fn end_of_candidates(&mut self, now: Instant, of: Belongs) {
        let streams = self.streams();
        let Some(checks) = self.checks_of(of) else { return };
        for stream in streams {
            checks.remote_gathering_complete(now, stream);
        }
    }

    /// A candidate was found. It belongs to each generation that makes checks.
    pub(crate) fn on_local(&mut self, now: Instant, stream: StreamId, candidate: Candidate, base: BaseId) {
        if self.is_too_much(stream, &candidate, base) {
            return;
        }
        if let Some(standing) = self.generations.standing_mut() {
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
    }

    /// RFC 8445 §5.2: a lite agent has one candidate of each IP family for each component at most. Only checks could tell
    /// which of two works.
    pub(crate) fn is_too_much(&self, stream: StreamId, candidate: &Candidate, base: BaseId) -> bool {
        let mut same = self.gatherer.candidates().filter(|(of, known, _)| {
            *of == stream
                && known.component == candidate.component
                && known.address.is_ipv4() == candidate.address.is_ipv4()
        });
        self.local_parameters().lite && same.next().is_some_and(|(_, _, first)| first != base)
    }

    /// RFC 8838 §10: told to the peer first, then paired. What may not be told any more is paired all the same: the
    /// peer learns of it by its checks (RFC 8445 §7.3.1.3).
    pub(crate) fn tell_in_force(
        &mut self,
        now: Instant,
        stream: StreamId,
        candidate: Candidate,
        base: BaseId,
    ) {
        if may_tell(&self.checks, &self.generations.ended, stream, candidate.component) {
            let (candidate, generation) = (candidate.clone(), self.generations.number);
            self.emit(Event::LocalCandidate { stream, candidate, generation });
        }
        add_base(&mut self.checks, base, candidate.kind);
        self.checks.add_local_candidate(now, stream, candidate, base);
    }

    /// Gathering is complete for every component there is (RFC 8838 §13).
    pub(crate) fn end_local(&mut self, now: Instant) {
        let all: Vec<_> = self.components.iter().map(|component| (component.stream, component.id)).collect();
        let streams = self.streams();
        if let Some(standing) = self.generations.standing_mut().filter(|standing| standing.ended != all) {
            for stream in &streams {
                standing.checks.local_gathering_complete(now, *stream);
            }
            standing.ended.clone_from(&all);
            let generation = standing.number;
            self.emit(Event::GatheringComplete { generation });
        }
        for stream in streams {
            self.checks.local_gathering_complete(now, stream);
        }
        self.generations.ended = all;
        self.emit(Event::GatheringComplete { generation: self.generations.number });
    }

    /// The data streams, each once.
    pub(crate) fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<_> = self.components.iter().map(|component| component.stream).collect();
        streams.sort_unstable();
        streams.dedup();
        streams
    }
}

/// RFC 8838 §13: no candidate is told after the end of candidates, nor after nomination.
fn may_tell(
    checks: &ChecklistSet,
    ended: &[(StreamId, ComponentId)],
    stream: StreamId,
    component: ComponentId,
) -> bool {
    !ended.contains(&(stream, component)) && checks.selected(stream, component).is_none()
}

fn add_base(checks: &mut ChecklistSet, base: BaseId, kind: CandidateType) {
    // RFC 8445 §7.2.1: a relay has to permit each peer before a check can leave it.
    let relayed = kind == CandidateType::Relayed;
    checks.add_base(base, if relayed { Admission::PerPeer } else { Admission::Open });
}
