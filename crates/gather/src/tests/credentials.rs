//! Other credentials for a server in use (P19).

use core::time::Duration;

use alloc::{format, vec, vec::Vec};
use floe_pair::{BaseId, CandidateType};
use floe_stun::Instant;
use floe_turn::Credentials;

use super::lab::{Lab, RTCP, RTP, config, interface, relay_only};
use super::script::{PASSWORD, Turn, turn};
use crate::{Config, Event, Interface, InterfaceFlags, Request};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.2:3478";
const URL: &str = "turn:198.51.100.2";

/// With one allocation.
fn allocated() -> (Turn, Lab) {
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&[URL])).server(SERVER, script);
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(state.borrow().allocations.len(), 1);
    (state, lab)
}

fn set(lab: &mut Lab, user: &str) {
    let given = Credentials::new(user.as_bytes(), PASSWORD).expect("short");
    assert!(lab.gatherer.set_credentials(lab.now, 0, &given, None));
    lab.drain();
}

/// How often credentials for the first server were asked for.
fn asked(lab: &Lab) -> usize {
    let asks = |event: &&(u64, Event)| matches!(event.1, Event::CredentialsWanted { server: 0 });
    lab.events.iter().filter(asks).count()
}

fn bases(lab: &Lab) -> Vec<BaseId> {
    lab.found().into_iter().map(|(_, _, base)| base).collect()
}

fn replaced(lab: &Lab) -> Vec<BaseId> {
    lab.gatherer.replaced().collect()
}

#[test]
fn p19_another_user_gets_an_allocation_beside_the_one_there_is() {
    for concluded in [false, true] {
        let (state, mut lab) = allocated();
        if concluded {
            lab.gatherer.conclude(lab.now);
        }
        set(&mut lab, "bea");
        lab.run(SECOND);
        let [old, new] = bases(&lab)[..] else { panic!("two candidates") };
        assert_eq!((replaced(&lab), state.borrow().allocations.len()), (vec![old], 2));
        let relays = lab.of(CandidateType::Relayed);
        assert_ne!(relays[0].priority, relays[1].priority, "RFC 8445 §5.1.2: no two are equal");
        assert_ne!(relays[0].address, relays[1].address);
        // The same one again changes nothing.
        set(&mut lab, "bea");
        lab.run(SECOND);
        assert_eq!((replaced(&lab), state.borrow().allocations.len()), (vec![old], 2));
        lab.gatherer.release_unused(lab.now, |relay| relay.base == new);
        lab.run(SECOND * 30);
        assert_eq!((replaced(&lab), state.borrow().allocations.len()), (vec![], 1));
        assert_eq!(bases(&lab).len(), 2, "and no third one is asked for");
        let gone = |event: &&(u64, Event)| matches!(event.1, Event::BaseGone { base } if base == old);
        assert_eq!(lab.events.iter().filter(gone).count(), 1);
        let closed = lab.requests.iter().filter(|request| matches!(request, Request::Close { .. })).count();
        assert_eq!(closed, 1, "its socket");
    }
}

#[test]
fn p19_what_takes_the_place_of_an_allocation_is_asked_for_though_ice_concludes() {
    for wait in [0, 10, 30, 50] {
        let (state, mut lab) = allocated();
        set(&mut lab, "bea");
        lab.run(Duration::from_millis(wait));
        lab.gatherer.conclude(lab.now);
        lab.run(SECOND);
        assert_eq!((replaced(&lab).len(), state.borrow().allocations.len()), (1, 2), "{wait} ms");
    }
}

#[test]
fn p19_a_new_generation_has_the_allocation_of_the_new_user_alone() {
    for (relisted, told) in [(false, true), (true, true), (true, false)] {
        let (state, script) = turn("198.51.100.2:0");
        let mut lab = Lab::new(Config { relisted, ..relay_only(&[URL]) }).server(SERVER, script);
        lab.start(&["10.0.0.7"]).run(SECOND);
        set(&mut lab, "bea");
        lab.run(SECOND);
        let [old, new] = bases(&lab)[..] else { panic!("two candidates") };
        lab.gatherer.restart(lab.now);
        if told {
            lab.interfaces(&["10.0.0.7"]);
        }
        lab.run(SECOND * 60);
        let known: Vec<_> = lab.gatherer.candidates().map(|(_, _, base)| base).collect();
        assert_eq!(known, [new]);
        assert_eq!(state.borrow().allocations.len(), 2, "the generation before may use it");
        lab.gatherer.release_left(lab.now, |base| base == old);
        assert_eq!(replaced(&lab), [old]);
        lab.gatherer.release_left(lab.now, |_| false);
        lab.run(SECOND * 5);
        assert_eq!((replaced(&lab), state.borrow().allocations.len()), (vec![], 1));
    }
}

/// From such an address nothing is asked for any more; that the allocation will end is known all the same.
#[test]
fn p19_an_allocation_of_an_address_that_is_skipped_by_now_is_replaced_by_none() {
    let (state, mut lab) = allocated();
    let deprecated =
        Interface { flags: InterfaceFlags::UP | InterfaceFlags::DEPRECATED, ..interface("10.0.0.7") };
    lab.gatherer.handle_interfaces(lab.now, &[deprecated, interface("10.0.0.8")]);
    lab.drain();
    lab.run(SECOND * 5);
    let [old, other] = bases(&lab)[..] else { panic!("two candidates: {:?}", lab.found()) };
    set(&mut lab, "bea");
    lab.run(SECOND * 5);
    assert_eq!((replaced(&lab), state.borrow().allocations.len()), (vec![old, other], 3));
}

#[test]
fn p19_whoever_comes_after_a_user_that_was_refused_is_asked_for() {
    for (concluded, wait) in [(false, 5_000), (true, 5_000), (true, 10), (true, 50)] {
        let (state, mut lab) = allocated();
        if concluded {
            lab.gatherer.conclude(lab.now);
        }
        state.borrow_mut().refuse = Some(401);
        set(&mut lab, "eve");
        lab.run(Duration::from_millis(wait));
        assert_eq!(state.borrow().allocations.len(), 1);
        state.borrow_mut().refuse = None;
        set(&mut lab, "bea");
        lab.run(SECOND * 5);
        assert_eq!((replaced(&lab).len(), state.borrow().allocations.len()), (1, 2), "{concluded} {wait} ms");
    }
}

#[test]
fn p19_credentials_are_asked_for_once_for_all_allocations_of_a_server() {
    let (state, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(relay_only(&[URL])).server(SERVER, script);
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
    assert_eq!(state.borrow().allocations.len(), 4);
    state.borrow_mut().strict = true;
    lab.run(SECOND * 50);
    assert_eq!(asked(&lab), 1);
    // Others, of another user, which is refused as well: there is none that could take their place.
    state.borrow_mut().refuse = Some(401);
    set(&mut lab, "eve");
    lab.run(SECOND * 10);
    assert_eq!((replaced(&lab).len(), asked(&lab)), (4, 2), "those were of no use either");
    // Nobody gives others: they are asked for again, as long as anything wants them.
    lab.run(SECOND * 130);
    assert!((3..=4).contains(&asked(&lab)), "{}", asked(&lab));
    (state.borrow_mut().refuse, state.borrow_mut().strict) = (None, false);
    set(&mut lab, "bea");
    let before = asked(&lab);
    lab.run(SECOND * 500);
    assert_eq!(asked(&lab), before);
}

/// Whoever was asked may have missed it: as long as the server refuses, it is said each minute, and never once it does not.
#[test]
fn p19_credentials_that_do_not_come_are_asked_for_again() {
    for relents in [false, true] {
        let (state, mut lab) = allocated();
        state.borrow_mut().strict = true;
        lab.run(SECOND * 30);
        assert_eq!(asked(&lab), 1);
        state.borrow_mut().strict = !relents;
        lab.run(SECOND * 240);
        assert_eq!(asked(&lab), if relents { 1 } else { 5 });
    }
}

/// What is on its way when others come says nothing of those.
#[test]
fn p19_a_late_refusal_of_the_user_before_asks_for_nothing() {
    for same_user in [true, false] {
        let (state, script) = turn("198.51.100.2:0");
        let mut lab = Lab::new(relay_only(&[URL])).server(SERVER, script);
        lab.start_for(&["10.0.0.7"], &[RTP, RTCP]).run(SECOND);
        state.borrow_mut().strict = true;
        let end = lab.now.after(SECOND * 60);
        while asked(&lab) == 0 && lab.now < end {
            lab.run(Duration::from_millis(1));
        }
        state.borrow_mut().strict = false;
        set(&mut lab, if same_user { "alice" } else { "bea" });
        lab.run(SECOND * 600);
        assert_eq!((asked(&lab), state.borrow().allocations.len()), (1, if same_user { 2 } else { 4 }));
    }
}

/// RFC 8656 §7.4: a server that has no room for anybody is left alone for its minute, whoever asks.
#[test]
fn p19_what_waits_for_room_goes_on_waiting() {
    for lost in [true, false] {
        let (state, mut lab) = allocated();
        if lost {
            state.borrow_mut().allocations.clear();
        }
        state.borrow_mut().refuse = Some(508);
        if lost {
            lab.run(SECOND * 20);
        }
        set(&mut lab, "bea");
        lab.run(SECOND * 20);
        state.borrow_mut().refuse = None;
        let before = state.borrow().allocations.len();
        lab.run(SECOND * 120);
        assert_eq!(state.borrow().allocations.len(), before + 1, "lost: {lost}");
    }
}

#[test]
fn p19_an_address_that_is_skipped_for_a_moment_has_its_allocation_replaced_after_it() {
    for concluded in [false, true] {
        let (state, mut lab) = allocated();
        if concluded {
            lab.gatherer.conclude(lab.now);
        }
        let tentative = InterfaceFlags::UP | InterfaceFlags::TENTATIVE;
        lab.gatherer.handle_interfaces(lab.now, &[Interface { flags: tentative, ..interface("10.0.0.7") }]);
        set(&mut lab, "bea");
        lab.run(SECOND);
        assert_eq!((replaced(&lab).len(), state.borrow().allocations.len()), (1, 1));
        lab.interfaces(&["10.0.0.7"]);
        lab.run(SECOND);
        assert_eq!(
            (replaced(&lab).len(), state.borrow().allocations.len()),
            (1, 2),
            "concluded: {concluded}"
        );
    }
}

/// Whatever the clock says when gathering begins.
#[test]
fn p19_credentials_for_a_moment_are_asked_for_at_half_of_it() {
    let (_, script) = turn("198.51.100.2:0");
    let mut config = relay_only(&[URL]);
    let start = Instant::from_millis(3_600_000);
    config.servers[0].until = Some(start.after(SECOND * 30));
    let mut lab = Lab::new(config).server(SERVER, script);
    lab.now = start;
    lab.start(&["10.0.0.7"]).run(SECOND * 14);
    assert_eq!(asked(&lab), 0);
    lab.run(SECOND * 2);
    assert_eq!(asked(&lab), 1);
}

#[test]
fn p19_refused_jobs_are_asked_again_within_the_limit() {
    let (state, script) = turn("198.51.100.2:0");
    state.borrow_mut().refuse = Some(401);
    let mut config = relay_only(&[URL]);
    config.limits.relays = 1;
    let mut lab = Lab::new(config).server(SERVER, script);
    lab.start(&["10.0.0.7", "10.0.1.8", "10.0.2.9", "10.0.3.10"]).run(SECOND * 5);
    state.borrow_mut().refuse = None;
    set(&mut lab, "bea");
    lab.run(SECOND * 5);
    assert_eq!((lab.found().len(), state.borrow().allocations.len()), (1, 1));
}

/// RFC 8445 §5.1.2: no two candidates of a component have one priority.
#[test]
fn p19_each_allocation_has_a_priority_of_its_own() {
    let (_, script) = turn("198.51.100.2:0");
    let (_, other) = turn("198.51.100.3:0");
    let config = relay_only(&[URL, "turn:198.51.100.3"]);
    let mut lab = Lab::new(config).server(SERVER, script).server("198.51.100.3:3478", other);
    lab.start(&["10.0.0.7"]).run(SECOND);
    for user in ["bea", "cid", "dot"] {
        for server in 0..2 {
            let given = Credentials::new(user.as_bytes(), PASSWORD).expect("short");
            assert!(lab.gatherer.set_credentials(lab.now, server, &given, None));
        }
        lab.drain();
        lab.run(SECOND);
    }
    let mut priorities: Vec<_> = lab.of(CandidateType::Relayed).iter().map(|relay| relay.priority).collect();
    assert_eq!(priorities.len(), 8);
    priorities.sort_unstable();
    priorities.dedup();
    assert_eq!(priorities.len(), 8);
}

#[test]
fn p19_no_more_than_some_allocations_wait_to_be_given_back() {
    let (state, mut lab) = allocated();
    for number in 0..20 {
        set(&mut lab, &format!("user {number}"));
        lab.run(SECOND * 5);
        assert!(state.borrow().allocations.len() <= 5, "after {number}");
    }
    assert_eq!((replaced(&lab).len(), state.borrow().allocations.len()), (4, 5));
    // What was being asked for is not one of them.
    for number in 20..40 {
        set(&mut lab, &format!("user {number}"));
        lab.run(Duration::from_millis(5));
    }
    lab.run(SECOND * 30);
    assert!(state.borrow().allocations.len() <= 5);
}

#[test]
fn p19_an_allocation_that_ends_beside_its_successor_is_not_asked_for_anew() {
    let (state, mut lab) = allocated();
    set(&mut lab, "bea");
    lab.run(SECOND);
    let [old, new] = bases(&lab)[..] else { panic!("two candidates") };
    // The server does not know the first one any more.
    let mapped = lab.gatherer.relay(old).expect("it is there").place;
    let mapped = lab.sockets[&mapped.socket];
    state.borrow_mut().allocations.retain(|client, _| *client != mapped);
    lab.run(SECOND * 900);
    assert_eq!((bases(&lab), replaced(&lab)), (vec![old, new], vec![]));
    assert_eq!(state.borrow().allocations.len(), 1);
    assert!(lab.gatherer.relay(new).is_some());
}

/// RFC 8656 §7.4: the quota is that of a user.
#[test]
fn p19_a_server_that_refused_a_user_is_asked_at_once_for_another() {
    for code in [401, 486] {
        let (state, script) = turn("198.51.100.2:0");
        state.borrow_mut().refuse = Some(code);
        let mut lab = Lab::new(relay_only(&[URL])).server(SERVER, script);
        lab.start(&["10.0.0.7"]).run(SECOND * 5);
        assert_eq!(lab.found().len(), 0);
        state.borrow_mut().refuse = None;
        set(&mut lab, "bea");
        lab.run(SECOND);
        assert_eq!((lab.found().len(), state.borrow().allocations.len()), (1, 1), "{code}");
    }
}

#[test]
fn p19_only_a_turn_server_takes_credentials() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1", URL]));
    let given = Credentials::new(b"bea", PASSWORD).expect("short");
    for server in [0, 2, usize::MAX] {
        assert!(!lab.gatherer.set_credentials(lab.now, server, &given, None));
    }
    // Before anything is gathered they are those that count.
    assert!(lab.gatherer.set_credentials(lab.now, 1, &given, Some(Instant::ORIGIN)));
    assert_eq!(lab.gatherer.poll_timeout(), None, "nothing is kept alive by them");
}
