//! Order, redundancy and number of pairs (RFC 8445 §6.1.2.3 to §6.1.2.5).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::{BaseId, ComponentId, PairPriority, Protocol, TransportAddress};

/// Pairs in a checklist set unless configured otherwise (RFC 8445 §6.1.2.5).
pub const DEFAULT_PAIR_LIMIT: usize = 100;

/// What tells two pairs of a checklist apart. The base stands for the local candidate, because that is where the
/// check leaves from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairKey {
    /// Component of both candidates.
    pub component: ComponentId,
    /// Base of the local candidate.
    pub base: BaseId,
    /// Protocol of both candidates.
    pub protocol: Protocol,
    /// Address of the remote candidate.
    pub remote: TransportAddress,
}

/// Sorts the pairs of one checklist, highest priority first, and removes those that are redundant with a better one.
/// Removed pairs are not handed back.
pub fn prune<P>(pairs: &mut Vec<P>, priority: impl Fn(&P) -> PairPriority, key: impl Fn(&P) -> PairKey) {
    // RFC 8445 §6.1.2.4: same base and same remote candidate. Taking the base for a reflexive candidate and
    // leaving out the redundant is one step, since the key names the base.
    remove_redundant(pairs, priority, key);
}

/// Sorts by `rank`, highest first, and keeps the first item of each `key`. Equal ranks are ordered by key, so that
/// the result does not depend on the order of arrival.
///
/// With the transport address and the base as key this removes redundant candidates (RFC 8445 §5.1.3).
pub fn remove_redundant<T, R: Ord, K: Ord>(
    items: &mut Vec<T>,
    rank: impl Fn(&T) -> R,
    key: impl Fn(&T) -> K,
) {
    items.sort_by_key(|item| (Reverse(rank(item)), key(item)));
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(key(item)));
}

/// Cuts the lengths of the checklists of a set until their sum is within `limit`. Each checklist sorted by priority
/// is to be cut to the length that stands here afterwards.
///
/// All lists lose the same number; what does not come out even is taken from the longest. A list is not cut to
/// nothing while another has more than one pair, so that a flood on one stream does not end another.
pub fn limit(lengths: &mut [usize], limit: usize) {
    // RFC 8445 §6.1.2.5: evenly, so that each list is reduced by the same amount.
    for floor in [1, 0] {
        loop {
            let total = lengths.iter().fold(0_usize, |sum, length| sum.saturating_add(*length));
            let excess = total.saturating_sub(limit);
            let shrinkable = lengths.iter().filter(|length| **length > floor).count();
            let Some(each) = excess.checked_div(shrinkable) else { break };
            if each == 0 {
                // Fewer than one for each list that can lose one.
                (0..excess).for_each(|_| shorten_longest(lengths));
                break;
            }
            // A list that reaches the floor leaves a rest, which the next round takes from the others.
            for length in lengths.iter_mut().filter(|length| **length > floor) {
                *length = length.saturating_sub(each).max(floor);
            }
        }
    }
}

/// Takes one from the longest list; of equals, from the last.
fn shorten_longest(lengths: &mut [usize]) {
    if let Some(longest) = lengths.iter_mut().max_by_key(|length| **length) {
        *longest = longest.saturating_sub(1);
    }
}
