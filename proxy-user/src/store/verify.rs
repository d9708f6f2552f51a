//! Whether the files are what was written.

use std::ops::Bound;

use redb::ReadableTableMetadata;

use super::{
    Store, StoreError,
    file::{Access, RECORDS, RecordsFile, table},
};

/// What a check of the files found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records that can be read.
    pub good: u64,
    /// Records of a shape that this Weir does not know.
    pub bad: u64,
    /// What is wrong with which file.
    pub faults: Vec<StoreError>,
}

impl Store {
    /// Compares every page of every file with its checksum, and reads every record.
    /// For a store that is open to be read only; no file is changed.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let mut verified = Verified { faults: self.damaged(), ..Verified::default() };
        for partition in self.partitions()? {
            match verify(&partition.path) {
                Ok((good, all)) => {
                    verified.good += good;
                    verified.bad += all.saturating_sub(good);
                }
                Err(error) => verified.faults.push(error),
            }
        }
        Ok(verified)
    }
}

/// How many records can be decoded, of how many.
fn verify(path: &std::path::Path) -> Result<(u64, u64), StoreError> {
    let mut file = RecordsFile::open(path, Access::Overlay)?;
    file.check()?;
    let all = file.read(|read| table(read, RECORDS)?.map_or(Ok(0), |table| Ok(table.len()?)))?;
    let mut good = 0;
    file.each(Bound::Unbounded, |_| {
        good += 1;
        true
    })?;
    Ok((good, all))
}
