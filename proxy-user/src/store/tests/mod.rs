#![allow(clippy::unwrap_used, reason = "tests")]

mod backlog;
mod books;
mod broken;
pub(super) mod codec;
mod commit;
mod failing;
mod filters;
mod group;
mod naive;
mod questions;
mod retention;
mod summary;
mod support;
