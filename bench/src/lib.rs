//! What every benchmark of floe shares: CPU time in interleaved samples, and heap allocations counted.

pub mod heap;
pub mod sampling;
