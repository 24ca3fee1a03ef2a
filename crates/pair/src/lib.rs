//! pair
#![no_std]
