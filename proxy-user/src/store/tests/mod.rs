#![allow(clippy::unwrap_used, reason = "tests")]

mod codec;
mod group;
mod support;
