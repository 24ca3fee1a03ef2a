use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::address;
use crate::{
    BaseId, ComponentId, DEFAULT_PAIR_LIMIT, PairKey, PairPriority, Priority, Protocol, Role, limit, prune,
    remove_redundant,
};

#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    priority: PairPriority,
    key: PairKey,
    /// Tells apart what is equal in all else.
    reflexive: bool,
}

fn pair(local: u32, base: u32, port: u16) -> Pair {
    let priority = |value| Priority::new(value).expect("in range");
    Pair {
        priority: PairPriority::new(Role::Controlling, priority(local), priority(500)),
        key: PairKey {
            component: ComponentId::RTP,
            base: BaseId(base),
            protocol: Protocol::Udp,
            remote: address("192.0.2.1:0").with_port(port),
        },
        reflexive: local < 100,
    }
}

fn prune_all(pairs: &[Pair]) -> Vec<Pair> {
    let mut pairs = pairs.to_vec();
    prune(&mut pairs, |pair| pair.priority, |pair| pair.key);
    pairs
}

#[test]
fn ice_12_a_reflexive_pair_is_redundant_with_that_of_its_base() {
    let (host, reflexive) = (pair(126, 1, 1), pair(99, 1, 1));
    let (other_base, other_remote) = (pair(98, 2, 1), pair(97, 1, 2));
    let pruned = prune_all(&[reflexive, other_base, other_remote, host]);
    assert_eq!(pruned, [host, other_base, other_remote]);
}

#[test]
fn ice_12_other_component_or_protocol_is_another_pair() {
    let one = pair(126, 1, 1);
    let rtcp = Pair { key: PairKey { component: ComponentId::RTCP, ..one.key }, ..one };
    let tcp = Pair { key: PairKey { protocol: Protocol::Tcp, ..one.key }, ..one };
    assert_eq!(prune_all(&[one, rtcp, tcp]).len(), 3);
}

#[test]
fn ice_08_of_redundant_candidates_the_lower_priority_goes() {
    let (a, b) = (address("192.0.2.1:1"), address("192.0.2.1:2"));
    // A server that sees the base itself: no NAT on the way.
    let mut candidates =
        vec![(100, a, BaseId(1)), (126, a, BaseId(1)), (110, a, BaseId(2)), (90, b, BaseId(1))];
    remove_redundant(&mut candidates, |one| one.0, |one| (one.1, one.2));
    assert_eq!(candidates, [(126, a, BaseId(1)), (110, a, BaseId(2)), (90, b, BaseId(1))]);
}

#[track_caller]
fn cut(lengths: &[usize], to: usize, expected: &[usize]) {
    let mut found = lengths.to_vec();
    limit(&mut found, to);
    assert_eq!(found, expected);
}

#[test]
fn ice_13_the_limit_is_100_over_all_checklists_and_cut_evenly() {
    assert_eq!(DEFAULT_PAIR_LIMIT, 100);
    cut(&[100], 100, &[100]);
    cut(&[101], 100, &[100]);
    cut(&[60, 60], 100, &[50, 50]);
    cut(&[90, 30], 100, &[80, 20]);
    cut(&[40, 40, 40], 100, &[34, 33, 33]);
    cut(&[40, 41, 40], 100, &[33, 34, 33]);
    cut(&[], 100, &[]);
    cut(&[0, 7], 3, &[0, 3]);
}

#[test]
fn ice_13_the_limit_can_be_configured() {
    cut(&[3_600], 4_000, &[3_600]);
    cut(&[3_600, 3_600], 4_000, &[2_000, 2_000]);
    cut(&[5, 5], 1, &[1, 0]);
    cut(&[5, 5], 0, &[0, 0]);
    cut(&[usize::MAX, usize::MAX], 2, &[1, 1]);
}

#[test]
fn t1_a_flood_on_one_stream_leaves_the_other_its_best_pair() {
    cut(&[100_000, 4], 100, &[99, 1]);
    cut(&[100_000, 1], 100, &[99, 1]);
    // One candidate after the other: whatever comes beyond the limit is taken from the longest.
    let mut lengths = [0, 4];
    for _ in 0..100_000 {
        lengths[0] += 1;
        limit(&mut lengths, 100);
    }
    assert_eq!(lengths, [96, 4]);
}

proptest! {
    #[test]
    fn ice_13_never_more_than_the_limit_and_no_more_cut_than_needed(
        lengths in proptest::collection::vec(0_usize..300, 0..12), to in 0_usize..400
    ) {
        let mut found = lengths.clone();
        limit(&mut found, to);
        let total: usize = lengths.iter().sum();
        prop_assert_eq!(found.iter().sum::<usize>(), total.min(to));
        prop_assert!(found.iter().zip(&lengths).all(|(after, before)| after <= before));
        if to >= lengths.len() {
            let emptied = found.iter().zip(&lengths).any(|(after, before)| *after == 0 && *before > 0);
            prop_assert!(!emptied);
        }
        let mut again = found.clone();
        limit(&mut again, to);
        prop_assert_eq!(again, found);
    }

    #[test]
    fn ice_12_pruned_pairs_are_sorted_unique_and_the_best_of_their_kind(
        raw in proptest::collection::vec((1_u32..200, 0_u32..4, 0_u16..6), 0..80), seed: u64
    ) {
        let pairs: Vec<_> = raw.iter().map(|&(local, base, port)| pair(local, base, port)).collect();
        let pruned = prune_all(&pairs);
        prop_assert!(pruned.is_sorted_by(|a, b| a.priority >= b.priority));
        let keys: BTreeSet<_> = pruned.iter().map(|pair| pair.key).collect();
        prop_assert_eq!(keys.len(), pruned.len());
        let mut best = BTreeMap::new();
        for pair in &pairs {
            let entry = best.entry(pair.key).or_insert(pair.priority);
            *entry = (*entry).max(pair.priority);
        }
        prop_assert_eq!(best.len(), pruned.len());
        prop_assert!(pruned.iter().all(|pair| best[&pair.key] == pair.priority));
        // The order of arrival makes no difference.
        let mut turned = pairs.clone();
        let by = usize::try_from(seed % (turned.len().max(1) as u64)).unwrap_or(0);
        turned.rotate_left(by);
        prop_assert_eq!(prune_all(&turned), pruned);
    }
}
