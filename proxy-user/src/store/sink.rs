//! Copies of the records as JSON lines, from the store, in order, at least once.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Filter, Store, StoreError, records::private};
use crate::config::{Sink, SinkKind};

/// Lines of one step.
const MOST_LINES: usize = 1000;

/// A sink and how far it came.
pub struct JsonlSink {
    path: Option<PathBuf>,
    file: Option<File>,
    filter: Filter,
    position: Option<Uuid>,
    position_path: PathBuf,
}

impl JsonlSink {
    /// The sink of that configuration; it goes on where it stopped.
    pub fn new(settings: &Sink, data_dir: &Path) -> Self {
        let name: String = Sha256::digest(format!("{settings:?}"))
            .iter()
            .take(8)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        let position_path = data_dir.join("sinks").join(format!("{name}.position"));
        let known = fs::read_to_string(&position_path).ok();
        Self {
            path: match &settings.kind {
                SinkKind::JsonlFile(path) => Some(path.clone()),
                SinkKind::JsonlStdout => None,
            },
            file: None,
            filter: Filter { verdict: settings.verdicts.clone(), ..Filter::default() },
            position: known.and_then(|text| Uuid::try_parse(text.trim()).ok()),
            position_path,
        }
    }

    /// Opens the file anew with the next line: it was rotated.
    pub fn reopen(&mut self) {
        self.file = None;
    }

    /// Copies what came up to `through`, at most so many lines at a time. Gives how
    /// many were copied; fewer than asked for means none is left.
    pub fn step(&mut self, store: &Store, through: Uuid) -> Result<usize, StoreError> {
        let records = store.after(self.position, through, &self.filter, MOST_LINES)?;
        let mut lines = Vec::new();
        for record in &records {
            // A record is plain data: JSON has nothing to refuse.
            let _ = serde_json::to_writer(&mut lines, record);
            lines.push(b'\n');
        }
        self.write(&lines)?;
        let done = records.len() < MOST_LINES;
        let reached = if done { Some(through) } else { records.last().map(|record| record.id) };
        if reached > self.position {
            self.position = reached;
            self.save()?;
        }
        Ok(records.len())
    }

    /// The last record that was looked at.
    pub fn position(&self) -> Option<Uuid> {
        self.position
    }

    /// Whether a step came up to `through` already.
    pub fn is_at(&self, through: Uuid) -> bool {
        self.position >= Some(through)
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), StoreError> {
        let Some(path) = &self.path else {
            let mut out = io::stdout().lock();
            let written = out.write_all(lines).and_then(|()| out.flush());
            return written.map_err(StoreError::io(Path::new("stdout")));
        };
        if self.file.is_none() {
            self.file = Some(open(path).map_err(StoreError::io(path))?);
        }
        match &mut self.file {
            Some(file) if !lines.is_empty() => append(file, lines).map_err(StoreError::io(path)),
            _ => Ok(()),
        }
    }

    /// Written beside and renamed: a crash leaves the old position or the new.
    fn save(&self) -> Result<(), StoreError> {
        let (Some(position), Some(dir)) = (self.position, self.position_path.parent()) else {
            return Ok(());
        };
        private(dir)?;
        let beside = self.position_path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(position.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.position_path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(StoreError::io(&self.position_path))
    }
}

/// Lines that a power cut does not take, where the file is one that lasts: the
/// position moves past them next.
fn append(file: &mut File, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines)?;
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

/// Opens the file to append to. A line that a crash or a full disk cut off is ended,
/// so that it does not spoil the next one: its record is written again.
fn open(path: &Path) -> io::Result<File> {
    let mut file = File::options().create(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() > 0 {
        let mut last = [0];
        File::open(path)?.read_exact_at(&mut last, metadata.len() - 1)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}
