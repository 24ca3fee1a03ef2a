//! What the requirement and interoperability tests of floe share: agents in processes of their own, a coturn
//! started by hand, the carrying of candidates between two agents, agents without I/O under the hand of a test
//! ([`wire`]), what loss does to consent ([`expiry`]), and the catalogue of requirements ([`catalogue`]).
//!
//! Everything here is test code: what should not happen ends the test with a message that says what did.

pub mod catalogue;
pub mod coturn;
pub mod expiry;
pub mod interop;
pub mod peer;
pub mod tools;
pub mod wire;

/// The examples of README.md, compiled as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The examples of docs/cookbook.md, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
pub struct Cookbook;
