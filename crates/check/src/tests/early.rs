//! Checks that come before the peer's parameters (RFC 8445 §7.3).

use floe_pair::Role;

use super::script::*;
use super::world::*;
use crate::{Config, State};

#[test]
fn ice_25_an_early_check_is_answered_at_once_and_checked_later() {
    let mut script = Script::bare(Role::Controlled, Config::default());
    let (_, answer) = script.ask(remote(), &Ask::controlling());
    let answer = answer.expect("an answer");
    assert_eq!((answer.success, answer.mapped), (true, Some(remote())));
    assert_eq!(script.set.may_become_valid(BASE, remote()), Some((STREAM, RTP)));
    assert_eq!(script.set.is_valid(BASE, remote()), None);
    assert!(script.slot().is_none());
    script.wait(600_000);
    script.set.set_remote_parameters(script.now, parameters("right"));
    assert_eq!(script.slot().expect("the triggered check").to, remote());
}

#[test]
fn ice_25_several_early_checks_are_all_checked_in_their_order() {
    let mut script = Script::bare(Role::Controlled, Config::default());
    let sources = ["10.0.1.3:1", "10.0.1.1:1", "10.0.1.2:1"].map(address);
    for source in sources.into_iter().chain(sources) {
        script.ask_well(source, &Ask::controlling());
    }
    script.set.set_remote_parameters(script.now, parameters("right"));
    let order: std::vec::Vec<_> = core::iter::from_fn(|| script.slot()).map(|sent| sent.to).collect();
    assert_eq!(order, sources);
}

#[test]
fn an_early_nomination_counts() {
    let mut script = Script::bare(Role::Controlled, Config::default());
    script.ask_well(remote(), &Ask::nominating());
    script.ask_well(remote(), &Ask::controlling());
    script.set.set_remote_parameters(script.now, parameters("right"));
    let check = script.slot().expect("the triggered check");
    script.succeed(&check);
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn an_early_check_of_another_agent_is_forgotten() {
    let mut script = Script::bare(Role::Controlled, Config::default());
    script.ask_well(remote(), &Ask { username: Some(b"leftfrag:forkfrag"), ..Ask::controlling() });
    script.set.set_remote_parameters(script.now, parameters("right"));
    assert!(script.slot().is_none());
}

#[test]
fn an_early_check_on_a_base_without_candidate_waits_for_the_candidate() {
    let mut script = Script::new(Role::Controlled);
    let base = floe_pair::BaseId(8);
    script.set.add_base(base, crate::Admission::Open);
    let id = script.new_id();
    let bytes = Ask::controlling().bytes(id);
    assert_eq!(script.answer_from(base, remote(), &bytes), crate::Outcome::Taken);
    assert_eq!(script.drain().len(), 1);
    assert!(script.slot().is_none());
    script.set.add_local_candidate(script.now, STREAM, host(RTP, 1, address("10.0.0.9:9")), base);
    let check = script.slot().expect("the triggered check");
    assert_eq!((check.from, check.to), (base, remote()));
}

#[test]
fn a_role_conflict_of_an_early_check_is_settled_at_once() {
    let mut script = Script::bare(Role::Controlling, Config::default());
    let claim = Some(floe_stun::binding::Claim::Controlling(99));
    script.ask_well(remote(), &Ask { claim, ..Ask::default() });
    assert_eq!(script.set.role(), Role::Controlled);
}
