use core::time::Duration;
use std::boxed::Box;
use std::mem::size_of;
use std::vec;
use std::vec::Vec;

use floe_stun::attribute::{Data, Icmp, XorPeerAddress};
use floe_stun::{Class, Message, MessageWriter, Method, TransactionId};

use super::server::{Act, channel_data, data_indication};
use super::world::{World, addr, ip};
use crate::{Client, DropReason, Event, Incoming, MAX_EVENTS, SendError};

const PEER: &str = "203.0.113.5";
const PORT: &str = "203.0.113.5:7000";

#[track_caller]
fn assert_data(world: &mut World, datagram: &[u8], peer: &str, payload: &[u8]) {
    match world.inject(datagram) {
        Incoming::Data { peer: from, payload: range } => {
            assert_eq!((from, &datagram[range]), (addr(peer), payload));
        }
        other => panic!("{other:?}"),
    }
}

fn send(world: &mut World, peer: &str, payload: &[u8]) -> Result<Vec<u8>, SendError> {
    let mut buffer = vec![0xAA; 1_500];
    let len = world.client.send_indication(world.now, addr(peer), payload, &mut buffer, &mut world.rng)?;
    buffer.truncate(len);
    Ok(buffer)
}

#[test]
fn trn_12_no_send_indication_before_the_permission_is_confirmed_or_after_it_ended() {
    let mut world = World::new();
    assert_eq!(send(&mut world, PORT, b"x"), Err(SendError::NoAllocation));
    let mut world = World::open();
    assert_eq!(send(&mut world, PORT, b"x"), Err(SendError::NoPermission));
    world.client.permit(world.now, ip(PEER));
    world.drain();
    world.run(Duration::from_millis(30));
    assert!(world.server.lets_through(addr(PORT), world.now), "installed, but not confirmed yet");
    assert_eq!(send(&mut world, PORT, b"x"), Err(SendError::NoPermission));
    world.run(Duration::from_millis(30));
    let datagram = send(&mut world, PORT, b"hello").unwrap();
    let message = Message::parse(&datagram).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Indication, Method::SEND));
    assert_eq!(message.get::<XorPeerAddress>(), Ok(Some(XorPeerAddress(addr(PORT)))));
    assert_eq!(message.get::<Data<'_>>().unwrap().unwrap().0, b"hello");
    assert!(
        send(&mut world, "203.0.113.5:9", b"").is_ok(),
        "another port of the address, and no bytes at all"
    );
    // At the end of the permission it is over, also if nobody called for the timer.
    let until = world.client.permission(ip(PEER)).unwrap();
    world.now = until;
    assert_eq!(send(&mut world, PORT, b"x"), Err(SendError::NoPermission));
}

#[test]
fn a_payload_that_does_not_fit_is_refused() {
    let mut world = World::open().permitted(PEER);
    let mut small = [0; 40];
    let result = world.client.send_indication(world.now, addr(PORT), &[1; 9], &mut small, &mut world.rng);
    assert_eq!(result, Err(SendError::BufferTooSmall));
    let mut large = vec![0; 70_000];
    let result =
        world.client.send_indication(world.now, addr(PORT), &vec![1; 65_536], &mut large, &mut world.rng);
    assert_eq!(result, Err(SendError::PayloadTooLong));
}

#[test]
fn trn_13_t27_a_data_indication_counts_only_from_a_permitted_peer() {
    let mut world = World::open();
    let datagram = data_indication(Some(addr(PORT)), Some(b"hello"), None);
    assert_eq!(world.inject(&datagram), Incoming::Dropped(DropReason::NoPermission));
    let mut world = world.permitted(PEER);
    assert_data(&mut world, &datagram, PORT, b"hello");
    let other_port = data_indication(Some(addr("203.0.113.5:1")), Some(b""), None);
    assert_data(&mut world, &other_port, "203.0.113.5:1", b"");
    let other = data_indication(Some(addr("203.0.113.6:7000")), Some(b"hello"), None);
    assert_eq!(world.inject(&other), Incoming::Dropped(DropReason::NoPermission));
    world.now = world.client.permission(ip(PEER)).unwrap();
    assert_eq!(world.inject(&datagram), Incoming::Dropped(DropReason::NoPermission), "it has run out");
}

#[test]
fn t27_indications_that_lack_something_are_dropped() {
    let mut world = World::open().permitted(PEER);
    let mut foreign = vec![0; 200];
    let mut writer =
        MessageWriter::new(&mut foreign, Class::Indication, Method::DATA, TransactionId([1; 12])).unwrap();
    writer.put(&XorPeerAddress(addr(PORT))).unwrap();
    writer.put_raw(floe_stun::AttributeType::new(0x7001), b"?").unwrap();
    writer.put(&Data(b"x")).unwrap();
    let len = writer.finish();
    foreign.truncate(len);
    let mut binding = vec![0; 20];
    let _ =
        MessageWriter::new(&mut binding, Class::Indication, Method::BINDING, TransactionId([1; 12])).unwrap();
    let mut request = vec![0; 20];
    let _ =
        MessageWriter::new(&mut request, Class::Request, Method::BINDING, TransactionId([1; 12])).unwrap();
    let table = [
        (data_indication(None, Some(b"x"), None), DropReason::Malformed),
        (data_indication(Some(addr(PORT)), None, None), DropReason::Malformed),
        (foreign, DropReason::Malformed),
        (binding, DropReason::Unexpected),
        (request, DropReason::Unexpected),
    ];
    for (datagram, reason) in table {
        assert_eq!(world.inject(&datagram), Incoming::Dropped(reason));
    }
}

#[test]
fn trn_14_an_icmp_error_is_passed_on_for_that_peer_alone() {
    let mut world = World::open().permitted(PEER);
    let icmp = Icmp { kind: 3, code: 1, data: 0 };
    let before = world.events.len();
    assert_eq!(world.inject(&data_indication(Some(addr(PORT)), None, Some(icmp))), Incoming::Taken);
    assert_eq!(world.last(), Event::PeerUnreachable { peer: addr(PORT), kind: 3, code: 1 });
    let stranger = data_indication(Some(addr("203.0.113.6:7000")), None, Some(icmp));
    assert_eq!(world.inject(&stranger), Incoming::Dropped(DropReason::NoPermission));
    assert_eq!(
        world.inject(&data_indication(None, None, Some(icmp))),
        Incoming::Dropped(DropReason::Malformed)
    );
    assert_eq!(world.events.len(), before + 1);
    assert!(world.client.permission(ip(PEER)).is_some(), "it changes nothing");
    // With data in it, it is data.
    assert_data(&mut world, &data_indication(Some(addr(PORT)), Some(b"x"), Some(icmp)), PORT, b"x");
}

#[test]
fn icmp_events_do_not_pile_up() {
    let mut world = World::open().permitted(PEER);
    let icmp = Icmp { kind: 3, code: 3, data: 0 };
    let datagram = data_indication(Some(addr(PORT)), None, Some(icmp));
    for _ in 0..10 * MAX_EVENTS {
        let _ = world.client.handle_datagram(world.now, &datagram, &mut world.rng);
    }
    world.client.close(world.now);
    world.run(Duration::from_secs(1));
    let unreachable = |event: &Event| matches!(event, Event::PeerUnreachable { .. });
    assert!(world.events.iter().filter(|(_, event)| unreachable(event)).count() <= MAX_EVENTS);
    assert_eq!(world.last(), Event::Released, "no room is kept from what matters");
}

#[test]
fn trn_16_channel_data_is_accepted_from_the_moment_the_request_is_sent() {
    let mut world = World::open();
    world.server.script =
        Some(Box::new(|method, _| if method == Method::CHANNEL_BIND { Act::Mute } else { Act::Normal }));
    world.client.bind_channel(world.now, addr(PORT));
    world.run(Duration::from_millis(25));
    let number = world.server.channel_of(addr(PORT), world.now).expect("the server has it already");
    assert_eq!(world.client.channel(addr(PORT)), None, "the client does not send on it yet");
    assert_data(&mut world, &channel_data(number, b"early"), PORT, b"early");
    assert_eq!(
        world.inject(&channel_data(0x4000 + (number + 1) % 0x1000, b"x")),
        Incoming::Dropped(DropReason::UnknownChannel)
    );
}

#[test]
fn trn_16_channel_data_is_accepted_although_every_answer_was_lost() {
    let mut world = World::open();
    world.server.script =
        Some(Box::new(|method, _| if method == Method::CHANNEL_BIND { Act::Mute } else { Act::Normal }));
    world.client.bind_channel(world.now, addr(PORT));
    // All seven requests and the wait after the last.
    world.run(Duration::from_secs(41));
    let number = world.server.channel_of(addr(PORT), world.now).expect("the server has it");
    assert!(world.events.iter().any(|(_, event)| matches!(event, Event::ChannelRefused(..))));
    assert_data(&mut world, &channel_data(number, b"late"), PORT, b"late");
}

#[test]
fn trn_16_channel_data_is_accepted_although_every_answer_to_a_renewal_was_lost() {
    let mut world = World::open().bound(PORT);
    world.server.script =
        Some(Box::new(|method, _| if method == Method::CHANNEL_BIND { Act::Mute } else { Act::Normal }));
    // Renewals from 400 s on, none of them in the last minute before the binding ends for the client.
    world.run(Duration::from_secs(540));
    world.client.unbind_channel(addr(PORT));
    world.run(Duration::from_secs(120));
    assert_eq!(world.client.channel(addr(PORT)), None, "it has ended here");
    let number = world.server.channel_of(addr(PORT), world.now).expect("the server has it still");
    assert_data(&mut world, &channel_data(number, b"late"), PORT, b"late");
    // Neither number nor peer is bound otherwise before five minutes after the end of what the server may have.
    world.client.bind_channel(world.now, addr(PORT));
    world.server.script = None;
    world.run(Duration::from_secs(1));
    assert_eq!(world.client.channel(addr(PORT)).map(|(found, _)| found.get()), Some(number));
    assert!(world.server.faults.is_empty(), "{:?}", world.server.faults);
}

#[test]
fn t27_trn_17_channel_data_of_every_shape() {
    let mut world = World::open().bound(PORT);
    let number = world.client.channel(addr(PORT)).unwrap().0.get();
    assert_data(&mut world, &channel_data(number, b""), PORT, b"");
    assert_data(&mut world, &channel_data(number, &[7; 1_200]), PORT, &[7; 1_200]);
    let mut padded = channel_data(number, b"abcde");
    padded.extend([0; 3]);
    assert_data(&mut world, &padded, PORT, b"abcde");
    let whole = channel_data(number, b"abcde");
    for cut in 1..whole.len() {
        assert_eq!(world.inject(&whole[..cut]), Incoming::Dropped(DropReason::Malformed), "{cut}");
    }
    for reserved in [0x5000, 0x4FFF ^ 0x0001, 0x5FFF] {
        if reserved != number {
            assert!(matches!(world.inject(&channel_data(reserved, b"x")), Incoming::Dropped(_)));
        }
    }
    // The permission has run out, the channel has not.
    world.client.forget(ip(PEER));
    world.run(Duration::from_secs(301));
    assert_eq!(world.inject(&whole), Incoming::Dropped(DropReason::NoPermission));
    world.run(Duration::from_secs(300));
    assert_eq!(world.inject(&whole), Incoming::Dropped(DropReason::UnknownChannel));
}

#[test]
fn trn_18_the_first_byte_decides() {
    let mut world = World::open().bound(PORT);
    for first in 0..=u8::MAX {
        let mut datagram = vec![first; 40];
        datagram[2..4].copy_from_slice(&[0, 36]);
        let incoming = world.inject(&datagram);
        let expected = match first {
            0..=3 => DropReason::Malformed,
            64..=79 if matches!(incoming, Incoming::Data { .. }) => continue,
            64..=79 => DropReason::UnknownChannel,
            _ => DropReason::NotTurn,
        };
        assert_eq!(incoming, Incoming::Dropped(expected), "{first}");
    }
    assert_eq!(world.inject(&[]), Incoming::Dropped(DropReason::NotTurn));
}

#[test]
fn nothing_passes_without_an_allocation() {
    let mut world = World::new();
    let indication = data_indication(Some(addr(PORT)), Some(b"x"), None);
    for datagram in [indication, channel_data(0x4000, b"x")] {
        assert_eq!(world.inject(&datagram), Incoming::Dropped(DropReason::NoAllocation));
    }
    assert_eq!(world.client.permission(ip(PEER)), None);
    assert_eq!(world.client.channel(addr(PORT)), None);
}

#[test]
fn data_moves_no_timer_and_an_idle_client_is_small() {
    let mut world = World::open().bound(PORT);
    let number = world.client.channel(addr(PORT)).unwrap().0.get();
    let before = world.client.poll_timeout();
    assert!(matches!(world.inject(&channel_data(number, b"x")), Incoming::Data { .. }));
    assert_eq!(world.client.poll_timeout(), before);
    assert!(size_of::<Client>() <= 512, "{}", size_of::<Client>());
    assert_eq!(world.client.requests.capacity(), 0, "what was in flight is given back");
}

#[test]
fn a_clock_that_runs_backwards_stands_still() {
    let mut world = World::open().bound(PORT);
    let number = world.client.channel(addr(PORT)).unwrap().0.get();
    let (later, due) = (world.now, world.client.poll_timeout().unwrap());
    world.now = floe_stun::Instant::ORIGIN;
    assert!(matches!(world.inject(&channel_data(number, b"x")), Incoming::Data { .. }));
    world.client.handle_timeout(world.now, &mut world.rng);
    assert_eq!(world.client.poll_timeout(), Some(due));
    world.client.permit(world.now, ip("203.0.113.77"));
    world.drain();
    world.now = later;
    world.run(Duration::from_secs(1));
    assert!(world.client.permission(ip("203.0.113.77")).unwrap() > later.after(Duration::from_secs(299)));
}
