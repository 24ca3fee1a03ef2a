//! Many agents driven as one: one queue of deadlines, one pacer, and demultiplexing of shared sockets.

mod routes;
mod timers;

use alloc::{collections::VecDeque, vec::Vec};

use floe_gather::{Answer, Request, RequestId};
use floe_pair::{ComponentId, StreamId};
use floe_stun::Instant;

use self::{routes::Routes, timers::Timers};
use crate::{
    agent::Agent,
    event::Event,
    io::{Handled, Received, Transmit},
    pacer::Pacer,
};

/// Names an agent in its [`Hub`]; never used again after the agent was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey {
    index: u32,
    generation: u32,
}

/// Many agents driven as one. Inputs, outputs and their order are those of [`Agent`]; each output tells whose it is.
///
/// A datagram finds its agent by the socket, where the socket has one agent. On a socket that several share
/// ([`Hub::share`]) it is found by the address it came from, a check by the user name in it, and the answer of a
/// server by its transaction id.
#[derive(Debug, Default)]
pub struct Hub {
    agents: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    routes: Routes,
    pacer: Pacer,
    dirty: Dirty,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    agent: Option<Agent>,
    /// Whether it is among the dirty.
    dirty: bool,
}

/// Agents whose outputs are to be drained, and how far each kind of output has been.
#[derive(Debug, Default)]
struct Dirty {
    agents: VecDeque<AgentKey>,
    drained: [usize; Output::ALL.len()],
}

#[derive(Clone, Copy)]
enum Output {
    Transmit,
    Request,
    Event,
    Data,
}

impl Output {
    const ALL: [Self; 4] = [Self::Transmit, Self::Request, Self::Event, Self::Data];
}

impl Dirty {
    fn is_drained(&self) -> bool {
        self.drained.iter().all(|drained| *drained >= self.agents.len())
    }

    fn current(&self, output: Output) -> Option<AgentKey> {
        self.agents.get(self.drained.get(output as usize).copied()?).copied()
    }

    fn advance(&mut self, output: Output) {
        if let Some(drained) = self.drained.get_mut(output as usize) {
            *drained = drained.saturating_add(1);
        }
    }
}

impl Hub {
    /// A hub without agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an agent in.
    pub fn insert(&mut self, agent: Agent) -> AgentKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.agents.push(Slot::default());
            u32::try_from(self.agents.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let mut key = AgentKey { index, generation: 0 };
        if let Some(slot) = self.agents.get_mut(place(key)) {
            key.generation = slot.generation;
            self.routes.add_ufrag(agent.local_parameters().ufrag.as_str(), key);
            slot.agent = Some(agent);
        }
        self.mark(key);
        key
    }

    /// Gives an agent back; whatever it still wanted to send or say is in it.
    pub fn remove(&mut self, key: AgentKey) -> Option<Agent> {
        let slot = self.agents.get_mut(place(key)).filter(|slot| slot.generation == key.generation)?;
        let agent = slot.agent.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.dirty = false;
        self.free.push(key.index);
        self.timers.set(place(key), None);
        self.routes.remove(agent.local_parameters().ufrag.as_str(), key);
        Some(agent)
    }

    /// Looks at an agent.
    pub fn agent(&self, key: AgentKey) -> Option<&Agent> {
        self.slot(key)?.agent.as_ref()
    }

    /// Takes hold of an agent for a command. Its outputs are to be drained afterwards.
    pub fn agent_mut(&mut self, key: AgentKey) -> Option<&mut Agent> {
        let slot = self.slot(key)?;
        slot.agent.as_ref()?;
        self.mark(key);
        self.agents.get_mut(place(key))?.agent.as_mut()
    }

    /// How many agents there are.
    pub fn len(&self) -> usize {
        self.agents.len().saturating_sub(self.free.len())
    }

    /// Whether there is no agent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says that a socket serves several agents. To be said before it is given to the first.
    pub fn share(&mut self, socket: floe_pair::SocketId) {
        self.routes.share(socket);
    }

    /// A datagram arrived: it goes to the agent it belongs to.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        received: Received<'a>,
    ) -> (Option<AgentKey>, Handled<'a>) {
        let (place, source, ecn) = (received.place(), received.source, received.ecn);
        let mut payload = received.payload;
        let mut candidates = self.routes.find(place, source, payload);
        while let Some(key) = candidates.next(&self.routes) {
            let Some(agent) =
                self.agents.get_mut(self::place(key)).filter(|slot| slot.generation == key.generation)
            else {
                continue;
            };
            let Some(agent) = agent.agent.as_mut() else { continue };
            let received = Received { socket: place.socket, local_ip: place.local_ip, source, ecn, payload };
            match agent.handle_datagram(now, received) {
                Handled::NotOurs(back) => payload = back,
                // Data is the hot path: it changes nothing in the agent, so there is nothing to drain.
                data @ Handled::Data { .. } => return (Some(key), data),
                handled => {
                    if matches!(handled, Handled::Taken) {
                        self.routes.learn(place, source, key);
                    }
                    self.mark(key);
                    return (Some(key), handled);
                }
            }
        }
        (None, Handled::NotOurs(payload))
    }

    /// The driver's answer to a request of one agent.
    pub fn handle_answer(&mut self, now: Instant, key: AgentKey, id: RequestId, answer: Answer) {
        if let Answer::Bound { socket, .. } = &answer {
            self.routes.own(*socket, key);
        }
        if let Some(agent) = self.agent_mut(key) {
            agent.handle_answer(now, id, answer);
        }
    }

    /// Does what is due at `now` in every agent.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle();
        while let Some((_, index)) = self.timers.first().filter(|(at, _)| *at <= now) {
            // One step for each agent and call: what is due again at once waits for the next call.
            self.timers.set(index, None);
            let Some(slot) = self.agents.get_mut(index) else { return };
            let Some(agent) = slot.agent.as_mut() else { continue };
            agent.handle_timeout(now, &mut self.pacer);
            let key =
                AgentKey { index: u32::try_from(index).unwrap_or(u32::MAX), generation: slot.generation };
            self.mark(key);
        }
    }

    /// The next datagram to send, written into `buffer`.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(AgentKey, Transmit)> {
        let (key, transmit) = self.next_output(Output::Transmit, |agent| agent.poll_transmit(buffer))?;
        self.routes.note_transmit(key, &transmit, buffer);
        Some((key, transmit))
    }

    /// The next thing that only the driver can do, and for whom.
    pub fn poll_request(&mut self) -> Option<(AgentKey, Request)> {
        let (key, request) = self.next_output(Output::Request, Agent::poll_request)?;
        if let Request::Close { socket } = &request {
            self.routes.disown(*socket, key);
        }
        Some((key, request))
    }

    /// The next event, and whose it is.
    pub fn poll_event(&mut self) -> Option<(AgentKey, Event)> {
        self.next_output(Output::Event, Agent::poll_event)
    }

    /// The next datagram that came before its pair was valid (see [`Agent::poll_data`]).
    pub fn poll_data(&mut self, buffer: &mut [u8]) -> Option<(AgentKey, StreamId, ComponentId, usize)> {
        let (key, (stream, component, len)) =
            self.next_output(Output::Data, |agent| agent.poll_data(buffer))?;
        Some((key, stream, component, len))
    }

    /// When [`Hub::handle_timeout`] has something to do. Drain the other outputs first.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.settle();
        self.timers.first().map(|(at, _)| at)
    }

    /// Notes that an agent's outputs are to be drained.
    fn mark(&mut self, key: AgentKey) {
        if self.dirty.is_drained() {
            self.settle();
        }
        let Some(slot) = self.agents.get_mut(place(key)) else { return };
        if core::mem::replace(&mut slot.dirty, true) {
            // Some of its outputs may have been drained already: the round begins again.
            self.dirty.drained = Default::default();
        } else {
            self.dirty.agents.push_back(key);
        }
    }

    /// Takes over the deadlines of the agents that were touched. They stay among the dirty until their outputs
    /// were drained.
    fn settle(&mut self) {
        for key in &self.dirty.agents {
            let deadline = self.agents.get(place(*key)).and_then(|slot| slot.agent.as_ref()?.poll_timeout());
            self.timers.set(place(*key), deadline);
        }
        if self.dirty.is_drained() {
            for key in self.dirty.agents.drain(..) {
                if let Some(slot) = self.agents.get_mut(place(key)) {
                    slot.dirty = false;
                }
            }
            self.dirty.drained = Default::default();
        }
    }

    fn next_output<T>(
        &mut self,
        output: Output,
        mut poll: impl FnMut(&mut Agent) -> Option<T>,
    ) -> Option<(AgentKey, T)> {
        while let Some(key) = self.dirty.current(output) {
            let slot = self.agents.get_mut(place(key)).filter(|slot| slot.generation == key.generation);
            if let Some(found) = slot.and_then(|slot| slot.agent.as_mut()).and_then(&mut poll) {
                return Some((key, found));
            }
            self.dirty.advance(output);
        }
        None
    }

    fn slot(&self, key: AgentKey) -> Option<&Slot> {
        self.agents.get(place(key)).filter(|slot| slot.generation == key.generation)
    }
}

fn place(key: AgentKey) -> usize {
    usize::try_from(key.index).unwrap_or(usize::MAX)
}
