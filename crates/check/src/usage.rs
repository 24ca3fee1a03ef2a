//! How full the tables of a set are.

use crate::ChecklistSet;
use crate::limits::limit_of;

/// How much of each bounded table is in use. The bounds are in [`Config`](crate::Config) and among the constants of this
/// crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Pairs that stand in a checklist: at most [`Config::pair_limit`](crate::Config::pair_limit), in proportion of
    /// [many components](limit_of).
    pub pairs: usize,
    /// Pairs in triggered-check queues: each pair once.
    pub triggered: usize,
    /// Remote candidates: at most [`Config::remote_limit`](crate::Config::remote_limit), in proportion of
    /// [many components](limit_of).
    pub remotes: usize,
    /// Remote candidates that were never signalled: at most [`PEER_REFLEXIVE_LIMIT`](crate::PEER_REFLEXIVE_LIMIT), or four
    /// for each component where that is more.
    pub learned: usize,
    /// Open transactions: at most [`TRANSACTION_LIMIT`](crate::TRANSACTION_LIMIT), or twice the limit of pairs in force
    /// where that is more.
    pub transactions: usize,
    /// Checks that came before the peer's parameters: at most [`EARLY_CHECK_LIMIT`](crate::EARLY_CHECK_LIMIT).
    pub early: usize,
}

impl ChecklistSet {
    /// What is in force of a limit that is set, with as many components as there are.
    pub(crate) fn limit_of(&self, limit: usize) -> usize {
        let components = match self.streams.as_slice() {
            // What is usual, without a search.
            [only] => only.components.len(),
            streams => streams.iter().map(|list| list.components.len()).sum(),
        };
        limit_of(limit, components)
    }

    /// How checks are made, as far as it is allowed.
    pub fn config(&self) -> &crate::Config {
        &self.config
    }

    /// How full the tables are now.
    pub fn usage(&self) -> Usage {
        let (remotes, learned) = (self.candidates.count_remotes(), self.candidates.count_learned());
        Usage {
            pairs: self.pairs.count_listed(),
            triggered: self.streams.iter().map(|checklist| checklist.triggered.len()).sum(),
            remotes,
            learned,
            transactions: self.transactions.len(),
            early: self.early.len(),
        }
    }
}
