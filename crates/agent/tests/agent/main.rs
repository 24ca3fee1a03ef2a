//! Whole agents and hubs on a virtual clock, by their public interface alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::missing_panics_doc,
    reason = "a panic fails the test, as it should"
)]

mod allocations;
mod chaos;
mod closing;
mod commands;
mod data;
mod deadlines;
mod ending;
mod forge;
mod fork;
mod generations;
mod hostile;
mod hub;
mod lite;
mod moving;
mod pace;
mod relayed;
mod report;
mod restart;
mod server;
mod shared_port;
mod signalling;
mod sleep;
mod streams;
mod unanswered;
mod world;
