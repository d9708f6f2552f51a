#![allow(clippy::unwrap_used, reason = "tests")]

mod codec;
mod commit;
mod filters;
mod group;
mod retention;
mod support;
