//! What happens in hours: states that do not flap, traffic that is bounded, sleep, and what a relay hides.

use std::{cell::Cell, collections::BTreeMap, fmt::Write as _, rc::Rc, time::Duration};

use floe_agent::{
    AgentConfig, Event, Policy, State, TransmitKind,
    pair::{CandidateLine, CandidateType, Role},
    stun::{Class, Instant, Message, Random, attribute::XorMappedAddress},
};
use floe_check::ConsentConfig;
use spec_tests::wire::{Ask, Bench, Fate, HOST, RTP, STREAM, World, address, at, host_candidate, ms, relay};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const PEER: &str = "10.0.1.1:1000";
const HOUR: Duration = Duration::from_secs(3_600);

/// A session of a minute; the n-th datagram is lost, of both sides together, and consent is lost to none.
fn minute_without(lost: Option<usize>) -> World {
    let mut world = World::new([&["10.0.0.1"], &["10.0.1.1"]], ms(100));
    let mut count = 0;
    world.judge = Box::new(move |_| {
        count += 1;
        if Some(count) == lost { Fate::Lost } else { Fate::Arrives }
    });
    world.introduce();
    world.run(ms(60_000));
    world
}

#[test]
fn p14_the_loss_of_any_one_datagram_changes_no_state_that_is_told() {
    let states = |world: &World| world.sides.each_ref().map(Bench::states);
    let undisturbed = minute_without(None);
    assert_eq!(states(&undisturbed)[0], [State::Checking, State::Connected, State::Completed]);
    assert!(undisturbed.log.len() > 40, "{}", undisturbed.log.len());
    for lost in 1..=undisturbed.log.len() {
        let world = minute_without(Some(lost));
        assert_eq!(states(&world), states(&undisturbed), "datagram {lost}");
    }
}

#[test]
fn p14_a_batch_of_changes_makes_one_change_of_state_at_most() {
    // Two paths of the peer; the host's addresses come and go, all of them at once.
    let hosts = [&[HOST][..], &["10.0.2.1"], &[], &[HOST, "10.0.2.1"], &["10.0.3.1"]];
    for first in hosts {
        for second in hosts {
            let mut bench = Bench::bare(Role::Controlled, first, |_| {});
            bench.meet();
            for index in 0..3 {
                bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1));
            }
            bench.converse(ms(500), |_| true);
            bench.events.clear();
            bench.gather(second);
            let told = bench.states();
            assert!(told.len() <= 1, "{first:?} to {second:?}: {told:?}");
            let before = told.len();
            bench.drain();
            assert_eq!(bench.states().len(), before, "and nothing is left to tell");
        }
    }
}

#[test]
fn p14_answers_that_come_together_make_one_change_of_state() {
    let mut bench = Bench::new(Role::Controlled);
    for index in 0..3 {
        bench.add_remote(index, &format!("10.0.1.{}:1000", index + 1));
    }
    let checks = [bench.next_check(), bench.next_check(), bench.next_check()];
    bench.events.clear();
    for check in &checks {
        bench.succeed(check);
    }
    bench.drain();
    assert_eq!(bench.states(), [State::Connected]);
}

/// The most that an agent may send in an hour to a peer that answers, by kind: consent each 4 s at least, and one
/// answer for each request.
#[test]
fn p34_a_connected_hour_costs_a_bounded_number_of_datagrams() {
    for (loss, seed) in [(0_u64, 1_u8), (10, 2), (30, 3)] {
        let mut world = World::new([&["10.0.0.1", "10.0.2.1"], &["10.0.1.1"]], ms(50));
        let mut dice = Random::from_seed([seed; 32]);
        world.judge = Box::new(move |_| if dice.below(100) < loss { Fate::Lost } else { Fate::Arrives });
        world.introduce();
        world.run(HOUR);
        for side in 0..2 {
            let mut kinds: BTreeMap<TransmitKind, usize> = BTreeMap::new();
            for one in
                world.log.iter().filter(|one| world.sides[side].sockets.iter().any(|(_, at)| *at == one.from))
            {
                *kinds.entry(one.kind.expect("sent by an agent")).or_default() += 1;
            }
            let of = |kind| kinds.get(&kind).copied().unwrap_or_default();
            // Two pairs: seven requests of the first transaction each, then at most forty fresh ones of as many.
            let checks = 2 * (7 + 40 * 7);
            // While both are valid both are asked for consent.
            let consents = 900 + 2 * 10;
            assert!(of(TransmitKind::Check) <= checks, "{kinds:?}");
            assert!(of(TransmitKind::Consent) <= consents, "{kinds:?}");
            assert!(of(TransmitKind::Response) <= checks + consents, "{kinds:?}");
            assert_eq!(kinds.len(), 3, "and nothing else: {kinds:?}");
        }
    }
}

/// An agent asks again because it was asked: two of them would never rest.
#[test]
fn p34_a_request_that_is_answered_draws_no_request() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        let ask = Ask::of_peer(role);
        let (mut asked, mut other) = (0, Vec::new());
        let end = bench.now.after(ms(60_000));
        while bench.now < end {
            let (answer, sent) = bench.ask(address(PEER), &ask);
            assert!(answer.is_some());
            asked += 1;
            other.extend(sent);
            other.extend(bench.converse(ms(10), |_| true));
        }
        assert!(asked >= 6_000);
        assert!(other.len() <= 15, "{} datagrams beside the answers", other.len());
        assert!(other.iter().all(|sent| sent.kind == TransmitKind::Consent));
    }
}

#[test]
fn p34_an_idle_hour_has_one_poll_for_each_request_and_none_without_use() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        // Others that were candidates once cost nothing later.
        for index in 1..40 {
            bench
                .add_candidate(STREAM, &host_candidate(RTP, index, address(&format!("203.0.113.{index}:9"))));
        }
        bench.select(PEER);
        // The transactions of the others run out.
        bench.converse(ms(120_000), |sent| sent.to == address(PEER));
        let (end, mut polls, mut sent) = (bench.now.after(HOUR), 0, 0);
        while let Some(next) = bench.agent.poll_timeout().filter(|next| *next <= end) {
            assert!(next > bench.now, "a deadline that is past");
            // A nanosecond before it nothing is due.
            let early = Instant::from_nanos(next.as_nanos() - 1);
            bench.agent.handle_timeout(early, &mut bench.pacer);
            bench.now = early;
            assert_eq!(bench.drain(), []);
            bench.now = next;
            bench.agent.handle_timeout(next, &mut bench.pacer);
            let requests = bench.drain();
            assert_eq!(requests.len(), 1, "a poll that does nothing, or a burst: {requests:?}");
            bench.succeed(&requests[0]);
            assert_eq!(bench.drain(), []);
            (polls, sent) = (polls + 1, sent + requests.len());
        }
        assert!((600..=900).contains(&polls), "{polls} polls");
        assert_eq!(bench.agent.pairs().count(), 1, "the checklist is given back");
    }
}

#[test]
fn t40_a_clock_that_jumps_does_due_work_once() {
    for jump in [1, 1_000, 29_000, 31_000, 8 * 3_600_000, 10 * 3_600_000] {
        for role in ROLES {
            for connected in [true, false] {
                let mut bench = Bench::new(role);
                for index in 1..30 {
                    bench.add_candidate(
                        STREAM,
                        &host_candidate(RTP, index, address(&format!("203.0.113.{index}:9"))),
                    );
                }
                if connected {
                    bench.select(PEER);
                    bench.converse(ms(20_000), |sent| sent.to == address(PEER));
                } else {
                    bench.wait(ms(200));
                }
                let until = bench.agent.selected(STREAM, RTP).map(|pair| pair.valid_until);
                // The host sleeps; then it wakes and its driver goes on.
                bench.now = bench.now.after(ms(jump));
                let woken = bench.now;
                bench.agent.handle_timeout(bench.now, &mut bench.pacer);
                let mut sent = bench.drain();
                sent.extend(bench.wait(ms(1_000)));
                let name = format!("{jump} ms, {role:?}, connected: {connected}");
                for two in sent.windows(2) {
                    let apart = two[1].at.since(two[0].at);
                    assert!(apart >= ms(5), "{name}: {apart:?} between two of {}", sent.len());
                }
                // What was due comes once, whatever was missed: each of 29 pairs has one request in flight, and at most
                // one retransmission of it falls into the second. Where one is selected, consent is all there is.
                let limit = if connected { 1 } else { 2 * 29 };
                assert!(sent.len() <= limit, "{name}: {}", sent.len());
                if connected {
                    let consents = sent.iter().filter(|sent| sent.kind == TransmitKind::Consent).count();
                    let expired = until.is_some_and(|until| until <= woken);
                    assert!(expired == (jump > 30_000) || jump == 29_000, "{name}");
                    assert!(consents <= usize::from(!expired), "{name}: {consents} consent requests");
                    if jump != 29_000 {
                        assert_eq!(bench.send(b"\x80").is_ok(), !expired, "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn t40_a_clock_that_goes_back_counts_as_one_that_stands() {
    let mut bench = Bench::new(Role::Controlling);
    bench.select(PEER);
    bench.converse(ms(60_000), |_| true);
    // The last that the agent was told of the time is now.
    let (answer, _) = bench.ask(address(PEER), &Ask::controlled());
    assert!(answer.is_some());
    let (deadline, snapshot) = (bench.agent.poll_timeout(), bench.snapshot());
    for back in [at(0), at(59_000)] {
        bench.agent.handle_timeout(back, &mut bench.pacer);
        assert_eq!(bench.drain(), []);
        let mut payload = Ask::controlled().bytes(bench.new_id());
        let place = bench.place(0);
        let received = floe_agent::Received {
            socket: place.socket,
            local_ip: place.local_ip,
            source: address(PEER),
            ecn: floe_agent::Ecn::default(),
            payload: &mut payload,
        };
        assert!(matches!(bench.agent.handle_datagram(back, received), floe_agent::Handled::Taken));
        assert_eq!(bench.drain().len(), 1, "an answer");
        assert_eq!(bench.agent.poll_timeout(), deadline);
    }
    // The two requests were counted, and nothing else has changed.
    let [before, after] = [snapshot, bench.snapshot()].map(|text| {
        let (head, rest) = text.split_once("requests_received: ").expect("a pair");
        let (count, rest) = rest.split_at(rest.find(|one: char| !one.is_ascii_digit()).expect("more"));
        (head.to_owned(), count.parse::<u32>().expect("a number"), rest.to_owned())
    });
    assert_eq!(after, (before.0, before.1 + 2, before.2));
    bench.converse(ms(60_000), |_| true);
    assert_eq!(bench.agent.state(), State::Completed);
}

/// Everything that can be seen of a host that may show its relay only, as text.
fn seen(world: &World, side: usize) -> String {
    let mut seen = String::new();
    for (_, event) in &world.sides[side].events {
        if let Event::LocalCandidate { candidate, .. } = event {
            let _ = writeln!(seen, "{}", CandidateLine::from(candidate));
        }
    }
    seen
}

#[test]
fn p40_with_relays_only_nothing_else_is_shown_or_sent_to() {
    let relays = |_: usize, config: &mut AgentConfig| config.gathering.policy = Policy::RelayOnly;
    let (mut world, server) = relay::relayed([true, true], ms(40), relays);
    for side in 0..2 {
        relay::gather_relay(&mut world, side);
    }
    world.introduce();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(5_000)));
    assert!(world.send(0, b"\x80 one") && world.send(1, b"\x80 two"));
    world.run(ms(600_000));
    world.assert_agreed();
    assert_eq!(server.allocations(), 2);
    let hosts = relay::HOSTS.map(|ip| address(&format!("{ip}:1")).ip());
    for side in 0..2 {
        // Candidate lines, events and what the peer learns.
        let own = seen(&world, side);
        assert!(own.contains("typ relay") && own.lines().count() == 1, "{own}");
        assert!(!own.contains(relay::HOSTS[side]), "{own}");
        let told = format!("{:?}", world.sides[1 - side].events);
        assert!(!told.contains(relay::HOSTS[side]), "the peer is told of {told}");
        let selected = world.sides[1 - side].agent.selected(STREAM, RTP).expect("selected");
        assert_eq!(selected.remote_candidate.kind, CandidateType::Relayed);
    }
    for one in &world.log {
        let [from, to] = [one.from.ip(), one.to.ip()];
        if hosts.contains(&from) {
            assert_eq!(one.to, address(relay::SERVER), "to the server only: {one:?}");
        }
        assert!(!(hosts.contains(&from) && hosts.contains(&to)));
        // What the relays say to each other names no host.
        let between = !hosts.contains(&from) && !hosts.contains(&to) && one.kind.is_none();
        if between
            && let Ok(message) = Message::parse(&one.bytes)
            && message.class() == Class::Success
        {
            let mapped = message.get::<XorMappedAddress>().expect("well-formed").expect("present").0.ip();
            assert!(!hosts.contains(&mapped), "{mapped}");
        }
    }
}

#[test]
fn p40_early_checks_under_loss_and_dead_peers_end_well_with_relays_only() {
    // P03, P04, P07 and P15 in this mode: signalling in an awkward order, loss, a peer that goes away.
    for seed in 0..12_u8 {
        let relays = |_: usize, config: &mut AgentConfig| {
            config.gathering.policy = Policy::RelayOnly;
            config.checks.consent = Some(ConsentConfig::default());
        };
        let (mut world, _server) = relay::relayed([true, true], ms(40), relays);
        for side in 0..2 {
            relay::gather_relay(&mut world, side);
        }
        let mut judge = std::mem::replace(&mut world.judge, Box::new(|_| Fate::Lost));
        let (mut dice, lossy) = (Random::from_seed([seed; 32]), Rc::new(Cell::new(true)));
        let loses = lossy.clone();
        world.judge =
            Box::new(move |one| if loses.get() && dice.below(100) < 10 { Fate::Lost } else { judge(one) });
        // The side that knows less answers checks before it knows the peer.
        let late = (seed % 2) as usize;
        world.tell_parameters(1 - late);
        world.tell_candidates(1 - late);
        world.run(ms(700));
        world.tell_parameters(late);
        // Without the other's candidate no permission lets its checks in.
        world.run(ms(u64::from(seed % 3) * 400));
        world.tell_candidates(late);
        assert!(world.run_to_selection(ms(30_000)), "seed {seed}: {:?}", world.sides[0].agent.state());
        world.assert_agreed();
        lossy.set(false);
        world.run(ms(60_000));
        assert!(world.is_completed(), "seed {seed}");
        let gone = world.now;
        world.judge = Box::new(|_| Fate::Lost);
        world.run(ms(40_000));
        for side in 0..2 {
            let end = world.first(side, |event| matches!(event, Event::ConsentLost { .. })).expect("over");
            assert!(end <= gone.after(ms(30_040)) && !world.send(side, b"\x80"), "seed {seed}");
        }
    }
}
