//! The client against a scripted server on a virtual clock.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow fails the test, which is what it should do")]

mod allocate;
mod auth;
mod close;
mod data;
mod endurance;
mod hostile;
mod permissions;
mod server;
mod world;
