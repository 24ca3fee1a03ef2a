//! When a relay is nominated, where a direct pair may still come true.

use floe_pair::{CandidateType, ComponentId, Role, TransportAddress};

use super::script::*;
use super::world::*;
use crate::{Admission, Urgency};

/// What the peer has signalled, and what it sends from besides.
const SIGNALLED: &str = "203.0.113.2:1000";

/// The peer's reflexive address is being checked, and a check from `unknown` has come and was answered the other way.
fn seen_from(unknown: &str, signalled: &[&str]) -> Script {
    let mut script = Script::new(Role::Controlling);
    let other = candidate(CandidateType::ServerReflexive, RTP, 1, address(SIGNALLED));
    script.set.add_remote_candidate(ms(0), STREAM, other);
    for (index, at) in (2..).zip(signalled) {
        script.set.add_remote_candidate(ms(0), STREAM, host(RTP, index, address(at)));
    }
    for _ in 0..=signalled.len() {
        let _ = script.slot().expect("an ordinary check");
    }
    script.wait(20);
    script.ask_well(address(unknown), &Ask::default());
    let triggered = script.slot().expect("a triggered check");
    assert_eq!(triggered.to, address(unknown));
    script.wait(20);
    script.succeed(&triggered);
    script
}

fn is_nominating(script: &Script) -> bool {
    script.set.wants_slot() == Some(Urgency::Nomination)
}

#[test]
fn a_public_address_that_was_not_signalled_is_taken_for_a_relay() {
    let mut script = seen_from("198.51.100.9:4000", &[]);
    assert!(!is_nominating(&script), "its priority is above that of the signalled one");
    script.wait(400);
    assert!(!is_nominating(&script));
    // Both have sent by then.
    script.wait(1_000);
    assert!(is_nominating(&script));
}

#[test]
fn what_can_be_no_relay_is_nominated_as_soon_as_the_others_had_their_time() {
    // Another port of a host that is known, a private address, and a peer of which no public address is known.
    for unknown in ["203.0.113.2:4000", "192.168.1.9:4000"] {
        let mut script = seen_from(unknown, &[]);
        script.wait(30);
        assert!(is_nominating(&script), "{unknown}");
    }
    let mut script = Script::new(Role::Controlling);
    script.add_remote(address("192.168.1.2:1000"), 1);
    let _ = script.slot().expect("an ordinary check");
    script.ask_well(address("198.51.100.9:4000"), &Ask::default());
    let triggered = script.slot().expect("a triggered check");
    script.wait(20);
    script.succeed(&triggered);
    script.wait(30);
    assert!(is_nominating(&script));
}

#[test]
fn a_relays_address_is_explained_by_another_candidate_of_its_host() {
    let unknown = "198.51.100.9:4000";
    let mut script = seen_from(unknown, &[]);
    assert!(!is_nominating(&script));
    let host: TransportAddress = address("198.51.100.9:1000");
    script.set.add_remote_candidate(script.now, STREAM, candidate(CandidateType::Host, RTP, 5, host));
    let _ = script.slot();
    script.wait(30);
    assert!(is_nominating(&script));
}

/// A relayed pair that is valid, and a direct one under way since `ms(0)`, both of which have parameters since then.
fn relay_and_direct() -> Script {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let relay = candidate(CandidateType::Relayed, RTP, 1, address("198.51.100.9:4000"));
    script.set.add_remote_candidate(ms(0), STREAM, relay);
    let direct = script.slot().expect("the direct check");
    assert_eq!(direct.to, remote());
    let relayed = script.slot().expect("the relayed check");
    script.wait(50);
    script.succeed(&relayed);
    script.set.remote_gathering_complete(script.now, STREAM);
    script.set.local_gathering_complete(script.now, STREAM);
    script
}

#[test]
fn a_relay_waits_for_a_peer_that_has_not_begun() {
    let mut waiting = relay_and_direct();
    let mut begun = relay_and_direct();
    begun.ask_well(address("198.51.100.9:4000"), &Ask::default());
    // An RTO of each side, and two answers.
    for script in [&mut waiting, &mut begun] {
        script.wait(1_000);
        assert!(!is_nominating(script));
    }
    begun.wait(150);
    assert!(is_nominating(&begun));
    waiting.wait(1_500);
    assert!(!is_nominating(&waiting), "nothing was heard from it yet");
    waiting.wait(3_000);
    assert!(is_nominating(&waiting), "but not for ever");
}

#[test]
fn a_relay_waits_until_the_peer_can_have_heard_of_a_late_candidate() {
    let mut script = relay_and_direct();
    script.ask_well(address("198.51.100.9:4000"), &Ask::default());
    script.wait(900);
    let late = candidate(CandidateType::ServerReflexive, RTP, 3, address("203.0.113.1:7000"));
    script.set.add_local_candidate(script.now, STREAM, late, BASE);
    // The retransmission after that, at 1.5 s, and its answer.
    script.wait(500);
    assert!(!is_nominating(&script));
    script.wait(200);
    assert!(is_nominating(&script));
}

#[test]
fn a_permission_that_is_long_in_coming_keeps_no_frozen_pair_from_its_turn() {
    let mut script = Script::new(Role::Controlling);
    let relay = floe_pair::BaseId(8);
    script.set.add_base(relay, Admission::PerPeer);
    let relayed = candidate(CandidateType::Relayed, RTP, 1, address("198.51.100.1:3"));
    script.set.add_local_candidate(ms(0), STREAM, relayed, relay);
    // Two components of one foundation: the second is Frozen behind the first.
    let second = floe_pair::BaseId(9);
    script.set.add_component(script.now, STREAM, ComponentId::RTCP);
    script.set.add_base(second, Admission::Open);
    let rtcp = host(ComponentId::RTCP, 0, address("10.0.0.1:1001"));
    script.set.add_local_candidate(ms(0), STREAM, rtcp, second);
    script.add_remote(remote(), 0);
    let other = host(ComponentId::RTCP, 0, address("10.0.1.1:1001"));
    script.set.add_remote_candidate(ms(0), STREAM, other);
    let first = script.slot().expect("the first component's check");
    assert_eq!((first.from, first.to), (BASE, remote()));
    let _ = script.refuse(&first, 400);
    // The relay's pair waits for its permission; nothing of the direct foundation is under way any more.
    let next = script.slot().expect("the second component's check");
    assert_eq!((next.from, next.to), (second, address("10.0.1.1:1001")));
}
