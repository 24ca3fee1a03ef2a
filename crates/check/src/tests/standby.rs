//! Standby pairs, and bases that are added after nomination.

use std::vec::Vec;

use floe_pair::{BaseId, CandidateType, Parameters, Role, TransportAddress};
use floe_stun::{Class, Message};

use super::renominate::{Stream, both, moves, new_draft};
use super::script::*;
use super::world::*;
use crate::{ChecklistSet, Config, Event, MoveReason, RestartReason, State, TransmitKind};

/// Two addresses on each side, on networks of their own.
fn with_two_hosts(config: Config) -> World {
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::between(roles, new_draft(), millis(50), 5, config);
    for (index, side) in world.sides.iter_mut().enumerate() {
        side.add_host(STREAM, RTP, 0, &std::format!("10.0.{index}.1:1000"));
        side.add_host(STREAM, RTP, 1, &std::format!("10.7.{index}.1:1000"));
    }
    world
}

/// The same, where one of the networks is there for a minute.
fn two_networks(standby: u8) -> World {
    let mut world = with_two_hosts(Config { standby, ..Config::default() });
    let network = |at: TransportAddress| std::format!("{at}").starts_with("10.7.");
    world.passes = std::boxed::Box::new(move |now, from, to, _| {
        network(from) == network(to) && (network(from) || now < ms(60_000))
    });
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(59_999));
    world
}

#[test]
fn a_standby_pair_takes_over_when_the_selected_one_is_lost() {
    let mut world = two_networks(2);
    for side in &world.sides {
        let pairs: Vec<_> = side.set.pairs().map(|pair| (pair.selected, pair.standby)).collect();
        assert_eq!(pairs, [(true, false), (false, true)], "what was no path has gone");
    }
    let mut data = Stream::default();
    world.run(ms(70_000));
    assert!(moves(&world, 0).is_empty(), "two lost answers are no reason");
    // Three lost answers are: it is left long before its consent ends.
    world.run_until(ms(85_000), |world| {
        world.sides.iter().all(|side| {
            side.set
                .best_valid(STREAM, RTP)
                .is_some_and(|pair| std::format!("{}", pair.remote).starts_with("10.7."))
        })
    });
    let end = world.now.after(millis(30_000));
    data.run(&mut world, end);
    assert_eq!(data.unsent, 0);
    world.assert_agreed(STREAM, RTP);
    assert_eq!(moves(&world, 0), [MoveReason::Lost]);
    let lost = |event: &Event| {
        let disconnected = matches!(event, Event::State(State::Disconnected));
        disconnected || matches!(event, Event::ConsentLost { .. } | Event::RestartSuggested { .. })
    };
    assert!(world.sides.iter().all(|side| side.first(lost).is_none()));
    assert!(world.sides.iter().all(|side| side.set.state() == State::Completed));
}

#[test]
fn without_a_standby_pair_the_loss_of_the_selected_one_suggests_a_restart() {
    let mut world = two_networks(0);
    assert!(world.sides.iter().all(|side| side.set.pairs().count() == 1), "nothing is kept");
    world.run(ms(160_000));
    for side in &world.sides {
        let reason = RestartReason::Lost;
        let suggested = Event::RestartSuggested { stream: STREAM, component: RTP, reason };
        assert_eq!(side.events.iter().filter(|(_, event)| *event == suggested).count(), 1);
        assert!(side.first(|event| matches!(event, Event::ConsentLost { .. })).is_some());
        assert_eq!(side.set.state(), State::Disconnected);
    }
}

#[test]
fn standby_pairs_are_few_and_cost_consent_only() {
    let config = Config::default();
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::between(roles, new_draft(), millis(50), 5, config);
    for index in 0..2 {
        for host in 0..8_u16 {
            world.sides[index].add_host(STREAM, RTP, host, &std::format!("10.0.{index}.{}:1000", host + 1));
        }
    }
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(2_000)));
    world.run(ms(120_000));
    for side in &mut world.sides {
        side.sent.clear();
        assert!(side.set.pairs().count() <= 3, "{}", side.set.pairs().count());
    }
    world.run(ms(180_000));
    for side in &world.sides {
        let count = |kind| side.sent.iter().filter(|(_, sent, _)| *sent == kind).count();
        assert_eq!(count(TransmitKind::Check), 0);
        assert!(count(TransmitKind::Consent) <= 3 * 15, "{}", count(TransmitKind::Consent));
    }
    world.assert_agreed(STREAM, RTP);
}

/// A new base of the left side after nomination.
fn add_base_later(world: &mut World, index: u16, at: &str) {
    let base = world.sides[0].add_host(STREAM, RTP, index, at);
    let (_, candidate, _) = world.sides[0].candidates.last().expect("just added").clone();
    let now = world.now;
    world.sides[0].set.add_local_candidate(now, STREAM, candidate, base);
}

/// The right side has one address, the left one of a low priority.
fn low(parameters: [Parameters; 2], roles: [Role; 2]) -> World {
    let mut world = World::between(roles, parameters, millis(50), 5, Config::default());
    world.sides[0].add_host(STREAM, RTP, 9, "10.0.0.9:1000");
    world.sides[1].add_host(STREAM, RTP, 0, "10.0.1.1:1000");
    world.signal();
    for side in &mut world.sides {
        side.set.local_gathering_complete(ms(0), STREAM);
        side.set.remote_gathering_complete(ms(0), STREAM);
    }
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(60_000));
    world
}

#[test]
fn a_new_base_after_nomination_is_checked_and_moved_to() {
    let mut world = low(new_draft(), [Role::Controlling, Role::Controlled]);
    add_base_later(&mut world, 0, "10.0.0.1:1000");
    let mut data = Stream::default();
    data.run(&mut world, ms(70_000));
    assert_eq!(data.unsent, 0);
    let selected = world.sides[0].set.selected(STREAM, RTP).expect("selected");
    assert_eq!(selected.local.address, address("10.0.0.1:1000"), "never signalled to the peer");
    world.assert_agreed(STREAM, RTP);
    assert_eq!(moves(&world, 0), [MoveReason::Better]);
}

#[test]
fn a_new_base_of_the_controlled_agent_is_found_by_the_controlling_one() {
    let mut world = low(new_draft(), [Role::Controlled, Role::Controlling]);
    add_base_later(&mut world, 0, "10.0.0.1:1000");
    world.run(ms(70_000));
    // Peer-reflexive at the peer, and so no better than what there is: it stands by.
    let standby = |world: &World, side: usize| {
        world.sides[side].set.pairs().filter(|pair| pair.standby && pair.valid).count()
    };
    assert_eq!((standby(&world, 0), standby(&world, 1)), (1, 1));
    world.passes =
        std::boxed::Box::new(|_, from, to, _| [from, to].iter().all(|at| *at != address("10.0.0.9:1000")));
    world.run(ms(120_000));
    let selected = world.sides[0].set.selected(STREAM, RTP).expect("selected");
    assert_eq!(selected.local.address, address("10.0.0.1:1000"));
    world.assert_agreed(STREAM, RTP);
}

#[test]
fn a_new_base_without_renomination_suggests_a_restart() {
    for better in [true, false] {
        let mut world = low(both(&["ice2"]), [Role::Controlling, Role::Controlled]);
        add_base_later(&mut world, if better { 0 } else { 20 }, "10.0.0.1:1000");
        world.run(ms(120_000));
        let reason = RestartReason::Better;
        let suggested = Event::RestartSuggested { stream: STREAM, component: RTP, reason };
        let [left, right] = &world.sides;
        assert_eq!(left.events.iter().any(|(_, event)| *event == suggested), better);
        let selected = left.set.selected(STREAM, RTP).expect("selected");
        assert_eq!(selected.local.address, address("10.0.0.9:1000"));
        assert!(moves(&world, 0).is_empty() && moves(&world, 1).is_empty());
        assert_eq!(left.set.pairs().count(), 1, "and the pair goes again");
        assert_eq!(right.set.pairs().count(), 1);
    }
}

#[test]
fn remote_candidates_stay_for_a_base_that_is_added_after_nomination() {
    let [ours, theirs] = new_draft();
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    for index in 0..30_u16 {
        script.add_remote(address(&std::format!("10.0.1.{}:1000", index + 1)), index);
    }
    let first = script.slot().expect("a check");
    script.wait(20);
    script.succeed(&first);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    // Signalled while our nomination was on its way.
    script.add_remote(address("10.0.1.99:1000"), 99);
    let answer = |script: &mut Script, rounds: u32| {
        for _ in 0..rounds {
            let check = script.slot();
            for sent in script.wait(100).into_iter().chain(check) {
                if sent.to == remote() {
                    let mapped = if sent.from == BASE { local() } else { address("10.0.0.2:1000") };
                    let bytes = reply(
                        sent.id(),
                        Reply::Success(mapped),
                        Some(THEIR_PASSWORD),
                        floe_stun::Algorithm::Sha1,
                    );
                    let _ = script.answer_from(sent.from, sent.to, &bytes);
                }
            }
        }
    };
    answer(&mut script, 900);
    assert_eq!(script.set.pairs().count(), 1, "the checklist is given back");
    assert_eq!(script.set.usage().remotes, 31, "the candidates are not");
    let base = floe_pair::BaseId(8);
    script.set.add_base(base, crate::Admission::Open);
    let candidate = host(RTP, 0, address("10.0.0.2:1000"));
    script.set.add_local_candidate(script.now, STREAM, candidate, base);
    assert_eq!(script.set.pairs().filter(|pair| pair.base == base).count(), 31);
    // A check of the peer from a known address, and from a new one.
    script.ask_well(address("10.0.1.7:1000"), &Ask::default());
    assert_eq!(script.set.pairs().filter(|pair| pair.base == BASE).count(), 1, "dropped, and not made again");
    script.ask_well(address("10.0.2.7:1000"), &Ask::default());
    assert_eq!(script.set.pairs().filter(|pair| pair.base == BASE).count(), 2);
    answer(&mut script, 900);
    // The pair to the address that answers, on the new base, is better in nothing and stands by.
    assert_eq!((script.selected(), script.set.pairs().count()), (Some(remote()), 2));
    assert_eq!(script.set.usage().remotes, 32);
}

#[test]
fn a_pair_that_was_left_for_its_silence_is_gone_back_to_when_it_is_steady_again() {
    let [ours, theirs] = new_draft();
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    let other = address("10.0.1.2:1000");
    script.add_remote(remote(), 0);
    script.add_remote(other, 1);
    let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
    for check in &checks {
        script.succeed(check);
    }
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(remote()));
    let mut answered = 0;
    let mut changes = Vec::new();
    for tenth in 0..1_200 {
        let silent = tenth < 200;
        for sent in script.wait(100) {
            if sent.to == other || !silent {
                script.succeed(&sent);
                answered += u32::from(sent.to == remote());
            }
        }
        let before = script.selected();
        if let Some(nomination) = script.slot() {
            script.succeed(&nomination);
        }
        if script.selected() != before {
            changes.push((script.selected(), answered));
        }
    }
    assert_eq!(changes, [(Some(other), 0), (Some(remote()), 3)]);
}

#[test]
fn a_direct_pair_that_was_left_for_a_relay_is_kept_and_gone_back_to() {
    let [ours, theirs] = new_draft();
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    let (relay, our_relay, their_relay) = (BaseId(9), address("192.0.2.1:5000"), address("192.0.2.1:6000"));
    script.set.add_base(relay, crate::Admission::Open);
    let relayed = |at| candidate(CandidateType::Relayed, RTP, 7, at);
    script.set.add_local_candidate(script.now, STREAM, relayed(our_relay), relay);
    script.add_remote(remote(), 0);
    script.set.add_remote_candidate(script.now, STREAM, relayed(their_relay));
    let mut selected = Vec::new();
    for tenth in 0..1_200 {
        // The direct path is silent from the fifth to the 25th second.
        let silent = (50..250).contains(&tenth);
        let check = script.slot();
        for sent in check.into_iter().chain(script.wait(100)) {
            if sent.from == relay {
                script.succeed_with(&sent, our_relay);
            } else if sent.to == their_relay || !silent {
                script.succeed(&sent);
            }
        }
        let pair = script.set.selected(STREAM, RTP).map(|pair| (pair.base, pair.remote));
        if pair.is_some() && selected.last() != Some(&pair) {
            selected.push(pair);
        }
    }
    let direct = Some((BASE, remote()));
    assert_eq!((selected.first(), selected.last()), (Some(&direct), Some(&direct)), "{selected:?}");
    assert!(selected.len() > 2, "{selected:?}");
}

#[test]
fn p34_with_standby_pairs_every_poll_sends_something_too() {
    let mut world = two_networks(2);
    world.passes = std::boxed::Box::new(|_, from, to, _| {
        let network = |at: TransportAddress| std::format!("{at}").starts_with("10.7.");
        network(from) == network(to)
    });
    let polls = world.polls_that_send(ms(660_000));
    assert!(polls <= 2 * 2 * 600 / 4, "one each 4 s for each pair: {polls}");
}

#[test]
fn what_the_controlling_peer_keeps_stays_however_seldom_it_asks() {
    let consent = crate::ConsentConfig {
        interval: crate::ConsentConfig::MAX_INTERVAL,
        ..crate::ConsentConfig::default()
    };
    let config = Config { consent: Some(consent), ..Config::default() };
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::between(roles, new_draft(), millis(50), 5, config);
    for (index, side) in world.sides.iter_mut().enumerate() {
        for host in 0..4_u16 {
            side.add_host(STREAM, RTP, host, &std::format!("10.{host}.{index}.1:1000"));
        }
    }
    let network =
        |at: TransportAddress| std::format!("{at}").split('.').nth(1).map(std::string::String::from);
    world.passes = std::boxed::Box::new(move |_, from, to, _| network(from) == network(to));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(2_000));
    // The controlling side prefers another standby pair than the controlled one does.
    let kept = id_to(&world, 0, "10.3.1.1:1000");
    let now = world.now;
    assert_eq!(world.sides[0].set.keep(now, kept, true), Ok(()));
    world.run(ms(60_000));
    let standing = |world: &World| {
        let mut pairs = world.sides[1].set.pairs().filter(|pair| pair.listed);
        let kept = pairs.find(|pair| pair.remote.address == address("10.3.0.1:1000"));
        kept.map(|pair| (pair.id, pair.valid_since))
    };
    let before = standing(&world);
    assert!(before.is_some());
    for _ in 0..600 {
        let next = world.now.after(millis(1_000));
        world.run(next);
        assert_eq!(standing(&world), before, "at {:?}", world.now);
    }
}

fn id_to(world: &World, side: usize, to: &str) -> crate::PairId {
    let found = world.sides[side].set.pairs().find(|pair| pair.valid && pair.remote.address == address(to));
    found.expect("a valid pair").id
}

/// RFC 7675 §5.1: above half of what the peer may be silent, two answers are further apart than three requests at 5 s.
#[test]
fn p06_one_lost_consent_request_moves_nothing_at_any_interval() {
    for seconds in [5, 6, 8, 10, 12] {
        let consent =
            crate::ConsentConfig { interval: millis(seconds * 1_000), ..crate::ConsentConfig::default() };
        let mut world = with_two_hosts(Config { consent: Some(consent), ..Config::default() });
        let network = |at: TransportAddress| std::format!("{at}").starts_with("10.7.");
        let mut next = ms(60_000);
        world.passes = std::boxed::Box::new(move |now, from, to, bytes| {
            let request = || Message::parse(bytes).is_ok_and(|message| message.class() == Class::Request);
            // One of the selected pair each minute.
            let lost = now >= next && from == address("10.0.0.1:1000") && request();
            if lost {
                next = now.after(millis(60_000));
            }
            network(from) == network(to) && !lost
        });
        world.signal();
        world.complete_gathering();
        assert!(world.run_to_selection(ms(1_000)));
        world.run(ms(1_800_000));
        assert!(moves(&world, 0).is_empty(), "{seconds} s: {:?}", moves(&world, 0));
        world.assert_agreed(STREAM, RTP);
    }
}

/// A base that will end, as that of an allocation whose user has no credentials any more: it is left for another one, is not
/// kept, and is the last to be nominated.
#[test]
fn p19_a_base_that_is_replaced_is_left_for_another() {
    for early in [true, false] {
        let mut world = with_two_hosts(Config::default());
        let network = |at: TransportAddress| std::format!("{at}").starts_with("10.7.");
        world.passes = std::boxed::Box::new(move |_, from, to, _| network(from) == network(to));
        world.signal();
        world.complete_gathering();
        let best = {
            let pairs: Vec<_> = world.sides[0].set.pairs().collect();
            pairs.iter().max_by_key(|pair| pair.priority).map(|pair| pair.base).expect("pairs")
        };
        if early {
            world.sides[0].set.replace_base(world.now, best);
        }
        assert!(world.run_to_selection(ms(1_000)));
        world.run(ms(2_000));
        let base = |world: &World| world.sides[0].set.selected(STREAM, RTP).expect("selected").base;
        assert_eq!(base(&world) == best, !early);
        if !early {
            world.sides[0].set.replace_base(world.now, best);
        }
        world.run(ms(60_000));
        assert_ne!(base(&world), best);
        assert_eq!(moves(&world, 0), if early { &[][..] } else { &[MoveReason::Policy] });
        assert!(!world.sides[0].set.is_base_used(best), "nothing is kept on it");
        world.assert_agreed(STREAM, RTP);
    }
}

/// What the application ranks above others stays so, though it will end.
#[test]
fn p39_p19_a_replaced_base_keeps_the_rank_of_its_pairs() {
    let mut world = with_two_hosts(Config::default());
    let network = |at: TransportAddress| std::format!("{at}").starts_with("10.7.");
    world.passes = std::boxed::Box::new(move |_, from, to, _| network(from) == network(to));
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    let selected = world.sides[0].set.selected(STREAM, RTP).expect("selected");
    let now = world.now;
    assert!(world.sides[0].set.rank(now, selected.id, 1));
    world.sides[0].set.replace_base(now, selected.base);
    world.run(ms(60_000));
    assert_eq!(world.sides[0].set.selected(STREAM, RTP).expect("selected").id, selected.id);
    assert!(moves(&world, 0).is_empty());
}

/// Where the peer nominates, the end of the base that data goes over is what suggests a restart.
#[test]
fn p19_the_end_of_another_base_suggests_nothing() {
    let mut world = with_two_hosts(Config::default());
    world.signal();
    world.complete_gathering();
    assert!(world.run_to_selection(ms(1_000)));
    world.run(ms(2_000));
    let now = world.now;
    let set = &mut world.sides[1].set;
    let suggestions = |set: &mut ChecklistSet, end| {
        set.base_ends(now, end);
        let events = core::iter::from_fn(|| set.poll_event());
        events.filter(|event| matches!(event, Event::RestartSuggested { .. })).count()
    };
    let held = set.selected(STREAM, RTP).expect("selected").base;
    let other = set.pairs().map(|pair| pair.base).find(|base| *base != held).expect("a standby pair");
    assert_eq!([held, other].map(|end| suggestions(set, end)), [0, 0], "neither was replaced");
    set.replace_base(now, held);
    set.replace_base(now, other);
    assert_eq!([other, held, held].map(|end| suggestions(set, end)), [0, 1, 0]);
}
