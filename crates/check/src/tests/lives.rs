//! What showed only in sessions that last: components that wait for each other, consent that ends on one side, pairs that
//! are left and gone back to.

use std::vec::Vec;

use floe_pair::{BaseId, CandidateType, ComponentId, Role, TransportAddress};
use floe_stun::attribute::ErrorCode;

use super::renominate::{both, moves, new_draft, relayed};
use super::script::*;
use super::world::*;
use crate::limits::FRESH_LIMIT;
use crate::pairs::PairId;
use crate::{Admission, Config, ConsentConfig, Event, MoveReason, PairState, State, TransmitKind, Urgency};

pub(super) const OTHER: &str = "10.0.1.2:1000";
const RTCP: ComponentId = ComponentId::RTCP;

fn id_of(script: &Script, to: TransportAddress) -> PairId {
    script.set.pairs.iter().find(|pair| pair.to == to).expect("a pair").id
}

/// Two valid pairs, the first of them selected.
pub(super) fn selected(role: Role, config: Config, tags: &[&str]) -> Script {
    let [ours, theirs] = both(tags);
    let mut script = Script::between(role, config, ours, theirs);
    for (index, at) in (0..).zip([remote(), address(OTHER)]) {
        script.add_remote(at, index);
    }
    let checks: Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    if role == Role::Controlling {
        let nomination = script.slot().expect("the nomination");
        script.succeed(&nomination);
    } else {
        script.ask_well(remote(), &Ask::renominating(1));
    }
    assert_eq!(script.selected(), Some(remote()));
    script
}

/// So many tenths of a second, in which consent requests to `answered` are answered; how many were sent to others.
pub(super) fn tenths(script: &mut Script, count: u32, answered: &[TransportAddress]) -> usize {
    let mut unanswered = 0;
    for _ in 0..count {
        for sent in script.wait(100) {
            match sent.kind {
                TransmitKind::Keepalive => {}
                _ if answered.contains(&sent.to) => script.succeed(&sent),
                kind => unanswered += usize::from(kind == TransmitKind::Consent),
            }
        }
    }
    unanswered
}

pub(super) const RENOMINATION: &[&str] = &["ice2", "renomination2"];

#[test]
fn what_is_frozen_behind_a_component_that_has_a_selected_pair_is_checked() {
    // The right side is seen at another address than it knows of; nothing reaches the second component of the left.
    let roles = [Role::Controlled, Role::Controlling];
    let mut world = World::between(roles, new_draft(), millis(50), 7, Config::default());
    for (index, side) in world.sides.iter_mut().enumerate() {
        for (component, port) in [(RTP, 1000), (RTCP, 1001)] {
            side.set.add_component(ms(0), STREAM, component);
            side.add_host(STREAM, component, 0, &std::format!("10.0.{index}.1:{port}"));
        }
    }
    world.outside = [1000, 1001]
        .map(|port| (address(&std::format!("10.0.1.1:{port}")), address(&std::format!("20.0.0.1:{port}"))))
        .to_vec();
    world.passes = std::boxed::Box::new(|_, _, to, _| {
        to != address("10.0.0.1:1001") && !std::format!("{to}").starts_with("10.0.1.")
    });
    world.signal();
    world.complete_gathering();
    world.run(ms(2_000));
    assert!(world.sides[0].set.selected(STREAM, RTP).is_some());
    let asked = |(_, _, to): &&(_, TransmitKind, TransportAddress)| *to == address("10.0.1.1:1001");
    assert!(world.sides[0].sent.iter().find(asked).is_some(), "the first component has what it needs");
}

#[test]
fn what_is_frozen_thaws_while_checks_rest() {
    let mut script = Script::new(Role::Controlling);
    let base = BaseId(8);
    script.set.add_component(script.now, STREAM, RTCP);
    script.set.add_base(base, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTCP, 0, address("10.0.0.1:1001")), base);
    for (index, at) in (0..).zip(["10.0.1.1", "10.0.1.2"]) {
        script.add_remote(address(&std::format!("{at}:1000")), index);
        let rtcp = host(RTCP, index, address(&std::format!("{at}:1001")));
        script.set.add_remote_candidate(ms(0), STREAM, rtcp);
    }
    let checks: Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    script.succeed(&checks[0]);
    let first = script.slot().expect("the nomination of the first component");
    let check = script.slot().expect("a check of the second");
    assert!(first.nominates() && check.to == address("10.0.1.1:1001"));
    script.succeed_with(&check, address("10.0.0.1:1001"));
    assert!(script.slot().expect("its nomination").nominates());
    let frozen = address("10.0.1.2:1001");
    assert_eq!(script.pair(frozen).state, PairState::Frozen);
    script.succeed(&first);
    assert_eq!(script.set.wants_slot(), None, "checks rest");
    assert_eq!(script.pair(frozen).state, PairState::Waiting, "nothing that it waits for is left");
}

#[test]
fn nothing_rests_for_a_nomination_that_no_fresh_one_may_follow() {
    let mut script = Script::new(Role::Controlling);
    for (index, at) in (0..).zip([remote(), address(OTHER)]) {
        script.add_remote(at, index);
    }
    let check = script.slot().expect("a check");
    script.succeed(&check);
    let id = id_of(&script, remote());
    script.set.pairs.get_mut(id).expect("a pair").fresh_used = FRESH_LIMIT;
    assert!(script.slot().expect("the nomination").nominates());
    assert_eq!(script.set.wants_slot(), Some(Urgency::Ordinary));
}

#[test]
fn con_06_with_renomination_a_pair_whose_consent_has_ended_here_is_refused_to_the_peer() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    tenths(&mut script, 290, &[address(OTHER)]);
    script.ask_well(remote(), &Ask::controlling());
    tenths(&mut script, 20, &[address(OTHER)]);
    assert_eq!((script.selected(), script.set.state()), (None, State::Connected));
    // The peer may have had all answers, and would keep sending on a pair that nothing comes back on.
    for ask in [Ask::controlling(), Ask::renominating(9)] {
        let (_, answer) = script.ask(remote(), &ask);
        assert_eq!(answer.expect("an answer").code, Some(ErrorCode::FORBIDDEN));
    }
    script.ask_well(address(OTHER), &Ask::controlling());
    script.ask_well(address(OTHER), &Ask::renominating(10));
    assert_eq!((script.selected(), script.set.state()), (Some(address(OTHER)), State::Completed));
}

#[test]
fn con_06_without_renomination_the_peer_goes_on_where_consent_has_ended_here() {
    let mut script = selected(Role::Controlled, Config::default(), &["ice2"]);
    tenths(&mut script, 310, &[]);
    assert_eq!(script.set.state(), State::Disconnected);
    script.ask_well(remote(), &Ask::controlling());
}

/// A third pair joins, and the peer refuses our check of it.
fn refused_third(script: &mut Script) -> TransportAddress {
    let third = address("10.0.1.3:1000");
    script.add_remote(third, 2);
    let check = script.slot().expect("a check");
    assert_eq!(script.refuse(&check, ErrorCode::BAD_REQUEST), crate::Outcome::Taken);
    third
}

#[test]
fn a_pair_that_the_peer_still_has_is_taken_when_all_consent_was_lost() {
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    let third = refused_third(&mut script);
    tenths(&mut script, 150, &[remote(), address(OTHER)]);
    assert!(script.find(third).is_none(), "not worth keeping");
    // With a selected pair, a check of the peer on it leads to nothing.
    script.ask_well(third, &Ask::default());
    assert!(script.find(third).is_none() && script.slot().is_none());
    while script.set.state() != State::Disconnected || script.selected().is_some() {
        script.wait(100);
        let _ = script.slot();
    }
    assert!(script.events().iter().any(|event| matches!(event, Event::ConsentLost { .. })));
    script.ask_well(third, &Ask::default());
    let check = script.slot().expect("the triggered check");
    assert_eq!(check.to, third);
    script.succeed(&check);
    let nomination = script.slot().expect("the nomination");
    assert!(nomination.nominates());
    script.succeed(&nomination);
    assert_eq!((script.selected(), script.set.state()), (Some(third), State::Completed));
}

#[test]
fn what_the_peer_still_has_is_kept_where_nothing_else_is_left_to_move_to() {
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    let other = id_of(&script, address(OTHER));
    script.set.pairs.get_mut(other).expect("a pair").listed = false;
    script.ask_well(address(OTHER), &Ask::default());
    assert!(tenths(&mut script, 200, &[remote()]) > 0, "it is a standby pair again");
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn con_01_consent_rests_on_the_selected_pair_only() {
    let consent = ConsentConfig { suspend: true, ..ConsentConfig::default() };
    let config = Config { consent: Some(consent), ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    assert!(tenths(&mut script, 100, &[remote(), address(OTHER)]) == 0);
    assert_eq!(tenths(&mut script, 600, &[address(OTHER)]), 0, "nothing is sent, nothing is asked");
    script.ask_well(address(OTHER), &Ask::renominating(2));
    assert_eq!(script.selected(), Some(address(OTHER)));
    assert!(tenths(&mut script, 100, &[address(OTHER)]) > 0, "whether it can be gone back to");
    tenths(&mut script, 210, &[address(OTHER)]);
    assert!(script.find(remote()).is_none_or(|pair| !pair.valid));
}

#[test]
fn a_direct_pair_that_was_left_for_a_relay_is_kept_while_it_may_come_back() {
    let mut world = relayed(new_draft(), Config::default(), 0);
    assert!(world.run_to_selection(ms(2_000)));
    world.run(ms(10_000));
    let is_relay = |at: TransportAddress| std::format!("{at}").starts_with("10.9.");
    world.passes = std::boxed::Box::new(move |now, from, to, _| {
        is_relay(from) || is_relay(to) || now < ms(10_000) || now > ms(30_000)
    });
    world.run(ms(90_000));
    assert_eq!(moves(&world, 0), [MoveReason::Lost, MoveReason::Direct]);
    world.assert_agreed(STREAM, RTP);
}

#[test]
fn a_pair_that_is_being_nominated_stays_in_its_checklist() {
    let config = Config { standby: 0, ..Config::default() };
    let mut script = selected(Role::Controlling, config, RENOMINATION);
    let other = id_of(&script, address(OTHER));
    let now = script.now;
    for (nomination, stays) in [(Some(other), true), (None, false)] {
        script.set.component_mut(STREAM, RTP).expect("a component").nomination = nomination;
        script.set.trim(now, STREAM, RTP);
        assert_eq!(script.set.pairs.get(other).expect("a pair").listed, stays);
    }
    // And where the peer comes back to one that has left, it is in the checklist again.
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let other = id_of(&script, address(OTHER));
    script.set.pairs.get_mut(other).expect("a pair").listed = false;
    script.ask_well(address(OTHER), &Ask::renominating(2));
    assert_eq!(script.selected(), Some(address(OTHER)));
    assert!(script.set.pairs.get(other).expect("a pair").listed, "its consent is kept up");
}

#[test]
fn a_pair_that_is_being_nominated_makes_no_room_for_others() {
    let config = Config { pair_limit: 2, ..Config::default() };
    let mut script = Script::with(Role::Controlling, config);
    script.add_remote(address(OTHER), 5);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    assert!(script.slot().expect("the nomination").nominates());
    // It was not answered, and is made again in the next slot.
    script.wait(150);
    assert_eq!(script.pair(address(OTHER)).state, PairState::Waiting);
    for index in 0..3 {
        script.add_remote(address(&std::format!("10.0.1.{}:1000", index + 10)), index);
    }
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(address(OTHER)));
}

#[test]
fn where_nothing_is_selected_a_silent_pair_is_nominated() {
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    tenths(&mut script, 200, &[remote()]);
    assert_eq!((script.selected(), script.slot().is_none()), (Some(remote()), true));
    let lost = loop {
        if let Some(sent) = script.wait(100).into_iter().find(|sent| sent.to == remote()) {
            break sent;
        }
    };
    assert_eq!(script.refuse(&lost, ErrorCode::FORBIDDEN), crate::Outcome::Taken);
    let nomination = script.slot().expect("a nomination");
    assert!(nomination.nominates() && nomination.to == address(OTHER));
    script.succeed(&nomination);
    assert_eq!((script.selected(), script.set.state()), (Some(address(OTHER)), State::Completed));
}

#[test]
fn a_pair_whose_nomination_failed_is_nominated_when_it_has_become_valid_again() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    let nomination = script.slot().expect("the nomination");
    assert_eq!(script.refuse(&nomination, ErrorCode::BAD_REQUEST), crate::Outcome::Taken);
    assert!(script.slot().is_none(), "not by itself");
    script.ask_well(remote(), &Ask::default());
    let check = script.slot().expect("the triggered check");
    assert!(!check.nominates());
    script.succeed(&check);
    let nomination = script.slot().expect("the nomination");
    assert!(nomination.nominates());
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn a_pair_that_was_left_can_be_gone_back_to_although_its_nomination_was_refused() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let held = id_of(&script, remote());
    script.set.pairs.get_mut(held).expect("a pair").nomination_failed = true;
    script.ask_well(address(OTHER), &Ask::renominating(2));
    assert!(!script.set.pairs.get(held).expect("a pair").nomination_failed);
}

pub(super) const SECOND: BaseId = BaseId(8);

pub(super) fn second() -> TransportAddress {
    address("10.0.0.2:1000")
}

/// As [`selected`], before anything has begun, with a second base.
fn two_bases() -> Script {
    let [ours, theirs] = new_draft();
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, second()), SECOND);
    for (index, at) in (0..).zip([remote(), address(OTHER)]) {
        script.add_remote(at, index);
    }
    script
}

#[test]
fn a_nomination_ends_with_its_base() {
    let mut script = two_bases();
    let checks: Vec<_> = (0..4).map(|_| script.slot().expect("a check")).collect();
    for check in checks.iter().filter(|check| check.to == remote()) {
        script.succeed_with(check, if check.from == SECOND { second() } else { local() });
    }
    let nomination = script.slot().expect("the nomination");
    assert!(nomination.nominates() && nomination.from == BASE);
    script.set.remove_base(script.now, BASE);
    let nomination = script.slot().expect("the nomination of what is left");
    assert!(nomination.nominates() && nomination.from == SECOND);
}

#[test]
fn the_pair_whose_check_has_proved_a_standby_pair_stays_with_it() {
    let mut script = two_bases();
    let checks: Vec<_> = (0..4).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        match (check.from, check.to == remote()) {
            (BASE, true) => script.succeed(check),
            // Seen from the second base: that pair is valid, by the check of the first.
            (BASE, false) => script.succeed_with(check, second()),
            _ => assert_eq!(script.refuse(check, ErrorCode::BAD_REQUEST), crate::Outcome::Taken),
        }
        while let Some(nomination) = script.slot() {
            script.succeed(&nomination);
        }
    }
    assert_eq!(script.selected(), Some(remote()));
    tenths(&mut script, 100, &[remote(), address(OTHER)]);
    let lost = loop {
        if let Some(sent) = script.wait(100).into_iter().find(|sent| sent.to == remote()) {
            break sent;
        }
    };
    assert_eq!(script.refuse(&lost, ErrorCode::FORBIDDEN), crate::Outcome::Taken);
    let nomination = script.slot().expect("the nomination of the standby pair");
    assert_eq!((nomination.from, nomination.to), (BASE, address(OTHER)));
    script.succeed_with(&nomination, second());
    assert_eq!((script.selected(), script.set.state()), (Some(address(OTHER)), State::Completed));
}

#[test]
fn a_pair_that_is_vetoed_is_no_standby_pair() {
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    script.set.veto(script.now, id_of(&script, address(OTHER)), true);
    let lost = loop {
        if let Some(sent) = script.wait(100).into_iter().find(|sent| sent.to == remote()) {
            break sent;
        }
    };
    assert_eq!(script.refuse(&lost, ErrorCode::FORBIDDEN), crate::Outcome::Taken);
    assert!(script.events().iter().any(|event| matches!(event, Event::ConsentLost { .. })));
    assert_eq!(script.set.state(), State::Disconnected);
}

#[test]
fn a_pair_that_was_selected_may_be_tried_as_often_again() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let other = id_of(&script, address(OTHER));
    script.set.pairs.get_mut(other).expect("a pair").fresh_used = FRESH_LIMIT;
    script.ask_well(address(OTHER), &Ask::renominating(2));
    assert_eq!(script.set.pairs.get(other).expect("a pair").fresh_used, 0);
}

#[test]
fn a_nomination_of_a_pair_that_may_be_tried_no_more_is_refused() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let third = refused_third(&mut script);
    let id = id_of(&script, third);
    script.set.pairs.get_mut(id).expect("a pair").fresh_used = FRESH_LIMIT;
    for ask in [Ask::renominating(2), Ask::controlling()] {
        let (_, answer) = script.ask(third, &ask);
        assert_eq!(answer.expect("an answer").code, Some(ErrorCode::FORBIDDEN));
    }
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn a_nomination_that_was_accepted_counts_when_the_pair_comes_true_at_last() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let third = address("10.0.1.3:1000");
    script.add_remote(third, 2);
    script.ask_well(third, &Ask::renominating(2));
    let check = script.slot().expect("the triggered check");
    assert_eq!(script.refuse(&check, ErrorCode::BAD_REQUEST), crate::Outcome::Taken);
    tenths(&mut script, 100, &[remote(), address(OTHER)]);
    assert_eq!(script.selected(), Some(remote()));
    // The peer counts on it, and asks for consent there.
    script.ask_well(third, &Ask::controlling());
    let check = script.slot().expect("the triggered check");
    script.succeed(&check);
    assert_eq!(script.selected(), Some(third));
}

#[test]
fn a_candidate_that_comes_after_a_base_has_gone_is_not_paired_with_it() {
    let mut script = two_bases();
    let checks: Vec<_> = (0..4).map(|_| script.slot().expect("a check")).collect();
    assert!(checks.iter().any(|check| check.from == SECOND));
    script.set.remove_base(script.now, SECOND);
    let third = address("10.0.1.3:1000");
    script.add_remote(third, 2);
    let bases: Vec<_> =
        script.set.pairs().filter(|pair| pair.remote.address == third).map(|pair| pair.base).collect();
    assert_eq!(bases, [BASE]);
    script.set.local_gathering_complete(script.now, STREAM);
    script.set.remote_gathering_complete(script.now, STREAM);
    while script.slot().is_some() {}
    script.wait(200_000);
    assert_eq!(script.set.state(), State::Failed, "nothing is left to wait for");
}

#[test]
fn a_peer_whose_permission_was_given_back_is_admitted_anew() {
    let [ours, theirs] = both(RENOMINATION);
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    let relay = BaseId(8);
    script.set.add_base(relay, Admission::PerPeer);
    let relayed = candidate(CandidateType::Relayed, RTP, 1, address("10.9.0.1:1000"));
    script.set.add_local_candidate(ms(0), STREAM, relayed, relay);
    script.add_remote(remote(), 0);
    let wanted = Event::AdmissionWanted { base: relay, peer: remote().ip() };
    let direct = script.slot().expect("a check");
    assert!(script.events().contains(&wanted));
    script.set.admit(script.now, relay, remote().ip());
    let over_relay = script.slot().expect("a check");
    assert_eq!((direct.from, over_relay.from), (BASE, relay));
    assert_eq!(script.refuse(&over_relay, ErrorCode::BAD_REQUEST), crate::Outcome::Taken);
    script.succeed(&direct);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    script.set.local_gathering_complete(script.now, STREAM);
    tenths(&mut script, 200, &[remote()]);
    assert!(script.events().contains(&Event::CandidatesFree { stream: STREAM }));
    assert!(!script.set.is_peer_listed(relay, remote().ip()), "its permission is renewed no more");
    script.add_remote(address("10.0.1.1:2000"), 1);
    assert_eq!(script.slot().expect("a check").from, BASE);
    assert!(script.slot().is_none(), "nothing goes over the relay yet");
    assert!(script.events().contains(&wanted));
    script.set.admit(script.now, relay, remote().ip());
    assert_eq!(script.slot().expect("a check").from, relay);
    // Another pair to the same peer has its permission.
    script.add_remote(address("10.0.1.1:3000"), 2);
    assert!(!script.events().contains(&wanted));
}

#[test]
fn con_04_a_peer_whose_address_changed_often_is_learned_again_and_what_is_spent_stays_spent() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let at = |value: u32| address(&std::format!("10.0.1.{value}:5000"));
    for value in 2..42 {
        tenths(&mut script, 400, &[]);
        assert_eq!(script.selected(), None);
        script.ask_well(at(value), &Ask::renominating(value));
        let check = script.slot().expect("a triggered check");
        script.succeed(&check);
        assert_eq!(script.selected(), Some(at(value)));
    }
    // RFC 7675 §5.1, also of a pair that had to make room.
    tenths(&mut script, 400, &[]);
    assert!(script.find(at(2)).is_none() && script.find(at(3)).is_none());
    let learned = script.set.usage().learned;
    for value in 2..42 {
        for ask in [Ask::controlling(), Ask::renominating(100 + value)] {
            let (_, answer) = script.ask(at(value), &ask);
            assert_eq!(answer.expect("an answer").code, Some(403), "{value}");
        }
    }
    assert!(script.slot().is_none());
    assert_eq!(script.set.usage().learned, learned);
}

#[test]
fn a_component_that_was_rescued_and_is_lost_again_suggests_a_restart_again() {
    let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
    let suggested =
        Event::RestartSuggested { stream: STREAM, component: RTP, reason: crate::RestartReason::Lost };
    for value in 2..4 {
        let _ = script.events();
        tenths(&mut script, 400, &[]);
        assert_eq!(script.events().iter().filter(|event| **event == suggested).count(), 1, "{value}");
        let at = address(&std::format!("10.0.1.{value}:5000"));
        script.ask_well(at, &Ask::renominating(value));
        let check = script.slot().expect("a triggered check");
        script.succeed(&check);
        assert_eq!(script.selected(), Some(at));
    }
}

/// A request that arrives on the second base.
fn ask_second(script: &mut Script, source: TransportAddress) {
    let id = script.new_id();
    let asked =
        hand_in(&mut script.set, script.now, SECOND, source, &Ask::default().bytes(id), &mut script.rng);
    assert_eq!((asked, script.drain().len()), (crate::Outcome::Taken, 1));
}

/// RFC 8445 §7.3.1.4: the first check of the peer on a base that is new. What was learned is not paired with that before
/// (§7.3.1.3).
#[test]
fn p06_a_base_that_comes_when_all_else_was_freed_is_found_from_an_address_that_was_learned() {
    let [ours, theirs] = new_draft();
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    script.add_remote(address("10.9.9.9:1000"), 0);
    let check = script.slot().expect("a check");
    assert_eq!(script.refuse(&check, ErrorCode::BAD_REQUEST), crate::Outcome::Taken);
    script.ask_well(remote(), &Ask::default());
    for nominates in [false, true] {
        let check = script.slot().expect("a check");
        assert_eq!((check.to, check.nominates()), (remote(), nominates));
        script.succeed(&check);
    }
    script.set.local_gathering_complete(script.now, STREAM);
    tenths(&mut script, 200, &[remote()]);
    assert!(script.set.is_freed(STREAM) && script.find(address("10.9.9.9:1000")).is_none());
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(script.now, STREAM, host(RTP, 1, second()), SECOND);
    let check = script.slot().expect("a check of what was signalled");
    assert_eq!((check.from, check.to), (SECOND, address("10.9.9.9:1000")));
    let refused = reply(check.id(), Reply::Error(400), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_eq!(script.answer_from(SECOND, check.to, &refused), crate::Outcome::Taken);
    // The peer hears of it by signalling, which takes its time.
    tenths(&mut script, 100, &[remote()]);
    assert_eq!(script.set.pairs().count(), 1);
    ask_second(&mut script, remote());
    let check = script.slot().expect("the triggered check");
    assert_eq!((check.from, check.to), (SECOND, remote()));
    let refused = reply(check.id(), Reply::Error(400), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_eq!(script.answer_from(SECOND, check.to, &refused), crate::Outcome::Taken);
    // It was not worth keeping: from now on it is as on the others.
    tenths(&mut script, 100, &[remote()]);
    ask_second(&mut script, remote());
    assert!(script.set.pairs().count() == 1 && script.slot().is_none());
}
