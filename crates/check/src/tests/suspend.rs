//! Consent that is suspended while the application sends nothing.

use floe_pair::Role;

use super::script::*;
use super::world::*;
use crate::{Config, ConsentConfig, Event, Failure, State, TransmitKind};

fn config() -> Config {
    let consent = ConsentConfig { suspend: true, ..ConsentConfig::default() };
    Config { consent: Some(consent), ..Config::default() }
}

fn selected() -> Script {
    let mut script = Script::with(Role::Controlling, config());
    script.add_remote(remote(), 0);
    for _ in 0..2 {
        let check = script.slot().expect("a check, then the nomination");
        script.succeed(&check);
    }
    assert_eq!(script.selected(), Some(remote()));
    let _ = script.events();
    script
}

/// Runs for so many milliseconds and answers everything; the requests that were sent.
fn answered(script: &mut Script, millis_: u64, sends: bool) -> usize {
    let end = script.now.after(millis(millis_));
    let mut requests = 0;
    while script.now < end {
        if sends {
            script.set.data_sent(script.now, STREAM, RTP);
        }
        for sent in script.wait(100) {
            if sent.kind == TransmitKind::Consent {
                requests += 1;
                script.succeed(&sent);
            }
        }
    }
    requests
}

/// Consent has lapsed after a silence.
fn dormant() -> Script {
    let mut script = selected();
    answered(&mut script, 60_000, false);
    let pair = script.set.selected(STREAM, RTP).expect("the pair stays");
    assert!(pair.valid_until <= script.now, "nothing may be sent");
    script
}

#[test]
fn con_01_requests_go_on_while_the_application_sends() {
    let mut script = selected();
    let requests = answered(&mut script, 600_000, true);
    assert!((100..=150).contains(&requests), "{requests}");
    assert!(script.set.selected(STREAM, RTP).expect("selected").valid_until > script.now);
}

#[test]
fn con_01_in_silence_requests_stop_and_keepalives_go() {
    let mut script = selected();
    // What was sent up to the first request counts as sent: it is not known when.
    let requests = answered(&mut script, 29_900, false);
    assert!(requests <= 2, "{requests}");
    let until = script.set.selected(STREAM, RTP).expect("selected").valid_until;
    let mut kinds = std::vec::Vec::new();
    for _ in 0..6_000 {
        kinds.extend(script.wait(100).into_iter().map(|sent| sent.kind));
    }
    assert!((38..=41).contains(&kinds.len()), "{}", kinds.len());
    assert!(kinds.iter().all(|kind| *kind == TransmitKind::Keepalive));
    let pair = script.set.selected(STREAM, RTP).expect("selected");
    assert_eq!(pair.valid_until, until, "and nothing may be sent meanwhile");
    assert_eq!(script.set.state(), State::Completed);
    assert!(!script.events().contains(&Event::ConsentLost { stream: STREAM, component: RTP }));
}

/// RFC 8445 §11: the mapping of a NAT on the way may last no longer than Tr and a little.
#[test]
fn con_01_a_pair_at_rest_is_never_without_a_packet_for_longer_than_tr() {
    let mut script = selected();
    let (mut last, mut longest) = (script.now, millis(0));
    let mut kinds = std::vec::Vec::new();
    for _ in 0..1_200 {
        for sent in script.wait(100) {
            // From what was really sent when: a wait may go past it.
            (longest, last) = (longest.max(script.now.since(last)), script.now);
            kinds.push(sent.kind);
            if sent.kind == TransmitKind::Consent {
                script.succeed(&sent);
            }
        }
    }
    assert!((millis(14_900)..=millis(15_100)).contains(&longest), "{longest:?}");
    let requests = kinds.iter().take_while(|kind| **kind == TransmitKind::Consent).count();
    assert!((1..=2).contains(&requests), "{kinds:?}");
    assert!(kinds[requests..].iter().all(|kind| *kind == TransmitKind::Keepalive), "{kinds:?}");
    assert!((7..=8).contains(&(kinds.len() - requests)), "{kinds:?}");
}

#[test]
fn con_01_after_a_silence_consent_is_regained_before_data_flows() {
    let mut script = dormant();
    script.set.data_sent(script.now, STREAM, RTP);
    let sent = script.wait(0);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].kind, TransmitKind::Consent);
    assert!(script.set.selected(STREAM, RTP).expect("selected").valid_until <= script.now, "not yet");
    script.wait(50);
    script.succeed(&sent[0]);
    let until = script.set.selected(STREAM, RTP).expect("selected").valid_until;
    assert_eq!(until, script.now.after(millis(30_000)));
    let requests = answered(&mut script, 60_000, true);
    assert!((10..=15).contains(&requests), "{requests}");
}

#[test]
fn con_04_consent_that_is_asked_for_and_not_given_is_lost_for_good() {
    let mut script = dormant();
    script.set.data_sent(script.now, STREAM, RTP);
    let mut sent = script.wait(29_999);
    assert!((4..=8).contains(&sent.len()), "asked each interval: {}", sent.len());
    assert_eq!(script.set.state(), State::Disconnected, "the liveness time counts from the first request");
    assert!(script.set.selected(STREAM, RTP).is_some());
    script.wait(1);
    assert_eq!(script.pair(remote()).failure, Some(Failure::ConsentExpired));
    assert!(script.events().contains(&Event::ConsentLost { stream: STREAM, component: RTP }));
    let last = sent.pop().expect("several");
    let late = reply(last.id(), Reply::Success(local()), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_ne!(script.answer_from(BASE, remote(), &late), crate::Outcome::Taken);
    script.set.data_sent(script.now, STREAM, RTP);
    assert!(script.wait(100_000).is_empty());
}

#[test]
fn con_02_a_chatty_application_does_not_make_requests_more_frequent() {
    let mut script = dormant();
    let mut times = std::vec::Vec::new();
    for _ in 0..300 {
        script.set.data_sent(script.now, STREAM, RTP);
        for sent in script.wait(100) {
            times.push(script.now);
            script.succeed(&sent);
        }
    }
    assert!(times.windows(2).all(|two| two[1].since(two[0]) >= millis(3_900)), "{times:?}");
    assert!(times.len() >= 5);
}

#[test]
fn con_06_a_403_ends_what_is_suspended_too() {
    let mut script = dormant();
    script.set.data_sent(script.now, STREAM, RTP);
    let sent = script.wait(0);
    let _ = script.refuse(&sent[0], 403);
    assert_eq!((script.selected(), script.pair(remote()).failure), (None, Some(Failure::Revoked)));
    assert!(script.wait(100_000).is_empty());
}

#[test]
fn consent_without_the_setting_is_never_suspended() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    for _ in 0..2 {
        let check = script.slot().expect("a check, then the nomination");
        script.succeed(&check);
    }
    let requests = answered(&mut script, 60_000, false);
    assert!((10..=15).contains(&requests), "{requests}");
}

#[test]
fn con_04_consent_that_was_asked_for_in_vain_does_not_rest() {
    let mut script = selected();
    script.set.data_sent(script.now, STREAM, RTP);
    // The application falls silent, and so does the peer: what was asked is not answered.
    let sent = script.wait(29_999);
    assert!(sent.len() >= 4 && sent.iter().all(|sent| sent.kind == TransmitKind::Consent));
    script.wait(1);
    assert_eq!(script.pair(remote()).failure, Some(Failure::ConsentExpired));
}

/// The application has sent nothing, and the last answer was so many milliseconds ago.
fn silent_for(after: u64) -> (Script, floe_stun::Instant) {
    let mut script = selected();
    answered(&mut script, 20_000, false);
    let until = script.set.selected(STREAM, RTP).expect("selected").valid_until;
    let end = until.as_millis() - 30_000 + after;
    while script.now < ms(end) {
        let sent = script.wait((end - script.now.as_millis()).min(100));
        assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive));
    }
    (script, until)
}

#[test]
fn con_01_data_in_the_last_seconds_keeps_consent_without_a_gap() {
    for after in [23_900, 24_000, 25_300, 29_000, 29_900] {
        let (mut script, until) = silent_for(after);
        script.set.data_sent(script.now, STREAM, RTP);
        let sent = script.wait(0);
        assert_eq!(sent.len(), 1, "at once, {after} ms after the last answer");
        assert_eq!(script.set.selected(STREAM, RTP).expect("selected").valid_until, until);
        script.wait(60);
        script.succeed(&sent[0]);
        let now = script.now;
        assert!(now < until, "nothing was refused");
        assert_eq!(
            script.set.selected(STREAM, RTP).expect("selected").valid_until,
            now.after(millis(30_000))
        );
    }
}

#[test]
fn con_01_it_is_looked_each_second_whether_data_was_sent_past_the_agent() {
    let (mut script, until) = silent_for(23_999);
    let mut looks = std::vec::Vec::new();
    while let Some(at) = script.set.poll_timeout().filter(|at| *at <= until) {
        script.now = at;
        match script.wait(0)[..] {
            [] => looks.push(until.since(at).as_secs()),
            ref sent => assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive)),
        }
    }
    assert_eq!(looks, [6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn con_04_an_answer_after_the_end_to_what_was_asked_before_it_gives_no_consent() {
    let (mut script, until) = silent_for(29_950);
    script.set.data_sent(script.now, STREAM, RTP);
    let sent = script.wait(0);
    script.wait(60);
    assert!(script.now > until);
    let late = reply(sent[0].id(), Reply::Success(local()), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_ne!(script.answer_from(BASE, remote(), &late), crate::Outcome::Taken);
    assert_eq!(script.set.selected(STREAM, RTP).expect("not lost").valid_until, until);
    // The next request regains it.
    let requests = answered(&mut script, 6_000, true);
    assert_eq!(requests, 1);
    assert!(script.set.selected(STREAM, RTP).expect("selected").valid_until > script.now);
}

#[test]
fn con_what_was_not_asked_is_no_silence_of_the_peer() {
    let (mut script, _) = silent_for(23_000);
    script.set.data_sent(script.now, STREAM, RTP);
    assert_eq!(script.wait(0).len(), 1);
    script.wait(6_900);
    assert_eq!(script.set.state(), State::Completed, "the liveness time counts from the first request");
}

#[test]
fn a_pair_that_regains_no_consent_is_left_when_it_has_been_silent() {
    let [ours, theirs] = super::renominate::new_draft();
    let mut script = Script::between(Role::Controlling, config(), ours, theirs);
    let other = address("10.0.1.2:1000");
    for (index, at) in (0..).zip([remote(), other]) {
        script.add_remote(at, index);
    }
    let checks: std::vec::Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    answered(&mut script, 90_000, false);
    let pair = script.set.selected(STREAM, RTP).expect("the pair stays");
    assert!(pair.remote == remote() && pair.valid_until <= script.now, "consent has rested");
    let began = script.now;
    let nomination = loop {
        script.set.data_sent(script.now, STREAM, RTP);
        for sent in script.wait(100).into_iter().filter(|sent| sent.to == other) {
            script.succeed(&sent);
        }
        if let Some(nomination) = script.slot() {
            break nomination;
        }
        assert!(script.now < began.after(millis(22_000)), "the standby pair waits");
    };
    assert!(nomination.nominates() && nomination.to == other);
    assert!(script.now >= began.after(millis(15_000)));
}
