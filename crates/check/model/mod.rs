//! Models of role conflict and of unfreezing: all states of small worlds, over the transition functions themselves.
//!
//! Outside `src`, because the checker needs the threads and hash tables that the crate itself may not name.

#![allow(clippy::arithmetic_side_effects, reason = "overflow panics, and a panic fails the test")]

mod freezing;
mod roles;

use core::{fmt::Debug, hash::Hash};

use stateright::{Checker, Model};

/// Visits all states; the number of them.
fn check_all<M>(model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    let checker = model.checker().spawn_dfs().join();
    checker.assert_properties();
    checker.unique_state_count()
}

/// Whether the property is seen to fail.
fn is_caught<M>(model: M, property: &'static str) -> bool
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq,
{
    model.checker().spawn_bfs().join().discovery(property).is_some()
}
