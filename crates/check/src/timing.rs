//! When a pair is nominated (RFC 8445 §8.1.1 leaves that to the controlling agent): from what can still come true and from
//! measured round trips, never by a table of candidate types.

use core::time::Duration;

use floe_stun::Instant;

use crate::pairs::{Pair, PairTable};
use crate::schedule::fresh_interval;
use crate::state::PairState;
use crate::transactions::{MAX_RTO, MIN_RTO};

/// Round-trip time where none could be measured, since only retransmissions were answered.
const UNMEASURED_RTT: Duration = Duration::from_millis(250);
/// Round trips of a valid pair, and slots, within which a better pair has to have begun, whichever is more. Slots
/// count so that on a fast network the list still gets its turn.
const PATIENCE_RTTS: u32 = 4;
const PATIENCE_SLOTS: u32 = 20;
/// Retransmission timeouts, each with an answer, that a direct pair is given at most before a relay is nominated: its
/// first transmission meets the peer's filter closed, the peer's ours, and the next goes through; or it stood behind
/// the same of another component.
const RESORT_TRIES: u32 = 4;
/// Retransmission timeouts that the peer may be ahead of us: it can begin when it knows of us, and its answer may be
/// long in coming. Of one that sends for longer the next retransmission is not waited for.
const AHEAD_TIMEOUTS: u32 = 7;
/// What is allowed for a candidate of ours to be signalled to the peer.
const SIGNALLING: Duration = Duration::from_millis(250);
/// Fresh checks that a better pair is given once something authenticated has come over it: the way is open, and at
/// 30 % loss each way one in 200 pairs has none of eight answered.
const HEARD_TRIES: u32 = 8;

/// When to nominate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timing {
    Now,
    /// A better pair can still come true until then.
    Hold(Instant),
}

/// What is known of the whole set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    pub now: Instant,
    pub ta: Duration,
    /// When the peer had begun to check: its first authenticated request was received.
    pub began: Option<Instant>,
    /// When there was something the peer could be told: it may have begun then, and all it has sent been lost.
    pub told: Instant,
    /// The longest round trip that was measured.
    pub rtt: Option<Duration>,
    /// When the latest local candidate came, after checks had begun.
    pub extended: Option<Instant>,
    /// Pairs in the checklists: after as many slots the peer has sent a check on each of its own.
    pub listed: u32,
    /// Until when components before this one wait for better pairs of theirs.
    pub held: Option<Instant>,
    /// When a component before this one got its direct pair: what was Frozen behind it has its turn yet.
    pub direct: Option<Instant>,
}

/// The pair of a component that would be nominated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prospect<'a> {
    pub best: &'a Pair,
    /// When it became valid.
    pub since: Instant,
    /// Candidates of either side may still come.
    pub growing: bool,
    /// That it needs a relay is no more than likely: its remote address has not been signalled.
    pub unexplained: bool,
}

/// Until when better pairs than the one that would be nominated are waited for.
///
/// With RTT the measured round trip of that one and P = max(4 RTT, 20 Ta), counted from when it became valid:
/// - a better pair that was not tried yet has until P; one that is being tried, and from which nothing has come, the
///   time in which the valid pair was answered and a slot: a black hole costs no more than that;
/// - one that something authenticated has come over has max(P, 8 max(Ta, 1.5 RTT, 100 ms)): a check that was lost
///   has been followed by others;
/// - where the valid pair needs a relay and the better one does not, a filter may stand in the way that opens only when
///   both have sent. The better one has a transmission of ours after the peer has had its turn, one of the peer's after
///   ours, and the time for its answer: at most until P + 4 (RTO + RTT + Ta), RTO being 1 s, counted from when the
///   peer's checks began, another component got its direct pair, or 250 ms after the latest local candidate that came once
///   checks had begun, if that was later. That is the bound, however many black holes there are;
/// - one that is Frozen has for as long as those that would unfreeze it.
#[derive(Clone, Copy, Debug)]
struct Waits {
    relayed: bool,
    answered: Duration,
    patience: Instant,
    heard: Instant,
    resort: Instant,
    told: Instant,
    /// When the peer must have sent a check on each of its pairs.
    their_turn: Instant,
}

impl Waits {
    fn new(outlook: Outlook, prospect: Prospect<'_>) -> Self {
        let Outlook { ta, began, told, extended, listed, .. } = outlook;
        let Prospect { best, since, .. } = prospect;
        let rtt = best.rtt.or(outlook.rtt).unwrap_or(UNMEASURED_RTT);
        let patience = rtt.saturating_mul(PATIENCE_RTTS).max(ta.saturating_mul(PATIENCE_SLOTS));
        let answered = rtt.saturating_add(ta);
        let heard = patience.max(fresh_interval(ta, Some(rtt)).saturating_mul(HEARD_TRIES));
        let resort = patience.saturating_add(MAX_RTO.saturating_add(answered).saturating_mul(RESORT_TRIES));
        // What the peer does not know of it cannot check.
        let informed = extended.map(|extended| extended.after(SIGNALLING));
        let begun = [began, informed, outlook.direct].into_iter().flatten().fold(since, Instant::max);
        let turn = began.map(|began| began.max(informed.unwrap_or(began)).after(ta.saturating_mul(listed)));
        Self {
            relayed: best.relayed,
            answered,
            patience: since.after(patience),
            heard: since.after(heard),
            resort: begun.after(resort),
            told,
            their_turn: turn.unwrap_or(begun.after(resort)),
        }
    }

    /// For `pair` by itself; `None` if nothing is to be expected of it.
    fn until(&self, pair: &Pair) -> Option<Instant> {
        let direct = self.relayed && !pair.relayed;
        let latest = if direct { self.resort } else { self.patience };
        let latest = if pair.heard { latest.max(self.heard) } else { latest };
        match pair.state {
            PairState::Frozen | PairState::Waiting => Some(latest),
            PairState::InProgress if pair.fresh_at.is_some() && !pair.nominating => Some(latest),
            PairState::InProgress if direct => Some(self.both_have_sent(pair)?.min(latest)),
            // One that is as good as the valid pair has been answered by then.
            PairState::InProgress => Some(pair.last_start?.after(self.answered).min(latest)),
            PairState::Succeeded | PairState::Failed => None,
        }
    }

    /// When the answer must have come if the way is open once both sides have sent.
    fn both_have_sent(&self, pair: &Pair) -> Option<Instant> {
        let start = pair.last_start?;
        // Ours after theirs: the retransmissions come RTO, 3 RTO, 7 RTO, … after the first transmission.
        let mut ours = start;
        let mut gap = pair.rto.max(MIN_RTO);
        while ours < self.their_turn && ours < self.resort {
            ours = ours.after(gap);
            gap = gap.saturating_mul(2);
        }
        // Theirs after ours, and the check that it triggers: who has sent for some time since waits for as long again,
        // and a timeout.
        let ahead =
            start.since(self.told).clamp(pair.rto, pair.rto.saturating_mul(AHEAD_TIMEOUTS).max(pair.rto));
        let theirs = start.after(ahead).after(pair.rto).after(self.answered);
        Some(ours.max(theirs).after(self.answered))
    }
}

/// Whether the prospect is nominated now: at once if no better pair of its component can still come true, else when
/// each has had the tries that it deserves ([`Waits`]). Data flows on it meanwhile.
pub(crate) fn timing(outlook: Outlook, prospect: Prospect<'_>, pairs: &PairTable, ranked: bool) -> Timing {
    let (waits, best) = (Waits::new(outlook, prospect), prospect.best);
    // RFC 8445 §6.1.4.2: a Frozen pair has its turn when one of its foundation has succeeded, or none is being tried.
    let unfrozen_by = |frozen: &Pair| {
        let mates = pairs.iter().filter(|mate| mate.foundation == frozen.foundation && mate.listed);
        let tried = mates.filter(|mate| matches!(mate.state, PairState::Waiting | PairState::InProgress));
        match tried.map(|mate| waits.until(mate)).max() {
            Some(until) if outlook.direct.is_none() => until.max(outlook.held),
            _ => waits.until(frozen),
        }
    };
    let own = |pair: &Pair| {
        (pair.stream, pair.component) == (best.stream, best.component) && pair.listed && pair.id != best.id
    };
    let worth = best.worth();
    let better = |pair: &&Pair| own(pair) && pair.worth() > worth;
    let rival = |pair: &Pair| own(pair) && !pair.relayed && !pair.state.is_settled();
    let alone = prospect.unexplained && !pairs.iter().any(rival);
    let hold = pairs
        .likely_worthier(worth, ranked)
        .filter(better)
        .filter_map(|pair| match pair.state {
            PairState::Frozen => unfrozen_by(pair),
            _ => waits.until(pair),
        })
        // A relay is what is left when all candidates are known.
        .chain((prospect.growing && best.relayed && !alone).then_some(waits.patience))
        .max();
    match hold {
        Some(hold) if hold > outlook.now => Timing::Hold(hold),
        _ => Timing::Now,
    }
}
