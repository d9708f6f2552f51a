//! How far a sink came, over restarts.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    config::Sink,
    store::{StoreError, records::private},
};

pub(super) struct Position {
    reached: Option<Uuid>,
    path: PathBuf,
}

impl Position {
    /// Of the sink with these settings: another sink is as far as it came itself.
    pub(super) fn read(settings: &Sink, data_dir: &Path) -> Self {
        let name: String = Sha256::digest(format!("{settings:?}"))
            .iter()
            .take(8)
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        let path = data_dir.join("sinks").join(format!("{name}.position"));
        let known = fs::read_to_string(&path).ok();
        Self { reached: known.and_then(|text| Uuid::try_parse(text.trim()).ok()), path }
    }

    pub(super) const fn get(&self) -> Option<Uuid> {
        self.reached
    }

    /// Written beside and renamed: a crash leaves the old position or the new.
    pub(super) fn set(&mut self, reached: Uuid) -> Result<(), StoreError> {
        self.reached = Some(reached);
        let Some(dir) = self.path.parent() else { return Ok(()) };
        private(dir)?;
        let beside = self.path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(reached.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            File::open(dir)?.sync_all()
        };
        write().map_err(StoreError::io(&self.path))
    }
}
