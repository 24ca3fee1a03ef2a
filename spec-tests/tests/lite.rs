//! Lite agents, and peers that nominate in every way there is (RFC 8445 §2.5, §6.1.1, §6.2, §8.1.1, §8.2).

use std::{collections::BTreeSet, time::Duration};

use floe_agent::{
    AgentConfig, Event, Server, State, TransmitKind,
    pair::{Candidate, CandidateType, ComponentId, IceOptions, Parameters, Role, StreamId, TransportAddress},
    stun::{
        Class, Message,
        binding::{BindingRequest, Claim},
    },
};
use spec_tests::wire::{
    Arrival, Ask, Bench, HOST, RTP, STREAM, Sent, World, address, ms, next_parameters, remote_parameters,
    signal::Signalling,
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];
const GOOD: &str = "10.0.1.1:1000";
const BEST: &str = "10.0.1.2:1000";
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// An agent whose peer is described by these parameters.
fn with_peer(role: Role, lite: bool, peer: impl FnOnce(Parameters) -> Parameters) -> Bench {
    let mut bench = Bench::bare(role, &[HOST], |config| (config.lite, config.renomination) = (lite, true));
    bench.agent.set_remote_parameters(bench.now, peer(remote_parameters())).expect("in time");
    bench.drain();
    bench
}

fn lite_peer(parameters: Parameters) -> Parameters {
    Parameters { lite: true, ..parameters }
}

#[test]
fn ice_10_a_full_agent_controls_a_lite_one_whoever_began() {
    for role in ROLES {
        let mut bench = with_peer(role, false, lite_peer);
        assert_eq!(bench.agent.role(), Role::Controlling, "{role:?}");
        bench.select(GOOD);
        assert_eq!(bench.agent.state(), State::Completed);
        // All that was sent says so, and no 487 changes it.
        let check = bench.converse(TEN_MINUTES, |_| true);
        let consents = || check.iter().filter(|sent| sent.kind == TransmitKind::Consent);
        assert!(consents().count() >= 100, "a lite peer answers consent requests");
        assert!(consents().all(|sent| matches!(sent.request().claim, Some(Claim::Controlling(_)))));
        assert_eq!(bench.send(b"\x80"), Ok(address(GOOD)));
    }
}

#[test]
fn ice_10_a_lite_agent_is_controlled_by_a_full_one_whoever_began() {
    for role in ROLES {
        let mut bench = with_peer(role, true, |peer| peer);
        assert_eq!(bench.agent.role(), Role::Controlled, "{role:?}");
        assert!(bench.agent.local_parameters().lite, "and says that it is lite");
        bench.add_remote(0, GOOD);
        assert_eq!(bench.wait(ms(10_000)), [], "no checks");
        let peer = address(GOOD);
        let (answer, sent) = bench.ask(peer, &Ask::controlling());
        assert_eq!((answer.expect("an answer").code, sent), (None, vec![]), "answered, and not checked");
        assert!(bench.send(b"\x80").is_err(), "not nominated: not valid");
        let (answer, sent) = bench.ask(peer, &Ask::nominating());
        assert_eq!((answer.expect("an answer").code, sent), (None, vec![]));
        assert_eq!(bench.agent.selected(STREAM, RTP).map(|pair| pair.remote), Some(peer));
        assert_eq!((bench.agent.state(), bench.send(b"\x80")), (State::Completed, Ok(peer)));
        assert!(matches!(bench.receive(0, peer, b"\x80 data"), Arrival::Data(..)));
        // It asks for no consent (RFC 7675 §1), and keeps its mapping alive (RFC 8445 §11).
        let sent = bench.wait(TEN_MINUTES);
        assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive), "{sent:?}");
        assert!((38..=40).contains(&sent.len()), "{} indications", sent.len());
        assert_eq!(bench.send(b"\x80"), Ok(peer), "ten minutes later");
    }
}

#[test]
fn ice_10_a_lite_agent_sends_nothing_before_every_component_has_a_pair() {
    let rtcp = ComponentId::RTCP;
    let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
        config.lite = true;
        config.streams = vec![(STREAM, vec![RTP, rtcp])];
    });
    bench.meet();
    bench.add_remote(0, GOOD);
    bench.add_candidate(STREAM, &spec_tests::wire::host_candidate(rtcp, 0, address("10.0.1.1:1001")));
    let (answer, _) = bench.ask(address(GOOD), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    assert!(bench.send(b"\x80").is_err(), "RFC 8445 §12.1: the other component has none");
    let id = bench.new_id();
    let _ = bench.receive(1, address("10.0.1.1:1001"), &Ask::nominating().bytes(id));
    bench.drain();
    assert!(bench.send(b"\x80").is_ok() && bench.send_of(STREAM, rtcp, b"\x80").is_ok());
    assert_eq!(bench.agent.state(), State::Completed);
}

#[test]
fn ice_10_full_and_lite_connect_in_all_four_ways_and_stay() {
    for roles in [ROLES, [Role::Controlled, Role::Controlling]] {
        for lite in 0..2 {
            let hosts: [&[&str]; 2] = [&["10.0.0.1"], &["10.0.1.1"]];
            let mut world = World::with(roles, hosts, ms(50), |side, config| config.lite = side == lite);
            let mut signalling = Signalling::new(&world, ms(50));
            assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{roles:?}, {lite} is lite");
            world.assert_agreed();
            assert_eq!(world.sides[lite].agent.role(), Role::Controlled);
            for _ in 0..60 {
                assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"));
                world.run(ms(10_000));
            }
            assert!(world.is_completed());
            assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [60, 60]);
            let own = world.sides[lite].local(0);
            let asked = |one: &&spec_tests::wire::Datagram| {
                let message = Message::parse(&one.bytes);
                one.from == own && message.is_ok_and(|message| message.class() == Class::Request)
            };
            assert_eq!(world.log.iter().filter(asked).count(), 0, "a lite agent asks nothing");
        }
    }
}

#[test]
fn ice_10_two_lite_agents_conclude_without_checks() {
    for roles in [ROLES, [Role::Controlled, Role::Controlling]] {
        let hosts: [&[&str]; 2] = [&["10.0.0.1"], &["10.0.1.1"]];
        let mut world = World::with(roles, hosts, ms(50), |_, config| config.lite = true);
        let mut signalling = Signalling::new(&world, ms(50));
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{roles:?}");
        world.assert_agreed();
        assert_eq!(world.sides.each_ref().map(|side| side.agent.role()), roles);
        assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"));
        world.run(TEN_MINUTES);
        assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [1, 1]);
        assert!(world.is_completed() && world.send(0, b"\x80"));
        let asked =
            |kind| matches!(kind, Some(TransmitKind::Check | TransmitKind::Response | TransmitKind::Consent));
        assert!(world.log.iter().all(|one| !asked(one.kind)), "no checks, no consent");
    }
}

/// How the peer that a test plays nominates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// One pair, once (RFC 8445 §8.1.1).
    Regular,
    /// USE-CANDIDATE in every check (RFC 5245 §8.1.1.2).
    Aggressive,
    /// With NOMINATION, again and again.
    Renomination,
}

impl Style {
    const ALL: [Self; 3] = [Self::Regular, Self::Aggressive, Self::Renomination];

    fn parameters(self, parameters: Parameters) -> Parameters {
        let options = match self {
            Self::Regular => IceOptions::ice2(),
            Self::Aggressive => IceOptions::default(),
            Self::Renomination => IceOptions::ice2().with_renomination2(),
        };
        Parameters { options, ..parameters }
    }
}

fn selected(bench: &Bench) -> Option<String> {
    bench.agent.selected(STREAM, RTP).map(|pair| pair.remote.to_string())
}

/// Ten minutes in which data goes both ways each second and the peer asks as a peer does that keeps its consent.
#[track_caller]
fn stays(bench: &mut Bench, to: &str, name: &str) {
    for second in 0..600 {
        bench.converse(ms(1_000), Sent::is_request);
        if second % 5 == 0 {
            let ask = Ask::of_peer(bench.agent.role());
            let (answer, _) = bench.ask(address(to), &ask);
            assert_eq!(answer.expect("an answer").code, None, "{name}");
        }
        assert_eq!(bench.send(b"\x80"), Ok(address(to)), "{name}");
        assert!(matches!(bench.receive(0, address(to), b"\x80"), Arrival::Data(..)), "{name}");
    }
    assert_eq!((bench.agent.state(), selected(bench).as_deref()), (State::Completed, Some(to)), "{name}");
}

/// Controlled by a peer of this style, ours full or lite.
fn controlled(style: Style, lite: bool) {
    let name = format!("controlled by {style:?}, lite: {lite}");
    let mut bench = with_peer(Role::Controlled, lite, |peer| style.parameters(peer));
    // The first remote candidate is the best.
    bench.add_remote(1, GOOD);
    bench.add_remote(0, BEST);
    let ask = |value: Option<u32>, nominate: bool| Ask {
        use_candidate: nominate,
        nomination: value.filter(|_| style == Style::Renomination),
        ..Ask::controlling()
    };
    let tell = |bench: &mut Bench, to: &str, value: Option<u32>, nominate: bool| {
        let (answer, _) = bench.ask(address(to), &ask(value, nominate));
        bench.converse(ms(300), Sent::is_request);
        answer.expect("an answer").code
    };
    let aggressive = style == Style::Aggressive;
    assert_eq!(tell(&mut bench, GOOD, None, aggressive), None, "{name}");
    assert_eq!(tell(&mut bench, BEST, None, aggressive), None, "{name}");
    match style {
        Style::Aggressive => {
            assert_eq!(selected(&bench).as_deref(), Some(BEST), "{name}: of all the best");
            stays(&mut bench, BEST, &name);
        }
        Style::Regular => {
            assert_eq!(tell(&mut bench, GOOD, None, true), None, "{name}");
            assert_eq!(selected(&bench).as_deref(), Some(GOOD), "{name}");
            // Another nomination is none that RFC 8445 knows; the same again is.
            assert_eq!(tell(&mut bench, BEST, None, true), Some(400), "{name}");
            assert_eq!(tell(&mut bench, GOOD, None, true), None, "{name}");
            stays(&mut bench, GOOD, &name);
        }
        Style::Renomination => {
            assert_eq!(tell(&mut bench, GOOD, Some(1), true), None, "{name}");
            assert_eq!(selected(&bench).as_deref(), Some(GOOD), "{name}");
            tell(&mut bench, BEST, Some(2), true);
            assert_eq!(selected(&bench).as_deref(), Some(BEST), "{name}: followed");
            // What is late or repeated moves nothing.
            tell(&mut bench, GOOD, Some(1), true);
            tell(&mut bench, GOOD, Some(2), true);
            tell(&mut bench, GOOD, None, true);
            assert_eq!(selected(&bench).as_deref(), Some(BEST), "{name}");
            stays(&mut bench, BEST, &name);
            tell(&mut bench, GOOD, Some(7), true);
            assert_eq!(selected(&bench).as_deref(), Some(GOOD), "{name}: ten minutes later as well");
            stays(&mut bench, GOOD, &name);
        }
    }
}

/// Controlling a peer that is full or lite, of this style as far as that shows in its options.
fn controlling(style: Style, lite: bool) {
    let name = format!("controlling {style:?}, lite: {lite}");
    let mut bench = with_peer(Role::Controlling, false, |peer| Parameters { lite, ..style.parameters(peer) });
    bench.add_remote(1, GOOD);
    bench.agent.remote_gathering_complete(bench.now);
    let sent = bench.converse(ms(2_000), Sent::is_request);
    let nominations: Vec<BindingRequest<'_>> = sent
        .iter()
        .filter(|sent| sent.kind == TransmitKind::Check)
        .map(Sent::request)
        .filter(|request| request.use_candidate)
        .collect();
    let [nomination] = nominations.as_slice() else {
        panic!("{name}: one nomination: {}", nominations.len())
    };
    assert_eq!(nomination.nomination.is_some(), style == Style::Renomination, "{name}");
    assert_eq!(selected(&bench).as_deref(), Some(GOOD), "{name}");
    stays(&mut bench, GOOD, &name);
}

#[test]
fn p08_every_way_to_nominate_is_followed_in_both_roles_by_full_and_lite_agents() {
    for style in Style::ALL {
        for lite in [false, true] {
            controlled(style, lite);
            controlling(style, lite);
        }
    }
}

#[test]
fn p08_a_peer_with_one_component_of_two_connects() {
    let hosts: [&[&str]; 2] = [&["10.0.0.1"], &["10.0.1.1"]];
    for lite in [None, Some(0), Some(1)] {
        let mut world = World::with(ROLES, hosts, ms(50), |side, config| {
            config.lite = lite == Some(side);
            if side == 0 {
                config.streams = vec![(STREAM, vec![RTP, ComponentId::RTCP])];
            }
        });
        let mut signalling = Signalling::new(&world, ms(50));
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{lite:?} is lite");
        assert!(world.send(0, b"\x80") && world.send(1, b"\x80"));
        world.run(TEN_MINUTES);
        assert!(world.is_completed(), "{lite:?}");
    }
}

/// A peer that nominates late is waited for, with data on the valid pair; one that never does holds nothing up.
#[test]
fn p08_a_peer_that_nominates_late_or_never_is_waited_for() {
    let mut bench = with_peer(Role::Controlled, false, |peer| peer);
    bench.add_remote(0, GOOD);
    bench.agent.remote_gathering_complete(bench.now);
    for minute in 0..10 {
        bench.converse(ms(60_000), Sent::is_request);
        assert_eq!(
            (bench.agent.state(), bench.send(b"\x80")),
            (State::Connected, Ok(address(GOOD))),
            "{minute}"
        );
    }
    let (answer, _) = bench.ask(address(GOOD), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, None);
    bench.drain();
    assert_eq!(bench.agent.state(), State::Completed);
    let told: Vec<State> = bench.states();
    assert_eq!(told, [State::Checking, State::Connected, State::Completed]);
    let selections = bench.events.iter().filter(|(_, event)| matches!(event, Event::Selected { .. })).count();
    assert_eq!(selections, 1);
}

#[test]
fn p04_a_lite_agent_whose_peer_never_comes_fails_in_the_end() {
    for peer_lite in [false, true] {
        for candidates in [true, false] {
            let mut bench = with_peer(Role::Controlled, true, |peer| Parameters { lite: peer_lite, ..peer });
            if candidates {
                // Of another family than ours, where nobody checks: no pair can be made.
                bench.add_remote(0, if peer_lite { "[2001:db8::1]:1000" } else { GOOD });
            }
            bench.agent.remote_gathering_complete(bench.now);
            bench.wait(ms(39_000));
            assert_eq!(bench.agent.state(), State::Checking);
            bench.wait(ms(3_600_000));
            assert_eq!(
                bench.agent.state(),
                State::Failed,
                "lite peer: {peer_lite}, candidates: {candidates}"
            );
            // And one that comes later is met all the same.
            if !peer_lite {
                let (answer, _) = bench.ask(address(GOOD), &Ask::nominating());
                assert_eq!(answer.expect("an answer").code, None);
                bench.drain();
                assert_eq!(bench.agent.state(), State::Completed);
            }
        }
    }
}

#[test]
fn rfc8445_5_2_a_lite_agent_has_one_host_candidate_for_each_address_and_component() {
    let hosts = [HOST, "10.0.2.1", "2001:db8::1"];
    let streams = [STREAM, StreamId(1)];
    let bench = Bench::bare(Role::Controlled, &hosts, |config| {
        config.lite = true;
        config.streams = streams.map(|stream| (stream, vec![RTP, ComponentId::RTCP])).to_vec();
        // §5.2: whatever servers there are, a lite agent uses host candidates only.
        config.gathering.servers = vec![Server::new("stun:192.0.2.1".parse().expect("a URI"), None)];
    });
    let told: Vec<(StreamId, Candidate)> = bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LocalCandidate { stream, candidate, .. } => Some((*stream, candidate.clone())),
            _ => None,
        })
        .collect();
    assert!(bench.first(|event| matches!(event, Event::GatheringComplete { .. })).is_some(), "at once");
    assert!(told.iter().all(|(_, candidate)| candidate.kind == CandidateType::Host));
    let places: BTreeSet<_> =
        told.iter().map(|(stream, of)| (*stream, of.component, of.address.ip())).collect();
    // Of two IPv4 addresses one is used.
    assert_eq!((told.len(), places.len()), (8, 8), "each address, component and stream once");
    assert!(told.iter().all(|(_, candidate)| candidate.address.ip() != address("10.0.2.1:1").ip()));
    for (_, one) in &told {
        for (_, other) in &told {
            let same = one.address.ip() == other.address.ip();
            assert_eq!(one.foundation == other.foundation, same, "one foundation for each address");
        }
    }
    for stream in streams {
        let own = told.iter().filter(|(of, _)| *of == stream);
        let priorities: BTreeSet<_> = own.map(|(_, candidate)| candidate.priority).collect();
        assert_eq!(priorities.len(), 4, "a priority of its own for each");
    }
}

/// A restart of our own or of the peer: its new parameters are known when this returns.
fn restart(bench: &mut Bench, own: bool) {
    let now = bench.now;
    if own {
        bench.agent.restart(now).expect("open");
        assert_eq!((bench.agent.state(), bench.agent.is_restarting()), (State::Connected, true), "Running");
    }
    bench.agent.set_remote_parameters(now, next_parameters()).expect("another generation");
    bench.drain();
}

#[test]
fn rfc8839_4_4_3_2_a_restart_empties_the_valid_list_of_a_lite_agent_and_data_stays_where_it_was() {
    const SECOND: [&str; 2] = ["10.0.1.2:1000", "10.0.1.2:1001"];
    const FIRST: [&str; 2] = ["10.0.1.1:1000", "10.0.1.1:1001"];
    const PARTS: [ComponentId; 2] = [RTP, ComponentId::RTCP];
    for own in [true, false] {
        let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
            config.lite = true;
            config.streams = vec![(STREAM, PARTS.to_vec())];
        });
        bench.meet();
        let nominate = |bench: &mut Bench, index: usize, from: &str, ask: &Ask| {
            let id = bench.new_id();
            assert_eq!(bench.receive(index, address(from), &ask.bytes(id)), Arrival::Taken);
            bench.drain();
        };
        let sends = |bench: &mut Bench| PARTS.map(|part| bench.send_of(STREAM, part, b"\x80"));
        for (index, from) in FIRST.into_iter().enumerate() {
            nominate(&mut bench, index, from, &Ask::nominating());
        }
        assert_eq!(bench.agent.state(), State::Completed);
        restart(&mut bench, own);

        assert_eq!(bench.agent.pairs().filter(|pair| pair.valid).count(), 0, "the new valid list is empty");
        assert_eq!(bench.agent.state(), State::Connected, "Running again, while data flows");
        // While the peer nominates nothing data goes both ways, and the mapping is kept.
        let sent = bench.wait(ms(31_000));
        assert_eq!(sends(&mut bench), FIRST.map(|to| Ok(address(to))), "the previous selected pairs");
        assert!(matches!(bench.receive(0, address(FIRST[0]), b"\x80"), Arrival::Data(..)));
        assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive), "{sent:?}");
        assert_eq!(sent.iter().filter(|sent| sent.to == address(FIRST[0])).count(), 2, "each 15 s");

        // RFC 8445 §12.1: of the new pairs none is used before each component has one.
        let ask = Ask::nominating().between(bench.agent.local_parameters(), &next_parameters());
        nominate(&mut bench, 0, SECOND[0], &ask);
        assert_eq!(bench.agent.state(), State::Connected);
        assert_eq!(sends(&mut bench), FIRST.map(|to| Ok(address(to))), "one component has no pair yet");
        nominate(&mut bench, 1, SECOND[1], &ask);
        assert_eq!(bench.agent.state(), State::Completed);
        assert_eq!(sends(&mut bench), SECOND.map(|to| Ok(address(to))));
    }
}

/// The pairs that a side may choose from for a component, its choice first: its own address and the other.
fn choices(world: &World, side: usize, component: ComponentId) -> Vec<[TransportAddress; 2]> {
    let agent = &world.sides[side].agent;
    let chosen = agent.selected(STREAM, component).expect("a pair of its choice");
    let others = agent.pairs().filter(|pair| pair.component == component && pair.id != chosen.id);
    let others = others.map(|pair| [pair.local.address, pair.remote.address]);
    std::iter::once([chosen.local.address, chosen.remote]).chain(others).collect()
}

fn reconcile(
    world: &mut World,
    side: usize,
    part: ComponentId,
    [local, remote]: [TransportAddress; 2],
) -> bool {
    let now = world.now;
    world.sides[side].now = now;
    let agreed = world.sides[side].agent.reconcile(now, STREAM, part, local, remote);
    world.collect(side);
    agreed.expect("an open agent")
}

/// Data goes both ways on the first component, whatever pairs the two sides have chosen.
#[track_caller]
fn carry(world: &mut World) {
    world.sides.iter_mut().for_each(|side| side.data.clear());
    assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"));
    world.run(ms(100));
    assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [1, 1]);
}

/// RFC 8445 §8.2: with two address families there are two pairs for each of the two components, and what the controlling
/// agent tells in its updated list counts.
#[test]
fn rfc8445_8_2_two_lite_agents_with_several_pairs_for_two_components_agree_and_restart() {
    let hosts: [&[&str]; 2] = [&["10.0.0.1", "2001:db8::1"], &["10.0.1.1", "2001:db8:1::1"]];
    let mut world = World::with(ROLES, hosts, ms(50), |_, config| {
        config.lite = true;
        config.streams = vec![(STREAM, vec![RTP, ComponentId::RTCP])];
    });
    let mut signalling = Signalling::new(&world, ms(50));
    let goes_to = |world: &World| {
        let path = |side: usize| world.sides[side].agent.path(STREAM, RTP).map(|path| path.path().to);
        [path(0), path(1)]
    };
    for restarted in [false, true] {
        let before = goes_to(&world);
        signalling.run(&mut world, ms(1_000));
        let of_side = |side: usize| [RTP, ComponentId::RTCP].map(|part| (side, part));
        for (side, part) in of_side(0).into_iter().chain(of_side(1)) {
            assert!(world.sides[side].agent.is_provisional(STREAM, part), "side {side}, {part:?}");
            assert_eq!(choices(&world, side, part).len(), 2);
        }
        assert!(!world.is_completed(), "ICE is complete after the updated exchange only");
        // RFC 8445 §12.1: after a restart the previous pairs carry the data until then.
        assert_eq!(goes_to(&world) == before, restarted);
        carry(&mut world);

        for part in [RTP, ComponentId::RTCP] {
            assert!(!world.is_completed(), "{part:?} is open");
            let [.., [local, remote]] = choices(&world, 0, part)[..] else { panic!("choices") };
            assert!(!reconcile(&mut world, 1, part, [remote, address("10.9.9.9:9")]), "no such pair");
            assert!(reconcile(&mut world, 1, part, [remote, local]), "the answerer");
            carry(&mut world);
            assert!(reconcile(&mut world, 0, part, [local, remote]), "then the offerer");
            assert!(!reconcile(&mut world, 0, part, [local, remote]), "once");
            assert_eq!(choices(&world, 0, part)[0], [local, remote]);
            assert_eq!(choices(&world, 1, part)[0], [remote, local]);
        }
        assert!(world.is_completed());
        world.run(TEN_MINUTES);
        carry(&mut world);
        assert!(world.is_completed());
        let now = world.now;
        world.sides[0].now = now;
        world.sides[0].agent.restart(now).expect("open");
        world.collect(0);
    }
    let asked = |one: &&spec_tests::wire::Datagram| {
        Message::parse(&one.bytes).is_ok_and(|message| message.class() == Class::Request)
    };
    assert_eq!(world.log.iter().filter(asked).count(), 0, "nobody asks anything");
}

/// RFC 8445 §12.1.1: data waits for the last component, and the first is told of when it is nominated.
#[test]
fn a_lite_agent_tells_of_the_selected_pair_of_each_component() {
    let parts = [RTP, ComponentId::RTCP];
    let mut bench = Bench::bare(Role::Controlled, &[HOST], |config| {
        config.lite = true;
        config.streams = vec![(STREAM, parts.to_vec())];
    });
    bench.meet();
    for (index, port) in (0..).zip([1000, 1001]) {
        let id = bench.new_id();
        let from = address(&format!("10.0.1.1:{port}"));
        assert_eq!(bench.receive(index, from, &Ask::nominating().bytes(id)), Arrival::Taken);
        bench.drain();
        let told = bench.events.iter().filter_map(|(_, event)| match event {
            Event::Selected { component, .. } => Some(*component),
            _ => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), parts[..=index]);
    }
}

/// What two lite agents use before they have agreed is no nomination (RFC 8838 §13): each further candidate is told.
#[test]
fn two_lite_agents_tell_all_candidates_that_come_after_they_have_a_pair() {
    let mut config = AgentConfig::new([7; 32], Role::Controlled);
    config.lite = true;
    let mut bench = Bench::with(config);
    bench.agent.set_remote_parameters(bench.now, lite_peer(remote_parameters())).expect("in time");
    for (index, to) in (0..).zip([GOOD, "[2001:db8:1::1]:1000"]) {
        bench.add_remote(index, to);
    }
    bench.agent.remote_gathering_complete(bench.now);
    bench.gather(&[HOST, "2001:db8::1"]);
    let told = bench.events.iter().filter(|(_, event)| matches!(event, Event::LocalCandidate { .. }));
    assert_eq!(told.count(), 2);
    assert!(bench.agent.is_provisional(STREAM, RTP), "two pairs");
}
