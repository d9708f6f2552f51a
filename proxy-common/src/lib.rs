//! What the kernel programs and the daemon share: addresses and keys, the
//! layouts of map values and events, the frame parser, the verdict function and
//! the accounting of TCP and UDP.
//!
//! Everything here depends on `core` alone and touches no I/O, so the same code
//! runs in the kernel, in the daemon and in unit tests. Types that cross the
//! kernel border are `repr(C)` with fixed-width fields, explicit padding and a
//! size assertion; a change to one of them must raise [`LAYOUT_VERSION`].
#![no_std]
#![allow(
    clippy::inline_always,
    reason = "a function that BPF calls may not return a struct: all of these must be inlined"
)]

pub mod address;
pub mod attempt;
pub mod balance;
pub mod classes;
pub mod country;
pub mod event;
pub mod flow;
pub mod nat;
pub mod outcome;
pub mod packet;
pub mod parse;
pub mod plain;
pub mod reason;
pub mod tables;
pub mod tcp;
pub mod udp;
pub mod verdict;

/// Version of every layout in this crate. Part of the pin path, so that a daemon
/// never reads maps that another layout wrote.
pub const LAYOUT_VERSION: u32 = 5;
