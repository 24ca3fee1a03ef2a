//! The checks of one agent, put together from what it tells of its pairs at each event.

use std::collections::BTreeMap;

use floe::{PairReport, check::PairId};

/// The latest report of each pair. Pairs that lost are forgotten by the agent; here they are kept.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pairs: BTreeMap<PairId, PairReport>,
}

impl Trace {
    pub(crate) fn note(&mut self, pairs: Vec<PairReport>) {
        for pair in pairs {
            self.pairs.insert(pair.id, pair);
        }
    }

    /// The pairs whose check was sent, in the order of their first checks.
    pub(crate) fn checked(&self) -> Vec<&PairReport> {
        let mut checked: Vec<&PairReport> =
            self.pairs.values().filter(|pair| pair.first_check.is_some()).collect();
        checked.sort_by_key(|pair| pair.first_check);
        checked
    }
}
