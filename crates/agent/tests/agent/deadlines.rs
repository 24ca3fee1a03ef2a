//! `poll_timeout` says the truth, and a clock that goes backwards changes nothing.

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
            count % 5 == 0
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
    let session = world.pair_with([0, 1], 1, |config| asking("stun", config));
    world.connect(&session, ms(5_000));
    world.run_for(ms(60_000));
    let (mut polls, from) = (0_u32, world.now);
    world.timed_out = 0;
    world.run_for(ms(3_600_000));
    polls += world.timed_out;
    let most = world.now.since(from).as_secs() / 4 * 2;
    assert!(u64::from(polls) <= most, "{polls} polls of two agents in an hour");
    assert!(world.is_completed(&session));
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
