#![allow(clippy::unwrap_used, reason = "tests")]

mod backlog;
mod books;
mod broken;
mod codec;
mod commit;
mod failing;
mod filters;
mod group;
mod naive;
mod retention;
mod summary;
mod support;
