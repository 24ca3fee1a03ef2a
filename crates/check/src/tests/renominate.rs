//! Renomination: values, moves, standby pairs; and the restart that is suggested without it.

use std::vec::Vec;

use floe_pair::{CandidateType, Parameters, Role, TransportAddress};
use floe_stun::Message;
use floe_stun::attribute::{LegacyNomination, Nomination};

use super::script::*;
use super::world::*;
use crate::{Config, Event, MoveReason, NominateError, Outcome, Renomination, RestartReason, State};

const OTHER: &str = "10.0.1.2:1000";

pub(super) fn both(tags: &[&str]) -> [Parameters; 2] {
    [with_options("left", tags), with_options("right", tags)]
}

pub(super) fn new_draft() -> [Parameters; 2] {
    both(&["ice2", "renomination2"])
}

fn script(role: Role) -> Script {
    let [ours, theirs] = new_draft();
    Script::between(role, Config::default(), ours, theirs)
}

fn value(sent: &Sent) -> Option<u32> {
    let message = sent.message();
    message.get::<Nomination>().expect("well-formed").map(|value| value.0)
}

/// What data is sent meets at the other side: each 5 ms one datagram from each side, on the pair of that moment.
#[derive(Default)]
pub(super) struct Stream {
    flying: Vec<(usize, TransportAddress, TransportAddress, floe_stun::Instant)>,
    sent: usize,
    pub(super) unsent: usize,
}

impl Stream {
    pub(super) fn run(&mut self, world: &mut World, until: floe_stun::Instant) {
        while world.now < until {
            for side in 0..2 {
                match world.sides[side].set.best_valid(STREAM, RTP) {
                    Some(pair) if pair.valid_until > world.now => {
                        let from = world.sides[side].bases.iter().find(|(base, _)| *base == pair.base);
                        let from = from.expect("a base").1;
                        self.flying.push((1 - side, from, pair.remote, world.now.after(world.delay)));
                        self.sent += 1;
                    }
                    _ => self.unsent += 1,
                }
            }
            let next = world.now.after(millis(5));
            world.run(next);
            let arrived = |at: &floe_stun::Instant| *at <= world.now;
            for (to, source, address, at) in &self.flying {
                if arrived(at) {
                    let base = world.sides[*to].bases.iter().find(|(_, own)| own == address);
                    let base = base.expect("a base").0;
                    let set = &world.sides[*to].set;
                    let taken = set.is_valid(base, *source).or(set.may_become_valid(base, *source));
                    assert!(taken.is_some(), "data lost at {:?}: {source} to {address}", world.now);
                }
            }
            let now = world.now;
            self.flying.retain(|(.., at)| *at > now);
        }
    }
}

/// Each side has a direct address and a relay; direct datagrams pass from `direct_from` ms on.
pub(super) fn relayed(parameters: [Parameters; 2], config: Config, direct_from: u64) -> World {
    let roles = [Role::Controlling, Role::Controlled];
    let mut world = World::between(roles, parameters, millis(50), 3, config);
    for (index, side) in world.sides.iter_mut().enumerate() {
        side.add_host(STREAM, RTP, 0, &std::format!("10.0.{index}.1:1000"));
        side.add_host(STREAM, RTP, 1, &std::format!("10.9.{index}.1:1000"));
        let relay = &mut side.candidates[1].1;
        *relay = candidate(CandidateType::Relayed, RTP, 1, relay.address);
    }
    let is_relay = |at: TransportAddress| std::format!("{at}").starts_with("10.9.");
    world.passes = std::boxed::Box::new(move |now, from, to, _| {
        is_relay(from) || is_relay(to) || now >= ms(direct_from)
    });
    world.signal();
    world.complete_gathering();
    world
}

pub(super) fn moves(world: &World, side: usize) -> Vec<MoveReason> {
    let told = |event: &Event| match event {
        Event::Moved { reason, .. } => Some(*reason),
        _ => None,
    };
    world.sides[side].events.iter().filter_map(|(_, event)| told(event)).collect()
}

#[test]
fn p06_a_direct_pair_that_comes_true_later_is_moved_to_without_losing_a_datagram() {
    let mut world = relayed(new_draft(), Config::default(), 3_000);
    assert!(world.run_to_selection(ms(2_000)));
    let kind = |world: &World, side: usize| {
        world.sides[side].set.selected(STREAM, RTP).expect("selected").remote_candidate.kind
    };
    assert_eq!(kind(&world, 0), CandidateType::Relayed);
    let mut data = Stream::default();
    data.run(&mut world, ms(60_000));
    assert_eq!(data.unsent, 0, "no gap");
    assert_eq!((kind(&world, 0), kind(&world, 1)), (CandidateType::Host, CandidateType::Host));
    world.assert_agreed(STREAM, RTP);
    assert_eq!(moves(&world, 0), [MoveReason::Direct]);
    assert_eq!(moves(&world, 1), [MoveReason::Peer]);
    assert!(world.sides.iter().all(|side| side.set.state() == State::Completed));
    let restart = |event: &Event| matches!(event, Event::RestartSuggested { .. });
    assert!(world.sides.iter().all(|side| side.first(restart).is_none()));
}

#[test]
fn p06_without_renomination_the_selected_pair_stays_whatever_comes_true() {
    let mut world = relayed(both(&["ice2"]), Config::default(), 3_000);
    assert!(world.run_to_selection(ms(2_000)));
    world.run(ms(60_000));
    let pair = world.sides[0].set.selected(STREAM, RTP).expect("selected");
    assert_eq!(pair.remote_candidate.kind, CandidateType::Relayed);
    assert!(moves(&world, 0).is_empty());
}

#[test]
fn p06_a_direct_answer_that_comes_too_late_suggests_a_restart_once() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let relay = candidate(CandidateType::Relayed, RTP, 1, address(OTHER));
    script.set.add_remote_candidate(ms(0), STREAM, relay);
    let (direct, relayed) = (script.slot().expect("a check"), script.slot().expect("a check"));
    script.wait(10);
    script.succeed(&relayed);
    script.set.remote_gathering_complete(script.now, STREAM);
    script.set.local_gathering_complete(script.now, STREAM);
    while wants(&mut script.set).is_none() {
        script.wait(50);
    }
    let nomination = script.slot().expect("the nomination");
    assert_eq!(nomination.to, address(OTHER));
    script.succeed(&nomination);
    let _ = script.events();
    script.succeed(&direct);
    let reason = RestartReason::Direct;
    let suggested = Event::RestartSuggested { stream: STREAM, component: RTP, reason };
    assert!(script.events().contains(&suggested));
    assert_eq!(script.selected(), Some(address(OTHER)), "RFC 8445 §8.1.1: one nomination");
    assert!(script.slot().is_none());
    let direct = script.pair(remote()).id;
    script.set.rank(script.now, direct, 0);
    assert!(!script.events().contains(&suggested), "once");
}

#[test]
fn oth_05_every_nomination_has_a_value_and_a_fresh_one_a_greater_one() {
    let mut script = script(Role::Controlling);
    assert_eq!(script.set.renomination(), Renomination::Renomination2);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    assert_eq!(value(&check), None, "only with USE-CANDIDATE");
    script.wait(50);
    script.succeed(&check);
    let mut values = Vec::new();
    for _ in 0..5 {
        let nomination = script.slot().expect("the nomination");
        assert!(nomination.nominates());
        values.extend(value(&nomination));
        while wants(&mut script.set).is_none() {
            for again in script.wait(10) {
                assert_eq!(again.bytes, nomination.bytes, "a retransmission is the same bytes");
            }
        }
    }
    assert_eq!(values.len(), 5);
    assert!(values.windows(2).all(|two| two[0] < two[1]), "{values:?}");
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(remote()));
    for sent in script.wait(20_000) {
        assert_eq!((value(&sent), sent.nominates()), (None, false), "consent nominates nothing");
    }
}

#[test]
fn oth_05_without_both_sides_there_is_no_value_and_one_nomination() {
    for (ours, theirs) in [(&["ice2"][..], &["ice2", "renomination2"][..]), (&["renomination2"], &["ice2"])] {
        let (ours, theirs) = (with_options("left", ours), with_options("right", theirs));
        let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
        assert_eq!(script.set.renomination(), Renomination::Off);
        script.add_remote(remote(), 0);
        let check = script.slot().expect("a check");
        script.succeed(&check);
        let nomination = script.slot().expect("the nomination");
        assert_eq!((nomination.nominates(), value(&nomination)), (true, None));
    }
}

#[test]
fn oth_05_the_older_draft_is_spoken_only_where_configured() {
    for configured in [false, true] {
        let config = Config { legacy_renomination: configured, ..Config::default() };
        let [ours, theirs] = both(&["ice2", "renomination"]);
        let mut script = Script::between(Role::Controlling, config, ours, theirs);
        script.add_remote(remote(), 0);
        let check = script.slot().expect("a check");
        script.succeed(&check);
        let nomination = script.slot().expect("the nomination");
        let legacy = nomination.message().get::<LegacyNomination>().expect("well-formed");
        assert_eq!((legacy.map(|value| value.0), value(&nomination)), (configured.then_some(1), None));
    }
}

/// A controlled set that has two valid pairs, none nominated.
fn two_valid(tags: &[&str]) -> Script {
    let [ours, theirs] = both(tags);
    let mut script = Script::between(Role::Controlled, Config::default(), ours, theirs);
    for (index, at) in (0..).zip([remote(), address(OTHER)]) {
        script.add_remote(at, index);
    }
    let checks: Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    script
}

#[test]
fn oth_05_the_greatest_value_counts_in_whatever_order_requests_arrive() {
    for tags in [&["ice2", "renomination2"][..], &["renomination2"]] {
        greatest_counts(two_valid(tags));
    }
}

fn greatest_counts(mut script: Script) {
    let mut told = 0;
    let steps = [
        // The value need not begin at 1.
        (address(OTHER), Some(7), address(OTHER)),
        (remote(), Some(7), address(OTHER)),
        (remote(), Some(6), address(OTHER)),
        (remote(), None, address(OTHER)),
        (remote(), Some(8), remote()),
        (address(OTHER), Some(7), remote()),
        (address(OTHER), Some(u32::MAX), address(OTHER)),
        (remote(), Some(u32::MAX), address(OTHER)),
        (remote(), Some(0), address(OTHER)),
    ];
    for (source, value, selected) in steps {
        // One that does not count is ignored, and answered like any check.
        script.ask_well(source, &Ask { value, ..Ask::nominating() });
        assert_eq!(script.selected(), Some(selected), "{source} {value:?}");
        assert!(script.slot().is_none());
        let moved = |event: &Event| matches!(event, Event::Moved { reason: MoveReason::Peer, .. });
        told += script.events().into_iter().filter(moved).count();
    }
    assert_eq!(told, 2, "the first is no move");
}

#[test]
fn oth_05_a_later_nomination_overtakes_one_whose_check_is_under_way() {
    let mut script = script(Role::Controlled);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    script.ask_well(remote(), &Ask::renominating(1));
    script.ask_well(address(OTHER), &Ask::renominating(2));
    let (first, second) = (script.slot().expect("triggered"), script.slot().expect("triggered"));
    assert_eq!((first.to, second.to), (remote(), address(OTHER)));
    script.succeed(&second);
    assert_eq!(script.selected(), Some(address(OTHER)));
    script.succeed(&first);
    assert_eq!(script.selected(), Some(address(OTHER)), "an older one stays older");
}

#[test]
fn oth_05_before_the_answer_a_nomination_without_a_value_is_a_regular_one() {
    for value in [None, Some(3)] {
        let [ours, theirs] = new_draft();
        let mut script = Script::early(Role::Controlled, Config::default(), ours);
        script.ask_well(remote(), &Ask { value, ..Ask::nominating() });
        script.set.set_remote_parameters(script.now, theirs);
        let check = script.slot().expect("a triggered check");
        script.succeed(&check);
        assert_eq!(script.selected(), Some(remote()), "{value:?}");
    }
}

#[test]
fn oth_05_the_older_draft_prefers_any_value_to_none() {
    let [ours, theirs] = both(&["ice2", "renomination"]);
    let config = Config { legacy_renomination: true, ..Config::default() };
    let mut script = Script::between(Role::Controlled, config, ours, theirs);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let checks: Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    let steps = [
        (remote(), None, remote()),
        (address(OTHER), None, address(OTHER)),
        (remote(), Some(4), remote()),
        (address(OTHER), None, remote()),
        (address(OTHER), Some(3), remote()),
        (address(OTHER), Some(5), address(OTHER)),
    ];
    for (source, legacy, selected) in steps {
        script.ask_well(source, &Ask { legacy, ..Ask::nominating() });
        assert_eq!(script.selected(), Some(selected), "{source} {legacy:?}");
    }
}

#[test]
fn t14_without_renomination_a_value_moves_nothing() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let checks: Vec<_> = (0..2).map(|_| script.slot().expect("a check")).collect();
    for check in &checks {
        script.succeed(check);
    }
    script.ask_well(remote(), &Ask::renominating(1));
    let (outcome, answer) = script.ask(address(OTHER), &Ask::renominating(9));
    assert!(matches!(outcome, Outcome::Dropped(_)));
    assert_eq!((answer.expect("an answer").code, script.selected()), (Some(400), Some(remote())));
}

/// Two valid pairs, of which the better one is selected.
fn two_paths() -> Script {
    let mut script = script(Role::Controlling);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
    for check in &checks {
        script.succeed(check);
    }
    let nomination = script.slot().expect("the nomination");
    assert_eq!(nomination.to, remote());
    script.succeed(&nomination);
    script
}

/// A tenth of a second, in which the first path answers late.
fn tenth_of_a_slow_path(script: &mut Script) {
    for sent in script.wait(100) {
        script.wait(if sent.to == remote() { 300 } else { 20 });
        script.succeed(&sent);
    }
}

#[test]
fn a_pair_that_answers_much_faster_is_moved_to_after_a_while_and_kept() {
    let mut script = two_paths();
    let mut moved = Vec::new();
    for _ in 0..600 {
        tenth_of_a_slow_path(&mut script);
        if let Some(nomination) = script.slot() {
            assert!(nomination.nominates());
            script.succeed(&nomination);
        }
        moved.extend(script.events().into_iter().filter_map(|event| match event {
            Event::Moved { reason, .. } => Some(reason),
            _ => None,
        }));
    }
    assert_eq!(script.selected(), Some(address(OTHER)));
    assert_eq!(moved, [MoveReason::Faster], "and not back, though the other has the higher priority");
}

/// A move that the application takes back before it begins leaves no mark on the pair that stays.
#[test]
fn p39_a_pair_that_is_not_left_for_a_faster_one_is_no_slow_one() {
    let mut script = two_paths();
    let is_slow = |script: &Script| script.set.pairs.iter().any(|pair| pair.slow);
    for _ in 0..600 {
        tenth_of_a_slow_path(&mut script);
        if is_slow(&script) {
            break;
        }
    }
    assert!(is_slow(&script), "the move is decided");
    let other = script.set.pairs.iter().find(|pair| pair.to == address(OTHER)).expect("a pair").id;
    assert!(script.set.veto(script.now, other, true));
    assert!(!is_slow(&script));
    assert_eq!((script.slot().is_none(), script.selected()), (true, Some(remote())));
}

/// Of two pairs the lower one has proved valid and is being nominated: the open check of the higher, and the nomination.
fn nominating_the_lower() -> (Script, Sent, Sent) {
    let mut script = script(Role::Controlling);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let [higher, lower] = [script.slot().expect("a check"), script.slot().expect("a check")];
    script.succeed(&lower);
    script.set.nominate(script.now, script.pair(address(OTHER)).id).expect("valid");
    let nomination = script.slot().expect("the nomination");
    assert_eq!((nomination.to, nomination.nominates()), (address(OTHER), true));
    (script, higher, nomination)
}

/// The nomination is answered, the check of the higher pair as well, and that one is nominated now.
fn move_to_the_higher(script: &mut Script, higher: &Sent, nomination: &Sent) -> Sent {
    script.succeed(nomination);
    assert_eq!(script.selected(), Some(address(OTHER)));
    script.succeed(higher);
    script.set.nominate(script.now, script.pair(remote()).id).expect("renominated");
    let moving = script.slot().expect("the nomination");
    assert_eq!((moving.to, moving.nominates()), (remote(), true));
    moving
}

#[test]
fn a_move_that_is_not_answered_leaves_the_selected_pair_and_tells_the_peer_again() {
    let (mut script, higher, first) = nominating_the_lower();
    let moving = move_to_the_higher(&mut script, &higher, &first);
    assert_eq!(value(&moving), Some(2));
    assert_eq!(script.refuse(&moving, 400), Outcome::Taken);
    assert_eq!(script.selected(), Some(address(OTHER)));
    let again = script.slot().expect("the selected pair is nominated again");
    assert_eq!((again.to, value(&again), again.nominates()), (address(OTHER), Some(3), true));
    script.succeed(&again);
    assert_eq!(script.selected(), Some(address(OTHER)));
    assert!(script.slot().is_none());
    // The answer to the very first one once more would be an answer to nothing.
    let bytes = reply(first.id(), Reply::Success(local()), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
    assert_eq!(script.answer_from(BASE, first.to, &bytes), Outcome::NotOurs);
}

/// A nomination that was sent twice is answered twice, the second time when a newer one is under way: that one is still to
/// be answered, and none is begun beside it, since the peer follows the greatest value.
#[test]
fn oth_05_a_late_answer_to_an_older_nomination_does_not_end_the_newer_one() {
    let (mut script, higher, first) = nominating_the_lower();
    while wants(&mut script.set).is_none() {
        script.wait(10);
    }
    let again = script.slot().expect("in a fresh transaction");
    assert_eq!((again.to, again.nominates()), (address(OTHER), true));
    let moving = move_to_the_higher(&mut script, &higher, &first);
    script.succeed(&again);
    assert_eq!(script.selected(), Some(address(OTHER)), "as far as it is known");
    assert!(script.slot().is_none_or(|sent| !sent.nominates()), "no other beside the one under way");
    let under_way = script.set.nominate(script.now, script.pair(address(OTHER)).id);
    assert_eq!(under_way, Err(NominateError::UnderWay));
    script.succeed(&moving);
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn oth_05_a_lite_agent_follows_the_greatest_value() {
    let ours = Parameters { lite: true, ..with_options("left", &["ice2", "renomination2"]) };
    let theirs = with_options("right", &["ice2", "renomination2"]);
    let mut script = Script::between(Role::Controlled, Config::default(), ours, theirs);
    for (source, value, selected) in [
        (remote(), 1, remote()),
        (address(OTHER), 2, address(OTHER)),
        (remote(), 2, address(OTHER)),
        (remote(), 3, remote()),
    ] {
        script.ask_well(source, &Ask::renominating(value));
        assert_eq!(script.selected(), Some(selected));
    }
    assert!(script.slot().is_none());
}

#[test]
fn p08_under_loss_both_sides_end_on_the_same_pair_with_renomination() {
    for seed in 0..60 {
        let mut world = relayed(new_draft(), Config::default(), 0);
        let mut rng = floe_stun::Random::from_seed([seed; 32]);
        world.passes = std::boxed::Box::new(move |_, _, _, bytes| {
            assert!(Message::parse(bytes).is_ok());
            rng.below(100) >= 25
        });
        assert!(world.run_to_selection(ms(39_000)), "{seed}");
        world.passes = std::boxed::Box::new(|_, _, _, _| true);
        world.run(ms(100_000));
        world.assert_agreed(STREAM, RTP);
        let pair = world.sides[0].set.selected(STREAM, RTP).expect("selected");
        assert_eq!(pair.remote_candidate.kind, CandidateType::Host, "{seed}");
    }
}

#[test]
fn oth_05_conflicts_of_role_end_on_one_pair_whatever_values_were_used() {
    for roles in [[Role::Controlling; 2], [Role::Controlled; 2]] {
        for seed in 0..30 {
            let mut world = World::between(roles, new_draft(), millis(50), seed, Config::default());
            for (index, side) in world.sides.iter_mut().enumerate() {
                for host in 0..3_u16 {
                    side.add_host(STREAM, RTP, host, &std::format!("10.0.{index}.{}:1000", host + 1));
                }
            }
            world.lose(25, seed);
            world.signal();
            world.complete_gathering();
            world.run(ms(20_000));
            world.passes = std::boxed::Box::new(|_, _, _, _| true);
            world.run(ms(80_000));
            world.assert_agreed(STREAM, RTP);
        }
    }
}

/// Renomination draft §3.3: a greater value overtakes at any time. Two paths die one after the other, and the first move is
/// to the one that is dead by then: it does not hold up the next.
#[test]
fn oth_05_a_move_to_a_pair_that_has_died_as_well_is_overtaken_by_one_that_answers() {
    let mut in_vain = 0;
    for seed in 0..20 {
        let roles = [Role::Controlling, Role::Controlled];
        let mut world = World::between(roles, new_draft(), millis(50), seed, Config::default());
        for (index, side) in world.sides.iter_mut().enumerate() {
            for (host, network) in (0..).zip([0, 7, 9]) {
                side.add_host(STREAM, RTP, host, &std::format!("10.{network}.{index}.1:1000"));
            }
            let relay = &mut side.candidates[2].1;
            *relay = candidate(CandidateType::Relayed, RTP, 2, relay.address);
        }
        let network = |at: TransportAddress| std::format!("{at}").as_bytes().get(3).copied();
        world.passes = std::boxed::Box::new(move |now, from, to, _| {
            let until = [(b'0', ms(60_000)), (b'7', ms(65_000))];
            let dead = until.iter().any(|(dead, at)| network(from) == Some(*dead) && now >= *at);
            network(from) == network(to) && !dead
        });
        world.signal();
        world.complete_gathering();
        assert!(world.run_to_selection(ms(1_000)));
        let is_on = |world: &World, wanted: u8| {
            let route = world.sides[0].set.selected(STREAM, RTP).map(|pair| pair.remote);
            route.is_some_and(|to| network(to) == Some(wanted))
        };
        world.run(ms(59_999));
        assert!(is_on(&world, b'0'));
        // The last answer of the second path came before 65.1 s, and it is silent 15 s later.
        let moved = world.run_until(ms(84_000), |world| is_on(world, b'9'));
        assert!(moved, "{seed}");
        let sent = |(_, kind, to): &&(_, crate::TransmitKind, TransportAddress)| {
            *kind == crate::TransmitKind::Check && network(*to) == Some(b'7')
        };
        let tried = world.sides[0].sent.iter().filter(|sent| sent.0 > ms(60_000)).any(|one| sent(&one));
        in_vain += u32::from(tried);
        world.run(ms(150_000));
        world.assert_agreed(STREAM, RTP);
        assert_eq!(moves(&world, 0), [MoveReason::Lost], "{seed}");
        assert!(world.sides.iter().all(|side| side.set.state() == State::Completed), "{seed}");
    }
    assert!(in_vain > 3, "what this is about has happened: {in_vain}");
}
