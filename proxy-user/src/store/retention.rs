//! What goes, oldest first: whole partitions, by an unlink.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Store, StoreError, block::Times, partition::Partition, series::Kind};
use crate::{
    config::{Keep, Log},
    record::Timestamp,
};

/// Bytes that each kind's files may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub(super) main: u64,
    pub(super) noise: u64,
}

impl Shares {
    /// Room that the noise may take is never the others', nor theirs the noise's. A
    /// limit of the noise that would leave the others nothing counts as half.
    pub(super) fn of(log: &Log) -> Self {
        let leaves_room = log.noise_max_bytes < log.max_bytes;
        let noise = if leaves_room { log.noise_max_bytes } else { log.max_bytes / 2 };
        Self { main: log.max_bytes - noise, noise }
    }

    fn for_kind(self, kind: Kind) -> u64 {
        match kind {
            Kind::Main => self.main,
            Kind::Noise => self.noise,
        }
    }
}

impl Store {
    /// Removes partitions that are too old, or more than the limits allow. Denied
    /// records and the rest displace only each other's kind; the newest partition of
    /// each kind never makes room, since it is written to. Gives how many went.
    pub fn retain(&self, now: Timestamp, log: &Log) -> Result<usize, StoreError> {
        self.keep_nothing(log.keep == Keep::None);
        if self.shared.must_be_open().is_err() {
            return Ok(0);
        }
        let shares = Shares::of(log);
        let [main, noise] =
            Kind::ALL.map(|kind| self.retain_kind(kind, now, log.keep, shares.for_kind(kind)));
        let removed = main? + noise?;
        self.tidy()?;
        Ok(removed)
    }

    /// Makes files that are not written any more as small as they can be.
    pub fn tidy(&self) -> Result<(), StoreError> {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| self.complete(kind))
            .try_for_each(|(_, partition)| partition.tidy())
    }

    fn retain_kind(
        &self,
        kind: Kind,
        now: Timestamp,
        keep: Keep,
        most_bytes: u64,
    ) -> Result<usize, StoreError> {
        let newest = self.shared.series(kind).read().newest();
        // One that is closed after a failure is left to the writer.
        let times = newest.and_then(|(_, newest)| newest.times().ok().flatten());
        if times.is_some_and(|times| is_too_old(times, now, keep)) {
            self.shared.turn(kind)?;
        }
        let mut removed = 0;
        let mut failed = None;
        let complete = self.complete(kind);
        let newest = self.shared.series(kind).read().newest();
        let mut bytes: u64 = newest.map_or(0, |(_, newest)| newest.bytes());
        bytes += complete.iter().map(|(_, partition)| partition.bytes()).sum::<u64>();
        for (first, partition) in complete {
            let too_old = match partition.times()? {
                Some(times) => is_too_old(times, now, keep),
                // It holds no records.
                None => true,
            };
            if !too_old && bytes <= most_bytes {
                continue;
            }
            let own = partition.bytes();
            match partition.remove() {
                Ok(()) => {
                    self.shared.series(kind).write().partitions.remove(&first);
                    bytes = bytes.saturating_sub(own);
                    removed += 1;
                }
                // It stays in the books, and is tried again.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    /// Every partition of a kind but the newest, oldest first.
    fn complete(&self, kind: Kind) -> Vec<(Uuid, Arc<Partition>)> {
        let series = self.shared.series(kind).read();
        let mut all: Vec<_> =
            series.partitions.iter().map(|(first, p)| (*first, Arc::clone(p))).collect();
        all.pop();
        all
    }
}

/// By the times of the records themselves.
fn is_too_old(times: Times, now: Timestamp, keep: Keep) -> bool {
    let age = match keep {
        Keep::Forever => return false,
        Keep::None => return true,
        Keep::For(age) => milliseconds(age),
    };
    times.logged.1.0 < now.0.saturating_sub(age)
}

fn milliseconds(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}
