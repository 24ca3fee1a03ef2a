//! Gathering that goes on after it had ended: for further components, and for another generation.

use core::time::Duration;

use alloc::vec;
use floe_pair::CandidateType;

use super::lab::{Lab, RTCP, RTP, config};
use super::script::{silent, stun};
use crate::{Config, Event, RequestFailure, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.1:3478";

/// RFC 8445 §5.1.1.4: the peer may answer after the NAT has forgotten a mapping that nobody kept alive.
#[test]
fn p16_what_is_found_for_a_component_added_after_the_conclusion_is_kept_alive() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server(SERVER, stun());
    lab.start_for(&["10.0.0.7"], &[RTP]).run(SECOND);
    lab.gatherer.conclude(lab.now);
    lab.drain();
    let before = lab.sent.len();
    lab.run(SECOND * 60);
    assert_eq!(lab.sent.len(), before, "ICE has concluded");
    lab.gatherer.start(lab.now, &[RTCP]);
    lab.drain();
    lab.run(SECOND * 60);
    let asked = lab.sent.len() - before;
    assert!((3..=6).contains(&asked), "one request, and one each 15 s: {asked}");
    lab.gatherer.conclude(lab.now);
    lab.drain();
    let before = lab.sent.len();
    lab.run(SECOND * 60);
    assert_eq!(lab.sent.len(), before, "ICE has concluded again");
}

/// What a user may have configured: less patience than the deadline.
#[test]
fn p02_a_restart_ends_as_early_as_the_start_did() {
    let config = Config { deadline: SECOND * 5, patience: SECOND * 3, ..config(&["stun:198.51.100.1"]) };
    let mut lab = Lab::new(config).behind_nat().server(SERVER, silent());
    lab.start(&["10.0.0.7"]).run(SECOND * 100);
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND * 10);
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![], vec![3_000, 103_000]));
}

/// A host that starts without a network, and restarts ICE when it has one.
#[test]
fn t32_a_name_that_could_not_be_resolved_is_asked_again_by_a_restart_and_a_known_one_is_not() {
    let mut lab = Lab::new(config(&["stun:stun.example.org"])).behind_nat().server(SERVER, stun());
    lab.names.insert("stun.example.org", Err(RequestFailure::Unreachable));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.failures(), [(0, ServerError::Resolve(RequestFailure::Unreachable))]);
    let reflexive = |lab: &Lab| lab.of(CandidateType::ServerReflexive).len();
    assert_eq!((reflexive(&lab), lab.completed_at().len()), (0, 1));
    lab.names.insert("stun.example.org", Ok(vec!["198.51.100.1".parse().expect("a literal")]));
    lab.run(SECOND * 60);
    assert_eq!(reflexive(&lab), 0, "not by itself");
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((reflexive(&lab), lab.completed_at().len()), (1, 2));
    // What it says another time leads nowhere else.
    lab.names.insert("stun.example.org", Ok(vec!["198.51.100.2".parse().expect("a literal")]));
    lab.gatherer.conclude(lab.now);
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!(lab.sent_to("198.51.100.2:3478"), 0);
    let told = lab.events.iter().filter(|(_, event)| matches!(event, Event::ServerFailed { .. }));
    assert_eq!(told.count(), 1);
}
