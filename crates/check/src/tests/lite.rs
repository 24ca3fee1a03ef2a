//! Lite agents, and peers that nominate in other ways than RFC 8445 has it.

use floe_pair::{BaseId, ComponentId, Parameters, Role, StreamId};
use floe_stun::Instant;

use super::script::*;
use super::world::*;
use crate::{Admission, Config, Event, Outcome, State, TransmitKind};

const OTHER: &str = "10.0.1.2:1000";

fn full_and_lite(asked: [Role; 2]) -> World {
    let mut world =
        World::between(asked, [lite("left"), parameters("right")], millis(50), 1, Config::default());
    for component in [RTP, ComponentId::RTCP] {
        for index in 0..2_u16 {
            let port = 1_000 * component.get();
            for side in 0..2 {
                world.sides[side].set.add_component(world.now, STREAM, component);
                let at = std::format!("10.0.{side}.{}:{port}", index + 1);
                // RFC 8445 §5.2: a lite agent has one IPv4 candidate for each component.
                if side == 1 || index == 0 {
                    world.sides[side].add_host(STREAM, component, index, &at);
                }
            }
        }
    }
    world
}

#[test]
fn ice_10_the_full_agent_controls_a_lite_one_whoever_began() {
    for asked in [Role::Controlling, Role::Controlled] {
        for other in [Role::Controlling, Role::Controlled] {
            let mut world = full_and_lite([asked, other]);
            world.signal();
            world.complete_gathering();
            assert!(world.run_to_selection(ms(1_000)), "{asked:?} {other:?}");
            world.run(ms(600_000));
            let roles = world.sides.each_ref().map(|side| side.set.role());
            assert_eq!(roles, [Role::Controlled, Role::Controlling]);
            for component in [RTP, ComponentId::RTCP] {
                world.assert_agreed(STREAM, component);
            }
            let quiet = |kind| matches!(kind, TransmitKind::Response | TransmitKind::Keepalive);
            assert!(
                world.sides[0].sent.iter().all(|(_, kind, _)| quiet(*kind)),
                "a lite agent checks nothing"
            );
            assert_eq!(world.sides[0].set.state(), State::Completed, "after ten minutes");
        }
    }
}

#[test]
fn ice_10_a_lite_agent_keeps_its_role_in_every_conflict() {
    let mut script = Script::between(Role::Controlled, Config::default(), lite("left"), parameters("right"));
    // A full peer that believes itself controlled, with a lower and a higher tiebreaker.
    for tiebreaker in [0, u64::MAX] {
        let claim = Some(floe_stun::binding::Claim::Controlled(tiebreaker));
        let (_, answer) = script.ask(remote(), &Ask { claim, ..Ask::default() });
        assert_eq!(answer.expect("an answer").code, Some(487));
        assert_eq!(script.set.role(), Role::Controlled);
    }
}

#[test]
fn ice_10_a_full_agent_keeps_control_of_a_lite_peer_that_answers_487() {
    let mut script = Script::between(Role::Controlled, Config::default(), parameters("left"), lite("right"));
    assert_eq!(script.set.role(), Role::Controlling);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    assert_eq!(script.refuse(&check, 487), Outcome::Taken);
    assert_eq!(script.set.role(), Role::Controlling);
}

#[test]
fn ice_10_a_lite_agent_takes_an_early_check_as_that_of_a_full_one() {
    let mut script = Script::early(Role::Controlling, Config::default(), lite("left"));
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!(script.set.role(), Role::Controlled);
    script.set.set_remote_parameters(script.now, parameters("right"));
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn p08_a_lite_agent_selects_what_the_peer_nominates_whatever_its_priority() {
    let mut script = Script::between(Role::Controlled, Config::default(), lite("left"), parameters("right"));
    script.add_remote(remote(), 0);
    script.ask_well(address(OTHER), &Ask::controlling());
    assert_eq!(script.selected(), None);
    assert_eq!(script.set.is_valid(BASE, address(OTHER)), Some((STREAM, RTP)), "data of the peer is taken");
    assert_eq!(script.set.is_valid(BASE, remote()), None, "no request came from there");
    // Never signalled, and of the lowest priority there is.
    script.ask_well(address(OTHER), &Ask { priority: Some(1), ..Ask::nominating() });
    assert_eq!((script.selected(), script.set.state()), (Some(address(OTHER)), State::Completed));
    assert!(script.slot().is_none());
    // RFC 8445 §8.1.1: one nomination.
    let (_, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!(answer.expect("an answer").code, Some(400));
}

#[test]
fn ice_10_a_lite_agent_sends_no_data_before_every_component_has_a_pair() {
    let mut script = Script::early(Role::Controlled, Config::default(), lite("left"));
    let rtcp = BaseId(8);
    script.set.add_component(script.now, STREAM, ComponentId::RTCP);
    script.set.add_base(rtcp, Admission::Open);
    let candidate = host(ComponentId::RTCP, 0, address("10.0.0.1:1001"));
    script.set.add_local_candidate(ms(0), STREAM, candidate, rtcp);
    script.set.set_remote_parameters(ms(0), parameters("right"));
    script.ask_well(remote(), &Ask::nominating());
    assert!(script.set.best_valid(STREAM, RTP).is_none());
    let id = script.new_id();
    let second = Ask::nominating().bytes(id);
    let _ = hand_in(&mut script.set, ms(0), rtcp, address("10.0.1.1:1001"), &second, &mut script.rng);
    let _ = script.drain();
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn ice_38_a_lite_agent_keeps_mappings_and_asks_for_no_consent() {
    let mut script = Script::between(Role::Controlled, Config::default(), lite("left"), parameters("right"));
    script.ask_well(remote(), &Ask::nominating());
    let sent = script.wait(60_000);
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive && sent.to == remote()));
    assert_eq!(script.selected(), Some(remote()), "consent is for full agents");
}

fn two_lite(remotes: &[&str]) -> Script {
    let mut script = Script::between(Role::Controlling, Config::default(), lite("left"), lite("right"));
    for (index, at) in (0..).zip(remotes) {
        script.add_remote(address(at), index);
    }
    script.set.catch_up();
    script
}

#[test]
fn ice_10_two_lite_agents_have_their_pair_without_checks() {
    let mut script = two_lite(&["10.0.1.1:1000"]);
    assert_eq!(script.selected(), Some(remote()), "data may go");
    assert_eq!(script.set.state(), State::Connected, "others may come");
    script.set.local_gathering_complete(ms(5), STREAM);
    script.set.remote_gathering_complete(ms(5), STREAM);
    script.set.catch_up();
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
    assert!(!script.set.is_provisional(STREAM, RTP));
    assert!(script.slot().is_none());
    let sent = script.wait(100_000);
    assert!(sent.iter().all(|sent| sent.kind == TransmitKind::Keepalive), "no check, ever");
    assert_eq!(script.set.role(), Role::Controlling, "who began");
}

#[test]
fn ice_10_of_several_pairs_two_lite_agents_agree_on_one() {
    let mut script = two_lite(&["10.0.1.1:1000", OTHER]);
    script.set.local_gathering_complete(ms(5), STREAM);
    script.set.remote_gathering_complete(ms(5), STREAM);
    script.set.catch_up();
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Connected));
    assert!(script.set.is_provisional(STREAM, RTP));
    let elsewhere = address("10.9.9.9:9");
    assert!(!script.set.reconcile(ms(6), STREAM, RTP, local(), elsewhere), "no such pair");
    assert!(script.set.reconcile(ms(6), STREAM, RTP, local(), address(OTHER)));
    assert_eq!((script.selected(), script.set.state()), (Some(address(OTHER)), State::Completed));
    assert!(!script.set.reconcile(ms(7), STREAM, RTP, local(), remote()), "agreed already");
    script.wait(10_000);
    assert_eq!(script.set.pairs().count(), 1);
}

#[test]
fn ice_10_two_lite_agents_prefer_a_pair_as_rfc_6724_does() {
    let mut script = two_lite(&["10.0.1.1:1000", "[fd00::2]:1000", "[2001:db8::2]:1000"]);
    let locals = ["[fd00::1]:1000", "[2001:db8::1]:1000"];
    for (index, at) in (0..).zip(locals) {
        let base = BaseId(20 + index);
        script.set.add_base(base, Admission::Open);
        let candidate = host(RTP, u16::try_from(index).expect("few") + 1, address(at));
        script.set.add_local_candidate(ms(0), STREAM, candidate, base);
    }
    script.set.catch_up();
    let selected = script.set.selected(STREAM, RTP).expect("a pair");
    let global = (address("[2001:db8::1]:1000"), address("[2001:db8::2]:1000"));
    assert_eq!((selected.local.address, selected.remote), global);
}

/// RFC 8445 §8.2: a pair is chosen of those that there are; until both have agreed, the loss of one is no loss of the path.
#[test]
fn ice_10_two_lite_agents_take_the_pair_that_is_left_when_an_address_goes() {
    let second = (BaseId(20), address("[2001:db8::1]:1000"));
    for complete in [false, true] {
        let mut script = two_lite(&["10.0.1.1:1000", "[2001:db8::2]:1000"]);
        script.set.add_base(second.0, Admission::Open);
        script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, second.1), second.0);
        if complete {
            script.set.local_gathering_complete(ms(5), STREAM);
            script.set.remote_gathering_complete(ms(5), STREAM);
        }
        script.set.catch_up();
        assert_eq!(script.selected(), Some(address("[2001:db8::2]:1000")));
        let _ = script.events();
        script.set.remove_base(ms(6), second.0);
        assert_eq!(script.selected(), Some(remote()), "{complete}");
        let state = if complete { State::Completed } else { State::Connected };
        assert_eq!((script.set.state(), script.set.is_provisional(STREAM, RTP)), (state, !complete));
        let told =
            |event: &Event| matches!(event, Event::ConsentLost { .. } | Event::RestartSuggested { .. });
        assert!(!script.events().iter().any(told), "nothing is lost");
        let (gone, to) = (second.1, address("[2001:db8::2]:1000"));
        assert!(!script.set.reconcile(ms(7), STREAM, RTP, gone, to), "it cannot be agreed upon any more");
        let sent = script.wait(20_000);
        assert!(!sent.is_empty() && sent.iter().all(|sent| (sent.from, sent.to) == (BASE, remote())));
        // With the last one the path is gone.
        script.set.remove_base(script.now, BASE);
        assert_eq!(script.selected(), None);
        let lost = script.events().iter().any(|event| matches!(event, Event::ConsentLost { .. }));
        assert_eq!(lost, complete, "what was agreed upon is told to be lost");
        script.wait(60_000);
        let state = if complete { State::Disconnected } else { State::Checking };
        assert_eq!(script.set.state(), state);
    }
}

#[test]
fn p39_what_two_lite_agents_have_not_agreed_upon_is_kept_no_more() {
    let mut script = two_lite(&["10.0.1.1:1000", OTHER]);
    script.set.catch_up();
    let chosen = script.pair(remote()).id;
    assert_eq!((script.selected(), script.set.keep(ms(5), chosen, true)), (Some(remote()), Ok(())));
    script.set.local_gathering_complete(ms(5), STREAM);
    script.set.remote_gathering_complete(ms(5), STREAM);
    assert!(script.set.reconcile(ms(6), STREAM, RTP, local(), address(OTHER)));
    let kept = script.set.pairs.iter().filter(|pair| pair.wish.kept).count();
    assert_eq!((script.selected(), kept), (Some(address(OTHER)), 0));
}

/// RFC 5245: USE-CANDIDATE in every check.
fn aggressive(name: &str) -> Parameters {
    with_options(name, &[])
}

#[test]
fn p08_of_an_aggressive_peer_the_best_nominated_pair_is_used() {
    for ours in [lite("left"), parameters("left")] {
        let full = !ours.lite;
        let mut script = Script::between(Role::Controlled, Config::default(), ours, aggressive("right"));
        script.add_remote(remote(), 0);
        script.add_remote(address(OTHER), 1);
        for source in [address(OTHER), remote()] {
            script.ask_well(source, &Ask::nominating());
            if full {
                let check = script.slot().expect("a triggered check");
                script.succeed(&check);
            }
            assert_eq!(script.selected(), Some(source));
        }
        // The lower one again: nothing changes.
        script.ask_well(address(OTHER), &Ask::nominating());
        assert_eq!(script.selected(), Some(remote()));
        assert!(script.slot().is_none());
    }
}

/// aioice sends on the pair whose nomination was answered last, whatever its priority.
#[test]
fn p08_an_aggressive_peer_may_use_a_lower_nominated_pair_for_as_long_as_it_keeps_it() {
    let mut script =
        Script::between(Role::Controlled, Config::default(), parameters("left"), aggressive("right"));
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    // Both are accepted before either of our checks goes out: the better one is proved first.
    for source in [remote(), address(OTHER)] {
        script.ask_well(source, &Ask::nominating());
    }
    for _ in 0..2 {
        let check = script.slot().expect("a triggered check");
        script.succeed(&check);
    }
    let lower =
        |script: &Script| script.set.pairs().any(|pair| pair.valid && pair.remote.address == address(OTHER));
    assert_eq!(script.selected(), Some(remote()));
    assert!(lower(&script), "the peer was told that it may use it");
    for second in 0..60 {
        if second % 5 == 0 {
            script.ask_well(address(OTHER), &Ask::controlling());
        }
        for sent in script.wait(1_000) {
            script.succeed(&sent);
        }
        assert!(lower(&script), "after {second} s");
    }
    for _ in 0..60 {
        for sent in script.wait(1_000) {
            script.succeed(&sent);
        }
    }
    assert!(!lower(&script), "the peer keeps it no more");
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn p08_a_peer_that_never_nominates_has_its_data_on_a_valid_pair() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    for _ in 0..600 {
        for sent in script.wait(1_000) {
            script.succeed(&sent);
        }
        let best = script.set.best_valid(STREAM, RTP).expect("data may go");
        assert!(best.valid_until > script.now);
    }
    assert_eq!(script.set.state(), State::Connected);
    // Ten minutes late.
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn p08_every_kind_of_peer_connects_and_stays_connected() {
    let kinds: [fn(&str) -> Parameters; 4] =
        [parameters, lite, aggressive, |name| with_options(name, &["ice2", "renomination2"])];
    for left in kinds {
        for right in kinds {
            for roles in [[Role::Controlling, Role::Controlled], [Role::Controlled, Role::Controlling]] {
                let both = [left("left"), right("right")];
                let mut world = World::between(roles, both.clone(), millis(50), 7, Config::default());
                for (index, side) in world.sides.iter_mut().enumerate() {
                    side.add_host(STREAM, RTP, 0, &std::format!("10.0.{index}.1:1000"));
                }
                world.signal();
                world.complete_gathering();
                assert!(world.run_to_selection(ms(1_000)), "{both:?} {roles:?}");
                world.run(ms(600_000));
                world.assert_agreed(STREAM, RTP);
                for side in &world.sides {
                    assert_eq!(side.set.state(), State::Completed, "{both:?} {roles:?}");
                    let selections = |event: &Event| matches!(event, Event::Selected { .. });
                    assert_eq!(side.events.iter().filter(|(_, event)| selections(event)).count(), 1);
                }
            }
        }
    }
}

#[test]
fn ice_10_a_lite_agent_has_nothing_left_after_completion_but_its_pair() {
    let mut world = full_and_lite([Role::Controlled, Role::Controlling]);
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(1_100));
    assert_eq!(world.sides[0].set.pairs().count(), 2, "one for each component, freed at once");
    let start: Instant = world.now;
    assert!(world.sides[0].set.poll_timeout() > Some(start.after(millis(13_000))), "only keepalives");
    let unknown = world.sides[0].set.stream_state(StreamId(9));
    assert_eq!(unknown, None);
}

#[test]
fn p04_a_lite_agent_fails_when_no_peer_has_checked_it_for_as_long_as_a_check_takes() {
    for heard in [false, true] {
        let mut script =
            Script::between(Role::Controlled, Config::default(), lite("left"), parameters("right"));
        script.add_remote(address(OTHER), 0);
        script.set.local_gathering_complete(ms(0), STREAM);
        script.set.remote_gathering_complete(ms(0), STREAM);
        script.wait(30_000);
        if heard {
            script.ask_well(remote(), &Ask::controlling());
        }
        let until = if heard { 39_500 } else { 9_500 };
        script.wait(until - 1);
        assert_eq!(script.set.state(), State::Checking, "{heard}");
        script.wait(1);
        assert_eq!(script.set.state(), State::Failed, "{heard}");
        assert_eq!(script.set.poll_timeout(), None, "and rests");
    }
}
