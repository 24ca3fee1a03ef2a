//! What came of a run.

use core::{fmt, time::Duration};

use floe_agent::{Event, State};
use floe_pair::{CandidateLine, CandidateType, ComponentId, StreamId};
use floe_stun::Instant;

use super::Scenario;
use crate::{
    invariants::Violation,
    net::{BuildError, Entry},
};

/// What came of a run in which no invariant was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// State of each agent at rest.
    pub states: [Option<State>; 2],
    /// Both have selected a pair for each component, and it carries data both ways.
    pub connected: bool,
    /// They are connected, and no component uses a relay.
    pub direct: bool,
    /// Types of the selected pairs as each side sees its own end, for each component.
    pub types: Vec<[CandidateType; 2]>,
    /// When each side could send on every component, from the start of the session.
    pub usable: [Option<Duration>; 2],
    /// When each side had selected a pair for every component, from the start of the session.
    pub selected: [Option<Duration>; 2],
    /// Why they are not connected, or not directly, although that was possible.
    pub excuse: Option<Excuse>,
    /// Hash of the trace.
    pub hash: u64,
    /// Datagrams that both agents sent until both had come to an end, application data left out.
    pub datagrams: u64,
    /// Virtual time from the start of the session until both agents were closed.
    pub lasted: Duration,
}

impl Outcome {
    /// When both sides could send on every component.
    pub fn both_usable(&self) -> Option<Duration> {
        both(self.usable)
    }

    /// When both sides had selected a pair for every component.
    pub fn both_selected(&self) -> Option<Duration> {
        both(self.selected)
    }
}

fn both([one, other]: [Option<Duration>; 2]) -> Option<Duration> {
    Some(one?.max(other?))
}

/// Which transaction's every transmission was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Excuse {
    /// A side's question for its reflexive address.
    Reflexive(usize),
    /// A side's Allocate or CreatePermission.
    Relay(usize),
    /// Every check that a side made on the pairs in question.
    Checks(usize),
    /// Every nomination that a side made.
    Nomination(usize),
    /// Every consent request of a side for 30 s, on a pair that was selected.
    Consent(usize),
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reflexive(side) => write!(f, "side {side} never learned its reflexive address in time"),
            Self::Relay(side) => write!(f, "side {side} never got its relay in time"),
            Self::Checks(side) => write!(f, "no check of side {side} got through in time"),
            Self::Nomination(side) => write!(f, "no nomination of side {side} got through"),
            Self::Consent(side) => write!(f, "no consent request of side {side} got through for 30 s"),
        }
    }
}

/// A run that ended before its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What was run.
    pub scenario: Scenario,
    /// With which seed.
    pub seed: u64,
    /// What went wrong.
    pub cause: Cause,
}

/// Why a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// There is no such network.
    Build(BuildError),
    /// An invariant is broken.
    Violation(Violation),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(error) => write!(f, "the scenario cannot be built: {error}"),
            Self::Violation(violation) => violation.fmt(f),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, seed, scenario } = self;
        write!(f, "{cause}; seed {seed}; scenario {scenario:?}")
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match &self.cause {
            Cause::Build(error) => Some(error),
            Cause::Violation(violation) => Some(violation),
        }
    }
}

/// Everything that happened in a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Story {
    /// What became of each datagram, step by step.
    pub steps: Vec<Entry>,
    /// What the agents said, by side, in the order of time.
    pub events: Vec<(Instant, usize, Event)>,
    /// What came of it.
    pub result: Result<Outcome, Box<Failure>>,
}

/// One line for each step and each thing that an agent said, in the order of time.
impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut events = self.events.iter().peekable();
        for step in &self.steps {
            while let Some((at, side, event)) = events.next_if(|(at, ..)| *at <= step.at) {
                tell(f, *at, *side, event)?;
            }
            writeln!(f, "{step}")?;
        }
        events.try_for_each(|(at, side, event)| tell(f, *at, *side, event))
    }
}

fn tell(f: &mut fmt::Formatter<'_>, at: Instant, side: usize, event: &Event) -> fmt::Result {
    let micros = at.as_nanos() / 1_000;
    write!(f, "{:>8}.{:03} ms  side {side}: ", micros / 1_000, micros % 1_000)?;
    match event {
        Event::LocalCandidate { stream, candidate, .. } => {
            writeln!(f, "stream {} candidate {}", stream.0, CandidateLine::from(candidate))
        }
        Event::GatheringComplete { .. } => writeln!(f, "has all its candidates"),
        Event::State(state) => writeln!(f, "is {state:?}"),
        Event::PairValid { stream, component } => {
            writeln!(f, "stream {} component {}: a pair is valid", stream.0, component.get())
        }
        Event::Selected { stream, component, local, remote } => writeln!(
            f,
            "stream {} component {}: selected {} {} to {} {}",
            stream.0,
            component.get(),
            local.kind,
            local.address,
            remote.kind,
            remote.address
        ),
        Event::RoleSwitched(role) => writeln!(f, "is {role:?} now"),
        other => writeln!(f, "{other:?}"),
    }
}

/// A component of a data stream.
pub(super) type Part = (StreamId, ComponentId);
