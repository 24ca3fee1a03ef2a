//! With relays only (P40) sessions connect, agree and last as they do otherwise.

use std::time::Duration;

use floe_agent::{
    AgentConfig, Event, Policy, Server, State,
    pair::{CandidateType, Role},
    turn::Credentials,
};
use spec_tests::wire::{
    Bench, Fate, RTP, STREAM, World, address, ms,
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
