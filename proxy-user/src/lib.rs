//! Weir's daemon, room by room. A room imports only rooms above it in this list.

pub mod config;
pub mod datapath;
pub mod record;
pub mod relay;
