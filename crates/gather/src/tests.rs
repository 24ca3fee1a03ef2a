//! Whole gatherings on a virtual clock, against scripted servers.

mod again;
mod hosts;
mod lab;
mod reflexive;
mod relays;
mod robust;
mod script;
