//! How far a reader is behind.

use std::ops::Bound;

use uuid::Uuid;

use super::{
    Store, StoreError,
    file::{RECORDS, RecordsFile, table},
    series::Kind,
};

impl Store {
    /// How many records are above `after`; no more than `most` are looked at.
    pub fn backlog(&self, after: Option<Uuid>, most: usize) -> Result<usize, StoreError> {
        self.shared.must_be_open()?;
        let mut count = 0;
        for kind in Kind::ALL {
            let partitions = self.shared.series(kind).read().between(after, Uuid::max());
            for partition in partitions {
                if count == most {
                    return Ok(count);
                }
                let found = partition.read(|file| file.count(after, most - count))?;
                count += found.unwrap_or(0);
            }
        }
        Ok(count)
    }
}

impl RecordsFile {
    fn count(&self, after: Option<Uuid>, most: usize) -> Result<usize, StoreError> {
        let from = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_u128()));
        self.read(|read| {
            let Some(table) = table(read, RECORDS)? else { return Ok(0) };
            let rows = table.range::<u128>((from, Bound::Unbounded))?;
            let mut count = 0;
            for row in rows.take(most) {
                row?;
                count += 1;
            }
            Ok(count)
        })
    }
}
