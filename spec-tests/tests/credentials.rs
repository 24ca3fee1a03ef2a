//! TURN credentials that run out on a long call (P19): a new password, a new user.

use std::{cell::Cell, rc::Rc, time::Duration};

use floe_agent::{
    ApiError, Event, MoveReason, Policy, RestartReason, Server, State,
    pair::{CandidateType, TransportAddress},
    turn::Credentials,
};
use spec_tests::wire::{
    Fate, RTP, STREAM, World, address, ms,
    relay::{self, HOSTS, OnWire, SERVER},
    signal::{Signalling, Talk},
};

const BOTH: [usize; 2] = [0, 1];
/// The relay that the server gives after the first two.
const NEXT_RELAY: &str = "192.0.2.1:50002";

fn credentials(name: &str, password: &str) -> Credentials {
    Credentials::new(name.as_bytes(), password.as_bytes()).expect("short")
}

/// Two agents over two relays, of which the server knows no more than that.
fn connected(renomination: bool) -> (World, OnWire, Signalling) {
    let (mut world, server) = relay::relayed([true, true], ms(40), |_, config| {
        (config.renomination, config.gathering.policy) = (renomination, Policy::RelayOnly);
    });
    let mut signalling = Signalling::new(&world, ms(60));
    assert!(signalling.run_to_selection(&mut world, ms(10_000)));
    signalling.run(&mut world, ms(5_000));
    (world, server, signalling)
}

fn set(world: &mut World, side: usize, name: &str, password: &str) {
    let given = credentials(name, password);
    world.sides[side].now = world.now;
    world.sides[side].agent.set_credentials(world.now, 0, &given, None).expect("there is this server");
    world.collect(side);
}

fn restart(world: &mut World, side: usize) {
    world.sides[side].now = world.now;
    world.sides[side].agent.restart(world.now).expect("open");
    world.collect(side);
}

/// Nothing gets through to or from the relay that comes next, until that is unset.
fn bar_next_relay(world: &mut World) -> Rc<Cell<bool>> {
    let barred = Rc::new(Cell::new(true));
    let (bars, mut judge) =
        (Rc::clone(&barred), std::mem::replace(&mut world.judge, Box::new(|_| Fate::Lost)));
    world.judge = Box::new(move |one| {
        let next = [one.from, one.to].contains(&address(NEXT_RELAY));
        if next && bars.get() { Fate::Lost } else { judge(one) }
    });
    barred
}

fn suggested(event: &Event) -> bool {
    matches!(event, Event::RestartSuggested { reason: RestartReason::Policy, .. })
}

/// The relay that a side sends from.
fn sends_from(world: &World, side: usize) -> TransportAddress {
    let selected = world.sides[side].agent.selected(STREAM, RTP).expect("a selected pair");
    assert_eq!(selected.local.kind, CandidateType::Relayed);
    selected.local.address
}

fn has(world: &World, side: usize, wanted: impl Fn(&Event) -> bool) -> usize {
    world.sides[side].events.iter().filter(|(_, event)| wanted(event)).count()
}

fn is_wanted(event: &Event) -> bool {
    matches!(event, Event::CredentialsWanted { server: 0 })
}

/// Longer than an allocation, a permission and a channel last.
const LONG: Duration = Duration::from_secs(1_500);

/// Talks for as long, a second of each half minute.
fn talk_long(world: &mut World, signalling: &mut Signalling, talk: &mut Talk) {
    let end = world.now.after(LONG);
    while world.now < end {
        talk.on(world, signalling, 1_000);
        signalling.run(world, ms(29_000));
    }
}

fn assert_hidden(world: &World) {
    let hosts = HOSTS.map(|ip| address(&format!("{ip}:1")).ip());
    assert!(world.log.iter().all(|one| !hosts.contains(&one.from.ip()) || one.to == address(SERVER)));
}

#[test]
fn p19_a_new_password_of_the_same_user_is_used_by_the_next_request() {
    let (mut world, server, mut signalling) = connected(false);
    let before = BOTH.map(|side| sends_from(&world, side));
    let mut talk = Talk::new(&mut world);
    server.set_user("ada", Some("battery staple"));
    for side in BOTH {
        set(&mut world, side, "ada", "battery staple");
    }
    talk_long(&mut world, &mut signalling, &mut talk);
    talk.end(&mut world);
    assert_eq!(BOTH.map(|side| sends_from(&world, side)), before);
    assert_eq!(server.allocations(), 2, "the same ones");
    assert_eq!(BOTH.map(|side| has(&world, side, is_wanted)), [0, 0]);
}

#[test]
fn p19_the_first_401_asks_for_credentials_which_come_in_time() {
    let (mut world, server, mut signalling) = connected(false);
    let mut talk = Talk::new(&mut world);
    server.set_user("ada", Some("battery staple"));
    let (start, end) = (world.now, world.now.after(LONG));
    let mut given = [false; 2];
    while world.now < end {
        talk.on(&mut world, &mut signalling, 200);
        signalling.run(&mut world, ms(800));
        for side in BOTH {
            if !given[side] && has(&world, side, is_wanted) > 0 {
                given[side] = true;
                set(&mut world, side, "ada", "battery staple");
            }
        }
    }
    talk.end(&mut world);
    assert_eq!((given, server.allocations()), ([true, true], 2));
    for side in BOTH {
        assert_eq!(has(&world, side, is_wanted), 1, "once");
        let asked = world.first(side, is_wanted).expect("an event");
        assert!(asked.since(start) < Duration::from_secs(400), "with the first renewal of anything");
    }
}

/// Where it is known when they run out, others are asked for a minute before; with nothing to keep alive by them, never.
#[test]
fn p19_credentials_are_asked_for_before_they_run_out() {
    for relays in [true, false] {
        let until = floe_agent::stun::Instant::ORIGIN.after(Duration::from_secs(500));
        let (mut world, server) = relay::relayed([true, true], ms(40), |_, config| {
            config.gathering.servers[0].until = Some(until);
            config.gathering.policy = if relays { Policy::RelayOnly } else { Policy::All };
        });
        if !relays {
            world.judge = Box::new(|_| Fate::Arrives);
        }
        let mut signalling = Signalling::new(&world, ms(60));
        assert!(signalling.run_to_selection(&mut world, ms(10_000)));
        signalling.run(&mut world, Duration::from_secs(400));
        assert_eq!(BOTH.map(|side| has(&world, side, is_wanted)), [0, 0]);
        signalling.run(&mut world, Duration::from_secs(60));
        let expected = usize::from(relays);
        assert_eq!(BOTH.map(|side| has(&world, side, is_wanted)), [expected; 2]);
        if !relays {
            continue;
        }
        for side in BOTH {
            assert_eq!(world.first(side, is_wanted), Some(floe_agent::stun::Instant::from_millis(440_000)));
            let (next, given) = (until.after(LONG), credentials("ada", "correct horse"));
            world.sides[side].agent.set_credentials(world.now, 0, &given, Some(next)).expect("known");
        }
        signalling.run(&mut world, LONG);
        assert_eq!(BOTH.map(|side| has(&world, side, is_wanted)), [2, 2]);
        assert_eq!(server.allocations(), 2);
    }
}

/// Who controls moves, with renomination, to a second allocation; the first one is given back. Nothing is lost.
#[test]
fn p40_p19_data_moves_to_the_allocation_of_a_new_user() {
    let (mut world, server, mut signalling) = connected(true);
    let before = sends_from(&world, 0);
    let mut talk = Talk::new(&mut world);
    server.set_user("bea", Some("tr0ub4dor"));
    set(&mut world, 0, "bea", "tr0ub4dor");
    talk.on(&mut world, &mut signalling, 3_000);
    let moved = |event: &Event| matches!(event, Event::Moved { reason: MoveReason::Policy, .. });
    assert_eq!(has(&world, 0, moved), 1, "{:?}", world.sides[0].events);
    let after = sends_from(&world, 0);
    assert_ne!(after, before);
    assert_eq!(server.allocations(), 3, "the old one is there until nothing uses it");
    talk.on(&mut world, &mut signalling, 40_000);
    assert_eq!(server.allocations(), 2, "it was given back");
    // The first user is of no use any more, to this side.
    server.set_user("ada", Some("another"));
    set(&mut world, 1, "ada", "another");
    talk_long(&mut world, &mut signalling, &mut talk);
    talk.end_in_any_order(&mut world);
    assert_eq!(sends_from(&world, 0), after);
    assert_eq!(world.sides.each_ref().map(|side| side.agent.state()), [State::Completed; 2]);
    assert_eq!(has(&world, 0, is_wanted), 0);
    assert_hidden(&world);
}

/// Where nobody may move, a restart does, and it has the new allocation alone.
#[test]
fn p40_p19_without_renomination_a_restart_takes_the_new_allocation() {
    for side in BOTH {
        let (mut world, server, mut signalling) = connected(false);
        let before = sends_from(&world, side);
        let mut talk = Talk::new(&mut world);
        server.set_user("bea", Some("tr0ub4dor"));
        set(&mut world, side, "bea", "tr0ub4dor");
        talk.on(&mut world, &mut signalling, 3_000);
        assert_eq!(has(&world, side, suggested), 1, "side {side}: {:?}", world.sides[side].events);
        assert_eq!(sends_from(&world, side), before, "side {side}");
        restart(&mut world, side);
        talk.on(&mut world, &mut signalling, 10_000);
        let after = sends_from(&world, side);
        assert_ne!(after, before, "side {side}");
        talk.on(&mut world, &mut signalling, 60_000);
        assert_eq!(server.allocations(), 2, "side {side}");
        server.set_user("ada", Some("another"));
        set(&mut world, 1 - side, "ada", "another");
        talk_long(&mut world, &mut signalling, &mut talk);
        talk.end_in_any_order(&mut world);
        assert_eq!(sends_from(&world, side), after, "side {side}");
        assert_hidden(&world);
    }
}

/// A peer that controls moves where it sees fit; where it does not, a restart is suggested before the allocation ends.
#[test]
fn p40_p19_the_controlled_side_is_moved_or_restarts_in_time() {
    for peer_sees in [true, false] {
        let (mut world, server, mut signalling) = connected(true);
        let before = sends_from(&world, 1);
        let mut talk = Talk::new(&mut world);
        server.set_user("bea", Some("tr0ub4dor"));
        let barred = bar_next_relay(&mut world);
        barred.set(!peer_sees);
        set(&mut world, 1, "bea", "tr0ub4dor");
        talk.on(&mut world, &mut signalling, 3_000);
        assert_eq!(sends_from(&world, 1) != before, peer_sees);
        server.set_user("ada", Some("another"));
        set(&mut world, 0, "ada", "another");
        let end = world.now.after(LONG);
        while world.now < end {
            talk.on(&mut world, &mut signalling, 1_000);
            signalling.run(&mut world, ms(9_000));
            if has(&world, 1, suggested) == 1
                && has(&world, 1, |event| matches!(event, Event::Restarted { .. })) == 0
            {
                barred.set(false);
                restart(&mut world, 1);
            }
        }
        talk.end_in_any_order(&mut world);
        assert_eq!(has(&world, 1, suggested), usize::from(!peer_sees));
        assert_ne!(sends_from(&world, 1), before);
        assert_eq!(server.allocations(), 2);
        assert_hidden(&world);
    }
}

/// Who gives others after the server has refused those before has no time to see whether its peer moves.
#[test]
fn p40_p19_after_the_first_401_the_controlled_side_is_told_to_restart_at_once() {
    let (mut world, server, mut signalling) = connected(true);
    let before = sends_from(&world, 1);
    let barred = bar_next_relay(&mut world);
    let mut talk = Talk::new(&mut world);
    // The account stays, so that what was allocated to it can be told from that of others.
    server.set_user("ada", Some("another"));
    server.set_user("bea", Some("tr0ub4dor"));
    set(&mut world, 0, "ada", "another");
    let end = world.now.after(LONG);
    while has(&world, 1, is_wanted) == 0 && world.now < end {
        talk.on(&mut world, &mut signalling, 100);
    }
    set(&mut world, 1, "bea", "tr0ub4dor");
    assert_eq!(has(&world, 1, suggested), 1);
    barred.set(false);
    restart(&mut world, 1);
    talk_long(&mut world, &mut signalling, &mut talk);
    talk.end_in_any_order(&mut world);
    assert_ne!(sends_from(&world, 1), before);
    assert_eq!(server.allocations(), 2);
}

/// RFC 8445 §8.3.1: an allocation that comes when no pair wants it is given back.
#[test]
fn p19_what_would_take_the_place_of_a_pair_that_is_only_kept_is_given_back() {
    let (mut world, server) = relay::relayed([true, false], ms(40), |_, _| {});
    let _ = relay::gather_relay(&mut world, 0);
    world.run(ms(200));
    world.introduce();
    // The direct way is open when a pair over the relay is valid already.
    world.run(ms(150));
    world.judge = Box::new(|_| Fate::Arrives);
    let relayed = world.sides[0].agent.pairs().find(|pair| pair.local.kind == CandidateType::Relayed);
    let relayed = relayed.filter(|pair| pair.valid).expect("a pair over the relay").id;
    let now = world.now;
    world.sides[0].agent.keep(now, relayed, true).expect("there is this pair");
    world.collect(0);
    world.run(Duration::from_secs(20));
    let selected = world.sides[0].agent.selected(STREAM, RTP).expect("a selected pair");
    assert_eq!((selected.local.kind, server.allocations()), (CandidateType::Host, 1));
    server.set_user("bea", Some("tr0ub4dor"));
    set(&mut world, 0, "bea", "tr0ub4dor");
    world.run(Duration::from_secs(20));
    assert_eq!(server.allocations(), 1, "the pair that is kept has its own");
    assert_eq!(has(&world, 0, suggested), 0);
}

/// Whoever is refused, or still being answered, is asked again with what is given.
#[test]
fn p19_credentials_that_come_while_gathering_are_asked_with() {
    for wait in [0, 10, 45, 70, 90, 2_000] {
        let (mut world, server) = relay::relayed([true, true], ms(40), |side, config| {
            config.gathering.policy = Policy::RelayOnly;
            if side == 0 {
                let url = format!("turn:{}", SERVER.replace(":3478", "")).parse().expect("a URI");
                config.gathering.servers = vec![Server::new(url, Some(credentials("eve", "guessed")))];
            }
        });
        let mut signalling = Signalling::new(&world, ms(60));
        signalling.run(&mut world, ms(wait));
        set(&mut world, 0, "ada", "correct horse");
        if has(&world, 0, |event| matches!(event, Event::EndOfCandidates { .. })) > 0 {
            // RFC 8838 §13: what is found now cannot be told.
            restart(&mut world, 0);
        }
        assert!(signalling.run_to_selection(&mut world, ms(10_000)), "{wait} ms");
        signalling.run(&mut world, ms(20_000));
        assert_eq!(server.allocations(), 2, "{wait} ms");
        world.assert_agreed();
    }
}

#[test]
fn p19_there_is_no_such_server() {
    let (mut world, _) = relay::relayed([true, false], ms(40), |_, _| {});
    let given = credentials("ada", "correct horse");
    for (side, server) in [(0, 1), (1, 0), (0, usize::MAX)] {
        let said = world.sides[side].agent.set_credentials(world.now, server, &given, None);
        assert_eq!(said, Err(ApiError::NoSuchServer(server)));
    }
    let now = world.now;
    world.sides[0].agent.close(now);
    assert_eq!(world.sides[0].agent.set_credentials(now, 0, &given, None), Err(ApiError::Closed));
}
