//! The table of all pairs, and what is looked at of each of them with every input.

use alloc::vec::Vec;
use core::cmp::Reverse;

use floe_pair::{BaseId, ComponentId, PairPriority, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::candidates::FoundationKey;
use crate::freeze::{self, Freezable};
use crate::lean::push_lean;
use crate::pairs::{Pair, PairId, Valid};
use crate::state::PairState;

/// What holds of a pair, as bits of a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits(u16);

impl Traits {
    pub(crate) const VALID: Self = Self(1);
    /// An ordinary check of it may begin.
    pub(crate) const READY: Self = Self(1 << 1);
    /// Frozen, in its checklist or not.
    pub(crate) const FROZEN: Self = Self(1 << 2);
    /// Waiting or In-Progress.
    pub(crate) const ACTIVE: Self = Self(1 << 3);
    /// Neither Succeeded nor Failed.
    pub(crate) const OPEN: Self = Self(1 << 4);
    /// Waiting on a base that is not open for its peer.
    pub(crate) const SHUT: Self = Self(1 << 5);
    /// The peer has nominated it, and our check of it has not ended.
    pub(crate) const PROMISED: Self = Self(1 << 6);
    /// In its checklist.
    const LISTED: Self = Self(1 << 7);
    /// What decides, with its priority, where a pair stands among the others of its component.
    const STANDING: Self = Self(Self::VALID.0 | Self::OPEN.0 | Self::LISTED.0);

    fn of(pair: &Pair) -> Self {
        let waiting = pair.state == PairState::Waiting;
        let open = !pair.state.is_settled();
        Self::VALID
            .when(pair.valid.is_some())
            .and(Self::READY.when(waiting && pair.is_ordinary() && pair.is_ready()))
            .and(Self::FROZEN.when(pair.state == PairState::Frozen))
            .and(Self::ACTIVE.when(waiting || pair.state == PairState::InProgress))
            .and(Self::OPEN.when(open))
            .and(Self::SHUT.when(waiting && !pair.admitted))
            .and(Self::PROMISED.when(pair.peer_nominated && open))
            .and(Self::LISTED.when(pair.listed))
    }

    #[inline]
    fn when(self, holds: bool) -> Self {
        Self(if holds { self.0 } else { 0 })
    }

    #[inline]
    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    fn only(self, of: Self) -> Self {
        Self(self.0 & of.0)
    }

    #[inline]
    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What is looked at of all pairs with each input, apart from them: five share two cache lines.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// What base and remote address come to.
    route: u32,
    traits: Traits,
    /// Place of its checklist in the set.
    order: u16,
    /// The earliest of its timers; the end of time if it has none.
    due: Instant,
    priority: PairPriority,
}

const NEVER: Instant = Instant::from_nanos(u64::MAX);

impl Mark {
    fn of(pair: &Pair) -> Self {
        Self {
            route: route(pair.base, pair.to),
            traits: Traits::of(pair),
            order: pair.order,
            due: due(pair).unwrap_or(NEVER),
            priority: pair.priority,
        }
    }
}

/// Equal for equal routes, and seldom for others.
fn route(base: BaseId, to: TransportAddress) -> u32 {
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

/// All pairs of a set, in the order in which they were made.
///
/// Whoever changes a pair gets it from here, so that it is known whose marks are out of date: those are brought up to
/// date by [`refresh`](Self::refresh), and until then looked at as if everything held of them.
#[derive(Debug)]
pub(crate) struct PairTable {
    list: Vec<Pair>,
    /// One for each pair, in the same order.
    marks: Vec<Mark>,
    next: u32,
    /// Marks from here on, up to `stale_to`, are out of date.
    stale_from: u32,
    stale_to: u32,
    /// The earliest timer of all marks.
    earliest: Instant,
    /// All traits that any mark has, or has had of late: of others nothing need be searched for.
    seen: Traits,
    /// Which pairs are valid, open or listed has changed, or their order.
    reordered: bool,
}

impl Default for PairTable {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            marks: Vec::new(),
            next: 0,
            stale_from: u32::MAX,
            stale_to: 0,
            earliest: NEVER,
            seen: Traits(0),
            reordered: false,
        }
    }
}

impl PairTable {
    pub(crate) fn next_id(&mut self) -> PairId {
        let id = PairId(self.next);
        self.next = self.next.wrapping_add(1);
        id
    }

    /// The id of the next pair.
    pub(crate) fn next(&self) -> PairId {
        PairId(self.next)
    }

    /// The next pair has this id or a higher one.
    pub(crate) fn continue_from(&mut self, from: PairId) {
        self.next = self.next.max(from.0);
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        if more > 1 {
            self.marks.reserve(more);
            self.list.reserve(more);
        }
    }

    #[inline]
    pub(crate) fn push(&mut self, pair: Pair) {
        let mark = Mark::of(&pair);
        self.earliest = self.earliest.min(mark.due);
        self.seen.0 |= mark.traits.0;
        self.reordered = true;
        push_lean(&mut self.marks, mark);
        push_lean(&mut self.list, pair);
    }

    pub(crate) fn get(&self, id: PairId) -> Option<&Pair> {
        self.position(id).and_then(|index| self.list.get(index))
    }

    pub(crate) fn get_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        let index = self.position(id)?;
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        self.stale_from = self.stale_from.min(place);
        self.stale_to = self.stale_to.max(place.saturating_add(1));
        self.list.get_mut(index)
    }

    /// Counts a request that was sent, which changes nothing else.
    pub(crate) fn count_request(&mut self, id: PairId) {
        if let Some(pair) = self.position(id).and_then(|index| self.list.get_mut(index)) {
            pair.requests_sent = pair.requests_sent.saturating_add(1);
        }
    }

    fn position(&self, id: PairId) -> Option<usize> {
        // Ids rise by one; where a pair has gone, those after it stand further to the front.
        let first = self.list.first()?.id;
        let index = usize::try_from(id.0.wrapping_sub(first.0)).ok()?;
        if self.list.get(index).is_some_and(|pair| pair.id == id) {
            return Some(index);
        }
        self.list.binary_search_by_key(&id, |pair| pair.id).ok()
    }

    /// The pair of this base and remote address. A base serves one component, so that there is at most one.
    #[inline]
    pub(crate) fn find(&self, base: BaseId, to: TransportAddress) -> Option<&Pair> {
        let route = route(base, to);
        let alike = self.marks.iter().enumerate().filter(|(_, mark)| mark.route == route);
        alike.filter_map(|(index, _)| self.list.get(index)).find(|pair| pair.base == base && pair.to == to)
    }

    /// Whether any pair has this remote address.
    pub(crate) fn leads_to(&self, to: TransportAddress) -> bool {
        self.list.iter().any(|pair| pair.to == to)
    }

    /// Whether it has changed since this was asked which pairs are valid, open or listed, or which is before which.
    pub(crate) fn take_reordered(&mut self) -> bool {
        self.refresh();
        core::mem::take(&mut self.reordered)
    }

    /// What is held of a pair is another now.
    pub(crate) fn reorder(&mut self) {
        self.reordered = true;
    }

    /// Brings the marks up to date.
    pub(crate) fn refresh(&mut self) {
        let from = usize::try_from(self.stale_from).unwrap_or(usize::MAX);
        let count = usize::try_from(self.stale_to).unwrap_or(usize::MAX).saturating_sub(from);
        if count == 0 {
            return;
        }
        (self.stale_from, self.stale_to) = (u32::MAX, 0);
        if count >= self.list.len() {
            self.seen = Traits(0);
        }
        let mut gone = false;
        for (mark, pair) in self.marks.iter_mut().zip(&self.list).skip(from).take(count) {
            let before = core::mem::replace(mark, Mark::of(pair));
            gone |= before.due == self.earliest && mark.due > before.due;
            self.reordered |= before.traits.only(Traits::STANDING) != mark.traits.only(Traits::STANDING)
                || before.priority != mark.priority;
            self.earliest = self.earliest.min(mark.due);
            self.seen.0 |= mark.traits.0;
        }
        if gone {
            self.find_earliest();
        }
    }

    fn find_earliest(&mut self) {
        self.earliest = self.marks.iter().fold(NEVER, |earliest, mark| earliest.min(mark.due));
    }

    fn all_stale(&mut self) {
        (self.stale_from, self.stale_to, self.reordered) = (0, u32::MAX, true);
    }

    #[inline]
    fn is_stale(&self, index: usize) -> bool {
        u32::try_from(index).is_ok_and(|index| (self.stale_from..self.stale_to).contains(&index))
    }

    /// The pairs that one of these traits holds of, in their order; and perhaps some that have just been changed: the
    /// caller looks at the pair itself.
    pub(crate) fn likely(&self, traits: Traits) -> impl Iterator<Item = &Pair> {
        let clean = self.stale_from >= self.stale_to;
        let all = 0..self.marks.len();
        let stale = usize::try_from(self.stale_from).unwrap_or(usize::MAX)
            ..usize::try_from(self.stale_to).unwrap_or(usize::MAX).min(all.end);
        let range = if self.seen.meets(traits) { all } else { stale };
        let marks = self.marks.get(range.clone()).unwrap_or_default().iter().zip(range);
        let likely = move |mark: &Mark, index| mark.traits.meets(traits) || (!clean && self.is_stale(index));
        marks.filter(move |(mark, index)| likely(mark, *index)).filter_map(|(_, index)| self.list.get(index))
    }

    /// The first pair that fits, of those with a timer that is due.
    pub(crate) fn find_due(&self, now: Instant, fits: impl Fn(&Pair) -> bool) -> Option<&Pair> {
        let mut both = self.marks.iter().zip(&self.list).enumerate();
        both.find(|(index, (mark, pair))| (mark.due <= now || self.is_stale(*index)) && fits(pair))
            .map(|(_, (_, pair))| pair)
    }

    /// How many pairs one of these traits holds of.
    pub(crate) fn count(&mut self, traits: Traits) -> usize {
        self.refresh();
        self.marks.iter().filter(|mark| mark.traits.meets(traits)).count()
    }

    /// The earliest of all timers of pairs.
    pub(crate) fn next_due(&mut self) -> Option<Instant> {
        self.refresh();
        Some(self.earliest).filter(|due| *due < NEVER)
    }

    /// RFC 8445 §7.2.5.3.3, where there is anything to thaw.
    pub(crate) fn thaw(&mut self, foundation: FoundationKey) {
        let frozen = |pair: &Pair| pair.state == PairState::Frozen && pair.foundation == foundation;
        if self.likely(Traits::FROZEN).any(frozen) {
            freeze::thaw_foundation(self.as_mut_slice(), foundation);
        }
    }

    /// Whether an ordinary check may begin in the checklist at this place of the set, perhaps after a thaw.
    pub(crate) fn has_ordinary(&self, order: u16) -> bool {
        let ready = self.likely(Traits::READY).any(|pair| freeze::may_go(pair, order));
        ready || (self.has_frozen(order) && freeze::has_ordinary(&self.list, order))
    }

    /// The pair whose ordinary check begins next in that checklist.
    pub(crate) fn next_ordinary(&mut self, order: u16) -> Option<PairId> {
        self.refresh();
        let ready = || {
            let marks = self.marks.iter().enumerate();
            marks.filter(|(_, mark)| mark.traits.meets(Traits::READY) && mark.order == order)
        };
        if let Some(highest) = ready().map(|(_, mark)| mark.priority).max() {
            // As `Freezable::turn` has it; the pairs themselves are looked at only where priorities are equal.
            let equal = ready().filter(|(_, mark)| mark.priority == highest);
            let first = equal.filter_map(|(index, _)| self.list.get(index)).min_by_key(|pair| pair.turn());
            return first.map(|pair| pair.id);
        }
        if !self.has_frozen(order) {
            return None;
        }
        freeze::next_ordinary(self.as_mut_slice(), order).map(|pair| pair.id)
    }

    pub(crate) fn has_frozen(&self, order: u16) -> bool {
        let frozen = |pair: &Pair| pair.state == PairState::Frozen && pair.listed && pair.order == order;
        self.likely(Traits::FROZEN).any(frozen)
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Pair> {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Pair> {
        self.all_stale();
        self.list.iter_mut()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Pair] {
        self.all_stale();
        &mut self.list
    }

    pub(crate) fn as_slice(&self) -> &[Pair] {
        &self.list
    }

    pub(crate) fn remove(&mut self, id: PairId) {
        if let Some(index) = self.position(id) {
            self.list.remove(index);
            self.marks.remove(index);
            self.all_stale();
            self.find_earliest();
        }
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Pair) -> bool) {
        let before = self.list.len();
        self.list.retain(keep);
        if self.list.len() < before {
            self.reordered = true;
            self.list.shrink_to_fit();
            self.marks = self.list.iter().map(Mark::of).collect();
            self.find_earliest();
        }
    }

    /// The entry of the valid list that the checks of `id` have proved: the pair itself, or another one.
    pub(crate) fn proved_by(&self, id: PairId) -> Option<&Pair> {
        let own = self.get(id).filter(|pair| pair.valid.as_ref().is_some_and(|valid| valid.producer == id));
        own.or_else(|| {
            let proved = |pair: &&Pair| pair.valid.as_ref().is_some_and(|valid| valid.producer == id);
            self.likely(Traits::VALID).find(proved)
        })
    }

    /// Whether the check that proved a valid pair can be repeated with USE-CANDIDATE now (RFC 8445 §8.1.1).
    pub(crate) fn can_nominate(&self, pair: &Pair) -> bool {
        self.may_nominate(pair, |state| matches!(state, PairState::Succeeded | PairState::Waiting))
    }

    /// Whether a valid pair could be nominated sooner or later, or is being nominated.
    pub(crate) fn may_be_nominated(&self, pair: &Pair) -> bool {
        self.may_nominate(pair, |state| state != PairState::Failed)
    }

    fn may_nominate(&self, pair: &Pair, fits: impl Fn(PairState) -> bool) -> bool {
        let producer = pair.valid.as_ref().and_then(|valid| self.get(valid.producer));
        producer.is_some_and(|producer| fits(producer.state) && !producer.nomination_failed)
    }

    /// The valid pair of highest priority of a component, among those that `accept` takes.
    pub(crate) fn best_valid(
        &self,
        stream: StreamId,
        component: ComponentId,
        accept: impl Fn(&Pair) -> bool,
    ) -> Option<&Pair> {
        self.highest(stream, component, accept, |_, valid| valid.priority)
    }

    /// The valid pair of a component that is to be nominated, among those that `accept` takes.
    pub(crate) fn most_worthy(
        &self,
        stream: StreamId,
        component: ComponentId,
        accept: impl Fn(&Pair) -> bool,
    ) -> Option<&Pair> {
        self.highest(stream, component, accept, |pair, valid| pair.worth_at(valid.priority))
    }

    /// Of equals the older one.
    fn highest<K: Ord>(
        &self,
        stream: StreamId,
        component: ComponentId,
        accept: impl Fn(&Pair) -> bool,
        rank: impl Fn(&Pair, &Valid) -> K,
    ) -> Option<&Pair> {
        let accepted = self.valid(stream, component).filter(|(pair, _)| accept(pair));
        accepted.max_by_key(|(pair, valid)| (rank(pair, valid), Reverse(pair.id))).map(|(pair, _)| pair)
    }

    pub(crate) fn valid(
        &self,
        stream: StreamId,
        component: ComponentId,
    ) -> impl Iterator<Item = (&Pair, &Valid)> {
        self.likely(Traits::VALID)
            .filter_map(|pair| pair.valid.as_deref().map(|valid| (pair, valid)))
            .filter(move |(pair, _)| pair.is_of(stream, component))
    }
}
