//! Many sessions over every pair of NAT kinds: which session belongs to a seed, and what came of all of them.
//!
//! A seed names one [`Case`]: the cell of the table it belongs to, and everything else of its session. Successive seeds
//! go round all cells, so that any range of them is a sweep. What is found is added up in a [`Tally`]; tallies of
//! parts of a sweep are merged, and say together what one sweep would have said.

mod case;
mod tally;
mod traces;

pub use case::{Case, Family, LOSSES, NoSuchFamily};
pub use tally::{BOUNDS, CellReport, Counts, LossReport, Percentiles, Report, Tally};
pub use traces::TraceSum;

#[cfg(test)]
mod tests;
