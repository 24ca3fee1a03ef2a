//! Hard NATs, in the simulator.

use std::net::{IpAddr, SocketAddr};

use floe_agent::{
    AgentConfig, Server as ServerEntry,
    pair::{CandidateType, Role},
};
use floe_sim::{
    net::{Dependence, Ended, HostAddress, Link, NatConfig, Network, RealmId, Session},
    server::ServerConfig,
};
use spec_tests::wire::{RTP, STREAM, ms};

/// Mapping and filtering.
type Behaviour = (Dependence, Dependence);

const EASY: Behaviour = (Dependence::EndpointIndependent, Dependence::EndpointIndependent);

/// Two agents behind two NATs, both with a STUN server and no relay.
fn behind(nats: [Behaviour; 2], seed: u8) -> (Network, Session) {
    let mut network = Network::new([seed; 32]);
    let server = IpAddr::from([192, 0, 2, 1]);
    let config = ServerConfig::new(vec![SocketAddr::new(server, 3478)], vec![]);
    network.add_server(RealmId::PUBLIC, config, Link::delay(ms(1))).expect("a free address");
    let mut agents = Vec::new();
    for (number, (mapping, filtering)) in (1_u8..).zip(nats) {
        let nat = NatConfig::new(IpAddr::from([203, 0, 113, number]), mapping, filtering);
        let realm = network.add_nat(nat).expect("a free address");
        let address = HostAddress::new(realm, IpAddr::from([10, number, 0, 2]), Link::delay(ms(10)));
        let host = network.add_host(&[address]).expect("a free address");
        let role = if number == 1 { Role::Controlling } else { Role::Controlled };
        let mut config = AgentConfig::new(network.draw_seed(), role);
        config.gathering.servers = vec![ServerEntry::new("stun:192.0.2.1".parse().expect("a URI"), None)];
        agents.push(network.add_agent(host, config).expect("a good configuration"));
    }
    let session = Session::new(&mut network, agents[0], agents[1], ms(20));
    session.start(&mut network);
    (network, session)
}

#[test]
fn p12_a_hard_mapping_against_an_open_filter_is_direct() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    let hard = [
        (AddressDependent, AddressDependent),
        (AddressAndPortDependent, AddressAndPortDependent),
        (AddressAndPortDependent, EndpointIndependent),
    ];
    for nat in hard {
        for nats in [[nat, EASY], [EASY, nat]] {
            for seed in 0..5 {
                let (mut network, session) = behind(nats, seed);
                let limit = network.now().after(ms(20_000));
                let ended = network.run_until(|network| session.is_completed(network), limit);
                assert_eq!(ended, Ended::Met, "{nats:?}, seed {seed}");
                for id in [session.a, session.b] {
                    let pair =
                        network.agent(id).and_then(|agent| agent.selected(STREAM, RTP)).expect("selected");
                    let kinds = [pair.local.kind, pair.remote_candidate.kind];
                    assert!(!kinds.contains(&CandidateType::Relayed), "{nats:?}: {kinds:?}");
                }
                assert_eq!(session.carries_data(&mut network, STREAM, RTP, ms(500)), [true, true]);
            }
        }
    }
}

#[test]
fn p12_equal_seeds_give_equal_runs() {
    let run = |seed| {
        let (mut network, _) =
            behind([EASY, (Dependence::AddressDependent, Dependence::AddressDependent)], seed);
        network.run_for(ms(20_000));
        network.trace().hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
