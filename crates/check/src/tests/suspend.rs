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
