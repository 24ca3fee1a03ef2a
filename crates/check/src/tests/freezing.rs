//! Frozen and Waiting over the whole set, and the order of checks.

use std::vec::Vec;

use floe_pair::{BaseId, ComponentId, Parameters, Role, StreamId};

use super::renominate::new_draft;
use super::script::{Reply, THEIR_PASSWORD, reply};
use super::world::*;
use crate::{Admission, ChecklistSet, Config, PairEvent, PairState};

use PairState::{Failed, Frozen, InProgress, Succeeded, Waiting};

const VIDEO: StreamId = StreamId(1);
const RTCP: ComponentId = ComponentId::RTCP;

/// A set with these places, one base and one remote candidate for each; `index` tells the foundation.
struct Grid {
    set: ChecklistSet,
    rng: floe_stun::Random,
    next: u8,
    theirs: Parameters,
}

impl Grid {
    fn new(places: &[(StreamId, ComponentId)]) -> Self {
        Self::between(places, [parameters("left"), parameters("right")])
    }

    fn between(places: &[(StreamId, ComponentId)], [ours, theirs]: [Parameters; 2]) -> Self {
        let mut set = ChecklistSet::new(Config::default(), Role::Controlling, floe_pair::TieBreaker(1), ours);
        for (stream, component) in places {
            set.add_component(ms(0), *stream, *component);
            let id = BaseId(u32::from(stream.0) * 10 + u32::from(component.get()));
            set.add_base(id, Admission::Open);
            let at = address(&std::format!("10.0.0.{}:1", id.0 + 1));
            set.add_local_candidate(ms(0), *stream, host(*component, 0, at), id);
        }
        Self { set, rng: floe_stun::Random::from_seed([1; 32]), next: 0, theirs }
    }

    fn add(&mut self, stream: StreamId, component: ComponentId, foundation: u16) {
        self.next += 1;
        let at = address(&std::format!("10.1.0.{}:1", self.next));
        self.set.add_remote_candidate(ms(0), stream, host(component, foundation, at));
    }

    fn start(&mut self) {
        self.set.set_remote_parameters(ms(0), self.theirs.clone());
    }

    /// Begins a check; its place in the order of adding, and its answer with success.
    fn slot(&mut self) -> Option<(u32, Vec<u8>, BaseId, floe_pair::TransportAddress)> {
        if !self.set.take_slot(ms(0), &mut self.rng) {
            return None;
        }
        let mut buffer = [0; 548];
        let sent = self.set.poll_transmit(&mut buffer).expect("a check");
        let pair = self.set.pairs().find(|pair| pair.base == sent.from && pair.remote.address == sent.to)?;
        let id = floe_stun::Message::parse(&buffer[..sent.len]).expect("well-formed").transaction_id();
        let answer =
            reply(id, Reply::Success(pair.local.address), Some(THEIR_PASSWORD), floe_stun::Algorithm::Sha1);
        Some((pair.id.0, answer, sent.from, sent.to))
    }

    fn order(&mut self) -> Vec<u32> {
        core::iter::from_fn(|| self.slot().map(|(id, ..)| id)).collect()
    }

    fn states(&self) -> Vec<PairState> {
        self.set.pairs().map(|pair| pair.state).collect()
    }

    fn succeed(&mut self, (_, answer, base, to): (u32, Vec<u8>, BaseId, floe_pair::TransportAddress)) {
        let _ = hand_in(&mut self.set, ms(0), base, to, &answer, &mut self.rng);
    }
}

#[test]
fn ice_14_one_pair_of_each_foundation_is_waiting() {
    // The table of RFC 8445 §6.1.2.6: three checklists, five foundations.
    let third = StreamId(2);
    let mut grid = Grid::new(&[(STREAM, RTP), (VIDEO, RTP), (third, RTP)]);
    for (stream, foundations) in [(STREAM, &[1, 2, 3][..]), (VIDEO, &[1, 2, 3, 4]), (third, &[1, 5])] {
        for foundation in foundations {
            grid.add(stream, RTP, *foundation);
        }
    }
    assert!(grid.states().iter().all(|state| *state == Frozen));
    grid.start();
    let first = grid.slot().expect("a check");
    assert_eq!(first.0, 0);
    assert_eq!(
        grid.states(),
        [InProgress, Waiting, Waiting, Frozen, Frozen, Frozen, Waiting, Frozen, Waiting]
    );
}

#[test]
fn ice_14_the_lowest_component_comes_first_whatever_the_priority() {
    let mut grid = Grid::new(&[(STREAM, RTCP), (STREAM, RTP)]);
    grid.add(STREAM, RTCP, 1);
    grid.add(STREAM, RTP, 1);
    grid.start();
    assert_eq!(grid.slot().map(|found| found.0), Some(1));
    assert_eq!(grid.states(), [Frozen, InProgress]);
}

#[test]
fn ice_15_checklists_take_turns() {
    let mut grid = Grid::new(&[(STREAM, RTP), (VIDEO, RTP)]);
    for foundation in 1..=3 {
        grid.add(STREAM, RTP, foundation);
    }
    for foundation in 4..=5 {
        grid.add(VIDEO, RTP, foundation);
    }
    grid.start();
    assert_eq!(grid.order(), [0, 3, 1, 4, 2]);
}

#[test]
fn ice_15_a_foundation_thaws_only_when_none_of_its_pairs_is_active() {
    let mut grid = Grid::new(&[(STREAM, RTP), (STREAM, RTCP)]);
    grid.add(STREAM, RTP, 1);
    grid.add(STREAM, RTCP, 1);
    grid.start();
    assert_eq!(grid.order(), [0], "the second waits for the first, which is under way");
    assert_eq!(wants(&mut grid.set), None);
    // The first fails at 39.5 s; nothing is thawed by that (ICE-24), the next slot does it.
    while let Some(at) = grid.set.poll_timeout().filter(|at| *at <= ms(39_500)) {
        grid.set.handle_timeout(at, &mut grid.rng);
        while grid.set.poll_transmit(&mut [0; 548]).is_some() {}
    }
    assert_eq!(grid.states(), [Failed, Frozen]);
    assert!(wants(&mut grid.set).is_some());
    assert_eq!(grid.order(), [1]);
}

#[test]
fn ice_15_pairs_beside_a_selected_one_hold_up_no_other_component() {
    for parameters in [[parameters("left"), parameters("right")], new_draft()] {
        let mut grid = Grid::between(&[(STREAM, RTP), (STREAM, RTCP)], parameters);
        grid.add(STREAM, RTP, 0);
        grid.add(STREAM, RTP, 1);
        grid.add(STREAM, RTCP, 1);
        grid.start();
        let best = grid.slot().expect("a check");
        assert_eq!(grid.slot().map(|found| found.0), Some(1));
        assert!(grid.slot().is_none(), "the other component waits for what is under way");
        grid.succeed(best);
        let nomination = grid.slot().expect("a nomination");
        grid.succeed(nomination);
        assert!(grid.set.selected(STREAM, RTP).is_some());
        assert_eq!(grid.order(), [2]);
    }
}

#[test]
fn ice_24_success_thaws_the_foundation_in_all_checklists() {
    let mut grid = Grid::new(&[(STREAM, RTP), (STREAM, RTCP), (VIDEO, RTP)]);
    grid.add(STREAM, RTP, 1);
    grid.add(STREAM, RTCP, 1);
    grid.add(VIDEO, RTP, 1);
    grid.add(VIDEO, RTP, 2);
    grid.start();
    let first = grid.slot().expect("a check");
    assert_eq!(grid.states(), [InProgress, Frozen, Frozen, Waiting]);
    grid.succeed(first);
    assert_eq!(grid.states(), [Succeeded, Waiting, Waiting, Waiting]);
}

#[test]
fn trk_07_a_pair_that_joins_later_is_waiting_or_frozen_by_rule() {
    let mut grid = Grid::new(&[(STREAM, RTP), (STREAM, RTCP), (VIDEO, RTP)]);
    grid.add(STREAM, RTCP, 1);
    grid.start();
    let check = grid.slot().expect("a check");
    // Rule 1: topmost of its foundation.
    grid.add(STREAM, RTP, 1);
    // Rule 3: neither.
    grid.add(VIDEO, RTP, 1);
    assert_eq!(grid.states(), [InProgress, Waiting, Frozen]);
    grid.succeed(check);
    assert_eq!(grid.states(), [Succeeded, Waiting, Waiting]);
    // Rule 2: its foundation has succeeded.
    grid.add(VIDEO, RTP, 1);
    assert_eq!(grid.states()[3], Waiting);
}

#[test]
fn ordinary_checks_go_by_priority() {
    let mut grid = Grid::new(&[(STREAM, RTP)]);
    for foundation in [5, 1, 9, 0, 3] {
        grid.add(STREAM, RTP, foundation);
    }
    grid.start();
    assert_eq!(grid.order(), [3, 1, 4, 0, 2]);
}

#[test]
fn all_moves_of_a_pair_are_those_of_the_table() {
    use PairEvent::{Discard, Fail, Nominate, Start, Succeed, Trigger, Unfreeze};
    let events = [Unfreeze, Start, Trigger, Nominate, Succeed, Fail, Discard];
    let table = [
        (Frozen, [Some(Waiting), None, Some(Waiting), None, Some(Succeeded), None, Some(Failed)]),
        (Waiting, [None, Some(InProgress), Some(Waiting), None, Some(Succeeded), None, Some(Failed)]),
        (InProgress, [None, None, Some(Waiting), None, Some(Succeeded), Some(Failed), Some(Failed)]),
        (Succeeded, [None, None, Some(Succeeded), Some(InProgress), Some(Succeeded), None, Some(Failed)]),
        (Failed, [None, None, Some(Waiting), None, Some(Succeeded), None, Some(Failed)]),
    ];
    for (from, row) in table {
        for (event, to) in events.into_iter().zip(row) {
            assert_eq!(from.on(event).ok(), to, "{from:?} {event:?}");
        }
    }
}
