use core::time::Duration;
use std::boxed::Box;
use std::vec::Vec;

use floe_stun::{Instant, Message, Method};

use super::server::{Act, Server, channel_data, data_indication};
use super::world::{World, addr, ip};
use crate::{Event, Incoming, LostReason, PermissionError, RequestError};

const PEER: &str = "203.0.113.5";
const PORT: &str = "203.0.113.5:7000";
const FOUR: Duration = Duration::from_secs(4);

fn releases(world: &World) -> usize {
    world.server.seen.iter().filter(|seen| seen.lifetime == Some(0)).count()
}

fn released(world: &World) -> usize {
    world.events.iter().filter(|(_, event)| *event == Event::Released).count()
}

#[test]
fn trn_08_p23_t29_close_gives_the_allocation_back() {
    let mut world = World::open().permitted(PEER).bound(PORT);
    let number = world.client.channel(addr(PORT)).unwrap().0.get();
    world.client.close(world.now);
    // From here on no data passes, in either direction, and nothing else is asked for.
    assert!(!world.client.is_open());
    assert_eq!(world.client.channel(addr(PORT)), None);
    assert_eq!(world.client.permission(ip(PEER)), None);
    for datagram in [channel_data(number, b"x"), data_indication(Some(addr(PORT)), Some(b"x"), None)] {
        assert!(matches!(world.inject(&datagram), Incoming::Dropped(_)));
    }
    assert_eq!(world.client.poll_timeout(), Some(world.now), "due at once");
    world.run(FOUR);
    assert!(world.server.held.is_none());
    assert_eq!((world.last(), released(&world), releases(&world)), (Event::Released, 1, 1));
    assert!(world.client.is_released());
    assert_eq!(world.client.poll_timeout(), None);
    // It is over: no command does anything any more.
    world.client.close(world.now);
    world.client.allocate(world.now);
    world.client.permit(world.now, ip(PEER));
    world.client.bind_channel(world.now, addr(PORT));
    world.run(FOUR);
    assert!(!world.client.wants_slot());
    assert_eq!((released(&world), world.server.held.is_none()), (1, true));
}

#[test]
fn p23_close_gets_through_loss_and_stale_nonces() {
    let mut held = 0;
    for seed in 0..50 {
        let mut server = Server::new();
        server.nonce_period = Duration::from_millis(700);
        let mut world = World::with(server, |_| {}).opened();
        world.run(Duration::from_millis(seed * 13));
        world.loss_percent = 10;
        world.client.close(world.now);
        let start = world.now;
        world.run(FOUR);
        let (at, _) = *world.events.iter().find(|(_, event)| *event == Event::Released).expect("in any case");
        assert!(at.since(start) <= Duration::from_secs(3));
        held += usize::from(world.server.held.is_some());
    }
    assert!(held <= 1, "{held} of 50 were left behind");
}

/// RFC 8445 §14.3 is about gathering: what follows an allocation is retransmitted as RFC 8489 §6.2.1 says.
#[test]
fn ice_42_p23_the_allocate_request_alone_has_the_rto_of_gathering() {
    let mut world = World::with(Server::new(), |config| config.rto = FOUR);
    world.client.allocate(world.now);
    world.connected = false;
    let (start, before) = (world.now, world.sent);
    world.run(Duration::from_millis(3_999));
    assert_eq!(world.sent - before, 1);
    world.connected = true;
    world.run(Duration::from_secs(1));
    assert!(world.client.is_open(), "{:?}", world.events);
    assert!(world.events[0].0.since(start) >= FOUR);
    world.server.script = Some(Box::new(|_, _| Act::Ignore));
    world.client.permit(world.now, ip(PEER));
    world.client.bind_channel(world.now, addr(PORT));
    world.client.keep(world.now, Duration::from_secs(60));
    let start = world.now;
    world.run(Duration::from_millis(600));
    for method in [Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let of_it = world.server.seen.iter().filter(|seen| seen.method == method && seen.at > start);
        let times: Vec<_> = of_it.map(|seen| seen.at.since(start).as_millis()).collect();
        assert_eq!(times, [20, 520], "{method}");
    }
    world.client.close(world.now);
    world.run(FOUR);
    assert_eq!((releases(&world), world.client.is_released()), (3, true));
}

#[test]
fn a_server_that_is_gone_does_not_hold_up_the_end() {
    let mut world = World::open();
    world.connected = false;
    let before = world.sent;
    world.client.close(world.now);
    let start = world.now;
    world.run(FOUR);
    assert_eq!(world.last(), Event::Released);
    assert_eq!(world.events.last().unwrap().0.since(start), Duration::from_secs(3));
    assert_eq!(world.sent - before, 3);
}

#[test]
fn a_server_that_says_401_where_it_means_438_still_loses_the_allocation() {
    let mut server = Server::new();
    server.nonce_period = Duration::from_secs(30);
    server.stale_codes = [401].into();
    let mut world = World::with(server, |_| {}).opened();
    world.run(Duration::from_secs(31));
    world.client.close(world.now);
    world.run(FOUR);
    assert!(world.server.held.is_none());
    assert_eq!(releases(&world), 2);
}

#[test]
fn rfc8656_8_3_437_to_a_release_is_as_good_as_success() {
    let mut world = World::open();
    world.server.held = None;
    world.client.close(world.now);
    world.run(Duration::from_millis(50));
    assert_eq!(world.last(), Event::Released);
    assert_eq!(world.server.seen.last().unwrap().answer, 437);
}

#[test]
fn a_release_that_is_refused_ends_too() {
    for code in [400, 403, 441, 500] {
        let mut world = World::open();
        world.server.script = Some(Box::new(move |_, _| Act::Error(code)));
        world.client.close(world.now);
        world.run(Duration::from_millis(50));
        assert_eq!(world.last(), Event::Released, "{code}");
    }
}

#[test]
fn p23_close_while_allocating_leaves_nothing_behind() {
    for millis in 0..120 {
        for loss in [0, 30] {
            let mut world = World::new();
            world.client.allocate(world.now);
            world.loss_percent = loss;
            world.run(Duration::from_millis(millis));
            world.client.close(world.now);
            world.loss_percent = 0;
            world.run(FOUR);
            assert!(world.server.held.is_none(), "after {millis} ms, {loss} % lost");
            assert_eq!(released(&world), 1);
            assert!(world.client.is_released());
            let seen = world.server.seen.len();
            world.run(Duration::from_secs(100));
            assert_eq!(world.server.seen.len(), seen);
        }
    }
}

#[test]
fn close_before_anything_was_sent_is_released_at_once() {
    for slots in [false, true] {
        let mut world = World::new();
        world.slots = slots;
        if slots {
            world.connected = false;
        }
        world.client.allocate(world.now);
        if !slots {
            assert!(world.client.take_slot(world.now, &mut world.rng));
        }
        world.client.close(world.now);
        assert_eq!(world.client.poll_timeout(), None);
        assert_eq!(world.client.poll_event(), Some(Event::Released));
        assert_eq!(world.client.poll_transmit(&mut [0; 1_500]), None);
    }
    let mut world = World::new();
    world.client.close(world.now);
    assert_eq!(world.client.poll_event(), Some(Event::Released));
}

#[test]
fn p23_an_allocate_that_arrives_after_the_release_is_released_as_well() {
    // Carried out only when it is sent again, and the release gets there before.
    let mut world = World::new();
    world.server.script = Some(Box::new(|method, message| {
        if method == Method::ALLOCATE && message.has_integrity() { Act::Mute } else { Act::Normal }
    }));
    world.client.allocate(world.now);
    world.run(Duration::from_millis(70));
    assert!(world.server.held.is_some(), "granted, and the answer was lost");
    world.client.close(world.now);
    world.run(FOUR);
    assert!(world.server.held.is_none());
    assert_eq!(released(&world), 1);
}

#[test]
fn after_close_late_answers_do_nothing() {
    let mut world = World::new();
    world.client.allocate(world.now);
    world.slots = false;
    world.run(Duration::from_secs(1));
    assert!(world.client.take_slot(world.now, &mut world.rng));
    let mut buffer = [0; 1_500];
    let len = world.client.poll_transmit(&mut buffer).unwrap();
    let late = world.server.handle(world.now, &buffer[..len]).unwrap();
    assert!(Message::parse(&late).is_ok());
    world.client.close(world.now);
    world.connected = false;
    world.run(FOUR);
    assert!(world.client.is_released());
    assert!(matches!(world.inject(&late), Incoming::Dropped(_)));
    assert!(!world.client.is_open());
    assert_eq!(world.client.poll_timeout(), None);
    assert_eq!(world.client.poll_event(), None);
}

#[test]
fn trn_06_437_to_anything_but_allocate_means_the_allocation_is_gone() {
    let table: [(Method, u64); 3] =
        [(Method::REFRESH, 401), (Method::CREATE_PERMISSION, 201), (Method::CHANNEL_BIND, 401)];
    for (method, seconds) in table {
        let mut world = World::open().permitted(PEER).bound(PORT);
        world.server.script =
            Some(Box::new(move |seen, _| if seen == method { Act::Error(437) } else { Act::Normal }));
        world.run(Duration::from_secs(seconds));
        assert_eq!(world.last(), Event::Lost(LostReason::Mismatch), "{method}");
        assert!(!world.client.is_open());
        assert_eq!(world.client.channel(addr(PORT)), None);
        assert_eq!(world.client.permission(ip(PEER)), None);
        assert_eq!(world.client.poll_timeout(), None, "nothing is sent any more");
        world.client.permit(world.now, ip(PEER));
        world.run(FOUR);
        assert_eq!(world.last(), Event::PermissionRefused(ip(PEER), PermissionError::NoAllocation));
        // A new one may be made.
        world.server.script = None;
        world.server.held = None;
        world.client.allocate(world.now);
        world.run(FOUR);
        assert!(world.client.is_open());
    }
}

#[test]
fn a_restarted_server_is_noticed_by_the_next_renewal() {
    let mut world = World::open().permitted(PEER);
    world.server.held = None;
    world.server.realm = super::server::REALM.into();
    world.run(Duration::from_secs(201));
    assert_eq!(world.last(), Event::Lost(LostReason::Mismatch));
}

#[test]
fn an_allocation_that_could_not_be_renewed_is_lost_at_its_end_and_not_before() {
    let mut world = World::open().bound(PORT);
    let until = world.client.expires().unwrap();
    world.connected = false;
    world.run(until.since(world.now));
    let lost: Vec<(Instant, Event)> =
        world.events.iter().filter(|(_, event)| matches!(event, Event::Lost(_))).copied().collect();
    assert_eq!(lost, [(until, Event::Lost(LostReason::Expired(Some(RequestError::TimedOut))))]);
    // The server may hold it still, if only the answers were lost.
    world.connected = true;
    world.server.held = World::open().server.held;
    world.run(Duration::from_secs(2));
    assert!(world.server.held.is_none());
    assert_eq!(released(&world), 0, "nobody has asked for the end");
    world.client.close(world.now);
    world.run(FOUR);
    assert_eq!(released(&world), 1);
}

#[test]
fn a_new_allocation_waits_until_the_lost_one_is_deleted() {
    let mut world = World::open();
    world.server.lifetime = 1;
    world.slots = false;
    while world.client.is_open() {
        world.run(Duration::from_millis(1));
    }
    world.server.lifetime = 600;
    world.client.allocate(world.now);
    assert!(!world.client.wants_slot(), "a 437 would be the answer");
    world.slots = true;
    world.run(Duration::from_secs(1));
    assert!(world.client.is_open());
    assert_eq!(releases(&world), 1);
}

#[test]
fn a_lifetime_shortened_to_nothing_is_a_loss() {
    let mut world = World::open();
    world.server.lifetime = 0;
    world.run(Duration::from_secs(500));
    assert!(world.has(&Event::Lost(LostReason::UnusableLifetime(0))));
    assert!(world.server.held.is_none());
}

/// RFC 8445 §5.1.1.4: what a restart of ICE asks for, long after nobody kept the mapping of a NAT.
#[test]
fn p17_an_allocation_that_is_kept_again_is_renewed_at_once_and_then_each_interval() {
    let mut world = World::with(Server::new(), |config| config.keep = Some(Duration::from_secs(15))).opened();
    world.client.stop_keeping();
    world.run(Duration::from_secs(60));
    let before = world.sent;
    world.client.keep(world.now, Duration::from_secs(15));
    assert!(world.client.is_renewing() && world.client.poll_timeout() == Some(world.now));
    world.run(Duration::from_secs(1));
    assert!(!world.client.is_renewing());
    assert_eq!(world.sent - before, 1);
    // What is kept already may be gone as well: it is asked about, and then goes on as it was.
    world.client.keep(world.now, Duration::from_secs(15));
    world.client.keep(world.now, Duration::from_secs(15));
    assert!(world.client.is_renewing());
    world.run(Duration::from_secs(1));
    assert_eq!(world.sent - before, 2, "once at a time");
    world.run(Duration::from_secs(60));
    assert_eq!(world.sent - before, 6);
    // One that is gone is noticed at once.
    world.client.stop_keeping();
    world.server.held = None;
    world.client.keep(world.now, Duration::from_secs(15));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::Lost(LostReason::Mismatch));
    assert!(!world.client.is_renewing());
}

/// A restart of ICE asks about the allocation now: the Refresh of before has hardly any requests left.
#[test]
fn p17_a_refresh_that_is_nearly_over_is_made_again_when_the_allocation_is_kept_again() {
    for (age, again) in [(0, false), (1, false), (4, true), (5, true), (16, true), (39, true)] {
        let mut world =
            World::with(Server::new(), |config| config.keep = Some(Duration::from_secs(15))).opened();
        world.connected = false;
        let refresh = world.client.poll_timeout().expect("a Refresh");
        let until = refresh.after(Duration::from_secs(age)).since(world.now);
        world.run(until);
        let before = world.sent;
        world.client.keep(world.now, Duration::from_secs(15));
        assert!(world.client.is_renewing());
        assert_eq!(world.client.poll_timeout() == Some(world.now), again, "after {age} s");
        world.connected = true;
        world.run(Duration::from_secs(2));
        assert!(!world.client.is_renewing(), "after {age} s: known to the server");
        assert!((1..=2).contains(&(world.sent - before)), "after {age} s: {}", world.sent - before);
    }
}
