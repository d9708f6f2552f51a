//! REST over TCP and over the control socket, metrics, health.

mod contract;
mod error;
pub mod model;
mod params;

pub use contract::*;
