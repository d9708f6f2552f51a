//! What the writer needs of a store.

use uuid::Uuid;

use super::{FlowId, Origin, Record};

/// A record with its place in the store, and what its commit settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committing {
    /// The record.
    pub record: Record,
    /// What it settles.
    pub origin: Origin,
}

/// One transaction.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In the order of their ids, above every id before.
    pub records: Vec<Committing>,
    /// Flows whose kernel entry is gone: their note of being committed may go.
    pub forget: Vec<FlowId>,
}

/// Where the writer commits to. Called from the writer's own thread.
pub trait Commit: Send + 'static {
    /// Makes the store ready to be written to, and gives the highest id in it. Called
    /// until it succeeds, before anything is committed; again, it changes nothing.
    fn open(&mut self) -> Result<Option<Uuid>, CommitError>;

    /// Writes all of `batch` durably with what the origins settle, or nothing.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError>;
}

/// Why a batch could not be written: a full disk, a broken device.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CommitError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
