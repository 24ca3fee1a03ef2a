//! A scenario becomes a network.
//!
//! Addresses: servers have 192.0.2.n and `2001:db8::n`, public interfaces 198.51.100.n and `2001:db8:5::n`, gates
//! 203.0.113.n outside and 10.n.0.0/16, `fd00:n::/48` or `2001:db8:n::/48` inside.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use floe_agent::{
    AgentConfig, Demultiplexing, Policy, Server as ServerEntry,
    pair::{ComponentId, StreamId},
    turn::{Credentials, uri::Uri},
};

use super::{Gate, GateKind, Happening, Mood, Scenario, Side};
use crate::{
    net::{
        Admits, AgentId, BuildError, Dependence, FirewallConfig, HostAddress, HostId, Intruder, Link,
        NatConfig, Network, PrefixConfig, RealmId, ServerId, Session, Trickle,
    },
    server::{FaultKind, Faults, PeerPolicy, Prefix, ServerConfig},
};

/// User and password of every server.
const USER: (&str, &str) = ("ada", "correct horse");
const STUN_PORT: u16 = 3478;

/// A scenario at work.
#[derive(Debug)]
pub(super) struct World {
    pub(super) network: Network,
    pub(super) agents: [AgentId; 2],
    pub(super) session: Session,
    pub(super) servers: Vec<ServerId>,
    /// The network behind each gate.
    inner: Vec<RealmId>,
}

/// Numbers of gates, servers and interfaces in addresses begin with 1.
fn number(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX - 1).saturating_add(1)
}

fn v6(segments: [u16; 3], last: u16) -> IpAddr {
    let [a, b, c] = segments;
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, last).into()
}

fn network_of(base: IpAddr, bits: u8) -> Prefix {
    Prefix::new(base, bits).unwrap_or(Prefix::everything(base.is_ipv4()))
}

/// Where each server listens.
pub(super) fn server_address(index: usize, ipv6: bool) -> SocketAddr {
    let ip = if ipv6 {
        v6([0x2001, 0xdb8, 0], u16::from(number(index)))
    } else {
        IpAddr::from([192, 0, 2, number(index)])
    };
    SocketAddr::new(ip, STUN_PORT)
}

fn faults(mood: Mood) -> Faults {
    match mood {
        Mood::Strict => Faults::default(),
        Mood::Dead => Faults::always(FaultKind::Silence),
        Mood::Slow => Faults::always(FaultKind::Delay(core::time::Duration::from_secs(2))),
        Mood::Garbage => Faults::always(FaultKind::Noise),
    }
}

impl World {
    /// `adjust` sees the configuration of each side's agent before it is made.
    pub(super) fn new(
        scenario: &Scenario,
        seed: u64,
        mut adjust: impl FnMut(usize, &mut AgentConfig),
    ) -> Result<Self, BuildError> {
        let mut network = Network::new(expand(seed));
        network.set_weather(RealmId::PUBLIC, scenario.weather);
        let mut inner = Vec::new();
        for (index, gate) in scenario.gates.iter().enumerate() {
            let realm = add_gate(&mut network, &inner, index, gate)?;
            inner.push(realm);
        }
        let mut servers = Vec::new();
        for (index, mood) in scenario.servers.iter().enumerate() {
            let config = server_config(index, *mood);
            servers.push(network.add_server(RealmId::PUBLIC, config, Link::default())?);
        }
        for intruder in &scenario.intruders {
            network.add_intruder(Intruder {
                realm: RealmId::PUBLIC,
                intrusion: intruder.intrusion,
                chance: intruder.chance,
                delay: intruder.delay,
            });
        }
        let mut islands = Vec::new();
        let [first, second] = &scenario.sides;
        let one = add_host(&mut network, scenario, (1, first), &inner, &mut islands)?;
        let other = add_host(&mut network, scenario, (2, second), &inner, &mut islands)?;
        let mut add_agent = |index, side, host| {
            let mut config = agent_config(scenario, side, network.draw_seed());
            adjust(index, &mut config);
            network.add_agent(host, config)
        };
        let (a, b) = (add_agent(0, first, one)?, add_agent(1, second, other)?);
        let session = Session::new(&mut network, a, b, scenario.signalling.delay);
        for (side, id) in [a, b].into_iter().enumerate() {
            session.set_trickle(&mut network, id, scenario.trickle_of(side));
        }
        Ok(Self { network, agents: [a, b], session, servers, inner })
    }

    pub(super) fn apply(&mut self, event: Happening) {
        match event {
            Happening::Rebind { gate } => {
                if let Some(realm) = self.inner.get(gate) {
                    let address = IpAddr::from([203, 0, 113, number(gate).saturating_add(100)]);
                    self.network.rebind(*realm, Some(address));
                }
            }
            Happening::Weather(way) => self.network.set_weather(RealmId::PUBLIC, way),
            Happening::Server { server, mood } => {
                let server = self.servers.get(server).and_then(|id| self.network.server_mut(*id));
                if let Some(server) = server {
                    server.set_faults(faults(mood));
                }
            }
            Happening::Restart { side } => {
                if let Some(id) = self.agents.get(side) {
                    self.session.restart(&mut self.network, *id);
                }
            }
        }
    }
}

/// A seed of 32 bytes from a number that people can type.
fn expand(seed: u64) -> [u8; 32] {
    let mut bytes = *b"floe-sim seed of one session ...";
    for (place, byte) in bytes.iter_mut().zip(seed.to_le_bytes()) {
        *place = byte;
    }
    bytes
}

fn add_gate(
    network: &mut Network,
    inner: &[RealmId],
    index: usize,
    gate: &Gate,
) -> Result<RealmId, BuildError> {
    let behind = |gate: Option<usize>| gate.and_then(|gate| inner.get(gate)).copied();
    let outer = behind(gate.outer).unwrap_or(RealmId::PUBLIC);
    let realm = behind(gate.beside).unwrap_or_else(|| network.add_realm());
    let own = number(index);
    let address = match gate.outer {
        None => IpAddr::from([203, 0, 113, own]),
        Some(gate) => IpAddr::from([10, number(gate), 1, own]),
    };
    let private = network_of(IpAddr::from([10, own, 0, 0]), 16);
    let public = network_of(v6([0x2001, 0xdb8, u16::from(own)], 0), 48);
    match gate.kind {
        GateKind::Nat { mapping, filtering, ports, hairpinning, lifetime, refresh } => {
            let mut config = NatConfig::new(address, mapping, filtering);
            (config.outer, config.ports, config.hairpinning) = (outer, ports, hairpinning);
            (config.lifetime, config.refresh) = (lifetime, refresh);
            network.add_gate(realm, config)?;
        }
        GateKind::Nat64 { filtering } => {
            let mut config = NatConfig::new(address, Dependence::EndpointIndependent, filtering);
            (config.outer, config.nat64) = (outer, Some(NatConfig::WELL_KNOWN_64));
            network.add_gate(realm, config)?;
        }
        GateKind::Prefix => {
            let inside = network_of(v6([0xfd00, u16::from(own), 0], 0), 48);
            let mut config = PrefixConfig::new(inside, public);
            config.outer = outer;
            network.add_gate(realm, config)?;
        }
        GateKind::Firewall { filtering, icmp } => {
            let four = network_of(IpAddr::from([198, 18, own, 0]), 24);
            let mut config = FirewallConfig::new(vec![four, public], Admits::Answers(filtering));
            (config.outer, config.icmp) = (outer, icmp);
            network.add_gate(realm, config)?;
        }
        GateKind::UdpBlocked => {
            let mut config = FirewallConfig::new(vec![private, public], Admits::Nothing { tell: false });
            config.outer = outer;
            network.add_gate(realm, config)?;
        }
    }
    Ok(realm)
}

fn server_config(index: usize, mood: Mood) -> ServerConfig {
    let listen = vec![server_address(index, false), server_address(index, true)];
    let relays = listen.iter().map(SocketAddr::ip).collect();
    let mut config = ServerConfig::new(listen, relays).with_user(USER.0, USER.1);
    let mut allow = Prefix::DOCUMENTATION.to_vec();
    allow.push(network_of(IpAddr::from([198, 18, 0, 0]), 15));
    config.peers = PeerPolicy { allow, ..PeerPolicy::default() };
    config.faults = faults(mood);
    config
}

/// The host of side `own`, which is 1 or 2.
fn add_host(
    network: &mut Network,
    scenario: &Scenario,
    (own, side): (u8, &Side),
    inner: &[RealmId],
    islands: &mut Vec<(u8, RealmId)>,
) -> Result<HostId, BuildError> {
    let mut addresses = Vec::new();
    for (place, interface) in side.interfaces.iter().enumerate() {
        // Two sides may share a network: their hosts have different numbers in it.
        let host = own.saturating_add(number(place).saturating_mul(2));
        let six = u16::from(host);
        let gate = interface.gate.and_then(|gate| Some((gate, *inner.get(gate)?, scenario.gates.get(gate)?)));
        let (realm, ip) = match (interface.island, gate) {
            (Some(island), _) => {
                let known = islands.iter().find(|(number, _)| *number == island).map(|(_, realm)| *realm);
                let realm = known.unwrap_or_else(|| network.add_realm());
                islands.push((island, realm));
                (realm, IpAddr::from([172, 16, island, host]))
            }
            (None, None) if interface.ipv6 => (RealmId::PUBLIC, v6([0x2001, 0xdb8, 5], six)),
            (None, None) => (RealmId::PUBLIC, IpAddr::from([198, 51, 100, host])),
            (None, Some((index, realm, gate))) => {
                let home = gate.beside.filter(|_| !interface.ipv6).unwrap_or(index);
                let number = number(home);
                let ip = match (gate.kind, interface.ipv6) {
                    (GateKind::Firewall { .. }, false) => IpAddr::from([198, 18, number, host]),
                    (_, false) => IpAddr::from([10, number, 0, host]),
                    (GateKind::Prefix, true) => v6([0xfd00, u16::from(number), 0], six),
                    (_, true) => v6([0x2001, 0xdb8, u16::from(number)], six),
                };
                (realm, ip)
            }
        };
        addresses.push(HostAddress::new(realm, ip, interface.link));
    }
    network.add_host(&addresses)
}

pub(super) fn agent_config(scenario: &Scenario, side: &Side, seed: [u8; 32]) -> AgentConfig {
    let mut config = AgentConfig::new(seed, side.role);
    let components: Vec<ComponentId> = (1..=scenario.components).filter_map(ComponentId::new).collect();
    config.streams = (0..scenario.streams).map(|stream| (StreamId(stream), components.clone())).collect();
    config.checks.ta = side.ta;
    config.gathering.ta = side.ta;
    config.trickle = side.trickle.map_or(scenario.signalling.trickle, |trickle| trickle != Trickle::None);
    (config.lite, config.renomination) = (side.lite, side.renomination);
    if let Some(consent) = &mut config.checks.consent {
        consent.suspend = side.suspend;
    }
    config.demultiplexing = Demultiplexing::AnyData;
    config.gathering.policy = if side.relay_only { Policy::RelayOnly } else { Policy::All };
    let both = |ipv6: bool| side.interfaces.iter().any(|interface| interface.ipv6 == ipv6);
    for ipv6 in [false, true].into_iter().filter(|ipv6| both(*ipv6)) {
        let entry = |scheme: &str, index: usize| {
            let uri: Uri = format!("{scheme}:{}", server_address(index, ipv6)).parse().ok()?;
            let credentials = Credentials::new(USER.0.as_bytes(), USER.1.as_bytes()).ok()?;
            Some(ServerEntry::new(uri, (scheme == "turn").then_some(credentials)))
        };
        let stun = side.stun.iter().filter(|index| !side.turn.contains(index));
        config.gathering.servers.extend(stun.filter_map(|index| entry("stun", *index)));
        config.gathering.servers.extend(side.turn.iter().filter_map(|index| entry("turn", *index)));
    }
    config
}
