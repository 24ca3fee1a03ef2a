//! stun
#![no_std]
