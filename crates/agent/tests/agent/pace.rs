//! RFC 8445 §14.2 over many agents of one process.

use core::time::Duration;
use std::collections::BTreeSet;

use floe_agent::{Pacer, TransmitKind};
use floe_stun::{Instant, Message};

use crate::world::{Sent, World, asking, ms};

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
    const AGENTS: u32 = 1_000;
    let mut world = World::new(2);
    let began = world.now;
    let mut agents = vec![];
    for seed in 0..AGENTS {
        agents.extend(world.pair_with([0, 1], seed, |config| asking("stun", config)));
    }
    while !world.is_completed(&agents) {
        world.run_for(ms(500));
        assert!(world.now.since(began) < ms(60_000), "not all are connected");
    }
    let took = world.now.since(began);
    for node in [0, 1] {
        let starts = starts(&world.sent, node);
        let least = starts.windows(2).map(|two| two[1].since(two[0])).min();
        assert_eq!(least, Some(Pacer::FLOOR));
        // A request to the server and a check each at least, and on one side a nomination.
        assert!(starts.len() >= 2 * AGENTS as usize);
        // No slot is left unused while somebody waits: what remains is round trips.
        let busy = Pacer::FLOOR * u32::try_from(starts.len()).unwrap();
        assert!(took < busy + busy / 4 + ms(1_000), "{took:?} for {} transactions", starts.len());
    }
}

#[test]
fn ice_41_one_agent_starts_one_transaction_each_ta() {
    let mut world = World::new(2);
    // Nobody answers, and there is much to ask for.
    world.lost = Box::new(|_, _, _| true);
    let change = |mut config: floe_agent::AgentConfig| {
        config.checks.ta = ms(20);
        asking("stun", config)
    };
    let [a, _] = world.pair_with([0, 1], 1, change);
    for host in 1..30 {
        let line = format!("candidate:{host} 1 udp {} 203.0.113.{host} 9 typ host", 2_130_706_431 - host);
        let line = line.parse().unwrap();
        world.command(a, |now, agent| agent.add_remote_candidate(now, crate::world::STREAM, &line).unwrap());
    }
    world.run_for(ms(2_000));
    let starts = starts(&world.sent, 0);
    assert_eq!(starts.len(), 1 + 30, "one to the server and one to each candidate");
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
            let starts = starts(&world.sent[before..], node);
            let least = starts.windows(2).map(|two| two[1].since(two[0])).min();
            assert!(least.is_none_or(|least| least >= Pacer::FLOOR), "{least:?} after {sleep} ms");
            let sent = world.sent[before..].iter().filter(|sent| sent.by.0 == node);
            let at_once = sent.filter(|sent| sent.at == woken && sent.kind == TransmitKind::Consent).count();
            assert!(at_once <= 30, "consent is asked for once each");
        }
    }
}

#[test]
fn a_slot_is_lost_with_the_wish_for_it() {
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
