//! The store as readers hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::{
    SeriesStats, StoreError, StoreWriter,
    notes::Notes,
    partition::Partition,
    series::{Kind, Series},
};
use crate::record::{CounterId, FlowId};

/// How the store is laid out.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Bytes at which a partition is closed and the next begun.
    pub partition_bytes: u64,
}

impl StoreOptions {
    /// Largest partition.
    const MOST: u64 = 512 << 20;
    /// Smallest: redb's own tables take some of it.
    const LEAST: u64 = 4 << 20;

    /// For these limits of the files of all records and of the noise: small enough
    /// that removing whole partitions keeps within them.
    pub fn within(max_bytes: u64, noise_max_bytes: u64) -> Self {
        let partition_bytes = (max_bytes.min(noise_max_bytes) / 8).clamp(Self::LEAST, Self::MOST);
        Self { partition_bytes }
    }
}

/// The records; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) options: StoreOptions,
    main: RwLock<Series>,
    noise: RwLock<Series>,
    /// Partitions that a failure closed, to be opened again.
    pub(super) absent: Mutex<Vec<(Kind, Uuid, PathBuf)>>,
    keeps_nothing: AtomicBool,
    /// Held while the store is open to write.
    _lock: Option<File>,
}

impl Shared {
    pub(super) fn series(&self, kind: Kind) -> &RwLock<Series> {
        match kind {
            Kind::Main => &self.main,
            Kind::Noise => &self.noise,
        }
    }

    pub(super) fn keeps_nothing(&self) -> bool {
        self.keeps_nothing.load(Relaxed)
    }
}

impl Store {
    /// Opens the store below `data_dir` to write, and makes it where there is none.
    /// Damaged partitions are set aside and told.
    pub fn open(
        data_dir: &Path,
        options: StoreOptions,
    ) -> Result<(Self, StoreWriter, Vec<StoreError>), StoreError> {
        let dir = directory(data_dir)?;
        let lock = lock(&dir)?;
        let mut damaged = Vec::new();
        let mut series = |kind| Series::open(&dir, kind, true, &mut damaged);
        let (main, noise) = (series(Kind::Main)?, series(Kind::Noise)?);
        let store = Self::of(main, noise, options, Some(lock));
        let writer = StoreWriter { shared: Arc::clone(&store.shared) };
        Ok((store, writer, damaged))
    }

    /// Opens the store to read, while no daemon runs.
    pub fn open_read_only(data_dir: &Path) -> Result<Self, StoreError> {
        let dir = data_dir.join("records");
        let series = |kind| Series::open(&dir, kind, false, &mut Vec::new());
        let options = StoreOptions { partition_bytes: 0 };
        match (series(Kind::Main), series(Kind::Noise)) {
            (Ok(main), Ok(noise)) => Ok(Self::of(main, noise, options, None)),
            // A daemon that was killed leaves files that only a writer can repair.
            (Err(StoreError::Damaged { .. }), _) | (_, Err(StoreError::Damaged { .. })) => {
                Self::open(data_dir, options).map(|(store, _, _)| store)
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }

    fn of(main: Series, noise: Series, options: StoreOptions, lock: Option<File>) -> Self {
        let shared = Shared {
            options,
            main: RwLock::new(main),
            noise: RwLock::new(noise),
            absent: Mutex::default(),
            keeps_nothing: AtomicBool::new(false),
            _lock: lock,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Whether records are written at all (`keep = "none"`). Accounts and notes are
    /// kept in any case.
    pub fn keep_nothing(&self, nothing: bool) {
        self.shared.keeps_nothing.store(nothing, Relaxed);
    }

    /// The highest id.
    pub fn last_id(&self) -> Result<Option<Uuid>, StoreError> {
        let mut last = None;
        for kind in Kind::ALL {
            for partition in self.shared.series(kind).read().partitions.values().rev() {
                if let Some(id) = partition.last_id()? {
                    last = last.max(Some(id));
                    break;
                }
            }
        }
        Ok(last)
    }

    /// How far records account for the counters of that epoch.
    pub fn accounted(&self, epoch: u64) -> Result<BTreeMap<CounterId, u64>, StoreError> {
        let mut accounted = self.notes(Kind::Noise)?.accounted;
        accounted.retain(|counter, _| counter.epoch == epoch);
        Ok(accounted)
    }

    /// Flows whose records are committed, and that were not forgotten yet.
    pub fn committed_flows(&self) -> Result<BTreeSet<FlowId>, StoreError> {
        let mut flows = self.notes(Kind::Main)?.flows;
        flows.extend(self.notes(Kind::Noise)?.flows);
        Ok(flows)
    }

    fn notes(&self, kind: Kind) -> Result<Notes, StoreError> {
        let newest = self.shared.series(kind).read().newest();
        newest.map_or(Ok(Notes::default()), |(_, partition)| Notes::read(&partition))
    }

    /// What the files hold, by kind.
    pub fn stats(&self) -> Result<Vec<SeriesStats>, StoreError> {
        Kind::ALL.iter().map(|kind| self.shared.series(*kind).read().stats()).collect()
    }

    /// Partitions of both kinds in the order of their first ids; no lock is held
    /// while they are read.
    pub(super) fn partitions(&self) -> Vec<(Uuid, Arc<Partition>)> {
        let mut all: Vec<(Uuid, Arc<Partition>)> = Vec::new();
        for kind in Kind::ALL {
            let series = self.shared.series(kind).read();
            all.extend(series.partitions.iter().map(|(first, p)| (*first, Arc::clone(p))));
        }
        all.sort_by_key(|(first, _)| *first);
        all
    }
}

/// `data_dir/records`, both 0700.
fn directory(data_dir: &Path) -> Result<PathBuf, StoreError> {
    private(data_dir)?;
    let dir = data_dir.join("records");
    private(&dir)?;
    Ok(dir)
}

/// Makes a directory that nobody else may look into.
pub(super) fn private(dir: &Path) -> Result<(), StoreError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(StoreError::io(dir))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(StoreError::io(dir))
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::io(&path))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(dir.to_owned())),
        Err(error) => Err(StoreError::io(&path)(error.into())),
    }
}
