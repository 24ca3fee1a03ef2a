//! What the application decides: whether consent rests, which streams there are, which pairs are preferred.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use floe_agent::{
    ApiError, State, TransmitKind,
    pair::{ComponentId, Role, StreamId, TransportAddress},
    stun::{Class, Instant, Message, Method, Random},
};
use floe_check::{AddressPrefix, ConsentConfig, PairPolicy, RemoteRule, TypeRanks};
use spec_tests::wire::{
    Arrival, Ask, Bench, Datagram, Fate, HOST, RTP, STREAM, Sent, World, address, consents, host_candidate,
    ms, signal::Signalling,
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const PEER: &str = "10.0.1.1:1000";
const EXPIRY: Duration = Duration::from_secs(30);

fn without_consent() -> Bench {
    let mut bench = Bench::bare(Role::Controlling, &[HOST], |config| {
        config.checks.consent = None;
        config.streams = vec![(STREAM, vec![RTP]), (StreamId(1), vec![RTP])];
    });
    bench.meet();
    bench.select(PEER);
    bench.add_candidate(StreamId(1), &host_candidate(RTP, 0, address("10.0.1.1:1001")));
    bench.converse(ms(1_000), Sent::is_request);
    assert_eq!(bench.agent.state(), State::Completed);
    bench
}

#[test]
fn ice_38_where_consent_is_off_a_keepalive_goes_each_fifteen_seconds_and_stops_with_its_stream() {
    let mut bench = without_consent();
    let mut sent = Vec::new();
    for _ in 0..3_600 {
        // Data goes past the agent, which does not look at it: one indication more does no harm.
        assert!(bench.send(b"\x80").is_ok());
        sent.extend(bench.wait(ms(1_000)));
    }
    let to = |port: u16| sent.iter().filter(move |sent| sent.to.port() == port).collect::<Vec<_>>();
    for port in [1_000, 1_001] {
        let sent = to(port);
        assert!((239..=240).contains(&sent.len()), "{} in an hour", sent.len());
        assert!(sent.windows(2).all(|two| two[1].at.since(two[0].at) == ms(15_000)));
        let mut ids = BTreeSet::new();
        for one in sent {
            let message = Message::parse(&one.bytes).expect("STUN");
            // RFC 8489 §5: random for indications as for requests.
            assert!(ids.insert(message.transaction_id()), "an id for each");
            assert_eq!((message.class(), message.method()), (Class::Indication, Method::BINDING));
            assert_eq!((message.attributes().count(), message.verify_fingerprint()), (0, Ok(())), "no more");
            assert!(!message.has_integrity());
        }
    }
    let now = bench.now;
    bench.agent.remove_stream(now, StreamId(1)).expect("one of two");
    let sent = bench.wait(ms(60_000));
    assert_eq!(
        sent.iter().map(|sent| sent.to.port()).collect::<Vec<_>>(),
        [1_000; 4],
        "only the other is left"
    );
    assert_eq!(bench.sockets.len(), 1, "and its socket was closed");
}

#[test]
fn ice_38_no_setting_makes_keepalives_more_frequent() {
    for wanted in [0, 1, 14_999, 15_000, 20_000] {
        let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
            config.checks.consent = None;
            config.checks.keepalive = ms(wanted);
        });
        bench.meet();
        bench.select(PEER);
        let sent = bench.wait(ms(600_000));
        let least = ms(wanted.max(15_000));
        assert!(sent.len() >= 29 && sent.windows(2).all(|two| two[1].at.since(two[0].at) >= least));
    }
}

#[test]
fn ice_38_where_consent_is_asked_for_there_are_no_keepalives() {
    let mut bench = Bench::new(Role::Controlled);
    bench.select(PEER);
    let sent = bench.converse(ms(600_000), Sent::is_request);
    assert!(sent.len() >= 100 && sent.iter().all(|sent| sent.kind == TransmitKind::Consent));
}

/// An agent whose consent rests while nothing is sent, with a selected pair.
fn resting() -> Bench {
    let mut bench = Bench::bare(Role::Controlling, &[HOST], |config| {
        config.checks.consent = Some(ConsentConfig { suspend: true, ..ConsentConfig::default() });
    });
    bench.meet();
    bench.select(PEER);
    bench
}

#[test]
fn rfc7675_5_1_consent_that_rested_is_regained_before_data_goes_out() {
    let mut bench = resting();
    let peer = address(PEER);
    // While data is sent requests go as ever.
    let mut asked = 0;
    for _ in 0..60 {
        assert_eq!(bench.send(b"\x80"), Ok(peer));
        asked += consents(&bench.converse(ms(1_000), Sent::is_request)).count();
    }
    assert!((9..=15).contains(&asked), "{asked} in a minute");
    // Then it falls silent: requests end, and nothing is taken for dead or lost.
    let sent = bench.converse(ms(600_000), Sent::is_request);
    assert!(consents(&sent).count() <= 7, "{} while it rests", consents(&sent).count());
    assert_eq!(bench.agent.state(), State::Completed);
    let path = bench.agent.path(STREAM, RTP).expect("a path");
    assert!(
        path.frame(bench.now, 1).is_err() && bench.send(b"\x80").is_err(),
        "not one byte without consent"
    );
    // The attempt has the agent ask; the answer lets data go.
    let resumed = bench.now;
    let end = resumed.after(ms(6_000));
    let sent = bench.wait_until(end, |sent| sent.kind == TransmitKind::Consent);
    let request = sent.last().expect("a request").clone();
    assert!(request.at.since(resumed) <= ms(100), "at once: {:?}", request.at.since(resumed));
    bench.wait(ms(40));
    assert!(bench.send(b"\x80").is_err(), "not before the answer");
    bench.succeed(&request);
    bench.drain();
    assert_eq!(bench.send(b"\x80"), Ok(peer));
    // And thirty seconds from there, as ever.
    let answered = bench.now;
    while bench.now.after(ms(1_000)) < answered.after(EXPIRY) {
        bench.wait(ms(1_000));
        assert_eq!(bench.send(b"\x80"), Ok(peer));
    }
    bench.wait_until(answered.after(EXPIRY), |_| false);
    assert!(bench.send(b"\x80").is_err());
}

#[test]
fn rfc7675_5_1_where_a_resting_peer_is_gone_nothing_is_sent_but_requests() {
    let mut bench = resting();
    bench.converse(ms(120_000), Sent::is_request);
    let _ = bench.send(b"\x80");
    let mut refused = 0;
    for _ in 0..100 {
        let sent = bench.wait(ms(1_000));
        assert!(sent.iter().all(|sent| matches!(sent.kind, TransmitKind::Consent | TransmitKind::Keepalive)));
        refused += usize::from(bench.send(b"\x80").is_err());
    }
    assert_eq!(refused, 100);
    assert!(!matches!(bench.agent.state(), State::Connected | State::Completed), "{:?}", bench.agent.state());
}

/// A world of some paths, and commands of no sense to both agents all the time.
fn nonsense(seed: u64, renomination: bool) -> (World, Signalling, Random) {
    let hosts: [&[&str]; 2] = [&["10.0.0.1", "10.0.2.1", "10.0.3.1"], &["10.0.1.1", "10.0.4.1"]];
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut random = Random::from_seed(bytes);
    let world = World::with(ROLES, hosts, ms(30), |side, config| {
        config.renomination = renomination;
        let rank = |random: &mut Random| i16::try_from(random.below(5)).expect("small") - 2;
        let denied = address(["10.0.4.1:1", "10.0.3.1:1"][side]).ip();
        let far = address("192.0.2.77:1").ip();
        let bits = u8::try_from(random.below(3) * 100).expect("small");
        config.checks.policy = PairPolicy {
            remotes: vec![
                RemoteRule::deny(AddressPrefix::new(denied, 32)),
                RemoteRule::allow(AddressPrefix::new(far, bits)),
                RemoteRule::deny(AddressPrefix::new(far, 33)),
            ],
            ranks: TypeRanks {
                host: rank(&mut random),
                server_reflexive: rank(&mut random),
                peer_reflexive: rank(&mut random),
                relayed: rank(&mut random),
            },
            max_wait: [None, Some(ms(0)), Some(Duration::MAX)]
                [usize::try_from(random.below(3)).expect("small")],
        };
        config.checks.standby = u8::try_from(random.below(256)).expect("small");
    });
    let signalling = Signalling::new(&world, ms(20));
    (world, signalling, random)
}

fn command(world: &mut World, random: &mut Random) {
    let side = usize::try_from(random.below(2)).expect("small");
    let agent = &mut world.sides[side].agent;
    let ids: Vec<_> = agent.pairs().map(|pair| pair.id).collect();
    let Some(pair) = ids.get(usize::try_from(random.below(ids.len().max(1) as u64)).expect("small")) else {
        return;
    };
    let (now, pair, yes) = (world.now, *pair, random.below(2) == 0);
    let said = match random.below(5) {
        0 => agent.rank(now, pair, i32::from_ne_bytes(random.u32().to_ne_bytes())),
        1 => agent.veto(now, pair, yes && random.below(4) == 0),
        2 => agent.pin(now, pair, yes),
        3 => agent.keep(now, pair, yes),
        _ => agent.nominate(now, pair),
    };
    assert!(matches!(said, Ok(()) | Err(ApiError::Nominate(_) | ApiError::TooManyKept(_))), "{said:?}");
    world.collect(side);
}

#[test]
fn p39_commands_and_rules_of_no_sense_break_no_rule() {
    for seed in 0..40 {
        for renomination in [true, false] {
            let (mut world, mut signalling, mut random) = nonsense(seed, renomination);
            let mut first = [None, None];
            for _ in 0..600 {
                command(&mut world, &mut random);
                signalling.run(&mut world, ms(10));
                for (side, first) in first.iter_mut().enumerate() {
                    let agent = &world.sides[side].agent;
                    let Some(selected) = agent.selected(STREAM, RTP) else { continue };
                    // The selected pair is a valid one, and without renomination the first stays.
                    let mut valid = agent.pairs().filter(|pair| pair.valid);
                    assert!(valid.any(|pair| pair.remote.address == selected.remote), "seed {seed}");
                    let id = (selected.base, selected.remote);
                    assert!(renomination || *first.get_or_insert(id) == id, "seed {seed}: it moved");
                    // A denied address is nobody.
                    let denied = address(["10.0.4.1:1", "10.0.3.1:1"][side]).ip();
                    assert_ne!(selected.remote.ip(), denied, "seed {seed}");
                }
            }
            // All commands are taken back: the session is as any other.
            for side in 0..2 {
                let now = world.now;
                let ids: Vec<_> = world.sides[side].agent.pairs().map(|pair| pair.id).collect();
                for id in ids {
                    let agent = &mut world.sides[side].agent;
                    agent.rank(now, id, 0).expect("it is there");
                    agent.veto(now, id, false).expect("it is there");
                    agent.pin(now, id, false).expect("it is there");
                    agent.keep(now, id, false).expect("it is there");
                }
                world.collect(side);
            }
            let name = format!("seed {seed}, renomination: {renomination}");
            assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{name}");
            signalling.run(&mut world, ms(5_000));
            world.assert_agreed();
            assert!(world.send(0, b"\x80") && world.send(1, b"\x80"), "{name}");
            // No two checks in one Ta, whatever was commanded.
            for side in 0..2 {
                let own: Vec<_> = world.sides[side].sockets.iter().map(|(_, at)| *at).collect();
                let mut known = std::collections::BTreeSet::new();
                let starts: Vec<Instant> = world
                    .log
                    .iter()
                    .filter(|one| one.kind == Some(TransmitKind::Check) && own.contains(&one.from))
                    .filter(|one| known.insert(Message::parse(&one.bytes).expect("STUN").transaction_id()))
                    .map(|one| one.at)
                    .collect();
                assert!(starts.windows(2).all(|two| two[1].since(two[0]) >= ms(5)), "{name}");
            }
        }
    }
}

/// Commands all the time, for a minute and until long after the peer's answers have ceased.
#[test]
fn p39_commands_of_no_sense_change_nothing_about_consent() {
    for (seed, renomination) in (0..8).zip([true, false].into_iter().cycle()) {
        let (mut world, mut signalling, mut random) = nonsense(seed, renomination);
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "seed {seed}");
        let (begun, name) = (world.now, format!("seed {seed}, renomination: {renomination}"));
        let pair = |one: &Datagram| (one.from, one.to);
        // By pair: since when it is the one in use, or when a request went out on it last.
        let mut asked: [Option<((TransportAddress, TransportAddress), Instant)>; 2] = [None; 2];
        let mut silent = None;
        loop {
            let ago = |at: Instant| world.now.since(at);
            if silent.is_none() && ago(begun) >= ms(60_000) {
                silent = Some(world.now);
                world.judge = Box::new(|_| Fate::Lost);
            }
            if silent.is_some_and(|since| ago(since) > ms(32_000)) {
                break;
            }
            command(&mut world, &mut random);
            signalling.run(&mut world, ms(50));
            for (side, asked) in asked.iter_mut().enumerate() {
                // RFC 7675 §5.1: no byte thirty seconds after the last answer on this pair, whatever was commanded.
                let sent = world.send(side, b"\x80");
                let Some(used) = world.log.last().filter(|_| sent).map(pair) else {
                    assert!(
                        silent.is_some_and(|since| world.now.since(since) >= ms(23_900)),
                        "{name}: too soon"
                    );
                    continue;
                };
                let answers = world.log.iter().rev().filter(|one| one.kind == Some(TransmitKind::Response));
                let arrives = |one: &&Datagram| silent.is_none_or(|silent| one.at < silent);
                let last =
                    answers.filter(arrives).find(|one| (one.to, one.from) == used).expect("an answer").at;
                assert!(world.now < last.after(world.delay).after(EXPIRY), "{name}");
                // And a request on it each 4 to 6 s.
                let requests = world.log.iter().rev().filter(|one| one.kind == Some(TransmitKind::Consent));
                let request = requests.clone().find(|one| pair(one) == used).map(|one| one.at);
                let since = asked.filter(|(known, _)| *known == used).map_or(world.now, |(_, at)| at);
                let latest = request.map_or(since, |at| at.max(since));
                assert!(world.now.since(latest) <= ms(6_050), "{name}: {:?}", world.now.since(latest));
                *asked = Some((used, latest));
            }
        }
        assert!(!world.send(0, b"\x80") && !world.send(1, b"\x80"), "{name}");
        let mut last = BTreeMap::new();
        for one in world.log.iter().filter(|one| one.kind == Some(TransmitKind::Consent)) {
            let before = last.insert(pair(one), one.at);
            assert!(
                before.is_none_or(|at| one.at.since(at) >= ms(4_000)),
                "{name}: {before:?} and {:?}",
                one.at
            );
        }
        assert!(last.len() >= 2, "{name}");
    }
}

#[test]
fn p39_a_denied_address_draws_not_one_datagram() {
    for role in ROLES {
        let mut bench = Bench::bare(role, &[HOST], |config| {
            let prefix = AddressPrefix::new(address("10.0.1.0:1").ip(), 24);
            config.checks.policy.remotes = vec![RemoteRule::deny(prefix)];
        });
        bench.meet();
        bench.add_remote(0, PEER);
        bench.add_remote(1, "10.0.5.1:1000");
        let ask = Ask::concluding(role);
        let id = bench.new_id();
        let arrival = bench.receive(0, address(PEER), &ask.bytes(id));
        assert!(!matches!(arrival, Arrival::Taken), "{arrival:?}");
        let sent = bench.converse(ms(60_000), Sent::is_request);
        assert!(sent.iter().all(|sent| sent.to == address("10.0.5.1:1000")), "{role:?}");
        assert!(!sent.is_empty());
    }
}

#[test]
fn p39_equal_seeds_and_equal_commands_give_equal_bytes() {
    let run = |seed| {
        let (mut world, mut signalling, mut random) = nonsense(seed, true);
        world.judge = Box::new(|one| {
            if one.bytes.last().is_some_and(|last| last % 8 == 0) { Fate::Lost } else { Fate::Arrives }
        });
        for _ in 0..300 {
            command(&mut world, &mut random);
            signalling.run(&mut world, ms(10));
        }
        world.log
    };
    assert!(run(1) == run(1), "the same bytes at the same instants");
    assert!(run(1) != run(2));
}

#[test]
fn p17_streams_come_and_go_without_a_restart() {
    let second = StreamId(7);
    let hosts: [&[&str]; 2] = [&["10.0.0.1"], &["10.0.1.1"]];
    let mut world = World::with(ROLES, hosts, ms(40), |_, config| {
        config.streams = vec![(STREAM, vec![RTP, ComponentId::RTCP])];
    });
    let mut signalling = Signalling::new(&world, ms(30));
    assert!(signalling.run_to_selection(&mut world, ms(5_000)));
    let selected =
        |world: &World, side: usize| world.sides[side].agent.selected(STREAM, RTP).map(|pair| pair.remote);
    let before = [0, 1].map(|side| selected(&world, side));
    for round in 0..3 {
        let sockets = world.sides.each_ref().map(|side| side.sockets.len());
        for side in 0..2 {
            let now = world.now;
            world.sides[side].now = now;
            world.sides[side].agent.add_component(now, second, RTP).expect("room");
            world.collect(side);
        }
        assert!(signalling.run_to_selection(&mut world, ms(5_000)), "round {round}");
        for side in &mut world.sides {
            assert_eq!(side.send_of(second, RTP, b"\x80").map(|_| ()), Ok(()), "round {round}");
        }
        signalling.run(&mut world, ms(5_000));
        for side in 0..2 {
            let now = world.now;
            world.sides[side].now = now;
            world.sides[side].agent.remove_stream(now, second).expect("there");
            world.collect(side);
            assert!(world.sides[side].agent.pairs().all(|pair| pair.stream != second));
        }
        signalling.run(&mut world, ms(5_000));
        assert_eq!(world.sides.each_ref().map(|side| side.sockets.len()), sockets, "sockets are given back");
        assert_eq!([0, 1].map(|side| selected(&world, side)), before, "and the first stream goes on");
        assert!(world.is_completed() && world.send(0, b"\x80"));
    }
}
