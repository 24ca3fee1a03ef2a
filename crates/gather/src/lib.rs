//! gather
#![no_std]
