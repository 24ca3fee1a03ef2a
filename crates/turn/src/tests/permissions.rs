use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::vec::Vec;

use floe_stun::{ChannelNumber, Instant, Method};

use super::server::{Act, PASSWORD, Server};
use super::world::{World, addr, ip};
use crate::{ChannelError, Event, MAX_CHANNELS, MAX_PERMISSIONS, PermissionError, RequestError};

const PEER: &str = "203.0.113.5";
const PORT: &str = "203.0.113.5:7000";

fn peer(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0xCB00_7100 + number))
}

fn refused(code: u16) -> PermissionError {
    PermissionError::Request(RequestError::Refused { code })
}

/// Until when the server holds the permission, for comparison with what the client believes.
fn held(world: &World, peer: IpAddr) -> Option<Instant> {
    world.server.held.as_ref()?.permissions.get(&peer).copied()
}

#[test]
fn trn_10_a_permission_is_for_an_address_and_lasts_while_it_is_wanted() {
    let mut world = World::open();
    assert_eq!(world.client.permission(ip(PEER)), None);
    world.slots = false;
    world.client.permit(world.now, ip(PEER));
    world.run(Duration::from_secs(60));
    assert_eq!(world.server.count(Method::CREATE_PERMISSION), 0, "waits for a slot");
    world.slots = true;
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::PermissionGranted(ip(PEER)));
    world.slots = false;
    for _ in 0..3_600 {
        world.run(Duration::from_secs(1));
        let until = world.client.permission(ip(PEER)).expect("there all the time");
        assert!(until <= held(&world, ip(PEER)).unwrap(), "the client never believes in more than there is");
    }
    // One every 200 s, and none of them needed a slot.
    assert_eq!(world.server.count(Method::CREATE_PERMISSION), 1 + 18 + usize::from(renewed_by_438(&world)));
    world.client.forget(ip(PEER));
    world.run(Duration::from_secs(301));
    assert_eq!(world.client.permission(ip(PEER)), None);
    assert_eq!(held(&world, ip(PEER)), None);
    assert_eq!(world.events.len(), 2, "what was not wanted ends in silence");
}

fn renewed_by_438(world: &World) -> bool {
    world.server.seen.iter().any(|seen| seen.method == Method::CREATE_PERMISSION && seen.answer == 438)
}

#[test]
fn permit_is_idempotent_and_always_answered() {
    let mut world = World::open();
    for _ in 0..5 {
        world.client.permit(world.now, ip(PEER));
    }
    world.client.permit(world.now, ip("::ffff:203.0.113.5"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.server.count(Method::CREATE_PERMISSION), 1);
    assert_eq!(world.events.len(), 2);
    world.client.permit(world.now, ip(PEER));
    world.run(Duration::from_secs(1));
    assert_eq!(world.server.count(Method::CREATE_PERMISSION), 1);
    assert_eq!(world.events.len(), 3);
    assert_eq!(world.last(), Event::PermissionGranted(ip(PEER)));
}

#[test]
fn permit_before_the_allocation_waits_for_it_and_without_one_is_refused() {
    let mut world = World::new();
    world.client.permit(world.now, ip(PEER));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::PermissionRefused(ip(PEER), PermissionError::NoAllocation));
    world.client.allocate(world.now);
    world.client.permit(world.now, ip(PEER));
    world.client.permit(world.now, ip("2001:db8::9"));
    world.run(Duration::from_secs(1));
    assert!(world.has(&Event::PermissionGranted(ip(PEER))));
    assert!(world.has(&Event::PermissionRefused(ip("2001:db8::9"), PermissionError::FamilyNotHeld)));
    assert!(world.server.faults.is_empty());
}

#[test]
fn trn_11_p24_peers_are_asked_for_one_by_one_and_renewed_together() {
    let mut world = World::open();
    for number in 0..20 {
        world.client.permit(world.now, peer(number));
    }
    world.run(Duration::from_secs(1));
    let asked: Vec<_> = create_permissions(&world);
    assert_eq!(asked, [1; 20]);
    world.run(Duration::from_secs(250));
    assert_eq!(create_permissions(&world)[20..], [16, 4]);
    assert!((0..20).all(|number| world.client.permission(peer(number)).is_some()));
}

fn create_permissions(world: &World) -> Vec<usize> {
    let of_method = |seen: &&super::server::Seen| seen.method == Method::CREATE_PERMISSION;
    world.server.seen.iter().filter(of_method).map(|seen| seen.peers).collect()
}

#[test]
fn trn_11_p24_nine_bad_peers_do_not_hold_up_the_tenth() {
    for bad in [Act::Error(403), Act::Error(400), Act::ErrorUnsigned(400), Act::Ignore] {
        let mut world = World::open();
        world.server.script = Some(Box::new(move |method, message| {
            let peer = message.get::<floe_stun::attribute::XorPeerAddress>().ok().flatten();
            match peer {
                Some(peer) if method == Method::CREATE_PERMISSION && peer.0.ip() != self::peer(9) => bad,
                _ => Act::Normal,
            }
        }));
        for number in 0..10 {
            world.client.permit(world.now, peer(number));
        }
        world.run(Duration::from_millis(40));
        assert!(world.has(&Event::PermissionGranted(peer(9))), "{bad:?}: as fast as if it were alone");
        world.run(Duration::from_secs(60));
        for number in 0..9 {
            let refusals = world.events.iter().filter(
                |(_, event)| matches!(event, Event::PermissionRefused(refused, _) if *refused == peer(number)),
            );
            assert_eq!(refusals.count(), 1, "{bad:?}");
        }
        assert!(world.client.is_open());
    }
}

#[test]
fn p24_a_batch_that_is_refused_for_one_peer_falls_back_to_one_by_one() {
    let mut world = World::open();
    for number in 0..10 {
        world.client.permit(world.now, peer(number));
    }
    world.run(Duration::from_secs(1));
    world.server.refuse.insert(peer(3), 403);
    world.run(Duration::from_secs(310));
    assert_eq!(create_permissions(&world)[10..21], [10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    for number in 0..10 {
        assert_eq!(world.client.permission(peer(number)).is_some(), number != 3, "{number}");
    }
    assert!(world.has(&Event::PermissionRefused(peer(3), PermissionError::Expired)));
    // The bad one does not spoil later renewals either, and is not asked for in a loop.
    let before = create_permissions(&world).len();
    world.run(Duration::from_secs(3_600));
    for number in 0..10 {
        assert_eq!(world.client.permission(peer(number)).is_some(), number != 3, "{number}");
    }
    assert!(create_permissions(&world).len() - before < 10 * 20);
}

/// RFC 8656 §10.1: who was merely named beside the refused one is renewed with the others again.
#[test]
fn p24_trn_11_a_batch_is_split_once_and_the_peers_that_are_let_in_are_renewed_together_again() {
    let mut world = World::open();
    for number in 0..10 {
        world.client.permit(world.now, peer(number));
    }
    world.run(Duration::from_secs(1));
    world.server.refuse.insert(peer(3), 443);
    world.run(Duration::from_secs(210));
    assert_eq!(create_permissions(&world)[10..21], [10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    // It is let in again before its permission has run out, and stays on its own though it is due with the others.
    world.server.refuse.clear();
    world.client.set_password(world.now, PASSWORD).unwrap();
    world.run(Duration::from_secs(60));
    assert_eq!(create_permissions(&world)[21..], [1]);
    world.run(Duration::from_secs(800));
    assert_eq!(create_permissions(&world)[22..], [9, 1, 9, 1, 9, 1, 9, 1]);
    assert!((0..10).all(|number| world.client.permission(peer(number)).is_some()));
}

/// RFC 8489 §6.3.4: a request that met an error of the server is repeated after a pause, and does not become many.
#[test]
fn stn_08_p24_a_batch_that_meets_a_server_error_is_repeated_as_it_is() {
    for (code, errors, pauses) in [
        (500, 1, &[1_000][..]),
        (503, 3, &[1_000, 2_000, 4_000][..]),
        (599, 4, &[1_000, 2_000, 4_000, 8_000]),
    ] {
        let mut world = World::open();
        for number in 0..16 {
            world.client.permit(world.now, peer(number));
        }
        world.run(Duration::from_secs(190));
        let mut left = errors;
        world.server.script = Some(Box::new(move |method, _| match method {
            Method::CREATE_PERMISSION if left > 0 => {
                left -= 1;
                Act::Error(code)
            }
            _ => Act::Normal,
        }));
        world.run(Duration::from_secs(100));
        let batches: Vec<_> = world
            .server
            .seen
            .iter()
            .filter(|seen| seen.method == Method::CREATE_PERMISSION)
            .skip(16)
            .collect();
        assert!(batches.iter().all(|seen| seen.peers == 16), "{code}: {:?}", create_permissions(&world));
        // Each pause begins with the answer.
        let waits: Vec<_> =
            batches.windows(2).map(|two| two[1].at.since(two[0].at).as_millis() - 40).collect();
        assert_eq!(waits, pauses, "{code}");
        world.run(Duration::from_secs(1_000));
        assert!(create_permissions(&world)[16..].iter().all(|peers| *peers == 16), "{code}");
        assert!((0..16).all(|number| world.client.permission(peer(number)).is_some()), "{code}");
    }
}

/// A server that has no more room, or that goes on to fail, is left alone for a while; then each peer is asked for by
/// itself, so that none is lost with another one.
#[test]
fn stn_08_p24_a_batch_that_a_server_goes_on_to_fail_is_split_after_a_rest() {
    for (code, batches, rest) in [(508, 1, 60), (500, 5, 20), (441, 1, 60)] {
        let mut world = World::open();
        for number in 0..10 {
            world.client.permit(world.now, peer(number));
        }
        world.run(Duration::from_secs(1));
        world.server.refuse.insert(peer(3), code);
        world.run(Duration::from_secs(290));
        let asked: Vec<_> = world
            .server
            .seen
            .iter()
            .filter(|seen| seen.method == Method::CREATE_PERMISSION)
            .skip(10)
            .collect();
        let (whole, single) = asked.split_at(batches);
        assert!(whole.iter().all(|seen| seen.peers == 10), "{code}: {:?}", create_permissions(&world));
        assert!(single.iter().all(|seen| seen.peers == 1), "{code}: {:?}", create_permissions(&world));
        let waited = single[0].at.since(whole[batches - 1].at);
        assert!(waited >= Duration::from_secs(rest), "{code}: {waited:?}");
        world.run(Duration::from_secs(20));
        for number in 0..10 {
            assert_eq!(world.client.permission(peer(number)).is_some(), number != 3, "{code}: {number}");
        }
        // The others go together again.
        let before = create_permissions(&world).len();
        world.run(Duration::from_secs(400));
        assert!(create_permissions(&world)[before..].contains(&9), "{code}");
    }
}

#[test]
fn p24_a_refused_peer_is_not_asked_for_again_before_a_back_off() {
    let mut world = World::open();
    world.server.refuse.insert(ip(PEER), 403);
    let mut asked = Vec::new();
    for _ in 0..3_600 {
        world.client.permit(world.now, ip(PEER));
        world.run(Duration::from_secs(1));
        assert_eq!(world.last(), Event::PermissionRefused(ip(PEER), refused(403)));
        asked.push(world.server.count(Method::CREATE_PERMISSION));
    }
    assert_eq!(asked[0], 1);
    assert_eq!(asked[58], 1);
    assert!(*asked.last().unwrap() <= 7, "{:?}", asked.last());
    // It is let in as soon as the server lets it in and the back-off is over.
    world.server.refuse.clear();
    for _ in 0..1_000 {
        world.client.permit(world.now, ip(PEER));
        world.run(Duration::from_secs(1));
    }
    assert!(world.client.permission(ip(PEER)).is_some());
}

#[test]
fn errors_that_may_pass_are_met_with_a_pause_and_a_bounded_number_of_requests() {
    for (code, most) in [(500, 5), (401, 5), (438, 20)] {
        let mut world = World::open();
        world.server.script =
            Some(Box::new(
                move |method, _| {
                    if method == Method::CREATE_PERMISSION { Act::Error(code) } else { Act::Normal }
                },
            ));
        world.client.permit(world.now, ip(PEER));
        world.run(Duration::from_secs(120));
        let asked = world.server.count(Method::CREATE_PERMISSION);
        assert!((2..=most).contains(&asked), "{code}: {asked}");
        assert!(matches!(world.last(), Event::PermissionRefused(..)), "{code}");
    }
    // A passing one passes.
    let mut world = World::open();
    let mut errors = 2;
    world.server.script = Some(Box::new(move |method, _| match method {
        Method::CREATE_PERMISSION if errors > 0 => {
            errors -= 1;
            Act::Error(500)
        }
        _ => Act::Normal,
    }));
    world.client.permit(world.now, ip(PEER));
    world.run(Duration::from_secs(10));
    assert_eq!(world.last(), Event::PermissionGranted(ip(PEER)));
}

#[test]
fn the_table_of_permissions_is_bounded_and_refused_peers_make_room() {
    let limit = u32::try_from(MAX_PERMISSIONS).unwrap();
    let mut world = World::open();
    world.server.refuse.insert(peer(0), 403);
    for number in 0..limit {
        world.client.permit(world.now, peer(number));
    }
    world.run(Duration::from_secs(1));
    world.client.permit(world.now, peer(limit));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::PermissionGranted(peer(limit)), "in the place of the refused one");
    world.client.permit(world.now, peer(limit + 1));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::PermissionRefused(peer(limit + 1), PermissionError::TableFull));
    world.client.forget(peer(5));
    world.client.permit(world.now, peer(limit + 1));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::PermissionGranted(peer(limit + 1)));
    world.run(Duration::from_secs(1_000));
    assert!(
        (1..limit)
            .filter(|number| *number != 5)
            .all(|number| world.client.permission(peer(number)).is_some())
    );
}

#[test]
fn trn_16_a_channel_brings_its_permission_and_both_last() {
    let mut world = World::open();
    world.slots = false;
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_secs(1));
    let (number, until) = world.client.channel(addr(PORT)).expect("bound");
    assert!(world.has(&Event::ChannelBound(addr(PORT), number)));
    assert!(world.has(&Event::PermissionGranted(ip(PEER))));
    assert_eq!(Some(until), world.client.permission(ip(PEER)), "whichever ends first");
    for _ in 0..7_200 {
        world.run(Duration::from_secs(1));
        assert_eq!(world.client.channel(addr(PORT)).map(|(number, _)| number), Some(number));
        assert_eq!(world.server.channel_of(addr(PORT), world.now), Some(number.get()));
        assert!(world.server.lets_through(addr(PORT), world.now));
    }
    assert!(world.server.faults.is_empty());
    let binds = world.server.count(Method::CHANNEL_BIND);
    assert!((18..=22).contains(&binds), "one every 400 s: {binds}");
}

#[test]
fn trn_15_numbers_are_of_the_range_and_start_anywhere() {
    let mut first = BTreeMap::new();
    for seed in 0..20 {
        let mut world = World::open();
        world.rng = floe_stun::Random::from_seed([seed; 32]);
        for port in 1..=40 {
            world.client.bind_channel(world.now, SocketAddr::new(ip(PEER), port));
        }
        world.run(Duration::from_secs(1));
        let numbers: Vec<_> =
            (1..=40).map(|port| world.client.channel(SocketAddr::new(ip(PEER), port)).unwrap().0).collect();
        for (index, number) in numbers.iter().enumerate() {
            assert!(!numbers[..index].contains(number), "one peer, one number");
        }
        first.insert(numbers[0].get(), seed);
        assert_eq!(world.server.count(Method::CHANNEL_BIND), 40);
    }
    assert!(first.len() > 15);
}

#[test]
fn trn_15_the_numbers_go_round_at_the_end_of_the_range() {
    let mut channels = crate::channel::Channels::default();
    let mut rng = floe_stun::Random::from_seed([0; 32]);
    let now = Instant::from_millis(1);
    channels.start_at(0xFFE);
    for port in 1..=4 {
        channels.bind(now, SocketAddr::new(ip(PEER), port));
    }
    channels.assign(now, &mut rng);
    let numbers: Vec<_> = core::iter::from_fn(|| channels.take_due(now)).map(|due| due.1.get()).collect();
    assert_eq!(numbers, [0x4FFE, 0x4FFF, 0x4000, 0x4001]);
}

#[test]
fn trn_15_p18_no_number_and_no_peer_is_bound_otherwise_within_five_minutes_of_its_end() {
    // The server double reports any breach as a fault.
    let mut world = World::open();
    let bind = |world: &mut World, port: u16| {
        world.client.bind_channel(world.now, SocketAddr::new(ip(PEER), port));
    };
    let mut port = 0;
    for _ in 0..200 {
        port += 1;
        bind(&mut world, port);
        world.run(Duration::from_secs(1));
        world.client.unbind_channel(SocketAddr::new(ip(PEER), port));
        world.run(Duration::from_secs(60));
        // A peer that comes back gets its old number, which needs no wait.
        let back = port.saturating_sub(12).max(1);
        bind(&mut world, back);
        world.run(Duration::from_secs(1));
        world.client.unbind_channel(SocketAddr::new(ip(PEER), back));
    }
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
    assert!(world.events.iter().all(|(_, event)| !matches!(event, Event::ChannelRefused(..))));
}

/// RFC 8656 §12: the five minutes begin when the server's binding ends, which may have come by the last copy of the request.
#[test]
fn trn_15_p18_a_binding_that_came_late_is_waited_for() {
    let mut world = World::open();
    world.connected = false;
    world.client.bind_channel(world.now, addr("203.0.113.5:7000"));
    world.run(Duration::from_secs(20));
    world.connected = true;
    world.run(Duration::from_secs(12));
    assert!(world.client.channel(addr("203.0.113.5:7000")).is_some());
    world.client.unbind_channel(addr("203.0.113.5:7000"));
    world.run(Duration::from_secs(873));
    world.client.bind_channel(world.now, addr("203.0.113.5:7000"));
    world.run(Duration::from_secs(1));
    assert!(world.client.channel(addr("203.0.113.5:7000")).is_some());
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}

/// P04: an answer that was read after a sleep as long as what it grants is no grant, and no reason never to ask again.
#[test]
fn p04_trn_10_a_permission_whose_answer_was_read_too_late_is_asked_for_again() {
    let mut world = World::open();
    world.client.permit(world.now, ip(PEER));
    world.run(Duration::from_millis(30));
    assert_eq!(world.server.count(Method::CREATE_PERMISSION), 1);
    world.now = world.now.after(Duration::from_secs(301));
    world.run(Duration::from_secs(1));
    assert!(world.client.permission(ip(PEER)).is_some(), "{:?}", world.events);
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}

#[test]
fn the_table_of_channels_is_bounded_and_the_cool_down_holds_its_places() {
    let limit = u16::try_from(MAX_CHANNELS).unwrap();
    let mut world = World::open();
    for port in 1..=limit {
        world.client.bind_channel(world.now, SocketAddr::new(ip(PEER), port));
    }
    world.run(Duration::from_secs(1));
    let one_more = SocketAddr::new(ip(PEER), limit + 1);
    world.client.bind_channel(world.now, one_more);
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::ChannelRefused(one_more, ChannelError::TableFull));
    world.client.unbind_channel(SocketAddr::new(ip(PEER), 1));
    world.run(Duration::from_secs(800));
    world.client.bind_channel(world.now, one_more);
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::ChannelRefused(one_more, ChannelError::TableFull), "cooling down");
    world.run(Duration::from_secs(120));
    world.client.bind_channel(world.now, one_more);
    world.run(Duration::from_secs(1));
    assert!(matches!(world.last(), Event::ChannelBound(peer, _) if peer == one_more));
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}

#[test]
fn a_refused_channel_leaves_the_permission_and_the_allocation_alone() {
    let mut world = World::open().permitted(PEER);
    world.server.refuse.insert(ip(PEER), 403);
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_secs(1));
    let error = ChannelError::Request(RequestError::Refused { code: 403 });
    assert_eq!(world.last(), Event::ChannelRefused(addr(PORT), error));
    assert!(world.client.permission(ip(PEER)).is_some());
    assert_eq!(world.client.channel(addr(PORT)), None);
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::ChannelRefused(addr(PORT), error), "known without asking");
    assert_eq!(world.server.count(Method::CHANNEL_BIND), 1);
    world.server.refuse.clear();
    world.run(Duration::from_secs(60));
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_secs(1));
    assert!(world.client.channel(addr(PORT)).is_some());
    world.client.bind_channel(world.now, addr("[2001:db8::9]:1"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.last(), Event::ChannelRefused(addr("[2001:db8::9]:1"), ChannelError::FamilyNotHeld));
}

#[test]
fn a_channel_whose_request_was_never_answered_may_be_bound_and_its_number_is_kept() {
    let mut world = World::open();
    world.server.script =
        Some(Box::new(|method, _| if method == Method::CHANNEL_BIND { Act::Mute } else { Act::Normal }));
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_secs(60));
    assert_eq!(
        world.last(),
        Event::ChannelRefused(addr(PORT), ChannelError::Request(RequestError::TimedOut))
    );
    let number = world.server.channel_of(addr(PORT), world.now).unwrap();
    world.server.script = None;
    world.client.bind_channel(world.now, addr(PORT));
    world.client.bind_channel(world.now, addr("203.0.113.5:7001"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.client.channel(addr(PORT)).unwrap().0, ChannelNumber::new(number).unwrap());
    assert!(world.server.faults.is_empty());
}

#[test]
fn trn_07_a_stale_nonce_on_every_method_costs_one_round_trip_and_no_data() {
    let mut server = Server::new();
    server.nonce_period = Duration::from_secs(1);
    let mut world = World::with(server, |_| {}).opened().permitted(PEER).bound(PORT);
    for _ in 0..3_600 {
        world.run(Duration::from_secs(1));
        assert!(world.client.channel(addr(PORT)).is_some());
        assert!(world.server.channel_of(addr(PORT), world.now).is_some());
        assert!(world.server.lets_through(addr(PORT), world.now));
    }
    for method in [Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let of_method = world.server.seen.iter().filter(|seen| seen.method == method);
        assert!(of_method.clone().any(|seen| seen.answer == 438), "{method}");
        // Each 438 is followed at once by the request that succeeds.
        let answers: Vec<_> = of_method.map(|seen| (seen.at, seen.answer)).collect();
        for pair in answers.windows(2).filter(|pair| pair[0].1 == 438) {
            assert_eq!(pair[1].1, 0, "{method}");
            assert_eq!(pair[1].0.since(pair[0].0), Duration::from_millis(40), "{method}");
        }
    }
    assert!(world.server.faults.is_empty());
}

#[test]
fn p18_a_second_request_goes_beside_a_renewal_that_three_rtos_did_not_answer() {
    let mut world = World::open().permitted(PEER).bound(PORT);
    let start = world.now;
    let mut first = BTreeMap::new();
    world.server.script = Some(Box::new(move |method, message| {
        // Only the first transaction of each renewal is ignored.
        let id = message.transaction_id();
        if *first.entry(method.get()).or_insert(id) == id { Act::Ignore } else { Act::Normal }
    }));
    world.run(Duration::from_secs(420));
    for method in [Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let renewals: Vec<_> =
            world.server.seen.iter().filter(|seen| seen.method == method && seen.at > start).collect();
        let other = renewals.iter().find(|seen| seen.id != renewals[0].id).expect("a second one");
        assert_eq!(other.at.since(renewals[0].at), Duration::from_millis(1_500), "{method}");
        let after = renewals.iter().filter(|seen| seen.at > other.at && seen.id == renewals[0].id).count();
        assert_eq!(after, 0, "{method}: the first one ends with the answer to the second");
    }
    assert!(world.client.channel(addr(PORT)).is_some());
}
