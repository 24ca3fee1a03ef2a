//! Candidates that come one by one, and peer-reflexive ones that are signalled later.

use floe_pair::{Candidate, CandidateType, Priority, Role};

use super::script::*;
use super::world::*;
use crate::{
    AddressPrefix, Config, Failure, Outcome, PairPolicy, PairState, RemoteOutcome, RemoteRule, State,
};

#[test]
fn trk_09_candidates_after_the_end_are_ignored() {
    let mut script = Script::new(Role::Controlling);
    script.set.remote_gathering_complete(ms(0), STREAM);
    script.add_remote(remote(), 0);
    assert_eq!(script.set.pairs().count(), 0);
}

#[test]
fn trk_04_a_late_reflexive_candidate_makes_no_second_pair() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let before: std::vec::Vec<_> = script.set.pairs().collect();
    let reflexive = candidate(CandidateType::ServerReflexive, RTP, 0, address("192.0.2.1:4000"));
    script.set.add_local_candidate(ms(0), STREAM, reflexive, BASE);
    assert_eq!(script.set.pairs().collect::<std::vec::Vec<_>>(), before);
}

/// A pair of [`remote`] that has come as far as this, and one that goes before it.
fn reached(role: Role, state: PairState) -> Script {
    let mut script = Script::new(role);
    script.add_remote(address("10.0.1.9:1"), 0);
    let mut second = host(RTP, 1, remote());
    if state == PairState::Frozen {
        second.foundation = host(RTP, 0, remote()).foundation;
    }
    script.set.add_remote_candidate(script.now, STREAM, second);
    script.slot().expect("the check of the first");
    if matches!(state, PairState::Frozen | PairState::Waiting) {
        return script;
    }
    let check = script.slot().expect("the check of the second");
    match state {
        PairState::Succeeded => script.succeed(&check),
        PairState::Failed => assert_eq!(script.refuse(&check, 400), Outcome::Taken),
        _ => {}
    }
    script
}

/// RFC 8838 §10: a better candidate of a base takes the place of the other in pairs that were not checked yet. Those that
/// are or were checked stay as they are.
#[test]
fn trk_04_only_pairs_that_are_not_checked_yet_change_to_a_better_candidate_of_their_base() {
    let states = [
        PairState::Frozen,
        PairState::Waiting,
        PairState::InProgress,
        PairState::Succeeded,
        PairState::Failed,
    ];
    let inside = |script: &Script| {
        let pair = script.set.pairs.iter().find(|pair| pair.to == remote()).expect("a pair");
        (pair.local, pair.local_priority, pair.check_priority, pair.foundation)
    };
    let priority = Priority::new(host(RTP, 0, local()).priority.get() + 256).expect("in range");
    let better = candidate(CandidateType::ServerReflexive, RTP, 0, address("192.0.2.1:4000"));
    let better = Candidate { priority, ..better };
    for role in [Role::Controlling, Role::Controlled] {
        for state in states {
            let mut script = reached(role, state);
            let (before, inside_before) = (script.pair(remote()), inside(&script));
            assert_eq!(before.state, state);
            script.set.add_local_candidate(script.now, STREAM, better.clone(), BASE);
            script.set.catch_up();
            let (after, inside_after) = (script.pair(remote()), inside(&script));
            if matches!(state, PairState::Waiting | PairState::Frozen) {
                assert_eq!(after.local.address, better.address, "{state:?}");
                assert!(after.priority > before.priority, "{state:?}");
                assert_ne!(inside_after.3, inside_before.3, "{state:?}: its foundation");
                let kept = (after.id, after.state, after.base, after.remote);
                assert_eq!(kept, (before.id, before.state, before.base, before.remote));
            } else {
                assert_eq!((after, inside_after), (before, inside_before), "{state:?}");
            }
        }
    }
}

#[test]
fn ice_11_a_remote_candidate_is_paired_once_with_each_base() {
    let mut script = Script::new(Role::Controlling);
    let other = floe_pair::BaseId(8);
    script.set.add_base(other, crate::Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, address("10.0.0.2:1000")), other);
    // Its base stands two places before it.
    let reflexive = candidate(CandidateType::ServerReflexive, RTP, 0, address("192.0.2.1:4000"));
    script.set.add_local_candidate(ms(0), STREAM, reflexive, BASE);
    script.add_remote(remote(), 0);
    let bases: std::vec::Vec<_> = script.set.pairs().map(|pair| pair.base).collect();
    assert_eq!(bases, [BASE, other]);
}

#[test]
fn ice_11_link_local_pairs_only_with_link_local() {
    let mut script = Script::new(Role::Controlling);
    script.set.add_base(floe_pair::BaseId(8), crate::Admission::Open);
    let at = address("[2001:db8::1]:1");
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, at), floe_pair::BaseId(8));
    script.add_remote(address("[fe80::1]:1"), 0);
    assert_eq!(script.set.pairs().count(), 0);
    script.add_remote(address("[2001:db8::2]:1"), 1);
    assert_eq!(script.set.pairs().count(), 1, "and one family only with itself");
}

/// How far the pair of a learned candidate has come when the candidate is signalled.
const STEPS: [&str; 6] = ["waiting", "in progress", "succeeded", "nominating", "selected", "long selected"];

#[test]
fn p09_signalling_a_learned_candidate_changes_its_type_and_nothing_else() {
    for kind in [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::Relayed] {
        for (step, name) in STEPS.iter().enumerate() {
            let mut script = Script::new(Role::Controlling);
            script.ask_well(remote(), &Ask::default());
            let mut open = None;
            if step >= 1 {
                open = script.slot();
            }
            if step >= 2 {
                script.succeed(&open.take().expect("a check"));
            }
            if step >= 3 {
                open = script.slot();
            }
            if step >= 4 {
                script.succeed(&open.take().expect("a nomination"));
            }
            if step >= 5 {
                for _ in 0..4 {
                    for consent in script.wait(5_000) {
                        script.succeed(&consent);
                    }
                }
            }
            let before = script.pair(remote());
            let (state, wanted, _) = (script.set.state(), wants(&mut script.set), script.events());
            script.set.add_remote_candidate(script.now, STREAM, candidate(kind, RTP, 3, remote()));
            let after = script.pair(remote());
            assert_eq!(script.events(), [], "{kind} {name}");
            assert_eq!((script.set.state(), wants(&mut script.set)), (state, wanted), "{kind} {name}");
            // TRK-06: the priority of the pair stays that of the peer-reflexive candidate.
            assert_eq!((after.id, after.state, after.priority), (before.id, before.state, before.priority));
            assert_eq!(
                (after.nominated, after.selected, after.valid),
                (before.nominated, before.selected, before.valid)
            );
            assert_eq!(after.remote.kind, kind, "{name}");
            if let Some(pair) = script.set.best_valid(STREAM, RTP) {
                assert_eq!(pair.remote_candidate.kind, kind, "{name}");
            }
            assert_eq!(script.set.pairs().count(), 1);
            if let Some(check) = open {
                script.succeed(&check);
                assert!(script.pair(remote()).valid);
            }
        }
    }
}

#[test]
fn a_learned_candidate_that_is_signalled_pairs_with_the_other_bases() {
    let mut script = Script::new(Role::Controlling);
    script.set.add_base(floe_pair::BaseId(8), crate::Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, address("10.0.0.2:1")), floe_pair::BaseId(8));
    script.ask_well(remote(), &Ask::default());
    assert_eq!(script.set.pairs().count(), 1, "RFC 8445 §7.3.1.3: not paired with the other base");
    script.add_remote(remote(), 0);
    assert_eq!(script.set.pairs().count(), 2);
}

#[test]
fn pac_01_nothing_fails_before_patience_is_over() {
    let mut script = Script::bare(Role::Controlling, Config::default());
    script.set.local_gathering_complete(ms(0), STREAM);
    script.wait(600_000);
    assert_eq!(script.set.state(), State::New, "the peer may answer ten minutes later");
    script.set.set_remote_parameters(script.now, parameters("right"));
    script.set.remote_gathering_complete(script.now, STREAM);
    script.wait(39_499);
    assert_eq!(script.set.state(), State::Checking, "with an empty checklist");
    script.wait(1);
    assert_eq!(script.set.state(), State::Failed);
}

#[test]
fn pac_02_what_is_under_way_may_end_after_patience() {
    let mut script = Script::new(Role::Controlling);
    script.set.local_gathering_complete(ms(0), STREAM);
    script.wait(30_000);
    script.add_remote(remote(), 0);
    script.slot().expect("a check");
    script.wait(30_000);
    assert_eq!(script.set.state(), State::Checking);
    script.wait(9_500);
    assert_eq!((script.set.state(), script.pair(remote()).failure), (State::Failed, Some(Failure::TimedOut)));
}

#[test]
fn pac_03_patience_stands_in_for_a_missing_end_of_candidates() {
    for (told, expected) in [(false, State::Checking), (true, State::Failed)] {
        let mut script = Script::new(Role::Controlling);
        if told {
            script.set.local_gathering_complete(ms(0), STREAM);
        }
        script.wait(100_000);
        assert_eq!(script.set.state(), expected, "TRK-02: running while local candidates may come");
    }
}

#[test]
fn a_check_of_the_peer_brings_a_failed_set_back() {
    let mut script = Script::new(Role::Controlled);
    script.set.local_gathering_complete(ms(0), STREAM);
    script.wait(40_000);
    assert_eq!(script.set.state(), State::Failed);
    script.ask_well(remote(), &Ask::controlling());
    assert_eq!((script.set.state(), script.pair(remote()).state), (State::Checking, PairState::Waiting));
}

/// RFC 8445 §6.1.2.2: a component is left out where the peer has provided no candidate for it. One that may not be used is
/// one all the same, and the component without a pair fails its stream (§7.2.5.4).
#[test]
fn rfc8445_6_1_2_2_a_component_whose_candidates_are_of_no_use_is_none_that_the_peer_lacks() {
    let rtcp = floe_pair::ComponentId::RTCP;
    let outcomes = [None, Some(RemoteOutcome::Denied), Some(RemoteOutcome::Full)];
    for expected in outcomes {
        let denied = AddressPrefix::new("10.9.0.0".parse().expect("an address"), 16);
        let policy = PairPolicy { remotes: std::vec![RemoteRule::deny(denied)], ..PairPolicy::default() };
        let mut script =
            Script::with(Role::Controlling, Config { policy, remote_limit: 1, ..Config::default() });
        script.set.add_component(script.now, STREAM, rtcp);
        script.add_remote(remote(), 0);
        if let Some(expected) = expected {
            let at = if expected == RemoteOutcome::Denied { "10.9.1.1:1001" } else { "10.0.1.1:1001" };
            let told = script.set.add_remote_candidate(script.now, STREAM, host(rtcp, 0, address(at)));
            assert_eq!(told, expected);
        }
        script.set.remote_gathering_complete(script.now, STREAM);
        script.set.local_gathering_complete(script.now, STREAM);
        assert_eq!(script.set.is_absent(STREAM, rtcp), expected.is_none());
        for _ in 0..2 {
            let check = script.slot().expect("a check, and the nomination");
            script.succeed(&check);
        }
        assert_eq!(script.selected(), Some(remote()));
        let state = if expected.is_none() { State::Completed } else { State::Checking };
        assert_eq!(script.set.state(), state, "{expected:?}");
        script.wait(40_000);
        let state = if expected.is_none() { State::Disconnected } else { State::Failed };
        assert_eq!(script.set.state(), state, "{expected:?}");
        // What is told from now on is told anew.
        script.set.add_component(script.now, STREAM, floe_pair::ComponentId::new(3).expect("in range"));
        script.set.remote_gathering_complete(script.now, STREAM);
        assert!(script.set.is_absent(STREAM, rtcp));
    }
}
