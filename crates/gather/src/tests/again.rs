//! Gathering that goes on after it had ended: for further components, and for another generation.

use core::time::Duration;

use alloc::{string::ToString, vec, vec::Vec};
use floe_pair::CandidateType;

use super::lab::{Lab, RTCP, RTP, config, relay_only};
use super::script::{Turn, silent, stun, turn};
use crate::{Answer, Config, Event, Request, RequestFailure, ServerError};

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

/// ...or where the resolver still waits for an answer over the network of before.
#[test]
fn t32_p17_a_look_up_that_a_restart_finds_under_way_is_made_once_more_if_it_fails() {
    let found = Answer::Resolved(vec!["198.51.100.1".parse().expect("a literal")]);
    let failed = Answer::Failed(RequestFailure::TimedOut);
    for (answers, asked, mapped) in [
        (vec![failed.clone(), found.clone()], 2, 1),
        (vec![failed.clone(), failed], 2, 0),
        (vec![found], 1, 1),
    ] {
        let mut lab = Lab::new(config(&["stun:stun.example.org"])).behind_nat().server(SERVER, stun());
        lab.start(&["10.0.0.7"]).run(SECOND * 3);
        lab.gatherer.restart(lab.now);
        lab.gatherer.restart(lab.now);
        lab.drain();
        let resolve = |lab: &Lab| {
            let ids = lab.requests.iter().filter_map(|request| match request {
                Request::Resolve { id, .. } => Some(*id),
                _ => None,
            });
            ids.collect::<Vec<_>>()
        };
        let failures = usize::from(mapped == 0);
        for answer in answers {
            lab.run(SECOND);
            let id = *resolve(&lab).last().expect("one was asked for");
            lab.gatherer.handle_answer(lab.now, id, answer);
            lab.drain();
        }
        lab.run(SECOND);
        assert_eq!((resolve(&lab).len(), lab.of(CandidateType::ServerReflexive).len()), (asked, mapped));
        assert_eq!((lab.failures().len(), lab.completed_at().len()), (failures, 1), "said once it is final");
    }
}

/// A host with one relay, where ICE has concluded, and its server.
fn at_rest() -> (Turn, Lab) {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.1"])).behind_nat().server(SERVER, script);
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.gatherer.conclude(lab.now);
    (state, lab)
}

/// The ports of the relays there are, and how many the server knows of.
fn relays(state: &Turn, lab: &Lab) -> (Vec<u16>, usize) {
    let found =
        lab.gatherer.candidates().filter(|(_, candidate, _)| candidate.kind == CandidateType::Relayed);
    (found.map(|(_, candidate, _)| candidate.address.port()).collect(), state.borrow().allocations.len())
}

/// RFC 8445 §5.1.1.4: a NAT before the server forgets what nobody refreshes, long before the peer answers a restart.
#[test]
fn p17_allocations_are_kept_alive_again_from_a_restart_on() {
    let (_, mut lab) = at_rest();
    // The renewal that was on its way when ICE concluded.
    lab.run(SECOND * 20);
    let before = lab.sent.len();
    lab.run(SECOND * 60);
    assert_eq!(lab.sent.len(), before, "ICE has concluded");
    let restart = lab.elapsed();
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND * 63);
    let times: Vec<_> = lab.sent[before..].iter().map(|sent| (sent.at - restart) / 1_000).collect();
    assert_eq!(times, [0, 15, 30, 45, 60], "at once, and then each 15 s");
    lab.gatherer.conclude(lab.now);
    lab.drain();
    lab.run(SECOND * 20);
    let before = lab.sent.len();
    lab.run(SECOND * 60);
    assert_eq!(
        (lab.sent.len(), lab.of(CandidateType::Relayed).len()),
        (before, 1),
        "ICE has concluded again"
    );
}

#[test]
fn p17_a_restart_that_finds_an_allocation_forgotten_asks_for_another_one() {
    let (state, mut lab) = at_rest();
    lab.run(SECOND * 60);
    state.borrow_mut().allocations.clear();
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!(relays(&state, &lab), (vec![50_002], 1), "the lost one is gone");
    let found = lab.found().last().expect("the new one").0;
    assert!(found <= lab.completed_at()[1], "gathering is not complete before: {found}");
    assert_eq!((lab.completed_at().len(), lab.sockets.len()), (2, 1));
}

/// A host that slept for longer than an allocation lasts.
#[test]
fn p17_a_restart_asks_for_another_allocation_where_the_time_of_one_is_over() {
    let (state, mut lab) = at_rest();
    lab.drain();
    lab.now = lab.now.after(SECOND * 3_600);
    state.borrow_mut().allocations.clear();
    // Before any timer has run.
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!(relays(&state, &lab), (vec![50_002], 1), "the other one");
    assert_eq!(lab.completed_at().len(), 2);
}

/// What gathering waits for is said, here too.
#[test]
fn p17_a_server_that_is_silent_since_the_restart_is_named() {
    let (_, mut lab) = at_rest();
    lab.run(SECOND * 60);
    lab.servers.clear();
    for gathering in 1..=2 {
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND * 6);
        let told = |event: &Event| matches!(event, Event::ServerFailed { error: ServerError::NotInTime, .. });
        let late = lab.events.iter().filter(|(_, event)| told(event)).count();
        assert_eq!((late, lab.completed_at().len()), (gathering, 1), "at the deadline, once each time");
    }
}

/// A server, or a NAT, that forgets each allocation is not asked for ever more of them.
#[test]
fn p17_in_one_gathering_a_forgotten_allocation_is_asked_for_once_more() {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = Lab::new(config(&["turn:198.51.100.1", "stun:198.51.100.2"]))
        .behind_nat()
        .server(SERVER, script)
        .server("198.51.100.2:3478", silent());
    lab.start(&["10.0.0.7"]).run(SECOND);
    for round in 1..=2 {
        lab.gatherer.conclude(lab.now);
        let before = state.borrow().allocates;
        lab.gatherer.restart(lab.now);
        for _ in 0..35 {
            state.borrow_mut().allocations.clear();
            lab.drain();
            lab.run(SECOND);
        }
        assert!(!lab.gatherer.is_complete(), "one server is still waited for");
        let asked = state.borrow().allocates - before;
        // The second restart has none left, and asks for one to begin with.
        assert_eq!(asked, 2 * round, "each takes two requests");
        assert_eq!(relays(&state, &lab).0, []);
    }
}

/// RFC 8445 §9: what made the requests of the generation before fail may be over, and this why there is a restart.
#[test]
fn p17_a_restart_asks_anew_what_has_been_asked_for_long() {
    for waited in [2, 8, 16, 32, 39] {
        let mut lab = Lab::new(config(&["turn:198.51.100.1"])).behind_nat().server(SERVER, silent());
        // One request leaves at once, the other one a slot later.
        lab.start(&["10.0.0.7"]).run(SECOND * waited + SECOND / 20);
        let (state, script) = turn("198.51.100.1:0");
        lab.servers.insert(super::lab::at(SERVER), script);
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND);
        let found = [CandidateType::ServerReflexive, CandidateType::Relayed].map(|kind| lab.of(kind).len());
        assert_eq!((found, lab.completed_at().len()), ([1, 1], 1), "after {waited} s");
        // What was asked for before is given back.
        lab.run(SECOND * 5);
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (1, 2));
    }
}

/// ...and one restart after the other does not begin all of it again.
#[test]
fn p17_a_restart_goes_on_with_what_was_asked_just_now() {
    let mut lab = Lab::new(config(&["turn:198.51.100.1"])).behind_nat().server(SERVER, silent());
    lab.start(&["10.0.0.7"]);
    for _ in 0..20 {
        lab.run(SECOND / 2);
        lab.gatherer.restart(lab.now);
        lab.drain();
    }
    assert!(
        lab.sent_to(SERVER) <= 2 * 3 * 6,
        "no more than in the first 2 s of each: {}",
        lab.sent_to(SERVER)
    );
    assert!(lab.sockets.len() <= 2 + 2, "{}", lab.sockets.len());
}

/// ...nor what has not had its turn yet.
#[test]
fn p17_what_waits_for_its_first_slot_is_not_asked_for_long() {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = Lab::new(config(&["turn:198.51.100.1"])).behind_nat().server(SERVER, script);
    lab.interfaces(&["10.0.0.7"]);
    lab.gatherer.start(lab.now, &[RTP, RTCP]);
    lab.drain();
    let sockets = lab.sockets.len();
    // Checks take every slot for that long.
    lab.now = lab.now.after(SECOND * 3);
    lab.gatherer.restart(lab.now);
    lab.drain();
    assert_eq!((sockets, lab.requests.len()), (4, 4), "no socket is closed, none is asked for anew");
    lab.run(SECOND);
    assert_eq!((state.borrow().allocates, lab.of(CandidateType::ServerReflexive).len()), (4, 2));
}

/// What is waited for is said in each gathering.
#[test]
fn p17_a_stun_server_that_is_silent_is_named_by_each_gathering() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server(SERVER, silent());
    lab.start(&["10.0.0.7"]);
    for gathering in 1..=3 {
        lab.run(SECOND * 20);
        let told = lab.failures().iter().filter(|(_, error)| *error == ServerError::NotInTime).count();
        assert_eq!(told, gathering);
        lab.gatherer.restart(lab.now);
        lab.drain();
    }
}

/// Gathering that was never concluded, as with renomination: a NAT that has just begun anew knows no mapping of before.
#[test]
fn p17_a_restart_trusts_no_mapping_and_no_allocation_however_fresh() {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = Lab::new(config(&["turn:198.51.100.1"])).behind_nat().server(SERVER, script);
    lab.start(&["10.0.0.7"]).run(SECOND * 17);
    lab.nat = |local| crate::tests::lab::at("203.0.113.200:1").with_port(local.port() + 20_000);
    lab.gatherer.restart(lab.now);
    lab.drain();
    assert_eq!(lab.completed_at().len(), 1, "the servers are asked first");
    lab.run(SECOND);
    let told = |kind| lab.gatherer.candidates().filter(move |(_, found, _)| found.kind == kind);
    let mapped: Vec<_> =
        told(CandidateType::ServerReflexive).map(|(_, found, _)| found.address.ip().to_string()).collect();
    assert_eq!(mapped, ["203.0.113.200"]);
    assert_eq!(
        told(CandidateType::Relayed).map(|(_, found, _)| found.address.port()).collect::<Vec<_>>(),
        [50_002]
    );
    let [_, again] = lab.completed_at()[..] else { panic!("{:?}", lab.completed_at()) };
    assert!(again < 17_200 && lab.found().iter().all(|(at, ..)| *at <= again), "no candidate after the end");
    assert_eq!(state.borrow().allocations.len(), 2, "the lost one has another source at the server");
}

/// A request that keeps a mapping alive and is nearly over is no answer for a new generation.
#[test]
fn p17_a_restart_asks_again_about_a_mapping_whose_request_was_lost() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server(SERVER, stun());
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.servers.insert(super::lab::at(SERVER), silent());
    lab.run(SECOND * 48);
    lab.servers.insert(super::lab::at(SERVER), stun());
    let before = lab.sent.len();
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((lab.sent.len() - before, lab.completed_at().len()), (1, 2));
    // Where there is no answer it is said, once.
    lab.servers.insert(super::lab::at(SERVER), silent());
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND * 60);
    assert_eq!((lab.failures(), lab.completed_at().len()), (vec![(0, ServerError::NotInTime)], 3));
}

/// ...and neither is a Refresh that was lost, for an allocation.
#[test]
fn p17_a_restart_asks_again_about_an_allocation_whose_refresh_was_lost() {
    for lost in [4, 5, 16, 36] {
        let (state, script) = turn("198.51.100.1:0");
        let mut lab = Lab::new(relay_only(&["turn:198.51.100.1"])).behind_nat().server(SERVER, script);
        lab.start(&["10.0.0.7"]).run(SECOND);
        let script = lab.servers.insert(super::lab::at(SERVER), silent()).expect("it was there");
        // The Refresh begins after 15 s.
        lab.run(SECOND * (14 + lost));
        // The router is back, and knows no mapping of before.
        state.borrow_mut().allocations.clear();
        lab.servers.insert(super::lab::at(SERVER), script);
        let restart = lab.elapsed();
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND);
        assert_eq!(relays(&state, &lab), (vec![50_002], 1), "begun {lost} s before");
        let complete = lab.completed_at();
        assert!(complete.len() == 2 && complete[1] <= restart + 200, "begun {lost} s before: {complete:?}");
    }
}

/// RFC 8656 §5: what the server has forgotten is asked for anew while the checks go on, once in each generation.
#[test]
fn p16_an_allocation_that_is_lost_after_the_end_of_gathering_is_asked_for_anew() {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.1"])).behind_nat().server(SERVER, script);
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.completed_at().len(), 1);
    for (round, wanted) in [(1, 1), (2, 0)] {
        state.borrow_mut().allocations.clear();
        lab.run(SECOND * 20);
        assert_eq!(lab.gatherer.candidates().count(), wanted, "loss {round}");
    }
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    lab.gatherer.conclude(lab.now);
    state.borrow_mut().allocations.clear();
    lab.run(SECOND * 600);
    assert_eq!(lab.gatherer.candidates().count(), 0, "ICE has concluded");
}

/// A Refresh like any other is under way when it is said who has given nothing.
#[test]
fn p02_a_server_whose_allocation_is_being_refreshed_is_not_named_and_not_waited_for() {
    for rtt in 1..=9 {
        let (_, script) = turn("198.51.100.1:0");
        let urls = ["turn:198.51.100.1", "turn:198.51.100.2"];
        let config = Config { refresh: SECOND, patience: SECOND * 8, ..relay_only(&urls) };
        let mut lab =
            Lab::new(config).behind_nat().server(SERVER, script).server("198.51.100.2:3478", silent());
        lab.rtt = Duration::from_millis(100 * rtt);
        lab.start(&["10.0.0.7"]).run(SECOND * 10);
        assert_eq!(lab.failures(), [(1, ServerError::NotInTime)], "{rtt}00 ms");
    }
}

/// RFC 8838 §13: the end of candidates comes after those of the addresses there are at the restart.
#[test]
fn p17_a_restart_is_not_complete_before_the_interfaces_are_told_again() {
    for relisted in [true, false] {
        let mut lab = Lab::new(Config { relisted, ..config(&[]) });
        lab.start(&["10.0.0.7"]).run(SECOND);
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND);
        assert_eq!(lab.completed_at().len(), if relisted { 1 } else { 2 });
        lab.interfaces(&["10.0.1.8"]);
        assert_eq!((lab.of(CandidateType::Host).len(), lab.completed_at().len()), (2, 2));
        // Nobody tells them: it is not waited for ever.
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND * 40);
        assert_eq!(lab.completed_at().len(), 3);
    }
}

/// A host that had no descriptors left for a moment, or an address that could not be bound yet.
#[test]
fn p17_a_restart_asks_again_for_the_socket_of_an_address_that_had_none() {
    let mut lab = Lab::new(config(&[])).behind_nat();
    let ip = "10.0.0.7".parse().expect("a literal");
    lab.unbindable.insert(ip, RequestFailure::Other);
    lab.start(&["10.0.0.7", "10.0.1.8"]).run(SECOND);
    let hosts = |lab: &Lab| lab.of(CandidateType::Host).len();
    assert_eq!((hosts(&lab), lab.completed_at().len()), (1, 1));
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    let failed = lab.events.iter().filter(|(_, event)| matches!(event, Event::HostFailed { .. })).count();
    assert_eq!((hosts(&lab), failed, lab.completed_at().len()), (1, 2, 2), "it is said again");
    lab.unbindable.clear();
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((hosts(&lab), lab.sockets.len(), lab.completed_at().len()), (2, 2, 3));
}

/// RFC 8445 §9: gathered is what there is now. What the driver has never answered is asked of it again, and holds up no end of
/// candidates.
#[test]
fn p17_what_the_driver_never_answered_is_asked_for_by_a_restart() {
    let mut lab =
        Lab::new(config(&["stun:stun.example.org"])).behind_nat().server("198.51.100.1:3478", stun());
    lab.unanswered.insert("10.0.0.7".parse().expect("a literal"));
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    assert_eq!((lab.found().len(), lab.completed_at()), (0, vec![39_500]));
    lab.unanswered.clear();
    lab.names.insert("stun.example.org", Ok(vec!["198.51.100.1".parse().expect("a literal")]));
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((lab.gatherer.candidates().count(), lab.completed_at().len()), (2, 2));
}
