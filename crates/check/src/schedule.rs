//! Which check goes next (RFC 8445 §6.1.4.2), and how it begins.

use core::time::Duration;

use floe_pair::Role;
use floe_stun::{Instant, Random, Transaction};

use crate::ChecklistSet;
use crate::checklist::{Checklist, Component};
use crate::freeze::Freezable;
use crate::limits::{FRESH_LIMIT, TRANSACTION_LIMIT, transaction_limit};
use crate::outbox::Outgoing;
use crate::pairs::{Failure, Pair, PairId, Traits, Valid};
use crate::state::{PairEvent, PairState};
use crate::transactions::{self, Check};

/// How much a set wants a slot. The greater goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// An ordinary check; or nothing but a nomination that is made again, right after such a one.
    Ordinary,
    /// A check from a triggered-check queue.
    Triggered,
    /// A nomination.
    Nomination,
}

/// What a slot is used for.
#[derive(Clone, Copy, Debug)]
struct Choice {
    pair: PairId,
    urgency: Urgency,
    /// A nomination that was made before, and is not answered.
    again: bool,
}

impl ChecklistSet {
    /// Whether a check is ready to begin, and how urgent it is.
    #[inline]
    pub fn wants_slot(&self) -> Option<Urgency> {
        self.wants
    }

    /// Uses a slot: the most urgent check begins, and its first transmission can be polled. False if there was none,
    /// and the slot is left to others.
    pub fn take_slot(&mut self, now: Instant, rng: &mut Random) -> bool {
        let now = self.advance(now);
        self.catch_up();
        let open = self.open_limit();
        if self.peer.is_none() || self.is_passive() || !self.transactions.make_room(open) {
            return false;
        }
        if !self.started && !self.pairs.as_slice().is_empty() {
            self.started = true;
            self.pairs.thaw_initial();
        }
        let insisted = self.insisted;
        let choice = self
            .choose_nomination(!insisted)
            .or_else(|| self.choose_triggered())
            .or_else(|| self.choose_ordinary())
            .or_else(|| if insisted { self.choose_nomination(true) } else { None });
        if let Some(choice) = choice {
            self.insisted = choice.again;
            self.start_check(now, rng, choice, open);
        }
        self.settle_check(now);
        choice.is_some()
    }

    pub(crate) fn next_urgency(&self) -> Option<Urgency> {
        if self.peer.is_none() || self.is_passive() || !self.has_room() {
            return None;
        }
        if self.choose_nomination(!self.insisted).is_some() {
            return Some(Urgency::Nomination);
        }
        let ready = |id: &PairId| self.pairs.get(*id).is_some_and(is_turn);
        if self.streams.iter().any(|checklist| checklist.triggered.iter().any(ready)) {
            return Some(Urgency::Triggered);
        }
        let ordinary = if self.started {
            self.pairs.may_have_ordinary()
                && !self.is_resting()
                && (self.pairs.is_any_ready()
                    || self.streams.iter().any(|checklist| self.pairs.has_ordinary(checklist.order)))
        } else {
            self.pairs.iter().any(|pair| pair.listed)
        };
        let insists = || self.insisted && self.choose_nomination(true).is_some();
        (ordinary || insists()).then_some(Urgency::Ordinary)
    }

    /// Nominations stand before everything: each costs its component a round trip. One that is made `again`, of several the
    /// one that waits the longest, does so in each second slot only, unless nothing else is to be begun: RFC 8445 §6.1.4.2
    /// has all checklists take turns, and a path that has died would hold up the checks of all others.
    #[inline]
    fn choose_nomination(&self, again: bool) -> Option<Choice> {
        if self.is_any_nominated() { self.first_nomination(again) } else { None }
    }

    #[inline(never)]
    fn is_any_nominated(&self) -> bool {
        let nominates = |list: &Checklist| list.components.iter().any(|of| of.nomination.is_some());
        self.streams.iter().any(nominates)
    }

    #[inline(never)]
    fn first_nomination(&self, again: bool) -> Option<Choice> {
        let ready =
            |pair: &&Pair| pair.nominating && matches!(pair.state, PairState::Succeeded | PairState::Waiting);
        let mut made: Option<&Pair> = None;
        for checklist in &self.streams {
            for component in &checklist.components {
                let Some(nomination) = component.nomination else { continue };
                let Some(pair) = self.pairs.get(nomination).filter(ready) else { continue };
                if !self.is_nomination_open(pair) {
                    return Some(Choice { pair: pair.id, urgency: Urgency::Nomination, again: false });
                }
                if made.is_none_or(|made| pair.last_start < made.last_start) {
                    made = Some(pair);
                }
            }
        }
        let made = made.filter(|_| again)?;
        Some(Choice { pair: made.id, urgency: Urgency::Nomination, again: true })
    }

    /// RFC 8445 §6.1.4.2 step 1, over all checklists by turns. The pair has left the queue when its check begins.
    fn choose_triggered(&mut self) -> Option<Choice> {
        let count = self.streams.len();
        for step in 0..count {
            let turn = usize::from(self.turn).saturating_add(step).checked_rem(count)?;
            let (pairs, checklist) = (&self.pairs, self.streams.get_mut(turn)?);
            let ready = |id: &PairId| pairs.get(*id).is_some_and(is_turn);
            let Some(place) = checklist.triggered.iter().position(ready) else { continue };
            let pair = checklist.triggered.remove(place);
            self.pass_turn(turn);
            return Some(Choice { pair, urgency: Urgency::Triggered, again: false });
        }
        None
    }

    /// After this checklist it is the turn of the next.
    fn pass_turn(&mut self, turn: usize) {
        self.turn = u16::try_from(turn).unwrap_or(0).saturating_add(1);
    }

    /// Whether another transaction may begin.
    fn has_room(&self) -> bool {
        // No limit in force is below this one.
        self.transactions.len() < TRANSACTION_LIMIT || self.transactions.has_room(self.open_limit())
    }

    /// Transactions that may be open at once.
    pub(crate) fn open_limit(&self) -> usize {
        transaction_limit(self.limit_of(self.config.pair_limit))
    }

    /// RFC 8445 §6.1.4.2 steps 2 to 4.
    fn choose_ordinary(&mut self) -> Option<Choice> {
        if self.is_resting() {
            return None;
        }
        let count = self.streams.len();
        for step in 0..count {
            let turn = usize::from(self.turn).saturating_add(step).checked_rem(count)?;
            let order = self.streams.get(turn)?.order;
            if let Some(pair) = self.pairs.next_ordinary(order) {
                self.pass_turn(turn);
                return Some(Choice { pair, urgency: Urgency::Ordinary, again: false });
            }
        }
        None
    }

    /// Whether ordinary checks wait, since in each component either the answer to a nomination of ours is awaited or the
    /// nomination by the peer, and what is left is worse. RFC 8445 §8.1.1 leaves open when checks stop; here they stop
    /// for a round trip, and go on where it has brought nothing.
    #[inline(never)]
    pub(crate) fn is_resting(&self) -> bool {
        let mut any = false;
        for checklist in &self.streams {
            for component in &checklist.components {
                let rests = match component.nomination {
                    Some(id) => self.awaits_answer(id),
                    None => component.rest_until.is_some_and(|until| self.now < until),
                };
                if !rests && (!component.concluded || component.nomination.is_some()) {
                    return false;
                }
                any |= rests;
            }
        }
        any
    }

    /// Whether the answer to the first request that nominates this pair is awaited, and not for long.
    #[inline(never)]
    fn awaits_answer(&self, id: PairId) -> bool {
        let requests = self.transactions.iter().filter(|check| check.pair == id && check.use_candidate);
        // A request that no other may follow is awaited for long: nothing rests for that.
        let soon = |pair: &Pair| {
            pair.state != PairState::InProgress || pair.fresh_at.is_some_and(|at| self.now < at)
        };
        requests.count() <= 1 && self.pairs.get(id).is_some_and(soon)
    }

    /// Where ordinary checks rest, what is Frozen thaws all the same (RFC 8445 §6.1.4.2 step 2).
    pub(crate) fn thaw_at_rest(&mut self) {
        if !self.pairs.may_have(Traits::FROZEN) || !self.started || self.peer.is_none() || !self.is_resting()
        {
            return;
        }
        for checklist in &self.streams {
            if self.pairs.has_frozen(checklist.order) {
                self.pairs.next_ordinary(checklist.order);
            }
        }
    }

    /// The peer, which controls, is about to nominate where the best pair of all has become valid. Decided where it is
    /// another pair that may be the best than before (`reordered`).
    pub(crate) fn decide_rest(&mut self, reordered: bool) {
        let (controlled, ta) = (self.standing.role == Role::Controlled, self.ta_in_force());
        let ranked = self.ranked;
        let risen = self.pairs.take_risen();
        for checklist in &mut self.streams {
            let stream = checklist.stream;
            for component in &mut checklist.components {
                component.unrivalled = component.unrivalled.filter(|_| !risen);
                let rests = controlled && !component.concluded;
                component.rest_until = component.rest_until.filter(|until| rests && self.now < *until);
                if !rests || !reordered {
                    continue;
                }
                component.rest_until = None;
                let best = self.pairs.most_worthy(stream, component.id, |pair| pair.listed && !pair.relayed);
                let Some((best, valid)) = best.and_then(|best| Some((best, best.valid.as_ref()?))) else {
                    component.unrivalled = None;
                    continue;
                };
                let until = rest_until(ta, best, valid);
                let worth = best.worth_at(valid.priority);
                let rival = |pair: &Pair| {
                    pair.listed
                        && pair.id != best.id
                        && !pair.state.is_settled()
                        && pair.is_of(stream, component.id)
                        && pair.worth() > worth
                };
                // What had no rival has none as long as no other pair has risen.
                if self.now < until
                    && (component.unrivalled == Some(best.id)
                        || !self.pairs.likely_worthier(worth, ranked).any(rival))
                {
                    (component.rest_until, component.unrivalled) = (Some(until), Some(best.id));
                }
            }
        }
    }

    /// Whether it is decided as before how long ordinary checks rest, when this pair of a component has become valid: no other
    /// component waits for a nomination, and this one for that of a pair that is worth more.
    pub(crate) fn rests_above(&self, of: &Component, pair: &Pair, valid: &Valid) -> bool {
        let rests_for = |best: &Pair, entry: &Valid| {
            let worth = best.worth_at(entry.priority);
            of.rest_until == Some(rest_until(self.ta_in_force(), best, entry))
                && worth > pair.worth_at(valid.priority)
                && worth >= pair.worth()
        };
        let best = of.unrivalled.and_then(|best| self.pairs.get(best));
        let mut all = self.streams.iter().flat_map(|checklist| &checklist.components);
        all.all(|other| other.concluded || core::ptr::eq(other, of))
            && (of.concluded
                || best.is_some_and(|best| best.valid.as_ref().is_some_and(|entry| rests_for(best, entry))))
    }

    fn start_check(&mut self, now: Instant, rng: &mut Random, choice: Choice, open: usize) {
        let (ta, role, tiebreaker) = (self.ta_in_force(), self.standing.role, self.standing.tiebreaker);
        // Counted only where it matters.
        let all = self.pairs.as_slice().len();
        let longest = transactions::schedule(ta, all);
        let schedule = if longest.rto > transactions::MIN_RTO {
            transactions::schedule(ta, self.pairs.count_active())
        } else {
            longest
        };
        let nominate = choice.urgency == Urgency::Nomination;
        let value = if nominate { self.next_value(choice.pair) } else { None };
        self.transactions.expect(all);
        let Some(pair) = self.pairs.get_mut(choice.pair) else { return };
        let first = pair.first_check.is_none();
        if !first {
            // Earlier transactions of the pair are sent no more; their answers still count.
            self.transactions.cancel(choice.pair);
        }
        pair.step(if pair.state == PairState::Succeeded { PairEvent::Nominate } else { PairEvent::Start });
        pair.queued &= choice.urgency != Urgency::Triggered;
        pair.first_check.get_or_insert(now);
        (pair.last_start, pair.rto) = (Some(now), schedule.rto);
        pair.started_heard = pair.heard;
        pair.failure = None;
        pair.fresh_used = pair.fresh_used.saturating_add(u8::from(!first));
        let may_follow = (pair.heard || nominate) && pair.fresh_used < FRESH_LIMIT;
        pair.fresh_at = may_follow.then(|| now.after(fresh_interval(ta, pair.rtt)));
        let mut transaction = Transaction::new(now, rng.transaction_id(), schedule);
        let id = transaction.id();
        if transaction.take_transmission() {
            self.outbox.push(Outgoing::Check(id), open);
        }
        self.transactions.push(Check {
            transaction,
            pair: pair.id,
            base: pair.base,
            to: pair.to,
            role,
            tenure: self.standing.tenure,
            tiebreaker,
            priority: pair.check_priority,
            use_candidate: nominate,
            value,
            heard: pair.heard || nominate,
            violated: false,
        });
    }

    /// Puts a pair into the triggered-check queue of its checklist, once (RFC 8445 §7.3.1.4).
    pub(crate) fn enqueue(&mut self, id: PairId) {
        self.transactions.cancel(id);
        let Some(pair) = self.pairs.get_mut(id) else { return };
        pair.step(PairEvent::Trigger);
        pair.fresh_at = None;
        let (stream, queued) = (pair.stream, core::mem::replace(&mut pair.queued, true));
        if let Some(checklist) = self.checklist_mut(stream).filter(|_| !queued) {
            checklist.triggered.push(id);
        }
    }

    /// Takes a pair out of its triggered-check queue.
    pub(crate) fn dequeue(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        if core::mem::take(&mut pair.queued) {
            let stream = pair.stream;
            if let Some(checklist) = self.checklist_mut(stream) {
                checklist.triggered.retain(|queued| *queued != id);
            }
        }
    }

    /// Unanswered checks to addresses that were heard from are followed by fresh ones.
    pub(crate) fn run_fresh(&mut self, now: Instant) {
        let overdue =
            |pair: &Pair| pair.state == PairState::InProgress && pair.fresh_at.is_some_and(|at| at <= now);
        while let Some(pair) = self.pairs.find_due(now, overdue) {
            let (id, nominating) = (pair.id, pair.nominating);
            if !nominating {
                self.enqueue(id);
                continue;
            }
            // The nomination has its turn by itself.
            self.transactions.cancel(id);
            if let Some(pair) = self.pairs.get_mut(id) {
                pair.step(PairEvent::Trigger);
                pair.fresh_at = None;
            }
        }
    }

    /// Retransmissions and failures.
    pub(crate) fn run_transactions(&mut self, now: Instant) {
        let (ta, open) = (self.ta_in_force(), self.open_limit());
        let mut floor = self.retransmit_floor;
        for check in self.transactions.iter_mut() {
            let due = check.transaction.poll_timeout();
            let kept_apart = check.is_kept_apart();
            if due.is_none_or(|due| now < due) || (kept_apart && now < floor) {
                continue;
            }
            check.transaction.handle_timeout(now);
            if check.transaction.take_transmission() {
                self.outbox.push(Outgoing::Check(check.transaction.id()), open);
                // A host that slept, or a long list: an address that has not answered is sent to at the pace of Ta,
                // first transmissions and others each.
                floor = if kept_apart { now.after(ta) } else { floor };
            }
        }
        self.retransmit_floor = floor;
        while let Some(place) = self.transactions.iter().position(|check| check.transaction.is_timed_out()) {
            let Some(check) = self.transactions.take(now, place) else { return };
            if !check.cancelled {
                // RFC 8489 §9.1.4: when all answers were dropped for their integrity, the failure says so.
                let failure = if check.violated { Failure::IntegrityViolated } else { Failure::TimedOut };
                self.check_failed(&check, failure);
            }
        }
    }
}

/// Whether a pair of a triggered-check queue may be checked. One that is nominated has its turn by itself: an ordinary check
/// would take the place of its nomination.
fn is_turn(pair: &Pair) -> bool {
    pair.is_ready() && !pair.nominating
}

/// Until when ordinary checks wait for the nomination of the best pair.
fn rest_until(ta: Duration, best: &Pair, valid: &Valid) -> Instant {
    valid.since.after(fresh_interval(ta, best.rtt))
}

/// After how long an unanswered check is followed by a fresh one.
pub(crate) fn fresh_interval(ta: Duration, rtt: Option<Duration>) -> Duration {
    let wait = match rtt {
        Some(rtt) => rtt.saturating_mul(3).checked_div(2).unwrap_or(rtt).max(Duration::from_millis(100)),
        None => Duration::from_millis(150),
    };
    wait.max(ta)
}
