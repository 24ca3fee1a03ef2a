//! A peer that moves again and again: what is remembered of the addresses that it has left is bounded, and takes no place from
//! those that it has. So it is with pairs that were kept.

use core::net::IpAddr;
use std::vec::Vec;

use floe_pair::{BaseId, Candidate, CandidateType, Parameters, Role, StreamId, TransportAddress};

use super::lives::{OTHER, RENOMINATION, SECOND, second, selected, tenths};
use super::renominate::both;
use super::script::*;
use super::world::*;
use crate::{Admission, Config, Event, KEPT_LIMIT, RemoteOutcome};

fn peer_wanted(event: Event) -> Option<IpAddr> {
    match event {
        Event::AdmissionWanted { peer, .. } => Some(peer),
        _ => None,
    }
}

#[test]
fn a_relay_has_place_for_each_new_address_of_a_peer_that_moves() {
    let (relay, base) = (address("10.9.0.1:1000"), BaseId(8));
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    script.set.add_base(base, Admission::PerPeer);
    script.set.add_local_candidate(ms(0), STREAM, candidate(CandidateType::Relayed, RTP, 1, relay), base);
    let peers = u16::try_from(crate::PEERS_PER_BASE + 20).expect("few");
    let at = |number: u16, port| address(&std::format!("10.0.2.{number}:{port}"));
    for (number, port) in (0..=peers).map(|number| (number, 1_000)).chain([(1, 2_000)]) {
        let mut over_relay = 0;
        script.add_remote(at(number, port), number + 2);
        loop {
            let asked: Vec<_> = script.events().into_iter().filter_map(peer_wanted).collect();
            for peer in &asked {
                if number % 2 == 0 {
                    script.set.refuse(script.now, base, *peer);
                } else {
                    script.set.admit(script.now, base, *peer);
                }
            }
            let check = script.slot();
            if let Some(check) = &check {
                over_relay += usize::from(check.from == base && check.to == at(number, port));
                let _ = script.refuse(check, 400);
            } else if asked.is_empty() {
                break;
            }
        }
        assert_eq!(over_relay, usize::from(number % 2 == 1), "{number}");
        tenths(&mut script, 100, &[remote(), address(OTHER)]);
        assert!(!script.set.is_peer_listed(base, at(number, port).ip()), "{number}");
    }
}

/// Two agents whose peer may move: a lite one, and a full one that has selected a pair.
fn lite_and_full() -> (Script, Script) {
    let lite = Parameters { lite: true, ..with_options("left", RENOMINATION) };
    let theirs = with_options("right", RENOMINATION);
    let at_lite = Script::between(Role::Controlled, Config::default(), lite, theirs);
    (at_lite, selected(Role::Controlled, Config::default(), RENOMINATION))
}

/// An address that the peer moves to.
fn seen(value: u32) -> TransportAddress {
    address(&std::format!("10.0.1.{value}:5000"))
}

/// The peer, which controls, nominates a pair with this address.
fn moved_by_peer(script: &mut Script, value: u32, to: TransportAddress) {
    script.ask_well(to, &Ask::renominating(value));
    if let Some(check) = script.slot() {
        script.succeed(&check);
    }
    assert_eq!(script.selected(), Some(to), "{value}");
}

#[test]
fn con_04_a_peer_that_moves_often_without_losing_its_pair_is_followed_for_ever() {
    let (mut at_lite, mut at_full) = lite_and_full();
    for value in 2..82 {
        moved_by_peer(&mut at_lite, value, seen(value));
        at_lite.wait(20_000);
        moved_by_peer(&mut at_full, value, seen(value));
        tenths(&mut at_full, 40, &[seen(value), seen(value - 1), remote(), address(OTHER)]);
        for script in [&at_lite, &at_full] {
            assert!(script.set.usage().learned <= crate::PEER_REFLEXIVE_LIMIT);
        }
        // A base that is added brings back what was kept, and what was learned is paired with none.
        if value == 40 {
            at_full.set.add_base(SECOND, Admission::Open);
            let second = host(RTP, 1, second());
            at_full.set.add_local_candidate(at_full.now, STREAM, second, SECOND);
            while at_full.slot().is_some() {}
        }
    }
}

#[test]
fn a_peer_that_signals_candidates_with_each_move_is_followed_for_ever() {
    let config = Config { remote_limit: 16, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    for number in 2..100 {
        let at = address(&std::format!("10.0.1.{number}:5000"));
        let outcome = script.set.add_remote_candidate(script.now, STREAM, host(RTP, number, at));
        assert_eq!(outcome, RemoteOutcome::Taken, "{number}");
        let check = script.slot().expect("a check");
        assert_eq!((check.to, script.refuse(&check, 400)), (at, crate::Outcome::Taken));
        tenths(&mut script, 100, &[remote(), address(OTHER)]);
        assert!(script.set.usage().remotes <= 16);
    }
    // What was seen last is known, and what has the selected pair.
    let known = |at: &str| script.set.candidates.kind_at(STREAM, RTP, address(at)).is_some();
    assert!(known("10.0.1.1:1000") && known(OTHER) && known("10.0.1.99:5000") && !known("10.0.1.3:5000"));
    moved_by_peer(&mut script, 2, address("10.0.2.1:5000"));
}

#[test]
fn con_04_a_peer_that_moves_on_before_the_linger_time_is_over_is_followed_for_ever() {
    let (mut at_lite, mut at_full) = lite_and_full();
    for value in 2..102 {
        moved_by_peer(&mut at_lite, value, seen(value));
        at_lite.wait(2_000);
        moved_by_peer(&mut at_full, value, seen(value));
        tenths(&mut at_full, 5, &[seen(value), seen(value - 1), remote(), address(OTHER)]);
        for script in [&at_lite, &at_full] {
            assert!(script.set.usage().learned <= crate::PEER_REFLEXIVE_LIMIT);
            // What was left last has the whole time.
            assert!(value == 2 || script.pair(seen(value - 1)).valid, "{value}");
        }
    }
}

#[test]
fn pairs_that_a_peer_has_left_take_no_place_from_those_that_it_moves_to() {
    let config = Config { pair_limit: 8, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    for number in 2..40 {
        let candidate = relay(number);
        let at = candidate.address;
        assert_eq!(signal(&mut script, candidate), RemoteOutcome::Taken, "{number}");
        let check = script.slot().expect("a check");
        script.succeed(&check);
        moved_by_peer(&mut script, u32::from(number), at);
        tenths(&mut script, 10, &[at, remote(), address(OTHER)]);
        assert!(script.set.usage().pairs <= 8);
    }
}

/// Candidates of the peer that are worth less than all there are.
fn signal_low(script: &mut Script, numbers: core::ops::Range<u16>) {
    for number in numbers {
        signal(script, relay(number));
    }
}

#[test]
fn ice_13_a_pair_that_was_never_selected_is_no_pair_that_was_left() {
    let answering = [remote(), address(OTHER)];
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = selected(role, Config { pair_limit: 8, ..Config::default() }, RENOMINATION);
        for number in 2..8_u16 {
            script.add_remote(address(&std::format!("10.0.2.{number}:5000")), number);
        }
        assert_eq!(script.set.usage().pairs, 8);
        // Nothing is known yet of what is worth keeping: the linger time has only begun.
        tenths(&mut script, 5, &answering);
        signal_low(&mut script, 10..13);
        assert!(script.find(address(OTHER)).is_some_and(|pair| pair.valid), "{role:?}");
        assert!((10..13).all(|number| script.find(relay(number).address).is_none()), "{role:?}");
        while let Some(check) = script.slot() {
            let _ = script.refuse(&check, 400);
        }
        tenths(&mut script, 100, &answering);
        let other = script.pair(address(OTHER));
        assert!(other.valid && other.standby && other.listed, "{role:?}");
        assert_eq!(script.selected(), Some(remote()));
    }
}

#[test]
fn a_pair_of_another_stream_that_is_to_stand_by_makes_no_room() {
    let mut script = selected(Role::Controlling, Config { pair_limit: 4, ..Config::default() }, RENOMINATION);
    let video = StreamId(1);
    script.set.add_component(script.now, video, RTP);
    script.set.add_base(SECOND, Admission::Open);
    script.set.add_local_candidate(script.now, video, host(RTP, 1, second()), SECOND);
    for number in 2..6_u16 {
        let at = address(&std::format!("10.0.2.{number}:5000"));
        script.set.add_remote_candidate(script.now, video, host(RTP, number, at));
    }
    assert_eq!(script.set.pairs().filter(|pair| pair.stream == video).count(), 2);
    assert!(script.find(address(OTHER)).is_some_and(|pair| pair.valid));
}

#[test]
fn ice_13_a_pair_that_was_left_for_its_silence_stays_to_be_gone_back_to() {
    let config = Config { pair_limit: 2, ..Config::default() };
    let mut script = selected(Role::Controlling, config, RENOMINATION);
    while script.selected() == Some(remote()) {
        assert!(script.now < ms(25_000));
        tenths(&mut script, 1, &[address(OTHER)]);
        if let Some(nomination) = script.slot() {
            script.succeed(&nomination);
        }
    }
    signal_low(&mut script, 10..13);
    let before = script.pair(remote());
    assert!(before.valid && script.selected() == Some(address(OTHER)));
    for _ in 0..300 {
        tenths(&mut script, 1, &[remote(), address(OTHER)]);
        if let Some(nomination) = script.slot() {
            script.succeed(&nomination);
        }
    }
    assert_eq!((script.selected(), script.pair(remote()).id), (Some(remote()), before.id));
}

#[test]
fn ice_13_a_better_pair_that_waits_for_the_next_move_is_no_pair_that_was_left() {
    let [ours, theirs] = both(RENOMINATION);
    let config = Config { pair_limit: 3, ..Config::default() };
    let mut script = Script::between(Role::Controlling, config, ours, theirs);
    let pairs = [address(OTHER), remote(), address("10.0.1.3:1000")];
    for (number, at) in [(9, pairs[0]), (5, pairs[1]), (1, pairs[2])] {
        script.add_remote(at, number);
        let check = script.slot().expect("a check");
        script.succeed(&check);
        if number == 9 {
            script.wait(1_000);
        }
        if let Some(nomination) = script.slot() {
            script.succeed(&nomination);
        }
    }
    // It has just moved from the first to the second, and the third is better.
    assert_eq!(script.selected(), Some(pairs[1]));
    signal_low(&mut script, 10..13);
    assert!(script.find(pairs[2]).is_some_and(|pair| pair.valid));
    tenths(&mut script, 6, &pairs);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(pairs[2]));
}

#[test]
fn ice_13_what_the_peer_asks_for_after_it_was_left_is_kept_and_the_rest_is_not() {
    let config = Config { pair_limit: 8, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    let moved = |script: &mut Script, number: u16| {
        signal(script, relay(number));
        let check = script.slot().expect("a check");
        script.succeed(&check);
        moved_by_peer(script, u32::from(number), relay(number).address);
        tenths(script, 1, &[remote(), address(OTHER)]);
    };
    for number in 2..8 {
        moved(&mut script, number);
        if number == 5 {
            script.ask_well(relay(4).address, &Ask::controlling());
            tenths(&mut script, 1, &[]);
        }
    }
    assert_eq!(script.set.usage().pairs, 8);
    let known = |script: &Script, number: u16| script.find(relay(number).address).is_some();
    // Oldest first; of the relays the best would stand by, and the fourth is kept by the peer.
    for (number, gone) in [(8, 3), (9, 5), (10, 6), (11, 7), (12, 8)] {
        moved(&mut script, number);
        let (gone, all) = ((3..=gone).filter(|old| *old != 4), 3..=number);
        assert_eq!(
            all.filter(|old| !known(&script, *old)).collect::<Vec<_>>(),
            gone.collect::<Vec<_>>(),
            "{number}"
        );
    }
}

#[test]
fn a_pair_whose_nomination_was_overtaken_before_it_came_true_has_been_left() {
    let config = Config { pair_limit: 4, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    let at = [relay(2).address, relay(3).address];
    for (value, number) in [(2, 2), (3, 3)] {
        signal(&mut script, relay(number));
        script.ask_well(relay(number).address, &Ask::renominating(value));
    }
    let checks = [script.slot().expect("a check"), script.slot().expect("a check")];
    for check in &checks {
        script.succeed(check);
    }
    let left = |script: &Script| at.map(|at| script.set.pairs.iter().any(|pair| pair.to == at && pair.left));
    assert_eq!((script.selected(), left(&script)), (Some(at[1]), [true, false]));
    // It is selected after all, and left for good then.
    for (value, to, expected) in [(4, at[0], [false, true]), (5, at[1], [true, false])] {
        script.ask_well(to, &Ask::renominating(value));
        assert_eq!((script.selected(), left(&script)), (Some(to), expected));
    }
}

/// The relay of a peer in its network of this number: the later one is no better.
fn relay(number: u16) -> Candidate {
    candidate(CandidateType::Relayed, RTP, number, address(&std::format!("10.0.1.{number}:5000")))
}

fn signal(script: &mut Script, candidate: Candidate) -> RemoteOutcome {
    script.set.add_remote_candidate(script.now, STREAM, candidate)
}

#[test]
fn a_peer_that_signals_all_it_has_with_each_move_is_followed_for_ever() {
    let config = Config { remote_limit: 16, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    for number in 2..60 {
        let candidate = relay(number);
        let at = candidate.address;
        assert_eq!(signal(&mut script, candidate), RemoteOutcome::Taken, "{number}");
        let check = script.slot().expect("a check");
        assert_eq!((check.to, script.refuse(&check, 400)), (at, crate::Outcome::Taken));
        tenths(&mut script, 100, &[remote(), address(OTHER)]);
        // RFC 8839 §4.4.1: an offer that is made again names those that were told before, too.
        for before in number.saturating_sub(9).max(2)..=number {
            assert_eq!(signal(&mut script, relay(before)), RemoteOutcome::Taken, "{before} of {number}");
        }
        assert!(script.set.usage().remotes <= 16);
    }
    moved_by_peer(&mut script, 2, address("10.0.2.1:5000"));
}

#[test]
fn a_base_that_is_of_no_use_with_what_is_remembered_takes_no_place_from_what_comes() {
    let config = Config { remote_limit: 16, ..Config::default() };
    let mut script = selected(Role::Controlled, config, RENOMINATION);
    for number in 2..=15 {
        assert_eq!(signal(&mut script, relay(number)), RemoteOutcome::Taken);
        let check = script.slot().expect("a check");
        assert_eq!(script.refuse(&check, 400), crate::Outcome::Taken);
    }
    tenths(&mut script, 100, &[remote(), address(OTHER)]);
    assert_eq!((script.set.usage().remotes, script.set.candidates.packed.len()), (16, 14));
    script.set.add_base(SECOND, Admission::Open);
    let other = host(RTP, 1, address("[2001:db8::1]:1000"));
    script.set.add_local_candidate(script.now, STREAM, other, SECOND);
    assert_eq!(script.set.candidates.packed.len(), 14, "in little memory again");
    assert_eq!(signal(&mut script, relay(16)), RemoteOutcome::Taken);
    assert_eq!(script.pair(relay(16).address).remote.kind, CandidateType::Relayed);
    let known = |number| script.set.candidates.kind_at(STREAM, RTP, relay(number).address).is_some();
    assert!(known(3) && !known(2), "the oldest has gone");
}

#[test]
fn what_is_signalled_after_nomination_for_a_base_that_may_be_added_is_the_latest() {
    let config = Config { remote_limit: 16, ..Config::default() };
    let mut script = selected(Role::Controlling, config, &["ice2"]);
    tenths(&mut script, 100, &[remote()]);
    for number in 2..60 {
        assert_eq!(signal(&mut script, relay(number)), RemoteOutcome::Taken, "{number}");
        assert!(script.set.usage().remotes <= 16);
    }
    let known = |number| script.set.candidates.kind_at(STREAM, RTP, relay(number).address).is_some();
    assert!((46..60).all(known) && !known(44) && script.selected() == Some(remote()));
}

#[test]
fn p39_pairs_whose_consent_has_ended_are_none_of_those_that_are_kept() {
    let mut script = selected(Role::Controlling, Config::default(), RENOMINATION);
    let at = |number: u16| address(&std::format!("10.0.1.{number}:5000"));
    let most = u16::try_from(KEPT_LIMIT).expect("few");
    for number in 2..=2 * most {
        script.add_remote(at(number), number);
        let check = script.slot().expect("a check");
        let pair = script.pair(at(number)).id;
        script.succeed(&check);
        assert_eq!(script.set.keep(script.now, pair, true), Ok(()), "{number}");
        assert!(tenths(&mut script, 320, &[remote(), address(OTHER)]) >= 5, "it is kept");
        let ended = script.set.pairs.get(pair).is_none_or(|pair| pair.valid.is_none() && !pair.wish.kept);
        assert!(ended, "{number}: as long as consent lasts");
    }
    // Those that live are as many as before.
    for number in 20..=20 + most {
        script.add_remote(at(number), number);
        let check = script.slot().expect("a check");
        script.succeed(&check);
        let said = script.set.keep(script.now, script.pair(at(number)).id, true);
        assert_eq!(said.is_ok(), number < 20 + most, "{number}");
    }
}

#[test]
fn p39_pairs_that_have_failed_are_none_of_those_that_are_kept() {
    let mut script = Script::new(Role::Controlling);
    let numbers = 2..=2 + u16::try_from(2 * KEPT_LIMIT).expect("few");
    let at = |number: u16| address(&std::format!("10.0.1.{number}:5000"));
    for number in numbers.clone() {
        script.add_remote(at(number), number);
        let check = script.slot().expect("a check");
        let pair = script.pair(at(number)).id;
        assert_eq!(script.set.keep(script.now, pair, true), Ok(()), "{number}");
        assert_eq!(script.refuse(&check, 400), crate::Outcome::Taken);
        assert_eq!(script.pair(at(number)).state, crate::PairState::Failed);
        if number % 2 == 0 {
            assert_eq!(script.set.keep(script.now, pair, true), Ok(()), "{number}: to no effect");
        }
    }
    // The network of the peer is back.
    for number in numbers.clone() {
        script.ask_well(at(number), &Ask::default());
    }
    for check in numbers.clone().map(|_| script.slot().expect("a triggered check")).collect::<Vec<_>>() {
        script.succeed(&check);
        assert!(script.pair(check.to).valid, "{}", check.to);
    }
    assert_eq!(script.set.pairs.iter().filter(|pair| pair.wish.kept).count(), 0);
    let mut keep = |number| script.set.keep(script.now, script.pair(at(number)).id, true).is_ok();
    assert_eq!(numbers.filter(|number| keep(*number)).count(), KEPT_LIMIT, "they are told anew");
}

/// RFC 8445 §7.2.5.3.1: behind a NAT that maps each destination anew, each answer shows another candidate of ours. RFC 8838
/// §10: those take no place from one that comes with a new base.
#[test]
fn p06_a_new_base_is_paired_however_many_mapped_addresses_were_learned() {
    let most = u32::try_from(crate::LOCAL_CANDIDATE_LIMIT).expect("few");
    for (count, tenths_each) in [(most + 10, 5), (200, 70)] {
        let mut script = selected(Role::Controlled, Config::default(), RENOMINATION);
        for value in 2..count {
            let to = address(&std::format!("10.1.{}.{}:5000", value / 256, value % 256));
            script.ask_well(to, &Ask::renominating(value));
            let check = script.slot().expect("a triggered check");
            script.succeed_with(&check, address(&std::format!("203.0.113.9:{}", 2_000 + value)));
            assert_eq!(script.selected(), Some(to), "{value}");
            tenths(&mut script, tenths_each, &[to]);
        }
        let kept = script.set.candidates.locals.len();
        assert!(kept < 50 || count > most, "what no pair stands on is given up with the rest: {kept}");
        script.set.add_base(SECOND, Admission::Open);
        script.set.add_local_candidate(script.now, STREAM, host(RTP, 1, second()), SECOND);
        let pairs = script.set.pairs().filter(|pair| pair.base == SECOND).count();
        assert_eq!(pairs, 2, "with each that was signalled");
    }
}
