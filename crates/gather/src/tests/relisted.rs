//! Restarts that take the addresses from the list that follows them, and restarts that are taken back.

use core::time::Duration;

use alloc::{vec, vec::Vec};
use floe_pair::{BaseId, CandidateType, TransportAddress};

use super::lab::{Lab, RTP, at, config, interface, relay_only};
use super::script::{silent, stun, turn};
use crate::{Config, Event, Interface, InterfaceFlags, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.1:3478";
const ONE: &str = "10.0.0.7";
const OTHER: &str = "10.0.1.8";
const HOST: CandidateType = CandidateType::Host;
const REFLEXIVE: CandidateType = CandidateType::ServerReflexive;

fn lab(config: Config) -> Lab {
    Lab::new(Config { relisted: true, ..config }).behind_nat()
}

fn deprecated(ip: &str) -> Interface {
    Interface { flags: InterfaceFlags::UP | InterfaceFlags::DEPRECATED, ..interface(ip) }
}

fn listed(lab: &mut Lab, list: &[Interface]) {
    lab.gatherer.handle_interfaces(lab.now, list);
    lab.drain();
}

fn restart(lab: &mut Lab) {
    lab.gatherer.restart(lab.now);
    lab.drain();
}

fn roll_back(lab: &mut Lab) {
    lab.gatherer.roll_back(lab.now);
    lab.drain();
}

/// Kind and address of what was told since, in order.
fn told(lab: &Lab, since: usize) -> Vec<(CandidateType, TransportAddress)> {
    let found = lab.found().split_off(since);
    found.into_iter().map(|(_, candidate, _)| (candidate.kind, candidate.address)).collect()
}

fn own(lab: &Lab) -> Vec<(CandidateType, BaseId)> {
    lab.gatherer.candidates().map(|(_, candidate, base)| (candidate.kind, base)).collect()
}

/// Requests from an address since.
fn asked(lab: &Lab, ip: &str, since: usize) -> usize {
    let from = at(&alloc::format!("{ip}:0"));
    lab.sent[since..].iter().filter(|sent| sent.from.with_port(0) == from).count()
}

/// RFC 8445 §9: the new generation has what is there now, the best of it first.
#[test]
fn p17_a_restart_tells_nothing_of_the_list_before() {
    let mut lab = lab(config(&["stun:198.51.100.1"])).server(SERVER, stun());
    lab.start(&[ONE, OTHER]).run(SECOND);
    let first = lab.found();
    assert_eq!(first.len(), 4);
    restart(&mut lab);
    lab.run(SECOND * 3);
    assert_eq!((lab.found().len(), own(&lab), lab.completed_at().len()), (4, vec![], 1), "nothing before");
    assert_eq!(lab.gatherer.withheld().count(), 4);
    lab.interfaces(&[OTHER, "10.0.2.9"]);
    let expected: Vec<_> = [HOST, REFLEXIVE]
        .into_iter()
        .flat_map(|kind| first.iter().filter(move |(_, known, _)| known.kind == kind))
        .filter(|(_, known, _)| known.related.unwrap_or(known.address).ip() == at("10.0.1.8:0").ip())
        .map(|(_, known, _)| (known.kind, known.address))
        .collect();
    let (again, new) = (told(&lab, 4), at("10.0.2.9:40003"));
    assert_eq!((&again[..2], &again[2..]), (&expected[..], &[(HOST, new)][..]));
    let gone = lab.events.iter().filter(|(_, event)| matches!(event, Event::BaseGone { .. }));
    assert_eq!((gone.count(), lab.sockets.len()), (1, 2));
    lab.run(SECOND);
    assert_eq!((lab.found().len(), lab.completed_at().len(), own(&lab).len()), (8, 2, 4));
    restart(&mut lab);
    lab.interfaces(&[OTHER, "10.0.2.9"]);
    let kinds: Vec<_> = told(&lab, 8).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [HOST, HOST, REFLEXIVE, REFLEXIVE], "in the order of their priorities");
}

/// RFC 8445 §5.1.1.1: the rules of the list that follows count for the generation that has begun, not those of before.
#[test]
fn p17_an_address_that_the_next_list_skips_is_left_at_once() {
    let mut lab = lab(config(&["stun:198.51.100.1"])).server(SERVER, stun());
    lab.start(&[ONE]).run(SECOND);
    restart(&mut lab);
    listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
    lab.run(SECOND);
    let ips: Vec<_> = told(&lab, 2).into_iter().map(|(_, address)| address.ip()).collect();
    assert_eq!(ips, [at("10.0.1.8:0").ip(), at("203.0.113.8:0").ip()]);
    assert_eq!((lab.completed_at().len(), lab.sockets.len()), (2, 2), "for the generation before");
    // The same list changes nothing, another restart neither.
    listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
    restart(&mut lab);
    listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
    lab.run(SECOND);
    assert_eq!((lab.completed_at().len(), own(&lab).len(), lab.gatherer.withheld().count()), (3, 2, 2));
    lab.gatherer.release_left(lab.now, |_| false);
    lab.drain();
    assert_eq!((own(&lab).len(), lab.sockets.len()), (2, 1));
}

/// A driver that cannot list them says nothing, or what it knew.
#[test]
fn p17_where_nobody_lists_the_addresses_those_known_count() {
    for (deadline, patience) in [(5, 39), (39, 8)] {
        let config = Config {
            deadline: Duration::from_secs(deadline),
            patience: Duration::from_secs(patience),
            ..config(&["stun:198.51.100.1"])
        };
        let mut lab = lab(config).server(SERVER, stun());
        lab.start(&[ONE]).run(SECOND);
        let begin = lab.elapsed();
        restart(&mut lab);
        lab.run(SECOND * 50);
        let found: Vec<_> = lab.found().split_off(2).into_iter().map(|(at, ..)| at - begin).collect();
        assert_eq!(found, [1_000 * deadline.min(patience); 2]);
        assert_eq!(lab.completed_at()[1] - begin, 1_000 * patience);
        assert_eq!((own(&lab).len(), lab.failures()), (2, vec![]));
        // What the rules skipped is not told, and waited for no longer than anything else.
        listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
        lab.run(SECOND);
        restart(&mut lab);
        lab.run(SECOND * 50);
        assert_eq!((own(&lab).len(), lab.found().len(), lab.completed_at().len()), (2, 8, 3));
    }
}

/// What was under way at the restart goes on, for whom the list says.
#[test]
fn p17_what_is_found_before_the_next_list_is_told_after_it() {
    for is_there in [true, false] {
        let mut lab = lab(config(&["stun:198.51.100.1"])).server(SERVER, stun());
        lab.rtt = SECOND;
        lab.start(&[ONE]).run(SECOND / 2);
        restart(&mut lab);
        lab.run(SECOND);
        assert_eq!((lab.found().len(), lab.gatherer.withheld().count()), (1, 2), "it was answered");
        lab.interfaces(&[if is_there { ONE } else { OTHER }]);
        lab.run(SECOND * 2);
        let kinds: Vec<_> = told(&lab, 1).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!((kinds, own(&lab).len()), (vec![HOST, REFLEXIVE], 2));
    }
}

#[test]
fn p17_a_relay_that_is_found_forgotten_before_the_next_list_is_asked_for_anew() {
    let (state, script) = turn("198.51.100.1:0");
    let mut lab = lab(relay_only(&["turn:198.51.100.1"])).server(SERVER, script);
    lab.start(&[ONE]).run(SECOND);
    state.borrow_mut().allocations.clear();
    restart(&mut lab);
    lab.run(SECOND);
    assert_eq!((lab.found().len(), state.borrow().allocations.len()), (1, 1), "it is there, and not told");
    lab.interfaces(&[ONE]);
    lab.run(SECOND);
    assert_eq!((lab.found().len(), own(&lab).len(), lab.completed_at().len()), (2, 1, 2));
}

/// RFC 8445 §5.1.1.4: until ICE has concluded; the generation before a restart that is unanswered goes on.
#[test]
fn p17_what_an_address_left_behind_has_is_kept_alive_and_not_waited_for() {
    let (state, turning) = turn("198.51.100.1:0");
    let urls = ["stun:198.51.100.2", "turn:198.51.100.1"];
    let mut lab = lab(config(&urls)).server(SERVER, turning).server("198.51.100.2:3478", stun());
    lab.start(&[ONE]).run(SECOND * 5);
    for round in 1..3 {
        // Nobody answers: neither mapping nor allocation is vouched for.
        lab.servers.insert(at("198.51.100.2:3478"), silent());
        restart(&mut lab);
        let list: &[Interface] = &[deprecated(ONE)];
        listed(&mut lab, list);
        let late = lab.failures().iter().any(|(_, error)| *error == ServerError::NotInTime);
        assert_eq!((lab.completed_at().len(), late), (1 + round, false), "not waited for");
        let before = lab.sent.len();
        lab.servers.insert(at("198.51.100.2:3478"), stun());
        lab.run(SECOND * 61);
        assert!(asked(&lab, ONE, before) >= 8, "{} requests", asked(&lab, ONE, before));
        assert_eq!((state.borrow().allocations.len(), lab.found().len()), (1, 3));
    }
    roll_back(&mut lab);
    assert_eq!(own(&lab), [], "the generation before did not have it either");
    lab.gatherer.conclude(lab.now);
    lab.drain();
    lab.run(SECOND * 30);
    let before = lab.sent.len();
    lab.run(SECOND * 60);
    assert_eq!(asked(&lab, ONE, before), 0, "ICE has concluded");
}

#[test]
fn p17_a_restart_taken_back_brings_back_what_it_withheld() {
    // Before the list, and after one that takes, skips or does not have the address; and where it is not asked for.
    for (case, relisted) in [(0, true), (1, true), (2, true), (3, true), (2, false)] {
        let mut lab = lab(config(&["stun:198.51.100.1"])).server(SERVER, stun());
        lab.gatherer.config.relisted = relisted;
        lab.start(&[ONE]).run(SECOND);
        let first = own(&lab);
        if !relisted {
            listed(&mut lab, &[deprecated(ONE)]);
        }
        restart(&mut lab);
        match case {
            1 => lab.interfaces(&[ONE]),
            2 if relisted => listed(&mut lab, &[deprecated(ONE)]),
            3 => lab.interfaces(&[OTHER]),
            _ => {}
        }
        lab.run(SECOND * 20);
        let (known, before) = (lab.found().len(), lab.sent.len());
        roll_back(&mut lab);
        lab.run(SECOND * 31);
        assert_eq!(lab.found().len(), known, "case {case}: nothing is told twice");
        if case == 3 {
            assert_eq!((own(&lab).len(), lab.sockets.len()), (2, 1), "only what is gone is");
            continue;
        }
        assert_eq!((own(&lab), lab.gatherer.withheld().count()), (first, 0), "case {case}");
        assert!(asked(&lab, ONE, before) >= 2, "case {case}: it is kept alive");
        // From here on it is as before the restart.
        listed(&mut lab, &[deprecated(ONE)]);
        assert_eq!(own(&lab).len(), 2, "case {case}");
        lab.interfaces(&[OTHER]);
        lab.run(SECOND);
        assert_eq!((lab.sockets.len(), own(&lab).len()), (1, 2), "case {case}");
    }
}

/// The generation before the last was told nothing of it either.
#[test]
fn p17_a_restart_taken_back_tells_what_no_generation_knows_once() {
    let mut lab = lab(config(&[])).server(SERVER, stun());
    lab.start(&[ONE]).run(SECOND);
    restart(&mut lab);
    // Answered, and restarted once more, before the list.
    restart(&mut lab);
    roll_back(&mut lab);
    assert_eq!((lab.found().len(), own(&lab)), (1, vec![]));
    lab.interfaces(&[ONE]);
    assert_eq!((lab.found().len(), own(&lab).len(), lab.completed_at().len()), (2, 1, 2));
}

/// An agent that was forked has the addresses of the offer it is forked for, while it is of that offer.
#[test]
fn p36_addresses_taken_over_are_gathered_from_as_long_as_they_are_there() {
    let start = |lab: &mut Lab| {
        lab.gatherer.start(lab.now, &[RTP]);
        lab.drain();
    };
    for relisted in [true, false] {
        let mut lab = lab(config(&["stun:198.51.100.1"])).server(SERVER, stun());
        lab.gatherer.config.relisted = relisted;
        lab.gatherer.take_over([at("10.0.0.7:1234"), at("10.0.3.9:1234")].into_iter());
        start(&mut lab);
        assert!(lab.sockets.is_empty(), "not before it is known which are there");
        for _ in 0..2 {
            listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
            lab.run(SECOND);
            assert_eq!((lab.sockets.len(), own(&lab).len(), lab.completed_at().len()), (2, 4, 1));
        }
        assert!(!lab.gatherer.is_local(at("10.0.3.9:0")));
        // Another generation is of another offer.
        restart(&mut lab);
        listed(&mut lab, &[deprecated(ONE), interface(OTHER)]);
        lab.run(SECOND);
        assert_eq!((own(&lab).len(), lab.gatherer.withheld().count(), lab.sockets.len()), (2, 2, 2));
        lab.interfaces(&[OTHER]);
        assert_eq!((lab.sockets.len(), lab.gatherer.withheld().count()), (1, 0));
    }
    // Where nobody tells the addresses, those of the offer count.
    let mut lab = lab(config(&[]));
    lab.gatherer.take_over(core::iter::once(at("10.0.0.7:1234")));
    start(&mut lab);
    lab.run(SECOND * 5);
    assert_eq!(own(&lab).len(), 1);
}
