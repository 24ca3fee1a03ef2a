//! What came of many sessions.

use core::time::Duration;
use std::collections::BTreeMap;

use floe_pair::CandidateType;
use serde::{Deserialize, Serialize};

use super::{Case, LOSSES, TraceSum};
use crate::{
    expectation::{NatKind, direct_is_possible},
    invariants::{Breach, Invariant},
    scenario::{Cause, Excuse, Failure, Outcome},
};

/// How many of a thousand connectable sessions may fail to connect at most, excused as they are, by loss in percent.
pub const BOUNDS: [(u32, u64); 2] = [(10, 1), (30, 80)];

/// A share of fewer sessions than would give this many says nothing: it is a matter of luck.
const FEWEST: u64 = 2;

/// Counts of times in whole milliseconds.
type Histogram = BTreeMap<u32, u64>;

/// What came of sessions that have something in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Sessions run.
    pub sessions: u64,
    /// Those that could connect.
    pub connectable: u64,
    /// Those that did.
    pub connected: u64,
    /// Those that could connect directly.
    pub direct_possible: u64,
    /// Those that did.
    pub direct: u64,
    /// Those that could connect and did not, and whose trace shows why.
    pub excused_not_connected: u64,
    /// Those that connected by a relay where a direct path was possible, and whose trace shows why.
    pub excused_not_direct: u64,
    /// Those that lasted and ended by consent: 30 s without an answer, as the trace shows.
    #[serde(default, skip_serializing_if = "is_none")]
    pub ended_by_consent: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it like this")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    fn merge(&mut self, other: &Self) {
        let add = |to: &mut u64, from: u64| *to = to.saturating_add(from);
        add(&mut self.sessions, other.sessions);
        add(&mut self.connectable, other.connectable);
        add(&mut self.connected, other.connected);
        add(&mut self.direct_possible, other.direct_possible);
        add(&mut self.direct, other.direct);
        add(&mut self.excused_not_connected, other.excused_not_connected);
        add(&mut self.excused_not_direct, other.excused_not_direct);
        add(&mut self.ended_by_consent, other.ended_by_consent);
    }

    /// Those that came to less than was possible, and whose trace shows why.
    pub fn excused(&self) -> u64 {
        self.excused_not_connected.saturating_add(self.excused_not_direct)
    }
}

/// What came of the sessions of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cell {
    counts: Counts,
    usable: Histogram,
    selected: Histogram,
    /// How often a component's pair had these types at its ends.
    #[serde(with = "entries")]
    types: BTreeMap<[CandidateType; 2], u64>,
}

/// What came of many sessions. Parts of a sweep are [merged](Tally::merge).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    sessions: u64,
    stuck: u64,
    disagreeing: u64,
    panics: u64,
    /// Broken invariants of any kind, by number.
    broken: BTreeMap<usize, u64>,
    #[serde(with = "entries")]
    cells: BTreeMap<(NatKind, NatKind), Cell>,
    losses: BTreeMap<u32, Counts>,
    datagrams: u64,
    traces: TraceSum,
}

/// Three percentiles in milliseconds; none of nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: Option<u32>,
    /// Nine of ten are no longer.
    pub p90: Option<u32>,
    /// Ninety-nine of a hundred are no longer.
    pub p99: Option<u32>,
}

/// One cell of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CellReport {
    /// What stands before the first side.
    pub a: NatKind,
    /// What stands before the second side.
    pub b: NatKind,
    /// Sessions run.
    pub sessions: u64,
    /// Those that could connect.
    pub connectable: u64,
    /// Those that did.
    pub connected: u64,
    /// Those that could connect directly.
    pub direct_possible: u64,
    /// Those that did.
    pub direct: u64,
    /// From the start of the session until both sides could send on every component.
    pub usable_ms: Percentiles,
    /// From the start of the session until both sides had selected a pair for every component.
    pub selected_ms: Percentiles,
    /// How often each pair of types was selected, first side first, the most frequent first.
    #[serde(skip)]
    pub types: Vec<([CandidateType; 2], u64)>,
}

/// What came of the sessions of one loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LossReport {
    /// Loss in percent.
    pub loss: u32,
    /// What came of them.
    #[serde(flatten)]
    pub counts: Counts,
    /// Percentage of the connectable sessions that did not connect, each excused.
    pub excused_not_connected_percent: f64,
    /// Percentage of the connectable sessions that are on a relay where a direct path was possible, each excused.
    pub excused_not_direct_percent: f64,
}

/// A sweep in numbers: what `floe sim --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Sessions run.
    pub sessions: u64,
    /// Those that could connect.
    pub connectable: u64,
    /// Those that did.
    pub connected: u64,
    /// Those that came to less than was possible, and whose trace shows why.
    pub excused: u64,
    /// Those that did not come to an end.
    pub stuck: u64,
    /// Those whose sides ended on different pairs, or with equal roles.
    pub disagreeing: u64,
    /// Those that panicked.
    pub panics: u64,
    /// On the machine it was made on, all cores together.
    pub sessions_per_second: f64,
    /// Which traces the sessions had.
    pub trace: TraceSum,
    /// All losses that had sessions, the least first.
    pub losses: Vec<LossReport>,
    /// All cells that had sessions.
    pub cells: Vec<CellReport>,
}

impl Tally {
    /// Adds what came of a session.
    pub fn add(&mut self, case: &Case, result: &Result<Outcome, Box<Failure>>) {
        let expect = case.scenario.expect;
        bump(&mut self.sessions);
        let cell = self.cells.entry((case.a, case.b)).or_default();
        let mut counts = Counts {
            sessions: 1,
            connectable: u64::from(expect.connect),
            direct_possible: u64::from(direct_is_possible(case.a, case.b)),
            ..Counts::default()
        };
        match result {
            Ok(outcome) => {
                counts.connected = u64::from(outcome.connected);
                counts.direct = u64::from(outcome.direct);
                let lasts = case.scenario.life.is_some();
                if lasts && matches!(outcome.excuse, Some(Excuse::Consent(_))) {
                    counts.ended_by_consent = 1;
                } else if outcome.excuse.is_some() {
                    counts.excused_not_connected = u64::from(!outcome.connected);
                    counts.excused_not_direct = u64::from(outcome.connected);
                }
                self.datagrams = self.datagrams.saturating_add(outcome.datagrams);
                self.traces.add(case.seed, outcome.hash);
                note(&mut cell.usable, outcome.both_usable());
                note(&mut cell.selected, outcome.both_selected());
                for types in &outcome.types {
                    bump(cell.types.entry(*types).or_default());
                }
            }
            Err(failure) => {
                // Connected it is, only not as it should be.
                if matches!(&failure.cause, Cause::Violation(broken) if broken.breach == Breach::NotDirect) {
                    counts.connected = 1;
                }
                self.traces.add(case.seed, failure_mark(failure));
                self.add_failure(failure);
            }
        }
        if let Some(cell) = self.cells.get_mut(&(case.a, case.b)) {
            cell.counts.merge(&counts);
        }
        self.losses.entry(case.loss).or_default().merge(&counts);
    }

    /// Adds a session that panicked.
    pub fn add_panic(&mut self) {
        bump(&mut self.sessions);
        bump(&mut self.panics);
    }

    fn add_failure(&mut self, failure: &Failure) {
        let Cause::Violation(violation) = &failure.cause else { return bump(&mut self.stuck) };
        bump(self.broken.entry(violation.invariant.number()).or_default());
        match (violation.invariant, &violation.breach) {
            (_, Breach::NotConcluded(_) | Breach::Stalled | Breach::Deadlock(_) | Breach::NotClosed) => {
                bump(&mut self.stuck);
            }
            (Invariant::Agree, _) => bump(&mut self.disagreeing),
            _ => {}
        }
    }

    /// Adds what another part of the sweep has found.
    pub fn merge(&mut self, other: &Self) {
        let add = |to: &mut u64, from: u64| *to = to.saturating_add(from);
        add(&mut self.sessions, other.sessions);
        add(&mut self.stuck, other.stuck);
        add(&mut self.disagreeing, other.disagreeing);
        add(&mut self.panics, other.panics);
        add(&mut self.datagrams, other.datagrams);
        self.traces.merge(other.traces);
        for (number, count) in &other.broken {
            add(self.broken.entry(*number).or_default(), *count);
        }
        for (kinds, from) in &other.cells {
            let to = self.cells.entry(*kinds).or_default();
            to.counts.merge(&from.counts);
            for (to, from) in [(&mut to.usable, &from.usable), (&mut to.selected, &from.selected)] {
                for (ms, count) in from {
                    add(to.entry(*ms).or_default(), *count);
                }
            }
            for (types, count) in &from.types {
                add(to.types.entry(*types).or_default(), *count);
            }
        }
        for (loss, from) in &other.losses {
            self.losses.entry(*loss).or_default().merge(from);
        }
    }

    /// Sessions run.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// Datagrams that all agents sent until they had come to an end.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Which traces all sessions had.
    pub fn traces(&self) -> TraceSum {
        self.traces
    }

    /// How often each invariant was broken, by its number; those that were not are left out.
    pub fn broken(&self) -> impl Iterator<Item = (usize, u64)> {
        self.broken.iter().map(|(number, count)| (*number, *count))
    }

    /// Whether every session came to what was possible or has an excuse, and no more have excuses than
    /// [may have](BOUNDS).
    pub fn is_clean(&self) -> bool {
        self.broken.is_empty() && self.stuck == 0 && self.panics == 0 && self.exceeded().next().is_none()
    }

    /// Losses with more excused sessions that did not connect than [may be](BOUNDS): the loss in percent, how many there
    /// are, how many there may be. Losses with too few sessions to tell are left out.
    pub fn exceeded(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        BOUNDS.into_iter().filter_map(|(loss, per_mille)| {
            let counts = self.losses.get(&loss)?;
            let most = counts.connectable.saturating_mul(per_mille).checked_div(1_000)?;
            let found = counts.excused_not_connected;
            (most >= FEWEST && found > most).then_some((loss, found, most))
        })
    }

    fn loss_reports(&self) -> Vec<LossReport> {
        let report = |loss: &u32| {
            let counts = self.losses.get(loss).copied()?;
            #[allow(clippy::cast_precision_loss, reason = "a percentage for people to read")]
            let percent = |part: u64| part as f64 * 100.0 / counts.connectable.max(1) as f64;
            Some(LossReport {
                loss: *loss,
                counts,
                excused_not_connected_percent: percent(counts.excused_not_connected),
                excused_not_direct_percent: percent(counts.excused_not_direct),
            })
        };
        LOSSES.iter().filter_map(report).collect()
    }

    /// Everything in numbers.
    pub fn report(&self, sessions_per_second: f64) -> Report {
        let cells: Vec<CellReport> = self.cells.iter().map(|((a, b), cell)| cell.report(*a, *b)).collect();
        let mut all = Counts::default();
        self.cells.values().for_each(|cell| all.merge(&cell.counts));
        Report {
            sessions: self.sessions,
            connectable: all.connectable,
            connected: all.connected,
            excused: all.excused(),
            stuck: self.stuck,
            disagreeing: self.disagreeing,
            panics: self.panics,
            sessions_per_second,
            trace: self.traces,
            losses: self.loss_reports(),
            cells,
        }
    }
}

/// What a failed session leaves in the sum: which invariant was broken when.
fn failure_mark(failure: &Failure) -> u64 {
    match &failure.cause {
        Cause::Violation(violation) => violation
            .at
            .as_nanos()
            .wrapping_add(u64::try_from(violation.invariant.number()).unwrap_or_default()),
        Cause::Build(_) => 0,
    }
}

impl Cell {
    fn report(&self, a: NatKind, b: NatKind) -> CellReport {
        let mut types: Vec<_> = self.types.iter().map(|(types, count)| (*types, *count)).collect();
        types.sort_by_key(|(types, count)| (core::cmp::Reverse(*count), *types));
        CellReport {
            a,
            b,
            sessions: self.counts.sessions,
            connectable: self.counts.connectable,
            connected: self.counts.connected,
            direct_possible: self.counts.direct_possible,
            direct: self.counts.direct,
            usable_ms: percentiles(&self.usable),
            selected_ms: percentiles(&self.selected),
            types,
        }
    }
}

fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}

fn note(histogram: &mut Histogram, time: Option<Duration>) {
    if let Some(time) = time {
        // Begun milliseconds count: nothing takes no time.
        let ms = time.as_micros().div_ceil(1_000);
        bump(histogram.entry(u32::try_from(ms).unwrap_or(u32::MAX)).or_default());
    }
}

fn percentiles(histogram: &Histogram) -> Percentiles {
    let all = histogram.values().copied().fold(0, u64::saturating_add);
    let percentile = |percent: u64| {
        let rank = all.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0_u64;
        histogram.iter().find_map(|(ms, count)| {
            seen = seen.saturating_add(*count);
            (seen >= rank).then_some(*ms)
        })
    };
    Percentiles { p50: percentile(50), p90: percentile(90), p99: percentile(99) }
}

/// Maps as lists of their entries: JSON has no keys but texts.
mod entries {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
