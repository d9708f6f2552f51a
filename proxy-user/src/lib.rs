//! Weir's daemon, room by room; ARCHITECTURE.md has their order and what each is for.

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod datapath;
pub mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod geo;
pub mod http;
pub mod policy;
pub mod record;
pub mod relay;
pub mod store;
