//! One file among those of a kind: the records of a day, or 512 MiB of them.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    StoreError,
    block::Times,
    content::{self, Content},
    file::{Access, RecordsFile},
    kept::Kept,
    noted::Noted,
    notes,
    pieces::Pieces,
};

/// Files that are open to be read, so that memory and descriptors are bounded
/// however many partitions there are.
pub(super) struct Files {
    access: Access,
    pub(super) kept: Arc<Kept>,
    /// The one used last comes last.
    open: Mutex<VecDeque<Arc<RecordsFile>>>,
}

impl Files {
    /// Files that stay open while nobody reads them.
    pub(super) const MOST: usize = 64;

    pub(super) fn new(access: Access) -> Arc<Self> {
        Arc::new(Self { access, kept: Arc::default(), open: Mutex::default() })
    }

    fn get(&self, path: &Path) -> Result<Arc<RecordsFile>, StoreError> {
        let mut open = self.open.lock();
        let known = open.iter().position(|file| file.path == path);
        let file = match known.and_then(|at| open.remove(at)) {
            Some(file) => file,
            None => Arc::new(RecordsFile::open(path, self.access)?),
        };
        open.push_back(Arc::clone(&file));
        close_idle(&mut open);
        Ok(file)
    }

    /// A file that was written: closed, unless somebody reads it.
    fn take(&self, file: Arc<RecordsFile>) {
        if Arc::strong_count(&file) > 1 {
            self.open.lock().push_back(file);
        }
    }

    /// Closes them all, but for what is being read just now.
    pub(super) fn close(&self) {
        self.open.lock().clear();
    }

    /// Closes a file. False: it is being read.
    fn let_go(&self, path: &Path) -> bool {
        let mut open = self.open.lock();
        open.retain(|file| file.path != path || Arc::strong_count(file) > 1);
        !open.iter().any(|file| file.path == path)
    }

    fn forget(&self, path: &Path) {
        self.open.lock().retain(|file| file.path != path);
    }
}

/// What is being read stays: opened a second time, it would be in its own way.
fn close_idle(open: &mut VecDeque<Arc<RecordsFile>>) {
    let mut at = 0;
    while open.len() > Files::MOST && at < open.len() {
        if Arc::strong_count(&open[at]) == 1 {
            open.remove(at);
        } else {
            at += 1;
        }
    }
}

/// How a partition can be read.
enum State {
    /// The newest of its kind: open to be written.
    Written(Arc<RecordsFile>, Arc<Content>),
    /// The newest after a failure, until it is opened again.
    Closed,
    /// Complete, opened when it is read.
    Sealed(Arc<Content>),
    /// Retention unlinked it.
    Removed,
}

/// A partition.
pub(super) struct Partition {
    pub(super) path: PathBuf,
    files: Arc<Files>,
    state: Mutex<State>,
    /// While it is written: what is noted in it.
    noted: Mutex<Noted>,
}

impl Partition {
    /// One that is complete.
    pub(super) fn sealed(path: &Path, files: &Arc<Files>, content: Content) -> Arc<Self> {
        Self::with(path, files, State::Sealed(content.into()), Noted::default())
    }

    /// One that was begun now.
    pub(super) fn begun(
        file: RecordsFile,
        noted: Noted,
        content: Content,
        files: &Arc<Files>,
    ) -> Arc<Self> {
        let path = file.path.clone();
        Self::with(&path, files, State::Written(file.into(), content.into()), noted)
    }

    fn with(path: &Path, files: &Arc<Files>, state: State, noted: Noted) -> Arc<Self> {
        let (path, files) = (path.to_owned(), Arc::clone(files));
        Arc::new(Self { path, files, state: Mutex::new(state), noted: Mutex::new(noted) })
    }

    /// The file, open; `None` where retention removed the partition. Who reads has to hold
    /// it: redb reads nothing of a file that is closed.
    pub(super) fn open(&self) -> Result<Option<Arc<RecordsFile>>, StoreError> {
        // Held while the file is opened, so that it is not unlinked just then.
        let state = self.state.lock();
        Ok(Some(match &*state {
            State::Written(file, _) => Arc::clone(file),
            State::Sealed(_) => self.files.get(&self.path)?,
            State::Closed => return Err(StoreError::Closed(self.path.clone())),
            State::Removed => return Ok(None),
        }))
    }

    /// The bytes of its blocks; `None` where retention removed the partition.
    pub(super) fn pieces(&self) -> Result<Option<Pieces>, StoreError> {
        let file = self.open()?;
        file.map(|file| Pieces::of(&file, &self.files.kept)).transpose()
    }

    /// What `run` reads; `None` where retention removed the partition.
    pub(super) fn read<T>(
        &self,
        run: impl FnOnce(&RecordsFile) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let Some(file) = self.open()? else { return Ok(None) };
        let done = run(&file);
        if done.is_err() {
            self.forget();
        }
        done.map(Some)
    }

    /// After an error of reading: redb refuses the file until it is opened anew.
    pub(super) fn forget(&self) {
        self.files.forget(&self.path);
    }

    /// What it holds now; `None` where retention removed it.
    pub(super) fn content(&self) -> Result<Option<Arc<Content>>, StoreError> {
        match &*self.state.lock() {
            State::Written(_, content) | State::Sealed(content) => Ok(Some(Arc::clone(content))),
            State::Closed => Err(StoreError::Closed(self.path.clone())),
            State::Removed => Ok(None),
        }
    }

    /// Between which times its records lie; `None`: it holds none.
    pub(super) fn times(&self) -> Result<Option<Times>, StoreError> {
        Ok(self.content()?.and_then(|content| content.times()))
    }

    /// What readers find from now on, where it is open to be written.
    pub(super) fn publish(&self, content: Content) {
        if let State::Written(_, known) = &mut *self.state.lock() {
            *known = content.into();
        }
    }

    /// The file, where it is open to be written.
    pub(super) fn written(&self) -> Option<(Arc<RecordsFile>, Arc<Content>)> {
        match &*self.state.lock() {
            State::Written(file, content) => Some((Arc::clone(file), Arc::clone(content))),
            _ => None,
        }
    }

    /// What is noted in the file, for who writes it.
    pub(super) fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock()
    }

    /// Opens it to be written. A reader may still hold it: then the next attempt tries
    /// again.
    pub(super) fn reopen(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if matches!(*state, State::Written(..)) {
            return Ok(());
        }
        self.files.forget(&self.path);
        let file = RecordsFile::open(&self.path, Access::Write)?;
        // What the next transactions need can be read.
        file.last_id()?;
        *self.noted.lock() = Noted::read(&file)?;
        notes::accounted(&file)?;
        let content = Content::read(&file)?;
        *state = State::Written(file.into(), content.into());
        Ok(())
    }

    /// After an error redb refuses everything until the file is opened anew.
    pub(super) fn close(&self) {
        *self.state.lock() = State::Closed;
        *self.noted.lock() = Noted::default();
    }

    /// It is not written any more.
    pub(super) fn seal(&self) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Written(file, content) => {
                *state = State::Sealed(content);
                self.files.take(file);
                *self.noted.lock() = Noted::default();
            }
            other => *state = other,
        }
    }

    /// Makes a complete one as small as it can be: its tail a block, and no room unused. Who
    /// comes to read it meanwhile waits; where somebody reads it already, nothing is done.
    pub(super) fn tidy(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let State::Sealed(content) = &*state else { return Ok(()) };
        if !content.is_loose_in(self.bytes()) || !self.files.let_go(&self.path) {
            return Ok(());
        }
        let mut file = RecordsFile::open(&self.path, Access::Write)?;
        let settled = content::settle(&file, Content::clone(content))?;
        *state = State::Sealed(settled.into());
        file.shrink()
    }

    /// Unlinks it. Who reads it goes on reading; who has not begun reads nothing.
    pub(super) fn remove(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(&self.path)(error))
            }
            _ => {
                self.files.forget(&self.path);
                *state = State::Removed;
                Ok(())
            }
        }
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }
}
