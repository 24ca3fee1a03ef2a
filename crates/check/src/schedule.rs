//! Which check goes next (RFC 8445 §6.1.4.2), and how it begins.

use core::time::Duration;

use floe_stun::{Instant, Random, Transaction};

use crate::ChecklistSet;
use crate::freeze::{self, Freezable};
use crate::limits::FRESH_LIMIT;
use crate::outbox::Outgoing;
use crate::pairs::{Failure, Pair, PairId};
use crate::state::{PairEvent, PairState};
use crate::transactions::{self, Check};

/// How much a set wants a slot. The greater goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// An ordinary check.
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
}

impl ChecklistSet {
    /// Whether a check is ready to begin, and how urgent it is.
    pub fn wants_slot(&self) -> Option<Urgency> {
        self.wants
    }

    /// Uses a slot: the most urgent check begins, and its first transmission can be polled. False if there was none,
    /// and the slot is left to others.
    pub fn take_slot(&mut self, now: Instant, rng: &mut Random) -> bool {
        let now = self.advance(now);
        if self.peer.is_none() || self.is_passive() || !self.transactions.make_room() {
            return false;
        }
        if !self.started && !self.pairs.as_slice().is_empty() {
            self.started = true;
            freeze::initial(self.pairs.as_mut_slice());
        }
        let choice =
            self.choose_nomination().or_else(|| self.choose_triggered()).or_else(|| self.choose_ordinary());
        if let Some(choice) = choice {
            self.start_check(now, rng, choice);
        }
        self.settle(now);
        choice.is_some()
    }

    pub(crate) fn next_urgency(&self) -> Option<Urgency> {
        if self.peer.is_none() || self.is_passive() || !self.transactions.has_room() {
            return None;
        }
        if self.choose_nomination().is_some() {
            return Some(Urgency::Nomination);
        }
        let ready = |id: &PairId| self.pairs.get(*id).is_some_and(Freezable::is_ready);
        if self.streams.iter().any(|checklist| checklist.triggered.iter().any(ready)) {
            return Some(Urgency::Triggered);
        }
        let ordinary = if self.started {
            self.streams.iter().any(|checklist| freeze::has_ordinary(self.pairs.as_slice(), checklist.order))
        } else {
            self.pairs.iter().any(|pair| pair.listed)
        };
        ordinary.then_some(Urgency::Ordinary)
    }

    /// Nominations stand before everything: each costs its component a round trip.
    fn choose_nomination(&self) -> Option<Choice> {
        self.streams
            .iter()
            .flat_map(|checklist| &checklist.components)
            .filter_map(|component| self.pairs.get(component.nomination?))
            .find(|pair| pair.nominating && matches!(pair.state, PairState::Succeeded | PairState::Waiting))
            .map(|pair| Choice { pair: pair.id, urgency: Urgency::Nomination })
    }

    /// RFC 8445 §6.1.4.2 step 1, over all checklists by turns.
    fn choose_triggered(&mut self) -> Option<Choice> {
        let count = self.streams.len();
        for step in 0..count {
            let turn = self.turn.saturating_add(step).checked_rem(count)?;
            let (pairs, checklist) = (&self.pairs, self.streams.get_mut(turn)?);
            let ready = |id: &PairId| pairs.get(*id).is_some_and(Freezable::is_ready);
            let Some(place) = checklist.triggered.iter().position(ready) else { continue };
            let pair = checklist.triggered.remove(place)?;
            self.turn = turn.saturating_add(1);
            if let Some(pair) = self.pairs.get_mut(pair) {
                pair.queued = false;
            }
            return Some(Choice { pair, urgency: Urgency::Triggered });
        }
        None
    }

    /// RFC 8445 §6.1.4.2 steps 2 to 4.
    fn choose_ordinary(&mut self) -> Option<Choice> {
        let count = self.streams.len();
        for step in 0..count {
            let turn = self.turn.saturating_add(step).checked_rem(count)?;
            let order = self.streams.get(turn)?.order;
            let best = freeze::next_ordinary(self.pairs.as_mut_slice(), order);
            if let Some(pair) = best {
                self.turn = turn.saturating_add(1);
                return Some(Choice { pair: pair.id, urgency: Urgency::Ordinary });
            }
        }
        None
    }

    fn start_check(&mut self, now: Instant, rng: &mut Random, choice: Choice) {
        let (ta, role, tiebreaker) = (self.ta_in_force(), self.standing.role, self.standing.tiebreaker);
        let active = |pair: &&Pair| matches!(pair.state, PairState::Waiting | PairState::InProgress);
        let schedule = transactions::schedule(ta, self.pairs.iter().filter(active).count());
        // Earlier transactions of the pair are sent no more; their answers still count.
        self.transactions.cancel(choice.pair);
        let nominate = choice.urgency == Urgency::Nomination;
        let of = self.pairs.get(choice.pair).map(|pair| (pair.stream, pair.component));
        let value =
            of.filter(|_| nominate).and_then(|(stream, component)| self.next_value(stream, component));
        let Some(pair) = self.pairs.get_mut(choice.pair) else { return };
        let first = pair.first_check.is_none();
        pair.step(if pair.state == PairState::Succeeded { PairEvent::Nominate } else { PairEvent::Start });
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
            self.outbox.push(Outgoing::Check(id));
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
            checklist.triggered.push_back(id);
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
            |pair: &&Pair| pair.state == PairState::InProgress && pair.fresh_at.is_some_and(|at| at <= now);
        while let Some(pair) = self.pairs.iter().find(overdue) {
            let (id, nominating) = (pair.id, pair.nominating);
            if !nominating {
                self.enqueue(id);
                continue;
            }
            // The nomination stands at the head of all queues by itself.
            self.transactions.cancel(id);
            if let Some(pair) = self.pairs.get_mut(id) {
                pair.step(PairEvent::Trigger);
                pair.fresh_at = None;
            }
        }
    }

    /// When a transaction has to be looked at.
    pub(crate) fn transaction_due(&self, check: &Check) -> Option<Instant> {
        let due = check.transaction.poll_timeout()?;
        let kept_apart = !check.heard && !check.transaction.is_cancelled();
        Some(if kept_apart { due.max(self.retransmit_floor) } else { due })
    }

    /// Retransmissions and failures.
    pub(crate) fn run_transactions(&mut self, now: Instant) {
        let ta = self.ta_in_force();
        let mut floor = self.retransmit_floor;
        for check in self.transactions.iter_mut() {
            let due = check.transaction.poll_timeout();
            let kept_apart = !check.heard && !check.transaction.is_cancelled();
            if due.is_none_or(|due| now < due) || (kept_apart && now < floor) {
                continue;
            }
            check.transaction.handle_timeout(now);
            if check.transaction.take_transmission() {
                self.outbox.push(Outgoing::Check(check.transaction.id()));
                // A host that slept, or a long list: an address that has not answered is sent to at the pace of Ta,
                // first transmissions and others each.
                floor = if kept_apart { now.after(ta) } else { floor };
            }
        }
        self.retransmit_floor = floor;
        while let Some(id) = self
            .transactions
            .iter()
            .find(|check| check.transaction.is_timed_out())
            .map(|check| check.transaction.id())
        {
            let Some(check) = self.transactions.take(id) else { break };
            if !check.transaction.is_cancelled() {
                // RFC 8489 §9.1.4: when all answers were dropped for their integrity, the failure says so.
                let failure = if check.violated { Failure::IntegrityViolated } else { Failure::TimedOut };
                self.check_failed(&check, failure);
            }
        }
    }
}

/// After how long an unanswered check is followed by a fresh one.
pub(crate) fn fresh_interval(ta: Duration, rtt: Option<Duration>) -> Duration {
    let wait = match rtt {
        Some(rtt) => rtt.saturating_mul(3).checked_div(2).unwrap_or(rtt).max(Duration::from_millis(100)),
        None => Duration::from_millis(150),
    };
    wait.max(ta)
}
