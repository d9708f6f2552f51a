//! The writing end: one transaction a batch and kind, partitions in turn.

use std::sync::Arc;

use redb::{ReadableTable, WriteTransaction};
use uuid::Uuid;

use super::{
    StoreError, codec,
    notes::{Notes, account, flow_bytes},
    partition::{
        COMMITTED, FLOWS, FORMAT, META, META_FIRST, META_FORMAT, META_LEAST, META_MOST, Partition,
        RECORDS,
    },
    records::Shared,
    series::Kind,
};
use crate::record::{Batch, Commit, CommitError, Committing, FlowId, Origin};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Writes batches. There is one.
pub struct StoreWriter {
    pub(super) shared: Arc<Shared>,
}

impl Commit for StoreWriter {
    /// Noise first, then the rest. A batch that is tried again after the first of
    /// the two succeeded has the same ids: what is up to the last that was committed
    /// is passed over.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        for kind in [Kind::Noise, Kind::Main] {
            let own: Vec<&Committing> = batch
                .records
                .iter()
                .filter(|committing| Kind::of(&committing.record, &committing.origin) == kind)
                .collect();
            self.restore(kind).map_err(CommitError::from)?;
            // A denied session is a flow too: its note may be in either kind.
            if let Err(error) = self.write(kind, own, &batch.forget) {
                self.reopen(kind);
                return Err(error.into());
            }
        }
        Ok(())
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

impl StoreWriter {
    fn write(
        &self,
        kind: Kind,
        mut own: Vec<&Committing>,
        forget: &[FlowId],
    ) -> Result<(), StoreError> {
        let newest = self.shared.series(kind).read().newest();
        if let Some((_, partition)) = &newest {
            let committed = partition.last_id()?;
            own.retain(|committing| Some(committing.record.id) > committed);
        }
        match (newest, own.first().map(|committing| committing.record.id)) {
            (None, None) => Ok(()),
            // Each transaction waits for the disk.
            (Some((_, partition)), None) if !Notes::has_any(&partition, forget)? => Ok(()),
            (Some((_, partition)), None) => self.transact(&partition, None, &[], forget),
            (Some((begins, partition)), Some(first)) if self.fits(begins, first, &partition) => {
                self.transact(&partition, None, &own, forget)
            }
            (_, Some(first)) => self.roll(kind, first, &own, forget),
        }
    }

    /// Whether a batch that begins at `first` still belongs to the partition.
    fn fits(&self, begins: Uuid, first: Uuid, partition: &Partition) -> bool {
        day(begins) == day(first) && partition.bytes() < self.shared.options.partition_bytes
    }

    /// Begins a new partition with `own`; the notes of the one before move along.
    fn roll(
        &self,
        kind: Kind,
        first: Uuid,
        own: &[&Committing],
        forget: &[FlowId],
    ) -> Result<(), StoreError> {
        let (path, before) = {
            let series = self.shared.series(kind).read();
            (series.path(first), series.newest())
        };
        let notes = match &before {
            Some((_, partition)) => Notes::read(partition)?,
            None => Notes::default(),
        };
        // A file of that name is of an attempt that failed before its commit.
        let _ = std::fs::remove_file(&path);
        let partition = Arc::new(Partition::create(&path)?);
        if let Err(error) = self.transact(&partition, Some(&notes), own, forget) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        self.shared.series(kind).write().partitions.insert(first, partition);
        Ok(())
    }

    fn transact(
        &self,
        partition: &Partition,
        carried: Option<&Notes>,
        own: &[&Committing],
        forget: &[FlowId],
    ) -> Result<(), StoreError> {
        let Some(database) = partition.writable() else {
            let why = "it is open to be read only".to_owned();
            return Err(StoreError::Damaged { path: partition.path.clone(), why });
        };
        let keep = !self.shared.keeps_nothing();
        let run = || -> Result<(), redb::Error> {
            let mut write = database.begin_write()?;
            write.set_quick_repair(true);
            if let Some(notes) = carried {
                notes.carry(&write, own)?;
            }
            for committing in own {
                put(&write, committing, keep)?;
            }
            if keep {
                note_bounds(&write, own)?;
            }
            if let Some(last) = own.last() {
                write.open_table(COMMITTED)?.insert((), last.record.id.as_u128())?;
            }
            let mut flows = write.open_table(FLOWS)?;
            for flow in forget {
                flows.remove(flow_bytes(flow).as_slice())?;
            }
            drop(flows);
            write.open_table(META)?.insert(META_FORMAT, FORMAT)?;
            Ok(write.commit()?)
        };
        run().map_err(partition.fail())
    }

    /// After an I/O error redb refuses everything until the file is opened anew. A
    /// reader may still hold it: then the next attempt tries again.
    fn reopen(&self, kind: Kind) {
        let mut series = self.shared.series(kind).write();
        let Some((first, partition)) = series.newest() else { return };
        self.shared.absent.lock().push((kind, first, partition.path.clone()));
        series.partitions.remove(&first);
    }

    /// Opens what a failure closed. Nothing is written before: the newest partition
    /// holds the notes.
    fn restore(&self, kind: Kind) -> Result<(), StoreError> {
        let mut absent = self.shared.absent.lock();
        while let Some(at) = absent.iter().position(|(of, _, _)| *of == kind) {
            let (_, first, path) = absent[at].clone();
            let partition = Arc::new(Partition::open(&path, true)?);
            self.shared.series(kind).write().partitions.insert(first, partition);
            absent.remove(at);
        }
        Ok(())
    }
}

fn put(write: &WriteTransaction, committing: &Committing, keep: bool) -> Result<(), redb::Error> {
    let id = committing.record.id.as_u128();
    if keep {
        let row = codec::encode(&committing.record.draft);
        write.open_table(RECORDS)?.insert(id, row.as_slice())?;
    }
    match &committing.origin {
        Origin::Denied(parts) => parts.iter().try_for_each(|part| account(write, part)),
        Origin::Flow(flow) => {
            write.open_table(FLOWS)?.insert(flow_bytes(flow).as_slice(), ())?;
            Ok(())
        }
        Origin::Userspace => Ok(()),
    }
}

fn note_bounds(write: &WriteTransaction, own: &[&Committing]) -> Result<(), redb::Error> {
    let mut meta = write.open_table(META)?;
    let drafts = || own.iter().map(|committing| &committing.record.draft);
    let fold = [
        (META_FIRST, drafts().map(|draft| draft.started_at.0).min(), true),
        (META_LEAST, drafts().map(|draft| draft.timestamp.0).min(), true),
        (META_MOST, drafts().map(|draft| draft.timestamp.0).max(), false),
    ];
    for (key, value, smallest) in fold {
        let Some(value) = value else { continue };
        let known = meta.get(key)?.map(|guard| guard.value());
        let better = known.is_none_or(|known| if smallest { value < known } else { value > known });
        if better {
            meta.insert(key, value)?;
        }
    }
    Ok(())
}

/// The UTC day of an id.
pub(super) fn day(id: Uuid) -> u64 {
    milliseconds(id) / DAY_MS
}

/// The time of an id.
pub(super) fn milliseconds(id: Uuid) -> u64 {
    u64::try_from(id.as_u128() >> 80).unwrap_or(0)
}
