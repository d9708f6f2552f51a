//! The daemon: wires the rooms together, and brings them up and down.

mod backend;
mod core;
mod country;
mod datapath;
mod engine;
mod files;
mod gate;
mod generation;
mod interfaces;
mod kernel;
mod reload;
mod run;
mod sinks;
mod start;
mod status;
mod upkeep;

pub use files::relay_limits;
pub use run::run;
