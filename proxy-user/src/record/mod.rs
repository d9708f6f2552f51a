//! The access record: one shape for store, API, export and sinks (SPEC 4).

mod commit;
mod http;
mod ids;
mod json;
mod keyed;
mod model;
mod schema;
mod text;

#[cfg(test)]
pub(crate) mod tests;

pub use commit::*;
pub use http::{AuthMethod, HttpPart, HttpVersion};
pub use ids::Ids;
pub use keyed::{KeyedMap, KeyedSet};
pub use model::*;
pub use proxy_common::flow::FlowId;
pub use text::shown;
