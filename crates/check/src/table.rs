//! The table of all pairs. What each input looks at is searched for among the [marks](crate::marks), never among the pairs.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use floe_pair::{BaseId, ComponentId, StreamId, TransportAddress};
use floe_stun::Instant;

use crate::candidates::{FoundationKey, Local, Remote};
use crate::freeze::{self, Freezable};
use crate::lean::{place_of, reserve_lean};
use crate::marks::{Counts, Mark, Marked, NEVER, Renewal, Traits, route};
use crate::pairs::{Common, Pair, PairId, Place, Valid, Worth};
use crate::state::{PairEvent, PairState};

/// All pairs of a set, in the order in which they were made.
///
/// Whoever changes a pair gets it from here, so that it is known whose marks are stale: those are brought up to date by
/// [`refresh`](Self::refresh), and until then looked at as if everything held of them.
#[derive(Debug)]
pub(crate) struct PairTable {
    list: Vec<Pair>,
    /// One for each pair, in the same order.
    marks: Vec<Mark>,
    /// Of how many marks each trait holds: of none, nothing is searched for; else no further than to the last.
    counts: Counts,
    next: u32,
    /// So many marks are stale, none of them before this one.
    stale: u32,
    stale_from: u16,
    /// The earliest timer of all marks; the origin of time where it has to be found anew.
    earliest: Instant,
    /// Which pairs are valid, open or listed has changed, or their order.
    reordered: bool,
    /// One may be open that was not, or stand before one that stood before it.
    risen: bool,
}

impl Default for PairTable {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            marks: Vec::new(),
            counts: Counts::default(),
            next: 0,
            stale: 0,
            stale_from: u16::MAX,
            earliest: NEVER,
            reordered: false,
            risen: false,
        }
    }
}

impl PairTable {
    /// The id of the next pair.
    pub(crate) fn next(&self) -> PairId {
        PairId(self.next)
    }

    /// The next pair has this id or a higher one.
    pub(crate) fn continue_from(&mut self, from: PairId) {
        self.next = self.next.max(from.0);
    }

    /// Makes room for so many more, up to `limit` in all.
    pub(crate) fn reserve(&mut self, more: usize, limit: usize) {
        let more = more.min(limit.saturating_sub(self.list.len()));
        if more > 1 {
            self.marks.reserve(more);
            self.list.reserve(more);
        }
    }

    /// Appends the pairs of a remote candidate with those local ones that fit: `fits` tells whether the base is open for the
    /// peer then. `started`: by RFC 8838 §12 some may be Waiting from the beginning.
    #[inline(never)]
    pub(crate) fn extend(
        &mut self,
        nears: &[Local],
        far: &Remote,
        place: &Place,
        started: bool,
        fits: impl Fn(&Local) -> Option<bool>,
    ) {
        let Some(first) = nears.first() else { return };
        reserve_lean(&mut self.list, nears.len());
        let from = self.list.len();
        let mut common = Common::of(first.candidate.kind, far, place);
        for near in nears {
            let Some(admitted) = fits(near) else { continue };
            if near.candidate.kind != common.near {
                common = Common::of(near.candidate.kind, far, place);
            }
            self.list.push(Pair::new(PairId(self.next), near, admitted, &common));
            self.next = self.next.wrapping_add(1);
        }
        self.mark_new(from, started);
    }

    /// Makes the marks of the pairs that were appended from there on.
    fn mark_new(&mut self, from: usize, started: bool) {
        let new = self.list.get(from..).unwrap_or_default();
        reserve_lean(&mut self.marks, new.len());
        self.marks.extend(new.iter().map(Mark::of_new));
        self.counts.change(u32::try_from(new.len()).unwrap_or(u32::MAX), Traits::NONE, Traits::NEW);
        self.reorder();
        for index in from..if started { self.list.len() } else { from } {
            self.join_late(index);
        }
    }

    /// RFC 8838 §12: a pair that has joined those before it may be Waiting from the beginning.
    fn join_late(&mut self, index: usize) {
        let before = self.list.split_at_checked(index);
        let Some((others, [new, ..])) = before else { return };
        if freeze::joins_waiting(others, new)
            && let Some(pair) = self.get_mut(new.id)
        {
            pair.step(PairEvent::Unfreeze);
        }
    }

    pub(crate) fn get(&self, id: PairId) -> Option<&Pair> {
        self.position(id).and_then(|index| self.list.get(index))
    }

    pub(crate) fn get_mut(&mut self, id: PairId) -> Option<&mut Pair> {
        let index = self.position(id)?;
        let mark = self.marks.get_mut(index)?;
        if !mark.is_stale() {
            self.stale_from = self.stale_from.min(u16::try_from(index).unwrap_or(u16::MAX));
            mark.make_stale(&mut self.stale);
        }
        self.list.get_mut(index)
    }

    /// The pairs that fit, to be changed.
    pub(crate) fn change(&mut self, fits: impl Fn(&Pair) -> bool) -> impl Iterator<Item = &mut Pair> {
        self.reorder();
        self.stale_from = 0;
        let stale = &mut self.stale;
        let both = self.list.iter_mut().zip(&mut self.marks);
        both.filter(move |(pair, _)| fits(pair)).map(|(pair, mark)| {
            mark.make_stale(stale);
            pair
        })
    }

    /// RFC 8445 §8.1.2: of the pairs that are a component's `own`, only those that are `kept` are in the checklist from now
    /// on. What has left it is not checked any more, unless a nomination of the peer is `pending` there.
    pub(crate) fn conclude(
        &mut self,
        own: impl Fn(&Pair) -> bool,
        kept: impl Fn(&Pair) -> bool,
        pending: impl Fn(&Pair) -> bool,
    ) {
        self.reorder();
        let mut renewal = Renewal::new(&mut self.counts);
        for (pair, mark) in self.list.iter_mut().zip(&mut self.marks).filter(|(pair, _)| own(pair)) {
            pair.listed = kept(pair);
            if !pair.listed && !pending(pair) {
                pair.cease();
            }
            renewal.renew(mark, pair);
        }
        if renewal.finish() {
            self.earliest = Instant::ORIGIN;
        }
    }

    /// Counts a request that was sent, which changes nothing else.
    pub(crate) fn count_request(&mut self, id: PairId) {
        if let Some(pair) = self.position(id).and_then(|index| self.list.get_mut(index)) {
            pair.requests_sent = pair.requests_sent.saturating_add(1);
        }
    }

    /// Notes that a request of the peer has come over a pair, which changes nothing that a mark tells.
    pub(crate) fn note_request(&mut self, id: PairId, now: Instant) -> Option<&Pair> {
        let index = self.position(id)?;
        let pair = self.list.get_mut(index)?;
        (pair.heard, pair.asked, pair.last_request) = (true, true, Some(now));
        pair.requests_received = pair.requests_received.saturating_add(1);
        Some(pair)
    }

    /// Notes an authenticated answer to a check of a pair, from its remote address if it is `heard`, which changes nothing
    /// that a mark tells. False if there is no such pair.
    pub(crate) fn note_response(&mut self, id: PairId, heard: bool, rtt: Option<Duration>) -> bool {
        let Some(pair) = self.position(id).and_then(|index| self.list.get_mut(index)) else { return false };
        pair.responses_received = pair.responses_received.saturating_add(1);
        (pair.heard, pair.rtt) = (pair.heard || heard, rtt.or(pair.rtt));
        true
    }

    /// Puts a pair that has left its checklist into it again.
    pub(crate) fn list_again(&mut self, id: PairId) {
        if let Some(pair) = self.get_mut(id) {
            pair.listed = true;
        }
    }

    fn position(&self, id: PairId) -> Option<usize> {
        place_of(&self.list, id.0, |pair| pair.id.0)
    }

    /// The pair of this base and remote address. A base serves one component, so that there is at most one.
    #[inline(never)]
    pub(crate) fn find(&self, base: BaseId, to: TransportAddress) -> Option<&Pair> {
        let route = route(base, to);
        let alike = self.marks.iter().enumerate().filter(|(_, mark)| mark.route == route);
        alike.filter_map(|(index, _)| self.list.get(index)).find(|pair| pair.base == base && pair.to == to)
    }

    /// Whether it has changed since this was asked which pairs are valid, open or listed, or which is before which.
    pub(crate) fn take_reordered(&mut self) -> bool {
        self.refresh();
        core::mem::take(&mut self.reordered)
    }

    /// Whether [`take_reordered`](Self::take_reordered) or [`take_risen`](Self::take_risen) would tell so, once the marks
    /// are up to date.
    pub(crate) fn has_news(&self) -> bool {
        self.reordered || self.risen
    }

    /// Whether any pair was handed out to be changed, or is another, since the marks were up to date and nothing was new.
    pub(crate) fn is_touched(&self) -> bool {
        self.stale > 0 || self.has_news()
    }

    /// Whether [`take_risen`](Self::take_risen) would tell so, once the marks are up to date.
    pub(crate) fn has_risen(&self) -> bool {
        self.risen
    }

    /// Whether a pair may have risen above others since this was asked.
    pub(crate) fn take_risen(&mut self) -> bool {
        self.refresh();
        core::mem::take(&mut self.risen)
    }

    /// What is held of a pair is another now.
    pub(crate) fn reorder(&mut self) {
        (self.reordered, self.risen) = (true, true);
    }

    /// Brings the marks up to date.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if self.stale > 0 {
            self.refresh_stale();
        }
    }

    fn refresh_stale(&mut self) {
        let mut left = core::mem::take(&mut self.stale);
        let mut index = usize::from(core::mem::replace(&mut self.stale_from, u16::MAX));
        while left > 0
            && let (Some(mark), Some(pair)) = (self.marks.get_mut(index), self.list.get(index))
        {
            index = index.saturating_add(1);
            if !mark.is_stale() {
                continue;
            }
            left = left.saturating_sub(1);
            let before = mark.renew(pair);
            self.counts.change(1, before.traits, mark.traits);
            let moved = before.priority != mark.priority;
            self.reordered |= moved || mark.traits.stands_elsewhere(before.traits);
            self.risen |= moved || mark.traits.has_risen(before.traits);
            if before.due != mark.due {
                let is_gone = before.due == self.earliest && mark.due > before.due;
                self.earliest = if is_gone { Instant::ORIGIN } else { self.earliest.min(mark.due) };
            }
        }
    }

    /// Makes all marks anew.
    fn rebuild(&mut self) {
        self.marks.clear();
        self.marks.shrink_to(self.list.len());
        self.marks.extend(self.list.iter().map(Mark::of));
        self.counts = Counts::default();
        for mark in &self.marks {
            self.counts.add(mark.traits);
        }
        (self.stale, self.stale_from, self.earliest) = (0, u16::MAX, Instant::ORIGIN);
        self.reorder();
    }

    /// Mark and pair of all that this one trait holds of, in their order; and of some that have just been changed.
    #[inline]
    fn marked(&self, one: Traits) -> Marked<'_> {
        let stale = usize::try_from(self.stale).unwrap_or(usize::MAX);
        let most = self.counts.of(one).saturating_add(stale);
        Marked::new(&self.marks, &self.list, one.and(Traits::STALE), most)
    }

    /// Place of the next pair from there on that one of some traits may hold of: the caller looks at the pair itself.
    pub(crate) fn place_of_likely(&self, from: usize, some: Traits) -> Option<usize> {
        let looked_for = some.and(Traits::STALE);
        let mut left = self.marks.get(from..)?.iter();
        left.position(|mark| mark.traits.meets(looked_for)).map(|more| from.saturating_add(more))
    }

    /// The pairs that this one trait holds of, in their order; and perhaps some that have just been changed: the caller
    /// looks at the pair itself.
    #[inline]
    pub(crate) fn likely(&self, one: Traits) -> impl Iterator<Item = &Pair> {
        self.marked(one).map(|(_, pair)| pair)
    }

    /// The open pairs that are worth more than that, and perhaps some others: the caller looks at the pair itself. Where pairs
    /// are not `ranked`, nothing of lower priority is worth more than what lasts and needs no relay.
    pub(crate) fn likely_worthier(&self, worth: Worth, ranked: bool) -> impl Iterator<Item = &Pair> {
        let (_, _, lasting, direct, priority) = worth;
        let by_priority = lasting && direct && !ranked;
        let may_be = move |mark: &Mark| !by_priority || mark.priority > priority || mark.is_stale();
        let open = Traits::OPEN.and(Traits::STALE);
        let both = self.marks.iter().zip(&self.list);
        both.filter(move |(mark, _)| mark.traits.meets(open) && may_be(mark)).map(|(_, pair)| pair)
    }

    /// Whether this one trait, which is counted, may hold of any pair.
    #[inline]
    pub(crate) fn may_have(&self, one: Traits) -> bool {
        self.stale > 0 || self.counts.of(one) > 0
    }

    /// The first pair that fits, of those with a timer that is due.
    pub(crate) fn find_due(&self, now: Instant, fits: impl Fn(&Pair) -> bool) -> Option<&Pair> {
        let due = |mark: &Mark| mark.due <= now || mark.is_stale();
        let mut timed = self.marked(Traits::TIMED);
        timed.find(|(mark, pair)| due(mark) && fits(pair)).map(|(_, pair)| pair)
    }

    /// How many pairs are Waiting or In-Progress.
    pub(crate) fn count_active(&mut self) -> usize {
        self.refresh();
        self.counts.of(Traits::OPEN).saturating_sub(self.counts.of(Traits::FROZEN))
    }

    /// How many pairs are in their checklists.
    pub(crate) fn count_listed(&self) -> usize {
        self.list.iter().filter(|pair| pair.listed).count()
    }

    /// The earliest of all timers of pairs.
    pub(crate) fn next_due(&mut self) -> Option<Instant> {
        self.refresh();
        if self.earliest == Instant::ORIGIN {
            let timed = self.marked(Traits::TIMED);
            self.earliest = timed.fold(NEVER, |earliest, (mark, _)| earliest.min(mark.due));
        }
        Some(self.earliest).filter(|due| *due < NEVER)
    }

    /// RFC 8445 §6.1.2.6, when the first check is about to begin.
    pub(crate) fn thaw_initial(&mut self) {
        // What is Waiting is as open as what is Frozen: no pair stands elsewhere for it.
        freeze::initial(&mut self.list);
        let mut renewal = Renewal::new(&mut self.counts);
        for (mark, pair) in self.marks.iter_mut().zip(&self.list) {
            if mark.traits.meets(Traits::FROZEN) && pair.state != PairState::Frozen {
                renewal.renew(mark, pair);
            }
        }
        if renewal.finish() {
            self.earliest = Instant::ORIGIN;
        }
    }

    /// RFC 8445 §7.2.5.3.3, where there is anything to thaw.
    pub(crate) fn thaw(&mut self, foundation: FoundationKey) {
        // No pair is Frozen that was not: of one whose mark is stale it was counted before.
        if self.counts.of(Traits::FROZEN) == 0 {
            debug_assert!(
                self.list.iter().all(|pair| pair.state != PairState::Frozen),
                "all that are were counted"
            );
            return;
        }
        self.refresh();
        let frozen = |pair: &Pair| pair.state == PairState::Frozen && pair.foundation == foundation;
        if self.likely(Traits::FROZEN).any(frozen) {
            freeze::thaw_foundation(self.as_mut_slice(), foundation);
        }
    }

    /// Whether an ordinary check may begin in any checklist, for all that is counted.
    pub(crate) fn may_have_ordinary(&self) -> bool {
        self.may_have(Traits::READY) || self.may_have(Traits::FROZEN)
    }

    /// Whether an ordinary check may begin in some checklist, as far as it is counted.
    pub(crate) fn is_any_ready(&self) -> bool {
        let any = self.stale == 0 && self.counts.of(Traits::READY) > 0;
        debug_assert!(!any || self.list.iter().any(|pair| freeze::may_go(pair, pair.order)), "it is counted");
        any
    }

    /// Whether an ordinary check may begin in the checklist at this place of the set, perhaps after a thaw.
    pub(crate) fn has_ordinary(&self, order: u16) -> bool {
        let ready = self.likely(Traits::READY).any(|pair| freeze::may_go(pair, order));
        ready || (self.has_frozen(order) && freeze::has_ordinary(&self.list, order))
    }

    /// The pair whose ordinary check begins next in that checklist.
    pub(crate) fn next_ordinary(&mut self, order: u16) -> Option<PairId> {
        self.refresh();
        // As `Freezable::turn` has it; the pairs themselves are looked at only where priorities are equal.
        let turn = |index: usize| self.list.get(index).map(Pair::turn);
        let ready = |mark: &Mark| mark.traits.meets(Traits::READY) && mark.order == order;
        let place = |of: &Mark| self.marks.iter().position(|mark| core::ptr::eq(mark, of));
        let (mut first, mut highest) = (None, 0);
        for mark in &self.marks {
            let priority = mark.priority.get();
            if priority < highest || !ready(mark) {
                continue;
            }
            let is_before = |rival| place(mark).map(turn) < place(rival).map(turn);
            if priority > highest || first.is_none_or(is_before) {
                (first, highest) = (Some(mark), priority);
            }
        }
        if let Some(pair) = first.and_then(place).and_then(|index| self.list.get(index)) {
            return Some(pair.id);
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

    pub(crate) fn as_mut_slice(&mut self) -> &mut [Pair] {
        self.reorder();
        self.stale_from = 0;
        for mark in &mut self.marks {
            mark.make_stale(&mut self.stale);
        }
        &mut self.list
    }

    pub(crate) fn as_slice(&self) -> &[Pair] {
        &self.list
    }

    pub(crate) fn remove(&mut self, id: PairId) {
        if let Some(index) = self.position(id) {
            self.list.remove(index);
            self.rebuild();
        }
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Pair) -> bool) {
        let before = self.list.len();
        self.list.retain(keep);
        if self.list.len() < before {
            self.list.shrink_to_fit();
            self.rebuild();
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

    /// The entry of the valid list that a pair stands for: the one that its checks have proved, its own where the checks of
    /// another pair have proved that, or the one that they have shown when it was valid already.
    pub(crate) fn entry_of(&self, id: PairId) -> Option<&Pair> {
        let pair = || self.get(id);
        let shown = || {
            let pair = pair().filter(|pair| pair.state == PairState::Succeeded)?;
            let mut valid = self.valid(pair.stream, pair.component);
            valid.find(|(other, valid)| valid.shown && other.to == pair.to).map(|(other, _)| other)
        };
        self.proved_by(id).or_else(|| pair().filter(|pair| pair.valid.is_some())).or_else(shown)
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
