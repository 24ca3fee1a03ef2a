//! Candidates that come one by one (RFC 8838), at the level of datagrams.

use floe_agent::{
    AgentConfig, Event, Server, State, TransmitKind,
    pair::{
        Candidate, CandidateLine, CandidateType, ComponentId, Foundation, IceOptions, Parameters, Priority,
        Role, TransportAddress,
    },
    stun::{Message, Method},
};
use floe_check::{Limit, PairState};
use spec_tests::wire::{
    Ask, Bench, Fate, HOST, OUR_PWD, OUR_UFRAG, RTP, STREAM, World, address, at, host_candidate, ms, relay,
    remote_parameters,
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const PEER: &str = "10.0.1.1:1000";
/// How long signalling takes, one way: longer than any check.
const SIGNALLING: u64 = 300;

/// How the candidates of a session are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Each when it is known; both sides begin with none.
    Full,
    /// The side that offers tells all at once, the other one by one.
    Half,
    /// All at once, both.
    None,
}

/// Tells a side, `SIGNALLING` after they came, the candidates and the end of them that the other side's user has been
/// told of; `next` is the first event that is not told yet.
fn forward(world: &mut World, from: usize, next: &mut usize) {
    let due: Vec<Event> = world.sides[from]
        .events
        .iter()
        .skip(*next)
        .take_while(|(at, _)| at.after(ms(SIGNALLING)) <= world.now)
        .map(|(_, event)| event.clone())
        .collect();
    *next += due.len();
    let (now, to) = (world.now, 1 - from);
    for event in due {
        match event {
            Event::LocalCandidate { stream, candidate, .. } => {
                let line = CandidateLine::from(&candidate);
                let _ = world.sides[to].agent.add_remote_candidate(now, stream, &line).expect("in time");
            }
            Event::GatheringComplete { .. } => world.sides[to].agent.remote_gathering_complete(now),
            _ => {}
        }
        world.collect(to);
    }
}

/// Both sides behind a relay, so that some candidates come late: each answer about an allocation takes this much longer.
/// Told as `mode` says. When both have selected.
fn session(mode: Mode, slow: [u64; 2]) -> (World, u64) {
    let (mut world, _server) = relay::relayed([true, true], ms(40), |_, config| {
        config.trickle = mode != Mode::None;
    });
    let mut judge = std::mem::replace(&mut world.judge, Box::new(|_| Fate::Lost));
    world.judge = Box::new(move |one| {
        let side = relay::HOSTS.iter().position(|ip| one.to.ip() == address(&format!("{ip}:1")).ip());
        let allocates = |message: Message<'_>| message.method() == Method::ALLOCATE;
        match side {
            Some(side) if Message::parse(&one.bytes).is_ok_and(allocates) => Fate::Late(ms(slow[side])),
            _ => judge(one),
        }
    });
    let complete = |world: &World, side: usize| {
        world.first(side, |event| matches!(event, Event::GatheringComplete { .. })).is_some()
    };
    let end = world.now.after(ms(6_000));
    if mode != Mode::Full {
        // Nothing is told before the offer has all.
        assert!(world.run_until(end, |world| complete(world, 0)));
    }
    if mode == Mode::None {
        assert!(world.run_until(end, |world| complete(world, 1)));
    }
    world.run(ms(SIGNALLING));
    world.tell_parameters(1);
    world.run(ms(SIGNALLING));
    world.tell_parameters(0);
    let mut next = [0, 0];
    let begun = world.now;
    while !world.is_completed() && world.now.since(begun) < ms(20_000) {
        forward(&mut world, 0, &mut next[0]);
        forward(&mut world, 1, &mut next[1]);
        world.run(ms(5));
    }
    let took = world.now.since(begun).as_millis();
    (world, u64::try_from(took).expect("short"))
}

#[test]
fn trk_01_full_half_and_no_trickle_connect() {
    for mode in [Mode::Full, Mode::Half, Mode::None] {
        // In half trickle the side that answers is the slow one; both are in full.
        let (mut world, took) = session(mode, if mode == Mode::Half { [50, 380] } else { [700, 700] });
        assert!(world.is_completed(), "{mode:?} after {took} ms");
        world.assert_agreed();
        assert!(world.send(0, b"\x80") && world.send(1, b"\x80"), "{mode:?}");
        // RFC 8838 §16: who trickles in whatever way says so, and who does not may not.
        for side in &world.sides {
            let options = &side.agent.local_parameters().options;
            assert_eq!(options.has(IceOptions::TRICKLE), mode != Mode::None, "{mode:?}");
            // What makes regular ICE possible: when gathering is said to be complete all candidates are known.
            let complete =
                side.first(|event| matches!(event, Event::GatheringComplete { .. })).expect("told");
            let told =
                |(at, event): &(_, Event)| matches!(event, Event::LocalCandidate { .. }) && *at > complete;
            assert!(!side.events.iter().any(told), "{mode:?}");
        }
        // RFC 8838 §3: who trickles checks while candidates are still to come, and tells of them then.
        for (index, trickles) in [(0, mode == Mode::Full), (1, mode != Mode::None)] {
            let side = &world.sides[index];
            let own = address(&format!("{}:1", relay::HOSTS[index])).ip();
            let mut checks = world.log.iter().filter(|one| one.kind == Some(TransmitKind::Check));
            let checked = checks.find(|one| one.from.ip() == own).expect("it checks").at;
            let complete = side.first(|event| matches!(event, Event::GatheringComplete { .. }));
            assert_eq!(
                complete.is_some_and(|complete| checked < complete),
                trickles,
                "{mode:?}, side {index}"
            );
            let told =
                |(at, event): &(_, Event)| matches!(event, Event::LocalCandidate { .. }) && *at > checked;
            assert_eq!(side.events.iter().any(told), trickles, "{mode:?}, side {index}");
        }
    }
}

#[test]
fn trk_01_trickle_is_told_once_for_the_whole_session() {
    for trickle in [true, false] {
        let bench = Bench::bare(Role::Controlling, &[HOST], |config| {
            config.trickle = trickle;
            config.streams = (0..3).map(|stream| (floe_agent::pair::StreamId(stream), vec![RTP])).collect();
        });
        // One set of parameters for all streams: never some with and some without.
        let options = &bench.agent.local_parameters().options;
        assert_eq!(options.has(IceOptions::TRICKLE), trickle);
        assert_eq!(options.tags().filter(|tag| *tag == IceOptions::TRICKLE).count(), usize::from(trickle));
    }
}

#[test]
fn trk_02_a_checklist_runs_while_candidates_may_come() {
    for role in ROLES {
        // A server that never answers is asked when patience has run for twenty seconds: it outlives that.
        let mut config = AgentConfig::new([7; 32], role);
        config.gathering.servers = vec![Server::new("stun:192.0.2.1".parse().expect("a URI"), None)];
        config.gathering.deadline = ms(30_000);
        config.credentials =
            Some((OUR_UFRAG.parse().expect("ice-chars"), OUR_PWD.parse().expect("ice-chars")));
        let mut bench = Bench::with(config);
        bench.meet();
        bench.wait(ms(20_000));
        bench.gather(&[HOST]);
        bench.add_remote(0, PEER);
        let check = bench.next_check();
        bench.refuse(&check, 500);
        // All pairs have failed and patience is over; candidates of our own may still come.
        bench.wait_until(at(55_000), |_| false);
        assert!(bench.first(|event| matches!(event, Event::GatheringComplete { .. })).is_none());
        assert_eq!(bench.agent.state(), State::Checking);
        bench.add_remote(1, "10.0.1.2:1000");
        let check = bench.next_check();
        bench.succeed(&check);
        assert!(bench.agent.state() >= State::Connected);
        assert!(!bench.states().contains(&State::Failed), "{role:?}");
    }
}

#[test]
fn trk_02_a_candidate_after_patience_brings_a_session_back_that_was_not_told_the_end() {
    let mut bench = Bench::new(Role::Controlling);
    bench.wait(ms(60_000));
    assert_eq!(bench.agent.state(), State::Failed);
    bench.select(PEER);
    assert_eq!(bench.agent.state(), State::Completed);
}

#[test]
fn trk_03_no_check_leaves_a_candidate_before_it_was_told() {
    // A server that does not answer keeps gathering open: the end of candidates is not told yet.
    let mut bench = Bench::bare(Role::Controlling, &[HOST], |config| {
        config.gathering.servers = vec![Server::new("stun:192.0.2.1".parse().expect("a URI"), None)];
    });
    bench.meet();
    for index in 0..4 {
        bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1));
    }
    let told = |bench: &Bench, at: TransportAddress| {
        bench.first(
            |event| matches!(event, Event::LocalCandidate { candidate, .. } if candidate.address == at),
        )
    };
    // Further addresses of the host come while checks are made.
    let mut sent = bench.wait(ms(12));
    for hosts in [&[HOST, "10.0.2.1"][..], &[HOST, "10.0.2.1", "10.0.3.1"]] {
        let before = bench.sockets.len();
        let at_once = bench.gather(hosts);
        assert_eq!(bench.sockets.len(), before + 1);
        let new = bench.place(before);
        assert!(told(&bench, bench.local(before)).is_some(), "told in the call that opened it");
        // The outputs of that call were drained: what it sent stood before the event.
        assert!(at_once.iter().all(|sent| sent.from != new), "and not one datagram before");
        sent.extend(at_once);
        sent.extend(bench.wait(ms(50)));
        let first = sent.iter().find(|sent| sent.from == new).expect("it is checked");
        let kinds = [TransmitKind::Check, TransmitKind::Gathering];
        assert!(kinds.contains(&first.kind), "{first:?}");
    }
    sent.retain(|sent| sent.kind == TransmitKind::Check);
    for index in 0..bench.sockets.len() {
        let place = bench.place(index);
        let first = sent.iter().find(|sent| sent.from == place).expect("a check of each").at;
        assert!(told(&bench, bench.local(index)).is_some_and(|told| told <= first), "socket {index}");
    }
}

#[test]
fn trk_04_a_reflexive_candidate_makes_no_second_pair_of_its_base() {
    // Behind a NAT the server sees another address: host and reflexive candidate share a base.
    let (mut world, _server) = relay::relayed([true, false], ms(40), |_, config| {
        for server in &mut config.gathering.servers {
            *server = Server::new("stun:192.0.2.1".parse().expect("a URI"), None);
        }
    });
    let (inside, outside) = (address("198.51.100.1:1000"), address("192.0.2.99:7000"));
    world.outside.push((inside, outside));
    // The peer itself is silent, so that its pairs stay as they were formed.
    let peer = address("203.0.113.1:1").ip();
    world.judge =
        Box::new(
            move |one| {
                if [one.from.ip(), one.to.ip()].contains(&peer) { Fate::Lost } else { Fate::Arrives }
            },
        );
    // The peer's candidate is known before the server has answered.
    world.tell_parameters(0);
    world.tell_candidates(0);
    let reflexive = |world: &World| {
        world.first(0, |event| match event {
            Event::LocalCandidate { candidate, .. } => candidate.kind == CandidateType::ServerReflexive,
            _ => false,
        })
    };
    let end = world.now.after(ms(5_000));
    assert!(world.run_until(end, |world| reflexive(world).is_some()));
    world.run(ms(2_000));
    let pairs: Vec<_> = world.sides[0].agent.pairs().collect();
    let [pair] = pairs.as_slice() else { panic!("one pair: {pairs:?}") };
    assert_eq!((pair.local.kind, pair.local.address), (CandidateType::Host, inside), "of the base");
    // And the other way round: the reflexive candidate is there when another of the peer comes.
    let second = host_candidate(RTP, 1, address("203.0.113.1:1001"));
    world.sides[0].now = world.now;
    world.sides[0].add_candidate(STREAM, &second);
    world.run(ms(100));
    assert_eq!(world.sides[0].agent.pairs().count(), 2);
}

/// A candidate whose pair has exactly this rank among others.
fn ranked(index: u16, port: u16) -> Candidate {
    host_candidate(RTP, index, address(&format!("10.0.1.1:{port}")))
}

#[test]
fn trk_05_in_a_full_checklist_failed_pairs_go_first_then_lower_ones() {
    let mut bench = Bench::bare(Role::Controlling, &[HOST], |config| config.checks.pair_limit = 3);
    bench.meet();
    let listed = |bench: &Bench| {
        let mut ports: Vec<u16> = bench.agent.pairs().map(|pair| pair.remote.address.port()).collect();
        ports.sort_unstable();
        ports
    };
    for (index, port) in [(10, 10), (20, 20), (30, 30)] {
        bench.add_candidate(STREAM, &ranked(index, port));
    }
    // The best of them fails; the worst that could come takes its place.
    let check = bench.next_check();
    assert_eq!(check.to.port(), 10);
    bench.refuse(&check, 500);
    bench.add_candidate(STREAM, &ranked(40, 40));
    assert_eq!(listed(&bench), [20, 30, 40], "the failed pair, though it was the best");
    // None has failed: the lowest goes for a better one, and a lower one does not enter.
    bench.add_candidate(STREAM, &ranked(50, 50));
    assert_eq!(listed(&bench), [20, 30, 40]);
    bench.add_candidate(STREAM, &ranked(5, 5));
    assert_eq!(listed(&bench), [5, 20, 30]);
    bench.drain();
    let cut: Vec<u16> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::CheckLimit { limit: Limit::Pairs, remote, .. } => Some(remote.port()),
            _ => None,
        })
        .collect();
    assert!(cut.ends_with(&[50, 40]), "and each is told of: {cut:?}");
}

#[test]
fn trk_06_a_signalled_candidate_that_was_learned_keeps_one_pair_and_its_priority() {
    for role in ROLES {
        for (kind, priority) in
            [(CandidateType::Host, 0x7E00_00FF), (CandidateType::ServerReflexive, 0x6400_00FF)]
        {
            let mut bench = Bench::new(role);
            let ask = Ask { priority: Some(0x6E00_01FF), ..Ask::of_peer(role) };
            let (answer, _) = bench.ask(address(PEER), &ask);
            assert_eq!(answer.expect("an answer").code, None);
            let before: Vec<_> = bench.agent.pairs().collect();
            let [learned] = before.as_slice() else { panic!("one pair: {before:?}") };
            assert_eq!(learned.remote.kind, CandidateType::PeerReflexive);
            let signalled = Candidate {
                kind,
                priority: Priority::new(priority).expect("in range"),
                related: None,
                ..host_candidate(RTP, 0, address(PEER))
            };
            bench.add_candidate(STREAM, &signalled);
            let after: Vec<_> = bench.agent.pairs().collect();
            let [pair] = after.as_slice() else { panic!("one pair: {after:?}") };
            assert_eq!((pair.remote.kind, pair.priority), (kind, learned.priority), "{role:?}");
            // Its checks go out at the pace of one pair.
            let sent = bench.wait(ms(400));
            assert!((1..=3).contains(&sent.iter().filter(|sent| sent.kind == TransmitKind::Check).count()));
        }
    }
}

#[test]
fn trk_07_a_pair_that_joins_later_is_waiting_or_frozen_by_rule() {
    let mut bench = Bench::new(Role::Controlling);
    let of = |foundation: &str, index: u16, port: u16| Candidate {
        foundation: Foundation::from_bytes(foundation.as_bytes()).expect("ice-chars"),
        ..ranked(index, port)
    };
    let state = |bench: &Bench, port: u16| {
        bench.agent.pairs().find(|pair| pair.remote.address.port() == port).expect("a pair").state
    };
    bench.add_candidate(STREAM, &of("f1", 10, 10));
    let check = bench.next_check();
    // Rule 1: a new foundation; topmost of its own.
    bench.add_candidate(STREAM, &of("f2", 20, 20));
    assert_eq!(state(&bench, 20), PairState::Waiting);
    // Rule 3: below a pair of its foundation that has not succeeded.
    bench.add_candidate(STREAM, &of("f2", 30, 30));
    bench.add_candidate(STREAM, &of("f1", 31, 31));
    assert_eq!((state(&bench, 30), state(&bench, 31)), (PairState::Frozen, PairState::Frozen));
    // Rule 1 again: above the one there is.
    bench.add_candidate(STREAM, &of("f2", 5, 5));
    assert_eq!(state(&bench, 5), PairState::Waiting);
    // Rule 2: a pair of the foundation has succeeded.
    bench.succeed(&check);
    assert_eq!(state(&bench, 31), PairState::Waiting, "thawed by the success");
    bench.add_candidate(STREAM, &of("f1", 40, 40));
    assert_eq!((state(&bench, 40), state(&bench, 30)), (PairState::Waiting, PairState::Frozen));
}

#[test]
fn trk_09_candidates_after_the_end_are_ignored_and_learned_ones_are_not() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.add_remote(0, PEER);
        bench.agent.remote_gathering_complete(bench.now);
        bench.add_remote(1, "10.0.1.2:1000");
        let sent = bench.wait(ms(2_000));
        assert!(sent.iter().all(|sent| sent.to == address(PEER)), "{role:?}");
        assert_eq!(bench.agent.pairs().count(), 1);
        // What the peer's checks show is no signalling.
        bench.ask(address("10.0.1.3:1000"), &Ask::concluding(role));
        bench.converse(ms(3_000), |sent| sent.to == address("10.0.1.3:1000"));
        let selected = bench.agent.selected(STREAM, RTP).map(|pair| pair.remote);
        assert_eq!(selected, Some(address("10.0.1.3:1000")));
    }
}

#[test]
fn trk_10_candidates_that_name_another_generation_are_not_paired() {
    let mut bench = Bench::bare(Role::Controlling, &[HOST], |_| {});
    bench.meet();
    let line = |ufrag: &str, port: u16| {
        CandidateLine::from(&ranked(port, port)).with_extension("ufrag", ufrag).expect("a token")
    };
    let now = bench.now;
    let current = remote_parameters().ufrag.as_str().to_owned();
    let _ = bench.agent.add_remote_candidate(now, STREAM, &line("oldfrag", 10)).expect("in time");
    let _ = bench.agent.add_remote_candidate(now, STREAM, &line(&current, 20)).expect("in time");
    let sent = bench.wait(ms(5_000));
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.to.port() == 20), "{sent:?}");
    assert_eq!(bench.agent.pairs().count(), 1);
}

/// Parameters of a peer that trickles, and of one that does not: the agent acts alike, since it is told candidates
/// and their end in either case.
#[test]
fn rfc8838_5_a_peer_without_trickle_is_treated_by_the_rules_of_rfc_8445() {
    for role in ROLES {
        let mut stories = Vec::new();
        for options in [IceOptions::ice2(), IceOptions::ice2().with_trickle()] {
            let mut bench = Bench::bare(role, &[HOST], |_| {});
            let parameters = Parameters { options, ..remote_parameters() };
            bench.agent.set_remote_parameters(bench.now, parameters).expect("in time");
            bench.add_remote(0, PEER);
            bench.agent.remote_gathering_complete(bench.now);
            let sent = bench.converse(ms(10_000), |_| true);
            stories.push(sent);
        }
        assert!(!stories[0].is_empty() && stories[0] == stories[1], "{role:?}");
    }
}

#[test]
fn rfc8838_10_a_candidate_that_may_not_be_told_any_more_is_checked_all_the_same() {
    // After the end of candidates, and after nomination with a peer that can be moved to it.
    for nominated in [false, true] {
        let mut bench = Bench::bare(Role::Controlling, &[HOST], |config| config.renomination = true);
        let options = IceOptions::ice2().with_renomination2();
        let parameters = Parameters { options, ..remote_parameters() };
        bench.agent.set_remote_parameters(bench.now, parameters).expect("in time");
        if nominated {
            bench.select(PEER);
        } else {
            bench.add_remote(0, PEER);
        }
        assert!(bench.first(|event| matches!(event, Event::GatheringComplete { .. })).is_some());
        bench.events.clear();
        bench.gather(&[HOST, "10.0.2.1"]);
        let new = bench.place(1);
        let sent = bench.wait(ms(200));
        assert!(
            bench.first(|event| matches!(event, Event::LocalCandidate { .. })).is_none(),
            "§13: not told"
        );
        assert!(sent.iter().any(|sent| sent.from == new && sent.kind == TransmitKind::Check), "and checked");
    }
}

/// RFC 8838 §13: a component whose pair was nominated has no candidate told any more, although its stream still gathers
/// and the other component, which has no pair yet, is told its own.
#[test]
fn trk_08_while_others_are_gathered_for_none_is_told_of_a_component_that_has_its_pair() {
    let components = [RTP, ComponentId::RTCP];
    let new = "10.0.2.1";
    for nominated in [false, true] {
        let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
            config.streams = vec![(STREAM, components.to_vec())];
            // One that never answers.
            config.gathering.servers = vec![Server::new("stun:192.0.2.1".parse().expect("a URI"), None)];
            config.gathering.deadline = ms(30_000);
        });
        bench.meet();
        bench.add_remote(0, PEER);
        let check = bench.next_check();
        assert_eq!(check.from, bench.place(0));
        bench.succeed(&check);
        if nominated {
            let (answer, _) = bench.ask(address(PEER), &Ask::nominating());
            assert_eq!(answer.expect("an answer").code, None);
        }
        assert_eq!(bench.agent.selected(STREAM, RTP).is_some(), nominated);
        bench.gather(&[HOST, new]);
        let mut told = Vec::new();
        for (_, event) in &bench.events {
            match event {
                Event::LocalCandidate { candidate, .. }
                    if candidate.address.ip() == address("10.0.2.1:1").ip() =>
                {
                    told.push(candidate.component);
                }
                Event::EndOfCandidates { .. } => panic!("the end was told: it alone would keep them back"),
                _ => {}
            }
        }
        told.sort_unstable();
        assert_eq!(told, components[usize::from(nominated)..], "nominated: {nominated}");
    }
}
