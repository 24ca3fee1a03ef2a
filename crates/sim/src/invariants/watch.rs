//! Looks at everything two agents do while their session runs.

use core::time::Duration;

use floe_agent::{Agent, Event, State, Transmit, TransmitKind};
use floe_pair::{ComponentId, Place, StreamId, TransportAddress};
use floe_stun::{Class, Instant, IntegrityKey, Message};

use super::{
    Breach, Invariant, Violation,
    pace::Pace,
    pairs::{self, View},
    paths::Paths,
};
use crate::net::{AgentId, HostId};

/// What the agents were told, and what follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Each side's own Ta.
    pub(crate) ta: [Duration; 2],
    pub(crate) patience: Duration,
    pub(crate) limits: Limits,
    /// Components over all data streams.
    pub(crate) components: usize,
    /// Answers may be forged: their integrity is to be looked at.
    pub(crate) forgeries: bool,
}

/// How much an agent may hold, as far as it is told so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) pairs: usize,
    pub(crate) remotes: usize,
}

/// How far one side has come.
#[derive(Debug)]
pub(crate) struct Side {
    agent: AgentId,
    pace: Pace,
    paths: Paths,
    pairs: Vec<View>,
    /// Room for the next look at the pairs.
    spare: Vec<View>,
    state: State,
    key: Option<IntegrityKey>,
    /// When the peer's parameters became known.
    introduced: Option<Instant>,
    usable: Vec<(StreamId, ComponentId)>,
    selected: Vec<(StreamId, ComponentId)>,
    /// When each component had a valid pair, and a selected one.
    pub(crate) usable_at: Option<Instant>,
    pub(crate) selected_at: Option<Instant>,
    /// Consent on a selected pair has ended.
    pub(crate) consent_lost: bool,
    /// Components that have become usable and that nobody has looked at.
    pub(crate) fresh: Vec<(StreamId, ComponentId)>,
}

/// The watch over one session.
#[derive(Debug)]
pub(crate) struct Watch {
    rules: Rules,
    pub(crate) sides: [Side; 2],
    /// The first breach.
    pub(crate) violation: Option<Violation>,
    /// When something last changed that either agent told of.
    pub(crate) last_news: Instant,
    #[cfg(test)]
    pub(crate) tamper: Option<fn(&mut [View])>,
}

impl Side {
    fn new(agent: AgentId) -> Self {
        Self {
            agent,
            pace: Pace::default(),
            paths: Paths::default(),
            pairs: Vec::new(),
            spare: Vec::new(),
            state: State::New,
            key: None,
            introduced: None,
            usable: Vec::new(),
            selected: Vec::new(),
            usable_at: None,
            selected_at: None,
            consent_lost: false,
            fresh: Vec::new(),
        }
    }

    /// Whether it has come to an end: without consent only a restart could help (RFC 7675 §5.1).
    pub(crate) fn is_settled(&self) -> bool {
        self.consent_lost || matches!(self.state, State::Completed | State::Failed | State::Closed)
    }
}

impl Watch {
    pub(crate) fn new(rules: Rules, agents: [AgentId; 2]) -> Self {
        Self {
            rules,
            sides: agents.map(Side::new),
            violation: None,
            last_news: Instant::ORIGIN,
            #[cfg(test)]
            tamper: None,
        }
    }

    /// A datagram of an agent is about to leave its host.
    pub(crate) fn on_transmit(&mut self, now: Instant, agent: AgentId, transmit: &Transmit, bytes: &[u8]) {
        let Some(index) = self.index(agent) else { return };
        let ta = self.ta(index);
        let Some(side) = self.sides.get_mut(index) else { return };
        let (place, to) = (transmit.from, transmit.to);
        let outer = matches!(transmit.kind, TransmitKind::Relay | TransmitKind::Gathering);
        let (to, bytes) = if outer {
            (to, bytes)
        } else {
            match side.paths.unwrap(place, to, bytes) {
                Some(found) => (found.peer, found.payload),
                None => (to, bytes),
            }
        };
        if transmit.kind == TransmitKind::Data {
            self.judge_data(now, index, place, to);
            return;
        }
        let Ok(message) = Message::parse(bytes) else { return };
        if message.class() != Class::Request {
            return;
        }
        if transmit.kind == TransmitKind::Relay {
            side.paths.note_relay(place, to, &message);
        }
        let request = (message.transaction_id(), message.method());
        if let Err(breach) = side.pace.sent(now, ta, request, (place, to, transmit.kind)) {
            self.break_it(now, Some(index), Invariant::Paced, breach);
        }
    }

    /// Application data leaves an agent's host, by way of the agent or past it.
    pub(crate) fn on_data(
        &mut self,
        now: Instant,
        agent: AgentId,
        place: Place,
        to: TransportAddress,
        bytes: &[u8],
    ) {
        let Some(index) = self.index(agent) else { return };
        let Some(side) = self.sides.get(index) else { return };
        let peer = side.paths.unwrap(place, to, bytes).map_or(to, |found| found.peer);
        self.judge_data(now, index, place, peer);
    }

    fn judge_data(&mut self, now: Instant, index: usize, place: Place, to: TransportAddress) {
        let Some(side) = self.sides.get(index) else { return };
        if let Err(proved) = side.paths.allows(now, place, to) {
            self.break_it(now, Some(index), Invariant::Consented, Breach::Unproved { to, proved });
        }
    }

    /// A datagram has reached a socket of an agent.
    pub(crate) fn on_receive(
        &mut self,
        now: Instant,
        host: HostId,
        place: Place,
        from: TransportAddress,
        bytes: &[u8],
    ) {
        let index = self.sides.iter().position(|side| side.agent.host() == host);
        let (Some(index), forgeries) = (index, self.rules.forgeries) else { return };
        let Some(side) = self.sides.get_mut(index) else { return };
        let Some(found) = side.paths.unwrap(place, from, bytes) else { return };
        // Success responses have the second bit of the class only (RFC 8489 §5).
        if found.payload.first() != Some(&1) {
            return;
        }
        let Ok(message) = Message::parse(found.payload) else { return };
        if message.class() != Class::Success {
            return;
        }
        // Answers of servers that carry no integrity count all the same (RFC 8445 §19.3).
        let id = message.transaction_id();
        let proves = side
            .pace
            .kind(id)
            .is_some_and(|kind| matches!(kind, TransmitKind::Check | TransmitKind::Consent));
        let genuine = || side.key.as_ref().is_some_and(|key| message.verify_integrity(key).is_ok());
        if proves && forgeries && !genuine() {
            return;
        }
        if let Some((to, from)) = side.pace.answered(id)
            && proves
            && (from, to) == (place, found.peer)
        {
            side.paths.prove(now, place, found.peer);
        }
    }

    /// An agent has said something.
    pub(crate) fn on_event(&mut self, now: Instant, agent: AgentId, event: &Event) {
        let Some(index) = self.index(agent) else { return };
        let (count, patience) = (self.rules.components, self.rules.patience);
        let Some(side) = self.sides.get_mut(index) else { return };
        match event {
            Event::PairValid { stream, component } => {
                if note(&mut side.usable, (*stream, *component)) {
                    side.fresh.push((*stream, *component));
                }
                if side.usable.len() >= count {
                    side.usable_at.get_or_insert(now);
                }
            }
            Event::Selected { stream, component, .. } => {
                self.last_news = now;
                note(&mut side.selected, (*stream, *component));
                if side.selected.len() >= count {
                    side.selected_at.get_or_insert(now);
                }
            }
            Event::RoleSwitched(_) | Event::PathChanged { .. } => self.last_news = now,
            Event::ConsentLost { .. } => {
                self.last_news = now;
                side.consent_lost = true;
                // The pairs as they were: at least one selected pair had no answer for long.
                let paths = side.pairs.iter().filter_map(|pair| pair.path);
                let alive: Vec<bool> =
                    paths.map(|(place, to)| side.paths.allows(now, place, to).is_ok()).collect();
                if !alive.is_empty() && alive.iter().all(|alive| *alive) {
                    self.break_it(now, Some(index), Invariant::Consented, Breach::ConsentEndedEarly);
                }
            }
            Event::State(to) => {
                self.last_news = now;
                let (from, to) = (core::mem::replace(&mut side.state, *to), *to);
                let introduced = side.introduced;
                if !pairs::may_turn(from, to) {
                    self.break_it(now, Some(index), Invariant::LegalMoves, Breach::StateMove { from, to });
                } else if to == State::Failed && introduced.is_none_or(|at| now.since(at) < patience) {
                    let after = introduced.map(|at| now.since(at));
                    self.break_it(now, Some(index), Invariant::Patient, Breach::FailedEarly(after));
                }
            }
            _ => {}
        }
    }

    /// An agent has done everything it wanted to do after an input.
    pub(crate) fn on_settled(&mut self, now: Instant, id: AgentId, agent: &Agent) {
        let Some(index) = self.index(id) else { return };
        let (limits, ta) = (self.rules.limits, self.ta(index));
        let Some(side) = self.sides.get_mut(index) else { return };
        if side.introduced.is_none()
            && let Some(parameters) = agent.remote_parameters()
        {
            side.introduced = Some(now);
            side.key = Some(IntegrityKey::new(parameters.pwd.expose().as_bytes()));
        }
        let mut views = core::mem::take(&mut side.spare);
        views.clear();
        views.extend(agent.pairs().map(|report| View::new(agent, &report)));
        #[cfg(test)]
        if let Some(tamper) = self.tamper {
            tamper(&mut views);
        }
        let moves = pairs::judge_moves(&side.pairs, &views);
        let usage = pairs::judge_usage(agent.usage(), &limits);
        // Before the parameters are known nothing can run, and after the end nothing has to.
        let alive = side.introduced.is_some() && matches!(side.state, State::Checking | State::Connected);
        let stuck = pairs::frozen_for_ever(&views)
            .filter(|_| alive && agent.poll_timeout().is_none_or(|at| at.since(now) > ta));
        side.spare = core::mem::replace(&mut side.pairs, views);
        let deadlock = stuck.map_or(Ok(()), |pair| Err(Breach::Deadlock(pair)));
        let judged =
            [(Invariant::LegalMoves, moves), (Invariant::Bounded, usage), (Invariant::NoDeadlock, deadlock)];
        for (invariant, result) in judged {
            if let Err(breach) = result {
                self.break_it(now, Some(index), invariant, breach);
            }
        }
    }

    pub(crate) fn break_it(
        &mut self,
        at: Instant,
        side: Option<usize>,
        invariant: Invariant,
        breach: Breach,
    ) {
        self.violation.get_or_insert(Violation { invariant, at, side, breach });
    }

    fn index(&self, agent: AgentId) -> Option<usize> {
        self.sides.iter().position(|side| side.agent == agent)
    }

    /// RFC 8445 §14.2: the higher one of both proposals, the own one until the other is known.
    fn ta(&self, index: usize) -> Duration {
        let introduced = self.sides.get(index).is_some_and(|side| side.introduced.is_some());
        let own = self.rules.ta.get(index).copied().unwrap_or_default();
        if introduced { self.rules.ta.into_iter().max().unwrap_or_default() } else { own }
    }
}

/// Adds what is not there yet; whether it was new.
fn note<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let new = !list.contains(&item);
    if new {
        list.push(item);
    }
    new
}
