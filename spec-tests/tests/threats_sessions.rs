//! Hijacked and broken sessions: randomness, forged and mutated messages, closing at any step, conflicts of roles.

use std::collections::BTreeSet;

use floe_agent::{
    Event, PathError,
    pair::Role,
    stun::{Random, TransactionId, binding::Claim},
};
use spec_tests::wire::{
    Answer, Arrival, Ask, Bench, Fate, HOST, OUR_UFRAG, RTP, STREAM, Sent, THEIR_PWD, World, address, answer,
    at, ms,
};

/// Ids that are looked at.
const DRAWN: u32 = 1_000_000;

#[test]
fn t10_s15_ids_are_spread_over_all_their_96_bits() {
    let mut random = Random::from_seed([4; 32]);
    let (mut ones, mut seen) = ([0_u32; 96], BTreeSet::new());
    for _ in 0..DRAWN {
        let TransactionId(id) = random.transaction_id();
        for (bit, count) in ones.iter_mut().enumerate() {
            *count += u32::from(id[bit / 8] >> (bit % 8) & 1);
        }
        // The whole set would be large; a collision in 64 bits of a million is less likely than a faulty machine.
        seen.insert(u64::from_be_bytes(id[4..].try_into().expect("eight bytes")));
    }
    assert_eq!(seen.len(), DRAWN as usize);
    // Six standard deviations of a fair coin thrown a million times: 500.
    for (bit, count) in ones.into_iter().enumerate() {
        assert!(count.abs_diff(DRAWN / 2) < 3_000, "bit {bit} is one {count} times");
    }
}

#[test]
fn t10_the_driver_takes_no_seed_and_no_agent_an_id() {
    let sources = spec_tests::tools::root().join("crates/floe/src");
    let text = |name: &str| std::fs::read_to_string(sources.join(name)).expect("a source of the driver");
    for name in ["config.rs", "endpoint.rs", "handle.rs"] {
        let public = text(name);
        let mut offers =
            public.lines().filter(|line| line.trim_start().starts_with("pub ") && line.contains("seed"));
        assert_eq!(offers.next(), None, "{name} offers a seed to its user");
    }
    // Two sessions of one seed are one; of two seeds they have nothing in common.
    let ids = |seed: u8| {
        let mut bench =
            Bench::bare(Role::Controlling, &[HOST], |config| config.seed = floe_agent::Seed([seed; 32]));
        bench.meet();
        (0..20).for_each(|index| bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1)));
        bench.wait(ms(500)).iter().map(Sent::id).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(1), ids(1));
    assert_eq!((ids(1).len(), ids(1).intersection(&ids(2)).count()), (20, 0));
}

#[test]
fn s15_no_fixed_seed_outside_of_tests_and_the_simulator() {
    let mut faults = Vec::new();
    for name in ["stun", "pair", "turn", "gather", "check", "agent", "floe"] {
        for file in sources(&spec_tests::tools::root().join("crates").join(name).join("src")) {
            let text = std::fs::read_to_string(&file).expect("a source");
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&text);
            let fixed = |line: &&str| {
                let line = line.trim_start();
                !line.starts_with("//") && line.contains("from_seed([") || line.contains("Seed([")
            };
            faults.extend(product.lines().filter(fixed).map(|line| format!("{}: {line}", file.display())));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

/// Sources of a crate that are no tests.
fn sources(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == "tests" || name == "tests.rs" {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn s11_mutated_messages_have_no_effect() {
    let mut bench = Bench::new(Role::Controlled);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    let (source, id) = (check.to, bench.new_id());
    let messages = [
        Ask::nominating().bytes(id),
        answer(check.id(), Answer::Success(bench.local(0)), Some(THEIR_PWD)),
        answer(check.id(), Answer::Error(487), Some(THEIR_PWD)),
        answer(check.id(), Answer::Error(400), Some(THEIR_PWD)),
    ];
    let (before, events) = (bench.snapshot(), bench.events.len());
    for message in &messages {
        for byte in 0..message.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut mutated = message.clone();
                mutated[byte] ^= flip;
                let arrival = bench.receive(0, source, &mutated);
                assert_ne!(arrival, Arrival::Taken, "byte {byte} of {message:02x?}");
                // FINGERPRINT is broken, so that it may be anything: not even an error is due.
                assert_eq!(bench.drain(), [], "byte {byte}");
            }
        }
        // Cut short, and with more behind it.
        for len in 0..message.len() {
            assert_ne!(bench.receive(0, source, &message[..len]), Arrival::Taken);
        }
        let longer = [message.as_slice(), &[0; 4]].concat();
        assert_ne!(bench.receive(0, source, &longer), Arrival::Taken);
        assert_eq!(bench.drain(), []);
    }
    assert_eq!((bench.snapshot(), bench.events.len()), (before, events), "no state, no event");
    // And the session goes on as if nothing had been.
    bench.succeed(&check);
    let (answer, _) = bench.ask(source, &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    assert!(bench.agent.selected(STREAM, RTP).is_some());
}

#[test]
fn s11_each_field_of_a_request_counts_even_when_it_is_signed_for_looks() {
    // FINGERPRINT is right, as an attacker can make it; what only the password can make is not.
    let good = Ask::nominating();
    let wrong: [(Ask, u16); 6] = [
        (Ask { username: None, ..good.clone() }, 400),
        (Ask { integrity: None, ..good.clone() }, 400),
        (Ask { username: Some(OUR_UFRAG.into()), ..good.clone() }, 401),
        (Ask { username: Some("peerfrag:ourfrag1".into()), ..good.clone() }, 401),
        (Ask { username: Some(format!("{OUR_UFRAG}x:peerfrag")), ..good.clone() }, 401),
        (Ask { password: THEIR_PWD.into(), ..good.clone() }, 401),
    ];
    let mut bench = Bench::new(Role::Controlled);
    bench.add_remote(0, "10.0.1.1:1000");
    let check = bench.next_check();
    bench.succeed(&check);
    bench.drain();
    let (before, events) = (bench.snapshot(), bench.events.len());
    for (ask, code) in &wrong {
        let (answer, others) = bench.ask(check.to, ask);
        let answer = answer.expect("the error of RFC 8489 §9.1.3");
        assert_eq!((answer.code, answer.integrity), (Some(*code), None), "{ask:?}");
        assert_eq!(others, []);
    }
    assert_eq!((bench.snapshot(), bench.events.len()), (before, events), "above all no teardown");
}

#[test]
fn s04_closing_at_any_step_is_the_last_that_is_heard() {
    let steps = |until: u64| {
        let mut world = World::new([&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]], ms(20));
        world.introduce();
        world.complete_gathering();
        world.run_until(at(until), |_| false);
        world
    };
    for until in (0..120).chain([1_000, 5_000, 6_001, 31_000]) {
        let mut world = steps(until);
        let path = world.sides[0].agent.path(STREAM, RTP);
        world.sides[0].agent.close(world.now);
        world.collect(0);
        let own: Vec<_> = ["10.0.0.1:1000", "10.0.2.1:1001"].map(address).into();
        let sent = |world: &World| world.log.iter().filter(|datagram| own.contains(&datagram.from)).count();
        let (packets, now) = (sent(&world), world.now);
        world.run(ms(60_000));
        let side = &mut world.sides[0];
        assert!(side.agent.is_closed() && side.sockets.is_empty(), "closed at {until} ms");
        let last = side.events.last().map(|(at, event)| (*at, matches!(event, Event::Closed)));
        assert_eq!(last, Some((now, true)), "closed at {until} ms");
        assert_eq!(side.agent.poll_timeout(), None);
        assert!(side.send(b"\x80").is_err());
        if let Some(path) = path {
            assert_eq!(path.frame(now, 1), Err(PathError::Expired), "a sender's handle is revoked with it");
        }
        assert_eq!(sent(&world), packets, "closed at {until} ms");
    }
}

#[test]
fn p11_both_controlling_or_both_controlled_settle_whatever_is_lost() {
    for seed in 0..60_u8 {
        let role = if seed % 2 == 0 { Role::Controlling } else { Role::Controlled };
        let mut world =
            World::with([role; 2], [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]], ms(40), |index, config| {
                config.seed = floe_agent::Seed([seed.wrapping_mul(2).wrapping_add(u8::from(index == 1)); 32]);
            });
        let mut random = Random::from_seed([seed; 32]);
        let loss = u64::from(seed % 4) * 10;
        world.judge = Box::new(move |_| if random.below(100) < loss { Fate::Lost } else { Fate::Arrives });
        world.introduce();
        world.complete_gathering();
        assert!(world.run_to_selection(ms(30_000)), "seed {seed}: {:?}", world.sides[0].agent.state());
        world.run(ms(20_000));
        world.assert_agreed();
    }
}

#[test]
fn p11_each_conflict_is_judged_by_the_role_the_request_had() {
    // Two checks in flight, both refused with 487: the role changes once.
    let mut bench = Bench::new(Role::Controlling);
    bench.add_remote(0, "10.0.1.1:1000");
    bench.add_remote(1, "10.0.1.2:1000");
    let checks = [bench.next_check(), bench.next_check()];
    for check in &checks {
        assert!(matches!(check.request().claim, Some(Claim::Controlling(_))));
        bench.refuse(check, 487);
    }
    assert_eq!(bench.agent.role(), Role::Controlled, "not twice");
    // Ours: a 487 that we send verifies with the key of the request it answers.
    let mut bench = Bench::new(Role::Controlling);
    let conflict = Ask { claim: Some(Claim::Controlling(0)), ..Ask::controlling() };
    let (answer, _) = bench.ask(address("10.0.1.1:1000"), &conflict);
    let answer = answer.expect("an answer");
    assert_eq!(answer.code, Some(487));
    assert!(answer.integrity.is_some(), "read_answer has verified it with our own password");
}

#[test]
fn s20_nothing_listens_but_what_ice_needs() {
    let mut faults = Vec::new();
    for name in ["stun", "pair", "turn", "gather", "check", "agent", "floe", "cli"] {
        for file in sources(&spec_tests::tools::root().join("crates").join(name).join("src")) {
            let text = std::fs::read_to_string(&file).expect("a source");
            let listens = |line: &&str| line.contains("TcpListener") || line.contains("UnixListener");
            faults.extend(text.lines().filter(listens).map(|line| format!("{}: {line}", file.display())));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}
