//! Tests of the codec through its public interface; the names say which catalogue entry a test proves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests, and the helpers they call"
)]

mod common;
mod corpora;
mod limits;
mod malformed;
mod properties;
mod protection;
mod reading;
mod source_rules;
mod vectors;
