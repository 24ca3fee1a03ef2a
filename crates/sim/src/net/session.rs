//! Two agents that are told about each other: signalling with a delay.

use core::time::Duration;

use floe_agent::{Event, State};
use floe_pair::{CandidateLine, ComponentId, Parameters, StreamId, Ufrag};
use serde::{Deserialize, Serialize};

use super::{AgentId, Network, queue::Occurrence};

/// What one side tells the other.
#[derive(Clone, Debug)]
pub(super) enum Signal {
    Parameters(Box<Parameters>),
    Candidate(StreamId, Box<CandidateLine>),
    Complete(Ufrag),
}

/// How a side tells its candidates (RFC 8838 §3, §16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trickle {
    /// As they are found.
    #[default]
    Full,
    /// The first generation in one, when gathering is complete or its deadline has passed; later ones as they are found,
    /// since by then the peer is known to trickle.
    Half,
    /// In one, always.
    None,
}

/// Where an agent's signalling goes.
#[derive(Clone, Debug)]
pub(super) struct Introduction {
    peer: AgentId,
    delay: Duration,
    /// What is told only when gathering is complete; `None`: everything is told at once.
    held: Option<Vec<Signal>>,
    trickle: Trickle,
    /// How often what was under way has been taken back.
    recalls: u32,
    /// It has told parameters.
    begun: bool,
    /// The peer has heard parameters.
    heard: bool,
    /// A restart waits for the answer to the first offer (RFC 3264 §4: one offer at a time).
    wants_restart: bool,
}

/// Two agents and the signalling between them: parameters, trickled candidates and the end of candidates, each
/// reaching the other side after the same delay, none lost.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// One agent.
    pub a: AgentId,
    /// The other.
    pub b: AgentId,
    delay: Duration,
}

impl Session {
    /// Introduces two agents to each other: from now on what one says reaches the other `delay` later.
    pub fn new(network: &mut Network, a: AgentId, b: AgentId, delay: Duration) -> Self {
        for (id, peer) in [(a, b), (b, a)] {
            let introduction = Introduction {
                peer,
                delay,
                held: None,
                trickle: Trickle::Full,
                recalls: 0,
                begun: false,
                heard: false,
                wants_restart: false,
            };
            network.introductions.insert(id, introduction);
        }
        Self { a, b, delay }
    }

    /// From now on neither side trickles: parameters and candidates are told in one, when gathering is complete.
    pub fn without_trickle(&self, network: &mut Network) {
        for id in [self.a, self.b] {
            self.set_trickle(network, id, Trickle::None);
        }
    }

    /// From now on one side tells its candidates like this. Before it has told anything.
    pub fn set_trickle(&self, network: &mut Network, id: AgentId, trickle: Trickle) {
        if let Some(introduction) = network.introductions.get_mut(&id) {
            introduction.trickle = trickle;
            introduction.held = (trickle != Trickle::Full).then(Vec::new);
        }
    }

    /// One side restarts ICE, as its user would: not before it has begun, and while another offer of it is unanswered
    /// nothing happens. A first offer that has not arrived is replaced; one that has arrived is answered first.
    pub fn restart(&self, network: &mut Network, id: AgentId) {
        let Some(agent) = network.agent(id) else { return };
        if network.introductions.get(&id).is_some_and(|introduction| !introduction.begun) {
            return;
        }
        let is_first = agent.remote_parameters().is_none() && !agent.is_restarting();
        if let Some(introduction) = network.introductions.get_mut(&id).filter(|_| is_first) {
            if introduction.heard {
                introduction.wants_restart = true;
                return;
            }
            introduction.recalls = introduction.recalls.saturating_add(1);
            introduction.held.iter_mut().for_each(Vec::clear);
        }
        // A closed agent refuses, which is no fault of anybody.
        network.command(id, |now, agent| agent.restart(now).is_ok());
    }

    /// Both sides tell their parameters and begin to gather.
    pub fn start(&self, network: &mut Network) {
        for id in [self.a, self.b] {
            self.start_side(network, id);
        }
    }

    /// One side tells its parameters and begins to gather.
    pub fn start_side(&self, network: &mut Network, id: AgentId) {
        self.tell_parameters(network, id);
        network.gather(id);
    }

    /// One side tells the other its parameters.
    pub fn tell_parameters(&self, network: &mut Network, from: AgentId) {
        if let Some(parameters) = network.agent(from).map(|agent| agent.local_parameters().clone()) {
            network.signal(from, Signal::Parameters(Box::new(parameters)));
        }
        network.introductions.entry(from).and_modify(|introduction| introduction.begun = true);
    }

    /// How long signalling takes, one way.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Whether both agents say that each component has a selected pair.
    pub fn is_completed(&self, network: &Network) -> bool {
        self.states(network) == [Some(State::Completed); 2]
    }

    /// Whether neither agent will change its mind: completed, failed or closed.
    pub fn is_concluded(&self, network: &Network) -> bool {
        let concluded =
            |state| matches!(state, Some(State::Completed | State::Failed | State::Closed) | None);
        self.states(network).into_iter().all(concluded)
    }

    /// The states of `a` and `b`.
    pub fn states(&self, network: &Network) -> [Option<State>; 2] {
        [self.a, self.b].map(|id| network.agent(id).map(floe_agent::Agent::state))
    }

    /// Whether a datagram sent now by each side reaches the other within `patience`. Runs the network until then;
    /// what else arrives on that component is not taken out of the mailbox.
    pub fn carries_data(
        &self,
        network: &mut Network,
        stream: StreamId,
        component: ComponentId,
        patience: Duration,
    ) -> [bool; 2] {
        let probe = |id: AgentId| format!("\u{80}probe {id:?} {:?}", network.now()).into_bytes();
        let probes = [(self.a, self.b, probe(self.a)), (self.b, self.a, probe(self.b))];
        let sent =
            probes.each_ref().map(|(from, _, probe)| network.send(*from, stream, component, probe).is_ok());
        network.run_for(patience);
        let [a_to_b, b_to_a] =
            probes.map(|(_, to, probe)| network.data(to).any(|arrived| arrived.payload == probe));
        let [a_sent, b_sent] = sent;
        [a_sent && a_to_b, b_sent && b_to_a]
    }
}

impl Network {
    /// Passes on what an agent says for its peer.
    pub(super) fn forward(&mut self, from: AgentId, event: &Event) {
        if matches!(event, Event::GatheringDeadline) {
            let introduction = self.introductions.get_mut(&from);
            if let Some(introduction) = introduction.filter(|known| known.trickle == Trickle::Half) {
                let held = introduction.held.take().unwrap_or_default();
                self.tell(from, held);
            }
            return;
        }
        let of = |generation| self.agent(from)?.parameters_of(generation);
        let signal = match event {
            // A generation that is gone meanwhile has nothing to tell.
            Event::Restarted { generation } => {
                of(*generation).map(|parameters| Signal::Parameters(Box::new(parameters.clone())))
            }
            Event::LocalCandidate { stream, candidate, generation } => of(*generation).map(|parameters| {
                let line = CandidateLine::from(candidate);
                let labelled = line.clone().with_extension("ufrag", parameters.ufrag.as_str());
                Signal::Candidate(*stream, Box::new(labelled.unwrap_or(line)))
            }),
            Event::GatheringComplete { generation } => {
                of(*generation).map(|parameters| Signal::Complete(parameters.ufrag.clone()))
            }
            _ => None,
        };
        if let Some(signal) = signal {
            self.signal(from, signal);
        }
    }

    fn signal(&mut self, from: AgentId, signal: Signal) {
        let Some(introduction) = self.introductions.get_mut(&from) else { return };
        let signals = match &mut introduction.held {
            None => vec![signal],
            Some(held) => {
                let last = matches!(signal, Signal::Complete(_));
                held.push(signal);
                if last { core::mem::take(held) } else { return }
            }
        };
        if introduction.trickle == Trickle::Half {
            introduction.held = None;
        }
        self.tell(from, signals);
    }

    fn tell(&mut self, from: AgentId, signals: Vec<Signal>) {
        let Some(introduction) = self.introductions.get(&from) else { return };
        let Introduction { peer: to, delay, recalls, .. } = *introduction;
        let at = self.now.after(delay);
        for signal in signals {
            self.queue.push(at, Occurrence::Signal { to, recalls, signal });
        }
    }

    /// What a peer said has arrived. An agent that is closed meanwhile refuses it, which is no fault of anybody.
    pub(super) fn hear(&mut self, to: AgentId, recalls: u32, signal: Signal) {
        let from = self.introductions.get(&to).map(|introduction| introduction.peer);
        let introduction = from.and_then(|from| self.introductions.get_mut(&from));
        let introduces = matches!(signal, Signal::Parameters(_));
        if let Some(introduction) = introduction {
            if recalls < introduction.recalls {
                return;
            }
            introduction.heard |= introduces;
        }
        self.command(to, |now, agent| match signal {
            Signal::Parameters(parameters) => agent.set_remote_parameters(now, *parameters).is_ok(),
            Signal::Candidate(stream, line) => agent.add_remote_candidate(now, stream, &line).is_ok(),
            Signal::Complete(ufrag) => {
                let _ = agent.remote_gathering_complete_of(now, Some(&ufrag));
                true
            }
        });
        let waiting = self.introductions.get_mut(&to).filter(|known| introduces && known.wants_restart);
        if let Some(introduction) = waiting {
            introduction.wants_restart = false;
            self.command(to, |now, agent| agent.restart(now).is_ok());
        }
    }
}
