//! The store: records in partitions, and what is asked of them.

mod query;

pub use query::*;
