//! Whole gatherings on a virtual clock, against scripted servers.

mod hosts;
mod lab;
mod reflexive;
mod relays;
mod robust;
mod script;
