//! Pairs that another pair's check has proved (RFC 8445 §7.2.5.3.2): a host masquerades one of its addresses as another.

use std::vec::Vec;

use floe_pair::{BaseId, Parameters, Role, TransportAddress};
use floe_stun::attribute::ErrorCode;
use floe_stun::binding::Claim;

use super::renominate::new_draft;
use super::script::*;
use super::world::*;
use crate::{Admission, Config, Event, Outcome, PairState, State};

const SECOND: BaseId = BaseId(8);
const OTHER: &str = "10.0.1.2:1000";

fn second() -> TransportAddress {
    address("10.0.0.2:1000")
}

/// The check from the first base was seen from the second one's address, whose pair is valid thereby.
fn proved(role: Role, [ours, theirs]: [Parameters; 2]) -> Script {
    let mut script = Script::between(role, Config::default(), ours, theirs);
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, second()), SECOND);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    assert_eq!(check.from, BASE);
    script.succeed_with(&check, second());
    script
}

fn plain() -> [Parameters; 2] {
    [parameters("left"), parameters("right")]
}

/// A request that arrives on the second base.
fn ask_second(script: &mut Script, ask: &Ask) -> bool {
    let id = script.new_id();
    let outcome = hand_in(&mut script.set, script.now, SECOND, remote(), &ask.bytes(id), &mut script.rng);
    let _ = script.drain();
    outcome == Outcome::Taken
}

#[track_caller]
fn assert_selected(script: &Script) {
    assert_eq!(script.set.selected(STREAM, RTP).map(|pair| pair.base), Some(SECOND));
    assert_eq!(script.set.state(), State::Completed);
}

/// All nominations within some seconds, each of them answered.
fn nominations(script: &mut Script) -> Vec<Sent> {
    let mut found = Vec::new();
    for _ in 0..100 {
        let mut sent = script.wait(50);
        sent.extend(script.slot());
        for one in sent {
            let seen = if one.to == remote() || one.from == SECOND { second() } else { local() };
            script.succeed_with(&one, seen);
            found.extend(Some(one).filter(Sent::nominates));
        }
    }
    found
}

/// RFC 8445 §7.3.1.5: what the peer was told to be accepted is selected, and may be nominated again.
#[test]
fn ice_31_the_peer_nominates_a_pair_that_another_check_has_proved() {
    let mut script = proved(Role::Controlled, plain());
    assert!(ask_second(&mut script, &Ask::nominating()));
    assert_selected(&script);
    assert!(ask_second(&mut script, &Ask::nominating()), "it is selected");
    assert_selected(&script);
}

/// The role has changed since the peer nominated the pair, or the one whose check has proved it.
fn unconfirmed(itself: bool) -> Script {
    let mut script = proved(Role::Controlled, plain());
    if itself {
        assert!(ask_second(&mut script, &Ask::nominating()));
    } else {
        script.ask_well(remote(), &Ask::nominating());
    }
    assert_selected(&script);
    assert!(ask_second(&mut script, &Ask { claim: Some(Claim::Controlled(0)), ..Ask::default() }));
    assert_eq!(script.set.role(), Role::Controlling);
    script
}

#[test]
fn p11_a_selected_pair_that_another_check_has_proved_is_nominated_again_once() {
    for itself in [true, false] {
        let mut script = unconfirmed(itself);
        let nominations = nominations(&mut script);
        let sent: Vec<_> = nominations.iter().map(|sent| (sent.from, sent.to)).collect();
        assert_eq!(sent, [(BASE, remote())], "{itself}: by the check that has proved it");
        assert_selected(&script);
    }
}

/// RFC 8445 §8.1.1: selected it is all the same.
#[test]
fn p11_where_that_is_refused_the_pair_stays_selected() {
    let mut script = unconfirmed(true);
    let nomination = script.slot().expect("the nomination");
    assert_eq!(script.refuse(&nomination, ErrorCode::BAD_REQUEST), Outcome::Taken);
    assert_selected(&script);
    let lost = |event: &Event| matches!(event, Event::ConsentLost { .. });
    assert!(!script.events().iter().any(lost) && nominations(&mut script).is_empty());
    assert_selected(&script);
}

#[test]
fn oth_05_after_a_move_that_failed_a_pair_that_another_check_has_proved_is_told_again_once() {
    let mut script = proved(Role::Controlling, new_draft());
    let first = script.slot().expect("the nomination");
    assert_eq!((first.from, first.nominates()), (BASE, true));
    script.succeed_with(&first, second());
    assert_selected(&script);
    script.add_remote(address(OTHER), 1);
    let other = core::iter::from_fn(|| script.slot()).find(|sent| sent.from == BASE).expect("a check");
    script.succeed(&other);
    let moving = script.slot().expect("the move");
    assert_eq!((moving.from, moving.to, moving.nominates()), (BASE, address(OTHER), true));
    assert_eq!(script.refuse(&moving, ErrorCode::BAD_REQUEST), Outcome::Taken);
    let nominations = nominations(&mut script);
    assert_eq!(nominations.iter().map(|sent| (sent.from, sent.to)).collect::<Vec<_>>(), [(BASE, remote())]);
    assert_selected(&script);
}

/// RFC 8445 §7.2.5.3.4: what the repeated check shows is nominated, also where that is a pair that its own check has proved.
#[test]
fn a_nomination_that_proves_what_is_proved_already_ends_with_its_answer() {
    let (third, third_at) = (BaseId(9), address("10.0.0.3:1000"));
    let mut script = proved(Role::Controlling, plain());
    let first = script.slot().expect("the nomination");
    assert_eq!((first.from, first.nominates()), (BASE, true));
    script.set.add_base(third, Admission::Open);
    script.set.add_local_candidate(script.now, STREAM, host(RTP, 2, third_at), third);
    let mut nomination = first;
    let mut refused = false;
    while !refused {
        let mut sent = script.wait(50);
        sent.extend(script.slot());
        for one in sent {
            if one.nominates() {
                nomination = one;
            } else if one.from == SECOND {
                assert_eq!(script.refuse(&one, ErrorCode::FORBIDDEN), Outcome::Taken);
                refused = true;
            } else {
                script.succeed_with(&one, third_at);
            }
        }
    }
    assert_eq!((nomination.from, script.selected()), (BASE, None));
    script.succeed_with(&nomination, third_at);
    assert_eq!(script.set.selected(STREAM, RTP).map(|pair| pair.base), Some(third));
    assert!(nominations(&mut script).is_empty());
}

/// RFC 8445 §8.1.1: what was sent may have been accepted, though another check has proved the pair again meanwhile.
#[test]
fn p39_a_nomination_that_was_sent_is_not_taken_back_where_another_check_proves_the_pair() {
    let mut script = Script::new(Role::Controlling);
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, second()), SECOND);
    for (index, at) in (0..).zip([remote(), address(OTHER)]) {
        script.add_remote(at, index);
    }
    let checks: Vec<_> = (0..4).map(|_| script.slot().expect("a check")).collect();
    let check =
        |base: BaseId, to| checks.iter().find(|sent| (sent.from, sent.to) == (base, to)).expect("sent");
    script.succeed(check(BASE, address(OTHER)));
    script.succeed(check(BASE, remote()));
    let nomination = script.slot().expect("the nomination");
    assert_eq!((nomination.from, nomination.to, nomination.nominates()), (BASE, remote(), true));
    script.succeed(check(SECOND, remote()));
    let pair = script.set.pairs().find(|pair| pair.base == BASE && pair.remote.address == remote());
    script.set.veto(script.now, pair.expect("a pair").id, true);
    let again = script.slot().expect("the same once more");
    assert_eq!((again.from, again.to, again.nominates()), (BASE, remote(), true));
    script.succeed(&nomination);
    assert_eq!(script.set.selected(STREAM, RTP).map(|pair| (pair.base, pair.remote)), Some((BASE, remote())));
}

/// Whether data of the peer is taken that arrives on the first base, and on the second.
fn takes_data(script: &Script) -> [bool; 2] {
    [BASE, SECOND].map(|base| script.set.is_valid(base, remote()) == Some((STREAM, RTP)))
}

/// So many tenths of a second, in which the peer answers all consent requests.
fn live(script: &mut Script, tenths: u32) {
    for _ in 0..tenths {
        for sent in script.wait(100) {
            script.succeed_with(&sent, second());
        }
    }
}

/// RFC 8445 §12.2: what the peer sends to the address that it has seen arrives where the answer has arrived.
#[test]
fn s14_data_is_taken_where_the_answer_came_in_that_has_proved_the_pair() {
    let mut script = proved(Role::Controlled, new_draft());
    assert_eq!(takes_data(&script), [true; 2]);
    assert!(ask_second(&mut script, &Ask::renominating(1)));
    assert_selected(&script);
    live(&mut script, 600);
    assert_eq!(takes_data(&script), [true; 2], "what is not needed was freed");
    script.set.retire(script.now);
    live(&mut script, 100);
    assert_eq!(takes_data(&script), [true; 2], "RFC 8445 §9: data goes on");
    assert_selected(&script);
    while script.set.best_valid(STREAM, RTP).is_some() {
        script.wait(100);
    }
    assert_eq!(takes_data(&script), [false; 2]);
}

/// As [`proved`], after the check of the second pair itself.
fn shown(ours: &[&str]) -> Script {
    let (ours, theirs) = (with_options("left", ours), with_options("right", ours));
    let mut script = Script::between(Role::Controlled, Config::default(), ours, theirs);
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, second()), SECOND);
    script.add_remote(remote(), 0);
    let [first, own] = [script.slot().expect("a check"), script.slot().expect("a check")];
    assert_eq!((first.from, own.from), (BASE, SECOND));
    for check in [&own, &first] {
        script.succeed_with(check, second());
    }
    script
}

/// RFC 8445 §7.3.1.5: the pair that the check has shown is nominated, though its own check had proved it before.
#[test]
fn ice_31_the_peer_nominates_a_pair_that_two_checks_have_proved_by_either() {
    for options in [&["ice2"][..], &["ice2", "renomination2"]] {
        let mut script = shown(options);
        assert_eq!(takes_data(&script), [true; 2]);
        script.ask_well(remote(), &Ask::renominating(1));
        assert_selected(&script);
        assert!(ask_second(&mut script, &Ask::renominating(2)));
        script.ask_well(remote(), &Ask::renominating(3));
        live(&mut script, 600);
        assert_selected(&script);
        assert_eq!(takes_data(&script), [true; 2], "what is not needed was freed");
    }
}

/// RFC 8445 §7.3.1.4: what has come true is checked no more for as long as something is valid by it.
#[test]
fn ice_30_a_pair_whose_check_has_proved_another_is_tried_again_when_that_one_is_lost() {
    for mut script in [proved(Role::Controlled, plain()), shown(&["ice2"])] {
        script.ask_well(remote(), &Ask::controlling());
        assert!(script.slot().is_none_or(|check| check.from == SECOND));
        script.set.remove_base(script.now, SECOND);
        assert_eq!(takes_data(&script), [false; 2]);
        script.ask_well(remote(), &Ask::nominating());
        let check = script.slot().expect("the triggered check");
        assert_eq!(check.from, BASE);
        script.succeed_with(&check, second());
        assert_eq!(script.set.selected(STREAM, RTP).map(|pair| pair.base), Some(BASE));
        assert_eq!((script.pair(remote()).state, takes_data(&script)), (PairState::Succeeded, [true, false]));
    }
}

/// A pair that the application has ruled out is nominated over no way that leads to it.
#[test]
fn oth_05_a_vetoed_pair_is_nominated_over_neither_base() {
    let mut script = shown(&["ice2"]);
    let vetoed = script.set.pairs().find(|pair| pair.base == SECOND).unwrap().id;
    assert!(script.set.veto(script.now, vetoed, true));
    let (_, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!(answer.unwrap().code, Some(400));
    assert!(!ask_second(&mut script, &Ask::nominating()));
    assert!(script.set.selected(STREAM, RTP).is_none());
    assert!(script.set.veto(script.now, vetoed, false));
    script.ask_well(remote(), &Ask::nominating());
    assert_selected(&script);
}

/// RFC 8445 §9: of what a generation leaves behind only what works stays.
#[test]
fn p17_a_way_that_has_failed_is_not_kept_with_what_its_check_has_proved() {
    let mut script = proved(Role::Controlled, plain());
    script.ask_well(remote(), &Ask::nominating());
    assert_selected(&script);
    script.set.remove_base(script.now, BASE);
    script.set.retire(script.now);
    let kept: Vec<_> = script.set.pairs().map(|pair| (pair.base, pair.state)).collect();
    assert_eq!(kept, [(SECOND, PairState::Succeeded)]);
}
