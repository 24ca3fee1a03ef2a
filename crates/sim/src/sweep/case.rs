//! The session that belongs to a seed.

use core::time::Duration;

use floe_pair::Role;
use floe_stun::Random;

use crate::{
    expectation::{NatKind, direct_is_possible, is_connectable},
    net::{Link, Probability, Way},
    scenario::{Expect, Interface, Scenario, Signalling},
};

/// Loss of a sweep, in percent: of each datagram, in each direction, independently.
pub const LOSSES: [u32; 7] = [0, 1, 2, 5, 10, 20, 30];

/// One session of a sweep.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Case {
    /// The seed it belongs to, and that it is to be run with.
    pub seed: u64,
    /// What stands before the first side.
    pub a: NatKind,
    /// What stands before the second side.
    pub b: NatKind,
    /// Loss in percent.
    pub loss: u32,
    /// Which sides have a TURN server.
    pub turn: [bool; 2],
    /// The whole of it.
    pub scenario: Scenario,
}

/// A permission and a check by way of it may each take 39.5 s to be given up, and each may come as the last of its kind.
const LIMIT: Duration = Duration::from_secs(240);
/// Cells of the table.
const CELLS: u64 = 49;

impl Case {
    /// The session of a seed. 1,372 successive seeds go through every cell with every loss, with and without TURN, with
    /// one and two components; the rest is drawn.
    pub fn of(seed: u64) -> Self {
        let mut left = seed;
        let mut pick = |count: u64| {
            let picked = left.checked_rem(count).unwrap_or_default();
            left = left.checked_div(count).unwrap_or_default();
            usize::try_from(picked).unwrap_or_default()
        };
        let cell = pick(CELLS);
        let kind = |index: Option<usize>| index.and_then(|index| NatKind::ALL.get(index)).copied();
        let (a, b) = (kind(cell.checked_div(7)), kind(cell.checked_rem(7)));
        let (a, b) = (a.unwrap_or(NatKind::None), b.unwrap_or(NatKind::None));
        let loss = LOSSES.get(pick(7)).copied().unwrap_or_default();
        let with_turn = pick(2) == 1;
        let components = if pick(2) == 1 { 2 } else { 1 };

        let mut random = random_of(seed);
        let turn = match random.below(4) {
            _ if !with_turn => [false; 2],
            0 => [true, false],
            1 => [false, true],
            _ => [true; 2],
        };
        let mut scenario = Scenario::between(a, b);
        scenario.components = components;
        scenario.limit = LIMIT;
        scenario.weather = weather(&mut random, loss);
        scenario.signalling = signalling(&mut random);
        scenario.expect =
            Expect { connect: is_connectable(a, b, with_turn), direct: direct_is_possible(a, b) };
        let roles = match random.below(4) {
            0 => [Role::Controlling, Role::Controlling],
            1 => [Role::Controlled, Role::Controlled],
            2 => [Role::Controlled, Role::Controlling],
            _ => [Role::Controlling, Role::Controlled],
        };
        for ((side, role), turn) in scenario.sides.iter_mut().zip(roles).zip(turn) {
            side.role = role;
            if !turn {
                side.turn.clear();
            }
            let gate = side.interfaces.first().and_then(|interface| interface.gate);
            let count = random.below(2).saturating_add(1);
            side.interfaces = (0..count)
                .map(|_| {
                    let delay = millis(&mut random, 0, 5);
                    Interface { link: Link::delay(delay), ..Interface::new(gate) }
                })
                .collect();
            side.ta = Duration::from_millis(match random.below(8) {
                0 => 50,
                1 => 20,
                _ => 5,
            });
        }
        Self { seed, a, b, loss, turn, scenario }
    }

    /// Whether anybody has a TURN server.
    pub fn has_relay(&self) -> bool {
        self.turn != [false; 2]
    }
}

/// What a seed draws is nothing that its own session draws.
fn random_of(seed: u64) -> Random {
    let mut bytes = *b"floe-sim case of one sweep .....";
    for (place, byte) in bytes.iter_mut().zip(seed.to_le_bytes()) {
        *place ^= byte;
    }
    Random::from_seed(bytes)
}

/// In whole microseconds: that is what a scenario that is written down holds.
fn millis(random: &mut Random, from: u64, to: u64) -> Duration {
    let drawn = random.duration_between(Duration::from_millis(from), Duration::from_millis(to));
    Duration::from_micros(u64::try_from(drawn.as_micros()).unwrap_or(u64::MAX))
}

fn weather(random: &mut Random, loss: u32) -> Way {
    let often = Probability::percent(10);
    let mut maybe = |one_in: u64| if random.below(one_in) == 0 { often } else { Probability::NEVER };
    let (reorder, duplicate) = (maybe(2), maybe(2));
    let jitter = if random.below(2) == 0 { Duration::ZERO } else { millis(random, 0, 20) };
    Way {
        delay: millis(random, 1, 120),
        jitter,
        loss: Probability::percent(loss),
        reorder,
        duplicate,
        hold: Duration::from_millis(30),
        ..Way::default()
    }
}

fn signalling(random: &mut Random) -> Signalling {
    Signalling { delay: millis(random, 0, 200), answer: millis(random, 0, 300), trickle: random.below(4) > 0 }
}
