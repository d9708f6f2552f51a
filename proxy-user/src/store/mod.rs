//! The store: records in partitions of redb, what is asked of them, and the small
//! books beside them: audit log, tokens, sessions, positions of sinks.

mod audit;
mod backlog;
mod book;
pub(crate) mod codec;
mod error;
mod file;
mod group;
mod matching;
mod noted;
mod notes;
mod overlay;
mod partition;
mod quantiles;
mod query;
mod records;
mod retention;
mod scan;
mod series;
mod sessions;
mod sink;
mod summary;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;
mod writer;

pub use audit::{Audit, AuditEntry};
pub use error::StoreError;
pub use group::*;
pub use quantiles::Quantiles;
pub use query::*;
pub use records::{Store, StoreOptions};
pub use series::SeriesStats;
pub use sessions::{KeptSession, SessionBook, SessionChange};
pub use sink::JsonlSink;
pub use summary::{Bucket, Count, Summary, Verdicts};
pub use tokens::{Scope, Token, Tokens};
pub use verify::Verified;
pub use writer::StoreWriter;

/// Files of records that are open, of both kinds, but for what is being read just now.
pub const MOST_FILES: usize = 2 * (partition::Files::MOST + 1);
