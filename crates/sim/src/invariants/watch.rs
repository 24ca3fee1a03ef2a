//! Looks at everything two agents do while their session runs.

use core::time::Duration;

use floe_agent::{Agent, CheckConfig, Event, State, Transmit, TransmitKind};
use floe_check::{limit_of, peer_reflexive_limit, transaction_limit};
use floe_pair::{ComponentId, Place, StreamId, TransportAddress};
use floe_stun::attribute::{ErrorCode, XorPeerAddress};
use floe_stun::{AttributeType, Class, Instant, IntegrityKey, Message};

use super::{
    Breach, Invariant, Violation,
    pace::{Asked, Pace},
    pairs::{self, View},
    paths::{Name, Paths},
};
use crate::net::{AgentId, HostId};

/// Ordinary checks may rest for one and a half round trips, until the peer has nominated: more than that of any way here.
const REST: Duration = Duration::from_secs(2);

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
    /// Which sides are lite.
    pub(crate) lite: [bool; 2],
    /// Which sides suspend consent.
    pub(crate) suspend: [bool; 2],
}

/// How much an agent may hold, as far as it is told so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) pairs: usize,
    pub(crate) remotes: usize,
    pub(crate) learned: usize,
    pub(crate) transactions: usize,
}

impl Limits {
    /// With so many components.
    pub(crate) fn of(config: &CheckConfig, components: usize) -> Self {
        let pairs = limit_of(config.pair_limit, components);
        Self {
            pairs,
            remotes: limit_of(config.remote_limit, components),
            learned: peer_reflexive_limit(components),
            transactions: transaction_limit(pairs),
        }
    }
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
    /// Since when a pair is frozen and no other runs.
    idle: Option<Instant>,
    /// The generation in force, and the keys of the peer in all of them.
    generation: u32,
    /// What its checks are sent with.
    name: Name,
    keys: Vec<IntegrityKey>,
    /// When the peer's parameters of this generation became known.
    introduced: Option<Instant>,
    usable: Vec<(StreamId, ComponentId)>,
    selected: Vec<(StreamId, ComponentId)>,
    /// The path that was selected last for each component.
    last_selected: Vec<Selected>,
    /// When each component had a valid pair, and a selected one.
    pub(crate) usable_at: Option<Instant>,
    pub(crate) selected_at: Option<Instant>,
    /// Consent on a selected pair has ended, and no restart has come since.
    pub(crate) consent_lost: bool,
    /// When an allocation was lost: what was on it ends with it.
    relay_lost: Option<Instant>,
    /// Components that have become usable and that nobody has looked at.
    pub(crate) fresh: Vec<(StreamId, ComponentId)>,
}

/// The path that a component sent on, and the generation it belonged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selected {
    part: (StreamId, ComponentId),
    path: (Place, TransportAddress),
    name: Name,
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
            idle: None,
            generation: 0,
            name: Name::default(),
            keys: Vec::new(),
            introduced: None,
            usable: Vec::new(),
            selected: Vec::new(),
            last_selected: Vec::new(),
            usable_at: None,
            selected_at: None,
            consent_lost: false,
            relay_lost: None,
            fresh: Vec::new(),
        }
    }

    /// Whether consent lasts on the selected pair of a component.
    pub(crate) fn has_consent(&self, now: Instant, part: (StreamId, ComponentId)) -> bool {
        let mut selected = self.pairs.iter().filter(|pair| pair.part == part).filter_map(|pair| pair.path);
        selected.any(|path| self.paths.lasts(now, path, self.name))
    }

    /// Whether it is now that consent of a component ends, and if not, when it does: on the selected pair as it was before
    /// this input; where there is none, on any pair; or on one of an earlier generation. Where the selected pair is gone
    /// already, consent of the component is over when nothing has come of the pairs beside it.
    fn may_lose_consent(&self, now: Instant, part: (StreamId, ComponentId)) -> Result<(), Vec<Instant>> {
        let own = self.pairs.iter().filter(|pair| pair.part == part);
        let selected: Vec<_> = own.filter_map(|pair| pair.path).collect();
        let counts = |path, name| name != self.name || selected.is_empty() || selected.contains(&path);
        let ends: Vec<_> = self.paths.ends(counts).collect();
        let left = |of: &Selected| {
            let mut ends = self.paths.ends(|path, name| (path, name) == (of.path, of.name));
            of.part == part && ends.any(|end| end <= now)
        };
        let over = selected.is_empty() && self.last_selected.iter().any(left);
        if over || ends.contains(&now) { Ok(()) } else { Err(ends) }
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
        let (lite, suspends) = (of(self.rules.lite, index), of(self.rules.suspend, index));
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
        let mut name = Name::default();
        if matches!(transmit.kind, TransmitKind::Check | TransmitKind::Consent) {
            name = side.paths.name(message.raw(AttributeType::USERNAME).unwrap_or_default());
            side.paths.ask(now, (place, to), name, suspends);
            if lite {
                self.break_it(now, Some(index), Invariant::Paced, Breach::LiteAsked(request.0));
                return;
            }
        }
        let peer = message.get::<XorPeerAddress>().ok().flatten();
        let permits = peer.map(|XorPeerAddress(peer)| peer.ip());
        let asked = Asked { place, to, kind: transmit.kind, name };
        if let Err(breach) = side.pace.sent(now, ta, request, asked, permits) {
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
        let allowed = match (self.rules.lite, of(self.rules.lite, index)) {
            // RFC 8445 §8.2: nobody checks anything.
            ([true, true], _) => Ok(()),
            (_, true) if side.paths.is_known(place, to) => Ok(()),
            _ => side.paths.allows(now, place, to),
        };
        if let Err(proved) = allowed {
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
        let lite = of(self.rules.lite, index);
        let Some(side) = self.sides.get_mut(index) else { return };
        let Some(found) = side.paths.unwrap(place, from, bytes) else { return };
        // RFC 8445 §7.3.2: what a lite agent has been asked for proves the path.
        if lite && matches!(found.payload, [0, 1, ..]) {
            side.paths.prove(now, (place, found.peer), Name::default());
            return;
        }
        // Responses have the second bit of the class (RFC 8489 §5).
        if found.payload.first() != Some(&1) {
            return;
        }
        let Ok(message) = Message::parse(found.payload) else { return };
        let error = || message.get::<ErrorCode<'_>>().ok().flatten().map(|error| error.code());
        let revokes = message.class() == Class::Error && error() == Some(ErrorCode::FORBIDDEN);
        if message.class() != Class::Success && !revokes {
            return;
        }
        // Answers of servers that carry no integrity count all the same (RFC 8445 §19.3).
        let id = message.transaction_id();
        let proves = side
            .pace
            .kind(id)
            .is_some_and(|kind| matches!(kind, TransmitKind::Check | TransmitKind::Consent));
        let genuine = || side.keys.iter().any(|key| message.verify_integrity(key).is_ok());
        if proves && forgeries && !genuine() {
            return;
        }
        if let Some((asked, at)) = side.pace.answered(id)
            && proves
            && (asked.place, asked.to) == (place, found.peer)
            && (asked.kind != TransmitKind::Consent
                || side.paths.is_in_time(now, (place, found.peer), asked.name, at))
        {
            let path = (place, found.peer);
            if revokes {
                side.paths.revoke(now, path, asked.name);
            } else {
                side.paths.prove(now, path, asked.name);
            }
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
            Event::Restarted { .. } => {
                self.last_news = now;
                side.consent_lost = false;
            }
            Event::RelayLost { .. } => side.relay_lost = Some(now),
            Event::ConsentLost { stream, component } => {
                self.last_news = now;
                side.consent_lost = true;
                let lost = side.may_lose_consent(now, (*stream, *component));
                if let Err(ends) = lost
                    && side.relay_lost != Some(now)
                {
                    self.break_it(now, Some(index), Invariant::Consented, Breach::ConsentEnded(ends));
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
        let (limits, ta, lite) = (self.rules.limits, self.ta(index), of(self.rules.lite, index));
        let Some(side) = self.sides.get_mut(index) else { return };
        if side.generation != agent.generation() {
            // Its pairs are others, with numbers of their own.
            (side.generation, side.introduced) = (agent.generation(), None);
            side.pairs.clear();
        }
        if side.introduced.is_none()
            && let Some(parameters) = agent.remote_parameters()
        {
            side.introduced = Some(now);
            let ours = &agent.local_parameters().ufrag;
            side.name = side.paths.name(format!("{}:{}", parameters.ufrag, ours).as_bytes());
            side.keys.push(IntegrityKey::new(parameters.pwd.expose().as_bytes()));
        }
        let mut views = core::mem::take(&mut side.spare);
        views.clear();
        views.extend(agent.pair_standings().map(|report| View::new(agent, &report)));
        #[cfg(test)]
        if let Some(tamper) = self.tamper {
            tamper(&mut views);
        }
        for (part, path) in views.iter().filter_map(|pair| Some((pair.part, pair.path?))) {
            let selected = Selected { part, path, name: side.name };
            match side.last_selected.iter_mut().find(|of| of.part == part) {
                Some(of) => *of = selected,
                None => side.last_selected.push(selected),
            }
        }
        let moves = pairs::judge_moves(&side.pairs, &views, lite);
        let usage = pairs::judge_usage(agent.usage(), &limits);
        // Before the parameters are known nothing can run, and after the end nothing has to.
        // A lite agent thaws nothing: it waits for its peer (RFC 8445 §7.3.2).
        let alive =
            !lite && side.introduced.is_some() && matches!(side.state, State::Checking | State::Connected);
        let stuck = pairs::frozen_alone(&views).filter(|_| alive);
        side.idle = stuck.map(|_| side.idle.unwrap_or(now));
        let rested = side.idle.is_some_and(|since| now.since(since) > REST);
        let stuck = stuck.filter(|_| agent.poll_timeout().is_none_or(|at| rested && at.since(now) > ta));
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

fn of(setting: [bool; 2], index: usize) -> bool {
    setting.get(index).copied().unwrap_or_default()
}

/// Adds what is not there yet; whether it was new.
fn note<T: PartialEq>(list: &mut Vec<T>, item: T) -> bool {
    let new = !list.contains(&item);
    if new {
        list.push(item);
    }
    new
}
