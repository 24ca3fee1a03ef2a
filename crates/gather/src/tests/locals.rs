//! Addresses that are there and in use, and that the rules skip by now.

use core::time::Duration;

use alloc::{collections::BTreeSet, format, string::String, vec, vec::Vec};
use floe_pair::CandidateType;

use super::lab::{Lab, RTCP, RTP, at, config, interface, relay_only};
use super::script::{silent, stun, turn};
use crate::{Config, Event, Interface, InterfaceFlags, Limits, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const V6_SERVER: &str = "[2001:db8:5::1]:3478";
const TEMPORARY: InterfaceFlags = InterfaceFlags::TEMPORARY;
const DEPRECATED: InterfaceFlags = InterfaceFlags::DEPRECATED;

fn with(ip: &str, flags: InterfaceFlags) -> Interface {
    Interface { flags: InterfaceFlags::UP | flags, ..interface(ip) }
}

fn listed(lab: &mut Lab, list: &[Interface]) {
    lab.gatherer.handle_interfaces(lab.now, list);
    lab.drain();
}

fn started(mut lab: Lab, list: &[Interface]) -> Lab {
    listed(&mut lab, list);
    lab.gatherer.start(lab.now, &[RTP]);
    lab.drain();
    lab.run(SECOND);
    lab
}

fn gone(lab: &Lab) -> usize {
    lab.events.iter().filter(|(_, event)| matches!(event, Event::BaseGone { .. })).count()
}

/// The addresses a new generation is told, by kind.
fn told(lab: &Lab, kind: CandidateType) -> Vec<alloc::string::String> {
    let of_it = lab.gatherer.candidates().filter(|(_, candidate, _)| candidate.kind == kind);
    let ips: BTreeSet<_> = of_it.map(|(_, candidate, _)| candidate.address.ip()).collect();
    ips.iter().map(alloc::string::ToString::to_string).collect()
}

fn restart(lab: &mut Lab) {
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
}

/// RFC 4862 §5.5.4, RFC 8445 §5.1.1.4: what is deprecated, or not the best of its prefix any more, is not gone.
#[test]
fn p17_an_address_in_use_that_the_rules_skip_by_now_keeps_its_candidates() {
    let (t1, t2) = ("2001:db8::71", "2001:db8::72");
    let cases: [(&str, Vec<Interface>, Vec<Interface>); 4] = [
        (
            "deprecated",
            vec![with(t1, TEMPORARY)],
            vec![with(t2, TEMPORARY), with(t1, TEMPORARY | DEPRECATED)],
        ),
        (
            "tentative",
            vec![with(t1, TEMPORARY)],
            vec![with(t2, TEMPORARY), with(t1, TEMPORARY | InterfaceFlags::TENTATIVE)],
        ),
        ("traceable", vec![interface(t1)], vec![interface(t1), with(t2, TEMPORARY)]),
        ("link-local", vec![interface("fe80::7")], vec![interface("fe80::7"), with(t2, TEMPORARY)]),
    ];
    for (case, before, after) in cases {
        let mut lab = started(Lab::new(Config { link_local: true, ..Config::default() }), &before);
        listed(&mut lab, &after);
        assert_eq!(
            (gone(&lab), lab.sockets.len(), told(&lab, CandidateType::Host).len()),
            (0, 2, 2),
            "{case}"
        );
        // Nothing new from it, and the same list again changes nothing.
        lab.gatherer.start(lab.now, &[RTP, RTCP]);
        listed(&mut lab, &after);
        assert_eq!((gone(&lab), lab.sockets.len()), (0, 3), "{case}");
        // Gone is gone.
        listed(&mut lab, &[with(t2, TEMPORARY)]);
        assert_eq!((gone(&lab), lab.sockets.len()), (1, 2), "{case}");
    }
}

#[test]
fn p17_an_address_that_is_down_is_gone() {
    let mut lab = started(Lab::new(Config::default()), &[interface("2001:db8::71")]);
    listed(&mut lab, &[Interface { flags: InterfaceFlags::NONE, ..interface("2001:db8::71") }]);
    assert_eq!((gone(&lab), lab.sockets.len()), (1, 0));
}

/// RFC 4862 §5.4: where a link was down for a moment it is checked once more whether the address is unique on it.
#[test]
fn p17_an_address_in_use_that_is_tentative_once_more_keeps_its_candidates() {
    let mut lab = started(Lab::new(Config::default()), &[interface("2001:db8::71")]);
    let tentative = [with("2001:db8::71", InterfaceFlags::TENTATIVE)];
    listed(&mut lab, &tentative);
    assert_eq!((gone(&lab), lab.sockets.len()), (0, 1));
    restart(&mut lab);
    assert_eq!(told(&lab, CandidateType::Host), [""; 0], "nothing is gathered from it meanwhile");
    listed(&mut lab, &[interface("2001:db8::71")]);
    assert_eq!(told(&lab, CandidateType::Host), ["2001:db8::71"]);
    assert_eq!((gone(&lab), lab.sockets.len()), (0, 1));
    // One that is not in use is none yet.
    let lab = started(Lab::new(Config::default()), &tentative);
    assert_eq!((told(&lab, CandidateType::Host).len(), lab.sockets.len()), (0, 0));
}

/// RFC 8445 §5.1.1.1: of addresses that are equally good the one that is gathered from goes on, in whatever order they are
/// listed.
#[test]
fn p17_of_two_addresses_of_a_prefix_the_one_in_use_stays() {
    let (t1, t2) = ("2001:db8::71", "2001:db8::72");
    for flags in [TEMPORARY, InterfaceFlags::NONE] {
        let mut lab = started(Lab::new(Config::default()), &[with(t1, flags)]);
        listed(&mut lab, &[with(t2, flags), with(t1, flags)]);
        restart(&mut lab);
        assert_eq!((told(&lab, CandidateType::Host), lab.sockets.len()), (vec![t1.into()], 1));
        // Another one is, by now, and stays where the first is as good again.
        listed(&mut lab, &[with(t2, flags), with(t1, flags | DEPRECATED)]);
        listed(&mut lab, &[with(t1, flags), with(t2, flags)]);
        restart(&mut lab);
        assert_eq!(told(&lab, CandidateType::Host), [t2]);
    }
    // A temporary one is better than any that can be traced.
    let mut lab = started(Lab::new(Config::default()), &[interface(t1)]);
    listed(&mut lab, &[interface(t1), with(t2, TEMPORARY)]);
    restart(&mut lab);
    assert_eq!(told(&lab, CandidateType::Host), [t2]);
}

/// Nothing is wrong with the servers of a host that has nothing to ask them from.
#[test]
fn p02_no_server_is_named_where_every_address_is_left_behind() {
    let (_, script) = turn("[2001:db8:6::1]:0");
    let lab = Lab::new(config(&["turn:[2001:db8:5::1]"])).server(V6_SERVER, script);
    let mut lab = started(lab, &[with("2001:db8::71", TEMPORARY)]);
    listed(&mut lab, &[with("2001:db8::71", TEMPORARY | DEPRECATED)]);
    restart(&mut lab);
    assert_eq!((lab.failures(), lab.completed_at().len()), (vec![], 2));
    // It is of no use to an address of another family, whatever was had from it before.
    listed(&mut lab, &[interface("10.0.0.7"), with("2001:db8::71", TEMPORARY | DEPRECATED)]);
    restart(&mut lab);
    assert_eq!((lab.failures(), lab.completed_at().len()), (vec![(0, ServerError::NoUsableAddress)], 3));
}

/// RFC 8445 §9: the new generation is gathered for by the rules of §5.1.1.1, the one before goes on with what it has.
#[test]
fn p17_a_restart_leaves_an_address_that_the_rules_skip_to_the_generations_before() {
    let (t1, t2) = ("2001:db8::71", "2001:db8::72");
    let url = ["turn:[2001:db8:5::1]"];
    for config in [config(&url), relay_only(&url)] {
        let hosts = usize::from(config.policy == crate::Policy::All);
        let (state, script) = turn("[2001:db8:6::1]:0");
        let mut lab = started(Lab::new(config).server(V6_SERVER, script), &[with(t1, TEMPORARY)]);
        let first = lab.found();
        listed(&mut lab, &[with(t2, TEMPORARY), with(t1, TEMPORARY | DEPRECATED)]);
        lab.run(SECOND);
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (2, 2 + 2 * hosts));
        restart(&mut lab);
        let own: Vec<_> = lab.gatherer.candidates().map(|(_, _, base)| base).collect();
        assert!(first.iter().all(|(_, _, base)| !own.contains(base)), "not for the new generation");
        assert_eq!(
            (told(&lab, CandidateType::Host).len(), told(&lab, CandidateType::Relayed).len()),
            (hosts, 1)
        );
        let of_before = |base| first.iter().any(|(_, _, of)| *of == base);
        lab.gatherer.release_left(lab.now, of_before);
        lab.run(SECOND * 1_200);
        assert_eq!((gone(&lab), state.borrow().allocations.len(), lab.sockets.len()), (0, 2, 2 + 2 * hosts));
        // The generations before are gone.
        lab.gatherer.release_left(lab.now, |base| !of_before(base));
        lab.drain();
        lab.run(SECOND);
        assert_eq!((gone(&lab), state.borrow().allocations.len()), (1 + hosts, 1));
        assert_eq!(lab.sockets.len(), 1 + hosts);
        assert!(lab.gatherer.candidates().all(|(_, _, base)| own.contains(&base)));
    }
}

/// What the generation in force was not told it is told once the rules take the address again.
#[test]
fn p17_an_address_that_was_left_to_earlier_generations_comes_back_to_the_one_in_force() {
    let (stable, temporary) = ("2001:db8::7", "2001:db8::72");
    let lab = Lab::new(config(&["stun:[2001:db8:5::1]"])).server(V6_SERVER, stun());
    let mut lab = started(lab, &[interface(stable)]);
    listed(&mut lab, &[interface(stable), with(temporary, TEMPORARY)]);
    restart(&mut lab);
    assert_eq!(told(&lab, CandidateType::Host), [temporary]);
    let before = lab.found().len();
    listed(&mut lab, &[interface(stable)]);
    lab.run(SECOND);
    assert_eq!((told(&lab, CandidateType::Host), gone(&lab)), (vec![stable.into()], 1));
    assert_eq!(lab.found().len(), before + 1, "it is told again, on the socket it has");
    assert_eq!(lab.sockets.len(), 1);
    // From here on it is like any other.
    lab.gatherer.release_left(lab.now, |_| false);
    restart(&mut lab);
    assert_eq!((told(&lab, CandidateType::Host), lab.sockets.len()), (vec![stable.into()], 1));
    assert!(lab.gatherer.is_local(at("[2001:db8::7]:0")));
}

/// Requests that are under way for an address that a new generation does not have are nobody's.
#[test]
fn p17_what_an_address_left_behind_was_asked_for_ends_with_the_restart() {
    let (t1, t2) = ("2001:db8::71", "2001:db8::72");
    let lab = Lab::new(config(&["turn:[2001:db8:5::1]"])).server(V6_SERVER, silent());
    let mut lab = started(lab, &[with(t1, TEMPORARY)]);
    listed(&mut lab, &[with(t2, TEMPORARY), with(t1, TEMPORARY | DEPRECATED)]);
    restart(&mut lab);
    let from_t1 =
        |lab: &Lab| lab.sent.iter().filter(|sent| sent.from.with_port(0) == at("[2001:db8::71]:0")).count();
    let before = from_t1(&lab);
    lab.run(SECOND * 40);
    assert_eq!((from_t1(&lab), gone(&lab)), (before, 0));
    assert_eq!(lab.completed_at().len(), 1);
}

/// RFC 8445 §5.1.1.2: each address candidates are gathered from asks the servers, whatever those before it hold still.
#[test]
fn p17_what_is_skipped_or_left_does_not_count_against_the_limits() {
    let (t1, t2) = ("2001:db8::71", "2001:db8::72");
    for restarted in [false, true] {
        let (state, script) = turn("[2001:db8:6::1]:0");
        let limits = Limits { hosts: 2, reflexive: 2, relays: 2, ..Limits::default() };
        let config = Config { limits, ..config(&["turn:[2001:db8:5::1]"]) };
        let mut lab = Lab::new(config).server(V6_SERVER, script);
        listed(&mut lab, &[with(t1, TEMPORARY)]);
        lab.gatherer.start(lab.now, &[RTP, RTCP]);
        lab.drain();
        lab.run(SECOND);
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (2, 4));
        let list = [with(t2, TEMPORARY), with(t1, TEMPORARY | DEPRECATED)];
        if restarted {
            // Listed at the restart, as where the driver lists on demand.
            listed(&mut lab, &list[1..]);
            restart(&mut lab);
        }
        listed(&mut lab, &list);
        lab.run(SECOND);
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (4, 8), "restarted: {restarted}");
        let from_t2 = |sent: &&super::lab::Sent| sent.from.with_port(0) == at("[2001:db8::72]:0");
        assert!(lab.sent.iter().filter(from_t2).count() >= 2 + 2 * 2, "Binding and Allocate requests");
        let limited = lab.events.iter().filter(|(_, event)| matches!(event, Event::LimitReached(_)));
        assert_eq!(limited.count(), 0);
    }
}

/// RFC 8981: there is a new temporary address each day, and the older ones are valid for a week.
#[test]
fn p23_an_address_that_the_rules_skip_goes_once_nobody_uses_it() {
    let address = |day: usize| alloc::format!("2001:db8::7{day}");
    let (state, script) = turn("[2001:db8:6::1]:0");
    let lab = Lab::new(config(&["turn:[2001:db8:5::1]"])).server(V6_SERVER, script);
    let mut lab = started(lab, &[with(&address(0), TEMPORARY)]);
    let first: Vec<_> = lab.gatherer.candidates().map(|(_, _, base)| base).collect();
    for day in 1..=7 {
        let old = (0..day).map(|day| with(&address(day), TEMPORARY | DEPRECATED));
        let list: Vec<_> = [with(&address(day), TEMPORARY)].into_iter().chain(old).collect();
        listed(&mut lab, &list);
        lab.run(SECOND * 60);
        lab.gatherer.release_skipped(lab.now, |_| true);
        lab.drain();
        assert_eq!(gone(&lab), 2 * (day.max(2) - 2), "all are in use");
        lab.gatherer.release_skipped(lab.now, |base| first.contains(&base));
        lab.drain();
        lab.run(SECOND);
        // The one in use, and the one that is gathered from.
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (2, 4), "day {day}");
        assert_eq!(gone(&lab), 2 * (day - 1), "day {day}");
        listed(&mut lab, &list);
        assert_eq!(lab.sockets.len(), 4, "it does not come back");
    }
    lab.gatherer.release_skipped(lab.now, |_| false);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (1, 2));
}

/// RFC 8445 §5.1.1.2, §5.1.1.4: a host with many containers has many addresses that are none for candidates. One that is, is
/// gathered from wherever it stands in the list, and keeps what it has when the list gets longer.
#[test]
fn p16_an_address_is_found_and_kept_however_many_others_are_skipped() {
    let links: Vec<String> = (1..=80).map(|number| format!("fe80::{number:x}")).collect();
    let list = |count: usize| links_and(&links[..count], "2001:db8::7");
    for before in [10, 63, 64, 70] {
        let mut lab = Lab::new(config(&["stun:[2001:db8:2::1]"])).server("[2001:db8:2::1]:3478", stun());
        lab.start(&list(before)).run(SECOND);
        assert_eq!(lab.gatherer.candidates().count(), 1, "behind {before}");
        let (sockets, said) = (lab.sockets.clone(), skipped(&lab));
        assert_eq!(said, before.min(64));
        for more in [1, 10] {
            lab.interfaces(&list(before + more));
            lab.run(SECOND);
        }
        assert_eq!((lab.gatherer.candidates().count(), &lab.sockets), (1, &sockets), "behind {before}");
        assert!(!lab.events.iter().any(|(_, event)| matches!(event, Event::BaseGone { .. })));
        assert!(skipped(&lab) <= 64, "each is told of once");
    }
}

fn links_and<'a>(links: &'a [String], last: &'a str) -> Vec<&'a str> {
    links.iter().map(String::as_str).chain([last]).collect()
}

fn skipped(lab: &Lab) -> usize {
    lab.events.iter().filter(|(_, event)| matches!(event, Event::InterfaceSkipped { .. })).count()
}

/// Of more addresses than are looked at together, those in use go first.
#[test]
fn p17_an_address_in_use_is_kept_where_more_could_be_used_than_the_limit() {
    let others: Vec<String> = (1..=70).map(|number| format!("10.0.{number}.1")).collect();
    let mut lab = Lab::new(config(&[]));
    lab.start(&["10.1.0.7"]).run(SECOND);
    let base = lab.found()[0].2;
    lab.interfaces(&links_and(&others, "10.1.0.7"));
    lab.run(SECOND);
    assert!(lab.gatherer.candidates().any(|(_, _, of)| of == base));
    assert!(!lab.events.iter().any(|(_, event)| matches!(event, Event::BaseGone { .. })));
}
