//! Of each scripted breakage the first verdict names the cause.

use core::time::Duration;
use std::net::SocketAddr;

use floe_agent::{
    Agent, AgentConfig, Answer, Ecn, Event, Interface, InterfaceFlags, Pacer, Policy, Received, Report,
    Request, RequestFailure, State, TransmitKind, Verdict, report::Side,
};
use floe_pair::{CandidateLine, IceOptions, Parameters, Role, SocketId};
use floe_stun::{
    Algorithm, Class, Instant, IntegrityKey, Message, MessageWriter, Method,
    attribute::{ErrorCode, Nonce, Realm, UseCandidate, Username, XorMappedAddress},
};

use crate::{
    restart::restart,
    world::{COMPONENT, STREAM, World, asking, ms},
};

const LOCAL: &str = "198.51.100.1";
const REMOTE: &str = "203.0.113.7:7000";
const PASSWORD: &str = "peer0password0123456789ab";
/// Longer than the 39.5 s in which nothing fails (RFC 8863 §4).
const LONG: Duration = Duration::from_secs(90);

/// One agent, and whoever answers it.
struct Bench {
    agent: Agent,
    pacer: Pacer,
    now: Instant,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
}

impl Bench {
    fn new(config: AgentConfig, interfaces: &[Interface]) -> Self {
        let now = Instant::from_millis(1_000);
        let agent = Agent::new(config).unwrap();
        let mut bench = Self { agent, pacer: Pacer::new(), now, sent: vec![], events: vec![] };
        bench.agent.handle_interfaces(now, interfaces);
        bench.agent.gather(now);
        bench.drain();
        bench
    }

    fn with_role(role: Role) -> Self {
        Self::new(World::config(role, 1), &[interface(LOCAL, InterfaceFlags::UP)])
    }

    /// The peer's parameters and candidates, all of them.
    fn introduce(&mut self, candidates: &[&str]) {
        let parameters = Parameters {
            ufrag: "peerfrag".parse().unwrap(),
            pwd: PASSWORD.parse().unwrap(),
            lite: false,
            options: IceOptions::ice2(),
            pacing: None,
        };
        self.agent.set_remote_parameters(self.now, parameters).unwrap();
        for (index, to) in candidates.iter().enumerate() {
            let to: SocketAddr = to.parse().unwrap();
            let line = format!(
                "candidate:{index} 1 udp {} {} {} typ host",
                2_130_706_431 - index,
                to.ip(),
                to.port()
            );
            let line: CandidateLine = line.parse().unwrap();
            let _ = self.agent.add_remote_candidate(self.now, STREAM, &line).unwrap();
        }
        self.agent.remote_gathering_complete(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            if let Some(transmit) = self.agent.poll_transmit(&mut buffer) {
                self.sent.push((transmit.to.socket_addr(), buffer[..transmit.len].to_vec()));
            } else if let Some(request) = self.agent.poll_request() {
                self.serve(&request);
            } else if let Some(event) = self.agent.poll_event() {
                self.events.push(event);
            } else {
                return;
            }
        }
    }

    fn serve(&mut self, request: &Request) {
        let Some(id) = request.id() else { return };
        let answer = match request {
            Request::BindUdp { id, local, .. } => {
                let port = 5_000 + u16::try_from(id.0).unwrap();
                Answer::Bound { socket: SocketId(u32::from(port)), local: local.with_port(port) }
            }
            _ => Answer::Failed(RequestFailure::NotFound),
        };
        self.agent.handle_answer(self.now, id, answer);
    }

    /// Lets time pass; `answer` says what comes back for a request, to the socket it left from.
    fn run(&mut self, time: Duration, answer: impl Fn(SocketAddr, &Message<'_>) -> Option<Vec<u8>>) {
        let until = self.now.after(time);
        loop {
            for (from, bytes) in core::mem::take(&mut self.sent) {
                let message = Message::parse(&bytes).unwrap();
                let Some(mut reply) = answer(from, &message).filter(|_| message.class() == Class::Request)
                else {
                    continue;
                };
                // Sockets other than the right one do not take it.
                for socket in 5_000..5_010 {
                    let received = Received {
                        socket: SocketId(socket),
                        local_ip: LOCAL.parse().unwrap(),
                        source: from.into(),
                        ecn: Ecn::NotCapable,
                        payload: &mut reply,
                    };
                    let _ = self.agent.handle_datagram(self.now, received);
                }
                self.drain();
            }
            if !self.sent.is_empty() {
                continue;
            }
            let Some(next) = self.agent.poll_timeout().filter(|next| *next <= until) else { break };
            self.now = next.max(self.now);
            self.agent.handle_timeout(self.now, &mut self.pacer);
            self.drain();
        }
        self.now = until;
    }

    #[track_caller]
    fn first(&self) -> Verdict {
        let report = self.agent.report();
        assert!(!report.to_string().is_empty());
        report.verdicts().into_iter().next().expect("a verdict")
    }
}

fn interface(ip: &str, flags: InterfaceFlags) -> Interface {
    Interface { name: "eth0".into(), index: 1, ip: ip.parse().unwrap(), prefix_len: 24, flags }
}

fn silence(_: SocketAddr, _: &Message<'_>) -> Option<Vec<u8>> {
    None
}

/// An answer: success or an error code, signed or not.
fn answer(to: &Message<'_>, error: Option<u16>, password: Option<&str>) -> Vec<u8> {
    let mut buffer = vec![0; 256];
    let class = if error.is_some() { Class::Error } else { Class::Success };
    let mut writer = MessageWriter::new(&mut buffer, class, to.method(), to.transaction_id()).unwrap();
    match error {
        Some(code) => writer.put(&ErrorCode::new(code, "")).unwrap(),
        None => writer.put(&XorMappedAddress(format!("{LOCAL}:5000").parse().unwrap())).unwrap(),
    }
    let len = match password {
        Some(password) => {
            let key = IntegrityKey::new(password.as_bytes());
            writer.sign(&key, Algorithm::Sha1).unwrap().fingerprint().unwrap()
        }
        None => writer.fingerprint().unwrap(),
    };
    buffer.truncate(len);
    buffer
}

#[test]
fn p38_a_peer_that_is_silent() {
    let mut bench = Bench::with_role(Role::Controlling);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, silence);
    assert_eq!(bench.agent.state(), State::Failed);
    let verdicts = bench.agent.report().verdicts();
    assert_eq!(verdicts, [Verdict::PeerNeverAnswered { checks: 7, requests: 0 }, Verdict::NoPeerRequest]);
    let failed: Vec<_> = bench
        .events
        .iter()
        .filter_map(|event| if let Event::Failed(report) = event { Some(report) } else { None })
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].verdicts(), verdicts);
    assert!(size_of::<Event>() <= 256, "{}", size_of::<Event>());
}

#[test]
fn p38_a_peer_that_answers_and_asks_nothing() {
    let mut bench = Bench::with_role(Role::Controlled);
    bench.introduce(&[REMOTE]);
    bench.run(ms(5_000), |_, request| Some(answer(request, None, Some(PASSWORD))));
    assert_eq!(bench.agent.state(), State::Connected);
    assert_eq!(bench.agent.report().verdicts(), [Verdict::NoPeerRequest, Verdict::NotNominated]);
}

#[test]
fn p38_a_peer_without_candidates() {
    let mut bench = Bench::with_role(Role::Controlling);
    assert_eq!(bench.first(), Verdict::NoRemoteParameters);
    bench.introduce(&[]);
    bench.run(LONG, silence);
    assert_eq!(bench.agent.state(), State::Failed);
    assert_eq!(bench.first(), Verdict::NoRemoteCandidates { ignored: vec![] });
    assert_eq!(bench.first().to_string(), "remote sent no candidates");
}

#[test]
fn p38_a_peer_whose_candidates_are_of_no_use() {
    let mut bench = Bench::with_role(Role::Controlling);
    let line: CandidateLine = "candidate:1 1 udp 1 name.local 9 typ host".parse().unwrap();
    let _ = bench.agent.add_remote_candidate(bench.now, STREAM, &line).unwrap();
    bench.introduce(&[]);
    bench.run(LONG, silence);
    assert_eq!(bench.first().to_string(), "remote sent no candidates of use: its address is a name x 1");
}

#[test]
fn p38_a_host_without_addresses_of_use() {
    let interfaces = [
        interface("127.0.0.1", InterfaceFlags::UP | InterfaceFlags::LOOPBACK),
        interface(LOCAL, InterfaceFlags::NONE),
    ];
    let mut bench = Bench::new(World::config(Role::Controlling, 1), &interfaces);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, silence);
    assert_eq!(bench.agent.state(), State::Failed);
    let first = bench.first();
    assert!(matches!(first, Verdict::NoLocalCandidates { interfaces: 2, sockets: 0, .. }), "{first:?}");
    assert_eq!(
        first.to_string(),
        "no local candidates from 2 addresses, skipped: loopback address x 1, interface is down x 1"
    );
    // Those others may see name the reasons, and no address.
    let shown = bench.agent.report().for_peer();
    assert_eq!(shown.verdicts()[0], first);
    assert!(!format!("{shown:?} {shown}").contains(LOCAL));
}

#[test]
fn p38_families_that_do_not_meet() {
    let mut bench = Bench::with_role(Role::Controlling);
    bench.introduce(&["[2001:db8::7]:7000"]);
    bench.run(LONG, silence);
    assert_eq!(bench.agent.state(), State::Failed);
    assert_eq!(bench.first(), Verdict::NoCommonFamily { local_is_v4: true });
}

#[test]
fn p05_p38_a_limit_that_cuts() {
    let mut config = World::config(Role::Controlling, 1);
    config.checks.pair_limit = 2;
    let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
    let remotes: Vec<_> = (0..10).map(|index| format!("203.0.113.7:{}", 7_000 + index)).collect();
    bench.introduce(&remotes.iter().map(String::as_str).collect::<Vec<_>>());
    bench.run(LONG, silence);
    assert_eq!(bench.agent.state(), State::Failed);
    assert_eq!(bench.first().to_string(), "candidate limit: 8 pairs cut");
}

#[test]
fn p38_a_conflict_of_roles_that_does_not_settle() {
    let mut bench = Bench::with_role(Role::Controlling);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, |_, request| Some(answer(request, Some(487), Some(PASSWORD))));
    let first = bench.first();
    assert!(matches!(first, Verdict::RoleConflict { answers } if answers > 16), "{first}");
}

#[test]
fn p38_a_nomination_that_is_refused() {
    let mut bench = Bench::with_role(Role::Controlling);
    bench.introduce(&[REMOTE]);
    bench.run(ms(2_000), |_, request| {
        let nominates = request.get::<UseCandidate>().unwrap().is_some();
        Some(answer(request, nominates.then_some(400), Some(PASSWORD)))
    });
    assert_eq!(bench.first(), Verdict::NominationRefused { code: 400 });
}

#[test]
fn p38_a_password_that_is_wrong() {
    let mut world = World::new(2);
    let a = world.add(0, World::config(Role::Controlling, 1));
    let b = world.add(1, World::config(Role::Controlled, 2));
    world.tell_parameters(a, b);
    let mut theirs = world.agent(b).local_parameters().clone();
    theirs.pwd = PASSWORD.parse().unwrap();
    world.command(a, |now, agent| agent.set_remote_parameters(now, theirs).unwrap());
    world.join([a, b]);
    world.run_for(LONG);
    assert_eq!(world.agent(a).state(), State::Failed);
    let report = world.agent(a).report();
    let first = report.verdicts().remove(0);
    let Verdict::WrongCredentials { by: Side::Peer, code: Some(401), times } = first else {
        panic!("{first}")
    };
    assert!(times >= 7);
    assert!(first.to_string().ends_with(&format!("401 x {times}")), "{first}");
    let other = world.agent(b).report().verdicts().remove(0);
    assert_eq!(other, Verdict::WrongCredentials { by: Side::Us, code: Some(401), times });
}

#[test]
fn p38_an_answer_signed_with_another_password() {
    let mut bench = Bench::with_role(Role::Controlling);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, |_, request| Some(answer(request, None, Some("another0password12345678"))));
    assert_eq!(bench.first(), Verdict::WrongCredentials { by: Side::Peer, code: None, times: 7 });
}

#[test]
fn p38_servers_that_are_silent() {
    for (scheme, policy) in [("stun", Policy::All), ("turn", Policy::All), ("turn", Policy::RelayOnly)] {
        let mut config = asking(scheme, World::config(Role::Controlling, 1));
        config.gathering.policy = policy;
        let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
        bench.introduce(&[REMOTE]);
        bench.run(LONG, silence);
        assert_eq!(bench.agent.state(), State::Failed);
        let first = bench.first();
        let server = format!("{scheme}:{}", crate::server::ADDRESS);
        assert!(first.to_string().starts_with("all UDP to "), "{first}");
        assert!(
            matches!(&first, Verdict::ServerSilent { server: url } if url.starts_with(scheme)),
            "{server} {first:?}"
        );
    }
}

#[test]
fn p38_a_server_that_answers_leaves_the_blame_to_the_peer() {
    let mut world = World::new(2);
    world.lost = Box::new(|from, to, _| {
        let server = crate::server::ADDRESS.parse().unwrap();
        from != server && to != server
    });
    let [a, _] = world.pair_with([0, 1], 1, |config| asking("stun", config));
    world.run_for(LONG);
    let report = world.agent(a).report();
    assert!(report.servers[0].mapped > report.servers[0].asked);
    assert!(matches!(report.verdicts()[0], Verdict::PeerNeverAnswered { requests: 0, .. }));
}

#[test]
fn p38_a_server_that_refuses_the_credentials() {
    let mut config = asking("turn", World::config(Role::Controlling, 1));
    let credentials = floe_agent::turn::Credentials::new(b"user", b"wrong").unwrap();
    config.gathering.servers[0].credentials = Some(credentials);
    let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, |_, request| {
        if request.method() != Method::ALLOCATE {
            return None;
        }
        let mut buffer = vec![0; 256];
        let mut writer =
            MessageWriter::new(&mut buffer, Class::Error, request.method(), request.transaction_id())
                .unwrap();
        writer.put(&ErrorCode::new(401, "")).unwrap();
        writer.put(&Realm::new(b"example.org").unwrap()).unwrap();
        writer.put(&Nonce::new(b"nonce").unwrap()).unwrap();
        let len = writer.finish();
        buffer.truncate(len);
        Some(buffer)
    });
    let first = bench.first();
    assert!(matches!(first, Verdict::ServerCredentialsRefused { .. }), "{first}");
    assert!(first.to_string().contains("(401)"), "{first}");
    let shown = format!("{:?}", bench.agent.report());
    assert!(!shown.contains("wrong"), "{shown}");
}

#[test]
fn p38_consent_that_expires() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    assert_eq!(world.agent(a).report().verdicts(), []);
    world.lost = Box::new(|_, _, _| true);
    world.run_for(ms(40_000));
    for id in [a, b] {
        let verdicts = world.agent(id).report().verdicts();
        assert_eq!(verdicts, [Verdict::ConsentExpired { stream: STREAM, component: COMPONENT }]);
    }
}

/// A session that was lost and works again is one that works; what breaks later is named by what it is.
#[test]
fn p38_p17_a_restart_leaves_what_was_in_the_way_of_the_generation_before() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    world.lost = Box::new(|_, _, _| true);
    world.run_for(ms(40_000));
    world.lost = Box::new(|_, _, _| false);
    restart(&mut world, ids[0]);
    assert!(world.run_until(world.now.after(ms(5_000)), |world| world.is_completed(&ids)));
    for id in ids {
        let report = world.agent(id).report();
        assert_eq!((report.verdicts(), report.losses), (vec![], vec![]));
    }
    let answers = world.agent(ids[0]).report().totals.answers_received;
    // The new credentials are never answered, while consent on the pair before is.
    let known = ids.map(|id| world.agent(id).local_parameters().ufrag.clone());
    world.lost = Box::new(move |_, _, bytes| {
        let message = Message::parse(bytes).ok();
        let name =
            message.and_then(|message| Some(message.get::<Username<'_>>().ok()??.as_str()?.to_owned()));
        name.is_some_and(|name| !known.iter().any(|ufrag| name.starts_with(ufrag.as_str())))
    });
    restart(&mut world, ids[0]);
    world.run_for(LONG);
    let report = world.agent(ids[0]).report();
    assert!(report.totals.answers_received > answers, "of the generation before");
    assert!(matches!(report.verdicts()[0], Verdict::PeerNeverAnswered { requests: 0, .. }), "{report}");
    assert!(!report.verdicts().contains(&Verdict::NotNominated), "{report}");
}

/// Until its peer answers a restart, an agent reports on what carries its data.
#[test]
fn p38_p17_an_unanswered_restart_is_nothing_in_the_way() {
    let mut world = World::new(2);
    let ids = world.pair([0, 1], 1);
    world.connect(&ids, ms(5_000));
    world.part(ids);
    restart(&mut world, ids[0]);
    world.run_for(ms(5_000));
    let report = world.agent(ids[0]).report();
    assert_eq!((report.components.all, report.components.selected), (1, 1));
    assert!(report.pairs.total() > 0 && report.remote_parameters);
    assert_eq!(report.verdicts(), []);
}

/// A server that is configured by its address is one more address of a network that others may not see.
#[test]
fn t03_p38_what_others_may_see_has_no_address_of_a_server() {
    let config = asking("stun", World::config(Role::Controlling, 1));
    let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, silence);
    let own = bench.agent.report();
    let (server, _) = crate::server::ADDRESS.rsplit_once(':').unwrap();
    assert!(own.to_string().contains(server));
    let told = bench.events.iter().find_map(|event| match event {
        Event::Failed(report) => Some(report),
        _ => None,
    });
    let told = told.expect("the failure");
    assert!(!format!("{told} {told:?} {:?}", told.verdicts()).contains(server), "{told}");
    assert!(told.to_string().contains("stun:[not shown]"), "{told}");
}

#[test]
fn p38_a_full_report_keeps_pairs_that_are_freed_and_counts_what_was_sent() {
    let mut world = World::new(2);
    let session = world.pair_with([0, 1], 1, |mut config| {
        config.full_report = true;
        asking("turn", config)
    });
    world.connect(&session, ms(5_000));
    let during = session.map(|id| world.agent(id).report());
    world.run_for(ms(60_000));
    for (id, during) in session.into_iter().zip(during) {
        let report = world.agent(id).report();
        assert!(world.agent(id).pairs().count() < report.pair_list.len(), "most are freed");
        assert_eq!(report.pair_list.len(), during.pair_list.len());
        assert_eq!(report.pairs.total(), during.pairs.total());
        assert_eq!(report.pair_list.iter().filter(|pair| pair.selected).count(), 1);
        assert!(report.pair_list.iter().all(|pair| pair.selected != pair.superseded));
        let of = |kind| world.sent.iter().filter(|sent| sent.by == id && sent.kind == kind).count() as u64;
        let totals = report.totals;
        assert_eq!(totals.checks_sent, of(TransmitKind::Check));
        assert_eq!(totals.consents_sent, of(TransmitKind::Consent));
        assert_eq!(totals.answers_sent, of(TransmitKind::Response));
        assert!(totals.answers_received > 0 && totals.requests_accepted == totals.answers_sent);
        assert_eq!(report.verdicts(), []);
        assert!(report.servers[0].relayed > report.servers[0].asked);
        let text = report.to_string();
        assert!(text.contains("interface eth0 198.51.100."), "{text}");
        assert!(text.contains("gone because another was nominated"), "{text}");
    }
    // Without asking for it there is no list, and the numbers are the same.
    let mut world = World::new(2);
    let session = world.pair_with([0, 1], 1, |config| asking("turn", config));
    world.connect(&session, ms(5_000));
    let total = world.agent(session[0]).report().pairs.total();
    world.run_for(ms(60_000));
    let report = world.agent(session[0]).report();
    assert_eq!((report.pair_list.len(), report.pairs.total()), (0, total));
}

/// Whether somebody answers at an address that the peer has named shows nowhere in what the peer may see.
#[test]
fn t03_what_others_may_see_tells_no_answer_of_a_stranger() {
    let observe = |error: Option<u16>, password: Option<&str>, silent: bool| -> (Report, String) {
        let mut config = World::config(Role::Controlling, 1);
        config.full_report = true;
        let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
        bench.introduce(&["192.168.1.1:8080", "192.168.1.2:22"]);
        bench.run(LONG, |_, request| (!silent).then(|| answer(request, error, password)));
        (bench.agent.report().for_peer(), format!("{:?}", bench.events))
    };
    let nobody = observe(None, None, true);
    assert!(nobody.0.pair_list.iter().all(|pair| pair.timing.is_none() && pair.local.is_none()));
    assert!(!format!("{:?} {}", nobody.0, nobody.0).contains(LOCAL));
    for stranger in [
        observe(Some(400), None, false),
        observe(Some(401), None, false),
        observe(None, None, false),
        observe(None, Some("another0password12345678"), false),
    ] {
        assert_eq!(stranger, nobody);
    }
}

#[cfg(feature = "serde")]
#[test]
fn p38_a_report_is_written_as_json() {
    let mut config = asking("turn", World::config(Role::Controlling, 1));
    config.full_report = true;
    let mut bench = Bench::new(config, &[interface(LOCAL, InterfaceFlags::UP)]);
    bench.introduce(&[REMOTE]);
    bench.run(LONG, silence);
    let report = bench.agent.report();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["state"], "failed");
    assert_eq!(json["pair_list"][0]["failure"], "no answer");
    assert_eq!(json["pairs"]["failures"][0]["times"], 1);
    assert_eq!(json["interfaces"][0]["ip"], LOCAL);
    let verdicts = serde_json::to_value(report.verdicts()).unwrap();
    assert_eq!(verdicts[0]["code"], "server-silent");
}
