//! turn
#![no_std]
