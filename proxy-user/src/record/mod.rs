//! The access record: one shape for store, API, export and sinks (SPEC 4).

mod model;

pub use model::*;
