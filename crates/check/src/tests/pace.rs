//! Times from "both know each other" to usable and selected.

use floe_pair::{Parameters, Role};

use super::world::*;
use crate::{Config, Urgency};

const RTTS: [u64; 3] = [9, 47, 203];
const TAS: [u64; 2] = [5, 50];

fn with_ta(hosts: u16, rtt: u64, ta: u64) -> World {
    World::hosts_with(hosts, millis(rtt), Config { ta: millis(ta), ..Config::default() })
}

/// Nothing passes but between these addresses of each side.
fn only(world: &mut World, index: usize) {
    let (left, right) = (world.sides[0].bases[index].1, world.sides[1].bases[index].1);
    world.passes = std::boxed::Box::new(move |_, from, to, _| {
        (from == left && to == right) || (from == right && to == left)
    });
}

/// Usable in one round trip and a slot, selected in two by the controlling agent, in one and a half by the other.
#[track_caller]
fn fast(world: &mut World, rtt: u64, ta: u64) {
    let (rtt, ta) = (millis(rtt), millis(ta));
    world.signal();
    assert!(world.run_to_selection(ms(20_000)), "{:?}", world.sides[0].events);
    let [left, right] = &world.sides;
    assert_eq!((left.set.ta_in_force(), right.set.ta_in_force()), (ta, ta));
    let since = |at: Option<floe_stun::Instant>| at.expect("reported").since(floe_stun::Instant::ORIGIN);
    for side in [left, right] {
        assert!(since(side.usable_at()) <= rtt + ta, "usable after {:?}", side.usable_at());
    }
    assert!(since(left.selected_at()) <= rtt * 2 + ta, "controlling after {:?}", left.selected_at());
    assert!(since(right.selected_at()) <= rtt * 3 / 2 + ta, "controlled after {:?}", right.selected_at());
    world.assert_agreed(STREAM, RTP);
}

#[test]
fn selected_in_two_round_trips_when_all_pairs_work() {
    for (rtt, ta) in RTTS.iter().flat_map(|rtt| TAS.map(|ta| (*rtt, ta))) {
        for hosts in 1..=8 {
            fast(&mut with_ta(hosts, rtt, ta), rtt, ta);
        }
    }
}

#[test]
fn selected_in_two_round_trips_when_only_the_best_pair_works() {
    for (rtt, ta) in RTTS.iter().flat_map(|rtt| TAS.map(|ta| (*rtt, ta))) {
        for hosts in 1..=8 {
            let mut world = with_ta(hosts, rtt, ta);
            only(&mut world, 0);
            fast(&mut world, rtt, ta);
        }
    }
}

#[test]
fn the_last_of_64_pairs_is_selected_after_64_slots_and_two_round_trips() {
    for (rtt, ta) in RTTS.iter().flat_map(|rtt| TAS.map(|ta| (*rtt, ta))) {
        let mut world = with_ta(8, rtt, ta);
        only(&mut world, 7);
        world.signal();
        assert!(world.run_to_selection(ms(20_000)));
        let limit = millis(64 * ta) + millis(rtt) * 2;
        for side in &world.sides {
            let took = side.selected_at().expect("selected").since(floe_stun::Instant::ORIGIN);
            assert!(took <= limit, "{took:?} with a round trip of {rtt} ms and slots of {ta} ms");
        }
    }
}

/// One pair, each datagram lost with 30 %.
#[test]
fn at_30_percent_loss_the_99th_percentile_is_under_1850_ms_with_13_packets() {
    let mut times: std::vec::Vec<u64> = std::vec::Vec::new();
    let mut packets = 0;
    for seed in 0..1000_u32 {
        let mut world = World::hosts(1, millis(50));
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&seed.to_be_bytes());
        let mut rng = floe_stun::Random::from_seed(bytes);
        world.passes = std::boxed::Box::new(move |_, _, _, _| rng.below(100) >= 30);
        world.signal();
        assert!(world.run_to_selection(ms(60_000)), "seed {seed}");
        times.push(world.now.as_millis());
        packets += world.sides.iter().map(|side| side.sent.len()).sum::<usize>();
    }
    times.sort_unstable();
    let mean = f64::from(u32::try_from(packets).expect("few")) / 1000.0;
    std::println!("median {} p99 {} worst {} packets {mean}", times[500], times[989], times[999]);
    assert!(times[989] <= 1850, "p99 {} ms", times[989]);
    assert!(mean <= 12.7, "{mean} packets");
}

#[test]
fn t02_no_more_than_one_transaction_begins_in_each_ta() {
    let mut world = World::hosts(8, millis(50));
    world.lose(100, 0);
    world.signal();
    world.run(ms(60_000));
    for side in &world.sides {
        assert!(side.starts.windows(2).all(|pair| pair[1].since(pair[0]) >= millis(5)));
        // Nothing ever came from these addresses: at most seven requests to each, at any RTO.
        assert_eq!(side.starts.len(), 64);
        assert!(side.sent.len() <= 64 * 7, "{} datagrams", side.sent.len());
    }
}

#[test]
fn t40_a_late_wake_up_sends_no_burst() {
    let mut world = World::hosts(8, millis(50));
    world.lose(100, 0);
    world.signal();
    world.run(ms(400));
    for jump in [1, 1_000, 36_000_000] {
        world.now = world.now.after(millis(jump));
        for side in &mut world.sides {
            side.sent.clear();
            side.set.handle_timeout(world.now, &mut side.rng);
        }
        let end = world.now.after(millis(1_000));
        world.run(end);
        for side in &world.sides {
            let mut at: std::vec::Vec<_> = side.sent.iter().map(|(at, ..)| *at).collect();
            at.dedup();
            assert_eq!(at.len(), side.sent.len(), "two datagrams at one instant after {jump} ms");
        }
    }
}

#[test]
fn a_set_without_the_peers_parameters_wants_no_slot() {
    let mut world = World::hosts(2, millis(50));
    world.tell_local(0);
    world.tell_candidates(0);
    assert_eq!(wants(&mut world.sides[0].set), None);
    world.tell_parameters(0);
    assert_eq!(wants(&mut world.sides[0].set), Some(Urgency::Ordinary));
}

#[test]
fn ice_41_the_higher_proposal_for_ta_is_in_force() {
    for (ours, theirs, expected) in [
        (5, Some(5), 5),
        (5, Some(20), 20),
        (30, Some(20), 30),
        (5, None, 50),
        (1, Some(1), 5),
        (5, Some(9_000), 500),
    ] {
        let config = Config { ta: millis(ours), ..Config::default() };
        let mut set = new_set(floe_pair::Role::Controlling, config, parameters("left"));
        let mut remote = parameters("right");
        remote.pacing = theirs.map(millis);
        set.set_remote_parameters(ms(0), remote);
        assert_eq!(set.ta_in_force(), millis(expected), "{ours} and {theirs:?}");
    }
}

#[test]
fn ice_42_rto_is_never_below_500_ms_and_grows_to_a_second() {
    for (ta, active, expected) in
        [(5, 1, 500), (5, 100, 500), (5, 150, 750), (50, 20, 1_000), (500, 100, 1_000)]
    {
        let schedule = crate::transactions::schedule(millis(ta), active);
        assert_eq!((schedule.rto, schedule.rc), (millis(expected), 7), "{ta} ms, {active} checks");
    }
}

#[test]
fn ta_is_the_higher_of_both_proposals_up_to_half_a_second() {
    let proposals =
        [(5, 5, 5), (5, 50, 50), (100, 20, 100), (5, 500, 500), (5, 501, 500), (5, 10_800_000, 500)];
    for (ours, theirs, in_force) in proposals {
        let mut set =
            new_set(Role::Controlling, Config { ta: millis(ours), ..Config::default() }, parameters("left"));
        let theirs = Parameters { pacing: Some(millis(theirs)), ..parameters("right") };
        set.set_remote_parameters(ms(0), theirs);
        assert_eq!(set.ta_in_force(), millis(in_force));
    }
}
