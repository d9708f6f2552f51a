//! The store: records in partitions of redb, what is asked of them, and the small
//! books beside them: audit log, tokens, sessions, positions of sinks.

mod audit;
mod backlog;
mod block;
mod book;
pub(crate) mod codec;
mod content;
mod counting;
mod error;
mod file;
mod group;
mod kept;
mod noted;
mod notes;
mod order;
mod overlay;
mod partition;
mod pieces;
mod place;
mod quantiles;
mod query;
mod records;
mod retention;
mod rewrite;
mod scan;
mod select;
mod series;
mod sessions;
mod sink;
mod summary;
mod tail;
#[cfg(test)]
mod tests;
mod tokens;
mod top;
mod turns;
mod verify;
mod view;
mod writer;

pub use audit::{Audit, AuditEntry};
pub use error::StoreError;
pub use group::*;
pub use quantiles::Quantiles;
pub use query::*;
pub use records::{Store, StoreOptions};
pub use rewrite::Compacted;
pub use series::SeriesStats;
pub use sessions::{KeptSession, SessionBook, SessionChange};
pub use sink::SinkWriter;
pub use summary::{Bucket, Count, Summary, Verdicts};
pub use tokens::{Scope, Token, Tokens};
pub use verify::Verified;
pub use writer::StoreWriter;

/// Files of records that are open, of both kinds, but for what is being read just now.
pub const MOST_FILES: usize = 2 * (partition::Files::MOST + 1);
