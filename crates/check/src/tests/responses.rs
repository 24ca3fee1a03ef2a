//! Answers to our checks.

use floe_pair::{BaseId, CandidateType, ComponentId, Role, TieBreaker};
use floe_stun::Algorithm;
use floe_stun::attribute::ErrorCode;
use floe_stun::binding::Claim;

use super::lives::RENOMINATION;
use super::renominate::both;
use super::script::*;
use super::world::*;
use crate::{Admission, Config, DropReason, Event, Failure, Outcome, PairState, TransmitKind, Urgency};

fn started(role: Role) -> (Script, Sent) {
    let mut script = Script::new(role);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    (script, check)
}

#[test]
fn a_check_is_made_as_the_rfc_says() {
    for role in [Role::Controlling, Role::Controlled] {
        let (_, check) = started(role);
        let request = check.request();
        assert_eq!((check.from, check.to, check.kind), (BASE, remote(), TransmitKind::Check));
        // RFC 8445 §7.2.2: the peer's fragment, then ours; the peer's password.
        assert_eq!(request.username, Some(&b"rightfrag:leftfrag"[..]));
        let key = floe_stun::IntegrityKey::new(THEIR_PASSWORD);
        assert_eq!(check.message().verify_integrity(&key), Ok(Algorithm::Sha1));
        assert_eq!(check.message().verify_fingerprint(), Ok(()));
        let claim = match role {
            Role::Controlling => Claim::Controlling(2),
            Role::Controlled => Claim::Controlled(1),
        };
        assert_eq!((request.claim, request.use_candidate), (Some(claim), false));
    }
}

#[test]
fn ice_16_priority_is_that_of_a_peer_reflexive_candidate() {
    let (_, check) = started(Role::Controlling);
    // Type preference 110 in place of 126, the local preference and the component as they are.
    assert_eq!(check.request().priority, Some(110 << 24 | 65_535 << 8 | 255));
}

#[test]
fn a_retransmission_is_the_same_bytes() {
    let (mut script, check) = started(Role::Controlling);
    let sent = script.wait(40_000);
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|again| again.bytes == check.bytes));
    assert_eq!(script.pair(remote()).failure, Some(Failure::TimedOut));
}

#[test]
fn ice_21_an_answer_from_elsewhere_fails_the_pair() {
    let mut script = Script::new(Role::Controlling);
    let other_base = BaseId(8);
    script.set.add_base(other_base, Admission::Open);
    for (base, source) in [(BASE, address("10.0.1.1:1001")), (other_base, remote())] {
        let mut script = Script::new(Role::Controlling);
        script.set.add_base(other_base, Admission::Open);
        script.add_remote(remote(), 0);
        let check = script.slot().expect("a check");
        let bytes = reply(check.id(), Reply::Success(local()), Some(THEIR_PASSWORD), Algorithm::Sha1);
        assert_eq!(script.answer_from(base, source, &bytes), Outcome::Taken);
        let pair = script.pair(remote());
        assert_eq!(
            (pair.state, pair.failure, pair.valid),
            (PairState::Failed, Some(Failure::NotSymmetric), false)
        );
    }
}

#[test]
fn t09_only_the_answer_that_is_right_in_everything_counts() {
    for case in 0..16_u8 {
        let (id, source, base, key) = (case & 1 == 0, case & 2 == 0, case & 4 == 0, case & 8 == 0);
        let (mut script, check) = started(Role::Controlling);
        script.set.add_base(BaseId(8), Admission::Open);
        let transaction = if id { check.id() } else { script.new_id() };
        let password = if key { THEIR_PASSWORD } else { b"leftpassword0123456789abcd" };
        let bytes = reply(transaction, Reply::Success(local()), Some(password), Algorithm::Sha1);
        let from = if source { remote() } else { address("10.0.1.7:7") };
        let outcome = script.answer_from(if base { BASE } else { BaseId(8) }, from, &bytes);
        let expected = match (id, key, source && base) {
            (false, ..) => (Outcome::NotOurs, PairState::InProgress),
            (true, false, _) => (Outcome::Dropped(DropReason::Integrity), PairState::InProgress),
            (true, true, false) => (Outcome::Taken, PairState::Failed),
            // Succeeded, and then the nomination waits for its slot.
            (true, true, true) => (Outcome::Taken, PairState::Succeeded),
        };
        assert_eq!((outcome, script.pair(remote()).state), expected, "case {case:04b}");
    }
}

#[test]
fn t06_forged_answers_change_neither_result_nor_timing() {
    let (mut clean, _) = started(Role::Controlling);
    let times: std::vec::Vec<_> = core::iter::from_fn(|| {
        let at = clean.set.poll_timeout()?;
        clean.wait(at.since(clean.now).as_millis().try_into().expect("short"));
        Some(at)
    })
    .take(6)
    .collect();
    let (mut script, check) = started(Role::Controlling);
    for at in times {
        let before = script.snapshot();
        for password in [None, Some(&b"leftpassword0123456789abcd"[..])] {
            for forged in [Reply::Error(400), Reply::Error(487), Reply::Error(500), Reply::Error(403)] {
                let bytes = reply(check.id(), forged, password, Algorithm::Sha1);
                assert_eq!(
                    script.answer_from(BASE, remote(), &bytes),
                    Outcome::Dropped(DropReason::Integrity)
                );
            }
            let bytes = reply(check.id(), Reply::Success(local()), password, Algorithm::Sha1);
            assert_eq!(
                script.answer_from(BASE, address("10.6.6.6:6"), &bytes),
                Outcome::Dropped(DropReason::Integrity)
            );
        }
        assert_eq!(script.snapshot(), before);
        assert_eq!(script.set.poll_timeout(), Some(at));
        script.wait(at.since(script.now).as_millis().try_into().expect("short"));
    }
    script.succeed(&check);
    assert!(script.pair(remote()).valid);
}

#[test]
fn stn_11_where_all_answers_had_wrong_integrity_the_failure_says_so() {
    let (mut script, check) = started(Role::Controlling);
    let bytes = reply(check.id(), Reply::Error(401), None, Algorithm::Sha1);
    assert_eq!(script.answer_from(BASE, remote(), &bytes), Outcome::Dropped(DropReason::Integrity));
    script.wait(40_000);
    assert_eq!(script.pair(remote()).failure, Some(Failure::IntegrityViolated));
}

#[test]
fn an_answer_with_another_algorithm_than_the_request_is_dropped() {
    let (mut script, check) = started(Role::Controlling);
    let bytes = reply(check.id(), Reply::Success(local()), Some(THEIR_PASSWORD), Algorithm::Sha256);
    assert_eq!(script.answer_from(BASE, remote(), &bytes), Outcome::Dropped(DropReason::Integrity));
}

#[test]
fn ice_22_a_new_mapped_address_is_a_local_peer_reflexive_candidate() {
    let (mut script, check) = started(Role::Controlled);
    let mapped = address("192.0.2.1:4000");
    script.succeed_with(&check, mapped);
    // ICE-23: the valid pair has the mapped address; the check went from the base.
    let pair = script.pair(remote());
    assert_eq!((pair.local.address, pair.local.kind), (mapped, CandidateType::PeerReflexive));
    assert_eq!(Some(pair.local.priority.get()), check.request().priority);
    let valid = script.set.best_valid(STREAM, RTP).expect("valid");
    assert_eq!((valid.base, valid.local.address), (BASE, mapped));
    let learned = Event::LocalLearned { stream: STREAM, component: RTP, address: mapped };
    assert!(script.events().contains(&learned));
}

#[test]
fn ice_23_the_valid_pair_has_the_reflexive_candidate_that_is_known() {
    let mut script = Script::new(Role::Controlled);
    let mapped = address("192.0.2.1:4000");
    let reflexive = candidate(CandidateType::ServerReflexive, RTP, 0, mapped);
    script.set.add_local_candidate(ms(0), STREAM, reflexive.clone(), BASE);
    script.add_remote(remote(), 0);
    assert_eq!(script.set.pairs().count(), 1, "ICE-12: replaced by its base and pruned");
    let check = script.slot().expect("a check");
    script.succeed_with(&check, mapped);
    assert_eq!(script.pair(remote()).local, reflexive);
}

#[test]
fn ice_23_a_mapped_address_that_is_another_base_makes_that_pair_valid() {
    let mut script = Script::new(Role::Controlled);
    let (other, other_at) = (BaseId(8), address("10.0.0.2:1000"));
    script.set.add_base(other, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, other_at), other);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    assert_eq!(check.from, BASE);
    script.succeed_with(&check, other_at);
    let states: std::vec::Vec<_> =
        script.set.pairs().map(|pair| (pair.base, pair.state, pair.valid)).collect();
    assert_eq!(states, [(BASE, PairState::Succeeded, false), (other, PairState::Succeeded, true)]);
    // Nominated by the check that proved it.
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!(script.set.selected(STREAM, RTP).map(|pair| pair.base), Some(other));
}

#[test]
fn ice_20_487_switches_the_role_renews_the_tiebreaker_and_checks_again() {
    for role in [Role::Controlling, Role::Controlled] {
        let (mut script, check) = started(role);
        let (before, priority) = (script.set.tiebreaker(), script.pair(remote()).priority);
        assert_eq!(script.refuse(&check, ErrorCode::ROLE_CONFLICT), Outcome::Taken);
        assert_eq!(script.set.role(), role.opposite());
        assert_ne!(script.set.tiebreaker(), before);
        let pair = script.pair(remote());
        assert_eq!((pair.state, wants(&mut script.set)), (PairState::Waiting, Some(Urgency::Triggered)));
        let swapped =
            floe_pair::PairPriority::new(role.opposite(), pair.local.priority, pair.remote.priority);
        assert_eq!(pair.priority, swapped);
        let _ = priority;
        let again = script.slot().expect("the check is repeated");
        let TieBreaker(value) = script.set.tiebreaker();
        let claim = match role {
            Role::Controlling => Claim::Controlled(value),
            Role::Controlled => Claim::Controlling(value),
        };
        assert_eq!(again.request().claim, Some(claim));
        assert!(script.events().contains(&Event::RoleSwitched(role.opposite())));
    }
}

#[test]
fn ice_20_a_late_487_changes_nothing() {
    let mut script = Script::new(Role::Controlling);
    let other = address("10.0.1.2:1000");
    script.add_remote(remote(), 0);
    script.add_remote(other, 1);
    let (first, second) = (script.slot().expect("a check"), script.slot().expect("a check"));
    assert_eq!(script.refuse(&first, ErrorCode::ROLE_CONFLICT), Outcome::Taken);
    let tiebreaker = script.set.tiebreaker();
    assert_eq!(script.refuse(&second, ErrorCode::ROLE_CONFLICT), Outcome::Taken);
    assert_eq!((script.set.role(), script.set.tiebreaker()), (Role::Controlled, tiebreaker));
    // Both are checked again with the role there is now.
    for _ in 0..2 {
        let check = script.slot().expect("again");
        assert!(matches!(check.request().claim, Some(Claim::Controlled(_))));
    }
}

#[test]
fn t13_a_peer_that_answers_487_to_everything_is_given_up() {
    let (mut script, mut check) = started(Role::Controlling);
    let mut switches = 0;
    let mut role = script.set.role();
    for _ in 0..1_000 {
        assert_eq!(script.refuse(&check, ErrorCode::ROLE_CONFLICT), Outcome::Taken);
        switches += u32::from(script.set.role() != role);
        role = script.set.role();
        let Some(next) = script.slot() else { break };
        check = next;
    }
    assert_eq!(switches, u32::from(crate::ROLE_SWITCH_LIMIT));
    assert_eq!(script.pair(remote()).failure, Some(Failure::Refused(487)));
}

#[test]
fn an_error_of_the_peer_fails_the_pair_and_thaws_nothing() {
    for code in [300, 400, 401, 420, 500, 699] {
        let (mut script, check) = started(Role::Controlling);
        assert_eq!(script.refuse(&check, code), Outcome::Taken);
        assert_eq!(script.pair(remote()).failure, Some(Failure::Refused(code)));
        assert!(script.slot().is_none());
    }
}

#[test]
fn round_trip_times_are_measured_by_karns_rule() {
    let (mut script, check) = started(Role::Controlled);
    script.wait(40);
    script.succeed(&check);
    assert_eq!(script.pair(remote()).rtt, Some(millis(40)));
    let (mut script, check) = started(Role::Controlled);
    script.wait(540);
    script.succeed(&check);
    assert_eq!(script.pair(remote()).rtt, None, "sent twice: which one was answered?");
}

/// A signalled link-local address has no zone, one that something arrived from has ours: it is the same address.
#[test]
fn link_local_candidates_are_compared_without_their_zone_and_sent_to_in_that_of_the_base() {
    let (near, far) = (address("[fe80::a%2]:1000"), address("[fe80::b]:2000"));
    let arrived = far.with_scope(2);
    for signalled in [far, far.with_scope(7)] {
        let mut script = Script::new(Role::Controlling);
        let base = BaseId(8);
        script.set.add_base(base, Admission::Open);
        script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, near), base);
        script.add_remote(signalled, 0);
        let id = script.new_id();
        assert_eq!(script.answer_from(base, arrived, &Ask::default().bytes(id)), Outcome::Taken);
        assert_eq!(script.drain().first().map(|sent| sent.to), Some(arrived), "the answer");
        let check = script.slot().expect("a check");
        assert_eq!((check.from, check.to), (base, arrived));
        // On the wire the mapped address has no zone.
        script.succeed_with(&check, near.with_scope(0));
        assert!(script.pair(far).valid && script.set.is_valid(base, arrived).is_some());
        let nomination = script.slot().expect("a nomination");
        script.succeed_with(&nomination, near.with_scope(0));
        let selected = script.set.selected(STREAM, RTP).expect("selected");
        assert_eq!((selected.local.address, selected.remote), (near, arrived));
        assert_eq!(selected.remote_candidate.kind, CandidateType::Host);
        let consent = script.wait(7_000).pop().expect("a consent request");
        assert_eq!((consent.kind, consent.to), (TransmitKind::Consent, arrived));
        let news = script.events();
        let learned =
            |event: &Event| matches!(event, Event::LocalLearned { .. } | Event::RemoteLearned { .. });
        assert!(!news.iter().any(learned), "{news:?}");
    }
}

/// A component that learns at the same instant that consent on its selected pair has ended, and that another component has one
/// pair more: data goes over what is left to it (RFC 8445 §12.1).
#[test]
fn con_04_an_answer_for_one_component_at_the_end_of_consent_of_another_moves_that_one() {
    let [ours, theirs] = both(RENOMINATION);
    let mut script = Script::between(Role::Controlled, Config::default(), ours, theirs);
    let (rtcp, base) = (ComponentId::RTCP, BaseId(8));
    let [held, standby] = ["10.0.1.1:1001", "10.0.1.2:1001"].map(address);
    script.set.add_component(script.now, STREAM, rtcp);
    script.set.add_base(base, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(rtcp, 0, address("10.0.0.1:1001")), base);
    script.add_remote(remote(), 0);
    for (index, at) in (0..).zip([held, standby]) {
        script.set.add_remote_candidate(ms(0), STREAM, host(rtcp, index, at));
    }
    while let Some(check) = script.slot() {
        script.succeed(&check);
    }
    for (base, from) in [(BASE, remote()), (base, held)] {
        let bytes = Ask::renominating(1).bytes(script.new_id());
        assert_eq!(script.answer_from(base, from, &bytes), Outcome::Taken);
        let _ = script.drain();
    }
    while let Some(check) = script.slot() {
        script.succeed(&check);
    }
    assert_eq!([RTP, rtcp].map(|of| script.selected_of(STREAM, of)), [Some(remote()), Some(held)]);
    let end = script.set.selected(STREAM, rtcp).expect("selected").valid_until;
    // The peer keeps the standby pair; consent on the selected one is not answered any more.
    let keeps = Ask::controlling();
    while script.now.after(millis(200)) < end {
        for sent in script.wait(100) {
            if sent.to != held && sent.kind != TransmitKind::Keepalive && sent.kind != TransmitKind::Response
            {
                script.succeed(&sent);
            }
        }
        let bytes = keeps.bytes(script.new_id());
        assert_eq!(script.answer_from(base, standby, &bytes), Outcome::Taken);
        let _ = script.drain();
    }
    assert_eq!(script.set.selected(STREAM, rtcp).expect("selected").valid_until, end);
    // One pair more of the first component, below the selected one; the answer comes before the timer.
    script.add_remote(address("10.0.1.3:1000"), 3);
    let check = script.slot().expect("a check");
    script.now = end;
    script.succeed(&check);
    let route = script.set.route(STREAM, rtcp).expect("the standby pair carries data");
    assert_eq!(route.remote, standby);
}
