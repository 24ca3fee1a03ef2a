use core::time::Duration;

use alloc::{collections::BTreeSet, format, string::String, vec, vec::Vec};
use floe_pair::{Candidate, CandidateType, ComponentId, StreamId};

use super::lab::{Lab, RTCP, RTP, STREAM, at, boxed, config, relay_only};
use super::script::{Script, silent, stun, stun_error, turn};
use crate::{Config, Event, Limit, Limits, Request, RequestFailure, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const FIRST: &str = "198.51.100.2:3478";
const SECOND_SERVER: &str = "198.51.100.3:3478";

/// That many addresses of this host.
fn addresses(count: u8) -> Vec<String> {
    (1..=count).map(|number| format!("10.0.{number}.7")).collect()
}

fn start(lab: &mut Lab, count: u8) {
    let ips = addresses(count);
    let ips: Vec<_> = ips.iter().map(|ip| &**ip).collect();
    lab.start(&ips);
}

/// The same server, reached from this address of the host alone.
fn routed_from(ip: &'static str, mut script: Script) -> Script {
    boxed(
        move |request, source| {
            if source.ip() == at(&format!("{ip}:0")).ip() { script(request, source) } else { vec![] }
        },
    )
}

/// How many addresses of this host have asked a server.
fn asked_from(lab: &Lab, server: &str) -> usize {
    let from = lab.sent.iter().filter(|sent| sent.to == at(server)).map(|sent| sent.from.ip());
    from.collect::<BTreeSet<_>>().len()
}

/// A new generation, to which the interfaces are told once more where it waits for them.
fn restart(lab: &mut Lab, ips: &[String]) {
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.interfaces(&ips.iter().map(|ip| &**ip).collect::<Vec<_>>());
}

fn relay_sockets(lab: &Lab) -> usize {
    lab.requests.iter().filter(|r| matches!(r, Request::BindUdp { shareable: false, .. })).count()
}

fn components(count: u16) -> Vec<(StreamId, ComponentId)> {
    (1..=count).map(|id| (STREAM, ComponentId::new(id).expect("in range"))).collect()
}

/// Whether a candidate was told when gathering was said to be complete.
fn is_told_late(lab: &Lab) -> bool {
    let mut rest = lab.events.iter().map(|(_, event)| event);
    assert!(rest.any(|event| matches!(event, Event::Complete)));
    rest.any(|event| matches!(event, Event::Candidate { .. }))
}

fn limited(reflexive: usize, relays: usize, config: Config) -> Config {
    Config { limits: Limits { reflexive, relays, ..Limits::default() }, ..config }
}

/// RFC 8838 §13: nothing is told after the end of candidates.
#[test]
fn p02_what_a_limit_holds_back_is_told_before_the_end_though_others_have_no_answer() {
    // No route from sixteen bridges: their requests are never answered.
    let (_, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"]));
    lab = lab.server(FIRST, routed_from("10.0.17.7", script));
    start(&mut lab, 17);
    lab.run(Duration::from_millis(1_990));
    assert_eq!((relay_sockets(&lab), lab.of(CandidateType::Relayed).len()), (16, 0), "one limit at a time");
    lab.run(SECOND);
    assert_eq!((relay_sockets(&lab), lab.of(CandidateType::Relayed).len()), (17, 1));
    lab.run(SECOND * 60);
    assert!(!is_told_late(&lab));
    // The same for mappings.
    let mut lab = Lab::new(limited(3, 16, config(&["stun:198.51.100.2"])));
    lab = lab.behind_nat().server(FIRST, routed_from("203.0.113.7", stun()));
    lab.nat = |local| if local.ip() == at("10.0.8.7:0").ip() { at("203.0.113.7:999") } else { local };
    start(&mut lab, 8);
    lab.run(Duration::from_millis(1_990));
    assert_eq!((asked_from(&lab, FIRST), lab.of(CandidateType::ServerReflexive).len()), (3, 0));
    lab.run(SECOND * 60);
    assert_eq!((asked_from(&lab, FIRST), lab.of(CandidateType::ServerReflexive).len()), (8, 1));
    assert!(!is_told_late(&lab));
}

#[test]
fn p02_what_a_limit_holds_back_is_asked_once_others_have_failed() {
    // What fails at once does not hold up the end, which waits for what comes in its place.
    let (_, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"])).server(FIRST, script);
    for ip in addresses(16) {
        lab.unbindable.insert(ip.parse().expect("a literal"), RequestFailure::Unreachable);
    }
    start(&mut lab, 17);
    lab.run(SECOND);
    let last = lab.events.iter().rev().take(2).map(|(_, event)| event).collect::<Vec<_>>();
    assert!(matches!(last[..], [Event::Complete, Event::Candidate { .. }]), "{last:?}");
    assert!(lab.failures().iter().all(|(_, error)| matches!(error, ServerError::Bind(_))));
}

/// Servers that are dead, or a family that is, keep no live one from being asked before the end of candidates, however many
/// addresses and components come first; nor does a restart.
#[test]
fn p02_no_live_server_waits_for_dead_ones_behind_a_limit() {
    let urls = ["turn:198.51.100.2", "turn:[2001:db8::2]", "turn:198.51.100.3", "turn:[2001:db8::3]"];
    let v6 = |count| (1..=count).map(|number| format!("2001:db8:{number}::7"));
    let both = |count| addresses(count).into_iter().chain(v6(count)).collect::<Vec<_>>();
    let second = ["198.51.100.3:3478", "[2001:db8::3]:3478"];
    let places = [
        (addresses(1), components(16), second.as_slice(), 16),
        (both(4), components(2), &second, 16),
        (addresses(16), components(1), &second, 16),
        (both(1), components(32), &second, 32),
        (both(1), components(32), &second[1..], 32),
    ];
    for (ips, components, alive, expected) in &places {
        for restarts in [0, 5] {
            let mut lab = Lab::new(relay_only(&urls));
            for server in *alive {
                let relays = if server.starts_with('[') { "[2001:db8::3]:0" } else { "198.51.100.3:0" };
                lab = lab.server(server, turn(relays).1);
            }
            lab.start_for(&ips.iter().map(|ip| &**ip).collect::<Vec<_>>(), components);
            for _ in 0..restarts {
                lab.run(Duration::from_millis(1_500));
                lab.gatherer.restart(lab.now);
                lab.drain();
            }
            lab.run(SECOND * 10);
            let relays = lab.gatherer.candidates().map(|(stream, found, _)| (stream, found.component));
            let relays: Vec<_> = relays.collect();
            let of: BTreeSet<_> = relays.iter().collect();
            assert_eq!((relays.len(), of.len()), (*expected, components.len()), "{restarts} restarts");
            lab.run(SECOND * 60);
            assert!(!is_told_late(&lab), "{restarts} restarts");
        }
    }
}

#[test]
fn p02_a_restart_begins_with_what_a_limit_has_held_back() {
    for relisted in [false, true] {
        let (_, script) = turn("198.51.100.2:0");
        let config_of = |of: Config| Config { relisted, ..of };
        let mut lab = Lab::new(config_of(limited(256, 3, relay_only(&["turn:198.51.100.2"]))));
        lab = lab.server(FIRST, routed_from("10.0.60.7", script));
        start(&mut lab, 60);
        for generation in 0..3 {
            assert_eq!(asked_from(lab.run(SECOND * 30), FIRST), [24, 48, 60][generation]);
            restart(&mut lab, &addresses(60));
        }
        let relayed = |(_, found, _): &(_, &Candidate, _)| found.kind == CandidateType::Relayed;
        assert_eq!(lab.gatherer.candidates().filter(relayed).count(), 1);
        // The same for mappings.
        let mut lab = Lab::new(config_of(limited(3, 16, config(&["stun:198.51.100.2"]))));
        lab = lab.behind_nat().server(FIRST, silent());
        start(&mut lab, 60);
        for generation in 0..3 {
            assert_eq!(asked_from(lab.run(SECOND * 30), FIRST), [24, 48, 60][generation]);
            restart(&mut lab, &addresses(60));
        }
    }
    // What is held back may be the second server, or other components.
    let urls = ["turn:198.51.100.2", "turn:198.51.100.3"];
    let (_, script) = turn("198.51.100.3:0");
    let mut lab = Lab::new(limited(256, 2, relay_only(&urls))).server(SECOND_SERVER, script);
    lab.start_for(&["10.0.1.7"], &components(16)).run(SECOND * 30);
    assert_eq!((relay_sockets(&lab), lab.of(CandidateType::Relayed).len()), (16, 0));
    lab.gatherer.restart(lab.now);
    lab.drain();
    assert_eq!(lab.run(SECOND).of(CandidateType::Relayed).len(), 2);
}

/// Where not every component has its allocation, those that have one have it from each address.
#[test]
fn p02_with_more_components_than_room_the_first_ones_are_asked_for_from_each_address() {
    let (_, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(limited(256, 4, relay_only(&["turn:198.51.100.2"]))).server(FIRST, script);
    lab.start_for(&["10.0.1.7", "10.0.2.7"], &components(6)).run(SECOND);
    let of: Vec<_> = lab.of(CandidateType::Relayed).iter().map(|found| found.component.get()).collect();
    assert_eq!((asked_from(&lab, FIRST), of.len()), (2, 4));
    assert_eq!(of.into_iter().collect::<BTreeSet<_>>(), [1, 2].into());
}

/// RFC 8445 §5.1.1.2: each address with each server; where that is too much, no address goes without.
#[test]
fn p02_the_first_server_of_each_address_comes_before_the_second_of_any() {
    let urls = ["turn:198.51.100.2", "turn:198.51.100.3"];
    let (_, script) = turn("198.51.100.2:0");
    let (_, second) = turn("198.51.100.3:0");
    let mut lab = Lab::new(limited(256, 4, relay_only(&urls))).server(FIRST, script);
    lab = lab.server(SECOND_SERVER, second);
    start(&mut lab, 3);
    lab.run(SECOND);
    assert_eq!((asked_from(&lab, FIRST), asked_from(&lab, SECOND_SERVER)), (3, 1));
    assert_eq!(lab.of(CandidateType::Relayed).len(), 4);
    // Host candidates come one by one: those that are still to come have their place kept.
    let urls = ["stun:198.51.100.2", "stun:198.51.100.3"];
    let mut lab = Lab::new(limited(4, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun()).server(SECOND_SERVER, silent());
    start(&mut lab, 3);
    lab.run(SECOND);
    assert_eq!((asked_from(&lab, FIRST), asked_from(&lab, SECOND_SERVER)), (3, 1));
    // One that never comes keeps nobody else waiting.
    let mut lab = Lab::new(limited(4, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun()).server(SECOND_SERVER, silent());
    lab.unbindable.insert(at("10.0.2.7:0").ip(), RequestFailure::Unreachable);
    start(&mut lab, 3);
    lab.run(SECOND);
    assert_eq!((asked_from(&lab, FIRST), asked_from(&lab, SECOND_SERVER)), (2, 2));
}

#[test]
fn p02_mappings_that_were_not_had_make_room_for_others() {
    let urls = ["stun:198.51.100.2", "stun:198.51.100.3"];
    let mut lab = Lab::new(limited(3, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun_error(400)).server(SECOND_SERVER, stun());
    start(&mut lab, 3);
    lab.run(SECOND);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 3);
    assert!(matches!(lab.events.last(), Some((_, Event::Complete))), "after all of them");
    // What was had is kept alive, and keeps its place.
    let mut lab = Lab::new(limited(3, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun()).server(SECOND_SERVER, stun());
    start(&mut lab, 3);
    lab.run(SECOND * 60);
    assert_eq!((asked_from(&lab, FIRST), asked_from(&lab, SECOND_SERVER)), (3, 0));
}

#[test]
fn p38_a_server_that_a_limit_leaves_out_is_said_to_be_left_out() {
    let urls = ["turn:198.51.100.2", "turn:198.51.100.3", "turn:[2001:db8::1]"];
    let (_, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(limited(256, 2, relay_only(&urls))).server(FIRST, script);
    start(&mut lab, 2);
    lab.run(SECOND);
    let left_out = ServerError::BeyondLimit(Limit::Relays);
    assert_eq!(lab.failures(), [(1, left_out), (2, ServerError::NoUsableAddress)]);
    let urls = ["stun:198.51.100.2", "stun:198.51.100.3", "stun:[2001:db8::1]"];
    let mut lab = Lab::new(limited(2, 2, config(&urls))).behind_nat().server(FIRST, stun());
    start(&mut lab, 2);
    lab.run(SECOND);
    let left_out = ServerError::BeyondLimit(Limit::Reflexive);
    assert_eq!(lab.failures(), [(1, left_out), (2, ServerError::NoUsableAddress)]);
}

/// A driver that never answers for one socket holds nobody up.
#[test]
fn p02_places_are_kept_for_sockets_that_do_not_come_for_two_seconds() {
    let urls = ["stun:198.51.100.2", "stun:198.51.100.3", "stun:198.51.100.4"];
    let mut lab = Lab::new(limited(3, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun()).server(SECOND_SERVER, stun()).server("198.51.100.4:3478", stun());
    lab.unanswered.insert(at("10.0.2.7:0").ip());
    start(&mut lab, 2);
    lab.run(Duration::from_millis(1_900));
    assert_eq!((asked_from(&lab, FIRST), asked_from(&lab, SECOND_SERVER)), (1, 1));
    let asked = |lab: &Lab| lab.sent_to("198.51.100.4:3478");
    assert_eq!(asked(&lab), 0);
    lab.run(SECOND);
    assert_eq!(asked(&lab), 1);
    // What is left out is said to be left out.
    let mut lab = Lab::new(limited(2, 16, config(&urls))).behind_nat();
    lab = lab.server(FIRST, stun()).server(SECOND_SERVER, stun_error(400));
    lab.unanswered.insert(at("10.0.2.7:0").ip());
    lab.unanswered.insert(at("10.0.3.7:0").ip());
    start(&mut lab, 3);
    assert!(!lab.events.iter().any(|(_, event)| matches!(event, Event::LimitReached(_))));
    lab.run(SECOND * 60);
    assert!(lab.sent_to(SECOND_SERVER) == 1);
    assert!(!lab.failures().contains(&(2, ServerError::NoUsableAddress)));
}

#[test]
fn t25_what_fails_at_once_is_begun_only_so_often() {
    let mut lab = Lab::new(limited(256, 2, relay_only(&["turn:198.51.100.2"])));
    for ip in addresses(60) {
        lab.unbindable.insert(ip.parse().expect("a literal"), RequestFailure::Other);
    }
    start(&mut lab, 60);
    assert_eq!((relay_sockets(&lab), lab.completed_at()), (2 * 8, vec![0]));
    // A new generation goes on behind them.
    for expected in [32, 48, 64] {
        lab.gatherer.restart(lab.now);
        lab.drain();
        assert_eq!(relay_sockets(&lab), expected);
    }
    let from = lab.requests.iter().filter_map(|request| match request {
        Request::BindUdp { local, shareable: false, .. } => Some(local.ip()),
        _ => None,
    });
    assert_eq!(from.collect::<BTreeSet<_>>().len(), 60, "each address had its turn");
}

#[test]
fn p23_what_is_given_back_or_cannot_be_told_makes_no_room() {
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(limited(256, 2, relay_only(&["turn:198.51.100.2"]))).server(FIRST, script);
    start(&mut lab, 4);
    lab.run(SECOND);
    assert_eq!((state.borrow().allocations.len(), lab.completed_at().len()), (2, 1));
    // RFC 8445 §8.3.1: there are pairs, and they need none.
    lab.gatherer.release_unused(lab.now, |_| false);
    lab.drain();
    lab.run(SECOND * 60);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (0, 2));
    // Not by another list either, but on a network that is new.
    lab.interfaces(&["10.0.1.7", "10.0.2.7", "10.0.3.7", "10.0.4.7"]);
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (0, 2));
    lab.interfaces(&["10.0.1.7", "10.0.2.7", "10.0.3.7", "10.0.4.7", "10.0.5.7"]);
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (1, 3));
    // A new generation has everything asked for.
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (2, 4));
    // What one data stream gives back is room for another one.
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(limited(256, 2, relay_only(&["turn:198.51.100.2"]))).server(FIRST, script);
    let other = (StreamId(1), ComponentId::RTP);
    lab.start_for(&["10.0.1.7", "10.0.2.7"], &[RTP, RTCP, other]).run(SECOND);
    assert_eq!(lab.of(CandidateType::Relayed).len(), 2);
    lab.gatherer.release_unused(lab.now, |relay| relay.stream != STREAM);
    lab.drain();
    lab.run(SECOND * 4);
    assert!(state.borrow().allocations.len() == 2 && relay_sockets(&lab) == 4);
    assert!(lab.gatherer.candidates().all(|(stream, ..)| stream == other.0));
    // One that is lost makes room.
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(limited(256, 2, relay_only(&["turn:198.51.100.2"]))).server(FIRST, script);
    lab.start_for(&["10.0.0.7", "10.0.1.7"], &[RTP, RTCP]).run(SECOND);
    lab.gatherer.remove_component(lab.now, RTP.0, RTP.1);
    lab.drain();
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (2, 3));
    // Candidates beyond the limit are not asked for over and over.
    let (state, script) = turn("198.51.100.2:0");
    let limits = Limits { relays: 2, candidates: 1, ..Limits::default() };
    let mut lab = Lab::new(Config { limits, ..relay_only(&["turn:198.51.100.2"]) }).server(FIRST, script);
    start(&mut lab, 10);
    lab.run(SECOND * 60);
    assert_eq!((state.borrow().allocations.len(), relay_sockets(&lab)), (1, 2));
}

#[test]
fn limits_grow_with_many_components() {
    for components in [[1_u16, 130], [64, 2]] {
        let [streams, each] = components;
        let all: Vec<_> = (0..streams)
            .flat_map(|stream| (1..=each).map(move |id| (StreamId(stream), id)))
            .map(|(stream, id)| (stream, ComponentId::new(id).expect("in range")))
            .collect();
        let (_, script) = turn("198.51.100.2:0");
        let mut lab = Lab::new(config(&["turn:198.51.100.2"])).behind_nat().server(FIRST, script);
        lab.start_for(&["10.0.0.7"], &all).run(SECOND * 5);
        for kind in [CandidateType::Host, CandidateType::ServerReflexive, CandidateType::Relayed] {
            assert_eq!(lab.of(kind).len(), all.len(), "{kind:?} of {components:?}");
        }
        assert!(!lab.events.iter().any(|(_, event)| matches!(event, Event::LimitReached(_))));
    }
}

#[test]
fn limits_that_are_set_hold_for_sixteen_components_each() {
    let limits = Limits { hosts: 2, reflexive: 3, relays: 4, candidates: 5 };
    for (components, times) in [(0, 1), (1, 1), (16, 1), (17, 2), (32, 2), (33, 3)] {
        let expected =
            Limits { hosts: 2 * times, reflexive: 3 * times, relays: 4 * times, candidates: 5 * times };
        assert_eq!(limits.of(components), expected);
    }
}

#[test]
fn what_a_limit_of_sockets_holds_back_is_asked_when_a_component_goes() {
    let mut lab = Lab::new(Config { limits: Limits { hosts: 3, ..Limits::default() }, ..config(&[]) });
    lab.start_for(&["10.0.1.7", "10.0.2.7"], &[RTP, RTCP]);
    assert_eq!(lab.sockets.len(), 3);
    lab.gatherer.remove_component(lab.now, RTP.0, RTP.1);
    lab.drain();
    assert_eq!(lab.gatherer.candidates().filter(|(_, found, _)| found.component == RTCP.1).count(), 2);
    assert_eq!(lab.sockets.len(), 2);
}
