//! The client against a scripted server on a virtual clock.

mod allocate;
mod auth;
mod close;
mod data;
mod endurance;
mod hostile;
mod permissions;
mod server;
mod world;
