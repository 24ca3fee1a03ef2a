//! check
#![no_std]
