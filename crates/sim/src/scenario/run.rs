//! One run: from the first signal to the last socket.

use core::time::Duration;

use floe_agent::{Agent, CheckConfig, Event, State};
use floe_pair::{CandidateType, ComponentId, StreamId};
use floe_stun::Instant;

use super::{
    Happening, Outcome, Scenario,
    build::World,
    excuse,
    life::Talk,
    outcome::{Cause, Failure, Part, Story},
};
use crate::{
    invariants::{Breach, Invariant, Limits, Rules, SideWatch, Violation, Watch},
    net::{Ended, Probability},
};

/// For how long nothing has to change before a session counts as at rest: with roles in doubt, until consent has
/// settled them (RFC 7675 §5.1: one request each 4 to 6 s); otherwise until candidates are freed (RFC 8445 §8.3.1).
const QUIET: Duration = Duration::from_secs(4);
const QUIET_IN_DOUBT: Duration = Duration::from_secs(13);
/// With renomination: until a pair that was left because it was silent has answered often enough to be gone back to.
pub(super) const QUIET_MOVES: Duration = Duration::from_secs(30);
/// After a change of the network: until consent has ended, if it has to (RFC 7675 §5.1).
const QUIET_AFTER_CHANGE: Duration = Duration::from_secs(35);
/// Changes after the conclusion that are waited for at most.
const RESTLESS: Duration = Duration::from_secs(60);
/// How long data takes at most in a calm, and how long an agent may take to close.
const PROBE: Duration = Duration::from_secs(3);
const CLOSING: Duration = Duration::from_secs(4);
/// After so long a server has forgotten an allocation whose client could not tell it (RFC 8656 §7.2).
const FORGOTTEN: Duration = Duration::from_secs(3_700);
/// Steps of datagrams kept for a story.
const STORY: usize = 1_000_000;

/// What a run found, before excuses are looked for.
pub(super) struct Found {
    states: [Option<State>; 2],
    connected: bool,
    types: Vec<[CandidateType; 2]>,
    datagrams: u64,
}

pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    seed: u64,
    pub(super) world: World,
    pub(super) talk: Talk,
}

enum Step {
    Start(usize),
    Happen(Happening),
    Talk,
}

impl Scenario {
    /// Runs the scenario with a seed, with every invariant watched.
    ///
    /// # Errors
    /// The first broken invariant, or that the scenario makes no sense, with all that is needed to see it again.
    pub fn run(&self, seed: u64) -> Result<Outcome, Box<Failure>> {
        let outcome = self.attempt(seed, false)?.result?;
        let wanting = (self.expect.connect && !outcome.connected) || (self.expect.direct && !outcome.direct);
        if wanting { self.story(seed)?.result } else { Ok(outcome) }
    }

    /// Runs the scenario and keeps everything that happened. An outcome that is less than what was possible is looked at:
    /// it is excused, or it breaks the first invariant.
    ///
    /// # Errors
    /// The scenario makes no sense. A broken invariant is part of the story.
    pub fn story(&self, seed: u64) -> Result<Story, Box<Failure>> {
        let mut story = self.attempt(seed, true)?;
        if let Ok(outcome) = &mut story.result {
            let wanting = if self.expect.connect && !outcome.connected {
                Some(Breach::NotConnected(outcome.states))
            } else if self.expect.direct && !outcome.direct {
                Some(Breach::NotDirect)
            } else {
                None
            };
            if let Some(breach) = wanting {
                outcome.excuse = excuse::find(self, &story.steps, &story.events, outcome.connected);
                if outcome.excuse.is_none() {
                    let at = story.steps.last().map_or(Instant::ORIGIN, |step| step.at);
                    let violation = Violation { invariant: Invariant::Concludes, at, side: None, breach };
                    story.result = Err(self.failure(seed, Cause::Violation(violation)));
                }
            }
        }
        Ok(story)
    }

    /// Runs twice and compares the traces.
    ///
    /// # Errors
    /// As [`Scenario::run`], and that the traces differ.
    pub fn run_twice(&self, seed: u64) -> Result<Outcome, Box<Failure>> {
        let outcome = self.run(seed)?;
        let again = self.run(seed)?;
        same_trace(self, seed, [outcome.hash, again.hash])?;
        Ok(outcome)
    }

    fn attempt(&self, seed: u64, keep: bool) -> Result<Story, Box<Failure>> {
        let world =
            World::new(self, seed, |_, _| {}).map_err(|error| self.failure(seed, Cause::Build(error)))?;
        let mut run = Run::new(self, seed, world);
        if keep {
            run.world.network.keep_story(STORY);
        }
        let found = run.execute();
        let result = match (found, run.violation()) {
            (Some(found), None) => Ok(run.outcome(found)),
            (_, Some(violation)) => Err(self.failure(seed, Cause::Violation(violation))),
            (None, None) => Err(self.failure(seed, Cause::Violation(run.nothing_found()))),
        };
        Ok(run.into_story(result))
    }

    fn failure(&self, seed: u64, cause: Cause) -> Box<Failure> {
        Box::new(Failure { scenario: self.clone(), seed, cause })
    }
}

pub(super) fn same_trace(scenario: &Scenario, seed: u64, hashes: [u64; 2]) -> Result<(), Box<Failure>> {
    let [one, other] = hashes;
    if one == other {
        return Ok(());
    }
    let breach = Breach::OtherTrace(hashes);
    let violation = Violation { invariant: Invariant::Repeatable, at: Instant::ORIGIN, side: None, breach };
    Err(scenario.failure(seed, Cause::Violation(violation)))
}

impl<'a> Run<'a> {
    /// A run that has not begun, with every invariant watched.
    pub(super) fn new(scenario: &'a Scenario, seed: u64, world: World) -> Self {
        let mut run = Self { scenario, seed, world, talk: Talk::default() };
        run.watch();
        run
    }

    /// The whole session; `None` if something was broken.
    fn execute(&mut self) -> Option<Found> {
        let datagrams = self.until_concluded()?;
        self.until_rest()?;
        Some(Found { datagrams, ..self.judge()? })
    }

    /// Whether nothing was broken in the whole session.
    #[cfg(test)]
    pub(super) fn completes(&mut self) -> bool {
        self.execute().is_some()
    }

    /// What has come of it, and whether the end is as it should be; `None` if something was broken.
    pub(super) fn judge(&mut self) -> Option<Found> {
        let states = self.world.session.states(&self.world.network);
        let completed = states == [Some(State::Completed); 2];
        let types = if completed { self.judge_agreement()? } else { Vec::new() };
        // A failed data stream is no part of what is completed (RFC 8445 §6.1.3); of a connection it is.
        let connected = completed && types.len() == self.parts().count();
        self.close()?;
        Some(Found { states, connected, types, datagrams: 0 })
    }

    fn watch(&mut self) {
        let [a, b] = &self.scenario.sides;
        let (config, components) = (CheckConfig::default(), self.parts().count());
        let rules = Rules {
            ta: [a.ta, b.ta],
            patience: config.patience,
            limits: Limits::of(&config, components),
            components,
            forgeries: !self.scenario.intruders.is_empty(),
            lite: [a.lite, b.lite],
            suspend: [a.suspend, b.suspend],
        };
        self.world.network.watch = Some(Box::new(Watch::new(rules, self.world.agents)));
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = Part> + use<> {
        let components = self.scenario.components;
        let of_stream = move |stream| {
            (1..=components).filter_map(ComponentId::new).map(move |component| (StreamId(stream), component))
        };
        (0..self.scenario.streams).flat_map(of_stream)
    }

    pub(super) fn violation(&self) -> Option<Violation> {
        self.world.network.watch.as_ref()?.violation.clone()
    }

    /// A run never ends without a result or a violation; if it did, this would be said of it.
    fn nothing_found(&self) -> Violation {
        let at = self.world.network.now();
        Violation { invariant: Invariant::Concludes, at, side: None, breach: Breach::Stalled }
    }

    pub(super) fn break_it(&mut self, side: Option<usize>, invariant: Invariant, breach: Breach) {
        let now = self.world.network.now();
        if let Some(watch) = &mut self.world.network.watch {
            watch.break_it(now, side, invariant, breach);
        }
    }

    /// Starts both sides, lets happen what is to happen, sends data as soon as it may be sent. How many datagrams there
    /// were when both had come to an end.
    pub(super) fn until_concluded(&mut self) -> Option<u64> {
        let at = |after: Duration| Instant::ORIGIN.after(after);
        let mut steps =
            vec![(Instant::ORIGIN, Step::Start(0)), (at(self.scenario.signalling.answer), Step::Start(1))];
        let changes = self.scenario.changes.iter().map(|change| (at(change.at), Step::Happen(change.event)));
        steps.extend(changes);
        steps.extend(self.scenario.talks().map(|at| (at, Step::Talk)));
        steps.sort_by_key(|(at, _)| *at);
        let limit = at(self.scenario.limit);
        for (at, step) in steps {
            self.run_to(at.min(limit))?;
            match step {
                Step::Start(side) => {
                    if let Some(id) = self.world.agents.get(side) {
                        self.world.session.start_side(&mut self.world.network, *id);
                    }
                }
                Step::Happen(event) => self.world.apply(event),
                Step::Talk => self.talk()?,
            }
        }
        if self.scenario.life.is_some() {
            self.end_talk()?;
        }
        while !self.is_settled() {
            if self.world.network.now() >= limit || self.run_once(limit)? == Ended::Idle {
                let states = self.world.session.states(&self.world.network);
                if states.iter().all(|state| matches!(state, Some(State::Completed | State::Failed))) {
                    break;
                }
                self.break_it(None, Invariant::Concludes, Breach::NotConcluded(states));
                return None;
            }
        }
        Some(self.world.network.trace().departed())
    }

    /// Until nothing has changed for a while.
    pub(super) fn until_rest(&mut self) -> Option<()> {
        let [a, b] = &self.scenario.sides;
        let doubt = a.role == b.role || self.scenario.weather.loss > Probability::NEVER;
        let moves = self.scenario.life.is_some() && self.scenario.renominates();
        let quiet = match (moves, doubt) {
            (true, _) => QUIET_MOVES,
            (_, true) => QUIET_IN_DOUBT,
            _ => QUIET,
        };
        let latest = self.world.network.now().after(RESTLESS);
        let changed = self.scenario.changes.iter().map(|change| change.at).max();
        let earliest =
            changed.map(|at| Instant::ORIGIN.after(at).after(QUIET_AFTER_CHANGE)).unwrap_or_default();
        let earliest = earliest.max(self.earliest_rest());
        loop {
            let news = self.world.network.watch.as_ref()?.last_news;
            let rest = news.after(quiet).max(earliest).min(latest);
            if self.world.network.now() >= rest {
                return Some(());
            }
            self.run_to(rest)?;
        }
    }

    fn is_settled(&self) -> bool {
        self.world
            .network
            .watch
            .as_ref()
            .is_some_and(|watch| watch.sides.iter().all(crate::invariants::watch::Side::is_settled))
    }

    /// Runs to an instant and sends data wherever it may be sent for the first time; `None` if something was broken.
    pub(super) fn run_to(&mut self, until: Instant) -> Option<()> {
        while self.world.network.now() < until {
            if self.run_once(until)? == Ended::Idle {
                self.world.network.run_for(until.since(self.world.network.now()));
            }
        }
        Some(())
    }

    fn run_once(&mut self, until: Instant) -> Option<Ended> {
        let settled = self.is_settled();
        let ended = self.world.network.run_until(
            |network| {
                network.watch.as_ref().is_some_and(|watch| {
                    watch.violation.is_some()
                        || watch.sides.iter().any(|side| !side.fresh.is_empty())
                        || !settled && watch.sides.iter().all(crate::invariants::watch::Side::is_settled)
                })
            },
            until,
        );
        if ended == Ended::Stalled {
            self.break_it(None, Invariant::Concludes, Breach::Stalled);
        }
        self.send_early()?;
        if self.violation().is_some() { None } else { Some(ended) }
    }

    /// RFC 8445 §12.1: data may flow on any valid pair.
    fn send_early(&mut self) -> Option<()> {
        for (index, id) in self.world.agents.into_iter().enumerate() {
            let watch = self.world.network.watch.as_mut()?;
            let fresh = core::mem::take(&mut watch.sides.get_mut(index)?.fresh);
            for (stream, component) in fresh {
                // Refused where it cannot go: that the agent knows this is what counts.
                let _ = self.world.network.send(id, stream, component, b"\x80 early");
            }
        }
        Some(())
    }

    /// The types of the selected pairs of each component that has one; `None` if the two sides do not agree.
    pub(super) fn judge_agreement(&mut self) -> Option<Vec<[CandidateType; 2]>> {
        let [a, b] = self.world.agents;
        let role = |id| self.world.network.agent(id).map(floe_agent::Agent::role);
        if let (Some(one), Some(other)) = (role(a), role(b))
            && one == other
        {
            self.break_it(None, Invariant::Agree, Breach::SameRole(one));
            return None;
        }
        let mut types = Vec::new();
        let mut shared = Vec::new();
        for part @ (stream, component) in self.parts() {
            let selected = [a, b]
                .map(|id| self.world.network.agent(id).and_then(|agent| agent.selected(stream, component)));
            let agree = match &selected {
                [Some(one), Some(other)] => {
                    (one.local.address, one.remote) == (other.remote, other.local.address)
                }
                [None, None] => continue,
                _ => false,
            };
            if !agree {
                let pairs = selected.map(|pair| pair.map(|pair| (pair.local.address, pair.remote)));
                self.break_it(None, Invariant::Agree, Breach::DifferentPairs { stream, component, pairs });
                return None;
            }
            if let [Some(one), Some(other)] = selected {
                types.push([one.local.kind, other.local.kind]);
                shared.push(part);
            }
        }
        if let Some(breach) = self.other_generation() {
            self.break_it(None, Invariant::Agree, breach);
            return None;
        }
        self.world.network.set_calm(true);
        self.wake();
        for (stream, component) in shared {
            let arrived = self.world.session.carries_data(&mut self.world.network, stream, component, PROBE);
            if arrived != [true, true] {
                self.break_it(None, Invariant::Agree, Breach::NoData { stream, component, arrived });
                return None;
            }
        }
        Some(types)
    }

    /// RFC 8445 §9: both sides are in one generation, and their pairs are of it. How they are not.
    fn other_generation(&self) -> Option<Breach> {
        let [Some(a), Some(b)] = self.world.agents.map(|id| self.world.network.agent(id)) else {
            return None;
        };
        let knows = |one: &Agent, other: &Agent| {
            let known = one.remote_parameters().map(|parameters| &parameters.ufrag);
            known == Some(&other.local_parameters().ufrag)
        };
        (!knows(a, b) || !knows(b, a)).then(|| Breach::OtherGeneration([a.generation(), b.generation()]))
    }

    /// Closes both agents; in half of all runs over whatever the weather is.
    fn close(&mut self) -> Option<()> {
        let calm = self.seed.is_multiple_of(2) || self.scenario.weather.loss == Probability::NEVER;
        self.world.network.set_calm(calm);
        for id in self.world.agents {
            self.world.network.command(id, |now, agent| agent.close(now));
        }
        let until = self.world.network.now().after(CLOSING);
        self.run_to(until)?;
        for (index, id) in self.world.agents.into_iter().enumerate() {
            let network = &self.world.network;
            let closed = network.agent(id).is_none_or(floe_agent::Agent::is_closed);
            let (sockets, deadline) = (network.open_sockets(id.host()), network.deadline(id.host()));
            if sockets > 0 {
                self.break_it(Some(index), Invariant::Frees, Breach::SocketsLeft(sockets));
            } else if !closed || deadline.is_some() {
                self.break_it(Some(index), Invariant::Frees, Breach::NotClosed);
            }
        }
        let lossy = self.scenario.weather.loss > Probability::NEVER;
        // In a life the mapping of a NAT may have ended before the allocation, where nothing was to be connected.
        let lasting = self.scenario.life.is_some();
        if self.allocations() > 0 && (lossy || lasting || self.has_faulty_server()) {
            // The client could not tell the server, or was never told itself: the server has to find out alone.
            let forgotten = self.world.network.now().after(FORGOTTEN);
            self.run_to(forgotten)?;
        }
        let left = self.allocations();
        if left > 0 {
            self.break_it(None, Invariant::Frees, Breach::AllocationsLeft(left));
        }
        if self.violation().is_some() { None } else { Some(()) }
    }

    fn has_faulty_server(&self) -> bool {
        let by_change = |change: &super::Change| matches!(change.event, Happening::Server { .. });
        self.scenario.servers.iter().any(|mood| *mood != super::Mood::Strict)
            || self.scenario.changes.iter().any(by_change)
    }

    fn allocations(&self) -> usize {
        let servers = self.world.servers.iter().filter_map(|id| self.world.network.server(*id));
        servers.map(crate::server::Server::allocations).sum()
    }

    fn outcome(&self, found: Found) -> Outcome {
        let Found { states, connected, types, datagrams } = found;
        let network = &self.world.network;
        let since_start = |at: Instant| at.since(Instant::ORIGIN);
        let times = |of: fn(&SideWatch) -> Option<Instant>| {
            let sides = network.watch.as_ref().map(|watch| watch.sides.each_ref().map(of));
            sides.unwrap_or_default().map(|at| at.map(since_start))
        };
        let relayed = |pair: &[CandidateType; 2]| pair.contains(&CandidateType::Relayed);
        Outcome {
            states,
            connected,
            direct: connected && !types.iter().any(relayed),
            types,
            usable: times(|side| side.usable_at),
            selected: times(|side| side.selected_at),
            excuse: None,
            hash: network.trace().hash(),
            datagrams,
            lasted: since_start(network.now()),
        }
    }

    fn into_story(self, result: Result<Outcome, Box<Failure>>) -> Story {
        let mut network = self.world.network;
        let mut events: Vec<(Instant, usize, Event)> = Vec::new();
        for (side, id) in self.world.agents.into_iter().enumerate() {
            events.extend(network.take_events(id).into_iter().map(|(at, event)| (at, side, event)));
        }
        events.sort_by_key(|(at, side, _)| (*at, *side));
        Story { steps: network.take_story(), events, result }
    }
}
