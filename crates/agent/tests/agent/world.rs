//! Hubs on a virtual network: every datagram takes the same time, and what a test wants lost is lost.

use core::{net::IpAddr, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
};

use floe_agent::{
    Agent, AgentConfig, AgentKey, Answer, Ecn, Event, Handled, Hub, Interface, InterfaceFlags, Received,
    Request, RequestFailure, State, TransmitKind,
};
use floe_pair::{
    Candidate, CandidateLine, ComponentId, Parameters, Role, SocketId, StreamId, TransportAddress, Ufrag,
};
use floe_stun::Instant;

use crate::server::{self, Server};

pub(crate) const STREAM: StreamId = StreamId(0);
pub(crate) const COMPONENT: ComponentId = ComponentId::RTP;
/// Polls at one instant after which a hub is said to be in a busy loop.
const MOST_POLLS: usize = 4_000;

pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// An agent and the node it lives on.
pub(crate) type Id = (usize, AgentKey);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) by: Id,
    pub(crate) kind: TransmitKind,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What one agent tells another.
#[derive(Clone, Debug)]
pub(crate) enum Signal {
    Parameters(Box<Parameters>),
    Candidate(StreamId, Box<CandidateLine>),
    End(StreamId, Ufrag),
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A host: its hub, and what stands for its operating system.
#[derive(Default)]
pub(crate) struct Node {
    pub(crate) hub: Hub,
    pub(crate) ports: BTreeMap<SocketId, u16>,
    pub(crate) shared: Option<SocketId>,
    pub(crate) events: Vec<(AgentKey, Event)>,
    pub(crate) data: Vec<(AgentKey, Vec<u8>)>,
    /// Datagrams that no agent wanted.
    pub(crate) unclaimed: usize,
    /// What was dropped, and why.
    pub(crate) dropped: Vec<floe_agent::DropReason>,
    next: u16,
    deadline: Option<Instant>,
}

/// What decides whether a datagram is lost: by its source, destination and bytes.
pub(crate) type Loss = Box<dyn FnMut(SocketAddr, SocketAddr, &[u8]) -> bool>;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    pub(crate) server: Server,
    pub(crate) delay: Duration,
    pub(crate) lost: Loss,
    pub(crate) sent: Vec<Sent>,
    /// A host that is suspended: its timers do not fire, and what is sent to it is lost.
    pub(crate) asleep: Option<usize>,
    /// Whether each deadline is tried a nanosecond early and has to be of use.
    pub(crate) strict: bool,
    /// Heap allocations of the hubs so far.
    pub(crate) allocations: u64,
    /// Calls of `handle_timeout` so far.
    pub(crate) timed_out: u32,
    /// When, and with how many outputs each.
    pub(crate) polls: Vec<(Instant, usize)>,
    /// Further addresses of nodes.
    aliases: BTreeMap<IpAddr, usize>,
    /// By agent, whom to tell about its candidates.
    pub(crate) peers: BTreeMap<Id, Id>,
    signals: VecDeque<(Instant, Id, Signal)>,
    /// How long signalling takes, one way.
    pub(crate) signalling: Duration,
    queue: BTreeMap<(Instant, u64), Packet>,
    count: u64,
}

impl World {
    /// Nodes at 198.51.100.1, .2 and so on, 10 ms from each other.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            nodes: (0..nodes).map(|_| Node { next: 40_000, ..Node::default() }).collect(),
            server: Server::new(),
            delay: ms(10),
            lost: Box::new(|_, _, _| false),
            sent: vec![],
            asleep: None,
            strict: false,
            allocations: 0,
            timed_out: 0,
            polls: vec![],
            aliases: BTreeMap::new(),
            peers: BTreeMap::new(),
            signals: VecDeque::new(),
            signalling: Duration::ZERO,
            queue: BTreeMap::new(),
            count: 0,
        }
    }

    /// One port for all agents of a node.
    pub(crate) fn share(&mut self, node: usize) {
        let host = &mut self.nodes[node];
        let socket = host.open();
        host.shared = Some(socket);
        host.hub.share(socket);
    }

    pub(crate) fn config(role: Role, seed: u32) -> AgentConfig {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        AgentConfig::new(bytes, role)
    }

    pub(crate) fn add(&mut self, node: usize, config: AgentConfig) -> Id {
        let key = self.nodes[node].hub.insert(Agent::new(config).unwrap());
        self.drain(node);
        (node, key)
    }

    /// Two agents that are told about each other, and gather.
    pub(crate) fn pair(&mut self, nodes: [usize; 2], seed: u32) -> [Id; 2] {
        self.pair_with(nodes, seed, |config| config)
    }

    /// The same with other configurations.
    pub(crate) fn pair_with(
        &mut self,
        nodes: [usize; 2],
        seed: u32,
        change: impl Fn(AgentConfig) -> AgentConfig,
    ) -> [Id; 2] {
        let a = self.add(nodes[0], change(Self::config(Role::Controlling, seed * 2)));
        let b = self.add(nodes[1], change(Self::config(Role::Controlled, seed * 2 + 1)));
        self.introduce([a, b]);
        [a, b]
    }

    pub(crate) fn introduce(&mut self, [a, b]: [Id; 2]) {
        self.tell_parameters(b, a);
        self.tell_parameters(a, b);
        self.join([a, b]);
    }

    /// Gathers for two agents that know of each other, and carries their candidates.
    pub(crate) fn join(&mut self, [a, b]: [Id; 2]) {
        self.peers.extend([(a, b), (b, a)]);
        self.gather(a);
        self.gather(b);
    }

    /// Signalling between two agents is cut; what is said meanwhile is kept by whoever said it.
    pub(crate) fn part(&mut self, ids: [Id; 2]) {
        for id in ids {
            self.peers.remove(&id);
        }
        self.signals.clear();
    }

    /// Signalling is back: each tells its parameters where they are new, its candidates and their end.
    pub(crate) fn join_again(&mut self, [a, b]: [Id; 2]) {
        self.peers.extend([(a, b), (b, a)]);
        for id in [a, b] {
            let generation = self.agent(id).generation();
            let said = self.nodes[id.0].events_of(id.1).filter(|event| match event {
                Event::Restarted { generation: of }
                | Event::LocalCandidate { generation: of, .. }
                | Event::EndOfCandidates { generation: of, .. } => *of == generation,
                _ => false,
            });
            for event in said.cloned().collect::<Vec<_>>() {
                self.signal(id, &event);
            }
        }
    }

    /// Both tell again what candidates they have told: what one was told too early, it is told now.
    pub(crate) fn tell_candidates(&mut self, ids: [Id; 2]) {
        for id in ids {
            let said: Vec<_> = self.nodes[id.0].events_of(id.1).cloned().collect();
            for event in said.iter().filter(|event| matches!(event, Event::LocalCandidate { .. })) {
                self.signal(id, event);
            }
        }
        let until = self.now;
        self.run_until(until, |_| false);
    }

    /// A host gets another address and keeps the one it has.
    pub(crate) fn add_address(&mut self, id: Id, ip: &str) {
        self.change_address(id, ip, InterfaceFlags::NONE);
    }

    /// The same, and of the one it has this is told.
    pub(crate) fn change_address(&mut self, id: Id, ip: &str, old: InterfaceFlags) {
        let news = [(self::ip(id.0), "eth0", old), (ip.parse().unwrap(), "eth1", InterfaceFlags::NONE)];
        let interfaces = news.map(|(ip, name, flags)| Interface {
            name: name.into(),
            index: 1,
            ip,
            prefix_len: 24,
            flags: InterfaceFlags::UP | flags,
        });
        self.aliases.insert(interfaces[1].ip, id.0);
        self.command(id, |now, agent| agent.handle_interfaces(now, &interfaces));
    }

    /// A host has the address of this day besides those of the days before, which are deprecated.
    pub(crate) fn new_address_of_day(&mut self, id: Id, day: u8) {
        let of_day =
            |of: u8| if of == 0 { ip(id.0) } else { std::net::Ipv4Addr::new(198, 51, 100, 200 + of).into() };
        let interfaces: Vec<_> = (0..=day)
            .map(|of| Interface {
                name: "eth0".into(),
                index: 1,
                ip: of_day(of),
                prefix_len: 24,
                flags: InterfaceFlags::UP.with(InterfaceFlags::DEPRECATED, of < day),
            })
            .collect();
        self.aliases.insert(of_day(day), id.0);
        self.command(id, |now, agent| agent.handle_interfaces(now, &interfaces));
    }

    pub(crate) fn tell_parameters(&mut self, from: Id, to: Id) {
        let parameters = self.agent(from).local_parameters().clone();
        self.command(to, |now, agent| agent.set_remote_parameters(now, parameters).unwrap());
    }

    pub(crate) fn gather(&mut self, id: Id) {
        let interfaces = [Interface {
            name: "eth0".into(),
            index: 1,
            ip: ip(id.0),
            prefix_len: 24,
            flags: InterfaceFlags::UP,
        }];
        self.command(id, |now, agent| {
            agent.handle_interfaces(now, &interfaces);
            agent.gather(now);
        });
    }

    pub(crate) fn agent(&self, (node, key): Id) -> &Agent {
        self.nodes[node].hub.agent(key).unwrap()
    }

    pub(crate) fn command<T>(&mut self, (node, key): Id, act: impl FnOnce(Instant, &mut Agent) -> T) -> T {
        let result = act(self.now, self.nodes[node].hub.agent_mut(key).unwrap());
        self.drain(node);
        result
    }

    pub(crate) fn is_completed(&self, ids: &[Id]) -> bool {
        ids.iter().all(|id| self.agent(*id).state() == State::Completed)
    }

    #[track_caller]
    pub(crate) fn connect(&mut self, ids: &[Id], patience: Duration) {
        let limit = self.now.after(patience);
        let done = self.run_until(limit, |world| world.is_completed(ids));
        assert!(done, "{:?}", ids.iter().map(|id| self.agent(*id).state()).collect::<Vec<_>>());
    }

    /// Data by [`Agent::send`]; taken out of what the network carries at once.
    pub(crate) fn send(&mut self, id: Id, payload: &[u8]) -> bool {
        self.send_on(id, STREAM, COMPONENT, payload)
    }

    pub(crate) fn send_on(
        &mut self,
        id: Id,
        stream: StreamId,
        component: ComponentId,
        payload: &[u8],
    ) -> bool {
        let (mut buffer, now) = (vec![0; 2048], self.now);
        let agent = self.nodes[id.0].hub.agent_mut(id.1).unwrap();
        let sent = agent.send(now, stream, component, payload, &mut buffer);
        self.drain(id.0);
        let Ok(transmit) = sent else { return false };
        buffer.truncate(transmit.len);
        let from = SocketAddr::new(transmit.from.local_ip, self.nodes[id.0].ports[&transmit.from.socket]);
        self.carry(from, transmit.to.socket_addr(), buffer);
        true
    }

    /// Whether both can send to each other now.
    pub(crate) fn carries_data(&mut self, ids: [Id; 2]) -> [bool; 2] {
        let [a, b] = ids;
        [(a, b), (b, a)].map(|(from, to)| {
            let payload = format!("\u{80}{from:?} at {:?}", self.now).into_bytes();
            let sent = self.send(from, &payload);
            self.run_for(self.delay * 4);
            sent && self.nodes[to.0].data.iter().any(|(key, data)| *key == to.1 && *data == payload)
        })
    }

    pub(crate) fn carry(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if !(self.lost)(from, to, &bytes) {
            self.count += 1;
            self.queue.insert((self.now.after(self.delay), self.count), Packet { from, to, bytes });
        }
    }

    /// The socket of a node on a port.
    pub(crate) fn socket(&self, node: usize, port: u16) -> Option<SocketId> {
        Some(SocketId(port.into())).filter(|socket| self.nodes[node].ports.contains_key(socket))
    }

    /// An agent's first candidate.
    pub(crate) fn candidate(&self, (node, key): Id) -> Candidate {
        let candidate = self.nodes[node].events_of(key).find_map(|event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.clone()),
            _ => None,
        });
        candidate.unwrap()
    }

    /// The address that an agent's first host candidate has.
    pub(crate) fn host_address(&self, id: Id) -> SocketAddr {
        self.candidate(id).address.socket_addr()
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now.after(time);
        self.run_until(until, |_| false);
        self.now = until;
    }

    /// Lets time pass until the condition holds, which is asked after each thing that happens.
    pub(crate) fn run_until(&mut self, limit: Instant, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let (mut at, mut polls) = (self.now, 0);
        loop {
            while self.signals.front().is_some_and(|(at, ..)| *at <= self.now) {
                let (_, to, signal) = self.signals.pop_front().unwrap();
                self.hear(to, signal);
            }
            if condition(self) {
                return true;
            }
            let packet = self.queue.first_key_value().map(|((at, _), _)| *at);
            let awake = (0..self.nodes.len()).filter(|node| self.asleep != Some(*node));
            let timer = awake.filter_map(|node| self.nodes[node].deadline).min();
            let signal = self.signals.front().map(|(at, ..)| *at);
            let Some(next) =
                packet.into_iter().chain(timer).chain(signal).min().filter(|next| *next <= limit)
            else {
                return false;
            };
            self.now = next.max(self.now);
            polls = if self.now == at { polls + 1 } else { 0 };
            at = self.now;
            assert!(polls < MOST_POLLS, "a busy loop at {at:?}");
            // Input comes before timers at equal instants.
            if signal == Some(next) {
                continue;
            }
            if packet == Some(next) {
                let (_, packet) = self.queue.pop_first().unwrap();
                self.arrive(packet);
            } else {
                let mut nodes = 0..self.nodes.len();
                let due =
                    |node: &usize| self.nodes[*node].deadline == Some(next) && self.asleep != Some(*node);
                let node = nodes.find(due).unwrap();
                self.time_out(node);
            }
        }
    }

    fn time_out(&mut self, node: usize) {
        self.timed_out += 1;
        let (now, before) = (self.now, self.nodes[node].deadline);
        self.measured(|world| world.nodes[node].hub.handle_timeout(now));
        let outputs = self.drain(node);
        self.polls.push((now, outputs));
        if !self.strict {
            return;
        }
        let after = self.nodes[node].deadline;
        assert!(after != before || outputs > 0, "nothing was done at {now:?}");
        if let Some(deadline) = after.filter(|after| *after > now) {
            let early = Instant::from_nanos(deadline.as_nanos() - 1);
            self.nodes[node].hub.handle_timeout(early);
            assert_eq!(self.drain(node), 0, "something was due before {deadline:?}");
            assert_eq!(self.nodes[node].deadline, Some(deadline));
        }
    }

    fn arrive(&mut self, packet: Packet) {
        let Packet { from, to, mut bytes } = packet;
        let alias = self.aliases.get(&to.ip()).copied();
        let Some(node) = (0..self.nodes.len()).find(|node| ip(*node) == to.ip()).or(alias) else {
            if let Some((from, to, bytes)) = self.server.handle(from, to, &bytes) {
                self.carry(from, to, bytes);
            }
            return;
        };
        if let Some(socket) = self.socket(node, to.port()).filter(|_| self.asleep != Some(node)) {
            self.deliver_to(node, to.ip(), socket, from, &mut bytes);
        }
    }

    /// A datagram reaches a socket of a node now.
    pub(crate) fn deliver(&mut self, node: usize, socket: SocketId, from: SocketAddr, bytes: &mut [u8]) {
        self.deliver_to(node, ip(node), socket, from, bytes);
    }

    fn deliver_to(
        &mut self,
        node: usize,
        local_ip: IpAddr,
        socket: SocketId,
        from: SocketAddr,
        bytes: &mut [u8],
    ) {
        let source = TransportAddress::from(from);
        let now = self.now;
        let received = Received { socket, local_ip, source, ecn: Ecn::NotCapable, payload: bytes };
        let (key, handled) = self.measured(|world| world.nodes[node].hub.handle_datagram(now, received));
        let host = &mut self.nodes[node];
        match handled {
            Handled::Data { payload, .. } => host.data.push((key.unwrap(), payload.to_vec())),
            Handled::NotOurs(_) => host.unclaimed += 1,
            Handled::Dropped(reason) => host.dropped.push(reason),
            Handled::Taken => {}
        }
        self.drain(node);
    }

    fn measured<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let mut result = None;
        let info = allocation_counter::measure(|| result = Some(act(self)));
        self.allocations += info.count_total;
        result.unwrap()
    }

    /// Does what a hub wants done. Returns how many outputs there were.
    pub(crate) fn drain(&mut self, node: usize) -> usize {
        let mut buffer = vec![0; 2048];
        let mut outputs = 0;
        loop {
            outputs += 1;
            if let Some((key, transmit)) =
                self.measured(|world| world.nodes[node].hub.poll_transmit(&mut buffer))
            {
                let port = self.nodes[node].ports.get(&transmit.from.socket).copied();
                let from = SocketAddr::new(transmit.from.local_ip, port.expect("an open socket"));
                let (to, bytes) = (transmit.to.socket_addr(), buffer[..transmit.len].to_vec());
                let sent =
                    Sent { at: self.now, by: (node, key), kind: transmit.kind, to, bytes: bytes.clone() };
                self.sent.push(sent);
                self.carry(from, to, bytes);
            } else if let Some((key, request)) = self.measured(|world| world.nodes[node].hub.poll_request()) {
                self.serve(node, key, request);
            } else if let Some((key, event)) = self.measured(|world| world.nodes[node].hub.poll_event()) {
                self.signal((node, key), &event);
                self.nodes[node].events.push((key, event));
            } else if let Some((key, _, _, len)) =
                self.measured(|world| world.nodes[node].hub.poll_data(&mut buffer))
            {
                self.nodes[node].data.push((key, buffer[..len].to_vec()));
            } else {
                self.nodes[node].deadline = self.measured(|world| world.nodes[node].hub.poll_timeout());
                return outputs - 1;
            }
        }
    }

    fn serve(&mut self, node: usize, key: AgentKey, request: Request) {
        let (now, host) = (self.now, &mut self.nodes[node]);
        let (id, answer) = match request {
            Request::BindUdp { id, local, shareable } => {
                let socket = host.shared.filter(|_| shareable).unwrap_or_else(|| host.open());
                (id, Answer::Bound { socket, local: local.with_port(host.ports[&socket]) })
            }
            Request::Close { socket } => {
                if host.shared != Some(socket) {
                    host.ports.remove(&socket);
                }
                return;
            }
            other => (other.id().unwrap(), Answer::Failed(RequestFailure::Unsupported)),
        };
        assert!(host.hub.handle_answer(now, key, id, answer));
    }

    /// What an agent says is on its way to its peer.
    fn signal(&mut self, from: Id, event: &Event) {
        let Some(to) = self.peers.get(&from).copied() else { return };
        let agent = self.agent(from);
        let parameters = |generation| agent.parameters_of(generation);
        let signal = match event {
            Event::Restarted { generation } => {
                parameters(*generation).map(|new| Signal::Parameters(Box::new(new.clone())))
            }
            Event::LocalCandidate { stream, candidate, generation } => parameters(*generation).map(|of| {
                let line = CandidateLine::from(candidate).with_extension("ufrag", of.ufrag.as_str()).unwrap();
                Signal::Candidate(*stream, Box::new(line))
            }),
            Event::EndOfCandidates { stream, generation } => {
                parameters(*generation).map(|of| Signal::End(*stream, of.ufrag.clone()))
            }
            _ => None,
        };
        self.signals.extend(signal.map(|signal| (self.now.after(self.signalling), to, signal)));
    }

    /// What a peer has told arrives. Whoever is gone hears nothing.
    fn hear(&mut self, (node, key): Id, signal: Signal) {
        let now = self.now;
        let Some(agent) = self.nodes[node].hub.agent_mut(key) else { return };
        match signal {
            Signal::Parameters(parameters) => {
                let _ = agent.set_remote_parameters(now, *parameters);
            }
            Signal::Candidate(stream, line) => {
                let _ = agent.add_remote_candidate(now, stream, &line);
            }
            Signal::End(stream, ufrag) => {
                let _ = agent.remote_stream_complete(now, stream, Some(&ufrag));
            }
        }
        self.drain(node);
    }
}

impl Node {
    fn open(&mut self) -> SocketId {
        self.next += 1;
        let socket = SocketId(self.next.into());
        self.ports.insert(socket, self.next);
        socket
    }

    pub(crate) fn events_of(&self, key: AgentKey) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |(of, _)| *of == key).map(|(_, event)| event)
    }
}

/// The address of a node.
pub(crate) fn ip(node: usize) -> IpAddr {
    IpAddr::from([198, 51, 100, u8::try_from(node + 1).unwrap()])
}

/// An agent that asks the server of this network for a mapping and, by `turn:`, for an allocation.
pub(crate) fn asking(scheme: &str, mut config: AgentConfig) -> AgentConfig {
    let url = format!("{scheme}:{}", server::ADDRESS).parse().unwrap();
    config.gathering.servers = vec![floe_agent::Server::new(url, None)];
    config
}
