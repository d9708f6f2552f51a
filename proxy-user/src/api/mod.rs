//! REST over TCP and over the control socket, metrics, health.

mod contract;
pub mod model;

pub use contract::*;
