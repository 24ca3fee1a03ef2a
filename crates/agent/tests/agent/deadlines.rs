//! `poll_timeout` says the truth, and a clock that goes backwards changes nothing.

use floe_agent::{Event, Policy, TransmitKind};
use floe_pair::CandidateType;
use floe_stun::Instant;

use crate::world::{World, asking, ms};

/// Nothing is due before a deadline, and at it something is: for whole sessions with all there is.
#[test]
fn p34_every_deadline_is_true() {
    for (seed, scheme) in [(1, "stun"), (2, "turn"), (3, "turn")] {
        let mut world = World::new(2);
        world.strict = true;
        if seed == 3 {
            world.server.channels = false;
        }
        // Every fifth datagram is lost, so that there are retransmissions.
        let mut count = 0_u32;
        world.lost = Box::new(move |_, _, _| {
            count += 1;
            count.is_multiple_of(5)
        });
        let session = world.pair_with([0, 1], seed, |config| asking(scheme, config));
        world.connect(&session, ms(20_000));
        world.run_for(ms(700_000));
        world.command(session[1], |now, agent| agent.close(now));
        world.run_for(ms(100_000));
        world.command(session[0], |now, agent| agent.close(now));
        world.run_for(ms(10_000));
        assert!(session.iter().all(|id| world.agent(*id).is_closed()));
    }
}

#[test]
fn p34_a_connected_idle_agent_is_polled_at_most_once_in_four_seconds() {
    let mut world = World::new(2);
    world.server.nat = true;
    let session = world.pair_with([0, 1], 1, |config| asking("stun", config));
    world.connect(&session, ms(5_000));
    for id in session {
        let reflexive = |event: &Event| match event {
            Event::LocalCandidate { candidate, .. } => candidate.kind == CandidateType::ServerReflexive,
            _ => false,
        };
        assert!(world.nodes[id.0].events_of(id.1).any(reflexive));
    }
    world.run_for(ms(60_000));
    (world.timed_out, world.sent) = (0, vec![]);
    world.run_for(ms(3_600_000));
    let most = 3_600 / 4 * 2;
    assert!(world.timed_out <= most, "{} polls of two agents in an hour", world.timed_out);
    assert!(world.is_completed(&session));
    // RFC 8445 §8.3: what was not selected is not kept alive.
    assert!(world.sent.iter().all(|sent| sent.kind != TransmitKind::Gathering));
}

/// Each poll of an idle hour sends something that was due: consent, or what an allocation needs.
#[test]
fn p34_no_poll_of_an_idle_hour_is_in_vain() {
    for (seed, scheme, policy) in
        [(1, "stun", Policy::All), (2, "turn", Policy::All), (3, "turn", Policy::RelayOnly)]
    {
        let mut world = World::new(2);
        world.server.nat = true;
        let session = world.pair_with([0, 1], seed, |mut config| {
            config.gathering.policy = policy;
            asking(scheme, config)
        });
        world.connect(&session, ms(10_000));
        // A restart leaves nothing behind that has to be looked after.
        world.command(session[0], |now, agent| agent.restart(now).unwrap());
        world.run_for(ms(60_000));
        (world.polls, world.sent) = (vec![], vec![]);
        world.run_for(ms(3_600_000));
        assert!(world.polls.iter().all(|(_, outputs)| *outputs > 0), "{scheme}: a poll in vain");
        let of = |kind| world.sent.iter().filter(|sent| sent.kind == kind).count();
        assert!(world.polls.len() <= of(TransmitKind::Consent) + of(TransmitKind::Relay), "{scheme}");
        assert!(of(TransmitKind::Consent) <= 2 * 3_600 / 4, "{scheme}");
        // Two allocations, each: Refresh, permission and channel every four minutes or less seldom.
        assert!(of(TransmitKind::Relay) <= 2 * 3 * 3_600 / 240, "{scheme}: {}", of(TransmitKind::Relay));
    }
}

#[test]
fn p37_t40_a_clock_that_goes_backwards_counts_as_one_that_stands() {
    let mut world = World::new(2);
    let session = world.pair([0, 1], 1);
    world.connect(&session, ms(5_000));
    let (now, sent) = (world.now, world.sent.len());
    let deadline = world.nodes[0].hub.poll_timeout();
    for back in [Instant::ORIGIN, Instant::from_millis(999)] {
        world.now = back;
        world.nodes[0].hub.handle_timeout(back);
        assert_eq!(world.drain(0), 0);
        assert_eq!(world.nodes[0].hub.poll_timeout(), deadline);
        // A path is judged by the clock of who sends.
        assert!(world.send(session[0], b"\x80"));
    }
    assert_eq!(world.sent.len(), sent);
    world.now = now;
    world.run_for(ms(60_000));
    assert!(world.is_completed(&session));
}
