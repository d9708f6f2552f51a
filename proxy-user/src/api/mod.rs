//! REST over TCP and over the control socket, the dashboard, metrics, health.

mod access;
mod app;
mod bind;
mod contract;
mod control_socket;
mod dashboard;
mod description;
mod error;
mod export;
mod gate;
mod metrics;
pub mod model;
mod params;
mod peer;
mod routes;
mod serve;

pub use bind::*;
pub use contract::*;
pub use export::{csv_head, csv_lines};
pub use gate::Gate;
pub use params::parse_query;
pub use serve::{Answering, MOST_CONNECTIONS, serve};

#[cfg(test)]
mod tests;
