//! The daemon: wires the rooms together, and brings them up and down.

mod backend;
mod begin;
mod certificates;
mod core;
mod country;
mod coverage;
mod datapath;
mod descriptor_store;
mod engine;
mod files;
mod forwarding;
mod gap;
mod gate;
mod handover;
mod inbox;
mod interfaces;
mod kernel;
mod lookout;
mod phase;
mod planes;
mod reload;
mod run;
mod service_status;
mod signals;
mod sinks;
mod start;
mod status;
mod stop;
mod succession;
#[cfg(test)]
mod tests;
mod update;
mod upkeep;

pub use files::relay_limits;
pub use planes::{Forecast, forecast};
pub use run::run;
