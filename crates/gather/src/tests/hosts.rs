use core::time::Duration;

use alloc::{collections::BTreeSet, vec, vec::Vec};
use floe_pair::{CandidateType, ComponentId, Place, SocketId, StreamId};

use super::lab::{Lab, RTCP, RTP, STREAM, at, config, interface};
use super::script::stun;
use crate::{
    Answer, Config, Event, Interface, Limit, Limits, Request, RequestFailure, RequestId, SkipReason,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn p02_host_candidates_come_with_the_answer_that_binds_them() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1", "turn:198.51.100.2"]));
    lab.start(&["10.0.0.7", "2001:db8::7"]);
    let hosts = lab.of(CandidateType::Host);
    assert_eq!(hosts.len(), 2, "without any time passing");
    assert!(hosts.iter().all(|host| host.related.is_none()));
    assert!(lab.completed_at().is_empty(), "the servers were not even asked");
}

#[test]
fn without_servers_gathering_is_complete_at_once() {
    let mut lab = Lab::new(Config::default());
    lab.start(&["10.0.0.7"]);
    assert_eq!((lab.found().len(), lab.completed_at()), (1, vec![0]));
    assert!(matches!(lab.events.last(), Some((_, Event::Complete))), "after the last candidate");
    assert_eq!(lab.gatherer.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn ice_01_the_default_gathers_no_loopback_address() {
    let mut lab = Lab::new(Config::default());
    lab.start(&["127.0.0.1", "::1", "127.5.5.5"]);
    assert!(lab.found().is_empty() && lab.requests.is_empty());
    let skipped = lab
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::InterfaceSkipped { reason: SkipReason::Loopback, .. }));
    assert_eq!(skipped.count(), 3);
    // Told again, nothing new is reported.
    let before = lab.events.len();
    lab.interfaces(&["127.0.0.1", "::1", "127.5.5.5"]);
    assert_eq!(lab.events.len(), before);

    let mut lab = Lab::new(Config { loopback: true, ..Config::default() });
    lab.start(&["127.0.0.1", "::1"]);
    assert_eq!(lab.found().len(), 2);
}

#[test]
fn start_and_interfaces_come_in_either_order() {
    let mut lab = Lab::new(Config::default());
    lab.gatherer.start(lab.now, &[RTP]);
    lab.drain();
    assert!(lab.found().is_empty() && lab.completed_at().is_empty());
    lab.run(SECOND).interfaces(&["10.0.0.7"]);
    assert_eq!((lab.found().len(), lab.completed_at()), (1, vec![1_000]));
}

#[test]
fn ice_07_priorities_are_unique_within_a_stream() {
    let urls = ["stun:198.51.100.1", "stun:198.51.100.3", "stun:[2001:db8:5::1]"];
    let symmetric = |port: u16| {
        super::lab::boxed(move |request, source| {
            let seen = super::lab::at("203.0.113.9:1").with_port(port.wrapping_add(source.port()));
            super::script::Reply::new(request, floe_stun::Class::Success)
                .with(&floe_stun::attribute::XorMappedAddress(seen.socket_addr()))
                .plain()
        })
    };
    let mut lab = Lab::new(config(&urls))
        .server("198.51.100.1:3478", symmetric(10))
        .server("198.51.100.3:3478", symmetric(11))
        .server("[2001:db8:5::1]:3478", stun());
    lab.start_for(&["10.0.0.7", "10.0.1.7", "2001:db8::7"], &[RTP, RTCP]).run(SECOND);
    let found = lab.found();
    assert_eq!(found.len(), 3 * 2 + 2 * 2 * 2, "hosts and two mappings of each IPv4 one");
    let priorities: BTreeSet<_> = found.iter().map(|(_, candidate, _)| candidate.priority).collect();
    assert_eq!(priorities.len(), found.len());
    let single = |ips: &[&str]| {
        let mut lab = Lab::new(Config::default());
        lab.start(ips);
        let found = lab.found();
        found.iter().map(|(_, candidate, _)| candidate.priority.get() >> 8 & 0xffff).max()
    };
    assert_eq!(single(&["10.0.0.7"]), Some(65_535));
    assert!(single(&["10.0.0.7", "10.0.1.7"]) < Some(65_535), "65535 is for a single address");
}

#[test]
fn ice_05_foundations_tell_type_base_and_server_apart() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server("198.51.100.1:3478", stun());
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
    let found = lab.found();
    assert_eq!(found.len(), 8);
    for (_, one, _) in &found {
        for (_, other, _) in &found {
            let base = |c: &floe_pair::Candidate| c.related.unwrap_or(c.address).ip();
            let alike = one.kind == other.kind && base(one) == base(other);
            assert_eq!(one.foundation == other.foundation, alike, "{one:?} {other:?}");
        }
    }
}

#[test]
fn p02_an_address_that_cannot_be_bound_holds_up_nobody() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server("198.51.100.1:3478", stun());
    lab.unbindable.insert("10.0.0.7".parse().expect("a literal"), RequestFailure::AddressNotAvailable);
    lab.start(&["10.0.0.7", "10.0.1.8"]).run(SECOND);
    assert_eq!((lab.of(CandidateType::Host).len(), lab.of(CandidateType::ServerReflexive).len()), (1, 1));
    let failed = lab.events.iter().any(|(_, event)| {
        matches!(event, Event::HostFailed { local, failure: RequestFailure::AddressNotAvailable, .. }
            if *local == at("10.0.0.7:0"))
    });
    assert!(failed);
    assert_eq!(lab.completed_at().len(), 1);
}

#[test]
fn p02_a_driver_that_never_answers_ends_at_the_deadline() {
    let mut gatherer = crate::Gatherer::new(Config::default()).expect("defaults");
    let (start, mut rng) = (floe_stun::Instant::from_millis(7), floe_stun::Random::from_seed([1; 32]));
    gatherer.start(start, &[RTP]);
    gatherer.handle_interfaces(start, &[interface("10.0.0.7")]);
    assert!(matches!(gatherer.poll_request(), Some(Request::BindUdp { shareable: true, .. })));
    let deadline = start.after(Duration::from_secs(5));
    assert_eq!(gatherer.poll_timeout(), Some(deadline));
    gatherer.handle_timeout(start, &mut rng);
    assert!(gatherer.poll_event().is_none(), "early");
    gatherer.handle_timeout(deadline, &mut rng);
    assert!(matches!(gatherer.poll_event(), Some(Event::DeadlinePassed)));
    let end = start.after(Duration::from_millis(39_500));
    assert_eq!((gatherer.is_complete(), gatherer.poll_timeout()), (false, Some(end)));
    gatherer.handle_timeout(end, &mut rng);
    assert!(matches!(gatherer.poll_event(), Some(Event::Complete)));
    assert_eq!(gatherer.poll_timeout(), None);
}

#[test]
fn ice_06_candidates_of_a_gone_address_are_dropped_and_new_ones_gathered() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server("198.51.100.1:3478", stun());
    lab.start(&["10.0.0.7"]).run(SECOND);
    let base = lab.found()[0].2;
    lab.interfaces(&["10.0.1.8"]);
    assert!(
        lab.events.iter().any(|(_, event)| matches!(event, Event::BaseGone { base: gone } if *gone == base))
    );
    assert!(
        lab.sockets.values().all(|local| local.ip() == at("10.0.1.8:0").ip()),
        "the old socket is closed"
    );
    lab.run(SECOND);
    assert!(lab.gatherer.candidates().all(|(_, candidate, _)| {
        candidate.related.unwrap_or(candidate.address).ip() == at("10.0.1.8:0").ip()
    }));
    assert_eq!(lab.gatherer.candidates().count(), 2);
    assert_eq!(lab.gatherer.place_of(base), None);
    assert_eq!(lab.completed_at().len(), 1, "said once");
    let priorities: BTreeSet<_> = lab.found().iter().map(|(_, candidate, _)| candidate.priority).collect();
    assert_eq!(priorities.len(), 4, "new candidates do not share a priority with those the peer still knows");
}

#[test]
fn components_may_be_added_and_removed_while_gathering_goes_on() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server("198.51.100.1:3478", stun());
    lab.start(&["10.0.0.7"]).run(SECOND);
    let second = (StreamId(5), ComponentId::RTP);
    lab.gatherer.start(lab.now, &[RTP, second]);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((lab.found().len(), lab.completed_at().len()), (4, 2));
    lab.gatherer.remove_component(lab.now, STREAM, ComponentId::RTP);
    lab.drain();
    assert_eq!(lab.sockets.len(), 1);
    assert!(lab.gatherer.candidates().all(|(stream, ..)| stream == second.0));
    let before = lab.sent.len();
    lab.run(SECOND * 16);
    assert_eq!(lab.sent.len(), before + 1, "one keepalive, of the component that is left");
}

#[test]
fn limits_are_kept_and_said() {
    let limits = Limits { hosts: 3, reflexive: 2, relays: 1, candidates: 4 };
    let mut lab = Lab::new(Config { limits, ..config(&["stun:198.51.100.1", "turn:198.51.100.2"]) })
        .behind_nat()
        .server("198.51.100.1:3478", stun());
    lab.start(&["10.0.0.1", "10.0.1.2", "10.0.2.3", "10.0.3.4", "10.0.4.5"]).run(SECOND);
    let reached: Vec<_> = lab
        .events
        .iter()
        .filter_map(|(_, event)| if let Event::LimitReached(limit) = event { Some(*limit) } else { None })
        .collect();
    assert_eq!(reached, [Limit::Hosts, Limit::Relays, Limit::Reflexive, Limit::Candidates]);
    assert!(lab.found().len() <= 4 && lab.of(CandidateType::Host).len() == 3);
    let allocating =
        lab.requests.iter().filter(|r| matches!(r, Request::BindUdp { shareable: false, .. })).count();
    assert_eq!(allocating, 1);
}

#[test]
fn answers_nobody_waits_for_close_their_socket() {
    let mut lab = Lab::new(Config::default());
    lab.start(&["10.0.0.7"]);
    let bound = |socket| Answer::Bound { socket: SocketId(socket), local: at("10.0.0.7:4") };
    lab.gatherer.handle_answer(lab.now, RequestId(999), bound(77));
    assert_eq!(lab.gatherer.poll_request(), Some(Request::Close { socket: SocketId(77) }));
    // A second answer that names a socket in use does not close it.
    let used = lab.sockets.keys().next().expect("one socket").0;
    lab.gatherer.handle_answer(lab.now, RequestId(998), bound(used));
    assert_eq!(lab.gatherer.poll_request(), None);
}

#[test]
fn a_socket_that_is_another_ones_place_makes_no_candidate() {
    let mut gatherer = crate::Gatherer::new(Config::default()).expect("defaults");
    let now = floe_stun::Instant::ORIGIN;
    gatherer.handle_interfaces(now, &[interface("10.0.0.7"), interface("10.0.1.8")]);
    gatherer.start(now, &[RTP, RTCP]);
    let mut answer = |local: &str| {
        let Some(Request::BindUdp { id, .. }) = gatherer.poll_request() else { panic!("a request") };
        gatherer.handle_answer(now, id, Answer::Bound { socket: SocketId(1), local: at(local) });
    };
    // One socket for all addresses is fine, as long as each candidate has an address of its own.
    answer("0.0.0.0:5000");
    answer("0.0.0.0:5000");
    answer("0.0.0.0:5000");
    // Port 0 is the address of nothing.
    answer("10.0.1.8:0");
    let events: Vec<_> = core::iter::from_fn(|| gatherer.poll_event()).collect();
    let candidates = events.iter().filter(|event| matches!(event, Event::Candidate { .. })).count();
    let failed = events.iter().filter(|event| matches!(event, Event::HostFailed { .. })).count();
    assert_eq!((candidates, failed), (2, 2));
    let place = |ip: &str| Place { socket: SocketId(1), local_ip: ip.parse().expect("a literal") };
    assert_ne!(gatherer.base_at(place("10.0.0.7")), gatherer.base_at(place("10.0.1.8")));
}

#[test]
fn link_local_candidates_keep_their_scope() {
    let mut lab = Lab::new(Config { link_local: true, ..Config::default() });
    let link = |index| Interface { index, ..interface("fe80::1") };
    lab.gatherer.handle_interfaces(lab.now, &[link(2), link(3)]);
    lab.gatherer.start(lab.now, &[RTP]);
    lab.drain();
    let scopes: Vec<_> = lab.found().iter().map(|(_, candidate, _)| candidate.address.scope()).collect();
    assert_eq!(scopes, [2, 3]);
}
