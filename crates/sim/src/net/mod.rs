//! A network on a virtual clock: hosts with agents, links, NATs, and the embedded server.
//!
//! A [`Network`] is built from address spaces ([`RealmId`]), hosts, NATs and servers; agents are added to hosts and
//! introduced to each other by a [`Session`]. [`Network::run_until`] moves the clock from one occurrence to the
//! next; nothing waits. Everything random comes from the seed given to [`Network::new`]: equal seeds and equal
//! calls give equal runs, down to the last byte ([`Trace::hash`]).
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

mod host;
mod link;
mod nat;
mod queue;
mod realm;
mod relay;
mod run;
mod session;
mod trace;

use core::{fmt, time::Duration};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use floe_agent::{Agent, AgentConfig, ConfigError, Event, PathError, PathHandle, SendError};
use floe_pair::{ComponentId, Place, StreamId};
use floe_stun::{Instant, Random};

pub use host::{AgentId, Arrived, HostAddress, HostId};
pub use link::{Link, Probability};
pub use nat::{Dependence, NatConfig};
pub use realm::RealmId;
pub use relay::ServerId;
pub use run::Ended;
pub use session::Session;
pub use trace::{Entry, Fate, Trace};

use crate::server::{Server, ServerConfig};
use host::{Host, Mailbox};
use nat::Nat;
use queue::Queue;
use realm::{Attachment, Realm};
use relay::ServerNode;
use session::Introduction;

/// Longest UDP payload over IPv4, and some room for framing.
const BUFFER_BYTES: usize = 65_536;

/// A datagram on its way.
#[derive(Clone, Debug)]
struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Something that has addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Host(HostId),
    Server(ServerId),
    Nat(usize),
}

/// Why a network cannot be built as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Another node has this address in this address space.
    AddressTaken(IpAddr),
    /// The address space belongs to another network.
    NoSuchRealm(RealmId),
    /// The host belongs to another network.
    NoSuchHost(HostId),
    /// The agent's configuration is not usable.
    Agent(ConfigError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken(ip) => write!(f, "address {ip} is taken"),
            Self::NoSuchRealm(_) => f.write_str("no such address space"),
            Self::NoSuchHost(_) => f.write_str("no such host"),
            Self::Agent(error) => write!(f, "agent: {error}"),
        }
    }
}

impl core::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Agent(error) => Some(error),
            _ => None,
        }
    }
}

/// A network and its clock. See the [module](self).
#[derive(Debug)]
pub struct Network {
    now: Instant,
    seeds: Random,
    losses: Random,
    queue: Queue,
    trace: Trace,
    realms: Vec<Realm>,
    hosts: Vec<Host>,
    servers: Vec<ServerNode>,
    nats: Vec<Nat>,
    names: BTreeMap<Box<str>, (Vec<IpAddr>, Duration)>,
    introductions: BTreeMap<AgentId, Introduction>,
    /// Lent to agents for what they send.
    buffer: Vec<u8>,
    /// Steps made at the present instant.
    steps: u32,
}

impl Network {
    /// An empty public address space at the origin of time.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut seeds = Random::from_seed(seed);
        Self {
            now: Instant::ORIGIN,
            losses: seeds.split(),
            seeds,
            queue: Queue::default(),
            trace: Trace::default(),
            realms: vec![Realm::default()],
            hosts: Vec::new(),
            servers: Vec::new(),
            nats: Vec::new(),
            names: BTreeMap::new(),
            introductions: BTreeMap::new(),
            buffer: vec![0; BUFFER_BYTES],
            steps: 0,
        }
    }

    /// A seed for an agent, drawn from the network's own.
    pub fn draw_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.seeds.fill(&mut seed);
        seed
    }

    /// A NAT and the empty address space behind it.
    ///
    /// # Errors
    /// [`BuildError`]: its outer address space does not exist, or its address is taken there.
    pub fn add_nat(&mut self, config: NatConfig) -> Result<RealmId, BuildError> {
        let node = Node::Nat(self.nats.len());
        self.attach(config.outer, config.address, Attachment { node, link: config.outer_link })?;
        let inner = RealmId(self.realms.len());
        self.realms.push(Realm::behind(Attachment { node, link: config.inner_link }));
        let random = self.seeds.split();
        self.nats.push(Nat::new(config, inner, random));
        Ok(inner)
    }

    /// A host with these addresses; no two of them may be equal, not even in different address spaces.
    ///
    /// # Errors
    /// [`BuildError`]: an address is taken, or its address space does not exist. Nothing is added then but the
    /// addresses before it.
    pub fn add_host(&mut self, addresses: &[HostAddress]) -> Result<HostId, BuildError> {
        let id = HostId(self.hosts.len());
        for (index, address) in addresses.iter().enumerate() {
            if addresses.iter().take(index).any(|other| other.ip == address.ip) {
                return Err(BuildError::AddressTaken(address.ip));
            }
            self.attach(address.realm, address.ip, Attachment { node: Node::Host(id), link: address.link })?;
        }
        self.hosts.push(Host::new(addresses.to_vec()));
        Ok(id)
    }

    /// A server on its listening and relay addresses.
    ///
    /// # Errors
    /// [`BuildError`]: an address is taken by another node, or the address space does not exist.
    pub fn add_server(
        &mut self,
        realm: RealmId,
        config: ServerConfig,
        link: Link,
    ) -> Result<ServerId, BuildError> {
        let id = ServerId(self.servers.len());
        let listen = config.listen.clone();
        let mut ips: Vec<IpAddr> =
            listen.iter().map(SocketAddr::ip).chain(config.relay_ips.iter().copied()).collect();
        ips.sort_unstable();
        ips.dedup();
        for ip in ips {
            self.attach(realm, ip, Attachment { node: Node::Server(id), link })?;
        }
        let server = Server::new(config, self.draw_seed());
        self.servers.push(ServerNode::new(realm, server, listen));
        Ok(id)
    }

    /// A name that hosts can look up, which takes `delay`. Other names have no address.
    pub fn add_name(&mut self, name: &str, addresses: Vec<IpAddr>, delay: Duration) {
        self.names.insert(name.into(), (addresses, delay));
    }

    /// An agent on a host. It does nothing yet.
    ///
    /// # Errors
    /// [`BuildError`]: there is no such host, or the configuration is not usable.
    pub fn add_agent(&mut self, host: HostId, config: AgentConfig) -> Result<AgentId, BuildError> {
        let agent = Agent::new(config).map_err(BuildError::Agent)?;
        let node = self.hosts.get_mut(host.0).ok_or(BuildError::NoSuchHost(host))?;
        let key = node.hub.insert(agent);
        node.mailboxes.insert(key, Mailbox::default());
        self.drain_host(host);
        Ok(AgentId { host, key })
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
        let sent = agent.send(self.now, stream, component, payload, &mut self.buffer);
        let sent = sent.map(|transmit| {
            let bytes = self.buffer.get(..transmit.len).unwrap_or_default().to_vec();
            self.leave(from.host, transmit.from, transmit.to.socket_addr(), bytes);
        });
        self.drain_host(from.host);
        sent
    }

    /// Sends application data on a path, past the agent, as senders do.
    ///
    /// # Errors
    /// What [`PathHandle::frame`] says.
    pub fn send_on(&mut self, from: AgentId, path: &PathHandle, payload: &[u8]) -> Result<(), PathError> {
        let frame = path.frame(self.now, payload.len())?;
        self.leave(from.host, frame.from, frame.to.socket_addr(), [frame.header(), payload].concat());
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

    /// Sockets that are open on a host.
    pub fn open_sockets(&self, id: HostId) -> usize {
        self.hosts.get(id.0).map_or(0, Host::open_sockets)
    }

    /// Mappings alive in the NAT before an address space.
    pub fn mappings(&self, inner: RealmId) -> usize {
        self.nats.iter().filter(|nat| nat.inner == inner).map(|nat| nat.mappings(self.now)).sum()
    }

    fn mailbox(&self, id: AgentId) -> Option<&Mailbox> {
        self.hosts.get(id.host.0)?.mailboxes.get(&id.key)
    }

    fn attach(&mut self, realm: RealmId, ip: IpAddr, attachment: Attachment) -> Result<(), BuildError> {
        let space = self.realms.get_mut(realm.0).ok_or(BuildError::NoSuchRealm(realm))?;
        if space.attach(ip, attachment) { Ok(()) } else { Err(BuildError::AddressTaken(ip)) }
    }

    /// A datagram leaves a host by one of its sockets.
    fn leave(&mut self, host: HostId, from: Place, to: SocketAddr, bytes: Vec<u8>) {
        let Some(node) = self.hosts.get(host.0) else { return };
        let source =
            node.socket_address(from.socket).map(|bound| SocketAddr::new(from.local_ip, bound.port()));
        let realm = node.address(from.local_ip).map(|address| address.realm);
        let to = SocketAddr::new(to.ip(), to.port());
        if let (Some(from), Some(realm)) = (source, realm) {
            self.emit(Node::Host(host), realm, Packet { from, to, bytes });
        }
    }
}

#[cfg(test)]
mod tests;
