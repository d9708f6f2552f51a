#![allow(clippy::unwrap_used, reason = "tests")]

mod encryption;
mod faults;
mod host;
mod sign_in;
mod valid;
mod web;

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{Balance, Config, Destination, Faults, Loaded, Service, Target, Targets, Web, load};

/// A hash as `weir hash` prints one.
const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IGhlcmU$\
                    aGVyZSBhcmUgMzIgYnl0ZXMgb2YgYSBoYXNoIG9rPz8";

/// A directory with `weir.toml` and further files. In the former, `HASH` is a hash, and
/// `DIR` the directory.
fn files(main: &str, others: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in others {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = dir.path().join("weir.toml");
    let main = main.replace("HASH", HASH).replace("DIR", &dir.path().to_string_lossy());
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

/// What a valid file with others beside it says.
fn config_with(text: &str, others: &[(&str, &str)]) -> Config {
    let (_dir, path) = files(text, others);
    load(&path).expect(text).config
}

/// The first service.
fn published(text: &str) -> Service {
    Service::clone(&config(text).services[0])
}

/// What the first service, over HTTP, does with requests.
fn web_of(text: &str) -> Web {
    published(text).web().expect(text).clone()
}

/// `LINE: message` of each warning.
fn warnings(text: &str) -> Vec<String> {
    let warnings = read(text).expect(text).warnings;
    warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.message)).collect()
}

pub(crate) fn read(text: &str) -> Result<Loaded, Faults> {
    let (_dir, path) = files(text, &[]);
    load(&path)
}

/// A certificate for names, and its key.
fn pair(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let pair = rcgen::generate_simple_self_signed(names).unwrap();
    (pair.cert.pem(), pair.signing_key.serialize_pem())
}
