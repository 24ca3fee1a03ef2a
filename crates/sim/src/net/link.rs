//! What a datagram goes through on its way.

use core::{num::NonZeroU32, time::Duration};

use floe_stun::{Instant, Random};
use serde::{Deserialize, Serialize};

use super::micros;

/// Longest time a datagram waits for a link that is busy; what would wait longer is dropped, as a full queue does.
const MAX_QUEUEING: Duration = Duration::from_millis(500);

/// A probability in millionths, 0 to 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub struct Probability(u32);

impl From<u32> for Probability {
    fn from(millionths: u32) -> Self {
        Self::millionths(millionths)
    }
}

impl From<Probability> for u32 {
    fn from(probability: Probability) -> Self {
        probability.0
    }
}

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many millionths; more than a million counts as a million.
    pub const fn millionths(value: u32) -> Self {
        if value < Self::ALWAYS.0 { Self(value) } else { Self::ALWAYS }
    }

    /// So many percent; more than 100 counts as 100.
    pub const fn percent(value: u32) -> Self {
        Self::millionths(value.saturating_mul(10_000))
    }

    /// The number of millionths.
    pub const fn as_millionths(self) -> u32 {
        self.0
    }

    /// Draws once. Certainties draw nothing, so that a link without loss leaves the others' draws as they are.
    pub(super) fn happens(self, random: &mut Random) -> bool {
        match self {
            Self::NEVER => false,
            Self::ALWAYS => true,
            Self(millionths) => random.below(1_000_000) < u64::from(millionths),
        }
    }
}

/// One direction of a [`Link`]. The default costs nothing and loses nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Way {
    /// Time a datagram takes at least.
    #[serde(with = "micros")]
    pub delay: Duration,
    /// Up to so much more, each time another; datagrams stay in order.
    #[serde(with = "micros")]
    pub jitter: Duration,
    /// How often a datagram is lost, each independently.
    pub loss: Probability,
    /// How often a datagram is held back, so that later ones overtake it.
    pub reorder: Probability,
    /// How often a datagram arrives twice.
    pub duplicate: Probability,
    /// For how long at most a datagram is held back, or its second copy comes after the first.
    #[serde(with = "micros")]
    pub hold: Duration,
    /// Bytes a second, IP headers included. What would wait longer than half a second is dropped.
    pub rate: Option<NonZeroU32>,
    /// Longest IP packet in bytes; longer ones are dropped, and their sender is told by ICMP.
    pub mtu: Option<u16>,
}

/// The way between a node and the address space it is attached to. A datagram crosses the link of its sender upwards
/// and the link of its receiver downwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// From the node.
    pub up: Way,
    /// To the node.
    pub down: Way,
}

impl Link {
    /// A link that delays each datagram by so much in either direction, and does nothing else.
    pub const fn delay(delay: Duration) -> Self {
        let way = Way {
            delay,
            jitter: Duration::ZERO,
            loss: Probability::NEVER,
            reorder: Probability::NEVER,
            duplicate: Probability::NEVER,
            hold: Duration::ZERO,
            rate: None,
            mtu: None,
        };
        Self { up: way, down: way }
    }

    /// The link with this loss, of each datagram, in each direction, independently.
    #[must_use]
    pub const fn with_loss(mut self, loss: Probability) -> Self {
        (self.up.loss, self.down.loss) = (loss, loss);
        self
    }
}

/// What becomes of one datagram on one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crossing {
    Lost,
    /// It is longer than so many bytes.
    TooBig(u16),
    /// It arrives then, and a second time.
    Arrives(Instant, Option<Instant>),
}

/// A way at work.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    pub(super) way: Way,
    /// When the last bit of what is being sent has left.
    free_at: Instant,
    /// When the last datagram that was not held back arrived.
    last: Instant,
}

impl Lane {
    pub(super) fn new(way: Way) -> Self {
        Self { way, ..Self::default() }
    }

    /// Whether a datagram's time on this way depends on those before it, so that it must be looked at in the order in
    /// which datagrams enter.
    pub(super) fn has_memory(&self) -> bool {
        self.way.rate.is_some() || self.way.jitter > Duration::ZERO
    }

    /// Sends a datagram of so many bytes, IP header included, at `now`. `calm`: nothing is left to chance.
    pub(super) fn cross(&mut self, now: Instant, bytes: usize, calm: bool, random: &mut Random) -> Crossing {
        let way = self.way;
        if let Some(mtu) = way.mtu.filter(|mtu| bytes > usize::from(*mtu)) {
            return Crossing::TooBig(mtu);
        }
        if !calm && way.loss.happens(random) {
            return Crossing::Lost;
        }
        let mut at = now;
        if let Some(rate) = way.rate {
            let begin = self.free_at.max(now);
            if begin.since(now) > MAX_QUEUEING {
                return Crossing::Lost;
            }
            let nanos = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000_000);
            let sending = nanos.checked_div(u64::from(rate.get())).unwrap_or_default();
            self.free_at = begin.after(Duration::from_nanos(sending));
            at = self.free_at;
        }
        at = at.after(way.delay);
        if calm {
            return Crossing::Arrives(at, None);
        }
        if way.jitter > Duration::ZERO {
            at = at.after(random.duration_between(Duration::ZERO, way.jitter));
        }
        let late = |random: &mut Random| random.duration_between(Duration::ZERO, way.hold);
        let copies = way.duplicate.happens(random);
        if way.reorder.happens(random) {
            at = at.after(late(random));
        } else if self.has_memory() {
            at = at.max(self.last);
            self.last = at;
        }
        Crossing::Arrives(at, copies.then(|| at.after(late(random))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "overflow panics, and a panic fails the test")]
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn arrivals(way: Way, gap: Duration, bytes: usize, count: u32) -> Vec<Crossing> {
        let mut lane = Lane::new(way);
        let mut random = Random::from_seed([7; 32]);
        (0..count)
            .map(|number| lane.cross(Instant::ORIGIN.after(gap * number), bytes, false, &mut random))
            .collect()
    }

    fn times(crossings: &[Crossing]) -> Vec<Instant> {
        let time = |crossing: &Crossing| match crossing {
            Crossing::Arrives(at, _) => Some(*at),
            _ => None,
        };
        crossings.iter().filter_map(time).collect()
    }

    #[test]
    fn jitter_keeps_the_order_and_its_bounds() {
        let way = Way { delay: ms(10), jitter: ms(20), ..Way::default() };
        let at = times(&arrivals(way, ms(1), 100, 1_000));
        assert!(at.is_sorted());
        let taken: Vec<_> =
            (0..).zip(&at).map(|(number, at)| at.since(Instant::ORIGIN.after(ms(1) * number))).collect();
        assert!(taken.iter().all(|taken| (ms(10)..=ms(30)).contains(taken)));
        assert!(taken.iter().any(|taken| *taken > ms(25)) && taken.iter().any(|taken| *taken < ms(22)));
    }

    #[test]
    fn reordering_lets_later_ones_overtake_and_loses_nothing() {
        let way = Way { reorder: Probability::percent(20), hold: ms(10), ..Way::default() };
        let at = times(&arrivals(way, ms(1), 100, 1_000));
        assert_eq!(at.len(), 1_000);
        let overtaken = at.windows(2).filter(|two| two[0] > two[1]).count();
        assert!((100..250).contains(&overtaken), "{overtaken}");
    }

    #[test]
    fn duplicates_come_as_often_as_asked_for() {
        let way = Way { duplicate: Probability::percent(10), hold: ms(5), ..Way::default() };
        let crossings = arrivals(way, ms(1), 100, 10_000);
        let twice =
            crossings.iter().filter(|crossing| matches!(crossing, Crossing::Arrives(_, Some(_)))).count();
        assert!((900..1_100).contains(&twice), "{twice}");
    }

    #[test]
    fn a_busy_link_makes_datagrams_wait_and_then_drops() {
        // 100 bytes take 10 ms; one comes each millisecond.
        let way = Way { rate: NonZeroU32::new(10_000), delay: ms(3), ..Way::default() };
        let crossings = arrivals(way, ms(1), 100, 100);
        let at = times(&crossings);
        assert_eq!(at[..3], [13, 23, 33].map(Instant::from_millis));
        assert!(crossings.contains(&Crossing::Lost));
        assert!(at.windows(2).all(|two| two[1].since(two[0]) == ms(10)));
    }

    #[test]
    fn what_is_longer_than_the_mtu_does_not_pass() {
        let way = Way { mtu: Some(1_280), ..Way::default() };
        assert_eq!(arrivals(way, ms(1), 1_281, 1), [Crossing::TooBig(1_280)]);
        assert_eq!(arrivals(way, ms(1), 1_280, 1), [Crossing::Arrives(Instant::ORIGIN, None)]);
    }

    #[test]
    fn in_a_calm_nothing_is_left_to_chance() {
        let always = Probability::ALWAYS;
        let way = Way {
            delay: ms(5),
            loss: always,
            reorder: always,
            duplicate: always,
            hold: ms(9),
            ..Way::default()
        };
        let mut lane = Lane::new(way);
        let mut random = Random::from_seed([7; 32]);
        let crossing = lane.cross(Instant::ORIGIN, 100, true, &mut random);
        assert_eq!(crossing, Crossing::Arrives(Instant::from_millis(5), None));
    }
}
