//! Requirement tests of floe.
