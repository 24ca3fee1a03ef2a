//! Whatever comes, in whatever order: no panic, and every poll comes to an end.

use core::time::Duration;

use floe_agent::{
    Agent, AgentKey, Answer, Demultiplexing, Ecn, Handled, Hub, Interface, InterfaceFlags, Received, Request,
    RequestFailure, RequestId,
};
use floe_pair::{CandidateLine, ComponentId, Parameters, Role, SocketId, StreamId, TransportAddress};
use floe_stun::Instant;
use proptest::prelude::*;

use crate::{
    forge,
    server::{self, Server},
    world::{World, asking},
};

/// Outputs of one drain, far above what any single input may lead to.
const MOST_OUTPUTS: usize = 2_000;

#[derive(Clone, Debug)]
enum Bytes {
    Random(Vec<u8>),
    /// A datagram that an agent sent, with one byte changed or none.
    Echo {
        which: usize,
        change: Option<(usize, u8)>,
    },
    /// A check that is signed right, from anywhere.
    Check {
        agent: usize,
        id: u8,
    },
    Response {
        agent: usize,
        id: u8,
    },
    /// What the server says to a datagram an agent sent to it.
    Served {
        which: usize,
    },
}

#[derive(Clone, Debug)]
enum Step {
    Datagram {
        socket: u32,
        ip: u8,
        port: u16,
        bytes: Bytes,
    },
    Gather(usize),
    Interfaces(usize, Vec<u8>),
    Introduce(usize, usize),
    Candidate(usize, u16, String),
    Complete(usize),
    /// To a request that was made, or to none.
    Answer {
        which: usize,
        id: Option<u32>,
        kind: u8,
    },
    Send(usize, Vec<u8>, usize),
    Close(usize),
    Remove(usize),
    Insert(u32),
    /// The clock moves by so many milliseconds.
    Clock(i64),
    /// The clock moves to the deadline.
    Due,
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::Random),
        (any::<usize>(), prop::option::of((any::<usize>(), any::<u8>())))
            .prop_map(|(which, change)| Bytes::Echo { which, change }),
        (0..4_usize, any::<u8>()).prop_map(|(agent, id)| Bytes::Check { agent, id }),
        (0..4_usize, any::<u8>()).prop_map(|(agent, id)| Bytes::Response { agent, id }),
        any::<usize>().prop_map(|which| Bytes::Served { which }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0..4_usize;
    let line = prop_oneof![
        (1..30_u8, any::<u16>()).prop_map(|(host, port)| format!(
            "candidate:{host} 1 udp 9{host} 198.51.100.{host} {port} typ host"
        )),
        Just("candidate:1 1 udp 1 printer.local 9 typ host".to_owned()),
        Just("candidate:1 2 udp 1 192.0.2.9 9 typ host".to_owned()),
        Just("candidate:1 1 tcp 1 192.0.2.9 9 typ host tcptype active".to_owned()),
        Just("candidate:1 1 udp 1 255.255.255.255 9 typ host ufrag none".to_owned()),
    ];
    prop_oneof![
        12 => (0..6_u32, any::<u8>(), any::<u16>(), bytes())
            .prop_map(|(socket, ip, port, bytes)| Step::Datagram { socket, ip, port, bytes }),
        3 => agent.clone().prop_map(Step::Gather),
        3 => (agent.clone(), prop::collection::vec(1..5_u8, 0..4))
            .prop_map(|(agent, ips)| Step::Interfaces(agent, ips)),
        3 => (agent.clone(), agent.clone()).prop_map(|(a, b)| Step::Introduce(a, b)),
        3 => (agent.clone(), 0..2_u16, line).prop_map(|(agent, stream, line)| Step::Candidate(agent, stream, line)),
        1 => agent.clone().prop_map(Step::Complete),
        8 => (any::<usize>(), prop::option::weighted(0.1, any::<u32>()), any::<u8>())
            .prop_map(|(which, id, kind)| Step::Answer { which, id, kind }),
        2 => (agent.clone(), prop::collection::vec(any::<u8>(), 0..20), 0..100_usize)
            .prop_map(|(agent, payload, room)| Step::Send(agent, payload, room)),
        1 => agent.clone().prop_map(Step::Close),
        1 => agent.prop_map(Step::Remove),
        1 => any::<u32>().prop_map(Step::Insert),
        4 => prop_oneof![-500..2_000_i64, Just(-1_000_000_000), Just(40_000), Just(36_000_000)]
            .prop_map(Step::Clock),
        10 => Just(Step::Due),
    ]
}

/// A hub, whoever may be in it, and what it has said so far.
struct Hostile {
    hub: Hub,
    keys: Vec<AgentKey>,
    now: Instant,
    sent: Vec<(TransportAddress, Vec<u8>)>,
    requests: Vec<(AgentKey, Request)>,
    server: Server,
    buffer: Vec<u8>,
}

impl Hostile {
    fn new() -> Self {
        let mut hostile = Self {
            hub: Hub::new(),
            keys: vec![],
            now: Instant::from_millis(5_000),
            sent: vec![],
            requests: vec![],
            server: Server::new(),
            buffer: vec![0; 2_000],
        };
        hostile.hub.share(SocketId(0));
        for seed in 0..4 {
            hostile.insert(seed);
        }
        hostile
    }

    fn insert(&mut self, seed: u32) {
        let role = if seed.is_multiple_of(2) { Role::Controlling } else { Role::Controlled };
        let mut config = asking("turn", World::config(role, seed));
        if seed.is_multiple_of(3) {
            config.demultiplexing = Demultiplexing::AnyData;
        }
        self.keys.push(self.hub.insert(Agent::new(config).unwrap()));
    }

    fn key(&self, number: usize) -> AgentKey {
        self.keys[self.keys.len().saturating_sub(4) + number % 4]
    }

    fn parameters(&self, number: usize) -> Option<Parameters> {
        self.hub.agent(self.key(number)).map(|agent| agent.local_parameters().clone())
    }

    fn bytes(&mut self, bytes: Bytes) -> Vec<u8> {
        match bytes {
            Bytes::Random(bytes) => bytes,
            Bytes::Echo { which, change } => {
                let count = self.sent.len();
                let mut bytes = if count == 0 { vec![] } else { self.sent[which % count].1.clone() };
                let len = bytes.len();
                if let Some((at, value)) = change.filter(|_| len > 0) {
                    bytes[at % len] = value;
                }
                bytes
            }
            Bytes::Check { agent, id } => {
                let Some(own) = self.parameters(agent) else { return vec![] };
                let theirs = self.parameters(agent + 1);
                let theirs = theirs.map_or("none".to_owned(), |theirs| theirs.ufrag.as_str().to_owned());
                forge::check(&format!("{}:{theirs}", own.ufrag.as_str()), own.pwd.expose(), [id; 12])
            }
            Bytes::Response { agent, id } => {
                let Some(own) = self.parameters(agent) else { return vec![] };
                forge::response(own.pwd.expose(), [id; 12])
            }
            Bytes::Served { which } => {
                let served: Vec<_> = self.sent.iter().filter(|(to, _)| to.port() == 3478).collect();
                if served.is_empty() {
                    return vec![];
                }
                let (to, bytes) = served[which % served.len()].clone();
                let client = "198.51.100.1:40001".parse().unwrap();
                let answer = self.server.handle(client, to.socket_addr(), &bytes);
                answer.map(|(_, _, bytes)| bytes).unwrap_or_default()
            }
        }
    }

    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Datagram { socket, ip, port, bytes } => {
                let served = matches!(bytes, Bytes::Served { .. });
                let mut bytes = self.bytes(bytes);
                let stranger = TransportAddress::new([198, 51, 100, ip % 30].into(), port);
                let source = if served { server::ADDRESS.parse().unwrap() } else { stranger };
                let local_ip = [198, 51, 100, 1 + ip % 4].into();
                let received = Received {
                    socket: SocketId(socket),
                    local_ip,
                    source,
                    ecn: Ecn::from_bits(ip),
                    payload: &mut bytes,
                };
                let (key, handled) = self.hub.handle_datagram(now, received);
                assert!(key.is_some() || matches!(handled, Handled::NotOurs(_)));
            }
            Step::Answer { which, id, kind } => self.answer(which, id, kind),
            Step::Remove(agent) => {
                let key = self.key(agent);
                self.hub.remove(key);
            }
            Step::Insert(seed) => self.insert(seed),
            Step::Clock(by) => {
                let by_nanos = Duration::from_millis(by.unsigned_abs());
                self.now = if by < 0 {
                    Instant::from_nanos(
                        now.as_nanos().saturating_sub(by_nanos.as_nanos().try_into().unwrap()),
                    )
                } else {
                    now.after(by_nanos)
                };
                self.hub.handle_timeout(self.now);
            }
            Step::Due => {
                self.now = self.hub.poll_timeout().map_or(now, |at| at.max(now));
                self.hub.handle_timeout(self.now);
            }
            step => self.command(step),
        }
    }

    fn command(&mut self, step: Step) {
        let now = self.now;
        let (Step::Gather(agent)
        | Step::Complete(agent)
        | Step::Close(agent)
        | Step::Interfaces(agent, _)
        | Step::Introduce(agent, _)
        | Step::Candidate(agent, _, _)
        | Step::Send(agent, _, _)) = &step
        else {
            return;
        };
        let (key, mut buffer) = (self.key(*agent), self.buffer.clone());
        let other = if let Step::Introduce(_, other) = &step { self.parameters(*other) } else { None };
        let Some(agent) = self.hub.agent_mut(key) else { return };
        match step {
            Step::Gather(_) => agent.gather(now),
            Step::Complete(_) => agent.remote_gathering_complete(now),
            Step::Close(_) => agent.close(now),
            Step::Interfaces(_, ips) => agent.handle_interfaces(now, &interfaces(&ips)),
            Step::Introduce(..) => {
                let _ = other.map(|other| agent.set_remote_parameters(now, other));
            }
            Step::Candidate(_, stream, line) => {
                let line: CandidateLine = line
                    .parse()
                    .unwrap_or_else(|_| "candidate:1 1 udp 1 192.0.2.8 9 typ host".parse().unwrap());
                let _ = agent.add_remote_candidate(now, StreamId(stream), &line);
            }
            Step::Send(_, payload, room) => {
                let _ = agent.send(now, StreamId(0), ComponentId::RTP, &payload, &mut buffer[..room]);
            }
            _ => {}
        }
    }

    fn answer(&mut self, which: usize, id: Option<u32>, kind: u8) {
        if self.requests.is_empty() {
            return;
        }
        let (key, request) = self.requests[which % self.requests.len()].clone();
        let local = match &request {
            Request::BindUdp { local, .. } => *local,
            _ => "198.51.100.1:0".parse().unwrap(),
        };
        let Some(id) = id.map(RequestId).or_else(|| request.id()) else { return };
        let socket = SocketId(u32::from(kind % 6));
        let answer = match kind % 8 {
            0 => Answer::Failed(RequestFailure::AddressInUse),
            1 => Answer::Resolved(vec![[203, 0, 113, 1].into(), [0, 0, 0, 0].into()]),
            2 => Answer::Connected { socket, local },
            3 => Answer::Bound { socket, local },
            _ => Answer::Bound { socket, local: local.with_port(40_000 + u16::from(kind)) },
        };
        self.hub.handle_answer(self.now, key, id, answer);
    }

    fn drain(&mut self) {
        for _ in 0..MOST_OUTPUTS {
            if let Some((_, transmit)) = self.hub.poll_transmit(&mut self.buffer) {
                let bytes = self.buffer[..transmit.len].to_vec();
                if self.sent.len() < 300 {
                    self.sent.push((transmit.to, bytes));
                }
            } else if let Some((key, request)) = self.hub.poll_request() {
                self.requests.push((key, request));
            } else if self.hub.poll_event().is_none() && self.hub.poll_data(&mut self.buffer).is_none() {
                return;
            }
        }
        panic!("an input led to more than {MOST_OUTPUTS} outputs");
    }

    /// The rest of the session: time moves on, or somebody is in a loop.
    fn wind_down(&mut self) {
        let (mut at, mut polls) = (self.now, 0);
        for _ in 0..400 {
            let Some(deadline) = self.hub.poll_timeout() else { return };
            self.now = deadline.max(self.now);
            polls = if self.now == at { polls + 1 } else { 0 };
            at = self.now;
            assert!(polls < 50, "a busy loop");
            self.hub.handle_timeout(self.now);
            self.drain();
        }
    }
}

fn interfaces(ips: &[u8]) -> Vec<Interface> {
    let interface = |ip: &u8| Interface {
        name: "eth0".into(),
        index: 1,
        ip: [198, 51, 100, *ip].into(),
        prefix_len: 24,
        flags: InterfaceFlags::UP,
    };
    ips.iter().map(interface).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn p37_t38_no_input_panics_and_every_poll_ends(steps in prop::collection::vec(step(), 1..250)) {
        let mut hostile = Hostile::new();
        for step in steps {
            hostile.take(step);
            hostile.drain();
        }
        hostile.wind_down();
    }
}
