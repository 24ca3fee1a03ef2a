//! Invariants 5, 6 and 9: the pairs of an agent after each input.

use floe_agent::{Agent, PairStanding, State};
use floe_check::{EARLY_CHECK_LIMIT, PairId, PairState, Usage};
use floe_pair::{ComponentId, Place, StreamId, TransportAddress};

use super::{Breach, Table, watch::Limits};

/// A pair as far as the invariants look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) id: PairId,
    pub(crate) state: PairState,
    pub(crate) valid: bool,
    pub(crate) selected: bool,
    pub(crate) listed: bool,
    /// Where it is and where it goes, if it is selected.
    pub(super) path: Option<(Place, TransportAddress)>,
    pub(super) part: (StreamId, ComponentId),
}

impl View {
    pub(super) fn new(agent: &Agent, report: &PairStanding) -> Self {
        let place = if report.selected { agent.place_of(report.base) } else { None };
        Self {
            id: report.id,
            state: report.state,
            valid: report.valid,
            selected: report.selected,
            listed: report.listed,
            path: place.map(|place| (place, report.to)),
            part: (report.stream, report.component),
        }
    }
}

/// RFC 8445 §6.1.2.6 Figure 6 with §7.2.5.3.3, §7.3.1.4 and §8.1.1: where a pair may stand after one input, by where it
/// stood before. One input may thaw a pair and start its check, or see a check under way answered or given up.
const ARROWS: [(PairState, [PairState; 5], usize); 5] = {
    use PairState::{Failed, Frozen, InProgress, Succeeded, Waiting};
    [
        (Frozen, [Frozen, Waiting, InProgress, Succeeded, Failed], 5),
        (Waiting, [Waiting, InProgress, Succeeded, Failed, Failed], 4),
        (InProgress, [InProgress, Waiting, Succeeded, Failed, Failed], 4),
        (Succeeded, [Succeeded, InProgress, Failed, Failed, Failed], 3),
        (Failed, [Failed, Waiting, InProgress, Succeeded, Succeeded], 4),
    ]
};

/// Where a new pair may stand.
const FIRST: [PairState; 4] =
    [PairState::Frozen, PairState::Waiting, PairState::InProgress, PairState::Failed];

fn may_move(from: PairState, to: PairState) -> bool {
    let row = ARROWS.iter().find(|(state, ..)| *state == from);
    row.is_some_and(|(_, reached, count)| reached.iter().take(*count).any(|state| *state == to))
}

/// Where an agent's state may go in one step. A failed agent stays failed (RFC 8445 §6.1.3) unless the peer checks it
/// again (§7.3.1.4).
pub(super) fn may_turn(from: State, to: State) -> bool {
    use State::{Checking, Closed, Completed, Connected, Disconnected, Failed, New};
    match from {
        New => true,
        // The only valid pair may be lost again before it was nominated.
        Checking | Connected => !matches!(to, New),
        Completed => matches!(to, Disconnected | Failed | Closed | Connected | Checking),
        Disconnected => matches!(to, Completed | Connected | Checking | Failed | Closed),
        // One component is checked again, and another has lost consent meanwhile.
        Failed => matches!(to, Checking | Connected | Disconnected | Closed),
        Closed => false,
    }
}

/// Holds what the pairs of an agent are against what they were. Those of a lite agent are valid as soon as its peer has
/// nominated them, or at once if both are lite (RFC 8445 §7.3.2, §8.2).
pub(super) fn judge_moves(before: &[View], now: &[View], lite: bool) -> Result<(), Breach> {
    let mut old = before.iter().peekable();
    for pair in now {
        while old.peek().is_some_and(|known| known.id < pair.id) {
            old.next();
        }
        let from = old.peek().filter(|known| known.id == pair.id).map(|known| known.state);
        let first = || FIRST.contains(&pair.state) || lite && pair.state == PairState::Succeeded;
        let legal = from.map_or_else(first, |from| may_move(from, pair.state));
        if !legal {
            return Err(Breach::PairMove { pair: pair.id, from, to: pair.state });
        }
        if pair.selected && !pair.valid {
            return Err(Breach::SelectedInvalid(pair.id));
        }
    }
    Ok(())
}

/// Holds how full an agent's tables are against what they may hold.
pub(super) fn judge_usage(usage: Usage, limits: &Limits) -> Result<(), Breach> {
    let tables = [
        (Table::Pairs, usage.pairs, limits.pairs),
        // Each pair stands there once.
        (Table::TriggeredChecks, usage.triggered, usage.pairs),
        (Table::RemoteCandidates, usage.remotes, limits.remotes),
        (Table::PeerReflexive, usage.learned, limits.learned),
        (Table::Transactions, usage.transactions, limits.transactions),
        (Table::EarlyChecks, usage.early, EARLY_CHECK_LIMIT),
    ];
    match tables.into_iter().find(|(_, used, most)| used > most) {
        Some((table, used, most)) => Err(Breach::TooMany { table, used, most }),
        None => Ok(()),
    }
}

/// A pair that is frozen while no pair is waiting or under way.
pub(super) fn frozen_alone(pairs: &[View]) -> Option<PairId> {
    let running =
        |pair: &View| pair.listed && matches!(pair.state, PairState::Waiting | PairState::InProgress);
    let frozen = pairs.iter().find(|pair| pair.listed && pair.state == PairState::Frozen)?;
    (!pairs.iter().any(running)).then_some(frozen.id)
}
