//! Policy as data and as commands; and that no policy breaks a rule.

use core::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::vec::Vec;

use floe_pair::{BaseId, CandidateType, Role, TransportAddress};
use floe_stun::binding::BindingRequest;
use floe_stun::{Class, Message, Random, TransactionId};

use super::script::*;
use super::world::*;
use crate::{
    AddressPrefix, Admission, Config, DropReason, Event, Failure, KEPT_LIMIT, KeepError, MoveReason,
    NominateError, Outcome, PairId, PairPolicy, RemoteOutcome, RemoteRule, RestartReason, State,
    TransmitKind, TypeRanks, Urgency, Verdict,
};

const OTHER: &str = "10.0.1.2:1000";
const THIRD: &str = "10.0.1.3:1000";

fn with(policy: PairPolicy) -> Config {
    Config { policy, ..Config::default() }
}

fn prefix(text: &str, bits: u8) -> AddressPrefix {
    AddressPrefix::new(text.parse().expect("an address"), bits)
}

/// Two pairs, or three, all valid at the same instant.
fn valid(role: Role, config: Config, count: u16) -> Script {
    let mut script = Script::with(role, config);
    let mut checks = Vec::new();
    for (index, at) in (0..count).zip([remote(), address(OTHER), address(THIRD)]) {
        script.add_remote(at, index);
    }
    for _ in 0..count {
        checks.extend(script.slot());
    }
    script.wait(20);
    // The worst first, so that nothing is nominated before all are valid.
    for check in checks.iter().rev() {
        script.succeed(check);
    }
    script
}

fn id(script: &Script, at: &str) -> PairId {
    script.pair(address(at)).id
}

#[test]
fn p39_a_denied_address_is_sent_nothing_and_what_comes_from_it_is_dropped() {
    let remotes =
        std::vec![RemoteRule::allow(prefix("10.0.1.2", 32)), RemoteRule::deny(prefix("10.0.0.0", 8))];
    let mut script = Script::with(Role::Controlled, with(PairPolicy { remotes, ..PairPolicy::default() }));
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    script.add_remote(address("192.0.2.1:5"), 2);
    let denied = Event::RemoteDenied { stream: STREAM, component: RTP, address: remote() };
    assert_eq!(script.events().into_iter().filter(|event| *event == denied).count(), 1);
    assert!(script.find(remote()).is_none() && script.find(address(OTHER)).is_some());
    let before = script.snapshot();
    let (outcome, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!(outcome, Outcome::Dropped(DropReason::Denied));
    assert!(answer.is_none(), "an answer would be sent there");
    assert_eq!(script.snapshot(), before);
    let checked: Vec<_> = core::iter::from_fn(|| script.slot()).map(|sent| sent.to).collect();
    assert_eq!(checked, [address(OTHER), address("192.0.2.1:5")]);
}

/// A rule for a type holds whether the peer's candidate or its check comes first.
#[test]
fn p39_a_type_that_is_denied_is_denied_in_every_order() {
    let host = CandidateType::Host;
    let rule = RemoteRule { kind: Some(host), ..RemoteRule::deny(prefix("10.0.1.0", 24)) };
    let policy = PairPolicy { remotes: std::vec![rule], ..PairPolicy::default() };
    for first in [true, false] {
        let mut script = Script::with(Role::Controlled, with(policy.clone()));
        script.add_remote(address("192.0.2.1:5"), 1);
        if first {
            script.add_remote(remote(), 0);
        } else {
            // As far as anybody knows it is peer-reflexive, which no rule denies.
            assert!(script.ask(remote(), &Ask::nominating()).1.is_some());
            while let Some(check) = script.slot() {
                script.succeed(&check);
            }
            assert!(script.pair(remote()).valid && script.selected() == Some(remote()));
            script.add_remote(remote(), 0);
            assert_eq!(script.pair(remote()).failure, Some(Failure::Denied));
            assert_eq!(script.selected(), None, "no data goes there");
        }
        let (outcome, answer) = script.ask(remote(), &Ask::nominating());
        assert_eq!(outcome, Outcome::Dropped(DropReason::Denied));
        assert!(answer.is_none());
        let sent = script.wait(60_000);
        assert!(sent.iter().all(|sent| sent.to != remote()), "nothing goes there");
        assert!(core::iter::from_fn(|| script.slot()).all(|sent| sent.to != remote()));
    }
}

/// An address that is denied under one type is not checked under another, whichever line comes first.
#[test]
fn p39_an_address_that_is_denied_under_one_type_is_denied_under_all() {
    let rule = RemoteRule { kind: Some(CandidateType::Host), ..RemoteRule::deny(prefix("0.0.0.0", 0)) };
    let policy = PairPolicy { remotes: std::vec![rule], ..PairPolicy::default() };
    let reflexive = candidate(CandidateType::ServerReflexive, RTP, 0, remote());
    for host_first in [true, false] {
        let mut script = Script::with(Role::Controlling, with(policy.clone()));
        let lines = [host(RTP, 1, remote()), reflexive.clone()];
        let order = if host_first { [0, 1] } else { [1, 0] };
        let outcomes =
            order.map(|index| script.set.add_remote_candidate(ms(0), STREAM, lines[index].clone()));
        assert_eq!(outcomes[1], RemoteOutcome::Denied, "{host_first}");
        // A base that is added later is not paired with it either.
        let base = BaseId(8);
        script.set.add_base(base, Admission::Open);
        script.set.add_local_candidate(ms(0), STREAM, host(RTP, 1, address("10.0.0.9:9")), base);
        assert_eq!(core::iter::from_fn(|| script.slot()).count(), 0, "{host_first}");
        assert_eq!(script.ask(remote(), &Ask::nominating()).0, Outcome::Dropped(DropReason::Denied));
    }
}

#[test]
fn p39_rules_look_at_ports_types_and_families_and_the_first_counts() {
    let rule = RemoteRule {
        ports: 1_000..=1_999,
        kind: Some(CandidateType::Host),
        verdict: Verdict::Deny,
        ..RemoteRule::allow(prefix("0.0.0.0", 0))
    };
    let remotes = std::vec![rule, RemoteRule::deny(prefix("2001:db8::", 32))];
    let policy = PairPolicy { remotes, ..PairPolicy::default() };
    let table = [
        ("10.0.1.1:999", CandidateType::Host, true),
        ("10.0.1.1:1000", CandidateType::Host, false),
        ("10.0.1.1:1999", CandidateType::Host, false),
        ("10.0.1.1:2000", CandidateType::Host, true),
        ("10.0.1.1:1000", CandidateType::Relayed, true),
        ("[2001:db8::1]:1000", CandidateType::Relayed, false),
        ("[2001:db9::1]:1000", CandidateType::Host, true),
    ];
    for (at, kind, allowed) in table {
        assert_eq!(policy.allows(address(at), kind), allowed, "{at} {kind:?}");
    }
    let all = [("10.1.2.3", 255), ("10.1.2.3", 32), ("10.1.0.0", 16), ("0.0.0.0", 0)];
    assert!(all.iter().all(|(ip, bits)| prefix(ip, *bits).contains("10.1.2.3".parse().expect("an address"))));
    assert!(!prefix("10.1.2.2", 32).contains("10.1.2.3".parse().expect("an address")));
    assert!(!prefix("::", 0).contains("10.1.2.3".parse().expect("an address")));
}

#[test]
fn p39_ranks_by_type_come_before_priorities() {
    let ranks = TypeRanks { relayed: 1, ..TypeRanks::default() };
    let mut script = Script::with(Role::Controlling, with(PairPolicy { ranks, ..PairPolicy::default() }));
    script.add_remote(remote(), 0);
    let relay = candidate(CandidateType::Relayed, RTP, 1, address(OTHER));
    script.set.add_remote_candidate(ms(0), STREAM, relay);
    script.set.local_gathering_complete(ms(0), STREAM);
    script.set.remote_gathering_complete(ms(0), STREAM);
    let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
    assert_eq!(checks[0].to, remote(), "checks go in the order of the RFC");
    script.wait(20);
    script.succeed(&checks[1]);
    script.succeed(&checks[0]);
    assert_eq!(script.slot().expect("the nomination").to, address(OTHER));
}

#[test]
fn p39_a_nomination_waits_no_longer_than_it_may() {
    for (max_wait, until) in [(None, 5), (Some(millis(2)), 2), (Some(millis(0)), 0), (Some(millis(9_000)), 5)]
    {
        let policy = PairPolicy { max_wait, ..PairPolicy::default() };
        let mut script = Script::with(Role::Controlling, with(policy));
        script.add_remote(remote(), 0);
        script.add_remote(address(OTHER), 1);
        let (_, worse) = (script.slot().expect("a check"), script.slot().expect("a check"));
        script.wait(50);
        script.succeed(&worse);
        for _ in 0..until {
            assert_eq!(wants(&mut script.set), None, "{max_wait:?}");
            script.wait(1);
        }
        assert_eq!(wants(&mut script.set), Some(Urgency::Nomination), "{max_wait:?}");
    }
}

#[test]
fn p39_a_higher_rank_or_a_pin_is_nominated_before_a_better_pair() {
    let commands: [fn(&mut Script, PairId) -> bool; 2] = [
        |script, pair| script.set.rank(script.now, pair, 1),
        |script, pair| script.set.pin(script.now, pair, true),
    ];
    for command in commands {
        let mut script = Script::new(Role::Controlling);
        script.add_remote(remote(), 0);
        script.add_remote(address(OTHER), 1);
        let other = id(&script, OTHER);
        assert!(command(&mut script, other), "the pair is known");
        assert!(!command(&mut script, PairId(99)), "and this one is not");
        let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
        script.wait(20);
        script.succeed(&checks[1]);
        assert_eq!(script.set.best_valid(STREAM, RTP).map(|pair| pair.remote), Some(address(OTHER)));
        assert_eq!(script.slot().expect("the nomination").to, address(OTHER));
    }
}

#[test]
fn p39_a_vetoed_pair_is_not_nominated_not_accepted_and_carries_no_data() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let first = script.pair(remote()).id;
    script.set.veto(script.now, first, true);
    let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
    script.wait(20);
    script.succeed(&checks[0]);
    assert!(script.set.best_valid(STREAM, RTP).is_none() && wants(&mut script.set).is_none());
    script.succeed(&checks[1]);
    assert_eq!(script.set.best_valid(STREAM, RTP).map(|pair| pair.remote), Some(address(OTHER)));
    assert_eq!(script.slot().expect("the nomination").to, address(OTHER));
    let mut script = valid(Role::Controlled, Config::default(), 2);
    let first = script.pair(remote()).id;
    script.set.veto(script.now, first, true);
    let (_, answer) = script.ask(remote(), &Ask::nominating());
    assert_eq!((answer.expect("an answer").code, script.selected()), (Some(400), None));
    script.ask_well(address(OTHER), &Ask::nominating());
    assert_eq!(script.selected(), Some(address(OTHER)));
}

#[test]
fn p39_a_command_nominates_at_once_and_says_what_stands_against_it() {
    let mut script = Script::new(Role::Controlling);
    for (index, at) in (0..).zip([remote(), address(OTHER), address(THIRD)]) {
        script.add_remote(at, index);
    }
    let pairs = [script.pair(remote()).id, id(&script, OTHER), id(&script, THIRD)];
    let now = script.now;
    assert_eq!(script.set.nominate(now, PairId(99)), Err(NominateError::UnknownPair));
    assert_eq!(script.set.nominate(now, pairs[2]), Err(NominateError::NotValid));
    let checks: Vec<_> = (0..3).filter_map(|_| script.slot()).collect();
    script.succeed(&checks[2]);
    assert_eq!(wants(&mut script.set), None, "it would wait for the better ones");
    assert_eq!(script.set.nominate(now, pairs[2]), Ok(()));
    assert_eq!(script.set.nominate(now, pairs[2]), Err(NominateError::UnderWay));
    let nomination = script.slot().expect("the nomination");
    assert!(nomination.nominates() && nomination.to == address(THIRD));
    script.succeed(&nomination);
    script.succeed(&checks[0]);
    assert_eq!(script.set.nominate(now, pairs[2]), Ok(()), "it is selected");
    assert_eq!(script.set.nominate(now, pairs[0]), Err(NominateError::NotValid), "it has left the checklist");
    assert!(script.slot().is_none());
    let mut controlled = valid(Role::Controlled, Config::default(), 1);
    let pair = controlled.pair(remote()).id;
    assert_eq!(controlled.set.nominate(controlled.now, pair), Err(NominateError::NotControlling));
    controlled.set.retire(controlled.now);
    assert_eq!(controlled.set.nominate(controlled.now, pair), Err(NominateError::NotControlling));
}

#[test]
fn p39_without_renomination_a_policy_that_changes_suggests_a_restart() {
    let mut script = valid(Role::Controlling, Config::default(), 2);
    let (first, other) = (script.pair(remote()).id, id(&script, OTHER));
    assert_eq!(script.set.keep(script.now, other, true), Ok(()));
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(remote()));
    let _ = script.events();
    assert_eq!(script.set.nominate(script.now, other), Err(NominateError::AlreadyNominated));
    script.set.veto(script.now, first, true);
    let reason = RestartReason::Policy;
    let suggested = Event::RestartSuggested { stream: STREAM, component: RTP, reason };
    assert_eq!(script.events(), [suggested]);
    script.set.rank(script.now, other, 7);
    assert!(script.events().is_empty(), "once for each reason");
    assert_eq!(script.selected(), Some(remote()), "RFC 8445 §8.1.1: no second nomination");
    assert!(script.slot().is_none());
}

fn renominating(count: u16) -> Script {
    let tags = ["ice2", "renomination2"];
    let (ours, theirs) = (with_options("left", &tags), with_options("right", &tags));
    let mut script = Script::between(Role::Controlling, Config::default(), ours, theirs);
    for (index, at) in (0..count).zip([remote(), address(OTHER), address(THIRD)]) {
        script.add_remote(at, index);
    }
    let checks: Vec<_> = (0..count).filter_map(|_| script.slot()).collect();
    script.wait(20);
    for check in checks.iter().rev() {
        script.succeed(check);
    }
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(remote()));
    let _ = script.events();
    script
}

#[test]
fn p39_with_renomination_commands_move_the_selected_pair() {
    let commands: [fn(&mut Script, PairId, PairId) -> bool; 4] = [
        |script, _, other| script.set.rank(script.now, other, 1),
        |script, _, other| script.set.pin(script.now, other, true),
        |script, first, _| script.set.veto(script.now, first, true),
        |script, _, other| script.set.nominate(script.now, other).is_ok(),
    ];
    for (index, command) in commands.into_iter().enumerate() {
        let mut script = renominating(2);
        let (first, other) = (script.pair(remote()).id, id(&script, OTHER));
        assert!(command(&mut script, first, other));
        let nomination = script.slot().expect("a nomination");
        assert_eq!(nomination.to, address(OTHER));
        script.succeed(&nomination);
        assert_eq!(script.selected(), Some(address(OTHER)));
        let reason = MoveReason::Policy;
        let moved = Event::Moved { stream: STREAM, component: RTP, reason };
        assert!(script.events().contains(&moved), "{index}");
        for _ in 0..1_000 {
            for sent in script.wait(100) {
                script.succeed(&sent);
            }
            assert!(script.slot().is_none(), "and it stays there: {index}");
        }
    }
}

#[test]
fn p39_kept_pairs_live_beside_the_selected_one_up_to_their_number() {
    let mut script = Script::new(Role::Controlling);
    let addresses: Vec<_> = (0..8).map(|index| address(&std::format!("10.0.1.{}:1000", index + 1))).collect();
    for (index, at) in (0..).zip(&addresses) {
        script.add_remote(*at, index);
    }
    let checks: Vec<_> = (0..8).filter_map(|_| script.slot()).collect();
    script.wait(20);
    for check in checks.iter().rev() {
        script.succeed(check);
    }
    let said: Vec<_> =
        addresses[1..].iter().map(|at| script.set.keep(script.now, script.pair(*at).id, true)).collect();
    let (kept, refused) = said.split_at(KEPT_LIMIT);
    assert!(kept.iter().all(Result::is_ok) && refused.iter().all(|said| *said == Err(KeepError::TooMany)));
    // One that is kept already is none too many.
    assert_eq!(script.set.keep(script.now, script.pair(addresses[1]).id, true), Ok(()));
    assert_eq!(script.set.keep(script.now, PairId(u32::MAX), true), Err(KeepError::UnknownPair));
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    let run = |script: &mut Script| {
        for _ in 0..6_000 {
            for sent in script.wait(10) {
                assert_eq!(sent.kind, TransmitKind::Consent);
                script.succeed(&sent);
            }
        }
    };
    run(&mut script);
    assert_eq!(script.set.pairs().filter(|pair| pair.valid).count(), 1 + KEPT_LIMIT);
    for at in &addresses[1..=KEPT_LIMIT] {
        let pair = script.pair(*at).id;
        assert_eq!(script.set.keep(script.now, pair, false), Ok(()));
    }
    run(&mut script);
    assert_eq!(script.set.pairs().count(), 1, "no longer than they are kept");
}

/// Pairs whose nomination was accepted, as the wire has it: request with USE-CANDIDATE, success that arrives.
#[derive(Default)]
struct Wire {
    asked: Vec<(TransactionId, TransportAddress, TransportAddress)>,
    accepted: BTreeSet<(TransportAddress, TransportAddress)>,
}

impl Wire {
    fn see(&mut self, from: TransportAddress, to: TransportAddress, bytes: &[u8]) {
        let message = Message::parse(bytes).expect("well-formed");
        let id = message.transaction_id();
        match message.class() {
            Class::Request if BindingRequest::decode(&message).expect("well-formed").use_candidate => {
                self.asked.push((id, from, to));
            }
            Class::Success => {
                let nomination = self.asked.iter().find(|(asked, ..)| *asked == id);
                self.accepted.extend(nomination.map(|(_, from, to)| (*from, *to)));
            }
            _ => {}
        }
    }
}

fn nonsense(rng: &mut Random, world: &mut World) {
    let side = usize::from(rng.below(2) == 0);
    let now = world.now;
    let set = &mut world.sides[side].set;
    let pairs: Vec<_> = set.pairs().map(|pair| pair.id).collect();
    let count = u64::try_from(pairs.len()).expect("few");
    let pick = usize::try_from(rng.below(count.max(1))).expect("few");
    let pair = pairs.get(pick).copied().unwrap_or(PairId(rng.u32()));
    let on = rng.below(2) == 0;
    let rank = [i32::MIN, -1, 0, 1, i32::MAX][usize::try_from(rng.below(5)).expect("few")];
    let _ = match rng.below(6) {
        0 => set.rank(now, pair, rank),
        1 => set.veto(now, pair, on),
        2 => set.pin(now, pair, on),
        3 => set.keep(now, pair, on).is_ok(),
        _ => set.nominate(now, pair).is_ok(),
    };
}

fn random_policy(rng: &mut Random) -> PairPolicy {
    let mut rank = || i16::try_from(rng.below(65_536).cast_signed() - 32_768).expect("in range");
    let ranks =
        TypeRanks { host: rank(), server_reflexive: rank(), peer_reflexive: i16::MIN, relayed: i16::MAX };
    let max_wait = (rng.below(2) == 0).then(|| millis(rng.below(1_000)));
    let denied = prefix(&std::format!("10.0.0.{}", rng.below(4)), 31);
    let remotes = if rng.below(4) == 0 { std::vec![RemoteRule::deny(denied)] } else { Vec::new() };
    PairPolicy { remotes, ranks, max_wait }
}

#[test]
fn p39_no_policy_and_no_command_breaks_a_rule() {
    for seed in 0..120_u8 {
        let mut rng = Random::from_seed([seed; 32]);
        let moves = seed % 2 == 0;
        let tags: &[&str] = if moves { &["ice2", "renomination2"] } else { &["ice2"] };
        let config = with(random_policy(&mut rng));
        let both = [with_options("left", tags), with_options("right", tags)];
        let mut world = World::between([Role::Controlling, Role::Controlled], both, millis(50), seed, config);
        for (index, side) in world.sides.iter_mut().enumerate() {
            for host in 0..3_u16 {
                side.add_host(STREAM, RTP, host, &std::format!("10.0.{index}.{}:1000", host + 1));
            }
        }
        let wire = Rc::new(RefCell::new(Wire::default()));
        let (seen, mut lost) = (Rc::clone(&wire), rng.split());
        world.passes = std::boxed::Box::new(move |_, from, to, bytes| {
            let passes = lost.below(100) >= 10;
            if passes {
                seen.borrow_mut().see(from, to, bytes);
            }
            passes
        });
        world.signal();
        world.complete_gathering();
        for _ in 0..200 {
            nonsense(&mut rng, &mut world);
            let end = world.now.after(millis(rng.below(300)));
            world.run(end);
            for side in &world.sides {
                let ta = side.set.ta_in_force();
                assert!(side.starts.windows(2).all(|two| two[1].since(two[0]) >= ta), "pacing, seed {seed}");
                let selected: Vec<_> = side.set.pairs().filter(|pair| pair.selected).collect();
                assert!(selected.len() <= 1 && selected.iter().all(|pair| pair.valid), "seed {seed}");
                if let Some(pair) = side.set.best_valid(STREAM, RTP) {
                    assert!(side.set.pair(pair.id).is_some_and(|pair| pair.valid), "seed {seed}");
                    assert!(pair.valid_until > world.now, "seed {seed}");
                }
            }
        }
        let accepted = wire.borrow().accepted.len();
        assert!(moves || accepted <= 1, "one nomination, seed {seed}: {accepted}");
        if moves {
            world.passes = std::boxed::Box::new(|_, _, _, _| true);
            let end = world.now.after(millis(60_000));
            world.run(end);
        }
        if world.sides.iter().all(|side| side.set.state() == State::Completed) {
            world.assert_agreed(STREAM, RTP);
        }
    }
}

#[test]
fn p39_a_veto_of_the_only_pair_suggests_a_restart_and_ends_nothing() {
    let mut script = valid(Role::Controlling, Config::default(), 1);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    let _ = script.events();
    let pair = script.pair(remote()).id;
    script.set.veto(script.now, pair, true);
    let reason = RestartReason::Policy;
    assert_eq!(script.events(), [Event::RestartSuggested { stream: STREAM, component: RTP, reason }]);
    assert_eq!(script.set.best_valid(STREAM, RTP).map(|pair| pair.remote), Some(remote()));
}

/// A command about the first pair or the other.
type Command = fn(&mut Script, PairId, PairId) -> bool;

/// Whatever has decided it: with one pair, or when the best of all comes true, that is before anybody has heard of the pair.
#[test]
fn p39_a_nomination_that_is_not_sent_yet_gives_way_to_a_command() {
    let commands: [(Command, &str); 8] = [
        (|script, first, _| script.set.veto(script.now, first, true), OTHER),
        (|script, first, _| script.set.rank(script.now, first, -1), OTHER),
        (|script, _, other| script.set.rank(script.now, other, 1), OTHER),
        (|script, _, other| script.set.pin(script.now, other, true), OTHER),
        (|script, _, other| script.set.nominate(script.now, other).is_ok(), OTHER),
        (|script, first, _| script.set.nominate(script.now, first).is_ok(), "10.0.1.1:1000"),
        (|script, _, other| script.set.keep(script.now, other, true).is_ok(), "10.0.1.1:1000"),
        (|script, _, other| script.set.rank(script.now, other, -1), "10.0.1.1:1000"),
    ];
    for (index, (command, to)) in commands.into_iter().enumerate() {
        let mut script = valid(Role::Controlling, Config::default(), 2);
        let (first, other) = (script.pair(remote()).id, id(&script, OTHER));
        assert_eq!(wants(&mut script.set), Some(Urgency::Nomination), "it is decided");
        assert!(command(&mut script, first, other), "{index}");
        let nomination = script.slot().expect("one nomination");
        assert!(nomination.nominates() && nomination.to == address(to), "{index}: {}", nomination.to);
        assert!(script.slot().is_none(), "and no other, {index}");
        script.succeed(&nomination);
        assert_eq!(script.selected(), Some(address(to)), "{index}");
    }
}

#[test]
fn p39_of_a_vetoed_pair_no_nomination_goes_out() {
    let mut script = valid(Role::Controlling, Config::default(), 1);
    let pair = script.pair(remote()).id;
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
    script.set.veto(script.now, pair, true);
    assert!(script.slot().is_none() && script.wait(20_000).iter().all(|sent| !sent.nominates()));
    assert_eq!((script.selected(), wants(&mut script.set)), (None, None));
    script.set.veto(script.now, pair, false);
    assert!(script.slot().expect("the nomination").nominates());
    // A veto counts against a command, and a pin does not.
    let commands: [(Command, TransportAddress); 2] = [
        (|script, _, other| script.set.veto(script.now, other, true), remote()),
        (|script, first, _| script.set.pin(script.now, first, true), address(OTHER)),
    ];
    for (command, to) in commands {
        let mut script = valid(Role::Controlling, Config::default(), 2);
        let (first, other) = (script.pair(remote()).id, id(&script, OTHER));
        assert_eq!(script.set.nominate(script.now, other), Ok(()));
        assert!(command(&mut script, first, other));
        assert_eq!(script.slot().expect("the nomination").to, to);
    }
}

/// RFC 8445 §8.1.1: the peer may have accepted it.
#[test]
fn p39_a_nomination_that_was_sent_is_not_taken_back() {
    for again in [false, true] {
        let mut script = valid(Role::Controlling, Config::default(), 2);
        let (first, other) = (script.pair(remote()).id, id(&script, OTHER));
        let mut nomination = script.slot().expect("the nomination");
        while again && wants(&mut script.set) != Some(Urgency::Nomination) {
            script.wait(10);
        }
        script.set.veto(script.now, first, true);
        script.set.pin(script.now, other, true);
        assert_eq!(script.set.nominate(script.now, other), Err(NominateError::UnderWay));
        if again {
            nomination = script.slot().expect("in a fresh transaction");
        }
        assert_eq!((nomination.to, nomination.nominates()), (remote(), true));
        assert!(script.slot().is_none());
        script.succeed(&nomination);
        assert_eq!(script.selected(), Some(remote()));
    }
}

#[test]
fn p39_a_move_that_is_not_sent_yet_gives_way_to_a_command() {
    let mut script = renominating(3);
    let (first, other, third) = (script.pair(remote()).id, id(&script, OTHER), id(&script, THIRD));
    script.set.rank(script.now, other, 1);
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
    script.set.rank(script.now, other, 0);
    assert_eq!(wants(&mut script.set), None, "it stays where it is");
    script.set.pin(script.now, other, true);
    assert_eq!(script.set.nominate(script.now, first), Ok(()), "it is selected");
    assert_eq!(wants(&mut script.set), None);
    assert_eq!(script.set.nominate(script.now, other), Ok(()));
    assert_eq!(script.set.nominate(script.now, third), Ok(()), "the last one counts");
    let nomination = script.slot().expect("one move");
    assert_eq!(nomination.to, address(THIRD));
    script.succeed(&nomination);
    assert_eq!((script.selected(), wants(&mut script.set)), (Some(address(THIRD)), None));
}
