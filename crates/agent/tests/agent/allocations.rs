//! A steady-state datagram allocates nothing on the heap (design: law 7).

use allocation_counter::measure;
use floe_agent::TransmitKind;

use crate::{
    relayed::relayed,
    world::{COMPONENT, Id, STREAM, World, ms},
};

/// Consent both ways, its answers, and data both ways by the agent and by the path: for a minute.
#[track_caller]
fn assert_allocates_nothing(world: &mut World, [a, b]: [Id; 2]) {
    // What is freed some seconds after the end of checks is no steady state yet.
    world.run_for(ms(60_000));
    world.sent.clear();
    for _ in 0..100 {
        // Queues have grown to what is needed, and the buffers of the test as well.
        assert!(world.send(a, b"\x80") && world.send(b, b"\x80"));
        world.run_for(ms(100));
    }
    let (before, sent) = (world.allocations, world.sent.len());
    let data = world.nodes[b.0].data.len();
    let mut buffer = vec![0; 1500];
    for _ in 0..60 {
        for id in [a, b] {
            assert!(world.send(id, b"\x80 some data"));
            let now = world.now;
            let agent = world.nodes[id.0].hub.agent_mut(id.1).unwrap();
            let sending = measure(|| {
                let _ = agent.send(now, STREAM, COMPONENT, b"\x80 some data", &mut buffer).unwrap();
            });
            assert_eq!(sending.count_total, 0, "Agent::send");
            if let Some(path) = agent.path(STREAM, COMPONENT) {
                let framing = measure(|| {
                    let _ = path.frame(now, 1200).unwrap();
                });
                assert_eq!(framing.count_total, 0, "PathHandle::frame");
            }
            world.drain(id.0);
        }
        world.run_for(ms(1_000));
    }
    assert_eq!(world.allocations - before, 0);
    let of_kind = |kind| world.sent[sent..].iter().filter(|sent| sent.kind == kind).count();
    assert!(of_kind(TransmitKind::Consent) >= 20, "consent was asked for");
    assert_eq!(of_kind(TransmitKind::Response), of_kind(TransmitKind::Consent), "and given");
    assert!(world.nodes[b.0].data.len() >= data + 59, "data was delivered");
}

#[test]
fn law_7_a_direct_session_allocates_nothing() {
    let mut world = World::new(2);
    let session = world.pair([0, 1], 1);
    world.connect(&session, ms(5_000));
    assert_allocates_nothing(&mut world, session);
}

#[test]
fn law_7_sessions_on_a_shared_port_allocate_nothing() {
    let mut world = World::new(2);
    world.share(0);
    world.share(1);
    let sessions = [world.pair([0, 1], 1), world.pair([0, 1], 2)];
    world.connect(&sessions.concat(), ms(5_000));
    assert_allocates_nothing(&mut world, sessions[1]);
}

#[test]
fn law_7_a_relayed_session_with_a_channel_allocates_nothing() {
    let (mut world, session) = relayed(true);
    assert_allocates_nothing(&mut world, session);
}

#[test]
fn law_7_a_relayed_session_without_channels_allocates_nothing() {
    let (mut world, session) = relayed(false);
    assert_allocates_nothing(&mut world, session);
}

/// Checks proper: what the peer checks again and again after the end of ICE is answered in place.
#[test]
fn law_7_a_check_that_is_answered_allocates_nothing() {
    let mut world = World::new(2);
    let [a, b] = world.pair([0, 1], 1);
    world.connect(&[a, b], ms(5_000));
    world.run_for(ms(10_000));
    let check = world.sent.iter().find(|sent| sent.by == b && sent.kind == TransmitKind::Check).unwrap();
    let (bytes, from) = (check.bytes.clone(), world.host_address(b));
    let socket = world.socket(0, world.host_address(a).port()).unwrap();
    world.deliver(0, socket, from, &mut bytes.clone());
    let (before, sent) = (world.allocations, world.sent.len());
    for _ in 0..100 {
        world.deliver(0, socket, from, &mut bytes.clone());
    }
    assert_eq!(world.allocations, before);
    assert_eq!(world.sent.len(), sent + 100);
}
