//! How long it takes, how much it costs, and what both sides end up with.

use std::collections::BTreeSet;
use std::time::Duration;

use floe_agent::{
    Event, Server as ServerEntry, State, TransmitKind,
    pair::{Candidate, CandidateLine, CandidateType, Priority, Role, TransportAddress},
    stun::{Instant, Random},
    turn::Credentials,
};
use floe_check::Limit;
use spec_tests::wire::{
    Arrival, Ask, Bench, Fate, HOST, RTP, STREAM, World, address, at, host_candidate, ms,
};

const TA: Duration = Duration::from_millis(5);

/// Addresses of one side: 10.0.SIDE.1, 10.0.SIDE.2 and so on.
fn hosts(side: u8, count: u8) -> Vec<String> {
    (1..=count).map(|host| format!("10.0.{side}.{host}")).collect()
}

/// Two agents with so many addresses each, of which only the given one of each side hears the other.
fn one_path(
    count: u8,
    works: (u8, u8),
    rtt: Duration,
    change: impl FnMut(usize, &mut floe_agent::AgentConfig),
) -> World {
    let (left, right) = (hosts(0, count), hosts(1, count));
    let texts = |all: &[String]| all.iter().map(String::clone).collect::<Vec<_>>();
    let (left, right) = (texts(&left), texts(&right));
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let mut world = World::with([Role::Controlling, Role::Controlled], [&left, &right], rtt, change);
    let path = [[10, 0, 0, works.0], [10, 0, 1, works.1]].map(std::net::IpAddr::from);
    world.judge = Box::new(move |datagram| {
        let ends = [datagram.from.ip(), datagram.to.ip()];
        let inside = path.contains(&ends[0]) && path.contains(&ends[1]);
        if inside { Fate::Arrives } else { Fate::Lost }
    });
    world
}

/// When each side can send.
#[track_caller]
fn usable(world: &mut World, patience: Duration) -> [Instant; 2] {
    let valid = |world: &World, side| world.first(side, |event| matches!(event, Event::PairValid { .. }));
    let end = world.now.after(patience);
    world.run_until(end, |world| valid(world, 0).is_some() && valid(world, 1).is_some());
    [0, 1].map(|side| valid(world, side).expect("usable in time"))
}

/// Place of the working pair in the order of the checks, from 1.
fn place(world: &World, works: (u8, u8)) -> u32 {
    let mut pairs: Vec<_> = world.sides[0].agent.pairs().collect();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
    let [left, right] = [[10, 0, 0, works.0], [10, 0, 1, works.1]].map(std::net::IpAddr::from);
    let found =
        pairs.iter().position(|pair| pair.local.address.ip() == left && pair.remote.address.ip() == right);
    u32::try_from(found.expect("a pair") + 1).expect("few")
}

#[test]
fn p01_usable_two_round_trips_and_a_slot_for_each_check_before() {
    for rtt in [9, 47, 203].map(ms) {
        for count in [1, 2, 4, 8] {
            for works in [(1, 1), (count, 1), (1, count), (count, count)] {
                let mut world = one_path(count, works, rtt, |_, _| {});
                world.introduce();
                let before = place(&world, works);
                let limit = at(0).after(2 * rtt + before * TA);
                for (side, usable) in usable(&mut world, ms(5_000)).into_iter().enumerate() {
                    assert!(
                        usable <= limit,
                        "{count} hosts, {works:?}, {rtt:?}, side {side}: {usable:?} > {limit:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn p01_who_controls_and_what_hangs_makes_no_difference() {
    let rtt = ms(50);
    let times = |roles: [Role; 2], hanging: bool| {
        let mut world = World::with(roles, [&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]], rtt, |_, config| {
            if hanging {
                // Nobody is there: the allocation hangs for ever.
                let credentials = Credentials::new(b"ada", b"correct horse").expect("short");
                let url = "turn:192.0.2.9".parse().expect("a URI");
                config.gathering.servers = vec![ServerEntry::new(url, Some(credentials))];
            }
        });
        world.introduce();
        let [a, b] = usable(&mut world, ms(5_000));
        let selected = |event: &Event| matches!(event, Event::Selected { .. });
        assert!(world.run_to_selection(ms(5_000)));
        let [c, d] = [0, 1].map(|side| world.first(side, selected).expect("selected"));
        [a, b, c, d]
    };
    let roles = [Role::Controlling, Role::Controlled];
    let usual = times(roles, false);
    for (roles, hanging) in [([roles[1], roles[0]], false), (roles, true), ([roles[1], roles[0]], true)] {
        for (usual, other) in usual.into_iter().zip(times(roles, hanging)) {
            assert!(
                other <= usual.after(rtt + TA),
                "{roles:?}, hanging: {hanging}: {other:?} after {usual:?}"
            );
        }
    }
}

#[test]
fn p01_data_flows_on_a_valid_pair_before_nomination() {
    let mut world = one_path(8, (8, 8), ms(47), |_, _| {});
    world.introduce();
    let end = world.now.after(ms(5_000));
    let nothing_selected =
        |world: &World| world.sides.iter().all(|side| side.agent.selected(STREAM, RTP).is_none());
    let valid = |world: &World| world.first(0, |event| matches!(event, Event::PairValid { .. })).is_some();
    assert!(world.run_until(end, valid) && nothing_selected(&world));
    assert!(world.send(0, b"\x80 early"));
    world.run(ms(100));
    assert_eq!(world.sides[1].data, [(STREAM, RTP, b"\x80 early".to_vec())]);
}

#[test]
fn p05_a_working_pair_among_the_best_hundred_of_3600_is_found() {
    let mut world = one_path(60, (7, 7), ms(50), |_, _| {});
    world.introduce();
    assert!(world.sides.iter().all(|side| side.agent.pairs().count() <= 100));
    let usable = usable(&mut world, ms(2_000));
    assert!(usable.iter().all(|at| *at <= Instant::ORIGIN.after(100 * TA + 2 * ms(50))), "{usable:?}");
    assert!(world.run_to_selection(ms(2_000)));
    world.assert_agreed();
}

#[test]
fn p05_a_pair_beyond_the_limit_fails_cleanly_and_the_cut_is_told() {
    let mut world = one_path(60, (60, 60), ms(50), |_, _| {});
    world.introduce();
    world.complete_gathering();
    world.run(ms(120_000));
    for side in &world.sides {
        assert_eq!(side.agent.state(), State::Failed);
        let told = side.events.iter().any(|(_, event)| {
            matches!(event, Event::CheckLimit { limit: Limit::Pairs, .. } | Event::EventsLost(_))
        });
        assert!(told, "an event names the cut");
    }
    // No more than one check in each Ta, from first to last.
    let mut seen = BTreeSet::new();
    let mut last = None;
    let left = |datagram: &&spec_tests::wire::Datagram| datagram.from.ip().to_string().starts_with("10.0.0.");
    for datagram in world.log.iter().filter(left) {
        let id = floe_agent::stun::Message::parse(&datagram.bytes).expect("STUN").transaction_id();
        if datagram.kind == Some(TransmitKind::Check) && seen.insert(id) {
            assert!(last.is_none_or(|last| datagram.at.since(last) >= TA));
            last = Some(datagram.at);
        }
    }
}

#[test]
fn p05_a_better_pair_still_enters_when_the_limit_was_hit() {
    let mut bench = Bench::new(Role::Controlling);
    for index in 0..150_u16 {
        bench.add_remote(1_000 + index, &format!("203.0.{index}.1:4000"));
    }
    bench.drain();
    assert_eq!(bench.agent.pairs().count(), 100);
    let better = host_candidate(RTP, 1, address("10.0.1.1:1000"));
    bench.add_candidate(STREAM, &better);
    bench.drain();
    assert_eq!(bench.agent.pairs().count(), 100);
    assert!(bench.agent.pairs().any(|pair| pair.remote.address == better.address));
    let mut named = bench.events.iter().filter_map(|(_, event)| match event {
        Event::CheckLimit { limit: Limit::Pairs, remote, .. } => Some(*remote),
        _ => None,
    });
    assert_eq!(named.next_back(), Some(address("203.0.99.1:4000")), "the lowest goes, by name");
}

/// A candidate of the given type at this address.
fn of_type(kind: CandidateType, at: TransportAddress) -> Candidate {
    let host = host_candidate(RTP, 3, at);
    let priority = (host.priority.get() & 0x00FF_FFFF) | kind_preference(kind) << 24;
    let related = (kind != CandidateType::Host).then(|| address("0.0.0.0:9"));
    Candidate { kind, related, priority: Priority::new(priority).expect("in range"), ..host }
}

fn kind_preference(kind: CandidateType) -> u32 {
    match kind {
        CandidateType::Host => 126,
        CandidateType::ServerReflexive => 100,
        CandidateType::PeerReflexive => 110,
        CandidateType::Relayed => 0,
    }
}

/// Events and datagrams of a run, with their times.
type Run = (Vec<(Instant, String)>, Vec<(Instant, Vec<u8>)>);

#[test]
fn p09_signalling_a_learned_candidate_at_any_instant_is_not_noticed() {
    // A session as it goes, and the same with the candidate told at each millisecond of its life.
    let run = |told: Option<(u64, CandidateType)>| -> Run {
        let mut world = World::new([&["10.0.0.1"], &["10.0.1.1"]], ms(20));
        // The left side learns of the right one from its checks only.
        world.tell_parameters(0);
        world.tell_parameters(1);
        world.tell_candidates(1);
        if let Some((when, kind)) = told {
            world.run(ms(when));
            let line = CandidateLine::from(&of_type(kind, address("10.0.1.1:1000")));
            let now = world.now;
            let _ = world.sides[0].agent.add_remote_candidate(now, STREAM, &line).expect("in time");
            world.collect(0);
        }
        world.run_until(at(20_000), |_| false);
        let events: Vec<_> = world.sides[0].events.iter().map(|(at, event)| (*at, told_as(event))).collect();
        let sent: Vec<_> = world.log.iter().map(|datagram| (datagram.at, datagram.bytes.clone())).collect();
        world.assert_agreed();
        (events, sent)
    };
    let usual = run(None);
    // The first check of the right side arrives after 10 ms; before that the candidate is not a learned one.
    for kind in [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::Relayed] {
        for when in (11..60).chain([100, 1_000, 10_000]) {
            let other = run(Some((when, kind)));
            if kind == CandidateType::Relayed && when < 30 {
                // Known as a relay before the decision, it is given the time in which something better may come:
                // what happens is the same, only selection is later.
                let told = |run: &Run| run.0.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>();
                assert_eq!(told(&other), told(&usual), "{kind} after {when} ms: other events");
                continue;
            }
            assert_eq!(other.0, usual.0, "{kind} after {when} ms: other events");
            assert!(other.1 == usual.1, "{kind} after {when} ms: other datagrams");
        }
    }
}

/// An event without what signalling may change: the type, foundation and priority of the remote candidate.
fn told_as(event: &Event) -> String {
    match event {
        Event::Selected { stream, component, local, remote } => {
            format!("selected {stream:?} {component:?} {local:?} {}", remote.address)
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn p10_attributes_that_may_be_ignored_are() {
    // GOOG-NETWORK-INFO, GOOG-MISC-INFO, and numbers that belong to nobody yet.
    let peer = address("10.0.1.1:1000");
    let run = |others: Vec<u16>| {
        let mut bench = Bench::new(Role::Controlled);
        let (answer, _) = bench.ask(peer, &Ask { others, ..Ask::nominating() });
        let answer = answer.expect("an answer");
        let check = bench.next_check();
        bench.succeed(&check);
        bench.drain();
        (answer, bench.snapshot(), format!("{:?}", bench.events))
    };
    let usual = run(vec![]);
    assert_eq!(usual.0.code, None);
    for optional in [0x8000, 0xC001, 0xC057, 0xC059, 0xC060, 0xFFFF] {
        assert_eq!(run(vec![optional]), usual, "{optional:04x}");
    }
    assert_eq!(run((0xC000..0xC020).collect()), usual, "thirty of them");
    // What must be understood and is not is refused by name.
    let mut bench = Bench::new(Role::Controlled);
    let (answer, _) = bench.ask(peer, &Ask { others: vec![0xC057, 0x0031], ..Ask::controlling() });
    let answer = answer.expect("an answer");
    assert_eq!((answer.code, answer.unknown), (Some(420), vec![0x0031]));
}

#[test]
fn p10_lines_of_browsers_are_taken() {
    let mut bench = Bench::new(Role::Controlling);
    for line in [
        "candidate:842163049 1 udp 1677729535 203.0.113.4 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0 ufrag peerfrag network-cost 999",
        "candidate:0 1 UDP 2122252543 10.0.1.7 49203 typ host",
        "candidate:1467250027 1 udp 2122260223 10.0.1.196 56280 typ host generation 0 network-id 1 network-cost 10",
    ] {
        let parsed: CandidateLine = line.parse().expect(line);
        let added = bench.agent.add_remote_candidate(bench.now, STREAM, &parsed).expect("in time");
        assert_eq!(added, floe_agent::Added::Added, "{line}");
    }
    assert_eq!(bench.agent.pairs().count(), 3);
}

#[test]
fn p10_a_pair_whose_peer_is_heard_is_not_the_one_to_be_dropped() {
    // A full list, and an authenticated check from the lowest pair of all: it stays when better ones come.
    let mut bench = Bench::new(Role::Controlling);
    (0..100).for_each(|index| bench.add_remote(1_000 + index, &format!("203.0.{index}.1:4000")));
    bench.drain();
    let lowest = address("203.0.99.1:4000");
    let (answer, _) = bench.ask(lowest, &Ask::controlled());
    assert_eq!(answer.expect("an answer").code, None);
    (0..50).for_each(|index| bench.add_remote(index, &format!("203.1.{index}.1:4000")));
    bench.drain();
    assert!(bench.agent.pairs().any(|pair| pair.remote.address == lowest));
}

#[test]
fn p07_both_ends_agree_whatever_is_lost_late_or_doubled() {
    for seed in 0..150_u8 {
        let mut random = Random::from_seed([seed; 32]);
        let left = hosts(0, 1 + seed % 3);
        let right = hosts(1, 1 + seed / 3 % 3);
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let right: Vec<&str> = right.iter().map(String::as_str).collect();
        let roles = if seed % 5 == 0 { [Role::Controlled; 2] } else { [Role::Controlling, Role::Controlled] };
        let mut world = World::with(roles, [&left, &right], ms(40), |index, config| {
            config.seed = floe_agent::Seed([seed ^ if index == 0 { 0 } else { 0x55 }; 32]);
        });
        let loss = u64::from(seed % 4) * 10;
        world.judge = Box::new(move |_| match random.below(100) {
            roll if roll < loss => Fate::Lost,
            roll if roll < loss + 20 => Fate::Late(ms(roll)),
            _ => Fate::Arrives,
        });
        world.introduce();
        world.complete_gathering();
        assert!(world.run_to_selection(ms(30_000)), "seed {seed}");
        // Data on any pair that is valid is taken, also while the two still differ.
        assert!(world.send(0, b"\x80 left") && world.send(1, b"\x80 right"), "seed {seed}");
        world.run(ms(20_000));
        world.assert_agreed();
    }
}

#[test]
fn dst_01_candidates_told_have_their_families_interleaved() {
    let addresses =
        ["2001:db8::1", "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1", "10.0.0.1", "10.0.2.1"];
    let bench = Bench::bare(Role::Controlling, &addresses, |_| {});
    let mut told: Vec<(Priority, bool)> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } => {
                Some((candidate.priority, candidate.address.is_ipv6()))
            }
            _ => None,
        })
        .collect();
    told.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    let families: Vec<bool> = told.iter().map(|(_, is_ipv6)| *is_ipv6).collect();
    // RFC 8421 §4: (2 + 4) / 2 = 3 addresses of IPv6, then one of IPv4, and so on.
    assert_eq!(families, [true, true, true, false, true, false]);
    let distinct: BTreeSet<_> = told.iter().map(|(priority, _)| *priority).collect();
    assert_eq!(distinct.len(), told.len(), "each is unique");
}

#[test]
fn p37_random_input_at_random_instants_does_no_harm() {
    let spare = ["10.0.1.1:1000", "10.0.1.2:1000", "203.0.113.9:9"].map(address);
    for seed in 0..40_u8 {
        let mut random = Random::from_seed([seed; 32]);
        let role = if seed % 2 == 0 { Role::Controlling } else { Role::Controlled };
        let mut bench =
            Bench::bare(role, &[HOST, "10.0.2.1"], |config| config.seed = floe_agent::Seed([seed; 32]));
        let mut heard: Vec<Vec<u8>> = vec![vec![0; 20]];
        for _ in 0..400 {
            // The clock jumps, and goes backwards.
            let jump = [0, 1, 7, 500, 40_000][usize::try_from(random.below(5)).expect("few")];
            let now = bench.now.as_millis();
            bench.now = at(if random.below(5) == 0 { now.saturating_sub(jump) } else { now + jump });
            let source = spare[usize::try_from(random.below(3)).expect("few")];
            match random.below(12) {
                0 => bench.meet_if_open(),
                1 => bench.try_candidate(u16::try_from(random.below(500)).expect("few"), source),
                2 => bench.agent.remote_gathering_complete(bench.now),
                3 if random.below(20) == 0 => bench.agent.close(bench.now),
                4 => drop(bench.send(b"\x80 data")),
                5 | 6 => {
                    // Something that was sent before, or a request, with some bytes of it changed.
                    let index = usize::try_from(random.below(heard.len() as u64)).expect("an index");
                    let mut bytes = heard[index].clone();
                    for _ in 0..random.below(4) {
                        let byte = usize::try_from(random.below(bytes.len() as u64)).expect("an index");
                        bytes[byte] ^= u8::try_from(random.below(256)).expect("a byte");
                    }
                    bench.try_receive(source, &bytes);
                }
                7 => {
                    let id = bench.new_id();
                    let ask = if random.below(2) == 0 { Ask::nominating() } else { Ask::controlled() };
                    bench.try_receive(source, &ask.bytes(id));
                }
                8 => {
                    let mut bytes = vec![0; usize::try_from(random.below(200)).expect("few")];
                    random.fill(&mut bytes);
                    bench.try_receive(source, &bytes);
                }
                _ => bench.agent.handle_timeout(bench.now, &mut bench.pacer),
            }
            let sent = bench.drain();
            for check in sent.iter().filter(|sent| sent.kind == TransmitKind::Check) {
                if random.below(3) == 0 && !bench.sockets.is_empty() {
                    let mapped = spec_tests::wire::Answer::Success(bench.local(0));
                    let bytes =
                        spec_tests::wire::answer(check.id(), mapped, Some(spec_tests::wire::THEIR_PWD));
                    let _ = bench.receive_at(check.from, check.to, &bytes);
                }
            }
            heard.extend(sent.into_iter().map(|sent| sent.bytes));
            assert!(bench.agent.pairs().count() <= 200, "seed {seed}");
        }
        // Whatever happened, it comes to rest: with the clock run out nothing is due for ever.
        bench.agent.close(bench.now);
        bench.wait(ms(10_000));
        assert!(bench.agent.is_closed(), "seed {seed}");
    }
}

/// Steps of the random test, none of which may be refused loudly.
trait Harmless {
    fn meet_if_open(&mut self);
    fn try_candidate(&mut self, index: u16, at: TransportAddress);
    fn try_receive(&mut self, source: TransportAddress, bytes: &[u8]);
}

impl Harmless for Bench {
    fn meet_if_open(&mut self) {
        let _ = self.agent.set_remote_parameters(self.now, spec_tests::wire::remote_parameters());
    }

    fn try_candidate(&mut self, index: u16, at: TransportAddress) {
        let line = CandidateLine::from(&host_candidate(RTP, index, at));
        let _ = self.agent.add_remote_candidate(self.now, STREAM, &line);
    }

    fn try_receive(&mut self, source: TransportAddress, bytes: &[u8]) {
        if let Some((socket, local)) = self.sockets.first().copied() {
            let place = floe_agent::pair::Place { socket, local_ip: local.ip() };
            let arrival: Arrival = self.receive_at(place, source, bytes);
            drop(arrival);
        }
    }
}

#[test]
fn p05_with_a_limit_of_4000_the_last_of_3600_pairs_is_found_in_18_seconds() {
    let mut world = one_path(60, (60, 60), ms(50), |_, config| config.checks.pair_limit = 4_000);
    world.introduce();
    assert!(world.sides.iter().all(|side| side.agent.pairs().count() == 3_600));
    let limit = Instant::ORIGIN.after(Duration::from_secs(18) + 2 * ms(50));
    let usable = usable(&mut world, ms(100_000));
    assert!(usable.iter().all(|at| *at <= limit), "{usable:?}");
}
