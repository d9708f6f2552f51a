//! Fetches a newer database: checked by its SHA-256, tried, and put in place whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{Database, GeoError};
use crate::config::GeoipUpdate;

/// No country database is near this.
const MOST_BYTES: u64 = 512 << 20;
const TIMEOUT: Duration = Duration::from_mins(10);

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// A new file is in place.
    Replaced,
    /// The file in place is the same.
    Same,
}

/// Why there is no new database. The one in place is untouched.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// It could not be fetched.
    #[error("{url}: {source}")]
    Fetch {
        /// From where.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The checksum's file holds none.
    #[error("{0} holds no SHA-256")]
    NoChecksum(String),
    /// It is not what the checksum is of.
    #[error("{url} has SHA-256 {found}, and should have {expected}")]
    Checksum {
        /// From where.
        url: String,
        /// What was computed.
        found: String,
        /// What was announced.
        expected: String,
    },
    /// It is no country database.
    #[error("what came from {url} is not usable: {source}")]
    Unusable {
        /// From where.
        url: String,
        /// Why.
        source: GeoError,
    },
    /// It could not be put in place.
    #[error("{path}: {source}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Fetches the database and puts it at `path`, atomically. Blocks.
pub fn update(settings: &GeoipUpdate, path: &Path) -> Result<Updated, UpdateError> {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build().into();
    let expected = settings.sha256_url.as_deref().map(|url| checksum(&agent, url)).transpose()?;
    let own = fs::read(path).map(|bytes| digest(&bytes)).ok();
    if own.is_some() && own == expected {
        return Ok(Updated::Same);
    }
    let bytes = fetch(&agent, &settings.url)?;
    let found = digest(&bytes);
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(UpdateError::Checksum { url: settings.url.clone(), found, expected });
    }
    if own == Some(found) {
        return Ok(Updated::Same);
    }
    Database::from_bytes(bytes.clone(), path)
        .map_err(|source| UpdateError::Unusable { url: settings.url.clone(), source })?;
    put(path, &bytes).map_err(|source| UpdateError::Write { path: path.to_owned(), source })?;
    Ok(Updated::Replaced)
}

fn fetch(agent: &ureq::Agent, url: &str) -> Result<Vec<u8>, UpdateError> {
    let failed = |source| UpdateError::Fetch { url: url.to_owned(), source: Box::new(source) };
    let mut response = agent.get(url).call().map_err(failed)?;
    response.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(failed)
}

/// A file that begins with the sum: alone, or as `sha256sum` writes it.
fn checksum(agent: &ureq::Agent, url: &str) -> Result<String, UpdateError> {
    let bytes = fetch(agent, url)?;
    let text = String::from_utf8_lossy(&bytes);
    let sum = text.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_sum { Ok(sum) } else { Err(UpdateError::NoChecksum(url.to_owned())) }
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes beside the file and renames, so that a reader sees the old or the new.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?
        .sync_all()
}
