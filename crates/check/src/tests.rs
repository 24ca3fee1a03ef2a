//! Tests of the whole set, most of them two sets that talk to each other on virtual time.

mod conflict;
mod consent;
mod early;
mod freezing;
mod limits;
mod nomination;
mod pace;
mod requests;
mod responses;
mod sessions;
mod trickle;
mod wire;
mod world;
