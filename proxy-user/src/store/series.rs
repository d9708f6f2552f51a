//! Partitions in order: those of one kind of records.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    StoreError,
    partition::{META_FORMAT, Partition},
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
        match origin {
            Origin::Denied(_) => Self::Noise,
            _ if denied => Self::Noise,
            _ => Self::Main,
        }
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

/// The partitions of one kind, by the id that they begin at.
pub(super) struct Series {
    pub(super) kind: Kind,
    pub(super) dir: PathBuf,
    pub(super) partitions: BTreeMap<Uuid, Arc<Partition>>,
}

impl Series {
    /// Opens what is in `dir`. Damaged files are set aside, and told.
    pub(super) fn open(
        dir: &Path,
        kind: Kind,
        writable: bool,
        damaged: &mut Vec<StoreError>,
    ) -> Result<Self, StoreError> {
        let mut series = Self { kind, dir: dir.to_owned(), partitions: BTreeMap::new() };
        for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
            let path = entry.map_err(StoreError::io(dir))?.path();
            let Some(first) = series.first_id(&path) else { continue };
            match Partition::open(&path, writable) {
                // The daemon was killed as it began this partition: the notes are still
                // in the one before, which must stay the newest.
                Ok(partition) if partition.meta(META_FORMAT)?.is_none() => {
                    if writable {
                        drop(partition);
                        fs::remove_file(&path).map_err(StoreError::io(&path))?;
                    }
                }
                Ok(partition) => {
                    series.partitions.insert(first, Arc::new(partition));
                }
                Err(error @ StoreError::Damaged { .. }) if writable => {
                    let aside = path.with_extension("damaged");
                    fs::rename(&path, &aside).map_err(StoreError::io(&path))?;
                    damaged.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(series)
    }

    pub(super) fn path(&self, first: Uuid) -> PathBuf {
        self.dir.join(format!("{}-{}.redb", self.kind.name(), first.simple()))
    }

    fn first_id(&self, path: &Path) -> Option<Uuid> {
        let name = path.file_name()?.to_str()?;
        let rest = name.strip_prefix(self.kind.name())?.strip_prefix('-')?;
        Uuid::try_parse(rest.strip_suffix(".redb")?).ok()
    }

    pub(super) fn newest(&self) -> Option<(Uuid, Arc<Partition>)> {
        self.partitions.last_key_value().map(|(first, partition)| (*first, Arc::clone(partition)))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.partitions.values().map(|partition| partition.bytes()).sum()
    }

    pub(super) fn stats(&self) -> Result<SeriesStats, StoreError> {
        use redb::ReadableTableMetadata;
        let mut records = 0;
        for partition in self.partitions.values() {
            if let Some(table) = partition.records()? {
                records += table.len().map_err(|error| partition.fail()(error.into()))?;
            }
        }
        Ok(SeriesStats {
            name: self.kind.name().to_owned(),
            partitions: self.partitions.len(),
            bytes: self.bytes(),
            records,
        })
    }
}
