//! The store as readers hold it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io,
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
    SeriesStats, StoreError, StoreWriter, block,
    file::{Access, RecordsFile},
    noted::Noted,
    notes,
    partition::{Files, Partition},
    retention::Shares,
    series::{Damaged, Kind, Series},
    turns::Turns,
};
use crate::{
    config::Log,
    record::{CounterId, FlowId},
};

/// How the store is laid out.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Bytes at which a partition is closed and the next begun.
    pub partition_bytes: u64,
    /// Records of which a block is made.
    pub block_rows: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { partition_bytes: Self::MOST, block_rows: block::ROWS }
    }
}

impl StoreOptions {
    /// Largest partition.
    const MOST: u64 = 512 << 20;
    /// Smallest: redb's own tables take some of it.
    const LEAST: u64 = 4 << 20;

    /// For these limits: small enough that removing whole partitions keeps within
    /// them.
    pub fn within(log: &Log) -> Self {
        let shares = Shares::of(log);
        let partition_bytes = (shares.main.min(shares.noise) / 8).clamp(Self::LEAST, Self::MOST);
        Self { partition_bytes, block_rows: block::ROWS }
    }
}

/// The records; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) options: StoreOptions,
    data_dir: PathBuf,
    state: RwLock<State>,
    main: RwLock<Series>,
    noise: RwLock<Series>,
    /// Held by who writes: the writer, or retention where it begins a partition.
    pub(super) writing: Mutex<()>,
    pub(super) damaged: Damaged,
    pub(super) turns: Turns,
    keeps_nothing: AtomicBool,
}

/// Whether the store can be asked.
enum State {
    /// It is not known yet what there is.
    Unopened,
    /// With the lock, while there is a writer.
    Open { _lock: Option<File> },
    /// Another process's from now on.
    Closed,
}

impl Shared {
    fn new(data_dir: &Path, options: StoreOptions, access: Access) -> Self {
        let (dir, files) = (data_dir.join("records"), Files::new(access));
        let series = |kind| RwLock::new(Series::unread(&dir, kind, &files));
        Self {
            options,
            data_dir: data_dir.to_owned(),
            state: RwLock::new(State::Unopened),
            main: series(Kind::Main),
            noise: series(Kind::Noise),
            writing: Mutex::default(),
            damaged: Damaged::default(),
            turns: Turns::default(),
            keeps_nothing: AtomicBool::new(false),
        }
    }

    pub(super) fn series(&self, kind: Kind) -> &RwLock<Series> {
        match kind {
            Kind::Main => &self.main,
            Kind::Noise => &self.noise,
        }
    }

    pub(super) fn keeps_nothing(&self) -> bool {
        self.keeps_nothing.load(Relaxed)
    }

    /// Makes the store where there is none, and opens it to write, where it is not.
    pub(super) fn open(&self) -> Result<(), StoreError> {
        let mut state = self.state.write();
        if !matches!(*state, State::Unopened) {
            return Ok(());
        }
        let dir = directory(&self.data_dir)?;
        let lock = lock(&dir)?;
        self.find(Access::Write)?;
        *state = State::Open { _lock: Some(lock) };
        Ok(())
    }

    /// Lets go of every file for good, and refuses from now on. Who reads just now may
    /// hold a file a moment longer.
    fn close(&self) {
        let _writing = self.writing.lock();
        for kind in Kind::ALL {
            self.series(kind).write().close();
        }
        *self.state.write() = State::Closed;
    }

    fn find(&self, access: Access) -> Result<(), StoreError> {
        let found = Kind::ALL.map(|kind| {
            let known = self.series(kind).read();
            let mut series = Series::unread(&known.dir, kind, &known.files);
            drop(known);
            series.find(access, &self.damaged)?;
            if access == Access::Write {
                series.open_newest(&self.damaged)?;
            }
            Ok(series)
        });
        for series in found {
            let series: Series = series?;
            let kind = series.kind;
            *self.series(kind).write() = series;
        }
        Ok(())
    }

    /// Refuses until it is known what there is.
    pub(super) fn must_be_open(&self) -> Result<(), StoreError> {
        match &*self.state.read() {
            State::Open { .. } => Ok(()),
            State::Closed => Err(StoreError::HandedOver(self.data_dir.join("records"))),
            State::Unopened => Err(StoreError::Closed(self.data_dir.join("records"))),
        }
    }
}

impl Store {
    /// The store below `data_dir`. It is opened by [`crate::record::Commit::open`] of
    /// its writer; until then all that is asked of it is refused.
    pub fn new(data_dir: &Path, options: StoreOptions) -> (Self, StoreWriter) {
        let shared = Arc::new(Shared::new(data_dir, options, Access::Read));
        let writer = StoreWriter { shared: Arc::clone(&shared) };
        (Self { shared }, writer)
    }

    /// Opens the store to read, while no daemon runs. No file is changed; what is
    /// damaged is left out, and told by [`Self::damaged`].
    pub fn open_read_only(data_dir: &Path) -> Result<Self, StoreError> {
        let options = StoreOptions { partition_bytes: 0, block_rows: block::ROWS };
        let shared = Shared::new(data_dir, options, Access::Overlay);
        let lock = lock_shared(&data_dir.join("records"))?;
        shared.find(Access::Overlay)?;
        *shared.state.write() = State::Open { _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Lets go of every file for good, so that another process can open the store. The
    /// writer has ended.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Damaged files that were found since it was last asked. A writer has set them
    /// aside.
    pub fn damaged(&self) -> Vec<StoreError> {
        std::mem::take(&mut self.shared.damaged.lock())
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
            last = last.max(self.newest(kind, RecordsFile::last_id)?.flatten());
        }
        Ok(last)
    }

    /// How far records account for the counters of that epoch.
    pub fn accounted(&self, epoch: u64) -> Result<BTreeMap<CounterId, u64>, StoreError> {
        let mut accounted = self.newest(Kind::Noise, notes::accounted)?.unwrap_or_default();
        accounted.retain(|counter, _| counter.epoch == epoch);
        Ok(accounted)
    }

    /// Flows whose records are committed, and that were not forgotten yet.
    pub fn committed_flows(&self) -> Result<BTreeSet<FlowId>, StoreError> {
        let mut flows = BTreeSet::new();
        for kind in Kind::ALL {
            flows.extend(self.newest(kind, Noted::read)?.unwrap_or_default().flows());
        }
        Ok(flows)
    }

    /// What is read from the newest partition of a kind, where there is one.
    fn newest<T>(
        &self,
        kind: Kind,
        run: impl FnOnce(&RecordsFile) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.shared.must_be_open()?;
        let newest = self.shared.series(kind).read().newest();
        newest.map_or(Ok(None), |(_, partition)| partition.read(run))
    }

    /// What the files hold, by kind.
    pub fn stats(&self) -> Result<Vec<SeriesStats>, StoreError> {
        self.shared.must_be_open()?;
        let stats = |kind| {
            let series = self.shared.series(kind).read();
            let partitions: Vec<_> = series.partitions.values().cloned().collect();
            drop(series);
            SeriesStats::of(kind, &partitions)
        };
        Kind::ALL.into_iter().map(stats).collect()
    }

    /// Partitions of both kinds in the order of their first ids; no lock is held
    /// while they are read.
    pub(super) fn partitions(&self) -> Result<Vec<Arc<Partition>>, StoreError> {
        self.shared.must_be_open()?;
        let mut all: Vec<(Uuid, Arc<Partition>)> = Vec::new();
        for kind in Kind::ALL {
            let series = self.shared.series(kind).read();
            all.extend(series.partitions.iter().map(|(first, p)| (*first, Arc::clone(p))));
        }
        all.sort_by_key(|(first, _)| *first);
        Ok(all.into_iter().map(|(_, partition)| partition).collect())
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

pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(StoreError::io(&path))?;
    locked(dir, file.try_lock())?;
    Ok(file)
}

/// Keeps daemons away from a store that one has been at before.
fn lock_shared(dir: &Path) -> Result<Option<File>, StoreError> {
    let path = dir.join("lock");
    match File::open(&path) {
        Ok(file) => {
            locked(dir, file.try_lock_shared())?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(&path)(error)),
    }
}

fn locked(dir: &Path, lock: Result<(), TryLockError>) -> Result<(), StoreError> {
    lock.map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::Locked(dir.to_owned()),
        TryLockError::Error(error) => StoreError::io(&dir.join("lock"))(error),
    })
}
