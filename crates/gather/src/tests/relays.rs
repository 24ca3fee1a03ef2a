use core::time::Duration;

use alloc::{format, vec, vec::Vec};
use floe_pair::{Candidate, CandidateType};
use floe_stun::Instant;
use floe_turn::{AllocateError, Event as TurnEvent};

use super::lab::{Lab, RTCP, RTP, STREAM, Sent, at, config, interface, relay_only};
use super::script::{Turn, silent, stun, turn};
use crate::{Config, Event, Request, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.2:3478";

fn with_turn(config: Config) -> (Turn, Lab) {
    let (state, script) = turn("198.51.100.2:0");
    (state, Lab::new(config).behind_nat().server(SERVER, script))
}

fn relayed(lab: &Lab) -> Vec<Candidate> {
    lab.of(CandidateType::Relayed)
}

#[test]
fn a_relayed_candidate_comes_from_a_socket_of_its_own() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    let [host, mapped, relay] = &lab.found()[..] else { panic!("three candidates") };
    assert_eq!(mapped.1.kind, CandidateType::ServerReflexive, "the Binding request went from the host base");
    assert_eq!((relay.1.kind, relay.1.address), (CandidateType::Relayed, at("198.51.100.2:50001")));
    assert_eq!(relay.1.related, state.borrow().allocations.keys().next().copied(), "the mapped address");
    assert_ne!(relay.2, host.2);
    assert_eq!(lab.completed_at().len(), 1);
    let shareable: Vec<_> = lab
        .requests
        .iter()
        .map(|request| matches!(request, Request::BindUdp { shareable: true, .. }))
        .collect();
    assert_eq!(shareable, [true, false]);
    let place = lab.gatherer.relay(relay.2).expect("it is there").place;
    assert_eq!((lab.gatherer.base_at(place), lab.gatherer.place_of(relay.2)), (None, None), "no host base");
    assert_eq!(lab.gatherer.relay_at(place, at(SERVER)), Some(relay.2));
    assert_eq!(lab.gatherer.relay_at(place, at("198.51.100.3:3478")), None, "only its server");
}

#[test]
fn every_component_and_family_gets_its_allocation() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start_for(&["10.0.0.7", "10.0.1.8", "2001:db8::7"], &[RTP, RTCP]).run(SECOND);
    assert_eq!((relayed(&lab).len(), state.borrow().allocations.len()), (4, 4));
    let (_, script) = turn("[2001:db8:5::1]:0");
    let mut lab = Lab::new(config(&["turn:[2001:db8:5::1]"])).server("[2001:db8:5::1]:3478", script);
    lab.start(&["10.0.0.7", "2001:db8::7"]).run(SECOND);
    let found = relayed(&lab);
    assert!(matches!(&found[..], [relay] if relay.address.is_ipv6()));
}

#[test]
fn no_more_than_one_first_transmission_each_ta() {
    let (_, script) = turn("198.51.100.2:0");
    let mut lab = Lab::new(config(&["turn:198.51.100.2", "stun:198.51.100.1"]))
        .behind_nat()
        .server(SERVER, script)
        .server("198.51.100.1:3478", stun());
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(Duration::from_millis(400));
    let times: Vec<_> = lab.sent.iter().map(|sent| sent.at).collect();
    assert_eq!(lab.sent.len(), 4 + 4 + 2 * 4, "each Allocate twice: the first has no credentials");
    assert!(times.windows(2).all(|two| two[1] - two[0] >= 5), "{times:?}");
    // Servers take turns while both have something to send.
    let first: Vec<_> = lab.sent.iter().take(4).map(|sent| sent.to).collect();
    assert!(first.windows(2).all(|two| two[0] != two[1]), "{first:?}");
}

#[test]
fn ice_03_an_allocation_refused_for_capacity_leaves_the_server_reflexive_candidate() {
    for (code, error) in [(486, AllocateError::QuotaReached), (508, AllocateError::InsufficientCapacity)] {
        let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
        state.borrow_mut().refuse = Some(code);
        lab.start(&["10.0.0.7"]).run(SECOND * 30);
        assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
        assert!(relayed(&lab).is_empty());
        assert_eq!(lab.failures(), [(0, ServerError::Allocate(error))]);
        assert!(lab.completed_at()[0] < 1_000);
        // TRN-05: a minute's rest at least; here no more is tried.
        assert_eq!(state.borrow().allocates, 2);
        assert_eq!(lab.sockets.len(), 1, "the socket of the failed one is closed");
    }
}

/// RFC 8656 §7.4: nor at another address of the server, for another component, from another address or after a restart.
#[test]
fn trn_05_a_server_without_room_is_left_alone_for_a_minute() {
    for (code, seconds) in [(486, 60), (508, 60), (437, 120)] {
        let (state, script) = turn("198.51.100.2:0");
        let (other, second) = turn("198.51.100.3:0");
        let mut lab = Lab::new(relay_only(&["turn:turn.example.org"]))
            .server(SERVER, script)
            .server("198.51.100.3:3478", second);
        let ips = ["198.51.100.2", "198.51.100.3"].map(|ip| ip.parse().expect("a literal"));
        lab.names.insert("turn.example.org", Ok(ips.to_vec()));
        state.borrow_mut().refuse = Some(code);
        lab.start(&["10.0.0.7"]).run(SECOND);
        let asked = state.borrow().allocates;
        lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
        state.borrow_mut().refuse = None;
        let failures = lab.failures().len();
        for _ in 0..2 {
            lab.run(SECOND * (seconds - 6) / 2);
            lab.gatherer.restart(lab.now);
            lab.drain();
        }
        assert_eq!((state.borrow().allocates, other.borrow().allocates), (asked, 0), "{code}");
        assert_eq!((failures, lab.failures().len(), lab.completed_at().len()), (1, 3, 4), "said each time");
        assert!(lab.sockets.is_empty(), "{code}");
        lab.run(SECOND * 10);
        lab.gatherer.restart(lab.now);
        lab.drain();
        lab.run(SECOND);
        assert_eq!(relayed(&lab).len(), 4, "{code}");
    }
}

#[test]
fn trn_05_after_437_up_to_three_new_ports_are_tried() {
    let (state, mut lab) = with_turn(relay_only(&["turn:198.51.100.2"]));
    state.borrow_mut().refuse = Some(437);
    lab.start(&["10.0.0.7"]).run(SECOND * 200);
    let mut ports: Vec<_> = lab.sent.iter().map(|sent| sent.from.port()).collect();
    ports.dedup();
    assert_eq!(ports.len(), 1 + 3);
    assert_eq!(lab.failures(), [(0, ServerError::Allocate(AllocateError::Mismatch))]);
    assert!(lab.sockets.is_empty());
    // With the second port it works.
    let (state, mut lab) = with_turn(relay_only(&["turn:198.51.100.2"]));
    (state.borrow_mut().refuse, state.borrow_mut().refusals_left) = (Some(437), Some(1));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!((relayed(&lab).len(), lab.failures().len(), lab.sockets.len()), (1, 0, 1));
}

#[test]
fn t25_error_loops_of_a_server_stay_bounded_and_do_not_touch_others() {
    for code in [300, 400, 401, 403, 437, 438, 440, 441, 442, 486, 500, 508, 699] {
        let (state, script) = turn("198.51.100.2:0");
        let mut lab = Lab::new(config(&["turn:198.51.100.2", "stun:198.51.100.1"]))
            .behind_nat()
            .server(SERVER, script)
            .server("198.51.100.1:3478", stun());
        state.borrow_mut().refuse = Some(code);
        lab.start(&["10.0.0.7"]).run(SECOND * 120);
        assert!(state.borrow().allocates <= 16, "{code}: {}", state.borrow().allocates);
        assert!(lab.completed_at()[0] <= 10_000, "{code}: {:?}", lab.completed_at());
        assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
        assert_eq!((lab.failures().len(), relayed(&lab).len()), (1, 0), "{code}: {:?}", lab.failures());
    }
}

#[test]
fn trn_04_an_alternate_server_is_asked_before_any_other_address() {
    let (first, script) = turn("198.51.100.2:0");
    let (second, alternate) = turn("198.51.100.9:0");
    let mut lab = Lab::new(relay_only(&["turn:turn.example.org"]))
        .server(SERVER, script)
        .server("198.51.100.9:3478", alternate);
    lab.names.insert(
        "turn.example.org",
        Ok(["198.51.100.2", "198.51.100.50"].map(|ip| ip.parse().expect("a literal")).to_vec()),
    );
    first.borrow_mut().redirect = Some("198.51.100.9:3478".parse().expect("a literal"));
    lab.start(&["10.0.0.7"]).run(SECOND * 3);
    assert_eq!(relayed(&lab)[0].address, at("198.51.100.9:50001"));
    assert_eq!((second.borrow().allocations.len(), lab.sent_to("198.51.100.50:3478")), (1, 0));
    let base = lab.found()[0].2;
    assert_eq!(lab.gatherer.relay(base).expect("it is there").server, at("198.51.100.9:3478"));
}

#[test]
fn t25_a_ring_of_redirections_ends() {
    let (first, script) = turn("198.51.100.2:0");
    let (second, alternate) = turn("198.51.100.9:0");
    let mut lab = Lab::new(relay_only(&["turn:198.51.100.2"]))
        .server(SERVER, script)
        .server("198.51.100.9:3478", alternate);
    first.borrow_mut().redirect = Some("198.51.100.9:3478".parse().expect("a literal"));
    second.borrow_mut().redirect = Some("198.51.100.2:3478".parse().expect("a literal"));
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    assert!(first.borrow().allocates + second.borrow().allocates <= 4);
    assert_eq!(lab.failures().len(), 1);
    assert!(lab.completed_at()[0] < 1_000);
}

#[test]
fn t26_a_redirection_to_an_odd_address_is_refused() {
    for odd in ["127.0.0.1:3478", "198.51.100.9:0", "224.0.0.1:3478", "0.0.0.0:3478", "169.254.1.1:3478"] {
        let (state, mut lab) = with_turn(relay_only(&["turn:198.51.100.2"]));
        state.borrow_mut().redirect = Some(odd.parse().expect("a literal"));
        lab.start(&["10.0.0.7"]).run(SECOND * 2);
        assert!(lab.sent.iter().all(|sent| sent.to == at(SERVER)), "{odd}");
        assert_eq!(lab.failures().len(), 1, "{odd}");
        assert!(lab.sockets.is_empty());
    }
}

#[test]
fn t28_a_lying_relayed_address_makes_no_candidate() {
    for lie in
        ["0.0.0.0:9", "224.1.2.3:9", "255.255.255.255:9", "127.0.0.1:9", "198.51.100.7:0", "[2001:db8::9]:9"]
    {
        let (state, mut lab) = with_turn(relay_only(&["turn:198.51.100.2"]));
        state.borrow_mut().lie = Some(lie.parse().expect("a literal"));
        lab.start(&["10.0.0.7"]).run(SECOND * 5);
        assert!(relayed(&lab).is_empty(), "{lie}");
        assert_eq!(lab.failures().len(), 1, "{lie}");
        // TRN-03: what cannot be used is given back.
        assert!(state.borrow().allocations.is_empty() && lab.sockets.is_empty(), "{lie}");
    }
}

#[test]
fn t28_a_loopback_relayed_address_counts_where_loopback_is_wanted() {
    let (_, script) = turn("127.0.0.1:0");
    let wanted = Config { loopback: true, ..config(&["turn:127.0.0.1"]) };
    let mut lab = Lab::new(wanted).server("127.0.0.1:3478", script);
    lab.start(&["127.0.0.1"]).run(SECOND);
    assert_eq!(relayed(&lab)[0].address, at("127.0.0.1:50001"));
}

#[test]
fn a_relayed_address_that_is_a_host_candidate_is_none() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    state.borrow_mut().lie = Some("10.0.0.7:40001".parse().expect("a literal"));
    lab.start(&["10.0.0.7"]).run(SECOND * 5);
    assert_eq!(lab.of(CandidateType::Host)[0].address, at("10.0.0.7:40001"));
    assert!(relayed(&lab).is_empty() && state.borrow().allocations.is_empty());
}

#[test]
fn p02_a_hanging_allocation_holds_up_nobody() {
    let mut lab = Lab::new(config(&["turn:198.51.100.2", "stun:198.51.100.1"]))
        .behind_nat()
        .server(SERVER, silent())
        .server("198.51.100.1:3478", stun());
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    let found = lab.found();
    assert!(matches!(&found[..], [(0, ..), (at, ..)] if *at <= 20 + 2 * 5), "{found:?}");
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![5_000], vec![39_500]));
    assert_eq!(lab.sockets.len(), 1, "the socket of the allocation that never came is closed");
}

#[test]
fn p02_of_several_addresses_the_first_that_allocates_wins_and_the_rest_is_given_back() {
    let (slow, slow_script) = turn("198.51.100.2:0");
    let (quick, quick_script) = turn("198.51.100.3:0");
    let mut lab = Lab::new(relay_only(&["turn:turn.example.org"]));
    lab = lab.server(SERVER, slow_script).server("198.51.100.3:3478", quick_script);
    lab.names.insert(
        "turn.example.org",
        Ok(["198.51.100.2", "198.51.100.3"].map(|ip| ip.parse().expect("a literal")).to_vec()),
    );
    // Both answer after two seconds, so that the second is asked before the first has answered.
    lab.rtt = SECOND * 2;
    lab.start(&["10.0.0.7"]).run(SECOND * 12);
    assert_eq!(relayed(&lab).len(), 1);
    assert_eq!(slow.borrow().allocations.len() + quick.borrow().allocations.len(), 1);
    assert_eq!(lab.sockets.len(), 1);
}

#[test]
fn p40_relay_only_talks_to_turn_servers_only_and_shows_no_other_address() {
    let urls = ["stun:198.51.100.1", "stun:stun.example.org", "turn:198.51.100.2"];
    let (_, mut lab) = with_turn(relay_only(&urls));
    lab = lab.server("198.51.100.1:3478", stun());
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND * 60);
    assert_eq!(lab.found().len(), 4);
    for (_, candidate, _) in lab.found() {
        assert_eq!((candidate.kind, candidate.related), (CandidateType::Relayed, Some(at("0.0.0.0:9"))));
    }
    assert!(lab.sent.iter().all(|sent| sent.to == at(SERVER)));
    assert!(lab.sent.iter().all(|sent| sent.bytes[..2] != [0, 1]), "not one Binding request");
    assert!(lab.requests.iter().all(|request| matches!(request, Request::BindUdp { shareable: false, .. })));
    assert!(lab.failures().is_empty());
}

#[test]
fn p23_closing_gives_every_allocation_and_socket_back() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2", "stun:stun.example.org"]));
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
    assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (4, 8));
    assert!(!lab.gatherer.is_closed());
    lab.close();
    assert_eq!(lab.sockets.len(), 4, "those of the hosts close at once");
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (0, 0));
    assert!(lab.gatherer.is_closed());
    assert_eq!(lab.gatherer.poll_timeout(), None);
    // A socket that is bound too late is closed too, and nothing starts again.
    let sent = lab.sent.len();
    lab.gatherer.start(lab.now, &[RTP]);
    lab.gatherer.handle_interfaces(lab.now, &[interface("10.0.0.7")]);
    lab.drain();
    lab.run(SECOND * 60);
    assert_eq!((lab.sent.len(), lab.sockets.len()), (sent, 0));
}

#[test]
fn p23_closing_while_allocating_leaves_nothing_behind() {
    for step in 0..80 {
        let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
        lab.start(&["10.0.0.7"]).run(Duration::from_millis(step));
        lab.close();
        lab.run(SECOND * 5);
        assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (0, 0), "closed after {step} ms");
        assert!(lab.gatherer.is_closed(), "closed after {step} ms");
    }
}

#[test]
fn p23_a_server_that_is_gone_does_not_hold_up_the_end() {
    let (_, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.servers.clear();
    lab.close();
    lab.run(Duration::from_millis(3_100));
    assert!(lab.gatherer.is_closed() && lab.sockets.is_empty());
}

#[test]
fn p23_a_gone_interface_or_component_gives_its_allocations_back() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
    assert_eq!(state.borrow().allocations.len(), 4);
    lab.interfaces(&["10.0.1.8"]);
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (2, 4));
    lab.gatherer.remove_component(lab.now, STREAM, RTCP.1);
    lab.drain();
    lab.run(SECOND * 4);
    assert_eq!((state.borrow().allocations.len(), lab.sockets.len()), (1, 2));
    let gone = lab.events.iter().filter(|(_, event)| matches!(event, Event::BaseGone { .. })).count();
    assert_eq!(gone, 4 + 2, "hosts and relays");
}

#[test]
fn permissions_go_through_the_slots_and_their_events_through_ours() {
    let (_, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    let base = lab.found()[2].2;
    let peer = at("192.0.2.99:0").ip();
    assert!(!lab.gatherer.wants_slot());
    lab.gatherer.relay_mut(base).expect("it is there").client.permit(lab.now, peer);
    assert!(lab.gatherer.wants_slot());
    lab.run(SECOND);
    let granted = lab.events.iter().any(|(_, event)| {
        matches!(event, Event::Turn(from, TurnEvent::PermissionGranted(ip)) if *from == base && *ip == peer)
    });
    assert!(granted);
}

#[test]
fn a_lost_allocation_takes_its_candidate_along() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    let base = lab.found()[2].2;
    state.borrow_mut().allocations.clear();
    lab.servers.clear();
    lab.run(SECOND * 700);
    let lost = lab
        .events
        .iter()
        .position(|(_, event)| matches!(event, Event::Turn(from, TurnEvent::Lost(_)) if *from == base));
    let gone = lab
        .events
        .iter()
        .position(|(_, event)| matches!(event, Event::BaseGone { base: from } if *from == base));
    assert!(lost.is_some() && lost < gone);
    assert!(lab.gatherer.relay(base).is_none());
    assert_eq!(lab.sockets.len(), 1);
    assert!(lab.gatherer.candidates().all(|(.., from)| from != base));
}

#[test]
fn p23_what_is_not_used_is_given_back_and_the_rest_stays() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start_for(&["10.0.0.7", "10.0.1.8"], &[RTP, RTCP]).run(SECOND);
    assert_eq!(state.borrow().allocations.len(), 4);
    lab.gatherer.conclude(lab.now);
    let kept = lab.found().iter().find(|(_, found, _)| found.kind == CandidateType::Relayed).expect("one").2;
    lab.gatherer.release_unused(lab.now, |relay| relay.base == kept);
    lab.drain();
    lab.run(SECOND);
    assert_eq!(state.borrow().allocations.len(), 1);
    assert_eq!(lab.sockets.len(), 4 + 1, "those of the hosts, and one");
    assert_eq!(
        lab.gatherer.candidates().filter(|(_, found, _)| found.kind == CandidateType::Relayed).count(),
        1
    );
    let gone = lab.events.iter().filter(|(_, event)| matches!(event, Event::BaseGone { .. })).count();
    assert_eq!(gone, 3);
    // It is kept alive, and no other comes back.
    lab.interfaces(&["10.0.0.7", "10.0.1.8", "10.0.2.9"]);
    lab.run(SECOND * 1_200);
    assert_eq!(state.borrow().allocations.len(), 1);
    assert!(lab.gatherer.relay(kept).is_some());
}

/// Each of the sixteen was due for something while the host slept.
#[test]
fn t40_allocations_wake_up_one_after_the_other() {
    for sleep in [100, 400, 28_800] {
        let (_, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
        let ips: Vec<_> = (1..=8).map(|i| format!("10.0.{i}.7")).collect();
        let ips: Vec<&str> = ips.iter().map(|ip| &**ip).collect();
        lab.start_for(&ips, &[RTP, RTCP]).run(SECOND);
        let bases: Vec<_> = lab.found().iter().map(|(.., base)| *base).collect();
        for base in bases {
            if let Some(relay) = lab.gatherer.relay_mut(base) {
                relay.client.permit(lab.now, [192, 0, 2, 5].into());
            }
        }
        lab.run(SECOND * 200);
        let before = lab.sent.len();
        lab.now = lab.now.after(SECOND * sleep);
        lab.run(SECOND);
        let sent = &lab.sent[before..];
        assert!(sent.len() >= 16, "{} after {sleep} s", sent.len());
        let at_once = sent.iter().map(|one| sent.iter().filter(|other| other.at == one.at).count()).max();
        // What one has under way is sent again, and it and its permission are renewed.
        assert!(at_once <= Some(3), "{at_once:?} at one instant after {sleep} s");
        // Allocations that are asked for anew have the slots of the pacer.
        for slots in [false, true] {
            let of_it: Vec<_> = sent.iter().filter(|sent| (sent.bytes[..2] == [0, 3]) == slots).collect();
            let paced = |two: &[&Sent]| two[0].at < two[1].at || two[0].from == two[1].from;
            assert!(of_it.windows(2).all(paced), "{sleep} s");
        }
    }
}

/// RFC 8445 §5.1.1.4: also the mapping of a NAT before the server, which is forgotten long before the allocation ends.
#[test]
fn ice_06_until_ice_has_concluded_an_allocation_is_refreshed_as_often_as_a_mapping() {
    let (_, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    let refreshes = |lab: &Lab| {
        let sent = lab.sent.iter().filter(|sent| sent.bytes[..2] == [0, 4]);
        sent.map(|sent| sent.at).collect::<Vec<_>>()
    };
    lab.run(SECOND * 600);
    let times = refreshes(&lab);
    assert!(times.len() >= 39 && times.windows(2).all(|two| two[1] - two[0] <= 15_100), "{times:?}");
    lab.gatherer.conclude(lab.now);
    lab.run(SECOND * 20);
    let last = refreshes(&lab).len();
    assert!(last <= times.len() + 1);
    lab.run(SECOND * 350);
    assert_eq!(refreshes(&lab).len(), last, "two thirds of its lifetime");
}

#[test]
fn stop_refreshing_does_not_stop_allocations() {
    let (state, mut lab) = with_turn(config(&["turn:198.51.100.2"]));
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.gatherer.stop_refreshing();
    let before = lab.sent.len();
    lab.run(SECOND * 1_200);
    assert!(lab.sent.len() > before && !state.borrow().allocations.is_empty());
    assert!(lab.sent[before..].iter().all(|sent| sent.bytes[..2] == [0, 4]), "only Refresh");
    assert_eq!(lab.now, Instant::from_millis(1_000 + 1_201_000));
    assert_eq!(lab.events.iter().filter(|(_, event)| matches!(event, Event::BaseGone { .. })).count(), 0);
    assert_eq!(lab.failures(), vec![]);
}

/// RFC 4007 §6: the server's address is on the link of the interface, and only that has a number for it.
#[test]
fn ice_02_a_server_with_a_link_local_address_is_heard() {
    let urls = ["stun:[fe80::1]", "turn:[fe80::2]", "turn:[fe80::3]"];
    let (_, second) = turn("[2001:db8:6::2]:0");
    let (redirecting, third) = turn("[2001:db8:6::1]:0");
    redirecting.borrow_mut().redirect = Some("[fe80::2]:3478".parse().expect("a literal"));
    let mut lab = Lab::new(Config { link_local: true, ..config(&urls) })
        .server("[fe80::1%2]:3478", stun())
        .server("[fe80::2%2]:3478", second)
        .server("[fe80::3%2]:3478", third);
    lab.start(&["fe80::7"]).run(SECOND);
    let given: Vec<_> =
        lab.gatherer.servers().map(|server| (server.mapped.is_some(), server.relayed.is_some())).collect();
    assert_eq!(given, [(true, false), (true, true), (true, true)]);
    assert_eq!((lab.failures(), lab.completed_at().len()), (vec![], 1));
    assert!(lab.of(CandidateType::ServerReflexive).is_empty(), "it is the host's");
}
