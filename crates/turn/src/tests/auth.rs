use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::String;
use std::vec;

use floe_stun::attribute::{ErrorCode, Nonce, Realm};
use floe_stun::{AttributeType, Class, Message, MessageWriter, Method};

use super::server::{Act, Auth, PASSWORD, REALM, Server, USERNAME};
use super::world::{World, addr, ip};
use crate::{AllocateError, CredentialsError, Event, Incoming, RequestError};

const SHA256_MD5: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
const MD5_SHA256: &[u8] = &[0, 1, 0, 0, 0, 2, 0, 0];
const MD5: &[u8] = &[0, 1, 0, 0];
const UNKNOWN: &[u8] = &[0, 9, 0, 0];
const UNKNOWN_AND_SHA256: &[u8] = &[0, 9, 0, 3, 1, 2, 3, 0, 0, 2, 0, 0];

fn failure(world: &World) -> AllocateError {
    match world.last() {
        Event::AllocateFailed(error) => error,
        other => panic!("{other:?}"),
    }
}

fn attempt(server: Server) -> World {
    let mut world = World::with(server, |_| {});
    world.client.allocate(world.now);
    world.run(Duration::from_secs(60));
    world
}

fn modern(offer: &'static [u8], anonymity: bool) -> Server {
    let mut server = Server::new();
    server.auth = Auth::Modern { offer, anonymity };
    server
}

#[test]
fn stn_14_trn_21_algorithms_are_echoed_and_sha_256_taken_where_it_is_offered() {
    for (offer, chosen) in [(SHA256_MD5, 2), (MD5_SHA256, 2), (MD5, 1), (UNKNOWN_AND_SHA256, 2)] {
        let mut server = modern(offer, false);
        server.script = Some(Box::new(move |_, message| {
            if message.has_integrity() {
                // The server double checks the echo and MESSAGE-INTEGRITY-SHA256 itself.
                assert_eq!(message.raw(AttributeType::PASSWORD_ALGORITHM), Some(&[0, chosen, 0, 0][..]));
            }
            Act::Normal
        }));
        let world = World::with(server, |_| {}).opened().permitted("203.0.113.5").bound("203.0.113.5:7000");
        assert!(world.server.faults.is_empty());
    }
}

#[test]
fn stn_14_no_known_algorithm_means_no_retry() {
    let world = attempt(modern(UNKNOWN, false));
    assert_eq!(failure(&world), AllocateError::Request(RequestError::NoCommonAlgorithm));
    assert_eq!(world.server.seen.len(), 1);
}

/// Answers the first request of a new client with a challenge of the test's own making.
fn challenged_with(fill: impl FnOnce(&mut MessageWriter<'_>)) -> World {
    let mut world = World::new();
    world.connected = false;
    world.client.allocate(world.now);
    assert!(world.client.take_slot(world.now, &mut world.rng));
    let mut buffer = [0; crate::MAX_REQUEST_BYTES];
    let len = world.client.poll_transmit(&mut buffer).unwrap();
    let id = Message::parse(&buffer[..len]).unwrap().transaction_id();
    let mut answer = [0; 2_000];
    let mut writer = MessageWriter::new(&mut answer, Class::Error, Method::ALLOCATE, id).unwrap();
    fill(&mut writer);
    let len = writer.finish();
    assert_eq!(world.inject(&answer[..len]), Incoming::Taken);
    world
}

#[test]
fn stn_14_a_list_that_was_taken_out_on_the_way_stops_the_client() {
    let world = challenged_with(|writer| {
        writer.put(&ErrorCode::new(401, "")).unwrap();
        writer.put(&Realm::new(REALM).unwrap()).unwrap();
        writer.put(&Nonce::new(b"obMatJos2gAAAxyz").unwrap()).unwrap();
    });
    assert_eq!(failure(&world), AllocateError::Request(RequestError::BidDown));
    assert_eq!(world.sent, 0);
}

#[test]
fn a_challenge_that_lacks_something_stops_the_client() {
    for (realm, nonce) in [(false, true), (true, false)] {
        let world = challenged_with(|writer| {
            writer.put(&ErrorCode::new(401, "")).unwrap();
            if realm {
                writer.put(&Realm::new(REALM).unwrap()).unwrap();
            }
            if nonce {
                writer.put(&Nonce::new(b"n").unwrap()).unwrap();
            }
        });
        assert_eq!(failure(&world), AllocateError::Request(RequestError::Malformed));
    }
}

#[test]
fn the_longest_challenge_fits_the_buffer() {
    let (realm, nonce) = ([b'r'; 763], [b'n'; 763]);
    let mut world = challenged_with(|writer| {
        writer.put(&ErrorCode::new(401, "")).unwrap();
        writer.put_raw(AttributeType::REALM, &realm).unwrap();
        writer.put_raw(AttributeType::NONCE, &nonce).unwrap();
    });
    assert_eq!(world.sent, 1);
    world.run(Duration::from_secs(60));
    assert_eq!(world.sent, 7);
}

/// RFC 8489 §14.9, §14.10: what cannot be sent back is no challenge, which is said at once.
#[test]
fn t25_a_challenge_too_long_to_be_echoed_is_malformed() {
    for (realm, nonce) in [(763, 764), (764, 763)] {
        let world = challenged_with(|writer| {
            writer.put(&ErrorCode::new(401, "")).unwrap();
            writer.put_raw(AttributeType::REALM, &vec![b'r'; realm]).unwrap();
            writer.put_raw(AttributeType::NONCE, &vec![b'n'; nonce]).unwrap();
        });
        assert_eq!(failure(&world), AllocateError::Request(RequestError::Malformed), "{realm} {nonce}");
    }
}

/// RFC 8489 §9.2.5: after a 438 the request goes again with the new nonce. Whoever can forge one learns to do no more than
/// that: neither the name nor the algorithm changes, which the server would refuse for good.
#[test]
fn t11_a_forged_stale_nonce_changes_nothing_but_the_nonce() {
    for (auth, nonce, list) in [
        (Auth::Md5, &b"obMatJos2QAAAz"[..], None),
        (Auth::Modern { offer: SHA256_MD5, anonymity: false }, b"obMatJos2wAAAz", Some(MD5)),
    ] {
        let mut server = Server::new();
        server.auth = auth;
        let mut world = World::with(server, |_| {}).opened();
        let mut refreshed = false;
        world.server.script = Some(Box::new(move |method, _| {
            let first = method == Method::REFRESH && !core::mem::replace(&mut refreshed, true);
            if first { Act::Ignore } else { Act::Normal }
        }));
        let refresh = |world: &World| {
            world.server.seen.iter().find(|seen| seen.method == Method::REFRESH).map(|seen| seen.id)
        };
        let id = loop {
            match refresh(&world) {
                Some(id) => break id,
                None => world.run(Duration::from_millis(100)),
            }
        };
        let mut buffer = [0; 256];
        let mut writer = MessageWriter::new(&mut buffer, Class::Error, Method::REFRESH, id).unwrap();
        writer.put(&ErrorCode::new(438, "")).unwrap();
        writer.put(&Realm::new(REALM).unwrap()).unwrap();
        writer.put(&Nonce::new(nonce).unwrap()).unwrap();
        if let Some(list) = list {
            writer.put_raw(AttributeType::PASSWORD_ALGORITHMS, list).unwrap();
        }
        let len = writer.finish();
        assert_eq!(world.inject(&buffer[..len]), Incoming::Taken);
        world.run(Duration::from_secs(1_200));
        assert!(world.client.is_open(), "{:?}", world.events);
        assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
    }
}

#[test]
fn stn_15_the_user_name_is_hashed_where_the_server_can_do_with_it() {
    // The server double refuses a request that shows the name, and one with another hash.
    let world = World::with(modern(SHA256_MD5, true), |_| {}).opened().permitted("203.0.113.5");
    assert!(world.server.faults.is_empty());
    assert_eq!(world.server.seen.iter().filter(|seen| seen.answer == 401).count(), 1);
}

#[test]
fn stn_16_t25_credentials_that_are_refused_are_not_tried_again() {
    let mut server = Server::new();
    server.password = b"another".into();
    let world = attempt(server);
    assert_eq!(failure(&world), AllocateError::Request(RequestError::Unauthenticated));
    assert_eq!(world.server.seen.len(), 2);
}

#[test]
fn stn_16_another_realm_may_be_answered_once() {
    let mut server = Server::new();
    let mut requests = 0;
    server.realm = b"first".into();
    let mut world = World::with(server, |_| {});
    world.client.allocate(world.now);
    world.run(Duration::from_millis(30));
    world.server.realm = b"second".into();
    world.run(Duration::from_secs(60));
    assert!(world.client.is_open(), "{:?}", world.events);
    requests += world.server.seen.len();
    assert_eq!(requests, 3);
}

#[test]
fn no_credentials_where_some_are_needed() {
    let mut world = World::with(Server::new(), |config| config.credentials = None);
    world.client.allocate(world.now);
    world.run(Duration::from_secs(60));
    assert_eq!(failure(&world), AllocateError::Request(RequestError::CredentialsNeeded));
    assert_eq!(world.server.seen.len(), 1);
}

#[test]
fn stn_16_t25_a_nonce_that_is_always_stale_ends_after_three_retries() {
    let mut server = Server::new();
    server.script =
        Some(Box::new(|_, message| if message.has_integrity() { Act::Error(438) } else { Act::Normal }));
    let world = attempt(server);
    assert_eq!(failure(&world), AllocateError::Request(RequestError::StaleNonce));
    assert_eq!(world.server.seen.len(), 1 + 1 + 3);
    let took = world.events[0].0.since(world.server.seen[0].at);
    assert!(took < Duration::from_secs(1), "at once each time: {took:?}");
}

#[test]
fn rfc8489_9_2_5_an_answer_that_is_not_signed_with_our_key_has_never_come() {
    for act in [Act::WrongKey, Act::Unsigned, Act::ErrorUnsigned(400), Act::ErrorUnsigned(437)] {
        let mut server = Server::new();
        server.script =
            Some(Box::new(move |_, message| if message.has_integrity() { act } else { Act::Normal }));
        let world = attempt(server);
        assert_eq!(failure(&world), AllocateError::Request(RequestError::IntegrityViolated), "{act:?}");
        assert_eq!(world.sent, 1 + 7, "{act:?}: retransmission goes on");
    }
}

#[test]
fn p19_a_new_password_of_the_same_user_is_used_by_the_next_request() {
    let mut world = World::open().permitted("203.0.113.5").bound("203.0.113.5:7000");
    world.run(Duration::from_secs(60));
    world.server.password = b"second".into();
    // Time-limited credentials have run out: the renewal meets 401.
    world.run(Duration::from_secs(200));
    assert!(world.has(&Event::CredentialsWanted));
    assert_eq!(world.events.iter().filter(|(_, event)| *event == Event::CredentialsWanted).count(), 1);
    let before = world.server.seen.len();
    world.client.set_password(world.now, b"second").unwrap();
    world.run(Duration::from_secs(3_600));
    assert!(world.server.seen[before..].iter().all(|seen| seen.answer != 401));
    assert!(world.client.channel(addr("203.0.113.5:7000")).is_some(), "{:?}", world.events);
    assert!(world.client.permission(ip("203.0.113.5")).is_some());
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}

#[test]
fn t25_credentials_that_ran_out_cost_a_bounded_number_of_requests_and_then_the_allocation() {
    let mut world = World::open();
    world.server.password = b"second".into();
    let before = world.server.seen.len();
    world.run(Duration::from_secs(3_600));
    assert!(!world.client.is_open());
    assert!(world.server.seen.len() - before <= 24, "{}", world.server.seen.len() - before);
}

#[test]
fn credentials_are_checked_when_they_are_made() {
    let table: [(&[u8], &[u8], CredentialsError); 3] = [
        (b"", b"x", CredentialsError::EmptyUsername),
        (&[b'u'; 509], b"x", CredentialsError::UsernameTooLong(509)),
        (b"u", &[b'p'; 1_025], CredentialsError::PasswordTooLong(1_025)),
    ];
    for (username, password, error) in table {
        assert_eq!(crate::Credentials::new(username, password).err(), Some(error));
    }
    assert!(crate::Credentials::new(&[b'u'; 508], &[b'p'; 1_024]).is_ok());
}

#[test]
fn t39_nothing_secret_is_shown() {
    let world = World::with(modern(SHA256_MD5, false), |_| {}).opened().permitted("203.0.113.5");
    let shown = format!("{:?} {:?} {:#?}", world.client, super::world::credentials(), world.events);
    let text = |secret: &[u8]| String::from_utf8(secret.into()).unwrap();
    for secret in [text(PASSWORD), text(USERNAME), String::from("obMatJos2")] {
        assert!(!shown.contains(&secret), "{secret}");
    }
    for bytes in [PASSWORD, USERNAME, b"obMatJos2"] {
        assert!(!shown.contains(format!("{bytes:?}").trim_matches(['[', ']'])), "as a list of bytes");
    }
}
