//! Two agents on a virtual network.

mod bare;
mod connecting;
mod network;

use core::time::Duration;
use std::net::IpAddr;

use floe_agent::{
    AgentConfig, Policy, Server as ServerEntry,
    pair::{CandidateType, Role},
    turn::Credentials,
};

use super::*;
use crate::server::{PeerPolicy, Prefix, ServerConfig};

const STREAM: StreamId = StreamId(0);
const COMPONENT: ComponentId = ComponentId::RTP;
const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What stands between an agent and the public address space.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// Nothing.
    Open,
    /// A NAT with this mapping and this filtering.
    Behind(Dependence, Dependence),
}

/// How a test's two agents are placed.
#[derive(Clone, Copy, Debug)]
struct Setup {
    seed: u8,
    places: [Place; 2],
    /// One way, from each host to the public address space.
    delay: Duration,
    /// On each host's link.
    loss: Probability,
    servers: bool,
    policy: Policy,
}

impl Setup {
    fn new(places: [Place; 2]) -> Self {
        Self { seed: 1, places, delay: ms(10), loss: Probability::NEVER, servers: true, policy: Policy::All }
    }
}

/// A network with a server at 192.0.2.1, and two agents.
struct World {
    network: Network,
    server: ServerId,
    session: Session,
}

impl World {
    fn new(setup: Setup) -> Self {
        let mut network = Network::new([setup.seed; 32]);
        let server_ip = ip("192.0.2.1");
        let mut config = ServerConfig::new(vec![SocketAddr::new(server_ip, 3478)], vec![server_ip]);
        config = config.with_user("ada", "correct horse");
        config.peers = PeerPolicy { allow: Prefix::DOCUMENTATION.to_vec(), ..PeerPolicy::default() };
        let server = network.add_server(RealmId::PUBLIC, config, Link::delay(ms(1))).unwrap();
        let link = Link::delay(setup.delay).with_loss(setup.loss);
        let mut agents = Vec::new();
        for (number, place) in (1_u8..).zip(setup.places) {
            let address = match place {
                Place::Open => HostAddress::new(RealmId::PUBLIC, IpAddr::from([198, 51, 100, number]), link),
                Place::Behind(mapping, filtering) => {
                    let nat = NatConfig::new(IpAddr::from([203, 0, 113, number]), mapping, filtering);
                    let realm = network.add_nat(nat).unwrap();
                    HostAddress::new(realm, IpAddr::from([10, number, 0, 2]), link)
                }
            };
            let host = network.add_host(&[address]).unwrap();
            let role = if number == 1 { Role::Controlling } else { Role::Controlled };
            let mut config = AgentConfig::new(network.draw_seed(), role);
            config.gathering.policy = setup.policy;
            if setup.servers {
                config.gathering.servers = vec![turn_server("turn:192.0.2.1")];
            }
            agents.push(network.add_agent(host, config).unwrap());
        }
        let session = Session::new(&mut network, agents[0], agents[1], ms(20));
        Self { network, server, session }
    }

    fn start(setup: Setup) -> Self {
        let mut world = Self::new(setup);
        world.network.keep_story(2_000);
        world.session.start(&mut world.network);
        world
    }

    fn run_until_completed(&mut self) -> Ended {
        let session = self.session;
        self.network.run_until(|network| session.is_completed(network), self.network.now().after(ms(60_000)))
    }

    /// Connects, or fails with the story of every datagram.
    #[track_caller]
    fn connected(setup: Setup) -> Self {
        let mut world = Self::start(setup);
        let ended = world.run_until_completed();
        if ended != Ended::Met {
            for entry in world.network.trace().story() {
                eprintln!("{entry}");
            }
            panic!("{setup:?} ended {ended:?} in states {:?}", world.session.states(&world.network));
        }
        world
    }

    fn selected_types(&self) -> [[CandidateType; 2]; 2] {
        [self.session.a, self.session.b].map(|id| {
            let pair = self.network.agent(id).unwrap().selected(STREAM, COMPONENT).unwrap();
            [pair.local.kind, pair.remote_candidate.kind]
        })
    }

    #[track_caller]
    fn assert_carries_data(&mut self) {
        let session = self.session;
        assert_eq!(session.carries_data(&mut self.network, STREAM, COMPONENT, ms(500)), [true, true]);
    }

    /// What one side sends to is the local candidate of the other.
    #[track_caller]
    fn assert_same_pair(&self) {
        let pair = |id| self.network.agent(id).unwrap().selected(STREAM, COMPONENT).unwrap();
        let (a, b) = (pair(self.session.a), pair(self.session.b));
        assert_eq!((a.remote, b.remote), (b.local.address, a.local.address));
    }

    fn candidate_types(&self, id: AgentId) -> Vec<CandidateType> {
        let candidate = |(_, event): &(Instant, Event)| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.kind),
            _ => None,
        };
        self.network.events(id).filter_map(candidate).collect()
    }
}

fn turn_server(url: &str) -> ServerEntry {
    ServerEntry::new(url.parse().unwrap(), Some(Credentials::new(b"ada", b"correct horse").unwrap()))
}

/// An agent that does nothing.
pub(super) fn idle_agent() -> Agent {
    Agent::new(AgentConfig::new([1; 32], Role::Controlling)).unwrap()
}
