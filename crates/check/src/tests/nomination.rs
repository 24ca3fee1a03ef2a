//! Nomination.

use floe_pair::{BaseId, Candidate, CandidateType, ComponentId, IceOptions, Parameters, Role};
use floe_stun::Class;
use floe_stun::binding::Claim;

use super::script::*;
use super::world::*;
use crate::{Admission, Config, Failure, Outcome, PairState, State, Urgency};

const OTHER: &str = "10.0.1.2:1000";

/// Two pairs, the first better; checks of both are under way.
fn two(role: Role) -> (Script, Sent, Sent) {
    let mut script = Script::new(role);
    script.add_remote(remote(), 0);
    script.add_remote(address(OTHER), 1);
    let (better, worse) = (script.slot().expect("a check"), script.slot().expect("a check"));
    assert_eq!((better.to, worse.to), (remote(), address(OTHER)));
    (script, better, worse)
}

#[test]
fn the_best_pair_is_nominated_in_the_next_slot() {
    let (mut script, better, _) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&better);
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
    assert_eq!(script.pair(remote()).state, PairState::Succeeded);
    let nomination = script.slot().expect("the nomination");
    assert!(nomination.nominates() && nomination.to == remote());
    assert_ne!(nomination.id(), better.id());
    assert_eq!((script.selected(), script.pair(remote()).state), (None, PairState::InProgress));
    script.succeed(&nomination);
    assert_eq!((script.selected(), script.set.state()), (Some(remote()), State::Completed));
}

#[test]
fn ordinary_checks_wait_for_the_answer_to_a_nomination_and_go_on_where_there_is_none() {
    let (mut script, better, _) = two(Role::Controlling);
    script.add_remote(address("10.0.1.3:1000"), 2);
    assert_eq!(wants(&mut script.set), Some(Urgency::Ordinary));
    script.wait(50);
    script.succeed(&better);
    assert!(script.slot().expect("the nomination").nominates());
    assert_eq!(wants(&mut script.set), None, "what is left is worse");
    script.wait(99);
    assert_eq!(wants(&mut script.set), None);
    script.wait(1);
    assert!(script.slot().expect("a fresh nomination").nominates());
    assert_eq!(script.slot().expect("an ordinary check").to, address("10.0.1.3:1000"));
}

#[test]
fn ordinary_checks_of_the_controlled_agent_wait_a_round_trip_for_the_nomination_of_the_best_pair() {
    let (mut script, better, worse) = two(Role::Controlled);
    script.add_remote(address("10.0.1.3:1000"), 2);
    script.wait(50);
    script.succeed(&worse);
    assert_eq!(wants(&mut script.set), Some(Urgency::Ordinary), "a better one may yet come true");
    script.succeed(&better);
    assert_eq!(wants(&mut script.set), None);
    script.wait(99);
    assert_eq!(wants(&mut script.set), None);
    script.wait(1);
    assert_eq!(script.slot().expect("an ordinary check").to, address("10.0.1.3:1000"));
}

#[test]
fn a_pair_is_not_held_up_by_a_better_one_that_had_its_time() {
    let (mut script, _, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&worse);
    // Both left at the same instant: the better one has one slot's time more, and is given no more than that.
    assert_eq!(wants(&mut script.set), None);
    script.wait(5);
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
    assert_eq!(script.slot().expect("the nomination").to, address(OTHER));
}

#[test]
fn a_better_pair_that_answers_meanwhile_is_nominated_instead() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&worse);
    script.wait(3);
    script.succeed(&better);
    assert_eq!(script.slot().expect("the nomination").to, remote());
}

#[test]
fn a_better_pair_that_waits_for_ever_holds_nothing_up_for_long() {
    let mut script = Script::new(Role::Controlling);
    let relay = floe_pair::BaseId(8);
    script.set.add_base(relay, crate::Admission::PerPeer);
    script.set.add_local_candidate(ms(0), STREAM, host(RTP, 0, address("10.0.0.3:3")), relay);
    script.add_remote(remote(), 1);
    let _ = script.events();
    // The better base is never opened for the peer.
    let check = script.slot().expect("a check");
    assert_eq!(check.from, BASE);
    script.wait(10);
    script.succeed(&check);
    script.wait(100);
    assert_eq!(wants(&mut script.set), Some(Urgency::Nomination));
}

/// A direct pair and a relayed one on each side; the network is asked about datagrams between direct addresses.
fn with_relays(direct: impl FnMut(floe_stun::Instant) -> bool + 'static) -> World {
    let mut direct = direct;
    let mut world = World::new([Role::Controlling, Role::Controlled], millis(50), 3, Config::default());
    for (index, side) in world.sides.iter_mut().enumerate() {
        side.add_host(STREAM, RTP, 0, &std::format!("10.0.{index}.1:1000"));
        side.add_host(STREAM, RTP, 1, &std::format!("10.9.{index}.1:1000"));
        let relay = &mut side.candidates[1].1;
        *relay = candidate(CandidateType::Relayed, RTP, 1, relay.address);
    }
    let is_relay = |at: floe_pair::TransportAddress| std::format!("{at}").starts_with("10.9.");
    world.passes =
        std::boxed::Box::new(move |now, from, to, _| is_relay(from) || is_relay(to) || direct(now));
    world.signal();
    world.complete_gathering();
    world
}

#[test]
fn a_direct_pair_whose_first_tries_were_lost_is_selected_before_a_relay() {
    // Lost for so many milliseconds: the first check of each side, and some of the fresh ones.
    for lost in [10, 40, 60, 100, 300, 500] {
        let mut world = with_relays(move |now| now >= ms(lost));
        assert!(world.run_to_selection(ms(5_000)), "{lost}");
        for side in &world.sides {
            let selected = side.set.selected(STREAM, RTP).expect("a pair");
            assert_eq!(selected.remote_candidate.kind, CandidateType::Host, "lost for {lost} ms");
            assert!(side.usable_at() <= Some(ms(80)), "data flows on a relay meanwhile");
        }
    }
}

#[test]
fn a_direct_pair_that_was_heard_from_is_given_eight_fresh_checks() {
    let mut seen = 0;
    // What the right side sends gets through, its answers and our checks do not, for a while.
    let mut world = with_relays(|_| true);
    let (ours, theirs) = (world.sides[0].bases[0].1, world.sides[1].bases[0].1);
    world.passes = std::boxed::Box::new(move |_, from, to, bytes| {
        let request = floe_stun::Message::parse(bytes).expect("well-formed").class() == Class::Request;
        if (from, to) == (ours, theirs) && request {
            seen += 1;
            return seen > 5;
        }
        true
    });
    assert!(world.run_to_selection(ms(5_000)));
    let selected = world.sides[0].set.selected(STREAM, RTP).expect("a pair");
    assert_eq!((selected.local.address, selected.remote), (ours, theirs));
}

#[test]
fn a_direct_pair_that_is_a_black_hole_holds_a_relay_up_for_a_retransmission_of_each_side() {
    let mut world = with_relays(|_| false);
    assert!(world.run_to_selection(ms(5_000)));
    let [left, _] = &world.sides;
    assert!(left.usable_at() <= Some(ms(80)));
    // The RTO of 500 ms of each side, a round trip for the peer's check and ours, one for the nomination, some slots.
    let took = left.selected_at().expect("selected");
    assert!(took > ms(1_000) && took <= ms(1_000 + 3 * 50 + 8 * 5), "{took:?}");
}

#[test]
fn however_many_black_holes_there_are_a_relay_is_nominated_within_the_bound() {
    for two in [false, true] {
        let mut world = with_relays(|_| false);
        for (index, side) in world.sides.iter_mut().enumerate() {
            for host in 2..9 {
                side.add_host(STREAM, RTP, host, &std::format!("10.0.{index}.{host}:1000"));
            }
            if two {
                side.set.add_component(ms(0), STREAM, floe_pair::ComponentId::RTCP);
                side.add_host(STREAM, floe_pair::ComponentId::RTCP, 0, &std::format!("10.0.{index}.1:2000"));
                side.add_host(STREAM, floe_pair::ComponentId::RTCP, 1, &std::format!("10.9.{index}.1:2000"));
                let relay = &mut side.candidates.last_mut().expect("there are some").1;
                *relay = Candidate { kind: CandidateType::Relayed, ..relay.clone() };
            }
        }
        world.signal();
        assert!(world.run_to_selection(ms(20_000)));
        let [left, _] = &world.sides;
        // P + 4 (RTO + RTT + Ta), counted from the valid pair; and a round trip for the nomination.
        let bound = millis(4 * 50 + 4 * (1_000 + 50 + 5) + 50 + 5);
        let (usable, selected) = (left.usable_at().expect("valid"), left.selected_at().expect("selected"));
        assert!(selected.since(usable) <= bound, "{usable:?} {selected:?}");
    }
}

#[test]
fn ice_32_one_pair_is_nominated_and_no_other_after_it() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&worse);
    script.wait(5);
    let nomination = script.slot().expect("the nomination");
    // A better pair comes true while the nomination is under way, and again after it.
    script.succeed(&better);
    assert!(script.slot().is_none());
    script.succeed(&nomination);
    assert_eq!(script.selected(), Some(address(OTHER)));
    for _ in 0..50 {
        let sent = script.wait(1_000);
        assert!(sent.iter().all(|sent| !sent.nominates() && sent.to == address(OTHER)));
        for consent in sent {
            script.succeed(&consent);
        }
        assert!(script.slot().is_none());
    }
}

#[test]
fn ice_34_after_nomination_the_others_go_and_their_answers_still_count() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.add_remote(address("10.0.1.3:1"), 2);
    script.wait(50);
    script.succeed(&better);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    let listed: std::vec::Vec<_> = script.set.pairs().filter(|pair| pair.listed).collect();
    assert_eq!((listed.len(), listed[0].remote.address), (1, remote()));
    assert!(script.slot().is_none(), "nothing of the component is checked any more");
    // Not retransmitted ...
    assert!(script.wait(2_000).is_empty());
    // ... and the answer makes data from there acceptable.
    assert_eq!(script.set.is_valid(BASE, address(OTHER)), None);
    script.succeed(&worse);
    assert_eq!(script.set.is_valid(BASE, address(OTHER)), Some((STREAM, RTP)));
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn ice_35_what_was_not_selected_is_kept_three_seconds_and_then_freed() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&better);
    script.succeed(&worse);
    let nomination = script.slot().expect("the nomination");
    script.succeed(&nomination);
    script.wait(2_900);
    assert_eq!(script.set.pairs().count(), 2);
    assert_eq!(script.set.is_valid(BASE, address(OTHER)), Some((STREAM, RTP)));
    script.wait(60_000);
    assert!(script.set.pairs().count() <= 1);
}

#[test]
fn a_failed_nomination_falls_back_to_the_next_valid_pair() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&better);
    script.succeed(&worse);
    let nomination = script.slot().expect("the nomination");
    assert_eq!(script.refuse(&nomination, 400), Outcome::Taken);
    let pair = script.pair(remote());
    assert_eq!(
        (pair.state, pair.failure, pair.valid),
        (PairState::Failed, Some(Failure::Refused(400)), false)
    );
    let next = script.slot().expect("the next nomination");
    assert!(next.nominates() && next.to == address(OTHER));
    script.succeed(&next);
    assert_eq!(script.selected(), Some(address(OTHER)));
}

#[test]
fn a_lost_nomination_is_followed_by_fresh_ones_until_consent_ends() {
    let (mut script, better, worse) = two(Role::Controlling);
    script.wait(50);
    script.succeed(&better);
    script.succeed(&worse);
    let mut nominations = 0;
    let mut fell_back = None;
    for step in 0..4_000_u64 {
        for sent in script.slot().into_iter().chain(script.wait(10)) {
            if sent.to == address(OTHER) {
                if sent.nominates() {
                    fell_back.get_or_insert(step * 10);
                }
                script.succeed(&sent);
            } else if fell_back.is_none() && sent.request().use_candidate {
                nominations += 1;
            }
        }
    }
    assert!((20..=60).contains(&nominations), "{nominations}");
    assert!(fell_back.is_some_and(|at| (29_000..=31_000).contains(&at)), "{fell_back:?}");
    assert_eq!(script.selected(), Some(address(OTHER)));
}

#[test]
fn ice_33_of_several_nominations_of_an_rfc_5245_peer_the_best_is_used() {
    for best_first in [true, false] {
        let mut script = Script::bare(Role::Controlled, Config::default());
        let mut old = parameters("right");
        old.options = IceOptions::default();
        script.set.set_remote_parameters(ms(0), old);
        script.add_remote(remote(), 0);
        script.add_remote(address(OTHER), 1);
        let order = if best_first { [remote(), address(OTHER)] } else { [address(OTHER), remote()] };
        for at in order {
            script.ask_well(at, &Ask::nominating());
        }
        for _ in 0..2 {
            let check = script.slot().expect("a triggered check");
            script.succeed(&check);
            if script.selected().is_some() {
                script.ask_well(order[1], &Ask::nominating());
            }
        }
        while let Some(check) = script.slot() {
            script.succeed(&check);
        }
        assert_eq!(script.selected(), Some(remote()));
        // Long after completion nothing moves any more.
        script.wait(4_000);
        assert_eq!(script.selected(), Some(remote()));
    }
}

/// RFC 8445 §8.1.1, §8.3.1: once the losers are freed, three seconds after the nomination and with consent answered, an
/// RFC 5245 peer moves the selected pair no more than any other.
#[test]
fn t14_after_the_losers_are_freed_no_nomination_moves_anything() {
    for options in [IceOptions::default(), IceOptions::ice2()] {
        let mut script = Script::bare(Role::Controlled, Config::default());
        script.set.set_remote_parameters(ms(0), Parameters { options, ..parameters("right") });
        script.add_remote(remote(), 0);
        script.add_remote(address(OTHER), 1);
        for check in [script.slot(), script.slot()] {
            script.succeed(&check.expect("a check of each"));
        }
        script.ask_well(address(OTHER), &Ask::nominating());
        for wait in [10_000, 600_000] {
            let end = script.now.after(millis(wait));
            while script.now < end {
                for consent in script.wait(100) {
                    script.succeed(&consent);
                }
            }
            // A better pair that there was, and one of an address that nobody has seen.
            for to in [remote(), address("10.0.1.77:1000")] {
                let (_, answer) = script.ask(to, &Ask::nominating());
                assert_eq!(answer.expect("an answer").code, Some(400), "{to} after {wait} ms");
                while let Some(check) = script.slot() {
                    script.succeed(&check);
                }
                assert_eq!(script.selected(), Some(address(OTHER)), "{to} after {wait} ms");
            }
            script.ask_well(address(OTHER), &Ask::nominating());
        }
    }
}

#[test]
fn a_nomination_before_our_check_has_succeeded_counts_when_it_does() {
    let mut script = Script::new(Role::Controlled);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.ask_well(remote(), &Ask::nominating());
    assert_eq!(script.selected(), None);
    script.succeed(&check);
    assert_eq!(script.selected(), Some(remote()));
}

#[test]
fn a_nomination_whose_triggered_check_fails_selects_nothing() {
    let mut script = Script::new(Role::Controlled);
    script.ask_well(remote(), &Ask::nominating());
    let check = script.slot().expect("a triggered check");
    assert_eq!(script.refuse(&check, 400), Outcome::Taken);
    assert_eq!((script.selected(), script.pair(remote()).state), (None, PairState::Failed));
    assert_eq!(script.set.state(), State::Checking, "RFC 8863: not failed while patience lasts");
}

#[test]
fn under_loss_the_direct_pair_is_selected_but_for_a_few_in_a_hundred_at_30_percent() {
    for (loss, most) in [(10, 0), (30, 4)] {
        let mut relayed = 0;
        for seed in 0..150_u8 {
            let mut world = with_relays(|_| true);
            world.lose(loss, seed);
            assert!(world.run_to_selection(ms(60_000)), "{loss} % from seed {seed}");
            let selected = world.sides[0].set.selected(STREAM, RTP).expect("a pair");
            relayed += u32::from(selected.remote_candidate.kind == CandidateType::Relayed);
        }
        assert!(relayed <= most, "{relayed} of 150 at {loss} %");
    }
}

/// RFC 8445 §6.1.4.2: where the path dies on which two components are being nominated, the checks of another one have their
/// turns all the same, and so has who else uses the slots.
#[test]
fn nominations_that_are_made_again_leave_each_second_slot_to_others() {
    let (rtcp, base) = (ComponentId::RTCP, BaseId(8));
    let mut script = Script::new(Role::Controlling);
    script.set.add_component(script.now, STREAM, rtcp);
    script.set.add_base(base, Admission::Open);
    script.set.add_local_candidate(ms(0), STREAM, host(rtcp, 0, address("10.0.0.1:1001")), base);
    script.add_remote(remote(), 0);
    let other = host(rtcp, 0, address("10.0.1.1:1001"));
    script.set.add_remote_candidate(ms(0), STREAM, other);
    let first = script.slot().expect("a check");
    script.succeed(&first);
    let second = script.slot().expect("the first nomination");
    assert!(second.nominates());
    let check = script.slot().expect("a check");
    script.succeed_with(&check, address("10.0.0.1:1001"));
    let (triggered, ordinary) = (address("10.0.2.1:1000"), address("10.0.2.2:1000"));
    let (mut made, mut left, mut others) = ([0, 0], 0, std::vec::Vec::new());
    for slot in 0..60 {
        script.wait(50);
        match slot {
            20 => script.ask_well(triggered, &Ask::default()),
            40 => script.add_remote(ordinary, 9),
            _ => {}
        }
        // Where no more is urgent than an ordinary check, gathering has its turns.
        left += u32::from(wants(&mut script.set) <= Some(Urgency::Ordinary));
        let Some(check) = script.slot() else { continue };
        if check.nominates() {
            made[usize::from(check.from == base)] += 1;
        } else {
            let _ = script.refuse(&check, 400);
            others.push((slot, check.to));
        }
    }
    assert!(
        matches!(others[..], [(20..22, first), (40..42, second)] if (first, second) == (triggered, ordinary))
    );
    assert!(left >= 25, "{left}");
    assert!(made.iter().all(|made| *made >= 20), "{made:?}: all the same each is made as soon as ever");
}

/// The peer's role goes and comes while a nomination is under way: the pair is to be checked then, and is nominated instead.
#[test]
fn a_pair_that_is_nominated_again_after_two_switches_of_role_is_not_checked_in_between() {
    let mut script = Script::new(Role::Controlling);
    script.add_remote(remote(), 0);
    let check = script.slot().expect("a check");
    script.succeed(&check);
    assert!(script.slot().expect("the nomination").nominates());
    let claims = [Claim::Controlling(9), Claim::Controlled(1)];
    for claim in claims {
        script.ask_well(remote(), &Ask { claim: Some(claim), ..Ask::default() });
    }
    assert_eq!((script.set.role(), script.set.usage().triggered), (Role::Controlling, 1));
    let mut made = 0;
    for count in 0..10 {
        if let Some(check) = script.slot() {
            assert!(check.nominates(), "{count}");
            made += 1;
        }
        script.wait(150);
    }
    assert_eq!(made, 10);
}
