//! Restarts that are not answered yet, and those that are taken back.

use floe_agent::{Added, ApiError, Event, InterfaceFlags, State, TransmitKind};
use floe_pair::{CandidateLine, Role};
use floe_stun::{Class, Message};

use crate::{
    restart::{credentials, restart, states, stream},
    world::{Id, STREAM, World, asking, ip, ms},
};

#[test]
fn p17_a_restart_taken_back_leaves_everything_as_it_was() {
    for at in [0, 30, 5_000] {
        let mut world = World::new(2);
        let ids = world.pair([0, 1], 1);
        world.run_for(ms(at));
        world.part(ids);
        let before = credentials(&world, ids[0]);
        restart(&mut world, ids[0]);
        world.run_for(ms(100));
        let back = world.command(ids[0], |now, agent| agent.rollback(now));
        assert_eq!(back, Ok(()));
        assert_eq!(credentials(&world, ids[0]), before);
        assert_eq!(world.agent(ids[0]).generation(), 0);
        world.join_again(ids);
        world.connect(&ids, ms(3_000));
        assert_eq!(world.carries_data(ids), [true, true]);
        let again = world.command(ids[0], |now, agent| agent.rollback(now));
        assert_eq!(again, Err(ApiError::NoRestart));
        // Numbers are never given twice.
        assert_eq!(restart(&mut world, ids[0]), 2);
        assert_eq!(stream(&mut world, ids, ms(2_000)), [Vec::<u32>::new(), vec![]]);
        assert!(world.is_completed(&ids));
    }
}

/// What was gathered for a restart that is taken back goes with it, whenever the session before completed.
#[test]
fn p16_p17_a_restart_taken_back_leaves_no_allocation_and_no_keepalive() {
    for at in [30, 10_000] {
        let mut world = World::new(2);
        world.server.nat = true;
        let ids = world.pair_with([0, 1], 1, |config| asking("turn", config));
        world.run_for(ms(at));
        world.part(ids);
        restart(&mut world, ids[0]);
        world.run_for(ms(10_000));
        assert!(world.server.allocations() >= 1, "asked for again, or kept for the restart");
        assert_eq!(world.agent(ids[0]).state(), State::Connected);
        assert_eq!(world.command(ids[0], |now, agent| agent.rollback(now)), Ok(()));
        assert!(world.is_completed(&ids));
        world.run_for(ms(20_000));
        assert_eq!(world.server.allocations(), 0, "at {at}");
        world.sent.clear();
        world.run_for(ms(60_000));
        let kinds = [TransmitKind::Consent, TransmitKind::Response];
        assert!(world.sent.iter().all(|sent| kinds.contains(&sent.kind)), "at {at}");
        assert!(ids.iter().all(|id| world.nodes[id.0].ports.len() == 1), "at {at}");
    }
}

/// RFC 8445 §6.1.1: what the session before an unanswered restart says is heard, and its role is taken along.
#[test]
fn p11_p17_a_role_that_changes_while_a_restart_is_unanswered_is_told_and_kept() {
    let mut world = World::new(2);
    let ids = [(0, 1), (1, 2)].map(|(node, seed)| world.add(node, World::config(Role::Controlling, seed)));
    world.introduce(ids);
    world.run_for(ms(1));
    world.part(ids);
    let _ = ids.map(|id| restart(&mut world, id));
    world.run_for(ms(3_000));
    let switched = |id: &Id| {
        let event = |event: &Event| if let Event::RoleSwitched(role) = event { Some(*role) } else { None };
        world.nodes[id.0].events_of(id.1).find_map(event)
    };
    let [told]: [Role; 1] = ids.iter().filter_map(switched).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(told, Role::Controlled);
    let mut roles = ids.map(|id| world.agent(id).role());
    roles.sort_unstable();
    assert_eq!(roles, [Role::Controlling, Role::Controlled], "in the generation in force");
}

/// RFC 8445 §9: where nothing carries data there is nothing to check before the peer is known.
#[test]
fn p17_without_a_peer_a_restart_changes_no_state() {
    let mut world = World::new(1);
    let id = world.add(0, World::config(Role::Controlling, 1));
    world.gather(id);
    restart(&mut world, id);
    assert_eq!(world.agent(id).state(), State::New);
    world.command(id, |now, agent| agent.rollback(now).unwrap());
    restart(&mut world, id);
    world.run_for(ms(1_000));
    assert_eq!(states(&world, id), [], "nothing to tell");
}

/// With a list of its own a restart has what that says; the session before has what it had, and is told nothing again.
#[test]
fn p17_a_list_for_a_restart_is_news_for_the_new_generation_alone() {
    let mut world = World::new(1);
    let mut config = asking("stun", World::config(Role::Controlling, 1));
    config.gathering.relisted = true;
    // Its end of candidates is not told yet.
    world.lost = Box::new(|_, _, _| true);
    let id = world.add(0, config);
    world.gather(id);
    let told = |world: &World| -> Vec<_> {
        let generation = |event: &Event| match event {
            Event::LocalCandidate { generation, .. } => Some(*generation),
            _ => None,
        };
        world.nodes[0].events_of(id.1).filter_map(generation).collect()
    };
    assert_eq!(told(&world), [0]);
    restart(&mut world, id);
    world.run_for(ms(100));
    assert_eq!(told(&world), [0]);
    world.gather(id);
    assert_eq!(told(&world), [0, 1]);
    world.add_address(id, "198.51.100.77");
    assert_eq!(told(&world), [0, 1, 0, 1], "what is new is for both");
    world.command(id, |now, agent| agent.rollback(now).unwrap());
    world.run_for(ms(100));
    assert_eq!((told(&world).len(), world.agent(id).report().local.host), (4, 2));
}

/// What a restart left out of its offer is in use as before once the restart is taken back.
#[test]
fn p17_a_restart_taken_back_has_the_address_it_left_out() {
    for relisted in [false, true] {
        let mut world = World::new(2);
        let ids = world.pair_with([0, 1], 1, |mut config| {
            config.gathering.relisted = relisted && config.role == Role::Controlling;
            config
        });
        world.connect(&ids, ms(5_000));
        world.part(ids);
        let new = "198.51.100.77";
        world.change_address(ids[0], new, InterfaceFlags::DEPRECATED);
        restart(&mut world, ids[0]);
        world.change_address(ids[0], new, InterfaceFlags::DEPRECATED);
        let told = |world: &World, of: u32| -> Vec<_> {
            let address = |event: &Event| match event {
                Event::LocalCandidate { generation, candidate, .. } if *generation == of => {
                    Some(candidate.address.ip().to_string())
                }
                _ => None,
            };
            world.nodes[0].events_of(ids[0].1).filter_map(address).collect()
        };
        assert_eq!(told(&world, 1), [new], "what the rules take now");
        world.run_for(ms(2_000));
        world.command(ids[0], |now, agent| agent.rollback(now).unwrap());
        world.run_for(ms(60_000));
        assert_eq!(world.carries_data(ids), [true, true]);
        // The next restart leaves it out again, and is taken.
        world.join_again(ids);
        restart(&mut world, ids[0]);
        world.change_address(ids[0], new, InterfaceFlags::DEPRECATED);
        assert_eq!(told(&world, 2), [new]);
        world.run_for(ms(10_000));
        assert!(world.is_completed(&ids), "{relisted}");
        assert_eq!(world.nodes[0].ports.len(), 1, "its socket is closed");
    }
}

/// The generation before may be gone when the list comes.
#[test]
fn p17_an_address_that_a_late_list_leaves_to_nobody_is_given_back() {
    for is_answered in [true, false] {
        let mut world = World::new(2);
        let ids = [(0, Role::Controlling), (1, Role::Controlled)].map(|(node, role)| {
            let mut config = World::config(role, 1);
            config.gathering.relisted = node == 0;
            world.add(node, config)
        });
        world.gather(ids[0]);
        restart(&mut world, ids[0]);
        if is_answered {
            world.tell_parameters(ids[1], ids[0]);
            world.run_for(ms(10));
        }
        world.change_address(ids[0], "198.51.100.77", InterfaceFlags::DEPRECATED);
        assert_eq!(world.nodes[0].ports.len(), if is_answered { 1 } else { 2 });
    }
}

/// RFC 8838 §8, RFC 8445 §9: what the peer tells before its first answer, without a user fragment, is for the offer that
/// it answers, also where that one has taken the place of another, or another has been taken back.
#[test]
fn p03_p17_candidates_that_overtake_the_first_answer_count_after_a_restart() {
    for (restarts, taken_back, lines) in [
        (false, false, true),
        (true, false, true),
        (true, false, false),
        (true, true, true),
        (true, true, false),
    ] {
        let mut world = World::new(2);
        let calling = world.add(0, World::config(Role::Controlling, 1));
        let answering = world.add(1, World::config(Role::Controlled, 2));
        world.gather(calling);
        world.gather(answering);
        if restarts {
            restart(&mut world, calling);
        }
        // The peer's own checks come to nothing.
        world.lost = Box::new(move |from, _, bytes| {
            let is_request = Message::parse(bytes).is_ok_and(|message| message.class() == Class::Request);
            is_request && from.ip() == ip(1)
        });
        let line = CandidateLine::from(&world.candidate(answering));
        let tell = |world: &mut World| {
            let added = world.command(calling, |now, agent| agent.add_remote_candidate(now, STREAM, &line));
            assert_eq!(added, Ok(Added::Added));
            world.command(calling, |now, agent| agent.remote_gathering_complete(now));
        };
        if lines {
            tell(&mut world);
        }
        if taken_back {
            assert_eq!(world.command(calling, |now, agent| agent.rollback(now)), Ok(()));
        }
        world.tell_parameters(calling, answering);
        world.tell_parameters(answering, calling);
        if !lines {
            tell(&mut world);
        }
        let valid = |world: &World| world.agent(calling).pairs().any(|pair| pair.valid);
        let found = world.run_until(world.now.after(ms(5_000)), valid);
        assert!(found, "restarts {restarts}, taken back {taken_back}, lines first {lines}");
    }
}
