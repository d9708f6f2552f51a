//! The relay between real sockets on the loopback interface.
#![allow(clippy::unwrap_used, reason = "tests")]

mod admission;
mod backends;
mod copying;
mod ending;
mod inheriting;
mod names;
pub(crate) mod pool;
mod proxied;
mod reload;
mod several;
mod support;
mod targets;
mod udp;
