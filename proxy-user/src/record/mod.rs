//! The access record: one shape for store, API, export and sinks (SPEC 4).

mod commit;
mod json;
mod model;

pub use commit::*;
pub use model::*;
