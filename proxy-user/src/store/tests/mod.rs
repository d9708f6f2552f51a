#![allow(clippy::unwrap_used, reason = "tests")]

mod broken;
mod codec;
mod commit;
mod filters;
mod group;
mod retention;
mod support;
