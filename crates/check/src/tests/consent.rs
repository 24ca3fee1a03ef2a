//! Consent and keepalives.

use std::vec::Vec;

use floe_pair::Role;
use floe_stun::{Algorithm, Class, Instant, MessageWriter, Method, TransactionId};

use super::script::*;
use super::world::*;
use crate::{Config, Event, Failure, Outcome, State, TransmitKind};

/// A set with a selected pair, selected at the origin.
fn selected(role: Role, config: Config) -> Script {
    let mut script = Script::with(role, config);
    script.add_remote(remote(), 0);
    if role == Role::Controlled {
        script.ask_well(remote(), &Ask::nominating());
    }
    let check = script.slot().expect("a check");
    script.succeed(&check);
    if role == Role::Controlling {
        let nomination = script.slot().expect("the nomination");
        script.succeed(&nomination);
    }
    assert_eq!(script.selected(), Some(remote()));
    let _ = script.events();
    script
}

/// A Binding indication of the peer, its keepalive.
fn indication(id: TransactionId) -> Vec<u8> {
    let mut buffer = [0; 64];
    let writer = MessageWriter::new(&mut buffer, Class::Indication, Method::BINDING, id).expect("room");
    let len = writer.fingerprint().expect("room");
    buffer[..len].to_vec()
}

/// Runs to the next consent request; the instant is in `now`.
fn next_consent(script: &mut Script) -> Sent {
    loop {
        let at = script.set.poll_timeout().expect("a deadline");
        script.now = script.now.max(at);
        script.set.handle_timeout(script.now, &mut script.rng);
        if let Some(sent) = script.drain().pop() {
            assert_eq!(sent.kind, TransmitKind::Consent);
            return sent;
        }
    }
}

#[test]
fn con_02_requests_start_4_to_6_seconds_apart_and_differ() {
    let mut script = selected(Role::Controlling, Config::default());
    let mut last = Instant::ORIGIN;
    let mut waits = Vec::new();
    for round in 0..200_u64 {
        let consent = next_consent(&mut script);
        let wait = script.now.since(last);
        assert!((millis(4_000)..=millis(6_000)).contains(&wait), "{wait:?}");
        waits.push(wait);
        last = script.now;
        // From start to start: how long the answer took is no part of it.
        script.wait(round % 3 * 200);
        script.succeed(&consent);
    }
    waits.sort();
    assert!(waits[0] < millis(4_300) && waits[199] > millis(5_700));
    waits.dedup();
    assert!(waits.len() > 190, "random, not fixed");
}

#[test]
fn con_03_each_request_has_a_new_id_and_is_sent_once() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = selected(role, Config::default());
        let sent = script.wait(29_900);
        assert!((4..=7).contains(&sent.len()), "{}", sent.len());
        let mut ids: Vec<_> = sent.iter().map(Sent::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), sent.len());
        assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Consent && !sent.nominates()));
    }
}

#[test]
fn con_01_consent_ends_30_seconds_after_the_last_answer_and_nothing_else_extends_it() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = selected(role, Config::default());
        let consent = next_consent(&mut script);
        script.wait(77);
        script.succeed(&consent);
        let end = script.now.after(millis(30_000));
        let valid_until = |script: &Script| script.set.selected(STREAM, RTP).map(|pair| pair.valid_until);
        assert_eq!(valid_until(&script), Some(end));
        // Requests of the peer, its indications and errors are no consent.
        let claim = if role == Role::Controlling { Ask::default() } else { Ask::controlling() };
        for _ in 0..29 {
            for sent in script.wait(1_000) {
                assert_eq!(script.refuse(&sent, 400), Outcome::Taken);
            }
            script.ask_well(remote(), &claim);
            let keepalive = indication(script.new_id());
            assert_eq!(script.answer_from(BASE, remote(), &keepalive), Outcome::Taken);
        }
        assert_eq!(valid_until(&script), Some(end));
        let rest = end.since(script.now);
        script.wait(u64::try_from(rest.as_millis()).expect("short") - 1);
        assert_eq!(script.selected(), Some(remote()));
        script.wait(1);
        assert_eq!((script.selected(), script.set.state()), (None, State::Disconnected));
        let lost = Event::ConsentLost { stream: STREAM, component: RTP };
        assert_eq!(script.events().into_iter().filter(|event| *event == lost).count(), 1);
    }
}

#[test]
fn con_04_after_expiry_nothing_revives_the_pair() {
    let mut script = selected(Role::Controlled, Config::default());
    let asked = script.wait(29_999);
    let last = asked.last().expect("consent requests");
    let late = reply(last.id(), Reply::Success(local()), Some(THEIR_PASSWORD), Algorithm::Sha1);
    // At the instant itself, before the timer was run.
    script.now = ms(30_000);
    assert!(matches!(script.answer_from(BASE, remote(), &late), Outcome::Dropped(_)));
    assert_eq!(script.selected(), None);
    assert_eq!(script.pair(remote()).failure, Some(Failure::ConsentExpired));
    assert_eq!(script.answer_from(BASE, remote(), &late), Outcome::NotOurs);
    // The peer's checks are answered, and lead to no check with these credentials; its nomination is refused.
    script.ask_well(remote(), &Ask::controlling());
    let (_, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, Some(400));
    assert!(script.slot().is_none());
    assert!(script.wait(100_000).is_empty(), "not one datagram more");
}

#[test]
fn con_06_an_authenticated_403_ends_consent_at_once() {
    let mut script = selected(Role::Controlling, Config::default());
    let consent = next_consent(&mut script);
    let forged = reply(consent.id(), Reply::Error(403), None, Algorithm::Sha1);
    assert!(matches!(script.answer_from(BASE, remote(), &forged), Outcome::Dropped(_)));
    assert_eq!(script.selected(), Some(remote()));
    assert_eq!(script.refuse(&consent, 403), Outcome::Taken);
    assert_eq!((script.selected(), script.pair(remote()).failure), (None, Some(Failure::Revoked)));
    assert!(script.wait(100_000).is_empty());
}

#[test]
fn t15_answers_from_elsewhere_or_with_a_wrong_key_do_not_extend_consent() {
    let mut script = selected(Role::Controlling, Config::default());
    let end = script.set.route(STREAM, RTP).map(|route| route.valid_until);
    for sent in script.wait(29_000) {
        let wrong_key = reply(sent.id(), Reply::Success(local()), Some(b"x"), Algorithm::Sha1);
        assert!(matches!(script.answer_from(BASE, remote(), &wrong_key), Outcome::Dropped(_)));
        let right_key = reply(sent.id(), Reply::Success(local()), Some(THEIR_PASSWORD), Algorithm::Sha1);
        let _ = script.answer_from(BASE, address("10.6.6.6:6"), &right_key);
        assert_eq!(script.set.route(STREAM, RTP).map(|route| route.valid_until), end);
    }
}

#[test]
fn t16_one_answer_in_30_seconds_keeps_consent_even_one_to_an_earlier_request() {
    let mut script = selected(Role::Controlling, Config::default());
    for _ in 0..20 {
        let sent = script.wait(24_000);
        script.succeed(&sent[sent.len() - 2]);
        assert_eq!(script.selected(), Some(remote()));
    }
}

#[test]
fn valid_pairs_keep_consent_before_selection() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    for _ in 0..60 {
        for sent in script.wait(1_000) {
            assert_eq!(sent.kind, TransmitKind::Consent);
            script.succeed(&sent);
        }
    }
    assert_eq!(script.set.state(), State::Connected);
    script.wait(31_000);
    assert!(script.set.best_valid(STREAM, RTP).is_none());
}

#[test]
fn a_missing_answer_is_not_shown_before_the_liveness_time() {
    let mut script = selected(Role::Controlling, Config::default());
    script.wait(24_999);
    assert_eq!(script.set.state(), State::Completed);
    let sent = script.wait(1);
    let _ = sent;
    assert_eq!(script.set.state(), State::Disconnected);
    let state = script.events();
    assert_eq!(state.last(), Some(&Event::State(State::Disconnected)));
    let consent = next_consent(&mut script);
    script.succeed(&consent);
    assert_eq!(script.set.state(), State::Completed, "and it comes back");
}

#[test]
fn ice_38_without_consent_an_indication_goes_each_15_seconds() {
    let config = Config { consent: None, keepalive: millis(1), ..Config::default() };
    let mut script = selected(Role::Controlling, config);
    let start = script.now;
    let mut times = Vec::new();
    for _ in 0..100 {
        for sent in script.wait(1_000) {
            assert_eq!(sent.kind, TransmitKind::Keepalive);
            let message = sent.message();
            assert_eq!(message.class(), floe_stun::Class::Indication);
            assert_eq!((message.attributes().count(), message.verify_fingerprint()), (0, Ok(())));
            assert!(!message.has_integrity());
            times.push(script.now.since(start).as_secs());
        }
    }
    assert_eq!(times, [15, 30, 45, 60, 75, 90]);
    assert_eq!(
        script.set.selected(STREAM, RTP).map(|pair| pair.valid_until),
        Some(Instant::from_nanos(u64::MAX))
    );
}

#[test]
fn an_idle_pair_wakes_its_owner_only_for_consent() {
    let mut world = World::hosts(4, millis(50));
    world.signal();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(120_000));
    for side in &mut world.sides {
        side.sent.clear();
    }
    world.run(ms(180_000));
    for side in &world.sides {
        let requests = side.sent.iter().filter(|(_, kind, _)| *kind == TransmitKind::Consent).count();
        let answers = side.sent.iter().filter(|(_, kind, _)| *kind == TransmitKind::Response).count();
        assert_eq!(requests + answers, side.sent.len());
        assert!((10..=15).contains(&requests) && (10..=15).contains(&answers));
        assert_eq!(side.set.pairs().count(), 1, "the checklist is freed");
    }
}

#[test]
fn p34_every_poll_of_an_idle_hour_sends_a_request() {
    let mut world = World::hosts(4, millis(50));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(60_000));
    let polls = world.polls_that_send(ms(3_660_000));
    assert!(polls <= 2 * 900, "at most one each 4 s: {polls}");
}

#[test]
fn p34_between_selection_and_rest_every_poll_does_something() {
    let mut world = World::hosts(4, millis(50));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    let mut idle = 0_usize;
    while world.now < ms(60_000) {
        let before: usize =
            world.sides.iter().map(|side| side.sent.len() + side.set.pairs().count() * 1_000).sum();
        let next = world.sides.iter().filter_map(|side| side.set.poll_timeout()).min().expect("consent");
        world.run(next);
        let after: usize =
            world.sides.iter().map(|side| side.sent.len() + side.set.pairs().count() * 1_000).sum();
        idle += usize::from(after == before);
        let settled = world.now.after(millis(1));
        world.run(settled);
    }
    // What is freed last shows in neither number: memory alone, once for each side.
    assert!(idle <= 4, "{idle}");
}

#[test]
fn p14_the_loss_of_any_single_check_shows_in_no_state() {
    for lost in 0..24 {
        let mut world = World::hosts(1, millis(100));
        world.signal();
        world.complete_gathering();
        assert!(world.run_to_selection(ms(1_000)));
        world.run(ms(4_000));
        let mut seen = 0;
        world.passes = std::boxed::Box::new(move |_, _, _, _| {
            seen += 1;
            seen != lost + 1
        });
        for side in &mut world.sides {
            side.events.clear();
        }
        world.run(ms(60_000));
        let shown = |event: &Event| matches!(event, Event::State(_) | Event::ConsentLost { .. });
        assert!(world.sides.iter().all(|side| side.first(shown).is_none()), "datagram {lost}");
    }
}

#[test]
fn t40_after_eight_hours_of_sleep_consent_is_over_once_and_without_a_burst() {
    for listed in [true, false] {
        let mut script = if listed {
            selected(Role::Controlling, Config::default())
        } else {
            Script::new(Role::Controlled)
        };
        if !listed {
            script.add_remote(remote(), 0);
            let check = script.slot().expect("a check");
            script.succeed(&check);
        }
        script.wait(1_000);
        let _ = script.events();
        script.now = script.now.after(millis(8 * 3_600_000));
        script.set.handle_timeout(script.now, &mut script.rng);
        assert!(script.drain().is_empty(), "nothing goes to a peer that has not consented for hours");
        let lost = Event::ConsentLost { stream: STREAM, component: RTP };
        assert_eq!(script.events().into_iter().filter(|event| *event == lost).count(), usize::from(listed));
        assert!(script.set.best_valid(STREAM, RTP).is_none());
    }
}

#[test]
fn con_01_consent_is_kept_on_every_valid_pair_while_none_is_selected() {
    let mut script = Script::new(Role::Controlled);
    let addresses: Vec<_> = (1..=5).map(|index| address(&std::format!("10.0.1.{index}:1000"))).collect();
    for (index, at) in (0..).zip(&addresses) {
        script.add_remote(*at, index);
    }
    let checks: Vec<_> = addresses.iter().map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    for _ in 0..1_200 {
        for sent in script.wait(100) {
            assert_eq!(sent.kind, TransmitKind::Consent);
            // The best of them answers no more.
            if sent.to != addresses[0] {
                script.succeed(&sent);
            }
        }
    }
    assert_eq!(script.pair(addresses[0]).failure, Some(Failure::ConsentExpired));
    assert!(addresses[1..].iter().all(|at| script.pair(*at).valid));
    assert_eq!(script.set.best_valid(STREAM, RTP).map(|pair| pair.remote), Some(addresses[1]));
    // RFC 7675 §5.1: its credentials are spent on that pair, also for a nomination.
    let (_, answer) = script.ask(addresses[0], &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, Some(400));
    assert!(script.slot().is_none());
}

#[test]
fn con_04_credentials_stay_spent_when_the_component_is_removed_and_added_again() {
    let mut script = selected(Role::Controlled, Config::default());
    script.wait(30_000);
    assert_eq!(script.pair(remote()).failure, Some(Failure::ConsentExpired));
    script.set.remove_component(script.now, STREAM, RTP);
    script.set.add_component(script.now, STREAM, RTP);
    script.set.add_local_candidate(script.now, STREAM, host(RTP, 0, local()), BASE);
    script.add_remote(remote(), 0);
    assert!(script.find(remote()).is_none() && script.slot().is_none());
    let (_, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, Some(400));
    assert!(script.slot().is_none());
}
