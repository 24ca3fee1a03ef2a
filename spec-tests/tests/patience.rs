//! Patience (RFC 8863): when a session has failed, and when not yet.

use floe_agent::{
    AgentConfig, Event, Server, State, TransmitKind,
    pair::Role,
    stun::{Class, Instant, Message},
};
use spec_tests::wire::{
    Ask, Bench, Fate, HOST, RTP, STREAM, Sent, World, address, at, host_candidate, ms, next_parameters,
    remote_parameters,
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const PEER: &str = "10.0.1.1:1000";

/// When the agent says that it has failed.
fn failed(bench: &Bench) -> Option<u64> {
    bench.first(|event| matches!(event, Event::State(State::Failed))).map(Instant::as_millis)
}

/// An agent that has gathered and knows its peer after `delay`, and that this is all there is.
fn alone(role: Role, delay: u64) -> Bench {
    let mut bench = Bench::bare(role, &[HOST], |_| {});
    bench.wait(ms(delay));
    bench.meet();
    bench.agent.remote_gathering_complete(bench.now);
    bench
}

#[test]
fn pac_01_the_timer_runs_from_the_moment_both_sides_have_their_parameters() {
    for role in ROLES {
        for delay in [0, 7, 600_000] {
            let mut bench = alone(role, delay);
            bench.wait(ms(39_499));
            assert_eq!((bench.agent.state(), failed(&bench)), (State::Checking, None), "an empty checklist");
            bench.wait(ms(3_600_000));
            assert_eq!(failed(&bench), Some(delay + 39_500), "{role:?}");
            assert_eq!(bench.events.iter().filter(|(_, event)| matches!(event, Event::Failed(_))).count(), 1);
        }
    }
}

/// RFC 8863 §4: each ICE session has the timer, so that it runs anew for the parameters of a restart.
#[test]
fn pac_01_the_timer_runs_anew_in_each_generation() {
    for role in ROLES {
        for delay in [0, 7_000, 600_000] {
            let mut bench = Bench::new(role);
            bench.select(PEER);
            bench.wait(ms(31_000));
            assert!(bench.first(|event| matches!(event, Event::ConsentLost { .. })).is_some());
            bench.agent.restart(bench.now).expect("open");
            bench.wait(ms(delay));
            bench.agent.set_remote_parameters(bench.now, next_parameters()).expect("the answer");
            bench.agent.remote_gathering_complete(bench.now);
            let end = bench.now.after(ms(39_500));
            bench.wait(ms(39_499));
            assert_eq!(failed(&bench), None, "{role:?}, answered after {delay} ms");
            bench.wait(ms(3_600_000));
            assert_eq!(failed(&bench), Some(end.as_millis()), "{role:?}, answered after {delay} ms");
        }
    }
}

/// RFC 8863 §4, `docs/deviations.md`: a lite agent sends no checks, so that only the peer's show that it still tries.
#[test]
fn pac_01_of_a_lite_agent_runs_anew_with_each_request() {
    for (asked, expected) in
        [(&[][..], 39_500), (&[39_000], 78_500), (&[1_000], 40_500), (&[20_000, 59_400, 98_800], 138_300)]
    {
        let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| config.lite = true);
        bench.meet();
        bench.agent.remote_gathering_complete(bench.now);
        for asked in asked {
            bench.wait_until(at(*asked), |_| false);
            let (answer, _) = bench.ask(address(PEER), &Ask::controlling());
            assert_eq!(answer.expect("an answer").code, None);
            // What is not authenticated shows nothing.
            bench.wait(ms(50));
            bench.ask(
                address(PEER),
                &Ask { password: "another0password12345678".into(), ..Ask::controlling() },
            );
        }
        bench.wait_until(at(expected - 1), |_| false);
        assert_eq!((bench.agent.state(), failed(&bench)), (State::Checking, None), "asked at {asked:?}");
        bench.wait(ms(600_000));
        assert_eq!(failed(&bench), Some(expected), "asked at {asked:?}");
    }
}

#[test]
fn pac_01_the_timer_runs_where_our_candidates_come_late() {
    // The peer's parameters are there before our first candidate is.
    let mut bench = Bench::bare(Role::Controlled, &[], |_| {});
    bench.meet();
    bench.agent.remote_gathering_complete(bench.now);
    bench.wait(ms(30_000));
    bench.gather(&[HOST]);
    bench.wait(ms(100_000));
    assert_eq!(failed(&bench), Some(39_500));
}

#[test]
fn pac_01_pairs_that_fail_at_once_fail_nothing_before() {
    // RFC 8863 §3.2, §3.3: candidates of no use, and checks that are refused as soon as they come.
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.add_remote(0, "[2001:db8::1]:1000");
        bench.add_remote(1, PEER);
        bench.agent.remote_gathering_complete(bench.now);
        let check = bench.next_check();
        bench.refuse(&check, 500);
        bench.drain();
        assert!(bench.agent.pairs().all(|pair| !pair.valid && pair.failure.is_some()), "nothing is left");
        bench.wait_until(at(39_499), |_| false);
        assert_eq!(bench.agent.state(), State::Checking);
        bench.wait(ms(1));
        assert_eq!(failed(&bench), Some(39_500), "{role:?}");
    }
}

#[test]
fn pac_01_a_check_that_comes_in_the_last_moment_connects() {
    // RFC 8863 §3.1: a peer that told no candidate is found by its checks.
    for role in ROLES {
        let mut bench = alone(role, 0);
        bench.wait(ms(39_400));
        let peer = address(PEER);
        let ask = Ask::concluding(role);
        let (answer, sent) = bench.ask(peer, &ask);
        assert_eq!(answer.expect("an answer").code, None);
        let mut more = bench.converse(ms(60_000), |_| true);
        more.splice(..0, sent);
        assert!(more.iter().any(|sent| sent.kind == TransmitKind::Check && sent.to == peer));
        assert_eq!((bench.agent.state(), failed(&bench)), (State::Completed, None), "{role:?}");
    }
}

#[test]
fn pac_02_it_fails_when_the_last_pair_that_could_work_has_failed() {
    // Candidates that come late are checked for as long as a transaction takes, after patience is over.
    for (late, expected) in [(0, 39_500), (10_000, 49_500), (39_000, 78_500)] {
        let mut bench = Bench::new(Role::Controlling);
        bench.wait(ms(late));
        bench.add_remote(0, PEER);
        bench.agent.remote_gathering_complete(bench.now);
        bench.wait(ms(3_600_000));
        let found = failed(&bench).expect("it ends");
        assert!((expected..=expected + 10).contains(&found), "{found}, not {expected}");
    }
}

#[test]
fn pac_02_a_pair_may_be_nominated_long_before() {
    for role in ROLES {
        let mut bench = Bench::new(role);
        bench.select(PEER);
        assert!(bench.now < at(1_000), "{role:?}");
        assert_eq!(bench.agent.state(), State::Completed);
    }
}

#[test]
fn pac_02_the_stream_that_is_left_without_a_pair_fails_and_the_other_lives() {
    let streams = [STREAM, floe_agent::pair::StreamId(1)];
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::with(roles, [&["10.0.0.1"], &["10.0.1.1"]], ms(20), |_, config| {
        config.streams = streams.map(|stream| (stream, vec![RTP])).to_vec();
    });
    // The second stream's sockets reach nobody.
    world.judge =
        Box::new(
            |one| {
                if [one.from.port(), one.to.port()].contains(&1001) { Fate::Lost } else { Fate::Arrives }
            },
        );
    world.introduce();
    world.complete_gathering();
    world.run(ms(120_000));
    for side in &mut world.sides {
        assert_eq!(side.agent.state(), State::Completed, "of all that live");
        assert!(side.send_of(streams[0], RTP, b"\x80").is_ok());
        assert!(side.send_of(streams[1], RTP, b"\x80").is_err());
    }
}

#[test]
fn pac_03_trickling_changes_nothing_about_it() {
    // With `trickle` in the options of both, candidates after ten seconds, and an end of candidates or none.
    for told in [true, false] {
        let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| config.trickle = true);
        let options = remote_parameters().options.with_trickle();
        let parameters = floe_agent::pair::Parameters { options, ..remote_parameters() };
        bench.agent.set_remote_parameters(bench.now, parameters).expect("in time");
        if told {
            bench.agent.remote_gathering_complete(bench.now);
        }
        bench.wait(ms(39_499));
        assert_eq!(bench.agent.state(), State::Checking, "told: {told}");
        bench.wait(ms(100_000));
        assert_eq!(failed(&bench), Some(39_500), "told: {told}: the timer stands in for the end");
    }
}

#[test]
fn pac_03_while_our_own_candidates_may_come_nothing_fails() {
    // TRK-02: a server that never answers holds gathering open, and the checklist with it.
    let url = "stun:192.0.2.1".parse().expect("a URI");
    let mut config = AgentConfig::new([7; 32], Role::Controlled);
    config.gathering.servers = vec![Server::new(url, None)];
    config.gathering.deadline = ms(30_000);
    let mut bench = Bench::with(config);
    bench.meet();
    bench.agent.remote_gathering_complete(bench.now);
    bench.wait(ms(20_000));
    bench.gather(&[HOST]);
    bench.wait(ms(100_000));
    let complete = bench.first(|event| matches!(event, Event::GatheringComplete { .. })).expect("it ends");
    assert!(complete > at(39_500), "{complete:?}");
    assert_eq!(failed(&bench), Some(complete.as_millis()));
}

#[test]
fn p04_a_session_without_a_path_ends_in_computable_time_and_rests() {
    for role in ROLES {
        for pairs in [0, 1, 20, 100] {
            let mut bench = Bench::new(role);
            for index in 0..pairs {
                bench.add_candidate(
                    STREAM,
                    &host_candidate(RTP, index, address(&format!("203.0.113.1:{}", 1000 + index))),
                );
            }
            bench.agent.remote_gathering_complete(bench.now);
            let sent = bench.wait(ms(3_600_000));
            let end = failed(&bench).expect("it ends");
            // Each pair waits for its slot, and has seven requests over 79 RTOs of at most a second.
            let bound = 39_500.max(u64::from(pairs) * 5 + 79_000) + u64::from(pairs) * 7 * 5;
            assert!((39_500..=bound).contains(&end), "{pairs} pairs: {end} ms");
            assert!(sent.iter().all(|sent| sent.at <= at(end)), "and then it rests");
            assert_eq!(sent.len(), usize::from(pairs) * 7, "seven requests each");
        }
    }
}

/// Nothing but answers to requests goes from an agent that has failed; and a peer that asks brings it back.
#[test]
fn p04_a_peer_that_comes_after_the_end_is_still_met() {
    let mut bench = alone(Role::Controlled, 0);
    bench.wait(ms(60_000));
    assert_eq!(bench.agent.state(), State::Failed);
    let (answer, _) = bench.ask(address(PEER), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    bench.converse(ms(10_000), |_| true);
    assert_eq!(bench.agent.state(), State::Completed);
    let told = bench.states();
    assert_eq!(told.last(), Some(&State::Completed), "{told:?}");
}

/// A failed nomination leads to the next best valid pair, whichever of the pairs it was (P04).
#[test]
fn p04_a_nomination_that_fails_falls_back_to_the_next_valid_pair() {
    let targets = ["10.0.1.1:1000", "10.0.1.2:1000", "10.0.1.3:1000"];
    for refused in 0..targets.len() {
        let mut bench = Bench::new(Role::Controlling);
        for (index, target) in (0..).zip(targets) {
            bench.add_remote(index, target);
        }
        bench.agent.remote_gathering_complete(bench.now);
        let mut nominated = Vec::new();
        let end = bench.now.after(ms(5_000));
        while bench.agent.selected(STREAM, RTP).is_none() && bench.now < end {
            let check = bench.next_check();
            let asked = Message::parse(&check.bytes).expect("STUN");
            assert_eq!(asked.class(), Class::Request);
            if !check.request().use_candidate {
                bench.succeed(&check);
                continue;
            }
            nominated.push(check.to);
            if nominated.len() <= refused {
                bench.refuse(&check, 400);
            } else {
                bench.succeed(&check);
            }
        }
        let expected: Vec<_> = targets.iter().take(refused + 1).map(|target| address(target)).collect();
        assert_eq!(nominated, expected, "in the order of their priorities");
        let selected = bench.agent.selected(STREAM, RTP).map(|pair| pair.remote);
        assert_eq!(selected, Some(address(targets[refused])));
    }
}

#[test]
fn p03_a_peer_that_answers_ten_minutes_later_connects() {
    // Full, half and no trickle alike: nothing runs out while nothing is known of the peer.
    for (role, trickle) in [(Role::Controlling, true), (Role::Controlled, true), (Role::Controlling, false)] {
        let mut bench = Bench::bare(role, &[HOST], |config| config.trickle = trickle);
        let sent: Vec<Sent> = bench.wait(ms(600_000));
        assert_eq!((sent.len(), bench.agent.state()), (0, State::New));
        bench.meet();
        // Its candidates come later still.
        bench.wait(ms(20_000));
        assert_eq!(bench.agent.state(), State::Checking);
        bench.select(PEER);
        assert_eq!(bench.agent.state(), State::Completed);
        assert_eq!(failed(&bench), None);
    }
}
