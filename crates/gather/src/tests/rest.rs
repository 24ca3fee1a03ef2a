//! TURN servers without room, and what is under way when they say so.

use core::time::Duration;

use alloc::{vec, vec::Vec};
use floe_pair::{ComponentId, TransportAddress};
use floe_turn::AllocateError;

use super::lab::{Lab, RTCP, RTP, STREAM, at, config, relay_only};
use super::script::{Turn, turn};
use crate::{Config, Limits, ServerError};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.2:3478";
const OTHER: &str = "198.51.100.9:3478";
const THIRD: &str = "198.51.100.10:3478";

fn relays(lab: &Lab) -> usize {
    lab.gatherer.candidates().count()
}

/// What was sent to a server from a moment on, in milliseconds, by which socket.
fn sent_since(lab: &Lab, since: u64) -> Vec<(u64, TransportAddress)> {
    lab.sent.iter().filter(|sent| sent.at > since).map(|sent| (sent.at, sent.from)).collect()
}

/// An allocation that its server has forgotten, and has no room for again.
fn forgotten_by_a_full_server(relisted: bool) -> (Turn, Lab) {
    let (state, script) = turn("198.51.100.2:0");
    let config = Config { relisted, ..relay_only(&["turn:198.51.100.2"]) };
    let mut lab = Lab::new(config).behind_nat().server(SERVER, script);
    lab.start(&["10.0.0.7"]).run(SECOND);
    state.borrow_mut().allocations.clear();
    state.borrow_mut().refuse = Some(486);
    lab.run(SECOND * 20);
    (state, lab)
}

/// RFC 8656 §7.4: neither the second request of an allocation that was begun before, nor another port for one.
#[test]
fn trn_05_what_is_under_way_does_not_ask_a_server_at_rest() {
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"])).server(SERVER, script);
    let further = (STREAM, ComponentId::new(3).expect("in range"));
    // The first one is slow, and is to take another port in the end.
    state.borrow_mut().refuse = Some(437);
    lab.start_for(&["10.0.0.7"], &[RTP]).run(MS * 19);
    lab.rtt = MS * 200;
    lab.run(MS * 2);
    // The second one has no room; the third is slow from the beginning.
    state.borrow_mut().refuse = Some(486);
    lab.rtt = MS * 20;
    lab.start_for(&["10.0.0.7"], &[RTP, RTCP]).run(MS * 5);
    lab.rtt = MS * 200;
    lab.start_for(&["10.0.0.7"], &[RTP, RTCP, further]).run(MS * 10);
    lab.rtt = MS * 20;
    lab.run(MS * 35);
    assert_eq!(lab.failures(), [(0, ServerError::Allocate(AllocateError::QuotaReached))]);
    assert_eq!(lab.sockets.len(), 2, "two are waited for");
    let since = lab.elapsed();
    lab.run(SECOND * 30);
    assert_eq!((sent_since(&lab, since), lab.sockets.len()), (vec![], 0), "after {since} ms");
    assert_eq!(lab.completed_at().len(), 1);
}

#[test]
fn trn_05_a_socket_that_comes_late_does_not_ask_a_server_at_rest() {
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"])).server(SERVER, script);
    state.borrow_mut().refuse = Some(486);
    lab.start(&["10.0.0.7"]).run(MS * 30);
    lab.gatherer.start(lab.now, &[RTP, RTCP]);
    // The answer is there before the driver takes the request.
    lab.run(SECOND);
    assert_eq!((state.borrow().allocates, lab.sockets.len(), lab.completed_at().len()), (2, 0, 1));
}

/// RFC 8656 §7.4, RFC 8489 §10: who redirects may know another server the next time.
#[test]
fn trn_05_a_server_that_was_redirected_to_rests_alone() {
    let ((first, redirecting), (second, full), (third, free)) =
        (turn("198.51.100.2:0"), turn("198.51.100.9:0"), turn("198.51.100.10:0"));
    first.borrow_mut().redirect = Some(at(OTHER).socket_addr());
    second.borrow_mut().refuse = Some(486);
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"]))
        .server(SERVER, redirecting)
        .server(OTHER, full)
        .server(THIRD, free);
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!((second.borrow().allocates, relays(&lab)), (2, 0));
    // It is not asked again...
    lab.start_for(&["10.0.0.7"], &[RTP, RTCP]).run(SECOND);
    assert_eq!((first.borrow().allocates, second.borrow().allocates, relays(&lab)), (4, 2, 0));
    let refused = (0, ServerError::Allocate(AllocateError::QuotaReached));
    assert_eq!(lab.failures(), vec![refused; 2]);
    // ...and another one is.
    first.borrow_mut().redirect = Some(at(THIRD).socket_addr());
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((second.borrow().allocates, third.borrow().allocates, relays(&lab)), (2, 4, 2));
    assert_eq!(lab.sockets.len(), 2);
}

/// RFC 8656 §7.4: the server counts the allocation that was lost to the user until its lifetime is over.
#[test]
fn p16_an_allocation_that_was_lost_is_asked_for_again_once_there_is_room() {
    for restarted in [false, true] {
        let (state, mut lab) = forgotten_by_a_full_server(false);
        assert_eq!((relays(&lab), state.borrow().allocates), (0, 4));
        if restarted {
            lab.gatherer.restart(lab.now);
            lab.drain();
        }
        lab.run(SECOND * 50);
        assert_eq!(state.borrow().allocates, 4, "a minute of rest");
        lab.run(SECOND * 60);
        assert_eq!((relays(&lab), state.borrow().allocates), (0, 6), "asked each minute");
        state.borrow_mut().refuse = None;
        lab.run(SECOND * 60);
        assert_eq!((relays(&lab), state.borrow().allocations.len(), lab.sockets.len()), (1, 1, 1));
        let said = lab.failures().len();
        assert_eq!(
            (said, lab.completed_at().len()),
            if restarted { (2, 2) } else { (1, 1) },
            "said once each time"
        );
    }
}

/// The generation waits for its list of interfaces while the rest ends.
#[test]
fn p17_a_rest_that_is_over_before_a_restart_has_its_list_costs_no_relay() {
    let (state, mut lab) = forgotten_by_a_full_server(true);
    state.borrow_mut().refuse = None;
    lab.run(SECOND * 53);
    assert_eq!(state.borrow().allocates, 4, "it rests");
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND * 4);
    assert_eq!(state.borrow().allocates, 4, "nothing is listed yet");
    lab.interfaces(&["10.0.0.7"]);
    lab.run(SECOND);
    assert_eq!((relays(&lab), state.borrow().allocates), (1, 6));
}

/// RFC 8445 §8.3.1: a data stream that gives its relays back needs none.
#[test]
fn p23_an_allocation_that_was_lost_is_not_asked_for_again_once_others_are_given_back() {
    let ((full, refusing), (_, other)) = (turn("198.51.100.2:0"), turn("198.51.100.9:0"));
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2", "turn:198.51.100.9"])).behind_nat();
    lab = lab.server(SERVER, refusing).server(OTHER, other);
    lab.start(&["10.0.0.7"]).run(SECOND);
    full.borrow_mut().allocations.clear();
    full.borrow_mut().refuse = Some(486);
    lab.run(SECOND * 20);
    assert_eq!((relays(&lab), full.borrow().allocates), (1, 4));
    full.borrow_mut().refuse = None;
    lab.gatherer.release_unused(lab.now, |_| false);
    lab.drain();
    lab.run(SECOND * 120);
    assert_eq!((relays(&lab), full.borrow().allocates), (0, 4));
    assert_eq!((lab.gatherer.poll_timeout(), lab.sockets.len()), (None, 0));
}

/// T25: not for ever, and not after ICE has concluded.
#[test]
fn t25_an_allocation_that_was_lost_is_asked_for_only_so_often() {
    for concluded in [false, true] {
        let (state, mut lab) = forgotten_by_a_full_server(false);
        if concluded {
            lab.gatherer.conclude(lab.now);
            lab.drain();
        }
        lab.run(SECOND * 3_600);
        let again = if concluded { 0 } else { 10 };
        assert_eq!(state.borrow().allocates, 2 * (2 + again), "concluded: {concluded}");
        assert_eq!((lab.gatherer.poll_timeout(), lab.sockets.len()), (None, 0));
    }
}

/// Jobs for a server at rest take no places of the limit from those of others.
#[test]
fn p02_a_server_at_rest_takes_no_places_of_the_limit() {
    let ((full, refusing), (other, script)) = (turn("198.51.100.2:0"), turn("198.51.100.9:0"));
    full.borrow_mut().refuse = Some(508);
    let config = Config {
        limits: Limits { relays: 4, ..Limits::default() },
        ..relay_only(&["turn:198.51.100.2", "turn:198.51.100.9"])
    };
    let mut lab = Lab::new(config).server(SERVER, refusing).server(OTHER, script);
    lab.start_for(&["10.0.0.7"], &[RTP, RTCP]).run(SECOND);
    assert_eq!(relays(&lab), 2);
    lab.interfaces(&["10.0.0.7", "10.0.1.8"]);
    lab.gatherer.restart(lab.now);
    lab.drain();
    lab.run(SECOND);
    assert_eq!((relays(&lab), other.borrow().allocations.len()), (4, 4));
}

/// RFC 8489 §10: a server is not asked twice in five minutes because of a redirection, on a link neither.
#[test]
fn trn_04_a_link_local_server_that_redirects_to_itself_is_asked_once() {
    let server = "[fe80::9]:3478";
    let (state, script) = turn("[2001:db8:6::1]:0");
    state.borrow_mut().redirect = Some(at(server).socket_addr());
    let config = Config { link_local: true, ..config(&["turn:[fe80::9]"]) };
    let mut lab = Lab::new(config);
    lab.servers.insert(at(server).with_scope(2), script);
    lab.start(&["fe80::7"]).run(SECOND);
    assert_eq!(state.borrow().allocates, 2);
    let looped = AllocateError::RedirectLoop(at(server).socket_addr());
    assert_eq!(lab.failures(), [(0, ServerError::Allocate(looped))]);
}

/// RFC 8656 §7.3, §7.4: a server that has no addresses of the family is asked once, for whichever component, at whichever of its
/// addresses and after whatever restart; where it has those of the other family it is asked for them.
#[test]
fn trn_05_a_server_without_the_family_is_not_asked_for_it_again() {
    for refuses in [true, false] {
        let ((first, sixth), (second, other), (fourth, script)) =
            (turn("[2001:db8::2]:0"), turn("[2001:db8::3]:0"), turn("198.51.100.2:0"));
        // It says so, or grants something else.
        for state in [&first, &second] {
            state.borrow_mut().refuse = refuses.then_some(440);
            state.borrow_mut().lie = (!refuses).then(|| at("198.51.100.77:50000").socket_addr());
        }
        let mut lab = Lab::new(relay_only(&["turn:turn.example.org"]))
            .server("[2001:db8::2]:3478", sixth)
            .server("[2001:db8::3]:3478", other)
            .server(SERVER, script);
        let ips = ["2001:db8::2", "2001:db8::3", "198.51.100.2"].map(|ip| ip.parse().expect("a literal"));
        lab.names.insert("turn.example.org", Ok(ips.to_vec()));
        let locals = ["2001:db8:1::7", "10.0.0.7"];
        lab.start_for(&locals, &[RTP]).run(SECOND);
        let asked = first.borrow().allocates;
        lab.start_for(&locals, &[RTP, RTCP]).run(SECOND);
        for _ in 0..3 {
            lab.run(SECOND * 200);
            lab.gatherer.restart(lab.now);
            lab.drain();
        }
        lab.run(SECOND);
        let counts = [first.borrow().allocates, second.borrow().allocates];
        assert_eq!((counts, asked), ([2, 0], 2), "one with and one without credentials");
        assert_eq!((relays(&lab), fourth.borrow().allocations.len()), (2, 2), "{refuses}");
        assert!(first.borrow().allocations.is_empty());
    }
}
