//! RFC 8445 at the level of datagrams: what an agent says of itself, and what every message of a session carries.

use std::collections::BTreeSet;

use floe_agent::{
    Agent, AgentConfig, Event, Server, TransmitKind,
    pair::{ComponentId, Parameters, Role, StreamId},
    stun::{
        AttributeType, Class, Message, Method,
        binding::{BindingRequest, Claim},
    },
};
use spec_tests::wire::{
    Answer, Arrival, Ask, Bench, HOST, RTP, STREAM, THEIR_PWD, World, address, answer, at, host_candidate,
    ms, read_answer, remote_parameters,
};

const RTCP: ComponentId = ComponentId::RTCP;

/// A session of two streams with two components each, over 30 s: checks, nominations, answers and consent.
fn long_session() -> World {
    let hosts: [&[&str]; 2] = [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]];
    let mut world = World::with([Role::Controlling, Role::Controlled], hosts, ms(20), |_, config| {
        config.streams = vec![(STREAM, vec![RTP, RTCP]), (StreamId(1), vec![RTP, RTCP])];
    });
    world.introduce();
    assert!(world.run_to_selection(ms(5_000)), "{:?}", world.sides[0].agent.state());
    world.run(ms(30_000));
    world
}

/// The requests that a side has sent, by the address it has.
fn requests(world: &World, side: usize) -> Vec<BindingRequest<'_>> {
    let own: Vec<_> = world.sides[side].sockets.iter().map(|(_, at)| *at).collect();
    let sent = world.log.iter().filter(|datagram| own.contains(&datagram.from));
    let messages = sent.map(|datagram| Message::parse(&datagram.bytes).expect("STUN only"));
    messages
        .filter(|message| message.class() == Class::Request)
        .map(|message| BindingRequest::decode(&message).expect("well-formed"))
        .collect()
}

#[test]
fn ice_09_fragment_and_password_are_drawn_with_48_and_144_bits() {
    let own = |seed: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        let agent = Agent::new(AgentConfig::new(bytes, Role::Controlling)).expect("a good configuration");
        let Parameters { ufrag, pwd, .. } = agent.local_parameters();
        (ufrag.as_str().to_owned(), pwd.expose().to_owned())
    };
    let drawn: Vec<(String, String)> = (0..2_000).map(own).collect();
    let of = |part: fn(&(String, String)) -> &String| drawn.iter().map(part).collect::<BTreeSet<_>>();
    assert_eq!(of(|(ufrag, _)| ufrag).len(), 2_000, "24 bits would collide among 2,000 with 11 %");
    assert_eq!(of(|(_, pwd)| pwd).len(), 2_000);
    for (ufrag, pwd) in &drawn {
        assert_eq!((ufrag.len(), pwd.len()), (8, 24), "6 bits each");
    }
    // Every one of the 64 characters at every place: nothing is cut off or fixed.
    for place in 0..24 {
        let used: BTreeSet<_> = drawn.iter().map(|(_, pwd)| pwd.as_bytes()[place]).collect();
        assert_eq!(used.len(), 64, "place {place} of the password");
    }
    for place in 0..8 {
        let used: BTreeSet<_> = drawn.iter().map(|(ufrag, _)| ufrag.as_bytes()[place]).collect();
        assert_eq!(used.len(), 64, "place {place} of the fragment");
    }
}

#[test]
fn ice_09_every_candidate_listens_from_the_moment_it_was_told() {
    let mut bench = Bench::bare(Role::Controlled, &[HOST, "10.0.2.1", "10.0.3.1"], |_| {});
    let told = bench.events.iter().filter(|(_, event)| matches!(event, Event::LocalCandidate { .. })).count();
    assert_eq!((told, bench.sockets.len()), (3, 3));
    let peer = address("10.0.1.1:1000");
    for index in 0..3 {
        let id = bench.new_id();
        assert_eq!(bench.receive(index, peer, &Ask::controlling().bytes(id)), Arrival::Taken);
        let sent = bench.drain();
        let place = bench.place(index);
        let [response] = sent.as_slice() else { panic!("one answer: {sent:?}") };
        assert_eq!((response.from, response.to), (place, peer));
        assert_eq!(read_answer(&response.bytes).mapped, Some(peer));
        assert_eq!(bench.receive(index, peer, b"\x80 data of one who knows the password"), Arrival::Taken);
    }
    // The peer's parameters come later; when our own checks are answered, the data is handed out.
    bench.meet();
    for _ in 0..3 {
        let check = bench.next_check();
        bench.succeed(&check);
    }
    bench.drain();
    assert_eq!(bench.data.len(), 3, "{:?}", bench.data);
}

#[test]
fn ice_17_the_controlled_agent_never_sends_use_candidate() {
    let world = long_session();
    let [controlling, controlled] = [0, 1].map(|side| requests(&world, side));
    assert!(controlling.len() > 20 && controlled.len() > 20, "a session with consent");
    assert!(controlled.iter().all(|request| !request.use_candidate));
    assert!(controlled.iter().all(|request| matches!(request.claim, Some(Claim::Controlled(_)))));
    assert!(controlling.iter().all(|request| matches!(request.claim, Some(Claim::Controlling(_)))));
    let nominations = controlling.iter().filter(|request| request.use_candidate).count();
    assert!(nominations >= 4, "one for each component");
}

#[test]
fn ice_19_every_check_and_answer_carries_fingerprint() {
    let world = long_session();
    let mut classes = BTreeSet::new();
    for datagram in &world.log {
        let message = Message::parse(&datagram.bytes).expect("STUN only");
        assert_eq!((message.method(), message.verify_fingerprint()), (Method::BINDING, Ok(())));
        assert!(message.has_integrity(), "{datagram:?}");
        classes.insert(message.class() == Class::Request);
    }
    assert_eq!(classes.len(), 2, "requests and answers");
}

#[test]
fn ice_19_an_answer_without_fingerprint_never_came() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    let good = answer(check.id(), Answer::Success(bench.local(0)), Some(THEIR_PWD));
    // Without its last eight bytes, and with the length that goes with it, an answer lacks FINGERPRINT only.
    let mut bare = good[..good.len() - 8].to_vec();
    let length = u16::try_from(bare.len() - 20).expect("short");
    bare[2..4].copy_from_slice(&length.to_be_bytes());
    assert!(Message::parse(&bare).expect("well-formed").has_integrity());
    let before = bench.snapshot();
    assert!(matches!(bench.receive_at(check.from, check.to, &bare), Arrival::Dropped(_)));
    assert_eq!(bench.snapshot(), before);
    assert_eq!(bench.receive_at(check.from, check.to, &good), Arrival::Taken);
}

#[test]
fn ice_37_ice2_is_told_to_the_peer() {
    for trickle in [false, true] {
        let mut config = AgentConfig::new([3; 32], Role::Controlled);
        config.trickle = trickle;
        let agent = Agent::new(config).expect("a good configuration");
        let options = &agent.local_parameters().options;
        assert!(options.has("ice2"));
        assert_eq!(options.as_str(), if trickle { "ice2 trickle" } else { "ice2" });
    }
}

#[test]
fn ice_41_gathering_and_checks_share_one_pace() {
    // Ten servers to ask and ten pairs to check: from two agents of one process, one transaction in 5 ms in all.
    let servers: Vec<Server> = (1..=10)
        .map(|number| Server::new(format!("stun:192.0.2.{number}").parse().expect("a URI"), None))
        .collect();
    let hosts = ["10.0.0.1", "10.0.2.1"];
    let mut agents = hosts.map(|host| {
        let mut bench = Bench::bare(Role::Controlling, &[host], |config| {
            config.gathering.servers.clone_from(&servers);
        });
        bench.meet();
        (0..10).for_each(|index| bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1)));
        bench
    });
    let (mut begun, mut pacer, mut seen) = (Vec::new(), floe_agent::Pacer::new(), BTreeSet::new());
    for now in (0..400).map(at) {
        for (index, bench) in agents.iter_mut().enumerate() {
            bench.now = now;
            bench.agent.handle_timeout(now, &mut pacer);
            for sent in bench.drain() {
                let first = seen.insert((index, sent.id()));
                begun.extend(first.then_some(now));
            }
        }
    }
    assert_eq!(begun.len(), 40, "every server and every pair");
    for two in begun.windows(2) {
        assert!(two[1].since(two[0]) >= ms(5), "{two:?}");
    }
    assert!(begun.last() <= Some(&at(200)), "no slot is wasted: {:?}", begun.last());
}

#[test]
fn ice_41_fifty_milliseconds_where_the_peer_proposes_nothing() {
    for (proposed, wanted) in [(None, 50), (Some(5), 5), (Some(20), 20)] {
        let mut bench = Bench::bare(Role::Controlling, &[HOST], |_| {});
        let parameters = Parameters { pacing: proposed.map(ms), ..remote_parameters() };
        bench.agent.set_remote_parameters(at(0), parameters).expect("in time");
        (0..3).for_each(|index| bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1)));
        let sent = bench.wait(ms(150));
        let instants: Vec<_> = sent.iter().map(|sent| sent.at.as_millis()).collect();
        assert_eq!(instants, [0, wanted, 2 * wanted], "proposed: {proposed:?}");
        let ours = bench.agent.local_parameters().pacing;
        assert_eq!(ours, Some(ms(5)), "a value other than the default has to be proposed");
    }
}

#[test]
fn ice_43_one_tiebreaker_in_all_requests_of_a_session() {
    let world = long_session();
    let mut drawn = BTreeSet::new();
    for side in 0..2 {
        let told: BTreeSet<u64> = requests(&world, side)
            .iter()
            .map(|request| match request.claim {
                Some(Claim::Controlling(value) | Claim::Controlled(value)) => value,
                None => panic!("a request without a role"),
            })
            .collect();
        assert_eq!(told.len(), 1, "streams, components, nominations and consent: {told:x?}");
        drawn.extend(told);
    }
    assert_eq!(drawn.len(), 2, "each agent draws its own");
    assert!(drawn.iter().all(|value| *value > u64::from(u32::MAX)), "64 bits: {drawn:x?}");
}

#[test]
fn ice_43_the_tiebreaker_changes_after_a_487_and_only_then() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let tiebreaker = |claim| match claim {
        Some(Claim::Controlling(value) | Claim::Controlled(value)) => value,
        None => panic!("a request without a role"),
    };
    let first = bench.next_check();
    let before = tiebreaker(first.request().claim);
    bench.refuse(&first, 487);
    let second = bench.next_check();
    let after = second.request().claim;
    assert!(matches!(after, Some(Claim::Controlled(_))), "the other role: {after:?}");
    assert_ne!(tiebreaker(after), before);
    // A conflict that is settled by a request of the peer changes the role and leaves the tiebreaker.
    let (answer, _) =
        bench.ask(address("10.0.1.1:1000"), &Ask { claim: Some(Claim::Controlled(0)), ..Ask::controlled() });
    assert_eq!(answer.expect("an answer").code, None, "the larger tiebreaker ends up controlling");
    assert_eq!(bench.agent.role(), Role::Controlling);
    let third = bench.next_check();
    assert_eq!(tiebreaker(third.request().claim), tiebreaker(after));
}

#[test]
fn ice_16_priority_in_a_check_is_that_of_a_peer_reflexive_candidate() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let told = bench.events.iter().find_map(|(_, event)| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.priority.get()),
        _ => None,
    });
    let told = told.expect("a host candidate");
    let check = bench.next_check();
    let asked = check.request().priority.expect("PRIORITY is always there");
    assert_eq!((told >> 24, asked >> 24), (126, 110), "type preferences");
    assert_eq!(told & 0x00FF_FFFF, asked & 0x00FF_FFFF, "the same local preference and component");
}

#[test]
fn ice_25_the_answer_to_a_check_that_overtakes_signalling_has_its_mapped_address() {
    let mut bench = Bench::bare(Role::Controlled, &[HOST], |_| {});
    let peer = address("203.0.113.9:40000");
    let (answer, sent) = bench.ask(peer, &Ask::controlling());
    let answer = answer.expect("answered at once");
    assert_eq!((answer.code, answer.mapped), (None, Some(peer)));
    assert_eq!(sent, [], "nothing can be asked before the password is known");
    bench.meet();
    let check = bench.next_check();
    assert_eq!((check.to, check.kind), (peer, TransmitKind::Check));
    assert_eq!(check.request().username, Some(&b"peerfrag:ourfrag1"[..]));
}

#[test]
fn ice_44_ten_thousand_candidates_cost_neither_memory_nor_time() {
    let mut bench = Bench::new(Role::Controlling);
    for index in 0..10_000_u16 {
        let at = address(&format!("203.{}.{}.1:4000", index / 250, index % 250));
        bench.add_candidate(STREAM, &host_candidate(RTP, index, at));
        bench.drain();
    }
    assert!(bench.agent.pairs().count() <= 100);
    let named = bench.events.iter().any(|(_, event)| matches!(event, Event::CheckLimit { .. }));
    assert!(named, "an event says that something had to go");
    let best = bench.agent.pairs().map(|pair| pair.remote.priority).max();
    let told = host_candidate(RTP, 0, address("203.0.0.1:4000")).priority;
    assert_eq!(best, Some(told), "the best is kept");
    let sent = bench.wait(ms(1_000));
    assert!(sent.len() <= 201, "one in 5 ms: {}", sent.len());
}

#[test]
fn rfc8445_7_2_2_checks_use_short_term_credentials_of_both() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    let message = check.message();
    let key = floe_agent::stun::IntegrityKey::new(THEIR_PWD.as_bytes());
    assert!(message.verify_integrity(&key).is_ok(), "signed with the peer's password");
    assert_eq!(check.request().username, Some(&b"peerfrag:ourfrag1"[..]), "the peer's fragment first");
    assert!(message.raw(AttributeType::REALM).is_none() && message.raw(AttributeType::NONCE).is_none());
}

#[test]
fn rfc8445_7_3_no_alternate_server_and_no_classic_stun() {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    // RFC 3489 has no cookie: the first four bytes behind the length are its own.
    let mut classic = Ask::controlled().bytes(bench.new_id());
    classic[4..8].copy_from_slice(&[1, 2, 3, 4]);
    let before = bench.snapshot();
    assert_ne!(bench.receive(0, check.to, &classic), Arrival::Taken);
    assert_eq!((bench.drain(), bench.snapshot()), (Vec::new(), before));
    // 300 is a failure like any other; nothing is sent to where ALTERNATE-SERVER would point.
    bench.refuse(&check, 300);
    let sent = bench.wait(ms(2_000));
    assert!(sent.iter().all(|sent| sent.to == check.to), "{sent:?}");
}
