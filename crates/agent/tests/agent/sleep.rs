//! Suspended hosts and clocks that jump: what is due is done once.

use core::time::Duration;

use floe_agent::{Event, Policy, State, TransmitKind};

use crate::world::{COMPONENT, Id, STREAM, World, asking, ms};

fn count(world: &World, (node, key): Id, wanted: impl Fn(&Event) -> bool) -> usize {
    world.nodes[node].events_of(key).filter(|event| wanted(event)).count()
}

/// Datagrams of a node since, by kind, in its first second awake.
fn burst(world: &mut World, node: usize, kind: TransmitKind) -> usize {
    let (from, now) = (world.sent.len(), world.now);
    world.run_for(ms(1_000));
    let second = now.after(ms(1_000));
    let own = world.sent[from..].iter().filter(|sent| sent.by.0 == node && sent.kind == kind);
    own.filter(|sent| sent.at < second).count()
}

/// Two hosts that have been connected for ten seconds, directly or over relays.
fn connected(relayed: bool) -> (World, [Id; 2]) {
    let mut world = World::new(2);
    let ids = world.pair_with([0, 1], 1, |mut config| {
        if relayed {
            config.gathering.policy = Policy::RelayOnly;
        }
        asking("turn", config)
    });
    world.connect(&ids, ms(10_000));
    world.run_for(ms(10_000));
    (world, ids)
}

#[test]
fn t40_p16_a_short_sleep_costs_one_round_of_consent() {
    // Who is awake was answered up to 6 s before and asks up to 6 s after: of the 30 s of its consent 18 are certain to
    // be left.
    for relayed in [false, true] {
        for seconds in [1, 7, 15, 17] {
            let (mut world, ids) = connected(relayed);
            world.asleep = Some(0);
            world.run_for(Duration::from_secs(seconds));
            world.asleep = None;
            let consents = burst(&mut world, 0, TransmitKind::Consent);
            assert!(consents <= 1, "{consents} after {seconds} s");
            world.run_for(ms(10_000));
            assert_eq!(world.carries_data(ids), [true, true], "relayed {relayed}, {seconds} s");
            assert!(world.is_completed(&ids));
        }
    }
}

#[test]
fn t40_p16_eight_hours_end_consent_once_and_a_restart_mends_it() {
    for relayed in [false, true] {
        let (mut world, ids) = connected(relayed);
        let path = world.agent(ids[0]).path(STREAM, COMPONENT).unwrap();
        world.asleep = Some(0);
        world.run_for(Duration::from_secs(8 * 3_600));
        world.asleep = None;
        assert!(path.frame(world.now, 1).is_err(), "before any timer has run");
        let states = count(&world, ids[0], |event| matches!(event, Event::State(_)));
        let requests = burst(&mut world, 0, TransmitKind::Relay);
        assert!(requests <= 6, "{requests} requests to the server");
        assert_eq!(count(&world, ids[0], |event| matches!(event, Event::ConsentLost { .. })), 1);
        let after = count(&world, ids[0], |event| matches!(event, Event::State(_)));
        assert_eq!(after, states + 1, "one change for all of it");
        // The peer has lost consent long ago.
        let dead = |state| matches!(state, State::Disconnected | State::Failed);
        assert!(ids.iter().all(|id| dead(world.agent(*id).state())));
        world.command(ids[0], |now, agent| agent.restart(now).unwrap());
        world.run_for(ms(20_000));
        assert!(world.is_completed(&ids), "relayed: {relayed}");
        assert_eq!(world.carries_data(ids), [true, true]);
    }
}
