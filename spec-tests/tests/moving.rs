//! The selected pair of a session that goes on: what may move it, and what may not (RFC 8445 §8.1.1, renomination).

use std::collections::{BTreeMap, BTreeSet};

use floe_agent::{
    AgentConfig, Event, State, TransmitKind,
    pair::{CandidateType, ComponentId, Role, TransportAddress},
    stun::{AttributeType, Class, Message, Method, TransactionId, binding::BindingRequest},
};
use spec_tests::wire::{
    Answer, Arrival, Ask, Bench, Datagram, Fate, HOST, NEXT_PWD, RTP, STREAM, THEIR_PWD, World, address,
    answer, at, host_candidate, ms, next_parameters,
    relay::{self, HOSTS},
    signal::{Signalling, Talk, connect},
};

/// Both sides with a relay; what goes straight from host to host in the first `slow` milliseconds arrives at their end.
fn late_direct(renomination: [bool; 2], slow: u64) -> World {
    let (mut world, _server) = relay::relayed([true, true], ms(40), |side, config| {
        config.renomination = renomination[side];
    });
    let ips = HOSTS.map(|ip| address(&format!("{ip}:1")).ip());
    world.judge = Box::new(move |one| {
        let direct = ips.contains(&one.from.ip()) && ips.contains(&one.to.ip());
        match at(slow).since(one.at) {
            wait if direct && !wait.is_zero() => Fate::Late(wait),
            _ => Fate::Arrives,
        }
    });
    world
}

fn selected_kinds(world: &World) -> [Option<CandidateType>; 2] {
    world.sides.each_ref().map(|side| side.agent.selected(STREAM, RTP).map(|pair| pair.local.kind))
}

/// How often a side was told that a pair is selected.
fn selections(world: &World, side: usize) -> usize {
    let told = |(_, event): &&(_, Event)| matches!(event, Event::Selected { .. });
    world.sides[side].events.iter().filter(told).count()
}

/// Nominations of a side: component, transaction, value, in the order in which they began.
fn nominations(world: &World, side: usize) -> Vec<(TransportAddress, TransactionId, Option<u32>)> {
    let own: Vec<_> = world.sides[side].sockets.iter().map(|(_, at)| *at).collect();
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for one in world.log.iter().filter(|one| own.contains(&one.from)) {
        let Ok(message) = Message::parse(&one.bytes) else { continue };
        if (message.method(), message.class()) != (Method::BINDING, Class::Request) {
            continue;
        }
        let request = BindingRequest::decode(&message).expect("well-formed");
        assert!(request.use_candidate || request.nomination.is_none(), "a value without a nomination");
        if request.use_candidate && known.insert(message.transaction_id()) {
            found.push((one.from, message.transaction_id(), request.nomination));
        }
    }
    found
}

/// Two hosts, two addresses each, two components; the best path opens after two seconds.
fn two_paths(change: impl Fn(usize, &mut AgentConfig)) -> World {
    let hosts: [&[&str]; 2] = [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]];
    let mut world = World::with([Role::Controlling, Role::Controlled], hosts, ms(50), |side, config| {
        config.streams = vec![(STREAM, vec![RTP, ComponentId::RTCP])];
        change(side, config);
    });
    let best = address("10.0.0.1:1").ip();
    world.judge = Box::new(move |one: &Datagram| {
        let wait = at(4_000).since(one.at);
        if [one.from.ip(), one.to.ip()].contains(&best) && !wait.is_zero() {
            Fate::Late(wait)
        } else {
            Fate::Arrives
        }
    });
    world
}

#[test]
fn oth_05_every_nomination_has_a_value_that_rises_for_its_component() {
    let mut world = two_paths(|_, config| config.renomination = true);
    let mut signalling = connect(&mut world, 20);
    signalling.run(&mut world, ms(60_000));
    let nominations = nominations(&world, 0);
    let mut values: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
    for (from, _, value) in &nominations {
        // Sockets of the second component have odd ports here.
        values.entry(from.port() % 2).or_default().push(value.expect("NOMINATION beside USE-CANDIDATE"));
    }
    assert_eq!(values.len(), 2, "{nominations:?}");
    for (component, values) in &values {
        assert!(values.len() >= 2, "component {component} was moved: {values:?}");
        assert!(values.windows(2).all(|two| two[0] < two[1]), "component {component}: {values:?}");
    }
    // The controlled side never does.
    assert!(self::nominations(&world, 1).is_empty());
    world.assert_agreed();
    let best = world.sides[0].agent.selected(STREAM, RTP).expect("selected").local.address;
    assert_eq!(best.ip(), address("10.0.0.1:1").ip(), "and the best pair is in use");
}

/// The attributes of a STUN message by their numbers, read from its bytes and by nothing of floe.
fn attributes(bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let (mut found, mut rest) = (Vec::new(), &bytes[20..]);
    while !rest.is_empty() {
        let len = usize::from(number(&rest[2..]));
        found.push((number(rest), &rest[4..4 + len]));
        rest = &rest[4 + len.next_multiple_of(4)..];
    }
    found
}

/// Renomination draft §3.3: NOMINATION is 0x0030 and has four bytes; USE-CANDIDATE is 0x0025 (RFC 8445 §16.1).
#[test]
fn oth_05_a_nomination_stands_on_the_wire_by_the_number_of_the_draft() {
    let mut world = two_paths(|_, config| config.renomination = true);
    let mut signalling = connect(&mut world, 20);
    signalling.run(&mut world, ms(20_000));
    let mut values = BTreeSet::new();
    for one in world.log.iter().filter(|one| one.bytes.starts_with(&[0x00, 0x01])) {
        let attributes = attributes(&one.bytes);
        let of = |kind: u16| attributes.iter().find(|(found, _)| *found == kind).map(|(_, value)| *value);
        assert_eq!(of(0x0025).is_some(), of(0x0030).is_some(), "one beside the other: {attributes:x?}");
        if let Some(value) = of(0x0030) {
            let value: [u8; 4] = value.try_into().expect("four bytes");
            values.insert((one.from.port() % 2, u32::from_be_bytes(value)));
        }
    }
    let decoded = nominations(&world, 0);
    let decoded: BTreeSet<_> =
        decoded.iter().map(|(from, _, value)| (from.port() % 2, value.expect("a value"))).collect();
    assert!(values.len() >= 4, "two of each component: {values:?}");
    assert_eq!(values, decoded);
}

#[test]
fn oth_05_values_begin_anew_with_a_generation() {
    let mut world = two_paths(|_, config| config.renomination = true);
    let mut signalling = connect(&mut world, 20);
    signalling.run(&mut world, ms(20_000));
    // Sockets of the second component have odd ports here, and outlive a restart.
    let of = |nominations: &[(TransportAddress, TransactionId, Option<u32>)], component: u16| {
        let own = nominations.iter().filter(|(from, ..)| from.port() % 2 == component);
        own.map(|(_, _, value)| value.expect("NOMINATION beside USE-CANDIDATE")).collect::<Vec<_>>()
    };
    let before = nominations(&world, 0);
    world.sides[0].agent.restart(world.now).expect("open");
    world.collect(0);
    signalling.run(&mut world, ms(20_000));
    let after = nominations(&world, 0).split_off(before.len());
    for component in [0, 1] {
        let (before, after) = (of(&before, component), of(&after, component));
        assert!(before.len() >= 2 && before[0] < before[1], "it was moved: {before:?}");
        assert_eq!(after.first(), before.first(), "component {component}: {before:?}, then {after:?}");
    }
    world.assert_agreed();
    assert!(world.is_completed());
}

#[test]
fn ice_32_oth_05_without_the_option_on_both_sides_one_pair_is_nominated_for_good() {
    for option in [[false, false], [true, false], [false, true]] {
        let mut world = two_paths(|side, config| config.renomination = option[side]);
        let mut signalling = connect(&mut world, 20);
        let first =
            world.sides.each_ref().map(|side| side.agent.selected(STREAM, RTP).expect("selected").remote);
        signalling.run(&mut world, ms(120_000));
        let nominations = nominations(&world, 0);
        assert!(nominations.iter().all(|(_, _, value)| value.is_none()), "{option:?}");
        let pairs: BTreeSet<_> = nominations.iter().map(|(from, ..)| *from).collect();
        assert_eq!(pairs.len(), 2, "{option:?}: one pair of each component: {nominations:?}");
        let last =
            world.sides.each_ref().map(|side| side.agent.selected(STREAM, RTP).expect("selected").remote);
        assert_eq!(first, last, "{option:?}");
        assert_eq!([0, 1].map(|side| selections(&world, side)), [2, 2], "{option:?}: once a component");
        let unknown = |one: &Datagram| {
            Message::parse(&one.bytes).is_ok_and(|message| message.raw(AttributeType::NOMINATION).is_some())
        };
        assert!(!world.log.iter().any(unknown));
    }
}

/// Data both ways for ten seconds, over whatever pair is selected.
#[track_caller]
fn talk(world: &mut World, signalling: &mut Signalling) {
    let mut talk = Talk::new(world);
    talk.on(world, signalling, 10_000);
    talk.end_in_any_order(world);
}

#[test]
fn p06_a_direct_pair_that_comes_late_is_moved_to_without_a_lost_datagram() {
    let mut world = late_direct([true, true], 4_000);
    let mut signalling = connect(&mut world, 20);
    let relayed = Some(CandidateType::Relayed);
    let before = selected_kinds(&world);
    assert!(before.contains(&relayed), "a relay comes first: {before:?}");
    talk(&mut world, &mut signalling);
    assert!(!selected_kinds(&world).contains(&relayed), "direct, five seconds after it could be");
    world.assert_agreed();
    let moved = |world: &World, side: usize| {
        let told = |(_, event): &&(_, Event)| matches!(event, Event::Moved { .. });
        world.sides[side].events.iter().filter(told).count()
    };
    assert!(moved(&world, 0) >= 1 && moved(&world, 1) >= 1, "and both say why");
}

/// Whenever the direct path opens while its checks still run, both sides end on one direct pair, after one move at most,
/// and do not flood each other until then.
#[test]
fn p06_a_direct_pair_is_moved_to_once_whenever_it_comes() {
    for slow in [500, 1_000, 2_000, 3_000, 4_000, 4_500, 5_000, 6_000, 8_000, 12_000, 20_000, 29_000] {
        let mut world = late_direct([true, true], slow);
        let mut signalling = connect(&mut world, 20);
        signalling.run(&mut world, ms(60_000));
        assert_eq!(selected_kinds(&world), [Some(CandidateType::Host); 2], "open after {slow} ms");
        world.assert_agreed();
        assert!((0..2).all(|side| selections(&world, side) <= 2), "open after {slow} ms");
        assert!(world.log.len() < 450, "open after {slow} ms: {} datagrams in a minute", world.log.len());
    }
}

#[test]
fn p06_without_renomination_a_restart_is_suggested_and_brings_the_direct_pair() {
    let mut world = late_direct([false, false], 4_000);
    let mut signalling = connect(&mut world, 20);
    let relayed = Some(CandidateType::Relayed);
    let before = selected_kinds(&world);
    assert!(before.contains(&relayed), "a relay comes first: {before:?}");
    talk(&mut world, &mut signalling);
    assert_eq!(selected_kinds(&world), before, "nothing moves by itself");
    let suggested = |world: &World| {
        let told = |(_, event): &&(_, Event)| matches!(event, Event::RestartSuggested { .. });
        world.sides.each_ref().map(|side| side.events.iter().filter(told).count())
    };
    assert_eq!(suggested(&world).iter().max(), Some(&1), "once: {:?}", suggested(&world));
    let asked = usize::from(suggested(&world)[0] == 0);
    world.sides[asked].agent.restart(world.now).expect("open");
    world.collect(asked);
    talk(&mut world, &mut signalling);
    assert!(!selected_kinds(&world).contains(&relayed));
    world.assert_agreed();
}

/// The address of the selected pair goes away while data flows; when data came again, and whether a restart was
/// suggested.
fn lose_the_interface(renomination: bool) -> (u64, bool) {
    let hosts: [&[&str]; 2] = [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]];
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::with(roles, hosts, ms(40), |_, config| config.renomination = renomination);
    let mut signalling = connect(&mut world, 20);
    signalling.run(&mut world, ms(60_000));
    let used = world.sides[0].agent.selected(STREAM, RTP).expect("selected").local.address.ip().to_string();
    let left = if used == hosts[0][0] { hosts[0][1] } else { hosts[0][0] };
    world.gather(0, &[left]);
    let gone = world.now;
    let mut came = None;
    for side in &mut world.sides {
        side.data.clear();
    }
    while came.is_none() && world.now.since(gone) < ms(20_000) {
        let _ = (world.send(0, b"\x80 to"), world.send(1, b"\x80 fro"));
        signalling.run(&mut world, ms(5));
        let all = world.sides.iter().all(|side| !side.data.is_empty());
        came = all.then(|| world.now.since(gone).as_millis());
    }
    let suggested = world.first(0, |event| matches!(event, Event::RestartSuggested { .. })).is_some();
    if came.is_some() {
        signalling.run(&mut world, ms(5_000));
        world.assert_agreed();
    }
    (came.and_then(|came| u64::try_from(came).ok()).unwrap_or(u64::MAX), suggested)
}

#[test]
fn p13_with_renomination_data_goes_on_a_round_trip_after_the_interface_went() {
    let (came, _) = lose_the_interface(true);
    // A round trip of 40 ms and three Ta; looked at each 5 ms.
    assert!(came <= 40 + 15 + 5, "after {came} ms");
}

#[test]
fn p13_without_renomination_a_restart_is_suggested_when_the_interface_goes() {
    let (_, suggested) = lose_the_interface(false);
    assert!(suggested);
}

/// A binding that is not renewed ends by itself (RFC 8656 §12); the pair that was left lives on without it.
#[test]
fn a_relayed_pair_that_was_left_is_kept_without_its_channel_and_gone_back_to() {
    let mut world = late_direct([true, true], 4_000);
    let mut signalling = connect(&mut world, 20);
    let binds = |world: &World| {
        let is_bind = |one: &&Datagram| {
            Message::parse(&one.bytes).is_ok_and(|message| {
                (message.method(), message.class()) == (Method::CHANNEL_BIND, Class::Request)
            })
        };
        world.log.iter().filter(is_bind).count()
    };
    let selected = |world: &World| {
        world.sides.each_ref().map(|side| side.agent.selected(STREAM, RTP).expect("a selected pair"))
    };
    world.run(ms(500));
    let left = selected(&world).map(|pair| pair.id);
    assert!(selected_kinds(&world).contains(&Some(CandidateType::Relayed)) && binds(&world) > 0);
    let now = world.now;
    for (side, pair) in world.sides.iter_mut().zip(left) {
        side.agent.keep(now, pair, true).expect("a pair it has");
    }
    signalling.run(&mut world, ms(20_000));
    assert!(selected(&world).iter().zip(left).all(|(pair, left)| pair.id != left), "moved");
    let before = binds(&world);
    world.run(ms(1_800_000));
    assert_eq!(binds(&world), before, "nothing goes over it");
    for (side, pair) in world.sides.iter().zip(left) {
        assert!(side.agent.pairs().any(|report| report.id == pair && report.valid), "consent goes on");
    }
    let now = world.now;
    world.sides[0].now = now;
    world.sides[0].agent.nominate(now, left[0]).expect("a valid pair");
    world.collect(0);
    world.run(ms(2_000));
    assert_eq!(selected(&world).map(|pair| pair.id), left);
    assert!(binds(&world) > before, "bound again");
    for side in &mut world.sides {
        side.data.clear();
    }
    assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"));
    world.run(ms(500));
    assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [1, 1]);
}

const PARTS: [ComponentId; 2] = [RTP, ComponentId::RTCP];
const FIRST: [&str; 2] = ["10.0.1.1:1000", "10.0.1.1:1001"];
const SECOND: [&str; 2] = ["10.0.1.2:1000", "10.0.1.2:1001"];

/// RFC 8445 §12.1: while the checklist is Running again after a restart the selected pairs are the previous ones. A pair
/// that is valid carries nothing yet, and of two components none moves before the other.
#[test]
fn rfc8445_12_1_after_a_restart_data_stays_until_every_component_of_the_stream_has_its_pair() {
    let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
        config.streams = vec![(STREAM, PARTS.to_vec())];
    });
    bench.meet();
    let tell = |bench: &mut Bench, to: [&str; 2]| {
        for (part, to) in PARTS.into_iter().zip(to) {
            bench.add_candidate(STREAM, &host_candidate(part, 0, address(to)));
        }
    };
    let answer_all = |bench: &mut Bench, password: &str| {
        for _ in 0..10 {
            for sent in bench.wait(ms(60)).into_iter().filter(|sent| sent.kind == TransmitKind::Check) {
                let (_, mapped) =
                    *bench.sockets.iter().find(|(socket, _)| *socket == sent.from.socket).expect("open");
                let bytes = answer(sent.id(), Answer::Success(mapped), Some(password));
                assert_eq!(bench.receive_at(sent.from, sent.to, &bytes), Arrival::Taken);
            }
        }
    };
    let nominate = |bench: &mut Bench, index: usize, from: &str, ask: &Ask| {
        let id = bench.new_id();
        assert_eq!(bench.receive(index, address(from), &ask.bytes(id)), Arrival::Taken);
        bench.drain();
    };
    let goes = |bench: &mut Bench, to: [&str; 2]| {
        assert_eq!(PARTS.map(|part| bench.send_of(STREAM, part, b"\x80")), to.map(|to| Ok(address(to))));
    };
    tell(&mut bench, FIRST);
    answer_all(&mut bench, THEIR_PWD);
    for (index, from) in FIRST.into_iter().enumerate() {
        nominate(&mut bench, index, from, &Ask::nominating());
    }
    goes(&mut bench, FIRST);

    let theirs = next_parameters();
    bench.agent.set_remote_parameters(bench.now, theirs).expect("a restart");
    tell(&mut bench, SECOND);
    answer_all(&mut bench, NEXT_PWD);
    let valid = bench.agent.pairs().filter(|pair| pair.valid).count();
    assert_eq!((valid, bench.agent.state()), (2, State::Connected), "all is proved, nothing nominated");
    goes(&mut bench, FIRST);

    let ask = Ask::nominating().between(bench.agent.local_parameters(), &next_parameters());
    nominate(&mut bench, 0, SECOND[0], &ask);
    goes(&mut bench, FIRST);
    // What the peer sends on the new pair already is taken all the same.
    assert!(matches!(bench.receive(0, address(SECOND[0]), b"\x80"), Arrival::Data(..)));
    nominate(&mut bench, 1, SECOND[1], &ask);
    assert_eq!(bench.agent.state(), State::Completed);
    goes(&mut bench, SECOND);
    // A component that joins now has the others stay where they are.
    bench.agent.add_component(bench.now, STREAM, ComponentId::new(3).expect("1 to 256")).expect("open");
    bench.drain();
    goes(&mut bench, SECOND);
}
