#![allow(clippy::unwrap_used, reason = "tests")]

mod codec;
mod commit;
mod group;
mod support;
