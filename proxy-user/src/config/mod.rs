//! The configuration: raw TOML in, validated types out.

mod access;
mod api;
mod countries;
mod fault;
mod fields;
mod host;
mod listen;
mod load;
mod model;
mod ports;
mod prefix;
mod schema;
mod sections;
mod service;
mod tree;
mod units;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Faults};
pub use host::{HostFindings, host_checks};
pub use load::{Loaded, Whereabouts, load, whereabouts};
pub use model::*;
pub(crate) use units::duration;
