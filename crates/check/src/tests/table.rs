//! The table of pairs: what is counted and remembered of the pairs is what one look at all of them finds.

use std::vec::Vec;

use floe_pair::{BaseId, Candidate, ComponentId, Priority, Role, TransportAddress};
use floe_stun::{Instant, Random};

use super::world::*;
use crate::candidates::{FoundationKey, Local, LocalId, Remote, RemoteId};
use crate::freeze::{self, Freezable};
use crate::pairs::{Pair, PairId, PairTable, Place, Traits};
use crate::policy::TypeRanks;
use crate::state::PairState;

const STATES: [PairState; 5] = PairState::ALL;

/// Adds pairs in the checklist at this place, all of one remote candidate.
fn join(table: &mut PairTable, order: u16, count: usize, started: bool, rng: &mut Random) {
    let candidate = |rng: &mut Random| {
        let ip = core::net::Ipv4Addr::from(rng.u32());
        let mut candidate: Candidate = host(ComponentId::RTP, 0, TransportAddress::new(ip.into(), 9));
        // Few, so that some are equal.
        candidate.priority = Priority::new(1 + u32::try_from(rng.below(8)).unwrap()).unwrap();
        candidate
    };
    let near = |rng: &mut Random| {
        let (candidate, base) = (candidate(rng), BaseId(rng.u32()));
        Local { id: LocalId(0), stream: STREAM, candidate, base, foundation: rng.u32() & 1, replaced: false }
    };
    let nears: Vec<Local> = (0..count).map(|_| near(rng)).collect();
    let candidate = candidate(rng);
    let far = Remote { id: RemoteId(1), stream: STREAM, candidate, foundation: 0, learned: false };
    let (role, ranks) = (Role::Controlling, TypeRanks::default());
    let place = Place { order, freed: false, late: false, unexplained: false, role, ranks, limit: 100 };
    table.extend(&nears, &far, &place, started, |near| Some(near.base.0.is_multiple_of(2)));
}

/// Anything, whether or not it could come about.
fn disturb(pair: &mut Pair, rng: &mut Random) {
    let mut coin = || rng.below(2) == 0;
    (pair.listed, pair.queued, pair.admitted) = (coin(), coin(), coin());
    (pair.peer_nominated, pair.nominating, pair.revoked) = (coin(), coin(), coin());
    pair.state = STATES[usize::try_from(rng.below(5)).unwrap()];
    pair.fresh_at = Some(rng.below(1000)).filter(|at| at % 3 > 0).map(Instant::from_nanos);
    pair.foundation = FoundationKey { remote: u32::try_from(rng.below(4)).unwrap(), local: 0 };
}

fn due(pair: &Pair) -> Option<Instant> {
    pair.fresh_at.filter(|_| pair.state == PairState::InProgress)
}

fn check(table: &mut PairTable) {
    let clean = table.next_due();
    assert_eq!(clean, table.iter().filter_map(due).min());
    let is_open = |pair: &&Pair| !pair.state.is_settled();
    let is_frozen = |pair: &&Pair| pair.state == PairState::Frozen;
    let ids = |pairs: Vec<&Pair>| pairs.into_iter().map(|pair| pair.id).collect::<Vec<_>>();
    let likely = |one| ids(table.likely(one).collect());
    assert_eq!(likely(Traits::OPEN), ids(table.iter().filter(is_open).collect()));
    assert_eq!(likely(Traits::FROZEN), ids(table.iter().filter(is_frozen).collect()));
    let ready = |pair: &&Pair| freeze::may_go(*pair, pair.order);
    assert_eq!(likely(Traits::READY), ids(table.iter().filter(ready).collect()));
    table.refresh();
    assert_eq!(table.is_any_ready(), table.iter().any(|pair| ready(&pair)));
    assert_eq!(table.may_have(Traits::FROZEN), table.iter().any(|pair| is_frozen(&pair)));
    let listed = table.iter().filter(|pair| pair.listed).count();
    let active = table.iter().filter(|pair| is_open(pair) && !is_frozen(pair)).count();
    assert_eq!((table.count_listed(), table.count_active()), (listed, active));
    for order in 0..2 {
        let first = table.iter().filter(|pair| freeze::may_go(*pair, order)).min_by_key(|pair| pair.turn());
        let first = first.map(|pair| pair.id);
        if first.is_some() {
            assert_eq!(table.next_ordinary(order), first);
        }
    }
}

#[test]
fn what_is_counted_is_what_one_look_at_all_pairs_finds() {
    let mut rng = Random::from_seed([7; 32]);
    let mut table = PairTable::default();
    for _ in 0..3000 {
        let ids: Vec<PairId> = table.iter().map(|pair| pair.id).collect();
        let some = usize::try_from(rng.below(1 + ids.len() as u64)).unwrap();
        match rng.below(16) {
            0..5 if ids.len() < 40 => {
                let (order, count) =
                    (u16::try_from(rng.below(2)).unwrap(), usize::try_from(rng.below(4)).unwrap());
                join(&mut table, order, count, rng.below(2) == 0, &mut rng);
            }
            5 => ids.get(some).into_iter().for_each(|id| table.remove(*id)),
            6 => table.retain(|pair| pair.id.0 % 5 != 0),
            7 => table.change(|pair| pair.id.0 % 3 == 0).for_each(|pair| disturb(pair, &mut rng)),
            8 => {
                table.conclude(
                    |pair| pair.id.0 % 3 > 0,
                    |pair| pair.id.0 % 5 == 1,
                    |pair| pair.id.0 % 7 == 1,
                );
            }
            9 => table.thaw_initial(),
            10 => table.as_mut_slice().iter_mut().for_each(|pair| disturb(pair, &mut rng)),
            _ => ids.get(some).and_then(|id| table.get_mut(*id)).into_iter().for_each(|pair| {
                disturb(pair, &mut rng);
            }),
        }
        // What was changed is found before the marks are up to date as well.
        let open = table.iter().filter(|pair| !pair.state.is_settled()).count();
        assert_eq!(table.likely(Traits::OPEN).filter(|pair| !pair.state.is_settled()).count(), open);
        // Not counted is not said to be ready.
        assert!(!table.is_any_ready() || table.iter().any(|pair| freeze::may_go(pair, pair.order)));
        if rng.below(3) == 0 {
            check(&mut table);
        }
    }
}

#[test]
fn the_earliest_timer_is_found_when_the_one_before_is_gone() {
    let mut rng = Random::from_seed([8; 32]);
    let mut table = PairTable::default();
    for at in [30, 10, 20] {
        let id = table.next();
        join(&mut table, 0, 1, false, &mut rng);
        let new = table.get_mut(id).unwrap();
        (new.state, new.fresh_at) = (PairState::InProgress, Some(Instant::from_nanos(at)));
    }
    let at = |table: &mut PairTable| table.next_due().map(Instant::as_nanos);
    assert_eq!(at(&mut table), Some(10));
    table.get_mut(PairId(1)).unwrap().fresh_at = None;
    assert_eq!(at(&mut table), Some(20));
    table.get_mut(PairId(2)).unwrap().state = PairState::Succeeded;
    table.get_mut(PairId(0)).unwrap().fresh_at = Some(Instant::from_nanos(5));
    assert_eq!(at(&mut table), Some(5));
    table.remove(PairId(0));
    assert_eq!(at(&mut table), None);
}
