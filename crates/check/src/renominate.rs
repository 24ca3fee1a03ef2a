//! Renomination: the selected pair may change while a generation lives (renomination drafts of 2026 and 02); and what is
//! suggested where it may not.

use core::time::Duration;

use floe_pair::{BaseId, ComponentId, IceOptions, Parameters, Role, StreamId};
use floe_stun::Instant;

use crate::ChecklistSet;
use crate::event::{MoveReason, RestartReason};
use crate::pairs::{Pair, PairId, Worth};
use crate::standby::kept_for;
use crate::state::{PairEvent, PairState};

/// How often a component may move to a better pair of its own accord: where several come true one after another, the
/// best of them is moved to once.
const MOVE_INTERVAL: Duration = Duration::from_millis(500);
/// Answers that make a pair count as faster, or as alive again: at one each 5 s a quarter of a minute.
const STEADY_ANSWERS: u8 = 3;
/// For how long the selected pair may leave requests unanswered before it is left for a pair that does answer: three
/// requests at the usual interval. That is early enough to be before the liveness time and the end of consent. At longer
/// intervals it is as long as two of them take: one lost request is no silence.
const SILENT: Duration = Duration::from_secs(15);
/// Nominations of a silent pair that have to be unanswered before another is nominated: with half of all datagrams lost, three
/// consent requests in a row are lost more often than ten of these.
const VAIN_REQUESTS: usize = 10;
/// How much faster than half the time of the selected pair.
const FASTER_BY: Duration = Duration::from_millis(20);

/// Which form of renomination both agents have agreed upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Renomination {
    /// None: one nomination for each component (RFC 8445 §8.1.1).
    #[default]
    Off,
    /// `renomination2`: every nomination has a NOMINATION attribute, and the greatest value counts.
    Renomination2,
    /// `renomination`, the older form: the greatest value counts, and any value more than none.
    Legacy,
}

impl Renomination {
    /// What is in use where both sides have signalled these options.
    pub(crate) fn agreed(ours: &IceOptions, theirs: &Parameters, legacy: bool) -> Self {
        let both = |tag| ours.has(tag) && theirs.options.has(tag);
        if both(IceOptions::RENOMINATION2) {
            Self::Renomination2
        } else if legacy && both(IceOptions::RENOMINATION) {
            Self::Legacy
        } else {
            Self::Off
        }
    }
}

/// Nominations and moves of one component.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    /// The value of our latest nomination request; 0 before the first.
    pub sent: u32,
    /// The greatest value of ours that was accepted.
    pub confirmed: u32,
    /// The greatest value of the peer that we accepted.
    pub accepted: Option<u32>,
    /// Why the nomination under way was begun.
    pub reason: Option<MoveReason>,
    /// A move that was not told yet.
    pub told: Option<MoveReason>,
    /// When the component moved last.
    pub at: Option<Instant>,
    /// Suggestions made, and those not told yet, as bits of [`RestartReason`].
    suggested: u8,
    untold: u8,
}

impl Moves {
    const REASONS: [RestartReason; 4] =
        [RestartReason::Better, RestartReason::Direct, RestartReason::Lost, RestartReason::Policy];

    /// Once for each reason, until that is forgotten.
    pub(crate) fn suggest(&mut self, reason: RestartReason) {
        let bit = 1_u8.checked_shl(reason as u32).unwrap_or(0);
        self.untold |= bit & !self.suggested;
        self.suggested |= bit;
    }

    /// The reason is no more; where it comes again, that is another one.
    pub(crate) fn forget(&mut self, reason: RestartReason) {
        let bit = 1_u8.checked_shl(reason as u32).unwrap_or(0);
        self.untold &= !bit;
        self.suggested &= !bit;
    }

    /// Whether there is a move or a suggestion to tell of.
    pub(crate) fn is_untold(&self) -> bool {
        self.told.is_some() || self.untold != 0
    }

    pub(crate) fn poll_suggestion(&mut self) -> Option<RestartReason> {
        let reason = Self::REASONS
            .into_iter()
            .find(|reason| self.untold & 1_u8.checked_shl(*reason as u32).unwrap_or(0) != 0)?;
        self.untold &= !1_u8.checked_shl(reason as u32).unwrap_or(0);
        Some(reason)
    }
}

/// What a request with USE-CANDIDATE says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nominates {
    /// The peer's tiebreaker.
    pub by: floe_pair::TieBreaker,
    /// NOMINATION.
    pub value: Option<u32>,
    /// The same in the older form.
    pub legacy: Option<u32>,
}

impl ChecklistSet {
    /// Which form of renomination is in use; [`Renomination::Off`] while the peer's parameters are not known.
    pub fn renomination(&self) -> Renomination {
        self.peer.as_ref().map_or(Renomination::Off, |peer| peer.renomination)
    }

    pub(crate) fn is_renominating(&self) -> bool {
        self.renomination() != Renomination::Off
    }

    /// The value that a nomination request which begins now has. A fresh transaction is another request, and has a
    /// greater value than the one before.
    pub(crate) fn next_value(&mut self, nominated: PairId) -> Option<u32> {
        if !self.is_renominating() {
            return None;
        }
        let (stream, component) = self.pairs.get(nominated).map(|pair| (pair.stream, pair.component))?;
        let moves = &mut self.component_mut(stream, component)?.moves;
        moves.sent = moves.sent.saturating_add(1);
        Some(moves.sent)
    }

    /// Whether a nomination of the peer is newer than all that were accepted; `None` where values do not count. `early`:
    /// it came before the peer's parameters, when nobody could know which form is in use.
    pub(crate) fn is_newer(
        &self,
        stream: StreamId,
        component: ComponentId,
        nominates: Nominates,
        early: bool,
    ) -> Option<bool> {
        let accepted = self.component(stream, component)?.moves.accepted;
        match self.renomination() {
            Renomination::Off => None,
            Renomination::Renomination2 => match nominates.value {
                Some(value) => Some(accepted.is_none_or(|accepted| value > accepted)),
                // Renomination draft §3.3: without a value it is ignored, but for one that came too early.
                None if early => None,
                None => Some(false),
            },
            // Draft 02 §4: the largest value; any value before none; without values the last.
            Renomination::Legacy => Some(match (nominates.legacy, accepted) {
                (Some(value), Some(accepted)) => value > accepted,
                (None, Some(_)) => false,
                (_, None) => true,
            }),
        }
    }

    /// Notes the value of a nomination that is accepted.
    #[inline(never)]
    pub(crate) fn accept_value(&mut self, stream: StreamId, component: ComponentId, nominates: Nominates) {
        let value = match self.renomination() {
            Renomination::Off => return,
            Renomination::Renomination2 => nominates.value,
            Renomination::Legacy => nominates.legacy,
        };
        if let Some(component) = self.component_mut(stream, component) {
            component.moves.accepted = value.or(component.moves.accepted);
        }
    }
}

impl ChecklistSet {
    /// Where a component has a selected pair: whether another one is nominated in its place, if that was negotiated.
    pub(crate) fn decide_moves(&mut self, now: Instant) {
        if self.standing.role != Role::Controlling || !self.is_renominating() {
            return;
        }
        for index in 0..self.streams.len() {
            let Some(checklist) = self.streams.get(index) else { return };
            let stream = checklist.stream;
            for place in 0..checklist.components.len() {
                let Some(component) = self.streams.get(index).and_then(|list| list.components.get(place))
                else {
                    break;
                };
                let (id, under_way) = (component.id, component.nomination);
                if component.concluded && under_way.is_none_or(|nomination| self.gives_up(now, nomination)) {
                    self.decide_move(now, stream, id);
                }
            }
        }
    }

    /// Renomination draft §3.3: a nomination may be overtaken by one of a greater value at any time. So it is where the pair to
    /// be moved to is silent by now, as the selected one is, several requests were in vain, and another pair answers. True if
    /// it was taken back.
    fn gives_up(&mut self, now: Instant, nomination: PairId) -> bool {
        let Some(nominee) = self.nominee(nomination).filter(|nominee| self.is_silent(now, nominee)) else {
            return false;
        };
        let (id, stream, component) = (nominee.id, nominee.stream, nominee.component);
        let selected = self.component(stream, component).and_then(|of| self.pairs.get(of.selected?));
        let answers = |(pair, _): (&Pair, _)| {
            pair.listed && !pair.wish.vetoed && !self.is_silent(now, pair) && self.pairs.can_nominate(pair)
        };
        let sent = self.transactions.iter().filter(|check| check.pair == nomination && check.use_candidate);
        // One that no fresh one may follow is not answered for long.
        let is_last = |pair: &Pair| pair.state == PairState::InProgress && pair.fresh_at.is_none();
        if (sent.count() < VAIN_REQUESTS && !self.pairs.get(nomination).is_some_and(is_last))
            || selected.is_some_and(|selected| !self.is_silent(now, selected))
            || !self.pairs.valid(stream, component).any(answers)
        {
            return false;
        }
        self.take_back_nomination(stream, component);
        if let Some(of) = self.component_mut(stream, component) {
            // What was sent may be answered yet, and the peer have moved.
            of.confirmed = false;
        }
        self.transactions.cancel(nomination);
        self.dequeue(nomination);
        if let Some(pair) = self.pairs.get_mut(nomination) {
            pair.step(PairEvent::Succeed);
            pair.fresh_at = None;
        }
        if let Some(valid) = self.pairs.get_mut(id).and_then(|pair| pair.valid.as_mut()) {
            valid.doubt = STEADY_ANSWERS;
        }
        true
    }

    fn decide_move(&mut self, now: Instant, stream: StreamId, component: ComponentId) {
        let Some((producer, reason)) = self.better_pair(now, stream, component) else { return };
        let Some(of) = self.component_mut(stream, component) else { return };
        let forced = matches!(reason, MoveReason::Lost | MoveReason::Policy);
        let earliest = of.moves.at.map_or(now, |at| at.after(MOVE_INTERVAL));
        if !forced && earliest > now {
            of.hold = Some(earliest);
            return;
        }
        (of.nomination, of.moves.reason) = (Some(producer), Some(reason));
        let left = of.selected;
        if let Some(pair) = self.pairs.get_mut(producer) {
            pair.nominating = true;
        }
        if let Some(pair) = left.and_then(|id| self.pairs.get_mut(id)) {
            pair.slow |= reason == MoveReason::Faster;
            if let Some(valid) = pair.valid.as_mut().filter(|_| reason == MoveReason::Lost) {
                valid.doubt = STEADY_ANSWERS;
            }
        }
    }

    /// Whether a pair has left consent requests unanswered for so long that another one is better.
    fn is_silent(&self, now: Instant, pair: &Pair) -> bool {
        let consent = pair.valid.as_ref().and_then(|valid| valid.consent.as_ref());
        consent.is_some_and(|consent| consent.is_silent(now, SILENT.max(kept_for(self.config.consent))))
    }

    /// The valid pair that a component would be better off with, as the pair whose check is repeated, and why.
    fn better_pair(
        &self,
        now: Instant,
        stream: StreamId,
        component: ComponentId,
    ) -> Option<(PairId, MoveReason)> {
        let of = self.component(stream, component)?;
        let commanded = |pair: &Pair| of.commanded == Some(pair.id);
        // Greater is better. A pair that was left because it is slow is not gone back to for its priority.
        let order = |pair: &Pair, worth: Worth| {
            let (pinned, rank, lasting, direct, priority) = worth;
            ((!pair.wish.vetoed, commanded(pair), pinned, rank, lasting), direct, !pair.slow, priority)
        };
        let silent = |pair: &Pair| self.is_silent(now, pair);
        // Where nothing is selected, one that is silent is better than none: its consent lasts yet.
        let bereft = of.selected.is_none();
        let fit = |pair: &Pair| {
            pair.listed && (bereft || !silent(pair)) && !pair.wish.vetoed && self.pairs.can_nominate(pair)
        };
        let selected = of.selected.and_then(|id| self.pairs.get(id));
        let well = selected.is_some_and(|selected| !silent(selected));
        let valid = || {
            let valid = self.pairs.valid(stream, component).filter(|(pair, _)| fit(pair));
            valid.filter(|(pair, valid)| !well || valid.doubt == 0 || Some(pair.id) == of.selected)
        };
        let best =
            valid().max_by_key(|(pair, valid)| (!silent(pair), order(pair, pair.worth_at(valid.priority))));
        let (best, best_valid) = best?;
        let Some(selected) = selected else {
            return Some((best_valid.producer, MoveReason::Lost));
        };
        if best.id != selected.id && silent(selected) {
            return Some((best_valid.producer, MoveReason::Lost));
        }
        let held = order(selected, selected.worth_at(selected.valid.as_ref()?.priority));
        let offered = order(best, best.worth_at(best_valid.priority));
        if best.id != selected.id && offered > held {
            let reason = match (offered.0 != held.0, offered.1 != held.1, offered.2 != held.2) {
                (true, _, _) => MoveReason::Policy,
                (_, true, _) => MoveReason::Direct,
                (_, _, true) => MoveReason::Faster,
                _ => MoveReason::Better,
            };
            return Some((best_valid.producer, reason));
        }
        let alike = |pair: &Pair| {
            let of = order(pair, pair.worth());
            (of.0, of.1) == (held.0, held.1)
        };
        let (_, faster) = valid().find(|(pair, valid)| {
            pair.id != selected.id && valid.faster >= STEADY_ANSWERS && !pair.slow && alike(pair)
        })?;
        Some((faster.producer, MoveReason::Faster))
    }

    /// A consent answer has given the round-trip time of a pair: it is compared with that of the selected one.
    pub(crate) fn compare_rtt(&mut self, id: PairId, rtt: Duration) {
        let Some(pair) = self.pairs.get(id) else { return };
        let selected = self.component(pair.stream, pair.component).and_then(|component| component.selected);
        let Some(held) = selected.filter(|selected| *selected != id).and_then(|id| self.pairs.get(id)?.rtt)
        else {
            return;
        };
        let faster = rtt.saturating_mul(2).saturating_add(FASTER_BY) < held;
        if let Some(valid) = self.pairs.get_mut(id).and_then(|pair| pair.valid.as_mut()) {
            valid.faster = if faster { valid.faster.saturating_add(1) } else { 0 };
        }
    }

    /// The selected pair is vetoed, and nothing but a restart can bring another.
    pub(crate) fn suggest_where_vetoed(&mut self, stream: StreamId, component: ComponentId) {
        let selected = self.component(stream, component).and_then(|of| self.pairs.get(of.selected?));
        let vetoed = selected.is_some_and(|pair| pair.wish.vetoed);
        let stuck = vetoed && !self.is_renominating() && !self.is_passive();
        if let Some(of) = self.component_mut(stream, component).filter(|_| stuck) {
            of.moves.suggest(RestartReason::Policy);
        }
    }

    /// The selected pair is about to end, and this side may not move, or its peer cannot know: a restart is what it can do.
    pub(crate) fn suggest_where_replaced(&mut self, stream: StreamId, component: ComponentId, base: BaseId) {
        let selected = self.component(stream, component).and_then(|of| self.pairs.get(of.selected?));
        let moves = self.is_renominating() && self.standing.role == Role::Controlling;
        let replaced = !moves && selected.is_some_and(|pair| pair.replaced && pair.base == base);
        if let Some(of) = self.component_mut(stream, component).filter(|_| replaced) {
            of.moves.suggest(RestartReason::Policy);
        }
    }

    /// Without renomination a selected pair is not left: where another would be better, a restart is suggested.
    pub(crate) fn suggest_restart(&mut self, id: PairId) {
        if self.is_renominating() || self.is_passive() {
            return;
        }
        let Some(pair) = self.pairs.get(id).filter(|pair| pair.valid.is_some() && !pair.wish.vetoed) else {
            return;
        };
        let (stream, component) = (pair.stream, pair.component);
        let Some(of) = self.component(stream, component).filter(|of| of.concluded) else { return };
        let Some(selected) = of.selected.filter(|selected| *selected != id).and_then(|id| self.pairs.get(id))
        else {
            return;
        };
        let ((pinned, rank, lasting, direct, priority), held) = (pair.worth(), selected.worth());
        let (wanted, of_held) = ((pinned, rank, lasting), (held.0, held.1, held.2));
        let reason = if selected.wish.vetoed || wanted > of_held {
            RestartReason::Policy
        } else if wanted < of_held {
            return;
        } else if direct != held.3 {
            if !direct {
                return;
            }
            RestartReason::Direct
        } else if pair.late && priority > held.4 {
            // Among pairs that were checked together, the nomination has weighed the priorities already.
            RestartReason::Better
        } else {
            return;
        };
        if let Some(of) = self.component_mut(stream, component) {
            of.moves.suggest(reason);
            self.stirred = true;
        }
    }
}
