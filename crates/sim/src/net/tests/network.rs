//! The network itself.

use super::*;

#[test]
fn an_address_has_one_owner_in_each_address_space() {
    let mut network = Network::new([1; 32]);
    let public = |text| HostAddress::new(RealmId::PUBLIC, ip(text), Link::default());
    network.add_host(&[public("198.51.100.1")]).unwrap();
    let taken = BuildError::AddressTaken(ip("198.51.100.1"));
    assert_eq!(network.add_host(&[public("198.51.100.1")]), Err(taken.clone()));
    let nat =
        NatConfig::new(ip("198.51.100.1"), Dependence::EndpointIndependent, Dependence::EndpointIndependent);
    assert_eq!(network.add_nat(nat), Err(taken.clone()));
    let inner = network.add_nat(NatConfig { address: ip("203.0.113.1"), ..nat }).unwrap();
    let behind = HostAddress::new(inner, ip("198.51.100.1"), Link::default());
    network.add_host(&[behind]).unwrap();
    let twice = [public("198.51.100.7"), HostAddress { realm: inner, ..public("198.51.100.7") }];
    assert_eq!(network.add_host(&twice), Err(BuildError::AddressTaken(ip("198.51.100.7"))));
    let elsewhere = HostAddress { realm: RealmId(99), ..behind };
    assert_eq!(network.add_host(&[elsewhere]), Err(BuildError::NoSuchRealm(RealmId(99))));
}

#[test]
fn nothing_happens_in_an_empty_network() {
    let mut network = Network::new([1; 32]);
    assert_eq!(network.run_until(|_| false, Instant::from_millis(5)), Ended::Idle);
    assert_eq!(network.run_until(|_| true, Instant::from_millis(5)), Ended::Met);
    network.run_for(ms(5));
    assert_eq!(network.now(), Instant::from_millis(5));
}

#[test]
fn a_datagram_crosses_both_links_and_losses_are_independent() {
    let setup = Setup { servers: false, ..Setup::new([Place::Open; 2]) };
    let mut world = World::connected(setup);
    let path = world.network.agent(world.session.a).unwrap().path(STREAM, COMPONENT).unwrap();
    let sent_at = world.network.now();
    world.network.send_on(world.session.a, &path, b"\x80").unwrap();
    world.network.run_for(ms(20));
    let arrived = world.network.take_data(world.session.b);
    assert_eq!(arrived[0].at, sent_at.after(setup.delay + setup.delay));

    let mut random = Random::from_seed([2; 32]);
    let draws = |probability: Probability, random: &mut Random| {
        (0..100_000).filter(|_| probability.happens(random)).count()
    };
    assert!((29_000..31_000).contains(&draws(Probability::percent(30), &mut random)));
    assert_eq!(draws(Probability::NEVER, &mut random), 0);
    assert_eq!(draws(Probability::percent(200), &mut random), 100_000);
}

#[test]
fn nats_stand_behind_nats_and_hairpins_turn_back() {
    let mut network = Network::new([1; 32]);
    let eim = Dependence::EndpointIndependent;
    let carrier = NatConfig { hairpinning: true, ..NatConfig::new(ip("203.0.113.1"), eim, eim) };
    let carrier_realm = network.add_nat(carrier).unwrap();
    let mut agents = Vec::new();
    for number in 1..=2 {
        let home = NatConfig {
            outer: carrier_realm,
            ..NatConfig::new(IpAddr::from([100, 64, 0, number]), eim, eim)
        };
        let realm = network.add_nat(home).unwrap();
        let inner = HostAddress::new(realm, IpAddr::from([192, 168, number, 2]), Link::delay(ms(5)));
        let host = network.add_host(&[inner]).unwrap();
        let mut config =
            AgentConfig::new([number; 32], if number == 1 { Role::Controlling } else { Role::Controlled });
        config.gathering.servers = vec![ServerEntry::new("stun:192.0.2.1".parse().unwrap(), None)];
        agents.push(network.add_agent(host, config).unwrap());
    }
    let server_ip = ip("192.0.2.1");
    let server = ServerConfig::new(vec![SocketAddr::new(server_ip, 3478)], vec![]);
    network.add_server(RealmId::PUBLIC, server, Link::delay(ms(1))).unwrap();
    let session = Session::new(&mut network, agents[0], agents[1], ms(20));
    session.start(&mut network);
    assert_eq!(
        network.run_until(|network| session.is_completed(network), Instant::from_millis(60_000)),
        Ended::Met
    );
    assert_eq!(session.carries_data(&mut network, STREAM, COMPONENT, ms(100)), [true, true]);
    assert!(network.mappings(carrier_realm) >= 2);
}

#[test]
fn the_story_says_what_became_of_each_datagram() {
    let world = World::connected(Setup { servers: false, ..Setup::new([Place::Open; 2]) });
    let lines: Vec<String> = world.network.trace().story().iter().map(ToString::to_string).collect();
    assert!(lines.iter().any(|line| line.contains("sent") && line.contains("Binding request")), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("delivered") && line.contains("Binding success")),
        "{lines:#?}"
    );
}
