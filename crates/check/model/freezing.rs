//! Small checklist sets: which pairs are Frozen, Waiting and In-Progress, whatever is answered in whatever order.

use std::vec;
use std::vec::Vec;

use stateright::{Model, Property};

use super::{check_all, is_caught};
use crate::freeze::{self, Freezable};
use crate::state::{PairEvent, PairState};

/// A pair, as far as the rules look at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, as in the pair it stands for")]
struct Place {
    /// Stands for component and priority: the lower one comes first within its checklist when foundations are opened,
    /// and last when checks are chosen.
    id: u8,
    order: u16,
    foundation: u8,
    state: PairState,
    listed: bool,
    queued: bool,
    /// Its base is open for the peer.
    open: bool,
    /// Waiting by another rule than that its foundation was thawed: the peer checked it, or it joined late.
    extra: bool,
}

impl Freezable for Place {
    type Foundation = u8;
    type Rank = (u16, u8);
    type Turn = core::cmp::Reverse<u8>;

    fn foundation(&self) -> u8 {
        self.foundation
    }

    fn rank(&self) -> (u16, u8) {
        (self.order, self.id)
    }

    fn turn(&self) -> Self::Turn {
        core::cmp::Reverse(self.id)
    }

    fn order(&self) -> u16 {
        self.order
    }

    fn state(&self) -> PairState {
        self.state
    }

    fn is_listed(&self) -> bool {
        self.listed
    }

    fn is_ordinary(&self) -> bool {
        self.listed && self.state == PairState::Waiting && !self.queued
    }

    fn is_ready(&self) -> bool {
        self.open && self.state == PairState::Waiting
    }

    fn step(&mut self, event: PairEvent) {
        self.state = self.state.on(event).expect("a move that a rule allows");
    }
}

impl Place {
    fn is_active(&self) -> bool {
        matches!(self.state, PairState::Waiting | PairState::InProgress)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Set {
    pairs: Vec<Place>,
    /// Joins later.
    late: Option<Place>,
    /// Requests of the peer that may still come.
    requests: u8,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    /// A slot for the ordinary checks of a checklist.
    Ordinary(u16),
    /// A slot for the triggered-check queue.
    Triggered(usize),
    Succeed(usize),
    Fail(usize),
    /// The base is opened for the peer of this pair, or it never will be.
    Open(usize),
    Refuse(usize),
    /// The peer checks this pair.
    Request(usize),
    /// This valid pair is selected: the others leave the checklist.
    Select(usize),
    Join,
}

struct Freezing {
    lists: u16,
    pairs: u8,
    /// Pairs that join late, bases that have to be opened, requests of the peer.
    lively: bool,
    thaw: fn(&mut [Place], u8),
    next: fn(&mut [Place], u16) -> Option<usize>,
    has_next: fn(&[Place], u16) -> bool,
}

const DEADLOCK: &str = "invariant 9: where a pair is Frozen, something that will unfreeze it is running";
const THAWED: &str = "after a success nothing of the foundation is Frozen";
const ONE: &str = "before that, one pair of a foundation is Waiting or In-Progress";
const WANTED: &str = "a slot is wanted where it leads to something";

fn next(pairs: &mut [Place], order: u16) -> Option<usize> {
    let id = freeze::next_ordinary(pairs, order)?.id;
    pairs.iter().position(|pair| pair.id == id)
}

impl Freezing {
    fn new(lists: u16, pairs: u8, lively: bool) -> Self {
        Self { lists, pairs, lively, thaw: freeze::thaw_foundation, next, has_next: freeze::has_ordinary }
    }

    /// Actions that nobody outside has to bring about.
    fn forced(&self, set: &Set) -> Vec<Action> {
        let mut actions = vec![];
        for order in (0..self.lists).filter(|order| (self.has_next)(&set.pairs, *order)) {
            actions.push(Action::Ordinary(order));
        }
        for (place, pair) in set.pairs.iter().enumerate().filter(|(_, pair)| pair.listed) {
            match pair.state {
                PairState::InProgress => actions.extend([Action::Succeed(place), Action::Fail(place)]),
                PairState::Waiting if !pair.open => {
                    actions.extend([Action::Open(place), Action::Refuse(place)]);
                }
                PairState::Waiting if pair.queued => actions.push(Action::Triggered(place)),
                _ => {}
            }
        }
        actions
    }

    fn one_active(set: &Set) -> bool {
        set.pairs.iter().all(|first| {
            let own = || set.pairs.iter().filter(|pair| pair.foundation == first.foundation);
            own().any(|pair| pair.state == PairState::Succeeded)
                || own().filter(|pair| pair.listed && pair.is_active() && !pair.extra).count() <= 1
        })
    }

    fn thawed(set: &Set) -> bool {
        set.pairs.iter().filter(|pair| pair.state == PairState::Succeeded).all(|done| {
            let frozen = |pair: &Place| pair.state == PairState::Frozen && pair.listed;
            !set.pairs.iter().any(|pair| pair.foundation == done.foundation && frozen(pair))
        })
    }
}

impl Model for Freezing {
    type State = Set;
    type Action = Action;

    /// Every way to share the pairs among checklists and foundations; the last one there from the beginning or later;
    /// the first one on an open base or not.
    fn init_states(&self) -> Vec<Set> {
        let mut sets = vec![];
        let mut shapes: Vec<Vec<(u16, u8)>> = vec![vec![]];
        for _ in 0..self.pairs {
            let longer = |shape: &Vec<(u16, u8)>| {
                let new = shape.iter().map(|(_, foundation)| foundation + 1).max().unwrap_or(0);
                let shape = shape.clone();
                let places = (0..self.lists).flat_map(move |order| (0..=new).map(move |of| (order, of)));
                places.map(move |place| [shape.clone(), vec![place]].concat()).collect::<Vec<_>>()
            };
            shapes = shapes.iter().flat_map(longer).collect();
        }
        for shape in shapes {
            let place = |(index, (order, foundation)): (usize, &(u16, u8))| Place {
                id: u8::try_from(index).expect("few"),
                order: *order,
                foundation: *foundation,
                state: PairState::Frozen,
                listed: true,
                queued: false,
                open: true,
                extra: false,
            };
            let all: Vec<Place> = shape.iter().enumerate().map(place).collect();
            let beginnings = [(false, true), (false, false), (true, true)];
            for (late, open) in beginnings.into_iter().take(if self.lively { 3 } else { 1 }) {
                let mut pairs = all.clone();
                pairs[0].open = open;
                let late = if late { pairs.pop() } else { None };
                freeze::initial(&mut pairs);
                sets.push(Set { pairs, late, requests: u8::from(self.lively) });
            }
        }
        sets
    }

    fn actions(&self, set: &Set, actions: &mut Vec<Action>) {
        actions.extend(self.forced(set));
        for (place, pair) in set.pairs.iter().enumerate() {
            // Out of the checklist an answer still counts, and need never come.
            if pair.state == PairState::InProgress && !pair.listed {
                actions.push(Action::Succeed(place));
            }
            if pair.state == PairState::Succeeded && pair.listed {
                actions.push(Action::Select(place));
            }
            if pair.state != PairState::Succeeded && pair.listed && set.requests > 0 {
                actions.push(Action::Request(place));
            }
        }
        actions.extend(set.late.is_some().then_some(Action::Join));
    }

    fn next_state(&self, set: &Set, action: Action) -> Option<Set> {
        let mut next = set.clone();
        match action {
            Action::Ordinary(order) => {
                if let Some(place) = (self.next)(&mut next.pairs, order) {
                    next.pairs[place].step(PairEvent::Start);
                }
            }
            Action::Triggered(place) => {
                next.pairs[place].queued = false;
                next.pairs[place].step(PairEvent::Start);
            }
            Action::Succeed(place) => {
                next.pairs[place].step(PairEvent::Succeed);
                let foundation = next.pairs[place].foundation;
                (self.thaw)(&mut next.pairs, foundation);
            }
            Action::Fail(place) => next.pairs[place].step(PairEvent::Fail),
            Action::Open(place) => next.pairs[place].open = true,
            Action::Refuse(place) => {
                next.pairs[place].step(PairEvent::Discard);
                next.pairs[place].queued = false;
            }
            Action::Request(place) => {
                next.requests -= 1;
                let pair = &mut next.pairs[place];
                (pair.queued, pair.extra) = (true, true);
                pair.step(PairEvent::Trigger);
            }
            Action::Select(place) => {
                let (order, id) = (next.pairs[place].order, next.pairs[place].id);
                for pair in next.pairs.iter_mut().filter(|pair| pair.order == order && pair.id != id) {
                    (pair.listed, pair.queued) = (false, false);
                }
            }
            Action::Join => {
                let mut pair = next.late.take()?;
                if freeze::joins_waiting(&next.pairs, &pair) {
                    pair.step(PairEvent::Unfreeze);
                    pair.extra = true;
                }
                next.pairs.push(pair);
            }
        }
        (next != *set).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(DEADLOCK, |model: &Self, set: &Set| {
                let frozen = |pair: &Place| pair.listed && pair.state == PairState::Frozen;
                !set.pairs.iter().any(frozen) || !model.forced(set).is_empty()
            }),
            Property::always(THAWED, |_, set| Self::thawed(set)),
            Property::always(ONE, |_, set| Self::one_active(set)),
            Property::always(WANTED, |model: &Self, set: &Set| {
                (0..model.lists).all(|order| {
                    let mut after = set.pairs.clone();
                    let found = (model.next)(&mut after, order).is_some();
                    (found || after != set.pairs) == (model.has_next)(&set.pairs, order)
                })
            }),
            Property::eventually("everything in a checklist is settled", |_, set: &Set| {
                set.pairs.iter().all(|pair| !pair.listed || pair.state.is_settled())
            }),
        ]
    }
}

#[test]
fn ice_14_ice_15_ice_24_no_foundation_deadlocks_in_any_state_of_small_sets() {
    for (lists, pairs, lively, least) in [(3, 3, true, 90_000), (2, 4, false, 50_000)] {
        let states = check_all(Freezing::new(lists, pairs, lively));
        assert!(states >= least, "{states} states with {pairs} pairs in {lists} checklists");
    }
}

#[test]
fn ice_14_at_the_beginning_one_pair_of_each_foundation_is_waiting() {
    for set in Freezing::new(3, 5, false).init_states() {
        for first in &set.pairs {
            let own = || set.pairs.iter().filter(|pair| pair.foundation == first.foundation);
            let waiting: Vec<_> = own().filter(|pair| pair.state == PairState::Waiting).collect();
            assert_eq!(
                waiting.iter().map(|pair| pair.rank()).collect::<Vec<_>>(),
                [own().map(Freezable::rank).min().expect("itself")]
            );
        }
    }
}

#[test]
fn thawing_within_one_checklist_only_is_caught() {
    let thaw = |pairs: &mut [Place], foundation| {
        let order = pairs.iter().rfind(|pair| pair.state == PairState::Succeeded).map(|pair| pair.order);
        for pair in pairs.iter_mut().filter(|pair| Some(pair.order) == order) {
            freeze::thaw_foundation(core::slice::from_mut(pair), foundation);
        }
    };
    assert!(is_caught(Freezing { thaw, ..Freezing::new(2, 3, true) }, THAWED));
}

/// As if pairs that have left their checklist were still in it.
fn relisted(pairs: &[Place]) -> Vec<Place> {
    pairs.iter().map(|pair| Place { listed: true, ..pair.clone() }).collect()
}

#[test]
fn waiting_for_pairs_that_have_left_their_checklist_is_caught() {
    let has_next = |pairs: &[Place], order| freeze::has_ordinary(&relisted(pairs), order);
    let next = |pairs: &mut [Place], order| {
        let mut seen = relisted(pairs);
        let place = next(&mut seen, order);
        for (real, seen) in pairs.iter_mut().zip(seen) {
            real.state = seen.state;
        }
        place
    };
    assert!(is_caught(Freezing { next, has_next, ..Freezing::new(2, 3, true) }, DEADLOCK));
}
