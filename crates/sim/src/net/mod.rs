//! A network on a virtual clock: hosts with agents, links, NATs and firewalls, third parties, and the embedded server.
//!
//! A [`Network`] is built from address spaces ([`RealmId`]), hosts, gates between the address spaces ([`GateConfig`])
//! and servers; agents are added to hosts and introduced to each other by a [`Session`]. [`Network::run_until`] moves
//! the clock from one occurrence to the next; nothing waits. Everything random comes from the seed given to
//! [`Network::new`]: equal seeds and equal calls give equal runs, down to the last byte ([`Trace::hash`]).
//!
//! Agents are driven as any driver drives them: through their inputs, outputs and requests, in the order their
//! crate asks for. Inputs come before timers at equal instants.
//!
//! ```
//! use core::time::Duration;
//!
//! use floe_agent::{AgentConfig, pair::{ComponentId, Role, StreamId}};
//! use floe_sim::net::{Ended, HostAddress, Link, Network, RealmId, Session};
//!
//! let mut network = Network::new([1; 32]);
//! let mut agents = Vec::new();
//! for (ip, role) in [("192.0.2.1", Role::Controlling), ("192.0.2.2", Role::Controlled)] {
//!     let link = Link::delay(Duration::from_millis(10));
//!     let host = network.add_host(&[HostAddress::new(RealmId::PUBLIC, ip.parse()?, link)])?;
//!     let config = AgentConfig::new(network.draw_seed(), role);
//!     agents.push(network.add_agent(host, config)?);
//! }
//! let session = Session::new(&mut network, agents[0], agents[1], Duration::from_millis(30));
//! session.start(&mut network);
//!
//! let limit = network.now().after(Duration::from_secs(5));
//! assert_eq!(network.run_until(|network| session.is_completed(network), limit), Ended::Met);
//! let carried = session.carries_data(&mut network, StreamId(0), ComponentId::RTP, Duration::from_secs(1));
//! assert_eq!(carried, [true, true]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bare;
mod build;
mod emit;
mod gate;
mod host;
mod intruder;
mod link;
pub(crate) mod micros;
mod queue;
mod realm;
mod relay;
mod run;
mod session;
mod trace;

use core::time::Duration;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use floe_agent::{Agent, Event, PathError, PathHandle, SendError};
use floe_pair::{ComponentId, Place, StreamId};
use floe_stun::{Instant, Random};

pub use bare::{BareSocket, Heard};
pub use build::BuildError;
pub use gate::{Admits, Dependence, FirewallConfig, GateConfig, NatConfig, Ports, PrefixConfig, Refresh};
pub use host::{AgentId, Arrived, HostAddress, HostId};
pub use intruder::{Intruder, Intrusion};
pub use link::{Link, Probability, Way};
pub use realm::RealmId;
pub use relay::ServerId;
pub use run::Ended;
pub use session::{Session, Trickle};
pub use trace::{Content, Entry, Fate, StreamStep, Trace, Unreachable};

use crate::{invariants::Watch, server::Server};
use gate::Gate;
use host::{Host, Mailbox};
use link::Lane;
use queue::Queue;
use realm::Realm;
use relay::ServerNode;
use session::Introduction;

/// What agents are lent to write into: as much as they hold of data that comes early.
const BUFFER_BYTES: usize = 24 * 1024;
/// What an agent puts round a payload at most: a Send indication with an IPv6 peer (RFC 8656 §11.1), and some room.
const FRAMING_BYTES: usize = 64;
/// Buffers of datagrams that have arrived, kept for those to come.
const MAX_SPARE: usize = 64;

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    content: Content,
}

impl Packet {
    /// Length of the IP packet.
    fn ip_bytes(&self) -> usize {
        let headers = if self.to.is_ipv4() { 28 } else { 48 };
        self.content.bytes().len().saturating_add(headers)
    }
}

/// Something that has addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Host(HostId),
    Server(ServerId),
    Gate(usize),
}

/// Both directions of a link at work, and the weather of the address space between them.
#[derive(Clone, Copy, Debug)]
struct Lanes {
    up: Lane,
    weather: Lane,
    down: Lane,
}

/// A network and its clock. See the [module](self).
#[derive(Debug)]
pub struct Network {
    now: Instant,
    seeds: Random,
    chances: Random,
    queue: Queue,
    trace: Trace,
    realms: Vec<Realm>,
    links: Vec<Lanes>,
    hosts: Vec<Host>,
    servers: Vec<ServerNode>,
    gates: Vec<Gate>,
    intruders: Vec<Intruder>,
    names: BTreeMap<Box<str>, (Vec<IpAddr>, Duration)>,
    introductions: BTreeMap<AgentId, Introduction>,
    /// Lent to agents for what they send.
    buffer: Vec<u8>,
    spare: Vec<Vec<u8>>,
    /// Looks on, where somebody wants to know.
    pub(crate) watch: Option<Box<Watch>>,
    /// Whether links leave nothing to chance.
    calm: bool,
    /// Steps made at the present instant.
    steps: u32,
}

impl Network {
    /// An empty public address space at the origin of time.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut seeds = Random::from_seed(seed);
        Self {
            now: Instant::ORIGIN,
            chances: seeds.split(),
            seeds,
            queue: Queue::default(),
            trace: Trace::default(),
            realms: vec![Realm::default()],
            links: Vec::new(),
            hosts: Vec::new(),
            servers: Vec::new(),
            gates: Vec::new(),
            intruders: Vec::new(),
            names: BTreeMap::new(),
            introductions: BTreeMap::new(),
            buffer: vec![0; BUFFER_BYTES],
            spare: Vec::new(),
            watch: None,
            calm: false,
            steps: 0,
        }
    }

    /// A seed for an agent, drawn from the network's own.
    pub fn draw_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.seeds.fill(&mut seed);
        seed
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The record of all datagrams.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Keeps the next `steps` steps of datagrams for [`Trace::story`].
    pub fn keep_story(&mut self, steps: usize) {
        self.trace.keep(steps);
    }

    /// Whether links leave nothing to chance from now on: no loss, no jitter, no reordering, no second copies.
    pub fn set_calm(&mut self, calm: bool) {
        self.calm = calm;
    }

    /// An agent, to look at.
    pub fn agent(&self, id: AgentId) -> Option<&Agent> {
        self.hosts.get(id.host.0)?.hub.agent(id.key)
    }

    /// Gives an agent a command, and does at once what it wants done. `None` if there is no such agent.
    pub fn command<T>(&mut self, id: AgentId, act: impl FnOnce(Instant, &mut Agent) -> T) -> Option<T> {
        let now = self.now;
        let result = act(now, self.hosts.get_mut(id.host.0)?.hub.agent_mut(id.key)?);
        self.drain_host(id.host);
        Some(result)
    }

    /// Tells an agent the addresses of its host and has it gather candidates.
    pub fn gather(&mut self, id: AgentId) {
        let Some(interfaces) = self.hosts.get(id.host.0).map(Host::interfaces) else { return };
        self.command(id, |now, agent| {
            agent.handle_interfaces(now, &interfaces);
            agent.gather(now);
        });
    }

    /// Sends application data by way of the agent.
    ///
    /// # Errors
    /// What [`Agent::send`] says; of an agent that does not exist, that it has no such component.
    pub fn send(
        &mut self,
        from: AgentId,
        stream: StreamId,
        component: ComponentId,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let unknown = SendError::NoSuchComponent(stream, component);
        let agent =
            self.hosts.get_mut(from.host.0).and_then(|host| host.hub.agent_mut(from.key)).ok_or(unknown)?;
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.resize(payload.len().saturating_add(FRAMING_BYTES), 0);
        let sent = agent.send(self.now, stream, component, payload, &mut bytes);
        let sent = sent.map(|transmit| {
            bytes.truncate(transmit.len);
            if let Some(watch) = &mut self.watch {
                watch.on_data(self.now, from, transmit.from, transmit.to, &bytes);
            }
            self.leave(from.host, transmit.from, transmit.to.socket_addr(), bytes);
        });
        self.drain_after_data(from.host);
        sent
    }

    /// Sends application data on a path, past the agent, as senders do.
    ///
    /// # Errors
    /// What [`PathHandle::frame`] says.
    pub fn send_on(&mut self, from: AgentId, path: &PathHandle, payload: &[u8]) -> Result<(), PathError> {
        let frame = path.frame(self.now, payload.len())?;
        let bytes = [frame.header(), payload].concat();
        if let Some(watch) = &mut self.watch {
            watch.on_data(self.now, from, frame.from, frame.to, &bytes);
        }
        self.leave(from.host, frame.from, frame.to.socket_addr(), bytes);
        Ok(())
    }

    /// What an agent said so far and nobody took, oldest first.
    pub fn events(&self, id: AgentId) -> impl Iterator<Item = &(Instant, Event)> {
        self.mailbox(id).into_iter().flat_map(|mailbox| &mailbox.events)
    }

    /// Application data that reached an agent so far and nobody took, oldest first.
    pub fn data(&self, id: AgentId) -> impl Iterator<Item = &Arrived> {
        self.mailbox(id).into_iter().flat_map(|mailbox| &mailbox.data)
    }

    /// Takes what an agent said.
    pub fn take_events(&mut self, id: AgentId) -> Vec<(Instant, Event)> {
        let mailbox = self.hosts.get_mut(id.host.0).and_then(|host| host.mailboxes.get_mut(&id.key));
        mailbox.map(|mailbox| core::mem::take(&mut mailbox.events).into()).unwrap_or_default()
    }

    /// Takes the application data that reached an agent.
    pub fn take_data(&mut self, id: AgentId) -> Vec<Arrived> {
        let mailbox = self.hosts.get_mut(id.host.0).and_then(|host| host.mailboxes.get_mut(&id.key));
        mailbox.map(|mailbox| core::mem::take(&mut mailbox.data).into()).unwrap_or_default()
    }

    /// A server, to look at.
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(id.0).map(|node| &node.server)
    }

    /// A server, to change its faults; what it sends goes out with the next occurrence.
    pub fn server_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        self.servers.get_mut(id.0).map(|node| &mut node.server)
    }

    /// When a host's agents want to be woken next.
    pub fn deadline(&self, id: HostId) -> Option<Instant> {
        self.hosts.get(id.0)?.deadline
    }

    /// Takes the steps kept so far.
    pub fn take_story(&mut self) -> Vec<Entry> {
        self.trace.take()
    }

    /// Sockets that are open on a host.
    pub fn open_sockets(&self, id: HostId) -> usize {
        self.hosts.get(id.0).map_or(0, Host::open_sockets)
    }

    /// Mappings and pinholes alive in the gates before an address space.
    pub fn mappings(&self, inner: RealmId) -> usize {
        self.gates.iter().filter(|gate| gate.inner == inner).map(|gate| gate.mappings(self.now)).sum()
    }

    fn mailbox(&self, id: AgentId) -> Option<&Mailbox> {
        self.hosts.get(id.host.0)?.mailboxes.get(&id.key)
    }

    /// A datagram leaves a host by one of its sockets.
    fn leave(&mut self, host: HostId, from: Place, to: SocketAddr, bytes: Vec<u8>) {
        let Some(node) = self.hosts.get(host.0) else { return };
        let source =
            node.socket_address(from.socket).map(|bound| SocketAddr::new(from.local_ip, bound.port()));
        let realm = node.address(from.local_ip).map(|address| address.realm);
        let to = SocketAddr::new(to.ip(), to.port());
        if let (Some(from), Some(realm)) = (source, realm) {
            self.emit(Node::Host(host), realm, Packet { from, to, content: Content::Datagram(bytes) });
        }
    }
}

#[cfg(test)]
mod tests;
