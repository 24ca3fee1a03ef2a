//! Two agents, and a wire between them on a virtual clock.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use floe_agent::{
    AgentConfig, Dscp, Event, State, TransmitKind,
    pair::{CandidateLine, Place, Role, TransportAddress},
    stun::Instant,
};

use super::{
    at,
    bench::{Arrival, Bench, Sent},
};

/// A datagram on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// When it was sent.
    pub at: Instant,
    /// The address it shows.
    pub from: TransportAddress,
    /// Where it goes.
    pub to: TransportAddress,
    /// The whole of it.
    pub bytes: Vec<u8>,
    /// What its sender said it was for; `None` where no agent sent it.
    pub kind: Option<TransmitKind>,
    /// How its sender wants it marked.
    pub dscp: Dscp,
}

/// What the wire does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives after the delay of the wire.
    Arrives,
    /// It arrives this much later than that.
    Late(Duration),
    /// It is lost.
    Lost,
}

/// Something else on the wire: a server, an attacker.
pub trait Node {
    /// Whether this address is one of its own.
    fn owns(&self, address: TransportAddress) -> bool;
    /// A datagram has arrived.
    fn handle(&mut self, now: Instant, datagram: &Datagram);
    /// The time has come that was asked for.
    fn handle_timeout(&mut self, now: Instant);
    /// The next datagram to send: from, to, bytes.
    fn poll(&mut self) -> Option<(TransportAddress, TransportAddress, Vec<u8>)>;
    /// When it wants to be called.
    fn deadline(&self) -> Option<Instant>;
}

#[derive(PartialEq, Eq)]
struct Due {
    at: Instant,
    order: u64,
    datagram: Datagram,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

type Judge = dyn FnMut(&Datagram) -> Fate;

/// Two agents, what stands between them, and all that was ever sent.
pub struct World {
    /// The time.
    pub now: Instant,
    /// The agents.
    pub sides: [Bench; 2],
    /// How long a datagram takes.
    pub delay: Duration,
    /// What becomes of each datagram.
    pub judge: Box<Judge>,
    /// What else is on the wire.
    pub nodes: Vec<Box<dyn Node>>,
    /// The address that a socket shows, where it is not its own: a NAT that lets everything in.
    pub outside: Vec<(TransportAddress, TransportAddress)>,
    /// All datagrams, in the order in which they were sent.
    pub log: Vec<Datagram>,
    wire: BinaryHeap<Reverse<Due>>,
    order: u64,
}

impl World {
    /// Two agents with these host addresses; the first is controlling. Each round trip takes `rtt`.
    pub fn new(hosts: [&[&str]; 2], rtt: Duration) -> Self {
        Self::with([Role::Controlling, Role::Controlled], hosts, rtt, |_, _| {})
    }

    /// Two agents in these roles. `change` is shown the configuration of each.
    pub fn with(
        roles: [Role; 2],
        hosts: [&[&str]; 2],
        rtt: Duration,
        mut change: impl FnMut(usize, &mut AgentConfig),
    ) -> Self {
        let mut bench = |index: usize, seed: u8| {
            let mut config = AgentConfig::new([seed; 32], roles[index]);
            change(index, &mut config);
            Bench::with(config)
        };
        let mut world = Self {
            now: at(0),
            sides: [bench(0, 1), bench(1, 2)],
            delay: rtt / 2,
            judge: Box::new(|_| Fate::Arrives),
            nodes: Vec::new(),
            outside: Vec::new(),
            log: Vec::new(),
            wire: BinaryHeap::new(),
            order: 0,
        };
        for (index, hosts) in hosts.into_iter().enumerate() {
            world.gather(index, hosts);
        }
        world
    }

    /// Tells a side the addresses its host has from now on, each an interface, and has it gather. What it sends goes on
    /// the wire: servers may be asked at once, and an address that went may be told of.
    pub fn gather(&mut self, side: usize, hosts: &[&str]) {
        self.sides[side].now = self.now;
        let sent = self.sides[side].gather(hosts);
        self.put(sent);
    }

    /// Tells each side the other's parameters, and all candidates it has told of so far.
    pub fn introduce(&mut self) {
        for index in 0..2 {
            self.tell_parameters(index);
        }
        for index in 0..2 {
            self.tell_candidates(index);
        }
    }

    /// Tells a side the other's parameters.
    pub fn tell_parameters(&mut self, to: usize) {
        let theirs = self.sides[1 - to].agent.local_parameters().clone();
        self.sides[to].now = self.now;
        self.sides[to].agent.set_remote_parameters(self.now, theirs).expect("in time");
        self.collect(to);
    }

    /// Tells a side the candidates that the other has told of so far, of its newest generation.
    pub fn tell_candidates(&mut self, to: usize) {
        let newest = self.sides[1 - to].agent.generation();
        let told: Vec<_> = self.sides[1 - to]
            .events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::LocalCandidate { stream, candidate, generation } if *generation == newest => {
                    Some((*stream, CandidateLine::from(candidate)))
                }
                _ => None,
            })
            .collect();
        self.sides[to].now = self.now;
        for (stream, line) in told {
            let _ = self.sides[to].agent.add_remote_candidate(self.now, stream, &line).expect("in time");
        }
        self.collect(to);
    }

    /// Tells both sides that the other has no more candidates.
    pub fn complete_gathering(&mut self) {
        for index in 0..2 {
            self.sides[index].agent.remote_gathering_complete(self.now);
            self.collect(index);
        }
    }

    /// Runs until the instant, or until `done`; whether that came.
    #[track_caller]
    pub fn run_until(&mut self, end: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        for _ in 0..3_000_000 {
            if done(self) {
                return true;
            }
            let Some(next) = self.next_instant().filter(|next| *next <= end) else {
                self.now = self.now.max(end);
                return done(self);
            };
            self.now = self.now.max(next);
            self.deliver();
            for index in 0..2 {
                let side = &mut self.sides[index];
                side.now = self.now;
                side.agent.handle_timeout(self.now, &mut side.pacer);
                self.collect(index);
            }
            for index in 0..self.nodes.len() {
                if self.nodes[index].deadline().is_some_and(|at| at <= self.now) {
                    self.nodes[index].handle_timeout(self.now);
                }
                self.collect_node(index);
            }
        }
        panic!("the agents never rest; it is {:?}", self.now);
    }

    /// Runs for a time.
    #[track_caller]
    pub fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        self.run_until(end, |_| false);
    }

    /// Runs until both sides have a selected pair for each component; whether they have.
    #[track_caller]
    pub fn run_to_selection(&mut self, patience: Duration) -> bool {
        let end = self.now.after(patience);
        self.run_until(end, Self::is_completed)
    }

    /// Whether both sides have a selected pair for each component.
    pub fn is_completed(&self) -> bool {
        self.sides.iter().all(|side| side.agent.state() == State::Completed)
    }

    /// Puts a datagram on the wire that no agent has sent.
    pub fn inject(&mut self, from: TransportAddress, to: TransportAddress, bytes: Vec<u8>) {
        let dscp = Dscp::BEST_EFFORT;
        self.put_datagram(Datagram { at: self.now, from, to, bytes, kind: None, dscp });
    }

    /// Hands a datagram to whom it is for at once: its sender is nearer than the other side.
    pub fn rush(&mut self, from: TransportAddress, to: TransportAddress, bytes: Vec<u8>) {
        let usual = std::mem::take(&mut self.delay);
        self.inject(from, to, bytes);
        self.delay = usual;
    }

    /// Sends data from a side; whether the agent let it.
    pub fn send(&mut self, from: usize, payload: &[u8]) -> bool {
        let side = &mut self.sides[from];
        let mut buffer = [0; 2048];
        let sent = side.agent.send(self.now, super::STREAM, super::RTP, payload, &mut buffer);
        let Ok(transmit) = sent else { return false };
        let bytes = buffer[..transmit.len].to_vec();
        self.put(vec![Sent {
            at: self.now,
            from: transmit.from,
            to: transmit.to,
            kind: transmit.kind,
            dscp: transmit.dscp,
            bytes,
        }]);
        true
    }

    /// Both sides hold the same pair, seen from its two ends, and one of them is controlling.
    #[track_caller]
    pub fn assert_agreed(&self) {
        let pair = |index: usize| {
            self.sides[index].agent.selected(super::STREAM, super::RTP).expect("a selected pair")
        };
        let (left, right) = (pair(0), pair(1));
        assert_eq!((left.local.address, left.remote), (right.remote, right.local.address));
        assert_ne!(self.sides[0].agent.role(), self.sides[1].agent.role(), "exactly one is controlling");
    }

    /// When an event first came to a side.
    pub fn first(&self, side: usize, wanted: impl Fn(&Event) -> bool) -> Option<Instant> {
        self.sides[side].first(wanted)
    }

    /// What was sent to an address.
    pub fn sent_to(&self, to: TransportAddress) -> impl Iterator<Item = &Datagram> {
        self.log.iter().filter(move |datagram| datagram.to == to)
    }

    fn next_instant(&self) -> Option<Instant> {
        let wire = self.wire.peek().map(|Reverse(due)| due.at);
        let sides = self.sides.iter().filter_map(|side| side.agent.poll_timeout());
        let nodes = self.nodes.iter().filter_map(|node| node.deadline());
        wire.into_iter().chain(sides).chain(nodes).min()
    }

    /// Takes what a side wants to send.
    pub fn collect(&mut self, index: usize) {
        self.sides[index].now = self.now;
        let sent = self.sides[index].drain();
        self.put(sent);
    }

    fn collect_node(&mut self, index: usize) {
        while let Some((from, to, bytes)) = self.nodes[index].poll() {
            self.inject(from, to, bytes);
        }
    }

    fn put(&mut self, sent: Vec<Sent>) {
        for Sent { from, to, bytes, kind, dscp, .. } in sent {
            let Some(own) = self.address_of(from) else { continue };
            let seen = self.outside.iter().find(|(inside, _)| *inside == own);
            let from = seen.map_or(own, |(_, outside)| *outside);
            self.put_datagram(Datagram { at: self.now, from, to, bytes, kind: Some(kind), dscp });
        }
    }

    fn put_datagram(&mut self, datagram: Datagram) {
        let wait = match (self.judge)(&datagram) {
            Fate::Arrives => Some(self.delay),
            Fate::Late(more) => Some(self.delay + more),
            Fate::Lost => None,
        };
        self.log.push(datagram.clone());
        if let Some(wait) = wait {
            self.order += 1;
            self.wire.push(Reverse(Due { at: self.now.after(wait), order: self.order, datagram }));
        }
    }

    fn address_of(&self, place: Place) -> Option<TransportAddress> {
        let fits =
            |(socket, at): &&(_, TransportAddress)| *socket == place.socket && at.ip() == place.local_ip;
        self.sides.iter().flat_map(|side| &side.sockets).find(fits).map(|(_, at)| *at)
    }

    fn deliver(&mut self) {
        while self.wire.peek().is_some_and(|Reverse(due)| due.at <= self.now) {
            let Some(Reverse(Due { datagram, .. })) = self.wire.pop() else { break };
            let inside = self.outside.iter().find(|(_, outside)| *outside == datagram.to);
            let to = inside.map_or(datagram.to, |(inside, _)| *inside);
            let side = (0..2).find(|index| self.sides[*index].sockets.iter().any(|(_, at)| *at == to));
            if let Some(index) = side {
                let side = &mut self.sides[index];
                side.now = self.now;
                let place = side.sockets.iter().position(|(_, at)| *at == to).unwrap_or_default();
                if let Arrival::Data(stream, component, payload) =
                    side.receive(place, datagram.from, &datagram.bytes)
                {
                    side.data.push((stream, component, payload));
                }
                self.collect(index);
            } else if let Some(index) = self.nodes.iter().position(|node| node.owns(to)) {
                self.nodes[index].handle(self.now, &datagram);
                self.collect_node(index);
            }
        }
    }
}
