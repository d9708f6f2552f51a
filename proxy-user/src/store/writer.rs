//! The writing end: one transaction a batch and kind, partitions in turn.

use std::{fs, ops::Bound, sync::Arc};

use redb::{ReadableTable, WriteTransaction};
use uuid::Uuid;

use super::{
    StoreError, codec,
    file::{
        Bounds, COMMITTED, FORMAT, META, META_FIRST, META_FORMAT, META_LEAST, META_MOST, RECORDS,
        RecordsFile,
    },
    noted::{Noted, Noting},
    notes::{Accounts, Notes},
    partition::Partition,
    records::Shared,
    series::Kind,
};
use crate::record::{Batch, Commit, CommitError, Committing, FlowId, Origin};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// Writes batches. There is one.
pub struct StoreWriter {
    pub(super) shared: Arc<Shared>,
}

impl Commit for StoreWriter {
    fn open(&mut self) -> Result<Option<Uuid>, CommitError> {
        self.shared.open()?;
        let store = super::Store { shared: Arc::clone(&self.shared) };
        Ok(store.last_id()?)
    }

    /// Each kind by itself: one that cannot be written does not keep the other's
    /// records back. A batch that is tried again has the same ids: what is up to the
    /// last that was committed is passed over.
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let _writing = self.shared.writing.lock();
        let [main, noise] = Kind::ALL.map(|kind| self.shared.commit(kind, batch));
        Ok(main.and(noise)?)
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

/// What a new partition takes over from the one before.
#[derive(Default)]
struct Carried {
    notes: Notes,
    last: Option<Uuid>,
    bounds: Option<Bounds>,
}

impl Carried {
    fn read(file: &RecordsFile) -> Result<Self, StoreError> {
        Ok(Self { notes: Notes::read(file)?, last: file.last_id()?, bounds: file.bounds()? })
    }
}

/// What one transaction writes.
#[derive(Clone, Copy, Default)]
struct Writing<'a> {
    carried: Option<&'a Carried>,
    own: &'a [&'a Committing],
    forget: &'a [FlowId],
}

impl Shared {
    fn commit(&self, kind: Kind, batch: &Batch) -> Result<(), StoreError> {
        let own: Vec<&Committing> = batch
            .records
            .iter()
            .filter(|committing| Kind::of(&committing.record, &committing.origin) == kind)
            .collect();
        // A denied session is a flow too: its note may be in either kind.
        let writing = Writing { carried: None, own: &own, forget: &batch.forget };
        match (self.newest(kind)?, own.first()) {
            (Some((first, newest, file)), _) => {
                let appended = self.append(&file, &mut newest.noted(), writing);
                let appended =
                    appended.map_err(|error| self.give_up(kind, first, &newest, error))?;
                let Some((carried, begin)) = appended else { return Ok(()) };
                let writing = Writing { carried: Some(&carried), ..writing };
                self.begin(kind, begin, writing)?;
                drop(file);
                newest.seal(carried.bounds);
                Ok(())
            }
            (None, Some(begin)) => self.begin(kind, begin.record.id, writing),
            (None, None) => Ok(()),
        }
    }

    /// The newest partition, open to be written. Nothing is written before it is: it
    /// holds the notes.
    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn newest(
        &self,
        kind: Kind,
    ) -> Result<Option<(Uuid, Arc<Partition>, Arc<RecordsFile>)>, StoreError> {
        let newest = self.series(kind).read().newest();
        let Some((first, newest)) = newest else { return Ok(None) };
        if let Some(file) = newest.written() {
            return Ok(Some((first, newest, file)));
        }
        let mut series = self.series(kind).write();
        series.open_newest(&self.damaged)?;
        let newest = series.newest();
        Ok(newest.and_then(|(first, newest)| {
            let file = newest.written()?;
            Some((first, newest, file))
        }))
    }

    /// Writes to the newest partition, where that is still what the records belong to;
    /// else gives what the next one takes over, and the id that it begins at.
    fn append(
        &self,
        file: &RecordsFile,
        noted: &mut Noted,
        writing: Writing<'_>,
    ) -> Result<Option<(Carried, Uuid)>, StoreError> {
        let committed = file.last_id()?;
        let mut own = writing.own.to_vec();
        own.retain(|committing| Some(committing.record.id) > committed);
        let Some(first) = own.first() else {
            // Each transaction waits for the disk.
            if noted.has_any(writing.forget) {
                self.transact(file, noted, Writing { own: &[], ..writing })?;
            }
            return Ok(None);
        };
        if self.fits(file, &own)? {
            self.transact(file, noted, Writing { own: &own, ..writing })?;
            return Ok(None);
        }
        Ok(Some((Carried::read(file)?, first.record.id)))
    }

    /// Whether the records still belong to the partition: those of a day lie together.
    /// By their own times, since ids go on where a clock that was ahead left them.
    fn fits(&self, file: &RecordsFile, own: &[&Committing]) -> Result<bool, StoreError> {
        let latest = own.iter().map(|committing| committing.record.draft.timestamp.0).max();
        let day = |time: i64| time.div_euclid(DAY_MS);
        let same_day = match file.bounds()? {
            Some(bounds) => latest.is_none_or(|latest| day(latest) == day(bounds.most)),
            None => true,
        };
        let bytes = fs::metadata(&file.path).map_or(0, |metadata| metadata.len());
        Ok(same_day && bytes < self.options.partition_bytes)
    }

    /// Begins a new partition. Where that fails, the one before stays the newest.
    fn begin(&self, kind: Kind, first: Uuid, writing: Writing<'_>) -> Result<(), StoreError> {
        let path = self.series(kind).read().path(first);
        // A file of that name is of an attempt that failed before its commit.
        let _ = fs::remove_file(&path);
        let file = RecordsFile::create(&path)?;
        let mut noted = Noted::default();
        if let Err(error) = self.transact(&file, &mut noted, writing) {
            drop(file);
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        let mut series = self.series(kind).write();
        let partition = Partition::begun(file, noted, &series.files);
        series.partitions.insert(first, partition);
        Ok(())
    }

    /// Begins an empty partition that takes over what the newest notes, so that the
    /// newest can go.
    pub(super) fn turn(&self, kind: Kind) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let Some((first, newest, file)) = self.newest(kind)? else { return Ok(()) };
        let carried =
            Carried::read(&file).map_err(|error| self.give_up(kind, first, &newest, error))?;
        // Not above any id to come: those are above the last.
        let last = carried.last.map_or(first.as_u128(), |last| last.as_u128());
        let begin = Uuid::from_u128(last + 1);
        self.begin(kind, begin, Writing { carried: Some(&carried), ..Writing::default() })?;
        drop(file);
        newest.seal(carried.bounds);
        Ok(())
    }

    fn transact(
        &self,
        file: &RecordsFile,
        noted: &mut Noted,
        writing: Writing<'_>,
    ) -> Result<(), StoreError> {
        let keep = !self.keeps_nothing();
        let Writing { carried, own, forget } = writing;
        file.write(|write| {
            if let Some(carried) = carried {
                carried.notes.carry(write, noted, own)?;
            }
            let fresh = settle(write, noted, own, forget)?;
            if keep {
                put(write, &fresh)?;
                note_bounds(write, &fresh)?;
            }
            let last = own.last().map(|committing| committing.record.id);
            if let Some(last) = last.or(carried.and_then(|carried| carried.last)) {
                write.open_table(COMMITTED)?.insert((), last.as_u128())?;
            }
            write.open_table(META)?.insert(META_FORMAT, FORMAT)?;
            Ok(())
        })
    }

    /// After a failure of the newest partition: what is damaged makes room for a new
    /// one, anything else is opened anew.
    fn give_up(
        &self,
        kind: Kind,
        first: Uuid,
        newest: &Partition,
        error: StoreError,
    ) -> StoreError {
        newest.close();
        if let StoreError::Damaged { path, why } = &error {
            let told = StoreError::Damaged { path: path.clone(), why: why.clone() };
            let aside = self.series(kind).write().set_aside(first, told, &self.damaged);
            return aside.err().unwrap_or(error);
        }
        error
    }
}

/// Writes what the records settle, and forgets. Gives those that are to be written: not
/// whose flow was recorded before, by a daemon whose notes could not be read when this
/// one began. What stands for several is written all the same.
fn settle<'a>(
    write: &WriteTransaction,
    noted: &mut Noted,
    own: &[&'a Committing],
    forget: &[FlowId],
) -> Result<Vec<&'a Committing>, redb::Error> {
    let mut accounts = Accounts::open(write)?;
    let mut noting = Noting::open(write, noted)?;
    let mut fresh = Vec::with_capacity(own.len());
    for committing in own {
        let origin = &committing.origin;
        origin.accounted().iter().try_for_each(|part| accounts.add(part))?;
        let mut is_fresh = true;
        for flow in origin.flows() {
            is_fresh = noting.note(*flow)? || matches!(origin, Origin::Denied { .. });
        }
        if is_fresh {
            fresh.push(*committing);
        }
    }
    noting.flush()?;
    noting.forget(forget)?;
    Ok(fresh)
}

/// Writes the records behind all others, where their ids belong: the tree is built
/// once for many of them.
fn put(write: &WriteTransaction, fresh: &[&Committing]) -> Result<(), redb::Error> {
    let mut records = write.open_table(RECORDS)?;
    let mut end = records.upper_bound_mut(Bound::<u128>::Unbounded)?;
    let mut row = Vec::new();
    for committing in fresh {
        row = codec::encode(&committing.record.draft, row);
        end.insert_before(committing.record.id.as_u128(), row.as_slice())?;
    }
    Ok(end.close()?)
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
