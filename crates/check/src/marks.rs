//! What is looked at of each pair with every input, apart from the pair itself.

use floe_pair::{BaseId, PairPriority, TransportAddress};
use floe_stun::Instant;

use crate::freeze::Freezable;
use crate::pairs::{Pair, Valid};
use crate::state::PairState;

/// What holds of a pair, as bits of a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits(u16);

impl Traits {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const VALID: Self = Self(1);
    /// An ordinary check of it may begin.
    pub(crate) const READY: Self = Self(1 << 1);
    /// Frozen, in its checklist or not.
    pub(crate) const FROZEN: Self = Self(1 << 2);
    /// Neither Succeeded nor Failed.
    pub(crate) const OPEN: Self = Self(1 << 3);
    /// It has a timer.
    pub(crate) const TIMED: Self = Self(1 << 4);
    /// The traits up to here are counted: those that are searched for with every input.
    const COUNTED: usize = 5;
    const ALL_COUNTED: u16 = (1 << Self::COUNTED) - 1;
    /// In its checklist.
    const LISTED: Self = Self(1 << 5);
    /// Waiting on a base that is not open for its peer.
    pub(crate) const SHUT: Self = Self(1 << 6);
    /// The peer has nominated it, and our check of it has not ended.
    pub(crate) const PROMISED: Self = Self(1 << 7);
    /// Handed out to be changed: the other bits tell how it was before.
    pub(crate) const STALE: Self = Self(1 << 8);
    /// Not handed out to be changed since it was made: of all that traits tell, only its state, and whether it is listed and
    /// admitted, may differ from what another such pair has. It is neither valid nor queued or nominated, and has no timer.
    const UNTOUCHED: Self = Self(1 << 9);
    /// Its check succeeded.
    pub(crate) const SUCCEEDED: Self = Self(1 << 10);
    /// What holds of a new pair.
    pub(crate) const NEW: Self = Self(Self::FROZEN.0 | Self::OPEN.0 | Self::LISTED.0 | Self::UNTOUCHED.0);
    /// What decides, with its priority, where a pair stands among the others of its component.
    const STANDING: Self = Self(Self::VALID.0 | Self::OPEN.0 | Self::LISTED.0);

    #[inline]
    fn of(pair: &Pair) -> Self {
        let always = Self::VALID.when(pair.valid.is_some()).and(Self::LISTED.when(pair.listed));
        let open = Self::OPEN.and(Self::PROMISED.when(pair.peer_nominated));
        let by_state = match pair.state {
            PairState::Frozen => open.and(Self::FROZEN),
            PairState::Waiting if !pair.admitted => open.and(Self::SHUT),
            PairState::Waiting if pair.is_ordinary() && pair.is_ready() => open.and(Self::READY),
            PairState::Waiting | PairState::InProgress => open,
            PairState::Succeeded => Self::SUCCEEDED,
            PairState::Failed => Self::NONE,
        };
        always.and(by_state)
    }

    #[inline]
    fn when(self, holds: bool) -> Self {
        if holds { self } else { Self::NONE }
    }

    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Place of the lowest one among all.
    #[inline]
    fn place(self) -> usize {
        usize::try_from(self.0.trailing_zeros()).unwrap_or(usize::MAX)
    }

    #[inline]
    fn only(self, of: Self) -> Self {
        Self(self.0 & of.0)
    }

    #[inline]
    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the pair stands elsewhere among the others of its component than it did.
    #[inline]
    pub(crate) fn stands_elsewhere(self, before: Self) -> bool {
        before.only(Self::STANDING) != self.only(Self::STANDING)
    }

    /// Whether the pair is open or listed that was not.
    #[inline]
    pub(crate) fn has_risen(self, before: Self) -> bool {
        self.only(Self::OPEN.and(Self::LISTED)).0 & !before.0 != 0
    }

    #[inline]
    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How many pairs each of the traits that are counted holds of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u32; Traits::COUNTED]);

impl Counts {
    /// The traits of so many pairs change from `before` to `after`.
    #[inline]
    pub(crate) fn change(&mut self, pairs: u32, before: Traits, after: Traits) {
        let mut differ = (before.0 ^ after.0) & Traits::ALL_COUNTED;
        while differ != 0 {
            let lowest = Traits(differ & differ.wrapping_neg());
            differ ^= lowest.0;
            if let Some(count) = self.0.get_mut(lowest.place()) {
                *count =
                    if after.meets(lowest) { count.wrapping_add(pairs) } else { count.wrapping_sub(pairs) };
            }
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, traits: Traits) {
        self.change(1, Traits::NONE, traits);
    }

    /// Of how many pairs this one trait holds, or more where it is not counted.
    #[inline]
    pub(crate) fn of(&self, one: Traits) -> usize {
        self.0.get(one.place()).map_or(usize::MAX, |count| usize::try_from(*count).unwrap_or(usize::MAX))
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
    #[inline]
    pub(crate) fn of(pair: &Pair) -> Self {
        let (traits, due) = look_at(pair);
        let (route, order, priority) = (route(pair.base, pair.to), pair.order, pair.priority);
        Self { route, traits, order, due, priority }
    }

    /// The mark of a new pair. All are alike, but for route and priority.
    #[inline]
    pub(crate) fn of_new(pair: &Pair) -> Self {
        debug_assert_eq!(
            look_at(pair),
            (Traits::NEW.without(Traits::UNTOUCHED), NEVER),
            "a new pair is like all"
        );
        let (route, order, priority) = (route(pair.base, pair.to), pair.order, pair.priority);
        Self { route, traits: Traits::NEW, order, due: NEVER, priority }
    }

    /// Brings it up to date; what it was is returned. Route and checklist of a pair never change.
    #[inline]
    pub(crate) fn renew(&mut self, pair: &Pair) -> Self {
        let before = *self;
        (self.traits, self.due) = look_at(pair);
        self.priority = pair.priority;
        before
    }

    /// Its pair is about to be changed; `count` is how many such marks there are.
    #[inline]
    pub(crate) fn make_stale(&mut self, count: &mut u32) {
        if !self.is_stale() {
            self.traits = self.traits.without(Traits::UNTOUCHED).and(Traits::STALE);
            *count = count.saturating_add(1);
        }
    }

    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        self.traits.meets(Traits::STALE)
    }
}

/// What follows from pairs that are changed at once. Most of them change alike, and those in a row are counted together.
pub(crate) struct Renewal<'a> {
    counts: &'a mut Counts,
    /// The latest change, and how many pairs in a row it was that of.
    before: Traits,
    after: Traits,
    alike: u32,
    /// What untouched pairs may differ in, after the latest change.
    latest: (PairState, bool, bool),
    /// Some timer has changed.
    timed: bool,
}

impl<'a> Renewal<'a> {
    pub(crate) fn new(counts: &'a mut Counts) -> Self {
        Self {
            counts,
            before: Traits::NONE,
            after: Traits::NONE,
            alike: 0,
            latest: (PairState::Frozen, false, false),
            timed: false,
        }
    }

    /// Brings the mark of a pair up to date whose state has changed, or what leaving the checklist changes; one that is stale
    /// will be with the others.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the loops over all pairs consist of it")]
    pub(crate) fn renew(&mut self, mark: &mut Mark, pair: &Pair) {
        let before = mark.traits;
        let now = (pair.state, pair.listed, pair.admitted);
        if before.meets(Traits::UNTOUCHED) && before == self.before && now == self.latest {
            debug_assert_eq!(mark.due, NEVER, "an untouched pair has no timer");
            debug_assert_eq!(
                Traits::of(pair).and(Traits::UNTOUCHED),
                self.after,
                "it changes as the one before"
            );
            mark.traits = self.after;
            self.alike = self.alike.wrapping_add(1);
        } else if !mark.is_stale() {
            self.renew_other(mark, pair);
        }
    }

    /// As [`renew`](Self::renew), where the pair has not changed like the one before.
    fn renew_other(&mut self, mark: &mut Mark, pair: &Pair) {
        let Mark { traits: before, due, .. } = mark.renew(pair);
        if before.meets(Traits::UNTOUCHED) {
            mark.traits = mark.traits.and(Traits::UNTOUCHED);
        }
        self.timed |= due != mark.due;
        if (self.before, self.after) != (before, mark.traits) {
            self.count_alike();
            (self.before, self.after) = (before, mark.traits);
        }
        self.latest = (pair.state, pair.listed, pair.admitted);
        self.alike = self.alike.wrapping_add(1);
    }

    fn count_alike(&mut self) {
        self.counts.change(core::mem::take(&mut self.alike), self.before, self.after);
    }

    /// After the last one; whether some timer has changed.
    pub(crate) fn finish(mut self) -> bool {
        self.count_alike();
        self.timed
    }
}

/// Equal for equal routes, and seldom for others.
#[inline]
pub(crate) fn route(base: BaseId, to: TransportAddress) -> u32 {
    to.low_bits() ^ u32::from(to.port()).rotate_left(16) ^ base.0.rotate_left(8)
}

/// Traits of a pair, and the earliest of its timers.
#[inline]
fn look_at(pair: &Pair) -> (Traits, Instant) {
    let mut due = NEVER;
    if pair.state == PairState::InProgress {
        due = pair.fresh_at.unwrap_or(NEVER);
    }
    if let Some(valid) = &pair.valid {
        due = due.min(upkeep_due(pair, valid));
    }
    (Traits::of(pair).and(Traits::TIMED.when(due < NEVER)), due)
}

/// The earliest of the timers that a pair has for being valid, which few are.
fn upkeep_due(pair: &Pair, valid: &Valid) -> Instant {
    // Consent is kept on pairs that carry data or may come to: before selection all valid ones, since any of them may be
    // the best; after it the selected one, and what is kept beside it. What has left the checklist runs out.
    let consent = valid
        .consent
        .as_ref()
        .and_then(|consent| if pair.listed { consent.next_timeout() } else { Some(consent.deadline()) });
    consent.unwrap_or(NEVER).min(valid.keepalive.unwrap_or(NEVER))
}

/// Marks that one of some traits holds of, each with its pair, in their order.
pub(crate) struct Marked<'a> {
    marks: core::slice::Iter<'a, Mark>,
    pairs: core::slice::Iter<'a, Pair>,
    looked_for: Traits,
    /// There are no more than so many: behind the last nothing is looked at.
    left: usize,
}

impl<'a> Marked<'a> {
    #[inline]
    pub(crate) fn new(marks: &'a [Mark], pairs: &'a [Pair], looked_for: Traits, most: usize) -> Self {
        Self { marks: marks.iter(), pairs: pairs.iter(), looked_for, left: most }
    }
}

impl<'a> Iterator for Marked<'a> {
    type Item = (&'a Mark, &'a Pair);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        loop {
            let found = (self.marks.next()?, self.pairs.next()?);
            if found.0.traits.meets(self.looked_for) {
                self.left = self.left.saturating_sub(1);
                return Some(found);
            }
        }
    }
}
