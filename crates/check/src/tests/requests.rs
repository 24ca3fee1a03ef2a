//! Requests of the peer.

use floe_pair::{CandidateType, Role};
use floe_stun::binding::Claim;
use floe_stun::{Algorithm, AttributeType, Random};

use super::script::*;
use super::world::*;
use crate::{DropReason, Event, Failure, Limit, Outcome, PairState, State, Urgency};

#[test]
fn ice_19_a_request_without_fingerprint_is_dropped() {
    let mut script = Script::new(Role::Controlling);
    let before = script.snapshot();
    let (outcome, answer) = script.ask(remote(), &Ask { fingerprint: false, ..Ask::default() });
    assert_eq!((outcome, answer), (Outcome::Dropped(DropReason::Fingerprint), None));
    assert_eq!(script.snapshot(), before);
}

#[test]
fn t20_no_request_with_a_flipped_bit_has_an_effect() {
    let mut script = Script::new(Role::Controlling);
    let before = script.snapshot();
    let id = script.new_id();
    let good = Ask::default().bytes(id);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(message) = floe_stun::Message::parse(&bytes) else { continue };
        let outcome = script.set.handle_request(script.now, BASE, remote(), &message);
        assert!(matches!(outcome, Outcome::Dropped(_)), "bit {bit}");
        assert!(script.drain().is_empty(), "bit {bit}");
    }
    assert_eq!(script.snapshot(), before);
}

/// A refused request changes nothing, and its answer says only what the RFC wants said.
#[track_caller]
fn refused(ask: &Ask, code: u16, integrity: Option<Algorithm>) {
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = Script::new(role);
        let before = script.snapshot();
        let (outcome, answer) = script.ask(remote(), ask);
        assert_eq!(outcome, Outcome::Dropped(DropReason::Refused));
        let answer = answer.expect("an answer");
        assert_eq!((answer.code, answer.integrity), (Some(code), integrity));
        assert!(
            !answer.kinds.contains(&AttributeType::USERNAME)
                && !answer.kinds.contains(&AttributeType::SOFTWARE)
        );
        assert_eq!(script.snapshot(), before);
        assert!(script.slot().is_none());
    }
}

#[test]
fn stn_10_400_without_username_or_integrity_401_for_wrong_ones() {
    refused(&Ask { username: None, ..Ask::default() }, 400, None);
    refused(&Ask { integrity: None, ..Ask::default() }, 400, None);
    let usernames: [&[u8]; 7] = [
        b"",
        b"leftfrag",
        b"other:rightfrag",
        b"leftfra:rightfrag",
        b"leftfragx:rightfrag",
        b":",
        b"leftfrag:a:b",
    ];
    for username in usernames {
        refused(&Ask { username: Some(username), ..Ask::default() }, 401, None);
    }
    for integrity in [Algorithm::Sha1, Algorithm::Sha256] {
        let password = b"leftpassword0123456789abcX";
        refused(&Ask { password, integrity: Some(integrity), ..Ask::default() }, 401, None);
    }
}

#[test]
fn ice_26_the_role_is_not_looked_at_before_integrity_is_verified() {
    for role in [Role::Controlling, Role::Controlled] {
        for claim in [Claim::Controlling(u64::MAX), Claim::Controlled(0)] {
            let mut script = Script::new(role);
            let ask = Ask { password: b"wrongpassword0123456789abcd", claim: Some(claim), ..Ask::default() };
            let (_, answer) = script.ask(remote(), &ask);
            assert_eq!(answer.expect("an answer").code, Some(401));
            assert_eq!(script.set.role(), role);
        }
    }
}

#[test]
fn ice_26_any_fragment_after_ours_is_accepted_but_only_the_peers_leads_to_a_check() {
    let mut script = Script::new(Role::Controlling);
    script.ask_well(remote(), &Ask { username: Some(b"leftfrag:otherfrag"), ..Ask::default() });
    assert!(script.slot().is_none(), "the password of that agent is not known");
    script.ask_well(remote(), &Ask::default());
    assert!(script.slot().is_some());
}

#[test]
fn stn_12_the_answer_has_the_algorithm_of_the_request() {
    for algorithm in [Algorithm::Sha1, Algorithm::Sha256] {
        let mut script = Script::new(Role::Controlling);
        let (_, answer) = script.ask(remote(), &Ask { integrity: Some(algorithm), ..Ask::default() });
        let answer = answer.expect("an answer");
        assert_eq!(
            (answer.success, answer.integrity, answer.mapped),
            (true, Some(algorithm), Some(remote()))
        );
        assert!(!answer.kinds.contains(&AttributeType::USERNAME));
    }
}

#[test]
fn t18_an_unknown_attribute_that_must_be_understood_is_answered_with_420() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = Script::new(role);
        let before = script.snapshot();
        // 0x8FFF may be ignored; a claim for our own role must not have been judged.
        let unknown = std::vec![0x7001, 0x8FFF, 0x7002];
        let claim = Some(Claim::Controlling(u64::MAX));
        let (_, answer) = script.ask(remote(), &Ask { claim, unknown, ..Ask::default() });
        let answer = answer.expect("an answer");
        assert_eq!((answer.code, answer.integrity), (Some(420), Some(Algorithm::Sha1)));
        assert_eq!(answer.unknown, [0x7001, 0x7002]);
        assert_eq!(script.snapshot(), before);
    }
    // Without authentication the list is not told.
    let ask = Ask { unknown: std::vec![0x7001], password: b"wrongpassword0123456789abcd", ..Ask::default() };
    refused(&ask, 401, None);
}

#[test]
fn oth_02_a_priority_outside_its_range_is_answered_with_400() {
    for priority in [None, Some(0), Some(1 << 31), Some(u32::MAX)] {
        refused(&Ask { priority, ..Ask::default() }, 400, Some(Algorithm::Sha1));
    }
}

#[test]
fn ice_29_a_new_source_is_a_peer_reflexive_candidate_with_the_priority_of_the_request() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(address("10.0.1.9:1"), 0);
    script.ask_well(remote(), &Ask::default());
    script.ask_well(address("10.0.1.2:1"), &Ask::default());
    let (first, second) = (script.pair(remote()), script.pair(address("10.0.1.2:1")));
    assert_eq!(
        (first.remote.kind, first.remote.priority.get()),
        (CandidateType::PeerReflexive, GOOD_PRIORITY)
    );
    assert_eq!(first.remote.component, RTP);
    let signalled = script.pair(address("10.0.1.9:1")).remote.foundation;
    assert_ne!(first.remote.foundation, second.remote.foundation);
    assert!(first.remote.foundation != signalled && second.remote.foundation != signalled);
    let learned = |event: &Event| matches!(event, Event::RemoteLearned { .. });
    assert_eq!(script.events().into_iter().filter(learned).count(), 2);
    let check = script.slot().expect("a triggered check");
    assert_eq!((check.from, check.to), (BASE, remote()));
}

#[test]
fn ice_30_a_waiting_pair_goes_to_the_triggered_queue_once() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(address("10.0.1.9:1"), 0);
    script.add_remote(remote(), 1);
    assert_eq!(wants(&mut script.set), Some(Urgency::Ordinary));
    script.ask_well(remote(), &Ask::default());
    script.ask_well(remote(), &Ask::default());
    assert_eq!(wants(&mut script.set), Some(Urgency::Triggered));
    assert_eq!(script.slot().expect("triggered").to, remote());
    assert_eq!(script.slot().expect("ordinary").to, address("10.0.1.9:1"));
    assert!(script.slot().is_none());
}

#[test]
fn ice_30_in_progress_is_checked_anew_and_the_old_answer_still_counts() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let old = script.slot().expect("a check");
    script.wait(20);
    script.ask_well(remote(), &Ask::default());
    assert_eq!(script.pair(remote()).state, PairState::Waiting);
    let new = script.slot().expect("a triggered check");
    assert_ne!(old.id(), new.id());
    // The old transaction is retransmitted no more: at its RTO nothing of it is seen.
    assert!(script.wait(120).iter().all(|sent| sent.id() != old.id()));
    script.succeed(&old);
    assert_eq!(script.pair(remote()).state, PairState::Succeeded);
}

#[test]
fn ice_30_repeated_requests_do_not_make_checks_faster() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    script.slot().expect("a check");
    let mut checks = 0;
    for _ in 0..30 {
        script.wait(5);
        script.ask_well(remote(), &Ask::default());
        checks += usize::from(script.slot().is_some());
    }
    assert!((1..=2).contains(&checks), "{checks} in 150 ms");
}

#[test]
fn ice_30_a_failed_pair_is_checked_again_and_a_succeeded_one_is_not() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    assert_eq!(script.refuse(&check, 400), Outcome::Taken);
    assert_eq!(script.pair(remote()).failure, Some(Failure::Refused(400)));
    script.ask_well(remote(), &Ask::controlling());
    let check = script.slot().expect("a triggered check");
    script.succeed(&check);
    script.ask_well(remote(), &Ask::controlling());
    assert_eq!((script.pair(remote()).state, script.slot().is_none()), (PairState::Succeeded, true));
}

#[test]
fn ice_17_use_candidate_is_ignored_by_the_controlling_agent() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    // As an agent has been seen to do: controlled, and with USE-CANDIDATE.
    script.ask_well(remote(), &Ask { use_candidate: true, ..Ask::default() });
    let check = script.slot().expect("a triggered check");
    script.succeed(&check);
    assert_eq!(script.selected(), None);
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
}

#[test]
fn ice_31_a_second_nomination_of_an_rfc_8445_peer_is_refused() {
    let mut script = Script::new(Role::Controlled);
    let other = address("10.0.1.2:1000");
    script.add_remote(remote(), 1);
    script.add_remote(other, 0);
    for at in [remote(), other] {
        script.ask_well(at, &Ask::controlling());
        let check = script.slot().expect("a triggered check");
        script.succeed(&check);
    }
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!(script.selected(), Some(remote()));
    let (outcome, answer) = script.ask(other, &Ask::nominating());
    assert_eq!(outcome, Outcome::Dropped(DropReason::Refused));
    let answer = answer.expect("an answer");
    assert_eq!((answer.code, answer.integrity), (Some(400), Some(Algorithm::Sha1)));
    assert_eq!(script.selected(), Some(remote()), "T14: the selected pair does not move");
    script.ask_well(remote(), &Ask::nominating());
}

#[test]
fn ice_39_checks_are_answered_after_ice_has_completed() {
    let mut world = World::hosts(2, millis(50));
    world.signal();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(20_000));
    let mut script = Script::new(Role::Controlled);
    core::mem::swap(&mut script.set, &mut world.sides[0].set);
    script.now = ms(20_000);
    let before = script.snapshot();
    for source in [world.sides[1].bases[0].1, address("10.9.9.9:9")] {
        let id = script.new_id();
        let bytes = Ask::default().bytes(id);
        let outcome = script.answer_from(world.sides[0].bases[0].0, source, &bytes);
        assert_eq!(outcome, Outcome::Taken);
        let sent = script.drain();
        assert_eq!((sent.len(), sent[0].to), (1, source));
    }
    assert_eq!(script.set.state(), State::Completed);
    assert_eq!(script.set.pairs().count(), 1);
    // Counters apart, nothing has changed.
    let strip = |text: &str| text.split("requests_received").next().map(std::string::ToString::to_string);
    assert_eq!(strip(&script.snapshot()), strip(&before));
}

#[test]
fn t04_a_flood_of_new_sources_is_answered_within_bounds() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let mut rng = Random::from_seed([5; 32]);
    for _ in 0..10_000_u32 {
        let port = u16::try_from(rng.below(64_000)).expect("in range") + 1_000;
        script.ask_well(floe_pair::TransportAddress::new([10, 8, 0, 1].into(), port), &Ask::default());
        assert!(script.set.pairs().count() <= crate::PEER_REFLEXIVE_LIMIT + 1);
    }
    let refused = |event: &Event| matches!(event, Event::LimitReached { limit: Limit::PeerReflexive, .. });
    assert!(script.events().iter().any(refused));
    assert!(script.find(remote()).is_some(), "the signalled candidate is still there");
}

#[test]
fn unknown_base_and_other_methods_are_dropped() {
    let mut script = Script::new(Role::Controlling);
    let id = script.new_id();
    let bytes = Ask::default().bytes(id);
    assert_eq!(
        script.answer_from(floe_pair::BaseId(99), remote(), &bytes),
        Outcome::Dropped(DropReason::UnknownBase)
    );
    assert!(script.drain().is_empty());
}
