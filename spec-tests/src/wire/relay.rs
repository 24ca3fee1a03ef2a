//! Two agents and a TURN server between them: nothing but what the relay carries gets through.

use std::{cell::RefCell, rc::Rc, time::Duration};

use floe_agent::{
    AgentConfig, Event, Server as ServerEntry,
    pair::{CandidateType, Role, TransportAddress},
    stun::Instant,
    turn::Credentials,
};
use floe_sim::server::{PeerPolicy, Prefix, Server, ServerConfig, ServerRequest};

use super::{
    address, ms,
    world::{Datagram, Fate, Node, World},
};

/// Where the TURN server listens.
pub const SERVER: &str = "192.0.2.1:3478";

/// The server on the wire, shared with the test so that it can be looked at.
#[derive(Clone)]
pub struct OnWire(Rc<RefCell<Relays>>);

struct Relays {
    server: Server,
    open: Vec<TransportAddress>,
    port: u16,
}

impl Default for OnWire {
    fn default() -> Self {
        let listen = address(SERVER).socket_addr();
        let config = ServerConfig::new(vec![listen], vec![listen.ip()]);
        let mut config = config.with_user("ada", "correct horse");
        config.peers = PeerPolicy { allow: Prefix::DOCUMENTATION.to_vec(), ..PeerPolicy::default() };
        let server = Server::new(config, [5; 32]);
        Self(Rc::new(RefCell::new(Relays { server, open: Vec::new(), port: 50_000 })))
    }
}

impl OnWire {
    /// How many allocations there are.
    pub fn allocations(&self) -> usize {
        self.0.borrow().server.allocations()
    }

    /// The server takes this password of a user from now on, or knows the user no more.
    pub fn set_user(&self, name: &str, password: Option<&str>) {
        self.0.borrow_mut().server.set_user(name, password);
    }

    /// An ICMP error comes to the relay about what it sent to this peer.
    pub fn icmp(&self, now: Instant, peer: TransportAddress, kind: u8, code: u8) {
        let mut relays = self.0.borrow_mut();
        let relay = relays.open.first().expect("an allocation").socket_addr();
        relays.server.handle_icmp(now, relay, peer.socket_addr(), (kind, code, 0));
    }
}

impl Node for OnWire {
    fn owns(&self, at: TransportAddress) -> bool {
        at == address(SERVER) || self.0.borrow().open.contains(&at)
    }

    fn handle(&mut self, now: Instant, datagram: &Datagram) {
        let (to, from) = (datagram.to.socket_addr(), datagram.from.socket_addr());
        if datagram.to == address(SERVER) {
            self.0.borrow_mut().server.handle_datagram(now, to, from, &datagram.bytes);
        } else {
            self.0.borrow_mut().server.handle_relayed(now, to, from, &datagram.bytes);
        }
        self.open_relays(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.borrow_mut().server.handle_timeout(now);
        self.open_relays(now);
    }

    fn poll(&mut self) -> Option<(TransportAddress, TransportAddress, Vec<u8>)> {
        let sent = self.0.borrow_mut().server.poll_transmit()?;
        Some((sent.from.into(), sent.to.into(), sent.bytes))
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.borrow().server.poll_timeout()
    }
}

impl OnWire {
    fn open_relays(&self, now: Instant) {
        let Relays { server, open, port } = &mut *self.0.borrow_mut();
        while let Some(request) = server.poll_request() {
            match request {
                ServerRequest::OpenRelay { id, ip, .. } => {
                    let relay = TransportAddress::new(ip, *port);
                    *port += 1;
                    open.push(relay);
                    server.handle_relay_opened(now, id, Ok(relay.socket_addr()));
                }
                ServerRequest::CloseRelay { address } => {
                    open.retain(|known| known.socket_addr() != address);
                }
            }
        }
    }
}

/// The host addresses of the two sides.
pub const HOSTS: [&str; 2] = ["198.51.100.1", "203.0.113.1"];

/// Two agents, those with a server as said; no datagram gets from one host to the other. `change` is shown each
/// configuration.
pub fn relayed(
    servers: [bool; 2],
    rtt: Duration,
    mut change: impl FnMut(usize, &mut AgentConfig),
) -> (World, OnWire) {
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::with(roles, [&HOSTS[..1], &HOSTS[1..]], rtt, |index, config| {
        if servers[index] {
            let credentials = Credentials::new(b"ada", b"correct horse").expect("short");
            let url = format!("turn:{}", SERVER.replace(":3478", "")).parse().expect("a URI");
            config.gathering.servers = vec![ServerEntry::new(url, Some(credentials))];
        }
        change(index, config);
    });
    let server = OnWire::default();
    world.nodes.push(Box::new(server.clone()));
    let ips = HOSTS.map(|ip| ip.parse().expect("an IP address"));
    world.judge = Box::new(move |datagram| {
        let direct = [ips, [ips[1], ips[0]]].contains(&[datagram.from.ip(), datagram.to.ip()]);
        if direct { Fate::Lost } else { Fate::Arrives }
    });
    (world, server)
}

/// An agent with a relay on the left, one without on the right.
pub fn over_the_relay(rtt: u64) -> (World, OnWire) {
    relayed([true, false], ms(rtt), |_, _| {})
}

/// Runs until this side has its relayed candidate; its address.
#[track_caller]
pub fn gather_relay(world: &mut World, side: usize) -> TransportAddress {
    let relayed = |world: &World| {
        world.sides[side].events.iter().find_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } if candidate.kind == CandidateType::Relayed => {
                Some(candidate.address)
            }
            _ => None,
        })
    };
    let end = world.now.after(ms(5_000));
    world.run_until(end, |world| relayed(world).is_some());
    relayed(world).expect("a relayed candidate")
}
