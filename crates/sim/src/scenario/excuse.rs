//! Why a lossy session came to less than what was possible: from the trace alone.
//!
//! The way to a connection is a chain of steps, each with transactions that make it: both sides learn their reflexive
//! addresses or get their relays, each side's checks are answered, a nomination is answered. A session is excused only
//! if the trace shows, for one step that was needed, that transmissions were lost and that none got through in time.
//!
//! **Tries.** Each transmission of a check is a try. One that no gate would have let through at that moment (RFC 4787
//! §5: the other side had not yet sent anything to where it came from) is none: it could not succeed and is nobody's
//! loss, neither if it was filtered nor if it was lost before it came to the gate. So a session in which every try was
//! merely filtered has no excuse: at least one that would have passed has to be lost.
//!
//! **A relay where a direct path was possible.** The side that nominated the relayed pair had no direct check answered
//! until then. It is excused, for each component on a relay by itself,
//! - if the reflexive address that the direct path needs could not be learned in time: every question for it was lost
//!   (without trickling, nothing is told before the last question of gathering is answered, so that each of them is
//!   needed). In time means: so long before the nomination as signalling, two round trips and a turn among all that wants
//!   a slot take; or, where each try of a side came before the other side could open the way for it, so long before the
//!   last of these tries;
//! - or if every direct try until then was lost. What was lost so late that its answer would have come after the
//!   nomination is no reason. Once the side has accepted a direct check of the other side, it has to try that path
//!   itself (RFC 8445 §7.3.1.4), and from then on only the loss of its own tries is a reason.
//! - or if consent on every direct path that was kept was lost, because for 30 s every request or its answer was: with
//!   renomination the component goes on by another pair, and the credentials are spent for those (RFC 7675 §5.1);
//! - or if, with renomination, a direct pair was left in silence for a relay of the other side that came too late to be
//!   told, so that it can be told from no other peer-reflexive address (RFC 8838 §13);
//! - or if a side had not yet tried the direct path of this component, because its pairs waited frozen for the check of
//!   another component (RFC 8445 §6.1.2.6), and that one was held up by losses for one of the two reasons above.
//!
//! **No connection.** Every way there could have been is out of the question for one of the reasons above, without the
//! limit of a nomination (for a relay also because the other side's address could not be learned, so that no permission
//! was asked for it), or every check or every nomination of a side was lost, or consent ended because for 30 s every
//! request or its answer was lost (RFC 7675 §5.1).
//!
//! **Restarts.** What counts is the last generation: checks of the ones before it, and questions to STUN servers that
//! were answered before it, are left out. Allocations and permissions stay, unless they were given back before it.

use core::time::Duration;
use std::{collections::BTreeMap, net::SocketAddr};

use floe_agent::Event;
use floe_pair::{CandidateType, ComponentId, StreamId};
use floe_stun::{Instant, Method};

use super::{
    Excuse, Scenario,
    evidence::{Access, Deal, Evidence, Try},
    outcome::Part,
};
use crate::net::{Entry, Trickle};

/// Slots after which a step that was ready has begun: as many as an agent waits before it nominates what it has.
const SLOTS: u32 = 20;
/// A check of a pair under way may be repeated no sooner than so long after the one before.
const FRESH: Duration = Duration::from_millis(150);
/// Consent ends so long after the last answer, and until then a request leaves each 4 to 6 s (RFC 7675 §5.1).
const EXPIRY: Duration = Duration::from_secs(30);
const LOST_CONSENT: usize = 4;

/// The excuse of a session that is not connected, or connected by a relay, if there is one.
pub(super) fn find(
    scenario: &Scenario,
    steps: &[Entry],
    events: &[(Instant, usize, Event)],
    connected: bool,
) -> Option<Excuse> {
    let trial = Trial { scenario, evidence: Evidence::collect(scenario, steps, events) };
    // At the instant of a restart nothing of the new generation has happened yet.
    let events = events.get(events.partition_point(|(at, ..)| *at < trial.evidence.since())..);
    let events = events.unwrap_or_default();
    let parts = (0..scenario.streams).flat_map(|stream| {
        (1..=scenario.components)
            .filter_map(ComponentId::new)
            .map(move |component| (StreamId(stream), component))
    });
    if connected {
        return trial.why_relayed(&parts.filter(|part| is_relayed(events, *part)).collect::<Vec<_>>());
    }
    let mut lost = events.iter().enumerate().filter_map(|(place, (at, side, event))| match event {
        Event::ConsentLost { stream, component } => {
            let part = (*stream, *component);
            let selected = |events: &[_]| last_selected(events, *side, part).is_some();
            // After a restart it may be the pair of an earlier generation, which is no reason for the last one to fail;
            // and none is a pair that another one has taken the place of, with renomination.
            let counts = trial.evidence.since() == Instant::ORIGIN || selected(events.get(..place)?);
            (counts && !selected(events.get(place..)?)).then_some((*at, *side))
        }
        _ => None,
    });
    // A component that never had a pair may have failed before. With renomination the last pair of one side may be one
    // that the other had left, and end by what that one says, while its own ends by losses a little later.
    if let Some((_, side)) = lost.find(|(at, side)| trial.is_consent_lost(*at, *side, events)) {
        return Some(Excuse::Consent(side));
    }
    let missing = |part: &Part| (0..2).any(|side| last_selected(events, side, *part).is_none());
    parts.into_iter().filter(missing).find_map(|part| trial.why_not_connected(part))
}

/// The types of the pair that a side has selected last for a component.
fn last_selected(events: &[(Instant, usize, Event)], side: usize, part: Part) -> Option<[CandidateType; 2]> {
    events.iter().rev().find_map(|(_, of, event)| match event {
        Event::Selected { stream, component, local, remote }
            if (*of, (*stream, *component)) == (side, part) =>
        {
            Some([local.kind, remote.kind])
        }
        _ => None,
    })
}

fn is_relayed(events: &[(Instant, usize, Event)], part: Part) -> bool {
    (0..2).any(|side| {
        last_selected(events, side, part).is_some_and(|types| types.contains(&CandidateType::Relayed))
    })
}

/// The rules, and what they are held against.
struct Trial<'a> {
    scenario: &'a Scenario,
    evidence: Evidence<'a>,
}

impl Trial<'_> {
    fn of(&self, part: Part) -> impl Iterator<Item = &Deal> {
        self.evidence.of(part)
    }

    /// At least as many consent requests as leave in that time were lost, or their answers; that no answer came is
    /// watched while the session runs. With renomination the pairs beside the lost one may have ended later, of what the
    /// other side says to a nomination: what was lost since the last move counts.
    fn is_consent_lost(&self, at: Instant, side: usize, events: &[(Instant, usize, Event)]) -> bool {
        let moved = events.iter().rev().find_map(|(when, of, event)| {
            let selected = matches!(event, Event::Selected { .. }) && *of == side && *when <= at;
            selected.then_some(*when)
        });
        let since = moved.filter(|_| self.scenario.renominates()).unwrap_or(at).min(before(at, EXPIRY));
        let lost = self.evidence.all().filter(|deal| {
            deal.side == side
                && is_check(deal)
                && (since..=at).contains(&deal.begun)
                && deal.lost().next().is_some()
        });
        lost.count() >= self.least_lost(side)
    }

    /// Why these components are on relays: each has to have a reason.
    fn why_relayed(&self, parts: &[Part]) -> Option<Excuse> {
        let reasons: Option<Vec<Excuse>> = parts.iter().map(|part| self.why_not_direct(*part)).collect();
        reasons?.first().copied()
    }

    fn why_not_direct(&self, part: Part) -> Option<Excuse> {
        let nominations = self.of(part).filter(|deal| deal.relayed && deal.nominates);
        let first = nominations.min_by_key(|deal| deal.begun)?;
        if let Some(side) = self.reflexive_missing(part, first.begun) {
            return Some(Excuse::Reflexive(side));
        }
        if self.is_direct_lost(part, first.side, first.begun) {
            return Some(Excuse::Checks(first.side));
        }
        if self.is_taken_for_direct(part, first) {
            return Some(Excuse::Relay(1_usize.saturating_sub(first.side)));
        }
        let held_up = self.either_held_up(part, first.begun);
        held_up.or_else(|| self.direct_consent_lost(part).map(Excuse::Consent))
    }

    /// With renomination a component has moved from a direct pair to the other side's relay, which came too late to be told
    /// (RFC 8838 §13): known from a check only, it looks like any reflexive address of a mapping by destination, and
    /// nobody can tell which of both is direct.
    fn is_taken_for_direct(&self, part: Part, nomination: &Deal) -> bool {
        let direct = |deal: &Deal| deal.nominates && is_direct(deal) && deal.done.is_some();
        self.scenario.renominates()
            && self.evidence.is_untold_relay(nomination.to)
            && self.of(part).any(|deal| direct(deal) && deal.begun < nomination.begun)
    }

    /// Who has lost consent on a direct path of a component, if each direct path there was has ended like this: after the
    /// last answer to one of the sides as many requests as leave in the time that consent lasts were lost, or their
    /// answers. Others had been left by a side: nothing came any more when the last of these had ended.
    fn direct_consent_lost(&self, part: Part) -> Option<usize> {
        let mut ways: BTreeMap<(usize, SocketAddr, SocketAddr), Vec<&Deal>> = BTreeMap::new();
        for deal in self.of(part).filter(|deal| is_direct(deal)) {
            ways.entry((deal.side, deal.from, deal.to)).or_default().push(deal);
        }
        ways.retain(|_, deals| deals.iter().any(|deal| deal.done.is_some()));
        let lost =
            ways.iter().filter_map(|((side, ..), deals)| Some((self.lost_after(*side, deals)?, *side)));
        let (latest, side) = lost.max()?;
        // The ends of a path as both sides know them, where it crosses the public address space.
        let mut paths: BTreeMap<[SocketAddr; 2], bool> = BTreeMap::new();
        for ((side, from, to), deals) in &ways {
            let (near, far) = deals.iter().find_map(|deal| deal.crossing()).unwrap_or((*from, *to));
            let ended = self.lost_after(*side, deals).is_some() || last_answer(deals) < latest.after(EXPIRY);
            *paths.entry([near.min(far), near.max(far)]).or_default() |= ended;
        }
        paths.into_values().all(|ended| ended).then_some(side)
    }

    /// The last answer on a way of a side, if after it as many requests as leave in the time that consent lasts were lost,
    /// or their answers. Who lets consent rest may have regained it since it ended first (RFC 7675 §5.1): then it has to
    /// have ended once more, with nothing but losses for what was asked before that.
    fn lost_after(&self, side: usize, deals: &[&Deal]) -> Option<Instant> {
        let asked = |last: Instant| {
            deals.iter().filter(move |deal| last <= deal.begun && deal.begun < last.after(EXPIRY))
        };
        let is_lost = |deal: &&&Deal| deal.lost().next().is_some();
        let first = Some(last_answer(deals))
            .filter(|last| asked(*last).filter(is_lost).count() >= self.least_lost(side));
        let regained =
            || deals.iter().filter_map(|deal| deal.done).max().filter(|_| self.scenario.suspends(side));
        let in_vain = |last: Instant| asked(last).next().is_some() && asked(last).all(|deal| is_lost(&deal));
        first.or_else(|| regained().filter(|last| in_vain(*last)))
    }

    /// As many consent requests leave in the time that consent lasts; where they rest while nothing is sent, few or one.
    fn least_lost(&self, side: usize) -> usize {
        if self.scenario.suspends(side) { 1 } else { LOST_CONSENT }
    }

    /// Why a side had not even tried the direct path of a component before the other side's last try came to nothing.
    fn either_held_up(&self, part: Part, end: Instant) -> Option<Excuse> {
        [(0, 1), (1, 0)].into_iter().find_map(|(side, other)| {
            self.held_up(part, side, self.last_closed_try(part, other, end).unwrap_or(end))
        })
    }

    /// Why a side had not even tried the direct path of a component in time.
    fn held_up(&self, part: Part, side: usize, end: Instant) -> Option<Excuse> {
        let in_time = before(end, self.turn());
        let tried = |deal: &Deal| deal.side == side && is_direct(deal) && deal.begun < in_time;
        if self.of(part).any(tried) {
            return None;
        }
        let (stream, _) = part;
        let others = (1..=self.scenario.components).filter_map(ComponentId::new);
        others.map(|component| (stream, component)).filter(|other| *other != part).find_map(|other| {
            let missing = self.reflexive_missing(other, end).map(Excuse::Reflexive);
            let lost = || {
                [end, in_time]
                    .into_iter()
                    .find(|end| self.is_direct_lost(other, side, *end))
                    .map(|_| Excuse::Checks(side))
            };
            missing.or_else(lost)
        })
    }

    fn why_not_connected(&self, part: Part) -> Option<Excuse> {
        let end = END;
        for side in [0, 1] {
            let own = || self.of(part).filter(move |deal| deal.side == side && is_check(deal));
            if self.is_broken(own(), end) {
                return Some(Excuse::Checks(side));
            }
            if self.is_broken(own().filter(|deal| deal.nominates), end) {
                return Some(Excuse::Nomination(side));
            }
        }
        let direct = if self.scenario.expect.direct { Some(self.direct_broken(part)?) } else { None };
        // Every relay there could have been has to be out of the question as well.
        let mut relay = None;
        for (side, _) in (0..).zip(&self.scenario.sides).filter(|(_, side)| !side.turn.is_empty()) {
            relay = Some(self.relay_broken(part, side, end)?);
        }
        direct.or(relay)
    }

    fn direct_broken(&self, part: Part) -> Option<Excuse> {
        if let Some(side) = self.reflexive_missing(part, END) {
            return Some(Excuse::Reflexive(side));
        }
        let lost = [0, 1].into_iter().find(|side| self.is_direct_lost(part, *side, END)).map(Excuse::Checks);
        lost.or_else(|| self.either_held_up(part, END))
    }

    /// A side whose reflexive address the direct way needed, and that had not learned it in time.
    fn reflexive_missing(&self, part: Part, end: Instant) -> Option<usize> {
        let access = |side| self.evidence.access(side);
        // To reach the other side first, a side needs to be told of it; and so does the other side where it has to open
        // the way.
        let blocked = |from: usize, to: usize| match access(to) {
            Access::Open | Access::Known => Some(to).filter(|side| self.is_untold(part, *side, end)),
            Access::InvitedHost | Access::Invited => {
                let end = self.last_closed_try(part, from, end).unwrap_or(end);
                [to, from].into_iter().find(|side| self.is_untold(part, *side, end))
            }
        };
        // Nobody can be the first to send to a side whose mappings differ by whom they are for.
        let mut found = None;
        for (from, to) in [(0, 1), (1, 0)].into_iter().filter(|(_, to)| self.evidence.is_predictable(*to)) {
            found = Some(blocked(from, to)?);
        }
        found
    }

    /// The last direct try of a side before `end`, if none of them could get through.
    fn last_closed_try(&self, part: Part, side: usize, end: Instant) -> Option<Instant> {
        let mut last = None;
        for deal in self.of(part).filter(|deal| deal.side == side && is_direct(deal)) {
            for one in deal.tries.iter().filter(|one| !one.answer && one.at < end) {
                if self.evidence.is_real(deal, one) {
                    return None;
                }
                last = last.max(Some(one.at));
            }
        }
        last
    }

    /// What a side has to tell of itself was held up by losses beyond `end`, or for so long that too little time was left.
    fn is_untold(&self, part: Part, side: usize, end: Instant) -> bool {
        let gathered = self.evidence.gathered(side);
        let asks = |deal: &&Deal| deal.side == side && deal.to_server;
        [end, before(end, self.slack())].into_iter().any(|end| {
            let reflexive = || self.of(part).filter(asks).filter(|deal| deal.method == Method::BINDING);
            if self.evidence.access(side) != Access::Open && self.is_broken(reflexive(), end.min(gathered)) {
                return true;
            }
            // Told in one: each question holds up all.
            let holds_up = |deal: &Deal| self.is_broken([deal].into_iter(), end);
            self.is_told_in_one(side)
                && self.evidence.told(side) >= end
                && self.evidence.all().filter(asks).any(holds_up)
        })
    }

    /// Whether a side tells all its candidates of the last generation in one.
    fn is_told_in_one(&self, side: usize) -> bool {
        match self.scenario.trickle_of(side) {
            Trickle::Full => false,
            Trickle::Half => self.evidence.since() == Instant::ORIGIN,
            Trickle::None => true,
        }
    }

    /// Every direct try that could have given a side its valid pair before `end` was lost, and there was one.
    fn is_direct_lost(&self, part: Part, side: usize, end: Instant) -> bool {
        let tries = || self.of(part).filter(|deal| is_direct(deal));
        let own = || tries().filter(|deal| deal.side == side);
        if own().any(|deal| deal.done.is_some_and(|at| at < end)) {
            return false;
        }
        let one_way = self.scenario.weather.delay;
        let invited = tries()
            .filter(|deal| deal.side != side)
            .filter_map(|deal| deal.accepted)
            .filter(|at| at.after(self.turn()) < end)
            .min();
        // A loss counts if what was lost would have led to an answer before the end, so many ways later.
        let counts = |deal: &Deal, loss: &Try, ways: u32| {
            loss.at.after(one_way.saturating_mul(ways)) <= end && self.evidence.is_real(deal, loss)
        };
        let own_lost = |since: Instant| {
            own().any(|deal| {
                deal.lost()
                    .any(|loss| loss.at >= since && counts(deal, loss, if loss.answer { 1 } else { 2 }))
            })
        };
        // A request would have arrived, and made this side try as well; a refusal would have made the other one try again.
        let other_lost = || {
            tries().filter(|deal| deal.side != side).any(|deal| {
                let matters = |one: &&Try| one.refusal || !one.answer;
                deal.lost().filter(matters).any(|loss| counts(deal, loss, if loss.refusal { 4 } else { 3 }))
            })
        };
        match invited {
            Some(at) => own_lost(at),
            None => own_lost(Instant::ORIGIN) || other_lost(),
        }
    }

    fn relay_broken(&self, part: Part, side: usize, end: Instant) -> Option<Excuse> {
        let asked = |method| self.of(part).filter(move |deal| deal.side == side && deal.method == method);
        if self.is_broken(asked(Method::ALLOCATE), end.min(self.evidence.gathered(side)))
            || self.is_broken(asked(Method::CREATE_PERMISSION), end)
        {
            return Some(Excuse::Relay(side));
        }
        // A permission is asked for what the other side has told of itself.
        let other = 1_usize.saturating_sub(side);
        if self.is_untold(part, other, end) {
            return Some(Excuse::Reflexive(other));
        }
        let checks =
            |of: usize| self.of(part).filter(move |deal| deal.side == of && is_check(deal) && deal.relayed);
        [0, 1].into_iter().find(|of| self.is_broken(checks(*of), end)).map(Excuse::Checks)
    }

    /// A real try was lost before `end`, and nothing got through.
    fn is_broken<'a>(&self, deals: impl Iterator<Item = &'a Deal>, end: Instant) -> bool {
        let mut lost = false;
        for deal in deals {
            if deal.done.is_some_and(|at| at < end) {
                return false;
            }
            lost |= deal.lost().any(|loss| loss.at < end && self.evidence.is_real(deal, loss));
        }
        lost
    }

    /// What a step before the checks leaves them: signalling, two round trips, and a turn among all that wants a slot.
    fn slack(&self) -> Duration {
        self.scenario.signalling.delay.saturating_add(self.turn())
    }

    /// Two round trips, and a turn among all that wants a slot.
    fn turn(&self) -> Duration {
        let links = |side: &super::Side| {
            let delays = side
                .interfaces
                .iter()
                .map(|interface| interface.link.up.delay.max(interface.link.down.delay));
            delays.max().unwrap_or_default()
        };
        let weather = &self.scenario.weather;
        let [a, b] = &self.scenario.sides;
        let one_way =
            [weather.delay, weather.jitter, weather.hold, links(a), links(b)].into_iter().sum::<Duration>();
        let ta = a.ta.max(b.ta);
        one_way.saturating_mul(4).saturating_add(ta.saturating_mul(SLOTS)).saturating_add(FRESH)
    }
}

/// When the last answer came in time: one that comes after consent has ended gives none (RFC 7675 §5.1).
fn last_answer(deals: &[&Deal]) -> Instant {
    let mut answers: Vec<_> = deals.iter().filter_map(|deal| deal.done).collect();
    answers.sort_unstable();
    let gap = answers.windows(2).position(|two| matches!(two, [one, next] if next.since(*one) >= EXPIRY));
    let last = gap.unwrap_or(answers.len().saturating_sub(1));
    answers.get(last).copied().unwrap_or_default()
}

/// The end of time: for what has no limit.
const END: Instant = Instant::from_nanos(u64::MAX);

fn before(at: Instant, time: Duration) -> Instant {
    Instant::from_nanos(at.as_nanos().saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
}

fn is_check(deal: &Deal) -> bool {
    deal.method == Method::BINDING && !deal.to_server
}

fn is_direct(deal: &Deal) -> bool {
    is_check(deal) && !deal.relayed
}
