//! What must hold in every run, whatever the network does.
//!
//! Ten invariants. Those that can be seen while a session runs are watched at every step (`watch` looks at what each
//! agent sends, receives, says and shows); the others are judged when it is over. The first breach ends the run.

mod pace;
mod pairs;
mod paths;
pub(crate) mod watch;

use core::{fmt, time::Duration};

use floe_agent::State;
use floe_check::{PairId, PairState};
use floe_pair::{ComponentId, Role, StreamId, TransportAddress};
use floe_stun::{Instant, TransactionId};
use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use pairs::View;
pub(crate) use watch::{Limits, Rules, Side as SideWatch, Watch};

/// The ten invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invariant {
    /// Both agents come to an end in time; where a path exists they connect, directly where that is possible, or the
    /// trace shows that every transmission of one needed transaction was lost.
    Concludes,
    /// At rest both have selected the same pair of the same generation for each component, data flows on it both ways,
    /// and exactly one agent is controlling. Where nothing loses datagrams, no restart and no move loses data.
    Agree,
    /// An agent starts at most one transaction each Ta, a lite one none; retransmissions are as RFC 8445 §14.3 and
    /// RFC 8489 §6.2.1 say.
    Paced,
    /// Data leaves only on pairs that an authenticated answer of the last 30 s has proved, and consent is lost exactly
    /// then. A lite agent, which asks nothing, sends where its peer was heard.
    Consented,
    /// Pairs and agents change their states only along the arrows of the RFC; a selected pair is valid.
    LegalMoves,
    /// Pairs, candidates, queues and open transactions stay within their limits.
    Bounded,
    /// Equal scenarios and seeds give equal traces.
    Repeatable,
    /// Failure is not declared before the patience of RFC 8863 is over.
    Patient,
    /// Where a pair is frozen, something runs that will thaw it, or will soon: ordinary checks may rest for a moment.
    NoDeadlock,
    /// A closed agent has given back its sockets and allocations, and sets no timer.
    Frees,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Concludes,
        Self::Agree,
        Self::Paced,
        Self::Consented,
        Self::LegalMoves,
        Self::Bounded,
        Self::Repeatable,
        Self::Patient,
        Self::NoDeadlock,
        Self::Frees,
    ];

    /// Its number, 1 to 10.
    pub fn number(self) -> usize {
        Self::ALL.iter().position(|known| *known == self).map_or(0, |place| place.saturating_add(1))
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invariant {} ({})",
            self.number(),
            match self {
                Self::Concludes => "both come to an end, and connect where they can",
                Self::Agree => "both hold the same pair, and one is controlling",
                Self::Paced => "one new transaction each Ta",
                Self::Consented => "data only with consent",
                Self::LegalMoves => "states change along the arrows",
                Self::Bounded => "everything within its limit",
                Self::Repeatable => "equal seeds, equal traces",
                Self::Patient => "no failure before its time",
                Self::NoDeadlock => "what is frozen will thaw",
                Self::Frees => "closing gives everything back",
            }
        )
    }
}

/// A bounded table of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// Pairs in checklists.
    Pairs,
    /// Pairs in triggered-check queues.
    TriggeredChecks,
    /// Remote candidates.
    RemoteCandidates,
    /// Remote candidates that were never signalled.
    PeerReflexive,
    /// Open transactions.
    Transactions,
    /// Checks that came before the peer's parameters.
    EarlyChecks,
}

/// What broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The agents have not come to an end by the limit.
    NotConcluded([Option<State>; 2]),
    /// Something acts again and again at one instant.
    Stalled,
    /// They could connect and did not, and no loss explains it.
    NotConnected([Option<State>; 2]),
    /// They could connect directly and did not, and no loss explains it.
    NotDirect,
    /// What one sends to is not what the other is on.
    DifferentPairs {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// Of each side: where it is seen, and where it sends to.
        pairs: [Option<(TransportAddress, TransportAddress)>; 2],
    },
    /// Both have this role.
    SameRole(Role),
    /// Both have selected a pair, and data does not arrive although nothing is lost; of each direction whether it does.
    NoData {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// From the first side to the second, and back.
        arrived: [bool; 2],
    },
    /// A transaction began too soon after the one before.
    TooSoon {
        /// The time between.
        gap: Duration,
        /// Ta in force.
        ta: Duration,
    },
    /// A request was sent again too early, or too often.
    Retransmission {
        /// Which.
        id: TransactionId,
        /// How often it was sent.
        sent: u32,
        /// The time since the first time.
        after: Duration,
    },
    /// Data left for an address that no answer has proved, or not for 30 s.
    Unproved {
        /// Its destination.
        to: TransportAddress,
        /// When the last answer came from there.
        proved: Option<Instant>,
    },
    /// Consent was given up at another time than 30 s after the last answer: when it should have ended, of each pair that
    /// counts.
    ConsentEnded(Vec<Instant>),
    /// A lite agent has sent a request to its peer (RFC 8445 §2.5).
    LiteAsked(TransactionId),
    /// Nothing loses datagrams, and data of this component was refused or did not arrive.
    DataLost {
        /// The data stream.
        stream: StreamId,
        /// The component.
        component: ComponentId,
        /// When it was sent.
        sent: Instant,
        /// The agent had no path for it.
        refused: bool,
    },
    /// Both are completed, and not with the credentials that the other one has now.
    OtherGeneration([u32; 2]),
    /// A pair moved where no arrow leads.
    PairMove {
        /// Which.
        pair: PairId,
        /// Its state before; `None`: it was not there.
        from: Option<PairState>,
        /// Its state now.
        to: PairState,
    },
    /// The agent's state moved where no arrow leads.
    StateMove {
        /// Before.
        from: State,
        /// Now.
        to: State,
    },
    /// A selected pair is not valid.
    SelectedInvalid(PairId),
    /// More in a table than it may hold.
    TooMany {
        /// Which table.
        table: Table,
        /// How many there are.
        used: usize,
        /// How many there may be.
        most: usize,
    },
    /// Two runs of one seed have different traces.
    OtherTrace([u64; 2]),
    /// Failure was declared so long after both sides' parameters were known, or before that.
    FailedEarly(Option<Duration>),
    /// This pair is frozen, and nothing runs.
    Deadlock(PairId),
    /// A closed agent still has this many sockets.
    SocketsLeft(usize),
    /// A closed agent still wants to be woken, or does not say that it is closed.
    NotClosed,
    /// The servers still hold this many allocations.
    AllocationsLeft(usize),
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConcluded(states) => write!(f, "the agents are still {states:?} at the limit"),
            Self::Stalled => f.write_str("something acts for ever at one instant"),
            Self::NotConnected(states) => {
                write!(f, "a path exists, nothing excuses it, and the agents are {states:?}")
            }
            Self::NotDirect => f.write_str("a direct path exists, nothing excuses it, and a relay is used"),
            Self::DifferentPairs { stream, component, pairs } => {
                write!(f, "stream {} component {}: the pairs are ", stream.0, component.get())?;
                for pair in pairs {
                    match pair {
                        Some((own, to)) => write!(f, "[{own} to {to}] ")?,
                        None => f.write_str("[none] ")?,
                    }
                }
                Ok(())
            }
            Self::SameRole(role) => write!(f, "both are {role:?}"),
            Self::NoData { stream, component, arrived: [there, back] } => write!(
                f,
                "stream {} component {}: data arrives there: {there}, back: {back}",
                stream.0,
                component.get()
            ),
            Self::TooSoon { gap, ta } => {
                write!(f, "a transaction began {gap:?} after the one before; Ta is {ta:?}")
            }
            Self::Retransmission { id, sent, after } => {
                write!(f, "request {id} was sent for the {sent}. time, {after:?} after the first time")
            }
            Self::Unproved { to, proved: None } => write!(f, "data left for {to}, which has proved nothing"),
            Self::Unproved { to, proved: Some(at) } => {
                write!(f, "data left for {to}, whose last answer came at {} ms", at.as_millis())
            }
            Self::ConsentEnded(ends) => {
                let ends: Vec<u64> = ends.iter().map(|at| at.as_millis()).collect();
                write!(f, "consent was given up now, and was to end at one of {ends:?} ms")
            }
            Self::LiteAsked(id) => write!(f, "request {id} of a lite agent"),
            Self::DataLost { stream, component, sent, refused } => {
                let how = if *refused { "was refused" } else { "did not arrive" };
                let (component, sent) = (component.get(), sent.as_millis());
                write!(f, "stream {} component {component}: data of {sent} ms {how}", stream.0)
            }
            Self::OtherGeneration([one, other]) => {
                write!(f, "both are completed, in generations {one} and {other} that do not belong together")
            }
            Self::PairMove { pair, from, to } => write!(f, "{pair:?} moved from {from:?} to {to:?}"),
            Self::StateMove { from, to } => write!(f, "the agent moved from {from:?} to {to:?}"),
            Self::SelectedInvalid(pair) => write!(f, "{pair:?} is selected and not valid"),
            Self::TooMany { table, used, most } => {
                write!(f, "{used} of at most {most} in the table {table:?}")
            }
            Self::OtherTrace([one, other]) => write!(f, "trace {one:016x}, then {other:016x}"),
            Self::FailedEarly(Some(after)) => write!(f, "failed {after:?} after the parameters were known"),
            Self::FailedEarly(None) => f.write_str("failed before the parameters were known"),
            Self::Deadlock(pair) => write!(f, "{pair:?} is frozen and nothing runs"),
            Self::SocketsLeft(count) => write!(f, "{count} sockets are left"),
            Self::NotClosed => f.write_str("the agent does not come to its end"),
            Self::AllocationsLeft(count) => write!(f, "{count} allocations are left"),
        }
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When, on the virtual clock.
    pub at: Instant,
    /// Whose fault it is, 0 or 1; `None` where it is of both.
    pub side: Option<usize>,
    /// How.
    pub breach: Breach,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken at {} ms", self.invariant, self.at.as_millis())?;
        if let Some(side) = self.side {
            write!(f, " by side {side}")?;
        }
        write!(f, ": {}", self.breach)
    }
}

impl core::error::Error for Violation {}
