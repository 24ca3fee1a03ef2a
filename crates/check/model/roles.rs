//! Two agents that may both take themselves for controlling, or both for controlled, and a network that loses,
//! duplicates, delays and reorders requests and answers as it likes.

use std::vec;
use std::vec::Vec;

use floe_pair::{Role, TieBreaker};
use stateright::{Model, Property};

use super::{check_all, is_caught};
use crate::role::{Refused, RoleVerdict, Standing};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    /// A check: from whom, and what it claims.
    Request { from: usize, controlling: bool, tiebreaker: u64, tenure: u32 },
    /// Its answer: to whom, for a request of which tenure, and whether it is a 487.
    Answer { to: usize, tenure: u32, refused: bool },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Side {
    standing: Standing,
    /// A request of the present tenure was answered with success: no conflict is known of.
    settled: bool,
    requests_left: u8,
    switches: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    sides: [Side; 2],
    /// Sorted, so that the same messages make the same state.
    wire: Vec<Message>,
    copies_left: u8,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Send(usize),
    /// The message at this place, and the tiebreaker that is drawn if it makes one necessary.
    Deliver(usize, u64),
    Lose(usize),
    Copy(usize),
}

struct Roles {
    /// Tiebreakers at the beginning.
    tiebreakers: [u64; 2],
    /// What a renewed tiebreaker may be.
    renewed: &'static [u64],
    requests: u8,
    copies: u8,
    /// Most changes of role of one side that the properties allow.
    bound: u8,
    hear: fn(&mut Standing, (Role, TieBreaker)) -> RoleVerdict,
    refused: fn(&mut Standing, u32, TieBreaker) -> Refused,
}

const AT_REST: &str = "at rest exactly one controls";
const CALM: &str = "once the network is calm the roles settle within three exchanges and three changes";
const BOUND: &str = "changes of role are bounded";

impl Roles {
    fn new(tiebreakers: [u64; 2], renewed: &'static [u64], requests: u8, copies: u8, bound: u8) -> Self {
        Self {
            tiebreakers,
            renewed,
            requests,
            copies,
            bound,
            hear: Standing::hear,
            refused: |standing, tenure, fresh| standing.refused(tenure, || fresh),
        }
    }

    fn send(world: &mut World, from: usize) {
        let Standing { role, tiebreaker, tenure, .. } = world.sides[from].standing;
        let controlling = role == Role::Controlling;
        world.put(Message::Request { from, controlling, tiebreaker: tiebreaker.0, tenure });
    }

    fn deliver(&self, world: &mut World, place: usize, fresh: u64) {
        match world.wire.remove(place) {
            Message::Request { from, controlling, tiebreaker, tenure } => {
                let role = if controlling { Role::Controlling } else { Role::Controlled };
                let side = &mut world.sides[1 - from];
                let verdict = (self.hear)(&mut side.standing, (role, TieBreaker(tiebreaker)));
                if matches!(verdict, RoleVerdict::SwitchTo(_)) {
                    side.switched();
                }
                let refused = verdict == RoleVerdict::Answer487;
                world.put(Message::Answer { to: from, tenure, refused });
            }
            Message::Answer { to, tenure, refused: true } => {
                let side = &mut world.sides[to];
                if (self.refused)(&mut side.standing, tenure, TieBreaker(fresh)) == Refused::Yielded {
                    side.switched();
                }
            }
            Message::Answer { to, tenure, refused: false } => {
                let side = &mut world.sides[to];
                side.settled |= tenure == side.standing.tenure;
            }
        }
    }

    /// Nothing is lost any more, tiebreakers no longer collide, and the sides check each other by turns.
    fn settles_when_calm(&self, world: &World) -> bool {
        let mut world = world.clone();
        let mut fresh = 100;
        let mut flush = |world: &mut World| {
            while !world.wire.is_empty() {
                fresh += 1;
                self.deliver(world, 0, fresh);
            }
        };
        flush(&mut world);
        let before = world.sides.clone().map(|side| side.switches);
        for _ in 0..3 {
            for side in 0..2 {
                Self::send(&mut world, side);
                flush(&mut world);
            }
        }
        let changes: u8 = world.sides.iter().zip(before).map(|(side, before)| side.switches - before).sum();
        world.is_at_rest() && world.one_controls() && changes <= 3
    }
}

impl Side {
    fn switched(&mut self) {
        self.settled = false;
        self.switches += 1;
    }
}

impl World {
    fn put(&mut self, message: Message) {
        let place = self.wire.partition_point(|other| *other < message);
        self.wire.insert(place, message);
    }

    fn is_at_rest(&self) -> bool {
        self.wire.is_empty() && self.sides.iter().all(|side| side.settled)
    }

    fn one_controls(&self) -> bool {
        self.sides[0].standing.role != self.sides[1].standing.role
    }
}

impl Model for Roles {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let roles = [Role::Controlling, Role::Controlled];
        let mut worlds = vec![];
        for [left, right] in roles.iter().flat_map(|left| roles.map(|right| [*left, right])) {
            let side = |role, tiebreaker| Side {
                standing: Standing::new(role, TieBreaker(tiebreaker)),
                settled: false,
                requests_left: self.requests,
                switches: 0,
            };
            let sides = [side(left, self.tiebreakers[0]), side(right, self.tiebreakers[1])];
            worlds.push(World { sides, wire: vec![], copies_left: self.copies });
        }
        worlds
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for (index, side) in world.sides.iter().enumerate() {
            if side.requests_left > 0 {
                actions.push(Action::Send(index));
            }
        }
        for (place, message) in world.wire.iter().enumerate() {
            if place > 0 && world.wire[place - 1] == *message {
                continue;
            }
            if matches!(message, Message::Answer { refused: true, .. }) {
                actions.extend(self.renewed.iter().map(|fresh| Action::Deliver(place, *fresh)));
            } else {
                actions.push(Action::Deliver(place, 0));
            }
            actions.push(Action::Lose(place));
            if world.copies_left > 0 {
                actions.push(Action::Copy(place));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        match action {
            Action::Send(side) => {
                next.sides[side].requests_left -= 1;
                Self::send(&mut next, side);
            }
            Action::Deliver(place, fresh) => self.deliver(&mut next, place, fresh),
            Action::Lose(place) => {
                next.wire.remove(place);
            }
            Action::Copy(place) => {
                next.copies_left -= 1;
                next.put(world.wire[place]);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AT_REST, |_, world: &World| !world.is_at_rest() || world.one_controls()),
            Property::always(CALM, |model: &Self, world| model.settles_when_calm(world)),
            Property::always(BOUND, |model: &Self, world: &World| {
                world.sides.iter().all(|side| side.switches <= model.bound)
            }),
        ]
    }
}

/// Everything that two agents and a hostile network can do with so many requests a side and so many duplicates.
#[test]
fn t13_ice_27_in_all_states_of_a_role_conflict_one_agent_ends_up_controlling() {
    let cases = [
        // Unequal, and never equal by renewal: whatever the network does, each side changes at most once.
        (Roles::new([1, 2], &[3, 4], 3, 0, 1), 5_000),
        (Roles::new([1, 2], &[3, 4], 2, 1, 1), 5_000),
        // Unequal at first, and equal perhaps once one is renewed.
        (Roles::new([1, 2], &[0, 1, 2], 3, 0, 1), 5_000),
        // Equal: once more than requests under way could cross.
        (Roles::new([1, 1], &[3, 4], 3, 0, 4), 10_000),
        // Equal, and equal again when renewed.
        (Roles::new([1, 1], &[0, 1, 2], 2, 1, 4), 10_000),
    ];
    for (world, least) in cases {
        let states = check_all(world);
        assert!(states >= least, "{states} states: the network has done less than it may");
    }
}

/// A peer that answers 487 to everything, however it is asked.
#[test]
fn t13_a_peer_that_says_487_to_everything_moves_the_role_a_bounded_number_of_times() {
    let mut standing = Standing::new(Role::Controlling, TieBreaker(1));
    let mut outcomes = vec![];
    for fresh in 0..100 {
        let tenure = standing.tenure;
        outcomes.push(standing.refused(tenure, || TieBreaker(fresh)));
        assert_eq!(standing.refused(tenure.wrapping_sub(1), || TieBreaker(fresh)), Refused::Late);
    }
    let yields = outcomes.iter().filter(|outcome| **outcome == Refused::Yielded).count();
    assert_eq!(yields, usize::from(crate::ROLE_SWITCH_LIMIT));
    assert!(outcomes[yields..].iter().all(|outcome| *outcome == Refused::Spent));
}

#[test]
fn t13_roles_that_obey_a_late_487_are_caught() {
    let broken = Roles {
        refused: |standing, _, fresh| standing.refused(standing.tenure, || fresh),
        ..Roles::new([1, 2], &[3, 4], 2, 1, 1)
    };
    assert!(is_caught(broken, BOUND));
}

#[test]
fn t13_equal_tiebreakers_that_are_no_conflict_are_caught() {
    let broken = Roles {
        hear: |standing, claimed| {
            if standing.tiebreaker == claimed.1 { RoleVerdict::NoConflict } else { standing.hear(claimed) }
        },
        ..Roles::new([1, 1], &[1, 2], 2, 0, 9)
    };
    assert!(is_caught(broken, AT_REST));
}
