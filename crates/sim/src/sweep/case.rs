//! The session that belongs to a seed.

use core::{fmt, str::FromStr, time::Duration};

use floe_pair::Role;
use floe_stun::Random;

use crate::{
    expectation::{NatKind, direct_is_possible, is_connectable},
    net::{Link, Probability, Trickle, Way},
    scenario::{Change, Expect, Happening, Interface, Life, Scenario, Signalling},
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
/// How long lives are: the longest ones, those in between, the short ones.
const LIFE: Duration = Duration::from_secs(600);
const MIDDLE_LIFE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(300)];
const SHORT_LIFE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(60)];
/// How often data is sent: as often as consent is asked for; or so rarely that consent that may rest does, so that it
/// comes in the last seconds before consent ends, or after its end.
const TALK: Duration = Duration::from_secs(5);
const LATE_TALK: Duration = Duration::from_secs(27);
const RARE_TALK: Duration = Duration::from_secs(70);
/// Early restarts fall into this time: into signalling, gathering and checks.
const EARLY: Duration = Duration::from_secs(2);
/// Cells of the table.
const CELLS: u64 = 49;

/// What the sessions of a sweep are like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// [`Case::of`].
    #[default]
    Sessions,
    /// [`Case::life_of`].
    Lives,
}

impl Family {
    /// The session of a seed.
    pub fn case(self, seed: u64) -> Case {
        match self {
            Self::Sessions => Case::of(seed),
            Self::Lives => Case::life_of(seed),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sessions => "sessions",
            Self::Lives => "lives",
        })
    }
}

/// There is no family of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchFamily;

impl fmt::Display for NoSuchFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one of `sessions` and `lives` is wanted")
    }
}

impl core::error::Error for NoSuchFamily {}

impl FromStr for Family {
    type Err = NoSuchFamily;

    fn from_str(text: &str) -> Result<Self, NoSuchFamily> {
        let known = [Self::Sessions, Self::Lives].into_iter().find(|family| family.to_string() == text);
        known.ok_or(NoSuchFamily)
    }
}

impl Case {
    /// The life of a seed: the [session](Self::of) of that seed, and after it data for some time. A third of all lives
    /// last ten minutes, a third 1 to 5, the others half a minute to one. What may happen in them is drawn beside, for
    /// each life by itself: who trickles how (of seven sides two do, three not at first, two never), on each side
    /// renomination (half), consent that rests while nothing is sent (a quarter), a lite agent (a third of those with a
    /// public address), and restarts by either side or both at once: none, one, two, or three in a quarter of all lives
    /// each, half of them in the first two seconds, the others at any time.
    pub fn life_of(seed: u64) -> Self {
        let mut case = Self::of(seed);
        let mut random = random_of(seed, *b"floe-sim life of one sweep .....");
        let Self { a, b, scenario, turn, .. } = &mut case;
        // RFC 8838 §5: nobody trickles to whom does not.
        let trickle = match random.below(7) {
            0 => [Trickle::Full, Trickle::Half],
            1 => [Trickle::Half, Trickle::Full],
            2 => [Trickle::Half, Trickle::Half],
            3 => [Trickle::None, Trickle::Half],
            4 => [Trickle::Half, Trickle::None],
            5 => [Trickle::None, Trickle::None],
            _ => [Trickle::Full, Trickle::Full],
        };
        scenario.signalling.trickle = true;
        let kinds = [*a, *b];
        for (((side, kind), trickle), turn) in
            scenario.sides.iter_mut().zip(kinds).zip(trickle).zip(turn.iter_mut())
        {
            side.trickle = Some(trickle);
            side.renomination = random.below(2) == 0;
            side.suspend = random.below(4) == 0;
            side.lite = random.below(3) == 0 && kind == NatKind::None;
            if side.lite {
                // RFC 8445 §5.2: host candidates only.
                (side.suspend, *turn) = (false, false);
                (side.stun, side.turn) = (Vec::new(), Vec::new());
            }
        }
        if scenario.sides.iter().all(|side| side.lite) {
            // RFC 8445 §6.1.1: nothing settles a conflict but the offer and the answer.
            let [one, other] = &mut scenario.sides;
            other.role = one.role.opposite();
        }
        let relay = *turn != [false; 2];
        scenario.expect.connect = is_connectable(*a, *b, relay);
        let suspends = scenario.sides.iter().any(|side| side.suspend);
        let every = match random.below(4) {
            0 | 1 if suspends => RARE_TALK,
            2 if suspends => LATE_TALK,
            _ => TALK,
        };
        let lasts = whole(match random.below(3) {
            0 => LIFE,
            1 => random.duration_between(MIDDLE_LIFE[0], MIDDLE_LIFE[1]),
            _ => random.duration_between(SHORT_LIFE[0], SHORT_LIFE[1]),
        });
        scenario.life = Some(Life { lasts, every });
        scenario.limit = LIMIT.saturating_add(lasts);
        for _ in 0..random.below(4) {
            let latest = if random.below(2) == 0 { EARLY } else { lasts };
            let at = whole(random.duration_between(Duration::ZERO, latest));
            let restart = |side| Change { at, event: Happening::Restart { side } };
            match random.below(3) {
                0 => scenario.changes.push(restart(0)),
                1 => scenario.changes.push(restart(1)),
                _ => scenario.changes.extend([restart(0), restart(1)]),
            }
        }
        case
    }

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

        let mut random = random_of(seed, *b"floe-sim case of one sweep .....");
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
fn random_of(seed: u64, mut bytes: [u8; 32]) -> Random {
    for (place, byte) in bytes.iter_mut().zip(seed.to_le_bytes()) {
        *place ^= byte;
    }
    Random::from_seed(bytes)
}

fn millis(random: &mut Random, from: u64, to: u64) -> Duration {
    whole(random.duration_between(Duration::from_millis(from), Duration::from_millis(to)))
}

/// In whole microseconds: that is what a scenario that is written down holds.
fn whole(drawn: Duration) -> Duration {
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
