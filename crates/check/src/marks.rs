//! What is looked at of each pair with every input, apart from the pair itself.

use floe_pair::{BaseId, PairPriority, TransportAddress};
use floe_stun::Instant;

use crate::freeze::Freezable;
use crate::pairs::Pair;
use crate::state::PairState;

/// What holds of a pair, as bits of a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits(u16);

impl Traits {
    const NONE: Self = Self(0);
    pub(crate) const VALID: Self = Self(1);
    /// An ordinary check of it may begin.
    pub(crate) const READY: Self = Self(1 << 1);
    /// Frozen, in its checklist or not.
    pub(crate) const FROZEN: Self = Self(1 << 2);
    /// Neither Succeeded nor Failed.
    pub(crate) const OPEN: Self = Self(1 << 3);
    /// Waiting on a base that is not open for its peer.
    pub(crate) const SHUT: Self = Self(1 << 4);
    /// The peer has nominated it, and our check of it has not ended.
    pub(crate) const PROMISED: Self = Self(1 << 5);
    /// In its checklist.
    pub(crate) const LISTED: Self = Self(1 << 6);
    /// It has a timer.
    pub(crate) const TIMED: Self = Self(1 << 7);
    /// Handed out to be changed: the other bits tell how it was before.
    pub(crate) const STALE: Self = Self(1 << 8);
    /// So many are counted, which are all but the last.
    const KINDS: usize = 8;
    /// What decides, with its priority, where a pair stands among the others of its component.
    const STANDING: Self = Self(Self::VALID.0 | Self::OPEN.0 | Self::LISTED.0);

    fn of(pair: &Pair) -> Self {
        let always = Self::VALID.when(pair.valid.is_some()).and(Self::LISTED.when(pair.listed));
        let open = Self::OPEN.and(Self::PROMISED.when(pair.peer_nominated));
        always.and(match pair.state {
            PairState::Frozen => open.and(Self::FROZEN),
            PairState::Waiting => open
                .and(Self::READY.when(pair.is_ordinary() && pair.is_ready()))
                .and(Self::SHUT.when(!pair.admitted)),
            PairState::InProgress => open,
            PairState::Succeeded | PairState::Failed => Self::NONE,
        })
    }

    #[inline]
    fn when(self, holds: bool) -> Self {
        if holds { self } else { Self::NONE }
    }

    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline]
    fn only(self, of: Self) -> Self {
        Self(self.0 & of.0)
    }

    #[inline]
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How many pairs each trait holds of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u32; Traits::KINDS]);

impl Counts {
    /// The traits of a pair change from `before` to `after`.
    #[inline]
    pub(crate) fn change(&mut self, before: Traits, after: Traits) {
        let mut differ = before.0 ^ after.0;
        while let Some(highest) = differ.checked_ilog2() {
            let one = 1_u16.wrapping_shl(highest);
            differ ^= one;
            if let Some(count) = usize::try_from(highest).ok().and_then(|kind| self.0.get_mut(kind)) {
                *count = if after.0 & one == 0 { count.saturating_sub(1) } else { count.saturating_add(1) };
            }
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, traits: Traits) {
        self.change(Traits::NONE, traits);
    }

    /// Of how many pairs this one trait holds.
    #[inline]
    pub(crate) fn of(&self, one: Traits) -> usize {
        let kind = usize::try_from(one.0.trailing_zeros()).unwrap_or(usize::MAX);
        self.0.get(kind).map_or(0, |count| usize::try_from(*count).unwrap_or(usize::MAX))
    }
}

/// What is looked at of all pairs with each input, apart from them: five share two cache lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// What base and remote address come to.
    pub route: u32,
    pub traits: Traits,
    /// Place of its checklist in the set.
    pub order: u16,
    /// The earliest of its timers; the end of time if it has none.
    pub due: Instant,
    pub priority: PairPriority,
}

/// Where there is no timer.
pub(crate) const NEVER: Instant = Instant::from_nanos(u64::MAX);

impl Mark {
    pub(crate) fn of(pair: &Pair) -> Self {
        let due = due(pair);
        Self {
            route: route(pair.base, pair.to),
            traits: Traits::of(pair).and(Traits::TIMED.when(due.is_some())),
            order: pair.order,
            due: due.unwrap_or(NEVER),
            priority: pair.priority,
        }
    }

    /// Its pair is about to be changed; `count` is how many such marks there are.
    #[inline]
    pub(crate) fn make_stale(&mut self, count: &mut u32) {
        if !self.is_stale() {
            self.traits = self.traits.and(Traits::STALE);
            *count = count.saturating_add(1);
        }
    }

    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.traits.meets(Traits::STALE)
    }

    /// Whether the pair stands elsewhere among the others of its component than it did.
    #[inline]
    pub(crate) fn has_moved(&self, before: &Self) -> bool {
        before.traits.only(Traits::STANDING) != self.traits.only(Traits::STANDING)
            || before.priority != self.priority
    }
}

/// Equal for equal routes, and seldom for others.
pub(crate) fn route(base: BaseId, to: TransportAddress) -> u32 {
    to.low_bits() ^ u32::from(to.port()).rotate_left(16) ^ base.0.rotate_left(8)
}

/// The earliest of the timers of a pair.
fn due(pair: &Pair) -> Option<Instant> {
    let fresh = pair.fresh_at.filter(|_| pair.state == PairState::InProgress);
    let Some(valid) = &pair.valid else { return fresh };
    // Consent is kept on pairs that carry data or may come to: before selection all valid ones, since any of them may be
    // the best; after it the selected one, and what is kept beside it. What has left the checklist runs out.
    let consent = valid
        .consent
        .as_ref()
        .and_then(|consent| if pair.listed { consent.next_timeout() } else { Some(consent.deadline()) });
    [fresh, valid.keepalive, consent].into_iter().flatten().min()
}
