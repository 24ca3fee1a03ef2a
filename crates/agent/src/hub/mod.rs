//! Many agents driven as one: one queue of deadlines, one pacer, and demultiplexing of shared sockets.

mod agenda;
mod requests;
mod routes;
mod timers;

use alloc::{collections::BTreeSet, vec::Vec};

use floe_gather::{Answer, Request, RequestId};
use floe_pair::{ComponentId, Place, SocketId, StreamId, TransportAddress};
use floe_stun::Instant;

use self::{
    agenda::{Agenda, Task},
    routes::{Routes, Target},
    timers::Timers,
};
use crate::{
    agent::Agent,
    event::Event,
    fork::ForkError,
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
/// ([`Hub::share`]) a check is found by the user name in it, the answer of a server by its transaction id, and data
/// by the address it came from: it goes to the agent that has a valid pair there. Where several have one, as
/// between two endpoints with one port each, nothing in the data tells them apart and the latest has it.
///
/// The cost of an input does not grow with the number of agents, but for the logarithms of look-ups.
#[derive(Debug, Default)]
pub struct Hub {
    agents: Vec<Slot>,
    free: Vec<u32>,
    timers: Timers,
    routes: Routes,
    pacer: Pacer,
    agenda: Agenda,
    /// Agents that commands were given to, and whose names have not been looked at since.
    commanded: BTreeSet<AgentKey>,
    /// Sockets that agents had shared until the last of them was removed: to be closed.
    orphans: Vec<(AgentKey, SocketId)>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    agent: Option<Agent>,
}

impl Hub {
    /// A hub without agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an agent in. Its local user fragment should be like no other's here but that of an agent it was forked from:
    /// of several on one socket a check is for the one whose peer it names, and where none knows that peer for one that has
    /// none.
    pub fn insert(&mut self, agent: Agent) -> AgentKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.agents.push(Slot::default());
            u32::try_from(self.agents.len().saturating_sub(1)).unwrap_or(u32::MAX)
        });
        let mut key = AgentKey { index, generation: 0 };
        if let Some(slot) = self.agents.get_mut(place(key)) {
            key.generation = slot.generation;
            self.routes.name(agent.names(), key);
            slot.agent = Some(agent);
        }
        self.agenda.add_all(place(key));
        key
    }

    /// Forks an agent ([`Agent::fork`]): both use its sockets from now on, and a socket is closed once neither does.
    ///
    /// # Errors
    /// [`ForkError`]; also where there is no such agent, which counts as closed.
    pub fn fork(&mut self, now: Instant, key: AgentKey, seed: [u8; 32]) -> Result<AgentKey, ForkError> {
        let parent = self.agent(key).ok_or(ForkError::Closed)?;
        let child = parent.fork(now, seed)?;
        let sockets = child.adopted_sockets();
        let talks = parent.talks();
        let fork = self.insert(child);
        for socket in sockets {
            self.routes.join(socket, key, fork);
        }
        for (place, remote) in talks {
            self.learn(place, remote, key);
        }
        Ok(fork)
    }

    /// Gives an agent back; whatever it still wanted to send or say is in it. Its sockets are the driver's to close. Those
    /// that it shared with forks, and nobody uses any more, are asked to be closed ([`Hub::poll_request`]).
    pub fn remove(&mut self, key: AgentKey) -> Option<Agent> {
        let slot = self.agents.get_mut(place(key)).filter(|slot| slot.generation == key.generation)?;
        let agent = slot.agent.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.timers.set(place(key), None);
        self.orphans.extend(self.routes.remove(key).into_iter().map(|socket| (key, socket)));
        Some(agent)
    }

    /// Looks at an agent.
    pub fn agent(&self, key: AgentKey) -> Option<&Agent> {
        self.slot(key)?.agent.as_ref()
    }

    /// Takes hold of an agent for a command. Its outputs are to be drained afterwards. Datagrams, answers and time
    /// come by the hub's own methods, which have to know of them.
    pub fn agent_mut(&mut self, key: AgentKey) -> Option<&mut Agent> {
        let agent = live(&mut self.agents, key)?;
        self.agenda.add_all(place(key));
        self.commanded.insert(key);
        Some(agent)
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
    pub fn share(&mut self, socket: SocketId) {
        self.routes.share(socket);
    }

    /// Whether agents of which one was forked from the other use this socket.
    pub fn is_in_use(&self, socket: SocketId) -> bool {
        self.routes.is_in_use(socket)
    }

    /// A datagram arrived: it goes to the agent it belongs to. [`Handled::NotOurs`] without a key: to none.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Instant,
        received: Received<'a>,
    ) -> (Option<AgentKey>, Handled<'a>) {
        let (at, source) = (received.place(), received.source);
        match self.routes.find(at, received.payload) {
            Target::Nobody => (None, Handled::NotOurs(received.payload)),
            Target::One(key) => self.offer(now, key, received),
            Target::Named => {
                self.rename_commanded();
                let Some(key) = self.routes.named_in(received.payload) else {
                    return (None, Handled::NotOurs(received.payload));
                };
                let result = self.offer(now, key, received);
                if matches!(result.1, Handled::Taken) {
                    // It was authentic: from now on what comes from there may be for this agent.
                    self.learn(at, source, key);
                }
                result
            }
            Target::Response => self.offer_response(now, received),
            Target::Data => match self.owner_of_data(&received) {
                Some(key) => self.offer(now, key, received),
                None => (None, Handled::NotOurs(received.payload)),
            },
        }
    }

    /// The driver's answer to a request of one agent. Returns whether the agent is there; if not, a socket in the
    /// answer belongs to nobody and is to be closed.
    pub fn handle_answer(&mut self, now: Instant, key: AgentKey, id: RequestId, answer: Answer) -> bool {
        let Some(agent) = live(&mut self.agents, key) else { return false };
        if let Answer::Bound { socket, .. } = &answer {
            self.routes.own(*socket, key);
        }
        agent.handle_answer(now, id, answer);
        self.agenda.add_all(place(key));
        true
    }

    /// Does what is due at `now` in every agent.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.settle();
        while let Some((_, index)) = self.timers.first().filter(|(at, _)| *at <= now) {
            // One step for each agent and call: what is due again at once waits for the next call.
            self.timers.set(index, None);
            if let Some(agent) = self.agents.get_mut(index).and_then(|slot| slot.agent.as_mut()) {
                agent.handle_timeout(now, &mut self.pacer);
                self.agenda.add_all(index);
            }
        }
    }

    /// The next datagram to send, written into `buffer`.
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<(AgentKey, Transmit)> {
        let (key, transmit) = self.next_output(Task::Transmit, |agent| agent.poll_transmit(buffer))?;
        if !self.routes.note_transmit(key, &transmit, buffer) {
            self.tidy(key);
            self.routes.note_transmit(key, &transmit, buffer);
        }
        Some((key, transmit))
    }

    /// The next thing that only the driver can do, and for whom.
    pub fn poll_request(&mut self) -> Option<(AgentKey, Request)> {
        if let Some((key, socket)) = self.orphans.pop() {
            return Some((key, Request::Close { socket }));
        }
        loop {
            let (key, request) = self.next_output(Task::Request, Agent::poll_request)?;
            // With its last request taken an agent may be closed.
            self.agenda.add(place(key), Task::Event);
            match &request {
                Request::Close { socket } if !self.routes.disown(*socket, key) => {}
                _ => return Some((key, request)),
            }
        }
    }

    /// The next event, and whose it is.
    pub fn poll_event(&mut self) -> Option<(AgentKey, Event)> {
        self.next_output(Task::Event, Agent::poll_event)
    }

    /// The next datagram that came before its pair was valid (see [`Agent::poll_data`]).
    pub fn poll_data(&mut self, buffer: &mut [u8]) -> Option<(AgentKey, StreamId, ComponentId, usize)> {
        let (key, (stream, component, len)) =
            self.next_output(Task::Data, |agent| agent.poll_data(buffer))?;
        Some((key, stream, component, len))
    }

    /// When [`Hub::handle_timeout`] has something to do. Drain the other outputs first.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.settle();
        self.timers.first().map(|(at, _)| at)
    }

    /// Hands a datagram to one agent.
    fn offer<'a>(
        &mut self,
        now: Instant,
        key: AgentKey,
        received: Received<'a>,
    ) -> (Option<AgentKey>, Handled<'a>) {
        let Some(agent) = live(&mut self.agents, key) else {
            return (None, Handled::NotOurs(received.payload));
        };
        let handled = agent.handle_datagram(now, received);
        match handled {
            Handled::NotOurs(_) => (None, handled),
            // The hot path: data changes nothing in the agent, so that there is nothing to drain.
            Handled::Data { .. } => (Some(key), handled),
            Handled::Taken | Handled::Dropped(_) => {
                self.agenda.add_all(place(key));
                (Some(key), handled)
            }
        }
    }

    /// Hands a response to the agent that knows its transaction.
    fn offer_response<'a>(
        &mut self,
        now: Instant,
        received: Received<'a>,
    ) -> (Option<AgentKey>, Handled<'a>) {
        let Received { socket, local_ip, source, ecn, mut payload } = received;
        let at = Place { socket, local_ip: local_ip.to_canonical() };
        for turn in 0.. {
            let Some(key) = self.routes.sharers(at, source).iter().nth_back(turn).copied() else { break };
            match self.offer(now, key, Received { socket, local_ip, source, ecn, payload }) {
                (_, Handled::NotOurs(back)) => payload = back,
                handled => return handled,
            }
        }
        (None, Handled::NotOurs(payload))
    }

    /// Whose data on a shared socket is: that of an agent with a valid pair, else of one that would hold it, else
    /// of one that at least talks to the address.
    fn owner_of_data(&self, received: &Received<'_>) -> Option<AgentKey> {
        let (at, source) = (received.place(), received.source);
        let sharers = self.routes.sharers(at, source);
        if let [only] = sharers {
            return Some(*only);
        }
        let latest = |accepts: &dyn Fn(&Agent) -> bool| {
            sharers.iter().rev().copied().find(|key| self.agent(*key).is_some_and(accepts))
        };
        latest(&|agent| agent.accepts_data(at, source))
            .or_else(|| latest(&|agent| agent.holds_data(at, source)))
            .or_else(|| sharers.last().copied())
    }

    /// An agent talks to this address over this place.
    fn learn(&mut self, place: Place, source: TransportAddress, key: AgentKey) {
        if !self.routes.learn(place, source, key) {
            self.tidy(key);
            self.routes.learn(place, source, key);
        }
    }

    /// Forgets whom an agent talks to no more.
    fn tidy(&mut self, key: AgentKey) {
        if let Some(agent) = self.slot(key).and_then(|slot| slot.agent.as_ref()) {
            self.routes.keep(key, &agent.talks());
        }
    }

    /// A command may have told an agent who its peer is, whose check has come already.
    fn rename_commanded(&mut self) {
        while let Some(key) = self.commanded.pop_first() {
            if let Some(agent) = live(&mut self.agents, key) {
                rename(&mut self.routes, agent, key);
            }
        }
    }

    /// Takes over the deadlines of the agents that were touched.
    fn settle(&mut self) {
        self.commanded.clear();
        while let Some(index) = self.agenda.next(Task::Deadline) {
            let slot = self.agents.get_mut(index);
            let deadline = slot.and_then(|slot| {
                let agent = slot.agent.as_mut()?;
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                rename(&mut self.routes, agent, AgentKey { index, generation: slot.generation });
                agent.poll_timeout()
            });
            self.timers.set(index, deadline);
            self.agenda.done(Task::Deadline);
        }
    }

    fn next_output<T>(
        &mut self,
        task: Task,
        mut poll: impl FnMut(&mut Agent) -> Option<T>,
    ) -> Option<(AgentKey, T)> {
        while let Some(index) = self.agenda.next(task) {
            if let Some(slot) = self.agents.get_mut(index)
                && let Some(found) = slot.agent.as_mut().and_then(&mut poll)
            {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                return Some((AgentKey { index, generation: slot.generation }, found));
            }
            self.agenda.done(task);
        }
        None
    }

    fn slot(&self, key: AgentKey) -> Option<&Slot> {
        self.agents.get(place(key)).filter(|slot| slot.generation == key.generation)
    }
}

/// The names of an agent may be others now; where generations have gone, it talks to fewer.
fn rename(routes: &mut Routes, agent: &mut Agent, key: AgentKey) {
    if agent.take_renamed() && routes.name(agent.names(), key) {
        routes.keep(key, &agent.talks());
    }
}

/// Not a method: what else the hub has can be used meanwhile.
fn live(agents: &mut [Slot], key: AgentKey) -> Option<&mut Agent> {
    agents.get_mut(place(key)).filter(|slot| slot.generation == key.generation)?.agent.as_mut()
}

fn place(key: AgentKey) -> usize {
    usize::try_from(key.index).unwrap_or(usize::MAX)
}
