//! The relay between real sockets on the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod copying;
mod ending;
mod reload;
mod support;
mod targets;
