use core::time::Duration;
use std::boxed::Box;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use floe_stun::attribute::AddressFamily;
use floe_stun::{AttributeType, Method};

use super::server::{Act, Auth, Server};
use super::world::{World, addr, ip};
use crate::{AllocateError, Event, Families, FollowError, PermissionError, RequestError, Retry};

const LONG: Duration = Duration::from_secs(60);

/// Runs one allocation on this server to its end.
fn attempt(server: Server) -> World {
    let mut world = World::with(server, |_| {});
    world.client.allocate(world.now);
    world.run(LONG);
    world
}

#[test]
fn stn_13_the_first_request_carries_no_credentials_and_the_second_all_of_them() {
    let world = World::open();
    let signed: Vec<_> =
        world.server.seen.iter().map(|seen| (seen.method, seen.signed, seen.answer)).collect();
    assert_eq!(signed, [(Method::ALLOCATE, false, 401), (Method::ALLOCATE, true, 0)]);
    assert_eq!(
        world.events[0].1,
        Event::Allocated {
            relayed: addr("192.0.2.1:49152"),
            second: None,
            mapped: Some(addr("198.51.100.7:50000")),
            lifetime: Duration::from_secs(600),
        }
    );
    assert_eq!(world.client.relayed().collect::<Vec<_>>(), [addr("192.0.2.1:49152")]);
    assert_eq!(world.client.mapped(), Some(addr("198.51.100.7:50000")));
}

#[test]
fn pac_the_first_allocate_and_its_retry_each_wait_for_a_slot() {
    let mut world = World::new();
    world.slots = false;
    world.client.allocate(world.now);
    for requests in 0..2 {
        world.run(LONG);
        assert_eq!(world.server.seen.len(), requests);
        assert!(world.client.wants_slot());
        assert!(world.client.take_slot(world.now, &mut world.rng));
        assert!(!world.client.wants_slot());
        assert!(!world.client.take_slot(world.now, &mut world.rng));
    }
    world.run(LONG);
    assert!(world.client.is_open());
}

#[test]
fn a_server_that_asks_nobody_is_served_without_credentials() {
    let mut server = Server::new();
    server.auth = Auth::Nobody;
    let mut world = World::with(server, |config| config.credentials = None).opened().permitted("203.0.113.5");
    world.run(Duration::from_secs(3_600));
    assert!(world.client.is_open());
    assert_eq!(world.server.faults, Vec::<std::string::String>::new());
    assert!(world.server.seen.iter().all(|seen| !seen.signed));
}

#[test]
fn trn_01_which_family_attributes_are_sent() {
    let table = [
        (Families::V4, vec!["192.0.2.1:1"], [None, None]),
        (Families::V6, vec!["[2001:db8::1]:1"], [Some([2, 0, 0, 0]), None]),
        (Families::Dual, vec!["192.0.2.1:1", "[2001:db8::1]:1"], [None, Some([2, 0, 0, 0])]),
    ];
    for (families, relayed, attributes) in table {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let mut server = Server::new();
        server.relayed = relayed.iter().map(|relayed| addr(relayed)).collect();
        server.script = Some(Box::new(move |_, message| {
            let value = |kind| message.raw(kind).map(|value| <[u8; 4]>::try_from(value).unwrap());
            log.borrow_mut().push([
                value(AttributeType::REQUESTED_ADDRESS_FAMILY),
                value(AttributeType::ADDITIONAL_ADDRESS_FAMILY),
            ]);
            for kind in [AttributeType::EVEN_PORT, AttributeType::RESERVATION_TOKEN] {
                assert_eq!(message.raw(kind), None);
            }
            // REQUESTED-TRANSPORT: see `Server::allocate`.
            Act::Normal
        }));
        let world = World::with(server, |config| config.families = families).opened();
        assert_eq!(*seen.borrow(), [attributes, attributes], "{families:?}");
        assert_eq!(world.client.relayed().collect::<Vec<_>>(), world.server.relayed);
    }
}

#[test]
fn trn_02_a_dual_allocation_may_come_with_one_family() {
    let mut server = Server::new();
    server.address_error = Some((AddressFamily::Ipv6, 440));
    let mut world = World::with(server, |config| config.families = Families::Dual).opened();
    assert!(world.has(&Event::FamilyRefused { family: AddressFamily::Ipv6, code: 440 }));
    // RFC 8656 §10.1: peers of a family that is not held are not even asked for.
    world.client.permit(world.now, ip("2001:db8::9"));
    world.client.permit(world.now, ip("203.0.113.5"));
    world.run(LONG);
    assert!(world.has(&Event::PermissionRefused(ip("2001:db8::9"), PermissionError::FamilyNotHeld)));
    assert!(world.has(&Event::PermissionGranted(ip("203.0.113.5"))));
    assert!(world.server.faults.is_empty());
}

#[test]
fn trn_03_the_lifetime_of_the_answer_counts() {
    let mut server = Server::new();
    server.lifetime = 120;
    let mut world = World::with(server, |config| config.lifetime = Some(3_600)).opened();
    assert_eq!(world.server.seen[0].lifetime, Some(3_600), "a wish");
    world.run(Duration::from_secs(600));
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
    assert_eq!(world.server.count(Method::REFRESH), 10, "one a minute");
}

#[test]
fn trn_03_t28_addresses_that_cannot_be_are_refused_and_the_allocation_deleted() {
    let lies = [
        "0.0.0.0:49152",
        "192.0.2.1:0",
        "127.0.0.1:49152",
        "224.0.0.1:49152",
        "255.255.255.255:49152",
        "169.254.1.1:49152",
        "[2001:db8::1]:49152",
        "[::1]:49152",
        "[::ffff:192.0.2.1]:49152",
    ];
    for relayed in lies {
        let mut server = Server::new();
        server.relayed = vec![addr(relayed)];
        let world = attempt(server);
        assert_eq!(
            world.events.iter().map(|(_, event)| *event).collect::<Vec<_>>(),
            [Event::AllocateFailed(AllocateError::UnusableAddress(addr(relayed)))],
        );
        assert!(world.server.held.is_none(), "{relayed}: deleted");
        assert_eq!(world.client.relayed().count(), 0);
        assert_eq!(AllocateError::UnusableAddress(addr(relayed)).retry(), Retry::Never);
    }
    let mut twins = Server::new();
    twins.relayed = vec![addr("192.0.2.1:1"), addr("192.0.2.1:2")];
    assert!(attempt(twins).server.held.is_none());
}

#[test]
fn t28_a_mapped_address_that_cannot_be_is_left_out() {
    for mapped in ["0.0.0.0:1", "198.51.100.7:0", "127.0.0.1:1", "239.1.1.1:1", "[2001:db8::1]:1", "[::]:1"] {
        let mut server = Server::new();
        server.mapped = addr(mapped);
        let world = attempt(server);
        assert!(world.client.is_open());
        assert_eq!(world.client.mapped(), None, "{mapped}");
    }
}

#[test]
fn a_server_on_loopback_may_name_loopback_addresses() {
    let mut server = Server::new();
    server.address = addr("127.0.0.1:3478");
    server.relayed = vec![addr("127.0.0.1:49152")];
    server.mapped = addr("127.0.0.1:50000");
    let world = attempt(server);
    assert_eq!(world.client.relayed().collect::<Vec<_>>(), [addr("127.0.0.1:49152")]);
    assert_eq!(world.client.mapped(), Some(addr("127.0.0.1:50000")));
}

#[test]
fn t29_a_lifetime_that_cannot_be_kept_up_ends_with_no_allocation_at_the_server() {
    for lifetime in [0, 1] {
        let mut server = Server::new();
        server.lifetime = lifetime;
        let world = attempt(server);
        assert_eq!(world.last(), Event::AllocateFailed(AllocateError::UnusableLifetime(lifetime)));
        assert!(world.server.held.is_none());
        assert!(world.sent < 8, "{} requests", world.sent);
    }
}

#[test]
fn t29_lifetimes_short_and_huge_are_renewed_at_most_once_a_second() {
    for (lifetime, seconds) in [(2, 60), (3, 60), (u32::MAX, 48 * 3_600)] {
        let mut server = Server::new();
        server.lifetime = lifetime;
        server.nonce_period = Duration::from_secs(1_000_000);
        let mut world = World::with(server, |_| {}).opened();
        world.run(Duration::from_secs(seconds));
        assert!(world.client.is_open(), "{lifetime}: {:?}", world.events);
        assert!(world.server.faults.is_empty());
        let times: Vec<_> = world
            .server
            .seen
            .iter()
            .filter(|seen| seen.method == Method::REFRESH)
            .map(|seen| seen.at)
            .collect();
        assert!(!times.is_empty());
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(1)), "{lifetime}");
        world.client.close(world.now);
        world.run(Duration::from_secs(4));
        assert!(world.server.held.is_none());
    }
}

#[test]
fn trn_05_what_each_error_means_and_that_it_is_asked_once() {
    let refused = |code| AllocateError::Request(RequestError::Refused { code });
    let minute = Retry::After(Duration::from_secs(60));
    let table = [
        (400, refused(400), Retry::Never),
        (403, refused(403), Retry::Never),
        (420, refused(420), Retry::Never),
        (437, AllocateError::Mismatch, Retry::NewPort),
        (440, refused(440), Retry::Never),
        (441, refused(441), Retry::Never),
        (442, refused(442), Retry::Never),
        (486, AllocateError::QuotaReached, minute),
        (508, AllocateError::InsufficientCapacity, minute),
        (699, refused(699), Retry::Never),
    ];
    for (code, error, retry) in table {
        let mut server = Server::new();
        server.script = Some(Box::new(
            move |_, message| if message.has_integrity() { Act::Error(code) } else { Act::Normal },
        ));
        let mut world = attempt(server);
        assert_eq!(
            world.events.iter().map(|(_, event)| *event).collect::<Vec<_>>(),
            [Event::AllocateFailed(error)]
        );
        assert_eq!(error.retry(), retry, "{code}");
        assert_eq!(world.server.seen.len(), 2, "{code}");
        // The owner may try again with the same client when it is time.
        world.server.script = None;
        world.client.allocate(world.now);
        world.run(LONG);
        assert!(world.client.is_open());
    }
}

#[test]
fn stn_17_trn_04_a_redirection_is_followed_with_the_same_credentials() {
    let mut world = World::new();
    let chain = ["192.0.2.2:3478", "192.0.2.3:3479"];
    world.client.allocate(world.now);
    for next in chain {
        world.server.alternate = Some(addr(next));
        world.run(LONG);
        assert_eq!(world.last(), Event::Redirected(addr(next)));
        assert!(!world.client.wants_slot(), "the owner decides");
        assert_eq!(world.client.poll_timeout(), None);
        world.client.follow(world.now).unwrap();
        assert_eq!(world.client.server(), addr(next));
        // The next server knows nothing of the first one's realm.
        world.server = Server::new();
        world.server.address = addr(next);
        world.server.realm = next.as_bytes().into();
    }
    world.run(LONG);
    assert!(world.client.is_open());
    assert!(!world.server.seen[0].signed, "a server met for the first time");
    assert_eq!(world.client.follow(world.now), Err(FollowError::NotRedirected));
}

#[test]
fn t25_a_ring_of_redirections_ends_where_it_began() {
    let mut world = World::new();
    let (first, second) = (world.client.server(), addr("192.0.2.2:3478"));
    world.server.alternate = Some(second);
    world.client.allocate(world.now);
    world.run(LONG);
    world.client.follow(world.now).unwrap();
    world.server.alternate = Some(first);
    world.run(LONG);
    assert_eq!(world.last(), Event::AllocateFailed(AllocateError::RedirectLoop(first)));
    assert!(world.server.seen.len() <= 4);
    // Five minutes later it may be asked again.
    world.run(Duration::from_secs(300));
    world.client.allocate(world.now);
    world.run(LONG);
    assert_eq!(world.last(), Event::Redirected(first));
}

#[test]
fn t25_a_chain_of_redirections_ends() {
    let mut world = World::new();
    world.client.allocate(world.now);
    let mut hops: u16 = 0;
    loop {
        hops += 1;
        let next = std::net::SocketAddr::new(ip("192.0.2.2"), 1_000 + hops);
        world.server.alternate = Some(next);
        world.run(Duration::from_secs(1));
        if world.client.follow(world.now).is_err() {
            break;
        }
    }
    assert_eq!(hops, 5);
    assert_eq!(world.last(), Event::AllocateFailed(AllocateError::RedirectedTooOften));
}

#[test]
fn a_redirection_to_nowhere_is_an_error() {
    for alternate in ["127.0.0.1:3478", "0.0.0.0:3478", "192.0.2.2:0", "[2001:db8::1]:3478"] {
        let mut server = Server::new();
        server.alternate = Some(addr(alternate));
        assert_eq!(
            attempt(server).last(),
            Event::AllocateFailed(AllocateError::RedirectedNowhere),
            "{alternate}"
        );
    }
}

#[test]
fn silence_ends_after_seven_requests_and_39500_ms() {
    let mut server = Server::new();
    server.script = Some(Box::new(|_, _| Act::Ignore));
    let world = attempt(server);
    assert_eq!(world.sent, 7);
    let (at, event) = world.events[0];
    assert_eq!(event, Event::AllocateFailed(AllocateError::Request(RequestError::TimedOut)));
    assert_eq!(at.as_millis(), 1_000 + 39_500);
}

#[test]
fn loss_does_not_keep_an_allocation_away() {
    for seed in 0..20 {
        let mut world = World::new();
        world.loss_percent = 40;
        world.run(Duration::from_millis(seed));
        world.client.allocate(world.now);
        world.run(Duration::from_secs(80));
        let open = world.client.is_open();
        let timed_out = world.has(&Event::AllocateFailed(AllocateError::Request(RequestError::TimedOut)));
        assert!(open != timed_out, "{:?}", world.events);
    }
}
