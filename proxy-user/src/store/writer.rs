//! The writing end: one transaction a batch and kind, partitions in turn.

use std::{fs, sync::Arc};

use redb::WriteTransaction;
use uuid::Uuid;

use super::{
    StoreError,
    content::{Content, settle},
    file::{COMMITTED, FORMAT, META, META_FORMAT, RecordsFile},
    noted::{Noted, Noting},
    notes::{Accounts, Notes},
    partition::Partition,
    records::Shared,
    series::Kind,
    tail,
};
use crate::record::{Batch, Commit, CommitError, Committing, FlowId, Origin, Record};

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
}

impl Carried {
    fn read(file: &RecordsFile) -> Result<Self, StoreError> {
        Ok(Self { notes: Notes::read(file)?, last: file.last_id()? })
    }
}

/// The newest partition of a kind, open to be written.
struct Newest {
    first: Uuid,
    partition: Arc<Partition>,
    file: Arc<RecordsFile>,
    content: Arc<Content>,
}

impl Newest {
    fn of((first, partition): (Uuid, Arc<Partition>)) -> Option<Self> {
        let (file, content) = partition.written()?;
        Some(Self { first, partition, file, content })
    }

    /// It is not written any more, once its tail is a block. Where that cannot be written
    /// the tail serves as well.
    fn seal(self) {
        let Self { partition, file, content, .. } = self;
        if let Ok(settled) = settle(&file, Content::clone(&content)) {
            partition.publish(settled);
        }
        drop(file);
        partition.seal();
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
        let Some(newest) = self.newest(kind)? else {
            return own.first().map_or(Ok(()), |begin| self.begin(kind, begin.record.id, writing));
        };
        let appended = self.append(&newest, writing);
        let appended = appended.map_err(|error| self.give_up(kind, &newest, error))?;
        let Some((carried, begin)) = appended else { return Ok(()) };
        self.begin(kind, begin, Writing { carried: Some(&carried), ..writing })?;
        newest.seal();
        Ok(())
    }

    /// The newest partition, open to be written. Nothing is written before it is: it
    /// holds the notes.
    fn newest(&self, kind: Kind) -> Result<Option<Newest>, StoreError> {
        if let Some(newest) = self.series(kind).read().newest().and_then(Newest::of) {
            return Ok(Some(newest));
        }
        let mut series = self.series(kind).write();
        series.open_newest(&self.damaged)?;
        Ok(series.newest().and_then(Newest::of))
    }

    /// Writes to the newest partition, where that is still what the records belong to;
    /// else gives what the next one takes over, and the id that it begins at.
    fn append(
        &self,
        newest: &Newest,
        writing: Writing<'_>,
    ) -> Result<Option<(Carried, Uuid)>, StoreError> {
        let Newest { file, content, partition, .. } = newest;
        let committed = file.last_id()?;
        let mut own = writing.own.to_vec();
        own.retain(|committing| Some(committing.record.id) > committed);
        let Some(first) = own.first() else {
            // Each transaction waits for the disk.
            let mut noted = partition.noted();
            if noted.has_any(writing.forget) {
                self.transact(file, &mut noted, Writing { own: &[], ..writing })?;
            }
            return Ok(None);
        };
        if !self.fits(newest, &own) {
            return Ok(Some((Carried::read(file)?, first.record.id)));
        }
        let written =
            self.transact(file, &mut partition.noted(), Writing { own: &own, ..writing })?;
        let mut content = Content::clone(content);
        content.push(&written);
        if content.tail_rows() >= self.options.block_rows {
            content = settle(file, content)?;
        }
        partition.publish(content);
        Ok(None)
    }

    /// Whether the records still belong to the partition: those of a day lie together.
    /// By their own times, since ids go on where a clock that was ahead left them.
    fn fits(&self, newest: &Newest, own: &[&Committing]) -> bool {
        let latest = own.iter().map(|committing| committing.record.draft.timestamp.0).max();
        let day = |time: i64| time.div_euclid(DAY_MS);
        let same_day = match newest.content.times() {
            Some(times) => latest.is_none_or(|latest| day(latest) == day(times.logged.1.0)),
            None => true,
        };
        same_day && newest.partition.bytes() < self.options.partition_bytes
    }

    /// Begins a new partition. Where that fails, the one before stays the newest.
    fn begin(&self, kind: Kind, first: Uuid, writing: Writing<'_>) -> Result<(), StoreError> {
        let path = self.series(kind).read().path(first);
        // A file of that name is of an attempt that failed before its commit.
        let _ = fs::remove_file(&path);
        let file = RecordsFile::create(&path)?;
        let (mut noted, mut content) = (Noted::default(), Content::default());
        match self.transact(&file, &mut noted, writing) {
            Ok(written) => content.push(&written),
            Err(error) => {
                drop(file);
                let _ = fs::remove_file(&path);
                return Err(error);
            }
        }
        let mut series = self.series(kind).write();
        let partition = Partition::begun(file, noted, content, &series.files);
        series.partitions.insert(first, partition);
        Ok(())
    }

    /// Begins an empty partition that takes over what the newest notes, so that the
    /// newest can go.
    pub(super) fn turn(&self, kind: Kind) -> Result<(), StoreError> {
        let _writing = self.writing.lock();
        let Some(newest) = self.newest(kind)? else { return Ok(()) };
        let carried =
            Carried::read(&newest.file).map_err(|error| self.give_up(kind, &newest, error))?;
        // Not above any id to come: those are above the last.
        let last = carried.last.map_or(newest.first.as_u128(), |last| last.as_u128());
        let begin = Uuid::from_u128(last + 1);
        self.begin(kind, begin, Writing { carried: Some(&carried), ..Writing::default() })?;
        newest.seal();
        Ok(())
    }

    /// Gives the records that were written.
    fn transact<'a>(
        &self,
        file: &RecordsFile,
        noted: &mut Noted,
        writing: Writing<'a>,
    ) -> Result<Vec<&'a Record>, StoreError> {
        let keep = !self.keeps_nothing();
        let Writing { carried, own, forget } = writing;
        let mut written = Vec::new();
        file.write(|write| {
            if let Some(carried) = carried {
                carried.notes.carry(write, noted, own)?;
            }
            let fresh = account(write, noted, own, forget)?;
            if keep {
                tail::append(write, &fresh)?;
                written.extend(fresh.iter().map(|committing| &committing.record));
            }
            let last = own.last().map(|committing| committing.record.id);
            if let Some(last) = last.or(carried.and_then(|carried| carried.last)) {
                write.open_table(COMMITTED)?.insert((), last.as_u128())?;
            }
            write.open_table(META)?.insert(META_FORMAT, FORMAT)?;
            Ok(())
        })?;
        Ok(written)
    }

    /// After a failure of the newest partition: what is damaged makes room for a new
    /// one, anything else is opened anew.
    fn give_up(&self, kind: Kind, newest: &Newest, error: StoreError) -> StoreError {
        newest.partition.close();
        if let StoreError::Damaged { path, why } = &error {
            let told = StoreError::Damaged { path: path.clone(), why: why.clone() };
            let aside = self.series(kind).write().set_aside(newest.first, told, &self.damaged);
            return aside.err().unwrap_or(error);
        }
        error
    }
}

/// Writes what the records settle, and forgets. Gives those that are to be written: not
/// whose flow was recorded before, by a daemon whose notes could not be read when this
/// one began. What stands for several is written all the same.
fn account<'a>(
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
