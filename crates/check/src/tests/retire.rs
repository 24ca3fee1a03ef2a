//! Generations that a restart has replaced; streams and components that come and go.

use floe_pair::{ComponentId, Role, StreamId, Ufrag};

use super::script::*;
use super::world::*;
use crate::{Admission, Config, Event, PairState, State, TransmitKind};

const SECOND: StreamId = StreamId(1);

/// Selected on both sides; the left one is retired at 10 s.
fn retired() -> World {
    let mut world = World::hosts(3, millis(50));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(10_000));
    let now = world.now;
    world.sides[0].set.retire(now);
    for side in &mut world.sides {
        side.sent.clear();
        side.events.clear();
    }
    world
}

#[test]
fn ice_36_the_old_generation_keeps_its_pair_and_its_consent() {
    let mut world = retired();
    let [left, right] = &world.sides;
    assert!(left.set.is_retired() && !right.set.is_retired());
    assert_eq!(left.set.pairs().count(), 1);
    let pair = left.set.best_valid(STREAM, RTP).expect("data goes on");
    world.run(ms(600_000));
    let [left, right] = &world.sides;
    let after = left.set.best_valid(STREAM, RTP).expect("after ten minutes");
    assert_eq!((after.id, after.base, after.remote), (pair.id, pair.base, pair.remote));
    assert!(after.valid_until > world.now, "consent is kept");
    assert!(left.set.has_nominated(STREAM, RTP));
    assert!(right.set.selected(STREAM, RTP).is_some(), "the peer is answered");
    assert!(left.events.is_empty(), "{:?}", left.events);
    let kinds = |kind| matches!(kind, TransmitKind::Consent | TransmitKind::Response);
    assert!(left.sent.iter().all(|(_, kind, _)| kinds(*kind)), "no checks");
}

#[test]
fn con_05_consent_of_the_old_generation_ends_as_any_does() {
    let mut world = retired();
    world.passes = std::boxed::Box::new(|_, _, _, _| false);
    world.run(ms(100_000));
    let lost = Event::ConsentLost { stream: STREAM, component: RTP };
    let events: std::vec::Vec<_> = world.sides[0].events.iter().map(|(_, event)| *event).collect();
    assert_eq!(events, [lost], "told once, and nothing else");
    assert!(world.sides[0].set.best_valid(STREAM, RTP).is_none());
    assert_eq!(world.sides[0].set.poll_timeout(), None);
    assert!(world.sides[0].sent.iter().all(|(at, _, _)| *at < ms(46_000)), "not one datagram more");
}

#[test]
fn p17_a_generation_that_is_retired_while_it_checks_keeps_its_best_valid_pair() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(address("10.0.1.9:1000"), 0);
    script.add_remote(remote(), 1);
    script.add_remote(address("10.0.1.2:1000"), 2);
    let checks: std::vec::Vec<_> = (0..3).map(|_| script.slot().expect("a check")).collect();
    script.wait(50);
    script.succeed(&checks[1]);
    script.succeed(&checks[2]);
    let _ = script.events();
    script.set.retire(script.now);
    assert_eq!(script.set.pairs().count(), 1);
    assert_eq!(script.set.best_valid(STREAM, RTP).map(|pair| pair.remote), Some(remote()));
    assert!(!script.set.has_nominated(STREAM, RTP), "the peer may keep another");
    assert!(script.slot().is_none() && script.events().is_empty());
    // What answers now, and what is told now, is of no generation that lives.
    let late =
        reply(checks[0].id(), Reply::Success(local()), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_eq!(script.answer_from(BASE, checks[0].to, &late), crate::Outcome::NotOurs);
    script.add_remote(address("10.0.1.5:1000"), 4);
    assert_eq!(script.set.pairs().count(), 1);
    // Requests with the old credentials are answered, and lead to nothing.
    script.ask_well(address("10.0.1.6:1000"), &Ask::controlling());
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!(script.set.pairs().count(), 1);
    assert!(script.slot().is_none() && script.events().is_empty());
    for sent in script.wait(25_000) {
        assert_eq!(sent.kind, TransmitKind::Consent);
        script.succeed(&sent);
    }
    script.wait(20_000);
    assert!(script.set.best_valid(STREAM, RTP).is_some());
    script.set.retire(script.now);
    assert_eq!(script.set.pairs().count(), 1, "twice is once");
}

/// Renomination draft §3.1: only what is kept available is answered with success. The peer, whose restart offer has been
/// followed here and whose own generation stands until it knows, moves to a pair that was thrown away.
#[test]
fn oth_05_a_generation_that_was_replaced_takes_a_newer_nomination_of_its_own_pair_alone() {
    for tags in [&["ice2", "renomination2"][..], &["ice2"], &[]] {
        let (ours, theirs) = (with_options("left", tags), with_options("right", tags));
        let mut script = Script::between(Role::Controlled, Config::default(), ours, theirs);
        let standby = address("10.0.1.2:1000");
        for (index, at) in (0..).zip([remote(), standby]) {
            script.add_remote(at, index);
        }
        for check in (0..2).filter_map(|_| script.slot()).collect::<std::vec::Vec<_>>() {
            script.succeed(&check);
        }
        script.ask_well(remote(), &Ask::renominating(1));
        assert_eq!(script.selected(), Some(remote()));
        script.set.retire(script.now);
        assert_eq!(script.set.pairs().count(), 1);
        for source in [standby, address("10.0.1.3:1000")] {
            let (outcome, answer) = script.ask(source, &Ask::renominating(2));
            assert_eq!(outcome, crate::Outcome::Dropped(crate::DropReason::Refused), "{tags:?}");
            assert_eq!(answer.expect("an answer").code, Some(400), "{tags:?} {source}");
            script.ask_well(source, &Ask::controlling());
        }
        assert_eq!((script.set.pairs().count(), script.set.usage().remotes), (1, 1), "nothing new is kept");
        script.ask_well(remote(), &Ask::renominating(3));
        assert_eq!(script.selected(), Some(remote()), "on which data goes on");
    }
}

#[test]
fn p17_a_generation_that_never_knew_its_peer_is_retired_without_a_trace() {
    let mut script = Script::bare(Role::Controlling, Config::default());
    script.ask_well(remote(), &Ask::default());
    script.set.retire(script.now);
    script.set.set_remote_parameters(script.now, parameters("right"));
    assert_eq!((script.set.pairs().count(), script.set.poll_timeout()), (0, None));
    assert!(script.slot().is_none());
    assert_eq!(script.set.usage().early, 0);
}

#[test]
fn ice_36_old_and_new_credentials_are_told_apart() {
    let mut script = Script::new(Role::Controlled);
    // A check of the peer's next generation, whose parameters nobody has told yet.
    let next: Ufrag = "nextfrag".parse().expect("ice-chars");
    assert_ne!(script.set.remote_parameters().expect("known").ufrag, next);
    script.add_remote(remote(), 0);
    script.ask_well(remote(), &Ask { username: Some(b"leftfrag:nextfrag"), ..Ask::controlling() });
    assert_eq!(script.pair(remote()).requests_received, 0, "another generation's check counts for nothing");
    let (_, answer) =
        script.ask(remote(), &Ask { username: Some(b"oldfrag:rightfrag"), ..Ask::controlling() });
    assert_eq!(answer.expect("an answer").code, Some(401));
}

#[test]
fn a_stream_that_is_added_later_is_checked_and_has_patience_of_its_own() {
    let mut world = World::hosts(1, millis(50));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(100_000));
    let now = world.now;
    for side in &mut world.sides {
        side.set.add_component(now, SECOND, RTP);
    }
    for index in 0..2 {
        let base = world.sides[index].add_host(SECOND, RTP, 0, &std::format!("10.0.{index}.1:3000"));
        let (stream, candidate, _) = world.sides[index].candidates.last().expect("just added").clone();
        world.sides[index].set.add_local_candidate(now, stream, candidate.clone(), base);
        world.sides[index].set.local_gathering_complete(now, SECOND);
        if index == 0 {
            world.run(now.after(millis(30_000)));
            assert_eq!(world.sides[0].set.stream_state(SECOND), Some(State::Checking), "patience runs anew");
        }
        let now = world.now;
        world.sides[1 - index].set.add_remote_candidate(now, stream, candidate);
    }
    let now = world.now;
    assert!(world.run_to_selection(now.after(millis(1_000))));
    world.assert_agreed(SECOND, RTP);
    world.assert_agreed(STREAM, RTP);
}

#[test]
fn p04_a_stream_added_late_that_nobody_answers_fails_after_its_own_patience() {
    let mut script = Script::new(Role::Controlling);
    script.wait(100_000);
    script.set.local_gathering_complete(script.now, STREAM);
    script.set.add_component(script.now, SECOND, RTP);
    script.set.local_gathering_complete(script.now, SECOND);
    script.set.remote_gathering_complete(script.now, SECOND);
    script.wait(39_499);
    assert_eq!(script.set.stream_state(SECOND), Some(State::Checking));
    script.wait(1);
    assert_eq!(script.set.stream_state(SECOND), Some(State::Failed));
}

#[test]
fn removing_a_component_frees_everything_of_it() {
    let mut script = Script::new(Role::Controlling);
    let rtcp = floe_pair::BaseId(8);
    script.set.add_component(script.now, STREAM, ComponentId::RTCP);
    script.set.add_base(rtcp, Admission::PerPeer);
    script.set.add_local_candidate(ms(0), STREAM, host(ComponentId::RTCP, 0, address("10.0.0.1:1001")), rtcp);
    script.add_remote(remote(), 0);
    script.set.add_remote_candidate(ms(0), STREAM, host(ComponentId::RTCP, 0, address("10.0.1.1:1001")));
    let check = script.slot().expect("a check");
    script.wait(50);
    script.succeed(&check);
    let _ = script.events();
    script.set.remove_component(script.now, STREAM, ComponentId::RTCP);
    assert_eq!(script.set.pairs().count(), 1);
    assert_eq!(script.set.usage().remotes, 1);
    // Nothing is asked of the base any more, and what comes there belongs to nobody.
    assert!(!script.events().iter().any(|event| matches!(event, Event::AdmissionWanted { .. })));
    assert_eq!(script.set.component_state(STREAM, ComponentId::RTCP), None);
    let nomination = script.slot().expect("the other component goes on");
    script.succeed(&nomination);
    assert_eq!(script.set.state(), State::Completed);
    script.set.remove_stream(script.now, STREAM);
    assert_eq!((script.set.pairs().count(), script.set.usage().remotes), (0, 0));
    assert_eq!(script.set.stream_state(STREAM), None);
    assert_eq!(script.set.state(), State::New);
    script.wait(100_000);
    assert_eq!(script.set.poll_timeout(), None);
}

#[test]
fn a_component_that_comes_back_begins_from_nothing() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.set.remove_component(script.now, STREAM, RTP);
    script.set.add_component(script.now, STREAM, RTP);
    let late = reply(check.id(), Reply::Success(local()), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_eq!(script.answer_from(BASE, remote(), &late), crate::Outcome::NotOurs);
    script.set.add_local_candidate(script.now, STREAM, host(RTP, 0, local()), BASE);
    script.add_remote(remote(), 0);
    assert_eq!(script.pair(remote()).state, PairState::Waiting);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    assert_eq!(script.set.state(), State::Connected);
}

#[test]
fn t39_no_debug_output_shows_a_password() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    script.ask_well(remote(), &Ask::nominating());
    let check = script.slot().expect("a check");
    for retired in [false, true] {
        if retired {
            script.succeed(&check);
            script.set.retire(script.now);
        }
        let events = script.events();
        let shown = std::format!("{:?} {events:?} {:?}", script.set, script.set.pair(crate::PairId(0)));
        assert!(shown.contains("leftfrag") && !shown.contains("password0123456789"), "{retired}");
    }
}

#[test]
fn p17_a_retired_generation_asks_for_no_admission_and_rests_without_a_pair() {
    let mut script = Script::new(Role::Controlling);
    let relay = floe_pair::BaseId(8);
    script.set.add_base(relay, Admission::PerPeer);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, address("10.0.0.3:3")), relay);
    script.add_remote(remote(), 0);
    let _ = script.slot();
    script.set.retire(script.now);
    assert!(script.events().is_empty());
    assert_eq!(script.set.poll_timeout(), None);
    script.set.admit(script.now, relay, remote().ip());
    script.set.refuse(script.now, BASE, remote().ip());
    script.set.remove_base(script.now, relay);
    script.set.add_component(script.now, SECOND, RTP);
    assert!(script.slot().is_none() && script.events().is_empty());
    assert_eq!((script.set.poll_timeout(), script.set.stream_state(SECOND)), (None, None));
}

#[test]
fn p17_a_component_that_was_added_late_does_not_fail_a_retired_generation() {
    let mut script = Script::new(Role::Controlling);
    script.wait(100);
    script.set.add_component(script.now, STREAM, ComponentId::RTCP);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    script.set.local_gathering_complete(script.now, STREAM);
    script.set.retire(script.now);
    for _ in 0..1_200 {
        for sent in script.wait(100) {
            script.succeed(&sent);
        }
    }
    assert_ne!(script.set.stream_state(STREAM), Some(State::Failed));
    assert!(script.set.route(STREAM, RTP).is_some(), "data goes on");
}
