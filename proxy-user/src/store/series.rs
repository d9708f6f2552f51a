//! Partitions in order: those of one kind of records.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    StoreError,
    content::Content,
    error::set_aside,
    file::{Access, FORMAT, RecordsFile},
    partition::{Files, Partition},
    rewrite,
};
use crate::record::{Origin, Record, Verdict};

/// Which records displace which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a service served, or failed to serve.
    Main,
    /// Denied, or failed before a service was chosen.
    Noise,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Main, Self::Noise];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Noise => "noise",
        }
    }

    /// Where a record belongs. What settles kernel counters lies in the noise, with
    /// the counters' accounts.
    pub(super) fn of(record: &Record, origin: &Origin) -> Self {
        let draft = &record.draft;
        let denied = draft.verdict == Verdict::Denied || draft.service_id.is_empty();
        if denied || !origin.accounted().is_empty() { Self::Noise } else { Self::Main }
    }
}

/// What a kind's files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SeriesStats {
    /// `main` or `noise`.
    pub name: String,
    /// Files.
    pub partitions: usize,
    /// Bytes of the files.
    pub bytes: u64,
    /// Records in them.
    pub records: u64,
}

/// Damaged files that were set aside, or only found, and not told yet.
pub(super) type Damaged = Mutex<Vec<StoreError>>;

/// The partitions of one kind, by the id that they begin at.
pub(super) struct Series {
    pub(super) kind: Kind,
    pub(super) dir: PathBuf,
    pub(super) files: Arc<Files>,
    pub(super) partitions: BTreeMap<Uuid, Arc<Partition>>,
}

impl Series {
    /// One of which nothing is known yet.
    pub(super) fn unread(dir: &Path, kind: Kind, files: &Arc<Files>) -> Self {
        let (dir, files) = (dir.to_owned(), Arc::clone(files));
        Self { kind, dir, files, partitions: BTreeMap::new() }
    }

    /// Finds what is in the directory. What is damaged is set aside where `access`
    /// allows it, and told.
    pub(super) fn find(&mut self, access: Access, damaged: &Damaged) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.dir).map_err(StoreError::io(&self.dir))? {
            let path = entry.map_err(StoreError::io(&self.dir))?.path();
            if access == Access::Write && rewrite::is_unfinished(&path) {
                fs::remove_file(&path).map_err(StoreError::io(&path))?;
            }
            let Some(first) = self.first_id(&path) else { continue };
            match inspect(&path, access) {
                Ok(Some(content)) => {
                    let partition = Partition::sealed(&path, &self.files, content);
                    self.partitions.insert(first, partition);
                }
                // The daemon was killed as it began this partition: the notes are still
                // in the one before, which must stay the newest.
                Ok(None) if access == Access::Write => {
                    fs::remove_file(&path).map_err(StoreError::io(&path))?;
                }
                Ok(None) => {}
                Err(error @ StoreError::Damaged { .. }) => {
                    if access == Access::Write {
                        set_aside(&path)?;
                    }
                    damaged.lock().push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the newest to be written, where it is not. One that turns out to be
    /// damaged is set aside, and the one before is the newest.
    pub(super) fn open_newest(&mut self, damaged: &Damaged) -> Result<(), StoreError> {
        while let Some((first, newest)) = self.newest() {
            match newest.reopen() {
                Err(error @ StoreError::Damaged { .. }) => {
                    self.set_aside(first, error, damaged)?;
                }
                other => return other,
            }
        }
        Ok(())
    }

    /// Takes a damaged partition out of the series.
    pub(super) fn set_aside(
        &mut self,
        first: Uuid,
        why: StoreError,
        damaged: &Damaged,
    ) -> Result<(), StoreError> {
        if let Some(partition) = self.partitions.get(&first) {
            partition.close();
            set_aside(&partition.path)?;
            self.partitions.remove(&first);
            damaged.lock().push(why);
        }
        Ok(())
    }

    /// Lets go of every file.
    pub(super) fn close(&mut self) {
        for partition in std::mem::take(&mut self.partitions).values() {
            partition.close();
        }
        self.files.close();
    }

    pub(super) fn path(&self, first: Uuid) -> PathBuf {
        self.dir.join(format!("{}-{}.redb", self.kind.name(), first.simple()))
    }

    fn first_id(&self, path: &Path) -> Option<Uuid> {
        first_id(path).filter(|(kind, _)| *kind == self.kind).map(|(_, first)| first)
    }

    pub(super) fn newest(&self) -> Option<(Uuid, Arc<Partition>)> {
        self.partitions.last_key_value().map(|(first, partition)| (*first, Arc::clone(partition)))
    }

    /// The only partition that may hold the record of that id.
    pub(super) fn holder(&self, id: Uuid) -> Option<Arc<Partition>> {
        self.partitions.range(..=id).next_back().map(|(_, partition)| Arc::clone(partition))
    }

    /// Partitions that may hold records above `after`, up to `through`.
    pub(super) fn between(&self, after: Option<Uuid>, through: Uuid) -> Vec<Arc<Partition>> {
        let holds_after = |id| self.partitions.range(..=id).next_back().map(|(first, _)| *first);
        let begin = after.and_then(holds_after).unwrap_or(Uuid::nil());
        if begin > through {
            return Vec::new();
        }
        self.partitions.range(begin..=through).map(|(_, p)| Arc::clone(p)).collect()
    }
}

impl SeriesStats {
    pub(super) fn of(kind: Kind, partitions: &[Arc<Partition>]) -> Result<Self, StoreError> {
        let mut stats = Self { name: kind.name().to_owned(), ..Self::default() };
        for partition in partitions {
            let content = partition.content()?;
            stats.partitions += 1;
            stats.bytes += partition.bytes();
            stats.records += content.map_or(0, |content| content.rows());
        }
        Ok(stats)
    }
}

/// The kind of a partition's file and the id that it begins at, by its name.
fn first_id(path: &Path) -> Option<(Kind, Uuid)> {
    let (kind, first) = path.file_name()?.to_str()?.strip_suffix(".redb")?.split_once('-')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some((kind, Uuid::try_parse(first).ok()?))
}

/// Every partition's file.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(StoreError::io(dir))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(StoreError::io(dir))?.path();
        files.extend(first_id(&path).map(|_| path));
    }
    files.sort();
    Ok(files)
}

/// What is in a file; `None` where nothing was ever committed. To be written, one of an
/// older format is brought to this one first.
fn inspect(path: &Path, access: Access) -> Result<Option<Content>, StoreError> {
    let reads = if access == Access::Overlay { access } else { Access::Read };
    let open = || match RecordsFile::open(path, reads) {
        // A kill left it so that it must be repaired first.
        Err(StoreError::Damaged { .. }) if access == Access::Write => {
            RecordsFile::open(path, access)
        }
        other => other,
    };
    let file = open()?;
    match file.format()? {
        Some(FORMAT) => Content::read(&file).map(Some),
        None => Ok(None),
        Some(_) if access == Access::Write => {
            drop(file);
            rewrite::migrate(path)?;
            Content::read(&open()?).map(Some)
        }
        Some(format) => Err(StoreError::Older {
            path: path.to_owned(),
            found: u64::try_from(format).unwrap_or(0),
        }),
    }
}
