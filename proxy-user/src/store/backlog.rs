//! How far a reader is behind.

use std::ops::Bound;

use uuid::Uuid;

use super::{Store, StoreError};

impl Store {
    /// How many records are above `after`; no more than `most` are looked at.
    pub fn backlog(&self, after: Option<Uuid>, most: usize) -> Result<usize, StoreError> {
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_u128()));
        let mut count = 0;
        for (_, partition) in self.partitions() {
            let Some(table) = partition.records()? else { continue };
            let rows = table.range::<u128>((from, Bound::Unbounded));
            let rows = rows.map_err(|error| partition.fail()(error.into()))?;
            count += rows.take(most - count).count();
        }
        Ok(count)
    }
}
