#![allow(clippy::unwrap_used, reason = "tests")]

mod faults;
mod host;
mod valid;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Balance, Config, Destination, Faults, Loaded, Target, Targets, load};

/// A directory with `weir.toml` and further files.
fn files(main: &str, others: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in others {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = dir.path().join("weir.toml");
    fs::write(&path, main).unwrap();
    (dir, path)
}

/// What a valid file says, for tests of the rooms above as well.
pub(crate) fn config(text: &str) -> Config {
    read(text).unwrap().config
}

/// One target, which nobody looks at.
impl From<Target> for Destination {
    fn from(target: Target) -> Self {
        Self::Targets(Targets { list: vec![target], balance: Balance::RoundRobin, health: None })
    }
}

fn read(text: &str) -> Result<Loaded, Faults> {
    let (_dir, path) = files(text, &[]);
    load(&path)
}
