//! Whole gatherings on a virtual clock, against scripted servers.

mod again;
mod credentials;
mod hosts;
mod lab;
mod locals;
mod reflexive;
mod relays;
mod relisted;
mod rest;
mod robust;
mod room;
mod script;
