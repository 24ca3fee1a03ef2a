//! Tests of the whole set, most of them two sets that talk to each other on virtual time.

#![allow(clippy::arithmetic_side_effects, reason = "overflow panics, and a panic fails the test")]

mod conflict;
mod consent;
mod early;
mod freezing;
mod limits;
mod lite;
mod lives;
mod nomination;
mod pace;
mod policy;
mod proved;
mod renominate;
mod requests;
mod responses;
mod retire;
mod roaming;
mod script;
mod sessions;
mod standby;
mod suspend;
mod table;
mod timing;
mod trickle;
mod world;
