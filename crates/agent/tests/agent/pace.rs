//! RFC 8445 §14.2 over many agents of one process.

use core::time::Duration;
use std::collections::BTreeSet;

use floe_agent::{
    Added, Agent, AgentConfig, Answer, Interface, InterfaceFlags, Pacer, Policy, Request, Server,
    TransmitKind,
};
use floe_pair::{Role, SocketId};
use floe_stun::{Instant, Message, Method};

use crate::world::{STREAM, Sent, World, asking, ms};

/// When the paced transactions of a node began, in order.
fn starts(sent: &[Sent], node: usize) -> Vec<Instant> {
    let mut seen = BTreeSet::new();
    let paced = |sent: &&Sent| {
        sent.by.0 == node && matches!(sent.kind, TransmitKind::Check | TransmitKind::Gathering)
    };
    let first = |sent: &&Sent| seen.insert(Message::parse(&sent.bytes).unwrap().transaction_id());
    sent.iter().filter(paced).filter(first).map(|sent| sent.at).collect()
}

#[test]
fn ice_41_p36_a_thousand_agents_of_one_hub_gather_and_connect_at_the_pace_of_one() {
    const SESSIONS: u32 = 500;
    let mut world = World::new(1);
    let began = world.now;
    let mut agents = vec![];
    for seed in 0..SESSIONS {
        agents.extend(world.pair_with([0, 0], seed, |config| asking("stun", config)));
    }
    while !world.is_completed(&agents) {
        world.run_for(ms(500));
        assert!(world.now.since(began) < ms(60_000), "not all are connected");
    }
    let starts = starts(&world.sent, 0);
    let least = starts.windows(2).map(|two| two[1].since(two[0])).min();
    assert_eq!(least, Some(Pacer::FLOOR));
    // A request to the server and a check of each agent at least, and a nomination of each session.
    assert!(starts.len() >= 5 * SESSIONS as usize);
    // Few slots are left unused while somebody waits: some were for a check that an answer made superfluous, about
    // one in each session. What remains is some round trips.
    let (took, busy) = (world.now.since(began), Pacer::FLOOR * u32::try_from(starts.len()).unwrap());
    let lost = Pacer::FLOOR * SESSIONS;
    assert!(took < busy + lost + ms(1_000), "{took:?}, of which {busy:?} were slots");
}

#[test]
fn ice_41_one_agent_starts_one_transaction_each_ta() {
    let mut world = World::new(2);
    // Nobody answers, and there is much to ask for.
    world.lost = Box::new(|_, _, _| true);
    let change = |mut config: AgentConfig| {
        config.checks.ta = ms(20);
        asking("stun", config)
    };
    let [a, _] = world.pair_with([0, 1], 1, change);
    for host in 1..=30 {
        let line = format!("candidate:own{host} 1 udp {} 203.0.113.{host} 9 typ host", 2_130_706_431 - host);
        let line = line.parse().unwrap();
        let added = world.command(a, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
        assert_eq!(added, Ok(Added::Added));
    }
    world.run_for(ms(2_000));
    let starts = starts(&world.sent, 0);
    assert_eq!(starts.len(), 1 + 1 + 30, "to the server, to the peer and to each of these");
    assert!(starts.windows(2).all(|two| two[1].since(two[0]) == ms(20)), "{starts:?}");
}

/// A host that slept does all due work once.
#[test]
fn t40_after_any_sleep_the_pace_holds() {
    for sleep in [1, 100, 5_000, 29_000, 600_000, 36_000_000] {
        let mut world = World::new(2);
        let mut agents = vec![];
        for seed in 0..30 {
            agents.extend(world.pair_with([0, 1], seed, |config| asking("stun", config)));
        }
        // Somewhere in the midst of it: some connected, some not.
        world.run_for(ms(137));
        let (before, woken) = (world.sent.len(), world.now.after(ms(sleep)));
        world.now = woken;
        world.run_for(ms(1_000));
        for node in [0, 1] {
            let mut starts = starts(&world.sent, node);
            starts.retain(|at| *at >= woken);
            let least = starts.windows(2).map(|two| two[1].since(two[0])).min();
            assert!(least.is_none_or(|least| least >= Pacer::FLOOR), "{least:?} after {sleep} ms");
            let sent = world.sent[before..].iter().filter(|sent| sent.by.0 == node);
            let at_once = sent.filter(|sent| sent.at == woken && sent.kind == TransmitKind::Consent).count();
            assert!(at_once <= 30, "consent is asked for once each");
        }
    }
}

#[test]
fn ice_41_closing_agents_take_their_slots_along_and_others_keep_the_floor() {
    let mut world = World::new(2);
    let mut agents = vec![];
    for seed in 0..40 {
        agents.extend(world.pair_with([0, 1], seed, |config| asking("stun", config)));
    }
    // Every second one gives up while it waits for its slot; the others keep the floor nevertheless, also later.
    world.run_for(ms(12));
    for pair in agents.chunks(4) {
        for id in &pair[..2] {
            world.command(*id, |now, agent| agent.close(now));
        }
    }
    let rest: Vec<_> = agents.chunks(4).flat_map(|pairs| pairs[2..].to_vec()).collect();
    world.connect(&rest, Duration::from_secs(5));
    for node in [0, 1] {
        let starts = starts(&world.sent, node);
        assert!(starts.windows(2).all(|two| two[1].since(two[0]) >= Pacer::FLOOR));
    }
}

/// A slot is not kept for a wish that comes later: by then others have what comes after it.
#[test]
fn ice_41_a_slot_is_lost_with_the_wish_for_it() {
    let (mut pacer, mut buffer) = (Pacer::new(), [0; 1500]);
    let at = |ms: u64| Instant::from_millis(1_000 + ms);
    let interfaces = |count: usize| {
        let ip = [198, 51, 100, 1].into();
        vec![
            Interface { name: "eth0".into(), index: 1, ip, prefix_len: 24, flags: InterfaceFlags::UP };
            count
        ]
    };
    let bind = |agent: &mut Agent, now| {
        let mut bound = 0;
        while let Some(request) = agent.poll_request() {
            let Request::BindUdp { id, local, .. } = request else { continue };
            let socket = SocketId(id.0);
            agent.handle_answer(now, id, Answer::Bound { socket, local: local.with_port(9) });
            bound += 1;
        }
        assert_eq!(bound, 1);
    };
    let mut agent = Agent::new(asking("stun", World::config(Role::Controlling, 1))).unwrap();
    agent.gather(at(0));
    agent.handle_interfaces(at(0), &interfaces(1));
    bind(&mut agent, at(0));
    // Others have the next ten slots.
    let others: Vec<_> = (0..10).map(|_| pacer.reserve(at(0))).collect();
    agent.handle_timeout(at(0), &mut pacer);
    assert_eq!(agent.poll_timeout(), Some(at(50)));
    // The address goes, and the wish to ask the server with it.
    agent.handle_interfaces(at(20), &[]);
    while agent.poll_request().is_some() {}
    assert_ne!(agent.poll_timeout(), Some(at(50)));
    agent.handle_interfaces(at(100), &interfaces(1));
    bind(&mut agent, at(100));
    let queue: Vec<_> = (0..10).map(|_| pacer.reserve(at(100))).collect();
    agent.handle_timeout(at(100), &mut pacer);
    assert!(agent.poll_transmit(&mut buffer).is_none(), "not past those who wait");
    assert_eq!(agent.poll_timeout(), Some(at(150)));
    agent.handle_timeout(at(150), &mut pacer);
    assert!(agent.poll_transmit(&mut buffer).is_some());
    assert!(others.iter().chain(&queue).all(|slot| *slot < at(150)));
}

#[test]
fn gathering_and_ordinary_checks_take_turns() {
    let mut world = World::new(2);
    world.lost = Box::new(|_, _, _| true);
    let change = |mut config: AgentConfig| {
        let server = |port| Server::new(format!("stun:192.0.2.1:{port}").parse().unwrap(), None);
        config.gathering.servers = (1..=10).map(server).collect();
        config
    };
    let [a, b] =
        [Role::Controlling, Role::Controlled].map(|role| world.add(0, change(World::config(role, 1))));
    world.tell_parameters(b, a);
    for host in 1..=10 {
        let line = format!("candidate:own{host} 1 udp 9 203.0.113.{host} 9 typ host").parse().unwrap();
        let added = world.command(a, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
        assert_eq!(added, Ok(Added::Added));
    }
    world.gather(a);
    world.run_for(ms(99));
    let kinds: Vec<_> = world.sent.iter().map(|sent| sent.kind).collect();
    assert_eq!(kinds.len(), 20);
    let turns = kinds.windows(2).filter(|two| two[0] != two[1]).count();
    assert!(turns >= 18, "{kinds:?}");
}

/// The slot in which it turns out that all checks need a permission goes to the first permission.
#[test]
fn p01_permissions_do_not_wait_for_another_slot() {
    let mut world = World::new(2);
    let change = |mut config: AgentConfig| {
        config.checks.ta = ms(100);
        config.gathering.policy = Policy::RelayOnly;
        asking("turn", config)
    };
    let [a, _] = world.pair_with([0, 1], 1, change);
    world.run_for(ms(250));
    let methods = |method| {
        let of_a = world.sent.iter().filter(|sent| sent.by == a && sent.kind == TransmitKind::Relay);
        let asked = of_a.filter(|sent| Message::parse(&sent.bytes).unwrap().method() == method);
        asked.map(|sent| sent.at).collect::<Vec<_>>()
    };
    let (allocated, permitted) = (methods(Method::ALLOCATE), methods(Method::CREATE_PERMISSION));
    assert_eq!(permitted[0].since(allocated[0]), ms(100), "{allocated:?} {permitted:?}");
}
