//! Which data is delivered, and when.

use core::cell::Cell;
use std::{net::SocketAddr, rc::Rc};

use floe_agent::{DropReason, TransmitKind};
use floe_stun::{Class, Message};

use crate::world::{COMPONENT, Id, STREAM, World, ms};

const CLIENT_HELLO: [u8; 60] = [22; 60];

fn is_answer(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|message| message.class() == Class::Success)
}

/// Data from strangers, at every instant of a session's life: before, during and after.
#[test]
fn s14_t37_data_from_an_address_without_a_valid_pair_is_never_delivered() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    let target = world.socket(0, 40_001).unwrap();
    let peer = world.host_address(b);
    let strangers: [SocketAddr; 3] = [
        "203.0.113.5:40001".parse().unwrap(),
        // The host of the peer, another port.
        SocketAddr::new(peer.ip(), peer.port() + 1),
        // Another host, the port of the peer.
        SocketAddr::new("198.51.100.77".parse().unwrap(), peer.port()),
    ];
    for step in 0..2_000_u32 {
        for stranger in strangers {
            world.deliver(0, target, stranger, &mut CLIENT_HELLO.clone());
        }
        if step == 1_000 {
            world.command(b, |now, agent| agent.close(now));
        }
        world.run_for(if step < 200 { ms(1) } else { ms(50) });
    }
    assert!(world.nodes[0].data.is_empty());
    assert!(world.nodes[0].dropped.iter().all(|reason| *reason == DropReason::NoValidPair));
    let lost = |event: &floe_agent::Event| matches!(event, floe_agent::Event::ConsentLost { .. });
    assert!(world.nodes[0].events_of(a.1).any(lost), "the session was there and has ended");
    // Nor is what its peer sends when consent is over.
    world.deliver(0, target, peer, &mut CLIENT_HELLO.clone());
    assert!(world.nodes[0].data.is_empty());
}

/// Two agents of which only the first knows that the path works: answers to the second are lost.
fn one_sided() -> (World, [Id; 2], Rc<Cell<bool>>) {
    let mut world = World::new(2);
    let lossy = Rc::new(Cell::new(true));
    let loses = Rc::clone(&lossy);
    let second = crate::world::ip(1);
    world.lost = Box::new(move |_, to, bytes| loses.get() && to.ip() == second && is_answer(bytes));
    let [a, b] = world.pair([0, 1], 1);
    let limit = world.now.after(ms(300));
    assert!(world.run_until(limit, |world| world.agent(a).path(STREAM, COMPONENT).is_some()));
    world.run_for(ms(15));
    assert!(world.agent(b).path(STREAM, COMPONENT).is_none());
    (world, [a, b], lossy)
}

#[test]
fn early_data_is_held_and_delivered_in_order_when_the_pair_is_valid() {
    let (mut world, [a, b], lossy) = one_sided();
    for payload in [b"\x80 one", b"\x80 two", b"\x80 tri"] {
        assert!(world.send(a, payload), "RFC 8445 §12.1: the pair is valid for whoever sends");
    }
    world.run_for(ms(40));
    assert!(world.nodes[1].data.is_empty(), "held");
    lossy.set(false);
    world.connect(&[a, b], ms(5_000));
    assert!(world.send(a, b"\x80 for"));
    world.run_for(ms(40));
    let expected = [b"\x80 one", b"\x80 two", b"\x80 tri", b"\x80 for"].map(|data| (b.1, data.to_vec()));
    assert_eq!(world.nodes[1].data, expected);
}

#[test]
fn of_much_early_data_the_newest_sixteen_are_kept() {
    let (mut world, [a, b], lossy) = one_sided();
    for number in 0..40 {
        assert!(world.send(a, &[0x80, number]));
    }
    world.run_for(ms(40));
    lossy.set(false);
    world.connect(&[a, b], ms(5_000));
    let numbers: Vec<u8> = world.nodes[1].data.iter().map(|(_, data)| data[1]).collect();
    assert_eq!(numbers, (24..40).collect::<Vec<_>>());
}

#[test]
fn early_data_of_a_closed_agent_is_gone() {
    let (mut world, [a, b], lossy) = one_sided();
    assert!(world.send(a, b"\x80"));
    world.run_for(ms(40));
    lossy.set(false);
    world.command(b, |now, agent| agent.close(now));
    world.run_for(ms(1_000));
    assert!(world.nodes[1].data.is_empty());
}

/// Pion issue 21: a check that was really sent by the peer, replayed from the address of a victim.
#[test]
fn t05_t08_replayed_checks_bring_no_data_to_a_victim_and_move_no_selection() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    let selected = |world: &World| world.agent(a).selected(STREAM, COMPONENT).unwrap().remote;
    let (before, target) = (selected(&world), world.socket(0, 40_001).unwrap());
    let checks: Vec<_> =
        world.sent.iter().filter(|sent| sent.by == b && sent.kind == TransmitKind::Check).cloned().collect();
    let victims = ["203.0.113.1:1000", "203.0.113.2:2000", "198.51.100.2:3000"];
    for check in &checks {
        for victim in victims {
            world.deliver(0, target, victim.parse().unwrap(), &mut check.bytes.clone());
        }
    }
    for _ in 0..50 {
        assert!(world.send(a, b"\x80 for the peer"));
        let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
        assert_eq!(path.path().to, before);
        assert_eq!(selected(&world), before);
        world.run_for(ms(500));
    }
    let to_victims: Vec<_> =
        world.sent.iter().filter(|sent| victims.iter().any(|victim| victim.parse() == Ok(sent.to))).collect();
    let answers = to_victims.iter().filter(|sent| sent.kind == TransmitKind::Response).count();
    assert_eq!(answers, checks.len() * victims.len(), "one answer each");
    assert_eq!(to_victims.len(), answers, "ICE has concluded: they lead to no check");
    assert_eq!(world.carries_data([a, b]), [true, true]);
}

/// The same while it still matters: the victims are checked, do not answer, and get no data.
#[test]
fn t05_a_replay_before_nomination_leads_to_checks_alone() {
    let (mut world, [a, b], lossy) = one_sided();
    let check = world.sent.iter().find(|sent| sent.by == b && sent.kind == TransmitKind::Check).unwrap();
    let (mut bytes, target) = (check.bytes.clone(), world.socket(0, 40_001).unwrap());
    let victim: SocketAddr = "203.0.113.1:1000".parse().unwrap();
    world.deliver(0, target, victim, &mut bytes);
    world.deliver(0, target, victim, &mut CLIENT_HELLO.clone());
    for _ in 0..100 {
        assert!(world.send(a, b"\x80 for the peer"));
        let path = world.agent(a).path(STREAM, COMPONENT).unwrap();
        assert_ne!(path.path().to.socket_addr(), victim);
        world.run_for(ms(10));
    }
    lossy.set(false);
    world.run_for(ms(60_000));
    assert!(world.nodes[0].data.is_empty(), "and its data is held until it is forgotten");
    let of_victim: Vec<_> =
        world.sent.iter().filter(|sent| sent.to == victim).map(|sent| sent.kind).collect();
    assert!(of_victim.iter().all(|kind| matches!(kind, TransmitKind::Check | TransmitKind::Response)));
    assert!(of_victim.len() <= 8 + 40, "{}", of_victim.len());
}

/// An answer that is right in all but where it arrives or comes from makes no pair valid.
#[test]
fn t09_an_answer_on_the_wrong_socket_or_from_the_wrong_address_makes_nothing_valid() {
    for wrong_socket in [false, true] {
        let mut world = World::new(2);
        // Answers to the first are caught, and delivered elsewhere.
        let caught = Rc::new(core::cell::RefCell::new(vec![]));
        let catches = Rc::clone(&caught);
        let first = crate::world::ip(0);
        world.lost = Box::new(move |from, to, bytes| {
            let is_caught = to.ip() == first && is_answer(bytes);
            if is_caught {
                catches.borrow_mut().push((from, bytes.to_vec()));
            }
            is_caught
        });
        let [a, _] = world.pair([0, 1], 1);
        let other = world.add(0, World::config(floe_pair::Role::Controlled, 9));
        world.gather(other);
        let sockets = [world.host_address(a), world.host_address(other)]
            .map(|address| world.socket(0, address.port()).unwrap());
        for _ in 0..100 {
            world.run_for(ms(20));
            for (from, mut bytes) in caught.take() {
                let stranger = SocketAddr::new(from.ip(), from.port() + 1);
                let (socket, source) = if wrong_socket { (sockets[1], from) } else { (sockets[0], stranger) };
                world.deliver(0, socket, source, &mut bytes);
            }
            assert!(world.agent(a).path(STREAM, COMPONENT).is_none());
            assert!(world.agent(a).pairs().all(|pair| !pair.valid));
        }
    }
}

#[test]
fn p39_equal_seeds_and_inputs_give_equal_bytes() {
    let run = |seed| {
        let mut world = World::new(2);
        let mut count = 0_u32;
        world.lost = Box::new(move |_, _, _| {
            count += 1;
            count.is_multiple_of(7)
        });
        let session = world.pair_with([0, 1], seed, |config| crate::world::asking("turn", config));
        world.connect(&session, ms(20_000));
        world.run_for(ms(100_000));
        world.command(session[0], |now, agent| agent.close(now));
        world.run_for(ms(5_000));
        let events: Vec<_> = world.nodes.iter().map(|node| format!("{:?}", node.events)).collect();
        (world.sent, events)
    };
    let first = run(5);
    assert!(run(5) == first);
    assert!(run(6).0 != first.0);
}
