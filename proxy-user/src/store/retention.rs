//! What goes, oldest first: whole partitions, by an unlink.

use std::{fs, sync::Arc};

use super::{Store, StoreError, partition::Partition, series::Kind, writer::milliseconds};
use crate::{
    config::{Keep, Log},
    record::Timestamp,
};

impl Store {
    /// Removes partitions that are too old, or more than the limits allow. Denied
    /// records and the rest displace only each other's kind; the newest partition of
    /// each kind stays, since it is written to. Gives how many went.
    pub fn retain(&self, now: Timestamp, log: &Log) -> Result<usize, StoreError> {
        self.keep_nothing(log.keep == Keep::None);
        let noise_bytes = log.noise_max_bytes.min(log.max_bytes);
        // Room that the noise may take is never the others'.
        let main_bytes = log.max_bytes.saturating_sub(noise_bytes);
        Ok(self.retain_kind(Kind::Noise, now, log.keep, noise_bytes)?
            + self.retain_kind(Kind::Main, now, log.keep, main_bytes)?)
    }

    fn retain_kind(
        &self,
        kind: Kind,
        now: Timestamp,
        keep: Keep,
        most_bytes: u64,
    ) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let mut series = self.shared.series(kind).write();
            if series.partitions.len() < 2 {
                return Ok(removed);
            }
            let too_much = series.bytes() > most_bytes;
            let Some(oldest) = series.partitions.first_entry() else { return Ok(removed) };
            if !too_much && !is_too_old(oldest.get(), now, keep)? {
                return Ok(removed);
            }
            let partition: Arc<Partition> = oldest.remove();
            drop(series);
            // Who reads it goes on reading.
            fs::remove_file(&partition.path).map_err(StoreError::io(&partition.path))?;
            removed += 1;
        }
    }
}

fn is_too_old(partition: &Partition, now: Timestamp, keep: Keep) -> Result<bool, StoreError> {
    let age = match keep {
        Keep::Forever => return Ok(false),
        Keep::None => return Ok(true),
        Keep::For(age) => u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    };
    let now = u64::try_from(now.0).unwrap_or(0);
    let last = partition.last_id()?.map_or(0, milliseconds);
    Ok(last < now.saturating_sub(age))
}
