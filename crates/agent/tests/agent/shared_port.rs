//! Many agents on one port.

use std::net::SocketAddr;

use floe_agent::{PairFailure, TransmitKind};
use floe_pair::{CandidateLine, Role};
use floe_stun::Message;

use crate::{
    forge,
    world::{COMPONENT, STREAM, Sent, World, asking, ip, ms},
};

#[test]
fn p36_two_agents_on_one_port_connect_to_two_on_another_and_one_leaves() {
    let mut world = World::new(2);
    world.share(0);
    world.share(1);
    let first = world.pair([0, 1], 1);
    let second = world.pair([0, 1], 2);
    let all = [first, second].concat();
    world.connect(&all, ms(5_000));
    for id in &all {
        let pair = world.agent(*id).selected(STREAM, COMPONENT).unwrap();
        assert_eq!(
            (pair.local.address.port(), pair.remote.port()),
            (40_001, 40_001),
            "one port on each side"
        );
    }
    // Consent of both goes on over the one pair of addresses.
    world.run_for(ms(60_000));
    assert!(world.is_completed(&all));

    // Nothing in data tells two sessions between the same addresses apart; one of them has it.
    assert!(world.send(first[0], b"\x80 to whom"));
    world.run_for(ms(50));
    assert_eq!(world.nodes[1].data.len(), 1);

    let unclaimed = |world: &World| world.nodes.iter().map(|node| node.unclaimed).sum::<usize>();
    assert_eq!(unclaimed(&world), 0, "no datagram lost its way");
    for (node, key) in first {
        assert!(world.nodes[node].hub.remove(key).is_some());
    }
    world.run_for(ms(50));
    let of_the_dead = unclaimed(&world);
    let consents = world.sent.len();
    world.run_for(ms(60_000));
    assert!(world.is_completed(&second), "the other goes on");
    assert!(world.sent[consents..].iter().all(|sent| second.contains(&sent.by)));
    assert_eq!(world.carries_data(second), [true, true]);
    assert_eq!(unclaimed(&world), of_the_dead);
}

#[test]
fn p36_agents_on_one_port_talk_to_peers_of_their_own() {
    let mut world = World::new(3);
    world.share(0);
    let sessions = [world.pair([0, 1], 1), world.pair([0, 2], 2), world.pair([0, 1], 3)];
    world.connect(&sessions.concat(), ms(5_000));
    for session in sessions {
        assert_eq!(world.carries_data(session), [true, true]);
    }
}

#[test]
fn p36_answers_of_a_server_find_the_agent_that_asked() {
    let mut world = World::new(2);
    world.share(0);
    let sessions = [1, 2, 3].map(|seed| world.pair_with([0, 1], seed, |config| asking("stun", config)));
    world.connect(&sessions.concat(), ms(5_000));
    world.run_for(ms(1_000));
    let asked = world.sent.iter().filter(|sent| sent.kind == TransmitKind::Gathering).count();
    assert_eq!(asked, 6, "each agent asked once, and had its answer");
}

/// An agent that is told of somebody else's peer as a candidate does not get that peer's data, nor keep it from
/// whom it is for.
#[test]
fn p36_s14_an_address_that_another_session_only_claims_stays_with_its_own() {
    let mut world = World::new(3);
    world.share(0);
    let honest = world.pair([0, 1], 1);
    world.connect(&honest, ms(5_000));
    let victim = world.host_address(honest[1]);
    let other = world.pair([0, 2], 2);
    let line =
        format!("candidate:9 1 udp 2130706431 {} {} typ host", victim.ip(), victim.port()).parse().unwrap();
    let added = world.command(other[0], |now, agent| agent.add_remote_candidate(now, STREAM, &line));
    assert_eq!(added, Ok(floe_agent::Added::Added));
    world.run_for(ms(300));
    let checked = world.sent.iter().any(|sent| sent.by == other[0] && sent.to == victim);
    assert!(checked, "the address is checked, and with that known for both");
    assert_eq!(world.carries_data(honest), [true, true]);
    world.run_for(ms(60_000));
    assert_eq!(world.carries_data(honest), [true, true]);
    assert_eq!(world.carries_data(other), [true, true]);
}

/// An agent that cannot check yet, since it does not know its peer, holds what the peer sends; others on its port
/// are not asked.
#[test]
fn p36_early_data_on_a_shared_port_waits_with_its_agent() {
    let mut world = World::new(2);
    world.share(0);
    let other = world.pair([0, 1], 1);
    world.connect(&other, ms(5_000));
    let answering = world.add(0, World::config(Role::Controlled, 7));
    let calling = world.add(1, World::config(Role::Controlling, 8));
    world.gather(answering);
    world.gather(calling);
    world.tell_parameters(answering, calling);
    let line = CandidateLine::from(&world.candidate(answering));
    let added = world.command(calling, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
    assert_eq!(added, Ok(floe_agent::Added::Added));
    world.run_for(ms(100));
    assert!(world.send(calling, b"\x80 early"));
    world.run_for(ms(100));
    assert!(world.nodes[0].data.is_empty());
    world.tell_parameters(calling, answering);
    world.connect(&[answering, calling], ms(5_000));
    assert_eq!(world.nodes[0].data, [(answering.1, b"\x80 early".to_vec())]);
}

/// Of the addresses that an agent ever talked to those go that no pair of it leads to.
#[test]
fn p36_places_of_former_peers_make_room_for_new_ones() {
    let mut world = World::new(2);
    world.share(0);
    let [a, b] = [(0, 1, Role::Controlled), (1, 2, Role::Controlling)]
        .map(|(node, seed, role)| world.add(node, World::config(role, seed)));
    world.gather(a);
    world.tell_parameters(b, a);
    let fragment = |id| world.agent(id).local_parameters().ufrag.as_str().to_owned();
    let name = format!("{}:{}", fragment(a), fragment(b));
    let password = world.agent(a).local_parameters().pwd.expose().to_owned();
    let (to, socket) = (world.host_address(a), world.nodes[0].shared.unwrap());
    for number in 0..1_200_u16 {
        let [high, low] = number.to_be_bytes();
        let mut bytes = forge::check(&name, &password, [1, high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        world.deliver(0, socket, (to.ip(), 10_000 + number).into(), &mut bytes);
    }
    world.introduce([a, b]);
    world.connect(&[a, b], ms(20_000));
    assert_eq!(world.carries_data([a, b]), [true, true]);
}

#[test]
fn p36_an_unknown_user_fragment_is_nobodys() {
    let mut world = World::new(2);
    world.share(0);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    let check = world.sent.iter().find(|sent| sent.by == b && sent.kind == TransmitKind::Check).unwrap();
    let (mut bytes, from) = (check.bytes.clone(), world.host_address(b));
    let socket = world.nodes[0].shared.unwrap();
    let kept = world.nodes[0].unclaimed;
    // The first character of USERNAME, which stands first: 20 bytes of header, 4 of its own.
    bytes[24] ^= 1;
    let sent = world.sent.len();
    world.deliver(0, socket, from, &mut bytes);
    assert_eq!(world.nodes[0].unclaimed, kept + 1);
    assert_eq!(world.sent.len(), sent, "and there is no answer");

    // The same for an address nobody knows.
    world.deliver(0, socket, "203.0.113.7:7".parse().unwrap(), &mut bytes);
    world.deliver(0, socket, "203.0.113.7:7".parse().unwrap(), &mut [0x80; 20]);
    assert_eq!(world.nodes[0].unclaimed, kept + 3);
}

#[test]
fn p36_of_two_agents_with_one_user_fragment_the_first_is_not_disturbed() {
    let mut world = World::new(2);
    world.share(0);
    let session = world.pair([0, 1], 1);
    world.connect(&session, ms(5_000));
    let mut config = World::config(Role::Controlled, 77);
    let own = world.agent(session[0]).local_parameters().clone();
    config.credentials = Some((own.ufrag, own.pwd));
    let double = world.add(0, config);
    world.gather(double);
    world.run_for(ms(60_000));
    assert!(world.is_completed(&session));
    assert!(world.nodes[0].hub.remove(double.1).is_some());
    world.run_for(ms(60_000));
    assert_eq!(world.carries_data(session), [true, true]);
}

/// Whatever comes from strangers: no heap allocation, and no effect on those who are there.
#[test]
fn s18_t41_spoofed_datagrams_allocate_nothing() {
    let mut world = World::new(2);
    world.share(0);
    let session = world.pair([0, 1], 1);
    world.connect(&session, ms(5_000));
    world.run_for(ms(10_000));
    let socket = world.nodes[0].shared.unwrap();
    let ours = world.agent(session[0]).local_parameters().ufrag.as_str().to_owned();
    let peer = world.host_address(session[1]);
    let mut allocated = vec![];
    for round in 0..200_u8 {
        let id = [round; 12];
        let mut spoofed = [
            forge::check(&format!("{ours}:peer"), "not the password at all", id),
            forge::check("nobody:peer", "not the password at all", id),
            forge::response("not the password at all", id),
            vec![0; 100],
            vec![0x17; 100],
            vec![0x45; 100],
            vec![],
        ];
        let before = world.allocations;
        for bytes in &mut spoofed {
            let stranger = format!("203.0.113.{round}:{}", u16::from(round) + 1).parse().unwrap();
            world.deliver(0, socket, stranger, bytes);
            // From the address of the peer as well: all but data, which is its data then.
            if bytes.first() != Some(&0x17) && bytes.first() != Some(&0x45) {
                world.deliver(0, socket, peer, bytes);
            }
        }
        allocated.push(world.allocations - before);
    }
    // A queue may grow once.
    assert_eq!(allocated[1..].iter().sum::<u64>(), 0, "{allocated:?}");
    assert!(world.nodes[0].data.is_empty());
    assert_eq!(world.carries_data(session), [true, true]);
}

/// RFC 8445 §7.2.5.2.1: an answer that comes from elsewhere fails the pair at once, whoever else is on the port.
#[test]
fn p36_an_answer_from_another_address_finds_the_agent_that_asked() {
    let mut world = World::new(3);
    world.share(0);
    let [offering, answering] = world.pair([0, 1], 1);
    let is_check = |sent: &Sent| sent.by == offering && sent.kind == TransmitKind::Check;
    assert!(world.run_until(world.now.after(ms(1_000)), |world| world.sent.iter().any(is_check)));
    let check = world.sent.iter().find(|sent| is_check(sent)).unwrap().bytes.clone();
    let pwd = world.agent(answering).local_parameters().pwd.expose().to_owned();
    let id = Message::parse(&check).unwrap().transaction_id().0;
    let mut answer = forge::response(&pwd, id);
    let port = world.host_address(offering).port();
    let socket = world.socket(0, port).unwrap();
    let elsewhere = SocketAddr::new(ip(2), 9_999);
    world.deliver(0, socket, elsewhere, &mut answer);
    let failures: Vec<_> = world.agent(offering).pairs().filter_map(|pair| pair.failure).collect();
    assert_eq!(failures, [PairFailure::NotSymmetric]);
}
