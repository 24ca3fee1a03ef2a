//! With relays only (P40) sessions connect, agree and last as they do otherwise.

use std::time::Duration;

use floe_agent::{
    Added, AgentConfig, Event, Policy, Server, State,
    pair::{CandidateLine, CandidateType, Role},
    stun::Message,
    turn::Credentials,
};
use spec_tests::wire::{
    Ask, Bench, Datagram, Fate, RTP, STREAM, World, address, ms, read_answer_under,
    relay::{self, HOSTS, OnWire, SERVER},
    signal::Signalling,
};

/// Two agents that may show their relays only.
fn relays_only(mut change: impl FnMut(usize, &mut AgentConfig)) -> (World, OnWire) {
    relay::relayed([true, true], ms(40), |side, config| {
        config.gathering.policy = Policy::RelayOnly;
        change(side, config);
    })
}

/// What leaves these hosts goes to the server and to nobody else.
#[track_caller]
fn assert_hidden(world: &World, hosts: &[&str]) {
    let hosts: Vec<_> = hosts.iter().map(|ip| address(&format!("{ip}:1")).ip()).collect();
    let mut own = world.log.iter().filter(|one| hosts.contains(&one.from.ip()));
    assert!(own.all(|one| one.to == address(SERVER)), "to the server only");
}

/// A session of some rounds of consent; the n-th datagram after the introduction is lost.
fn a_while_without(lost: Option<usize>) -> (World, usize) {
    let (mut world, _server) = relays_only(|_, _| {});
    for side in 0..2 {
        relay::gather_relay(&mut world, side);
    }
    let mut judge = std::mem::replace(&mut world.judge, Box::new(|_| Fate::Lost));
    let (mut count, before) = (0, world.log.len());
    world.judge = Box::new(move |one| {
        count += 1;
        if Some(count) == lost { Fate::Lost } else { judge(one) }
    });
    world.introduce();
    world.run(ms(25_000));
    let sent = world.log.len() - before;
    (world, sent)
}

#[test]
fn p40_p14_the_loss_of_any_one_datagram_changes_no_state_that_is_told() {
    let states = |world: &World| world.sides.each_ref().map(Bench::states);
    let (undisturbed, sent) = a_while_without(None);
    assert_eq!(states(&undisturbed)[0], [State::Checking, State::Connected, State::Completed]);
    assert!(sent > 80, "{sent}");
    for lost in 1..=sent {
        let (world, _) = a_while_without(Some(lost));
        assert_eq!(states(&world), states(&undisturbed), "datagram {lost}");
        world.assert_agreed();
    }
}

#[test]
fn p40_p11_two_with_the_same_role_settle() {
    for role in [Role::Controlling, Role::Controlled] {
        for delay in [0, 60, 500] {
            let (mut world, _server) = relays_only(|_, config| config.role = role);
            let mut signalling = Signalling::new(&world, ms(delay));
            assert!(signalling.run_to_selection(&mut world, ms(10_000)), "both {role:?}");
            signalling.run(&mut world, ms(15_000));
            // One of them is controlling.
            world.assert_agreed();
            assert_hidden(&world, &HOSTS);
        }
    }
}

/// A lite peer is on a public address; the agent that asks it shows it a relay, and only that.
#[test]
fn p40_p08_a_lite_peer_and_one_that_renominates_connect_and_stay() {
    for (lite, renomination) in [(true, false), (true, true), (false, true)] {
        let (mut world, _server) = relay::relayed([true, !lite], ms(40), |side, config| {
            (config.lite, config.renomination) = (lite && side == 1, renomination);
            if !config.lite {
                config.gathering.policy = Policy::RelayOnly;
            }
        });
        let mut signalling = Signalling::new(&world, ms(60));
        let name = format!("lite: {lite}, renomination: {renomination}");
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{name}");
        for _ in 0..60 {
            assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"), "{name}");
            signalling.run(&mut world, ms(10_000));
        }
        world.assert_agreed();
        assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [60, 60], "{name}");
        let selected = world.sides[0].agent.selected(STREAM, RTP).expect("selected");
        assert_eq!(selected.local.kind, CandidateType::Relayed, "{name}");
        assert_hidden(&world, if lite { &HOSTS[..1] } else { &HOSTS });
    }
}

#[test]
fn p40_p02_a_dead_server_beside_the_one_that_works_holds_up_nothing() {
    // When each side has its relay, with the dead server before the other or none.
    let found = [false, true].map(|beside| {
        let (mut world, _server) = relays_only(|_, config| {
            let credentials = Credentials::new(b"ada", b"correct horse").expect("short");
            let dead = Server::new("turn:192.0.2.9".parse().expect("a URI"), Some(credentials));
            config.gathering.servers.splice(..0, Some(dead).filter(|_| beside));
        });
        let mut signalling = Signalling::new(&world, ms(60));
        assert!(signalling.run_to_selection(&mut world, ms(3_000)));
        world.assert_agreed();
        let relay = |event: &Event| matches!(event, Event::LocalCandidate { .. });
        [0, 1].map(|side| world.first(side, relay).expect("a relay"))
    });
    for side in 0..2 {
        // A slot for each of two servers in each of two round trips.
        assert!(found[1][side].since(found[0][side]) <= ms(4 * 5), "{found:?}");
    }
}

/// Allocations, permissions and channels are renewed, over nonces that go stale, for as long as they are used.
#[test]
fn p40_p18_p14_an_hour_and_a_half_over_two_relays_passes_without_a_change() {
    let (mut world, server) = relays_only(|_, _| {});
    let mut signalling = Signalling::new(&world, ms(60));
    assert!(signalling.run_to_selection(&mut world, ms(10_000)));
    let states = world.sides.each_ref().map(Bench::states);
    for _ in 0..90 {
        signalling.run(&mut world, Duration::from_secs(60));
        assert!(world.send(0, b"\x80 to") && world.send(1, b"\x80 fro"));
    }
    signalling.run(&mut world, ms(1_000));
    assert_eq!(world.sides.each_ref().map(Bench::states), states);
    assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [90, 90], "not one is lost");
    assert_eq!(server.allocations(), 2);
    for side in &world.sides {
        assert!(side.first(|event| matches!(event, Event::RelayLost { .. })).is_none());
    }
    assert_hidden(&world, &HOSTS);
}

/// When each side can send, with relays gathered before the two are introduced; and how long a datagram takes from one
/// host over both relays to the other and back.
fn usable(roles: [Role; 2], hanging: bool, rtt: Duration) -> ([Duration; 2], Duration) {
    let (mut world, _server) = relay::relayed([true, true], rtt, |side, config| {
        (config.gathering.policy, config.role) = (Policy::RelayOnly, roles[side]);
        let credentials = Credentials::new(b"ada", b"correct horse").expect("short");
        let dead = Server::new("turn:192.0.2.9".parse().expect("a URI"), Some(credentials));
        config.gathering.servers.splice(..0, Some(dead).filter(|_| hanging));
    });
    for side in 0..2 {
        relay::gather_relay(&mut world, side);
    }
    world.introduce();
    let (from, until) = (world.now, world.now.after(ms(5_000)));
    let valid = |world: &World, side| world.first(side, |event| matches!(event, Event::PairValid { .. }));
    assert!(world.run_until(until, |world| (0..2).all(|side| valid(world, side).is_some())), "{rtt:?}");
    for (side, payload) in [b"\x80 to", b"\x80 of"].into_iter().enumerate() {
        assert!(world.send(side, payload), "what is valid carries data");
    }
    world.run(3 * rtt);
    assert_eq!(world.sides.each_ref().map(|side| side.data.len()), [1, 1]);
    // From the host to its relay, from there to the other one, and down to the host; and back.
    ([0, 1].map(|side| valid(&world, side).expect("valid").since(from)), 3 * rtt)
}

#[test]
fn p40_p01_usable_two_round_trips_after_the_introduction_whoever_controls_and_whatever_hangs() {
    let roles = [Role::Controlling, Role::Controlled];
    for rtt in [9, 47, 203].map(ms) {
        let (usual, path) = usable(roles, false, rtt);
        // The one pair is the first in the order of checks.
        assert!(usual.iter().all(|time| *time <= 2 * path + ms(5)), "{rtt:?}: {usual:?}");
        for (roles, hanging) in [([roles[1], roles[0]], false), (roles, true), ([roles[1], roles[0]], true)] {
            let (other, _) = usable(roles, hanging, rtt);
            for (usual, other) in usual.into_iter().zip(other) {
                assert!(
                    other < usual + path + ms(5),
                    "{roles:?}, hanging: {hanging}: {other:?}, not {usual:?}"
                );
            }
        }
    }
}

#[test]
fn p40_p10_what_may_be_ignored_is_and_what_may_not_is_refused_over_a_relay() {
    let (mut world, _server) = relays_only(|_, _| {});
    let relays = [0, 1].map(|side| relay::gather_relay(&mut world, side));
    world.introduce();
    assert!(world.run_to_selection(ms(10_000)));
    let [ours, theirs] = [0, 1].map(|side| world.sides[side].agent.local_parameters().clone());
    for (others, code) in [
        (vec![], None),
        (vec![0x8000, 0xC001, 0xC057, 0xC059, 0xC060, 0xFFFF], None),
        (vec![0xC057, 0x0031], Some(420)),
    ] {
        let before = world.log.len();
        let id = world.sides[0].new_id();
        let ask = Ask { others: others.clone(), ..Ask::controlled().between(&ours, &theirs) };
        world.inject(relays[1], relays[0], ask.bytes(id));
        world.run(ms(100));
        // As it leaves the relay; what a relay receives of the other's is its own business.
        let answered = |one: &&Datagram| {
            (one.from, one.to) == (relays[0], relays[1])
                && Message::parse(&one.bytes).is_ok_and(|message| message.transaction_id() == id)
        };
        let answers: Vec<_> = world.log[before..].iter().filter(answered).collect();
        let [answer] = answers[..] else { panic!("{others:x?}: {} answers", answers.len()) };
        let answer = read_answer_under(ours.pwd.expose(), &answer.bytes);
        assert_eq!((answer.code, answer.unknown), (code, if code.is_some() { vec![0x0031] } else { vec![] }));
    }
    world.assert_agreed();
    assert_hidden(&world, &HOSTS);
}

#[test]
fn p40_p10_lines_of_browsers_are_paired_with_the_relay_alone() {
    let (mut world, _server) = relays_only(|_, _| {});
    let own = relay::gather_relay(&mut world, 0);
    world.tell_parameters(0);
    for line in [
        "candidate:842163049 1 udp 1677729535 203.0.113.4 46154 typ srflx raddr 10.0.0.17 rport 46154 generation 0 network-cost 999",
        "candidate:0 1 UDP 2122252543 10.0.1.7 49203 typ host",
        "candidate:1467250027 1 udp 2122260223 10.0.1.196 56280 typ host generation 0 network-id 1 network-cost 10",
    ] {
        let parsed: CandidateLine = line.parse().expect(line);
        let now = world.now;
        let added = world.sides[0].agent.add_remote_candidate(now, STREAM, &parsed).expect("in time");
        assert_eq!(added, Added::Added, "{line}");
        world.collect(0);
    }
    let agent = &world.sides[0].agent;
    assert_eq!(agent.pairs().count(), 3);
    assert!(agent.pairs().all(|pair| pair.local.address == own));
    world.run(ms(60_000));
    assert_hidden(&world, &HOSTS[..1]);
}
