//! Orders at a real authority for tests: pebble.
#![allow(clippy::unwrap_used, reason = "tests")]

mod orders;
mod pebble;
mod site;
