use core::time::Duration;

use alloc::{format, vec, vec::Vec};
use floe_pair::{Candidate, CandidateType, Place, SocketId};
use floe_stun::{
    Class, Message, MessageWriter, Method, TransactionId,
    attribute::{ErrorCode, XorMappedAddress},
};

use super::lab::{Lab, RTCP, RTP, at, boxed, config};
use super::script::{Reply, old_stun, silent, stun, stun_error, stun_saying};
use crate::{Config, Event, Request, RequestFailure, ServerError};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: &str = "198.51.100.1:3478";

fn with(script: super::script::Script) -> Lab {
    Lab::new(config(&["stun:198.51.100.1"])).behind_nat().server(SERVER, script)
}

#[test]
fn the_mapped_address_is_a_candidate_with_its_host_as_base() {
    let mut lab = with(stun());
    lab.start(&["10.0.0.7"]).run(SECOND);
    let found = lab.found();
    let [(_, host, base), (when, mapped, mapped_base)] = &found[..] else { panic!("two candidates") };
    assert_eq!((mapped.kind, mapped.address), (CandidateType::ServerReflexive, at("203.0.113.7:50001")));
    assert_eq!((mapped.related, mapped_base), (Some(host.address), base));
    assert_eq!((*when, lab.completed_at()), (20, vec![20]));
    assert_eq!(lab.sent.len(), 1);
    assert_eq!(lab.sent[0].bytes.len(), 20, "no attribute that an old server might not know");
}

#[test]
fn ice_02_servers_of_rfc_3489_work_and_alternate_server_is_ignored() {
    let mut lab = with(old_stun("198.51.100.99:3478"));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
    assert_eq!(lab.sent_to("198.51.100.99:3478"), 0);
    // Neither does an error response with an alternate lead anywhere.
    let mut lab = with(boxed(|request, _| {
        Reply::error(request, 300)
            .with(&floe_stun::attribute::AlternateServer(at("198.51.100.99:3478").socket_addr()))
            .plain()
    }));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.failures(), [(0, ServerError::Refused(300))]);
    assert_eq!(lab.sent.len(), 1);
}

#[test]
fn ice_08_what_has_the_address_and_base_of_another_is_redundant() {
    // Without a NAT the mapped address is the host candidate's.
    let mut lab = Lab::new(config(&["stun:198.51.100.1"])).server(SERVER, stun());
    lab.start(&["192.0.2.7"]).run(SECOND);
    assert_eq!(lab.found().len(), 1);
    assert_eq!((lab.failures(), lab.completed_at()), (vec![], vec![20]));
    // A second server that sees the same mapping adds nothing; another base is another candidate.
    let mut lab = Lab::new(config(&["stun:198.51.100.1", "stun:198.51.100.2"]))
        .server(SERVER, stun_saying("203.0.113.9:9"))
        .server("198.51.100.2:3478", stun_saying("203.0.113.9:9"));
    lab.start(&["10.0.0.7", "10.0.1.8"]).run(SECOND);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 2);
}

#[test]
fn a_lost_request_is_sent_again_on_the_schedule_of_the_rfc() {
    let mut lab = with(silent());
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    let times: Vec<_> = lab.sent.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert!(lab.sent.windows(2).all(|two| two[0].bytes == two[1].bytes), "byte for byte");
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![5_000], vec![39_500]));
    assert_eq!(lab.failures(), [(0, ServerError::NotInTime)], "said once");
    assert_eq!(lab.gatherer.poll_timeout(), None);
}

/// RFC 8445 §14.3: RTO = max(500 ms, Ta × candidates asked for), 2 s at most.
#[test]
fn ice_42_the_rto_grows_with_what_is_still_asked_for() {
    let with = |count: u8| {
        let ips: Vec<_> = (1..=count).map(|last| format!("10.0.{last}.7")).collect();
        let mut lab = Lab::new(Config { ta: SECOND / 2, ..config(&["stun:198.51.100.1"]) }).behind_nat();
        lab.interfaces(&ips.iter().map(|ip| &**ip).collect::<Vec<_>>());
        lab.gatherer.start(lab.now, &[RTP]);
        lab.drain();
        (lab, ips)
    };
    let second_at = |lab: &Lab| {
        let mut times = lab.sent.iter().filter(|sent| sent.from == lab.sent[0].from).map(|sent| sent.at);
        times.nth(1).map(|second| second - lab.sent[0].at)
    };
    for (count, rto) in [(1, 500), (2, 1_000), (3, 1_500), (4, 2_000), (40, 2_000)] {
        let (mut lab, _) = with(count);
        lab.run(SECOND * 30);
        assert_eq!(second_at(&lab), Some(rto), "{count}");
    }
    // What was answered is not asked for any more.
    let (lab, mut ips) = with(10);
    let mut lab = lab.server(SERVER, stun());
    lab.run(SECOND);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 10);
    lab.servers.insert(at(SERVER), silent());
    lab.sent.clear();
    ips.extend(["10.0.11.7".into(), "10.0.12.7".into(), "10.0.13.7".into()]);
    lab.interfaces(&ips.iter().map(|ip| &**ip).collect::<Vec<_>>());
    lab.run(SECOND * 2);
    assert_eq!(second_at(&lab), Some(1_500));
    // Neither is what is kept alive: its requests have the RTO of RFC 8489 §6.2.1.
    lab.sent.clear();
    lab.run(SECOND * 14);
    let kept =
        lab.sent.iter().find(|sent| sent.from.ip() == at("10.0.1.7:0").ip()).expect("a keepalive").from;
    let times: Vec<_> = lab.sent.iter().filter(|sent| sent.from == kept).map(|sent| sent.at).collect();
    assert_eq!(times[1] - times[0], 500, "{times:?}");
}

/// A server that answers the fifth request only.
fn slow() -> super::script::Script {
    let mut asked = 0;
    let mut good = stun();
    boxed(move |request, source| {
        asked += 1;
        if asked < 5 { vec![] } else { good(request, source) }
    })
}

#[test]
fn p02_p04_a_late_candidate_comes_before_the_end_of_gathering() {
    let mut lab = with(slow());
    lab.start(&["10.0.0.7"]).run(SECOND * 10);
    let [_, (when, mapped, _)] = &lab.found()[..] else { panic!("two candidates") };
    assert_eq!((*when, mapped.kind), (7_520, CandidateType::ServerReflexive));
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![5_000], vec![7_520]));
    assert!(matches!(lab.events.last(), Some((_, Event::Complete))), "after the last candidate");
    assert_eq!(lab.failures(), [(0, ServerError::NotInTime)]);
}

#[test]
fn p02_where_nothing_is_signalled_late_gathering_ends_at_the_deadline() {
    let deadline = SECOND * 3;
    let config = crate::Config { deadline, patience: deadline, ..config(&["stun:198.51.100.1"]) };
    let mut lab = Lab::new(config).behind_nat().server(SERVER, slow());
    lab.start(&["10.0.0.7"]).run(SECOND * 10);
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![], vec![3_000]), "said once");
    assert_eq!(lab.found().last().map(|(when, ..)| *when), Some(7_520), "and a late answer still counts");
}

#[test]
fn t40_a_sleep_over_both_deadlines_ends_gathering_once() {
    let mut lab = with(silent());
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.now = lab.now.after(SECOND * 3_600);
    lab.run(SECOND);
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![], vec![3_601_000]));
}

/// RFC 8838 §13: after the nomination nothing is looked for any more.
#[test]
fn p04_what_is_asked_in_vain_ends_with_ice() {
    let mut lab = Lab::new(config(&["stun:198.51.100.1", "turn:198.51.100.2", "stun:stun.example.org"]))
        .behind_nat()
        .server("198.51.100.1:3478", slow())
        .server("198.51.100.2:3478", silent());
    lab.start(&["10.0.0.7"]).run(SECOND);
    lab.gatherer.conclude(lab.now);
    lab.drain();
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![], vec![1_000]));
    let sent = lab.sent_to("198.51.100.1:3478");
    lab.names.insert("stun.example.org", Ok(vec!["198.51.100.1".parse().expect("a literal")]));
    lab.interfaces(&["10.0.0.7", "10.0.1.8"]);
    lab.run(SECOND * 60);
    assert_eq!(lab.sent_to("198.51.100.1:3478"), sent, "nothing is asked any more");
    assert_eq!(lab.failures(), vec![], "no server is to blame");
    let hosts = (lab.found().len(), lab.of(CandidateType::Host).len(), lab.sockets.len());
    assert_eq!(hosts, (2, 2, 2), "of a new address no more than the host candidate is found");
    assert_eq!(lab.gatherer.poll_timeout(), None);
    // A component that is added is gathered for.
    lab.gatherer.start(lab.now, &[RTP, RTCP]);
    lab.drain();
    lab.run(SECOND * 60);
    let of_rtcp = |candidate: &&Candidate| candidate.component == RTCP.1;
    assert_eq!(lab.of(CandidateType::ServerReflexive).iter().filter(of_rtcp).count(), 2);
    assert_eq!(lab.completed_at().len(), 2);
}

/// A host that slept does what is due once and one after the other.
#[test]
fn t40_servers_asked_again_after_a_sleep_get_no_burst() {
    let urls: Vec<_> = (1..=4).map(|i| format!("stun:198.51.100.{i}")).collect();
    let urls: Vec<&str> = urls.iter().map(|url| &**url).collect();
    let ips: Vec<_> = (1..=8).map(|i| format!("10.0.{i}.7")).collect();
    let ips: Vec<&str> = ips.iter().map(|ip| &**ip).collect();
    for (sleep, answers) in
        [(1, false), (600, false), (28_800_000, false), (14_000, true), (28_800_000, true)]
    {
        let mut lab = Lab::new(config(&urls)).behind_nat();
        for i in (1..=4).filter(|_| answers) {
            // Each sees another mapping, so that each has one to keep alive.
            let address = format!("198.51.100.{i}:3478");
            lab = lab.server(
                &address,
                boxed(move |request, source| {
                    let seen = source.with_port(source.port() + 100 * i);
                    Reply::new(request, Class::Success).with(&XorMappedAddress(seen.socket_addr())).plain()
                }),
            );
        }
        lab.start(&ips).run(Duration::from_millis(700));
        assert!(lab.sent.len() >= 32);
        lab.gatherer.set_ta(Duration::from_millis(20));
        let (before, woken) = (lab.sent.len(), lab.elapsed() + sleep);
        lab.now = lab.now.after(Duration::from_millis(sleep));
        lab.run(SECOND * 2);
        let times: Vec<_> = lab.sent[before..].iter().map(|sent| sent.at).collect();
        assert!(times.len() >= 32, "each is asked again: {} after {sleep} ms", times.len());
        assert!(times[0] >= woken);
        let least = times.windows(2).map(|two| two[1] - two[0]).min();
        assert!(least >= Some(20), "{least:?} ms between two after {sleep} ms");
    }
}

#[test]
fn stn_08_a_server_error_is_answered_by_at_most_four_requests() {
    let mut lab = with(stun_error(500));
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    assert_eq!((lab.sent.len(), lab.failures()), (4, vec![(0, ServerError::Refused(500))]));
    let ids: Vec<_> = lab.sent.iter().map(|sent| &sent.bytes[8..20]).collect();
    assert!(ids.windows(2).all(|two| two[0] != two[1]), "each a transaction of its own");
    let mut lab = with(stun_error(400));
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    assert_eq!((lab.sent.len(), lab.failures()), (1, vec![(0, ServerError::Refused(400))]));
}

#[test]
fn t28_a_lying_mapped_address_makes_no_candidate() {
    for lie in [
        "0.0.0.0:9",
        "224.1.2.3:9",
        "255.255.255.255:9",
        "127.0.0.1:9",
        "127.9.9.9:9",
        "198.51.100.7:0",
        "[2001:db8::9]:9",
    ] {
        let mut lab = with(stun_saying(lie));
        lab.start(&["10.0.0.7"]).run(SECOND);
        assert!(lab.of(CandidateType::ServerReflexive).is_empty(), "{lie}");
        assert_eq!(lab.failures(), [(0, ServerError::BadMappedAddress(at(lie)))]);
        assert_eq!(lab.completed_at().len(), 1);
    }
    for lie in ["[::]:9", "[ff02::1]:9", "[::1]:9", "[fe80::1]:9", "198.51.100.9:9"] {
        let mut lab =
            Lab::new(config(&["stun:[2001:db8::1]"])).server("[2001:db8::1]:3478", stun_saying(lie));
        lab.start(&["2001:db8:7::7"]).run(SECOND);
        assert!(lab.of(CandidateType::ServerReflexive).is_empty(), "{lie}");
    }
}

#[test]
fn t28_a_loopback_mapped_address_counts_where_loopback_is_wanted() {
    let mut lab = Lab::new(Config { loopback: true, ..config(&["stun:127.0.0.1"]) })
        .server("127.0.0.1:3478", stun_saying("127.0.0.1:4444"));
    lab.start(&["127.0.0.1", "10.0.0.7"]).run(SECOND);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
    assert!(lab.sent.iter().all(|sent| sent.from.is_loopback()), "no other address reaches it");
}

#[test]
fn responses_must_match_in_id_source_place_and_method() {
    let mut lab = with(silent());
    lab.start(&["10.0.0.7"]).run(Duration::from_millis(100));
    let sent = lab.sent[0].clone();
    let place = Place { socket: SocketId(1), local_ip: sent.from.ip() };
    let id = Message::parse(&sent.bytes).expect("ours").transaction_id();
    let answer = |class, method, id, mapped: &str| {
        let mut buffer = [0; 128];
        let mut writer = MessageWriter::new(&mut buffer, class, method, id).expect("room");
        writer.put(&XorMappedAddress(at(mapped).socket_addr())).expect("room");
        let len = writer.finish();
        buffer[..len].to_vec()
    };
    let good = answer(Class::Success, Method::BINDING, id, "203.0.113.1:1");
    let elsewhere = Place { socket: SocketId(9), ..place };
    assert!(!lab.deliver(place, at("198.51.100.66:3478"), &good), "another source");
    assert!(!lab.deliver(elsewhere, at(SERVER), &good), "another socket");
    let other_id = answer(Class::Success, Method::BINDING, TransactionId([0; 12]), "203.0.113.1:1");
    assert!(!lab.deliver(place, at(SERVER), &other_id));
    assert!(!lab.deliver(place, at(SERVER), &answer(Class::Success, Method::ALLOCATE, id, "203.0.113.1:1")));
    assert!(!lab.deliver(place, at(SERVER), &answer(Class::Request, Method::BINDING, id, "203.0.113.1:1")));
    assert!(!lab.deliver(
        place,
        at(SERVER),
        &answer(Class::Indication, Method::BINDING, id, "203.0.113.1:1")
    ));
    lab.drain();
    assert!(lab.of(CandidateType::ServerReflexive).is_empty());
    assert!(lab.deliver(place, at(SERVER), &good));
    assert!(!lab.deliver(place, at(SERVER), &good), "only once");
    lab.drain();
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
}

#[test]
fn stn_06_an_unknown_required_attribute_ends_the_transaction() {
    let mut lab = with(boxed(|request, source| {
        Reply::new(request, Class::Success)
            .with(&XorMappedAddress(source.socket_addr()))
            .raw(0x7f01, &[1, 2, 3, 4])
            .plain()
    }));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!((lab.found().len(), lab.failures()), (1, vec![(0, ServerError::BadResponse)]));
    let mut lab = with(boxed(|request, _| Reply::new(request, Class::Success).plain()));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.failures(), [(0, ServerError::NoMappedAddress)]);
    let mut lab = with(boxed(|request, _| Reply::new(request, Class::Error).plain()));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.failures(), [(0, ServerError::BadResponse)]);
}

#[test]
fn a_wrong_fingerprint_is_as_if_nothing_had_come() {
    let mut lab = with(boxed(|request, source| {
        let mut answer =
            Reply::new(request, Class::Success).with(&XorMappedAddress(source.socket_addr())).plain();
        // A FINGERPRINT attribute with a value of zero.
        answer[0].extend([0x80, 0x28, 0, 4, 0, 0, 0, 0]);
        answer[0][3] += 8;
        answer
    }));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!((lab.found().len(), lab.failures().len()), (1, 0));
    assert_eq!(lab.sent.len(), 2, "the request goes on");
}

#[test]
fn ice_06_server_reflexive_candidates_are_kept_alive_until_told_to_stop() {
    let mut lab = with(stun());
    lab.start(&["10.0.0.7"]).run(SECOND * 50);
    let times: Vec<_> = lab.sent.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 15_020, 30_040, 45_060]);
    assert_eq!(lab.found().len(), 2, "nothing new comes of it");
    lab.gatherer.stop_refreshing();
    lab.run(SECOND * 60);
    assert_eq!(lab.sent.len(), 4);
    assert_eq!(lab.gatherer.poll_timeout(), None);
}

#[test]
fn ice_06_a_mapping_that_changed_is_a_new_candidate() {
    let mut asked = 0;
    let mut lab = with(boxed(move |request, _| {
        asked += 1;
        let mapped = at("203.0.113.7:1000").with_port(1_000 + asked);
        Reply::new(request, Class::Success).with(&XorMappedAddress(mapped.socket_addr())).plain()
    }));
    lab.start(&["10.0.0.7"]).run(SECOND * 40);
    let mapped = lab.of(CandidateType::ServerReflexive);
    let ports: Vec<_> = mapped.iter().map(|candidate| candidate.address.port()).collect();
    assert_eq!(ports, [1_001, 1_002, 1_003]);
    assert_ne!(mapped[0].priority, mapped[1].priority);
    assert_eq!(lab.gatherer.candidates().count(), 2, "what is dead is no longer listed");
    // A server that invents mappings for ever does not fill any table.
    lab.run(SECOND * 16 * 1_000);
    assert_eq!(lab.gatherer.candidates().count(), 2);
}

#[test]
fn an_error_to_a_keepalive_takes_nothing_away() {
    let mut asked = 0;
    let mut good = stun();
    let mut lab = with(boxed(move |request, source| {
        asked += 1;
        match asked {
            1 => good(request, source),
            2 => Reply::new(request, Class::Error).with(&ErrorCode::new(500, "no")).plain(),
            _ => vec![],
        }
    }));
    lab.start(&["10.0.0.7"]).run(SECOND * 120);
    assert_eq!((lab.gatherer.candidates().count(), lab.failures().len()), (2, 0));
    assert!(lab.sent.iter().any(|sent| sent.at > 80_000), "it is tried for as long as it is wanted");
}

#[test]
fn p02_dead_servers_cost_a_live_one_a_slot_each() {
    let alone = |dead: usize| {
        let urls: Vec<_> = (0..dead)
            .map(|i| format!("stun:198.51.100.{}", 100 + i))
            .chain(["stun:198.51.100.1".into()])
            .collect();
        let urls: Vec<&str> = urls.iter().map(|url| &**url).collect();
        let mut lab = Lab::new(config(&urls)).behind_nat().server(SERVER, stun());
        lab.start(&["10.0.0.7"]).run(SECOND * 6);
        let found = lab.found();
        let first = found.iter().find(|(_, candidate, _)| candidate.kind == CandidateType::ServerReflexive);
        (first.expect("the live server answers").0, lab.completed_at())
    };
    let (quick, complete) = alone(0);
    assert_eq!((quick, complete), (20, vec![20]));
    let (slow, complete) = alone(10);
    assert!(slow <= quick + 10 * 5, "{slow}");
    assert_eq!(complete, []);
}

#[test]
fn p02_a_dead_interface_and_a_dead_family_hold_up_nobody() {
    let mut good = stun();
    let mut lab = Lab::new(config(&["stun:stun.example.org"]))
        .server(
            SERVER,
            boxed(move |request, source| {
                // Nothing that comes from the first interface arrives.
                if source.ip() == at("203.0.113.7:0").ip() { vec![] } else { good(request, source) }
            }),
        )
        .behind_nat();
    lab.names.insert(
        "stun.example.org",
        Ok(vec!["2001:db8:5::1".parse().expect("a literal"), "198.51.100.1".parse().expect("a literal")]),
    );
    lab.start(&["10.0.0.7", "10.0.1.8", "2001:db8::7"]).run(SECOND * 6);
    let found = lab.found();
    let (when, mapped, _) = found
        .iter()
        .find(|(_, candidate, _)| candidate.kind == CandidateType::ServerReflexive)
        .expect("one works");
    assert_eq!(mapped.address.ip(), at("203.0.113.8:0").ip());
    assert!(*when <= 20 + 3 * 5);
    assert_eq!(lab.late_at(), [5_000]);
    let unanswered = lab.events.iter().filter_map(|(_, event)| match event {
        Event::ServerFailed { local, address, error: ServerError::NotInTime, .. } => {
            Some((local.expect("from there"), address.expect("to there")))
        }
        _ => None,
    });
    assert_eq!(
        unanswered.collect::<Vec<_>>(),
        [(at("10.0.0.7:0").ip(), at(SERVER)), (at("[2001:db8::7]:0").ip(), at("[2001:db8:5::1]:3478")),]
    );
}

#[test]
fn p02_the_next_address_of_a_name_does_not_wait_for_the_first_to_fail() {
    let mut lab = Lab::new(config(&["stun:stun.example.org"])).behind_nat().server(SERVER, stun());
    let ips = ["198.51.100.50", "198.51.100.1", "198.51.100.51"].map(|ip| ip.parse().expect("a literal"));
    lab.names.insert("stun.example.org", Ok(ips.to_vec()));
    lab.start(&["10.0.0.7"]).run(SECOND);
    let [_, (when, ..)] = &lab.found()[..] else { panic!("two candidates") };
    assert_eq!((*when, lab.completed_at()), (270, vec![270]));
    assert_eq!(
        (lab.sent_to("198.51.100.50:3478"), lab.sent_to("198.51.100.51:3478")),
        (1, 0),
        "nothing after that"
    );
    // One that refuses makes way at once.
    let mut lab = Lab::new(config(&["stun:stun.example.org"]))
        .behind_nat()
        .server(SERVER, stun())
        .server("198.51.100.50:3478", stun_error(400));
    lab.names.insert("stun.example.org", Ok(ips.to_vec()));
    lab.start(&["10.0.0.7"]).run(SECOND);
    assert_eq!(lab.completed_at(), [40]);
    assert_eq!(lab.failures(), [(0, ServerError::Refused(400))]);
}

#[test]
fn t32_a_resolver_that_is_slow_fails_or_floods_holds_up_nobody() {
    let mut lab = Lab::new(config(&[
        "stun:slow.example.org",
        "stun:bad.example.org",
        "stun:many.example.org",
        "stun:198.51.100.1",
    ]))
    .behind_nat()
    .server(SERVER, stun());
    lab.names.insert("bad.example.org", Err(RequestFailure::NotFound));
    lab.names.insert(
        "many.example.org",
        Ok((0..1_000_u32).map(|i| core::net::Ipv4Addr::from(0xc633_6500 + i).into()).collect()),
    );
    lab.start(&["10.0.0.7"]).run(SECOND * 60);
    assert_eq!(lab.of(CandidateType::ServerReflexive).len(), 1);
    assert_eq!((lab.late_at(), lab.completed_at()), (vec![5_000], vec![39_500]));
    let mut asked: Vec<_> = lab.sent.iter().map(|sent| sent.to).collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 1 + crate::MAX_SERVER_ADDRESSES);
    let resolves = lab.requests.iter().filter(|request| matches!(request, Request::Resolve { .. })).count();
    assert_eq!(resolves, 3, "each name once");
    assert!(lab.failures().contains(&(1, ServerError::Resolve(RequestFailure::NotFound))));
    assert!(lab.failures().contains(&(0, ServerError::NotInTime)));
}

#[test]
fn servers_that_cannot_be_asked_are_reported() {
    let urls = [
        "stuns:198.51.100.1",
        "turn:198.51.100.2?transport=tcp",
        "stun:0.0.0.0",
        "stun:127.0.0.1",
        "stun:[2001:db8::1]",
    ];
    let mut lab = Lab::new(config(&urls));
    lab.start(&["10.0.0.7"]);
    assert_eq!(
        lab.failures(),
        [
            (0, ServerError::UnsupportedTransport),
            (1, ServerError::UnsupportedTransport),
            (2, ServerError::NoUsableAddress),
            (3, ServerError::NoUsableAddress),
            (4, ServerError::NoUsableAddress),
        ]
    );
    assert!(lab.sent.is_empty());
    assert_eq!(lab.completed_at(), [0]);
}
