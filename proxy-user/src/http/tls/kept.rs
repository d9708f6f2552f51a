//! Certificates of Weir's own making or ordering, one file each.

use std::path::{Path, PathBuf};

use super::{TlsError, files, pair::Pair};

/// A directory with a file for each domain. Key and chain are in one file, so that a crash
/// never leaves a key without its certificate.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    directory: PathBuf,
}

impl Kept {
    /// Files in a directory, which is made when there is something to keep.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where it is.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What was kept of a domain; `None` where that cannot be used.
    pub(super) fn load(&self, domain: &str) -> Option<Pair> {
        let path = self.path(domain);
        let pem = files::read(&path).ok()?;
        Pair::from_pem(&pem, &path)
            .inspect_err(|error| tracing::warn!("a kept certificate is made anew: {error}"))
            .ok()
    }

    /// Keeps a chain with its key for a domain.
    pub(super) fn put(&self, domain: &str, pem: &str) -> Result<(), TlsError> {
        files::put(&self.path(domain), pem.as_bytes())
    }

    /// Takes PEM for what it would be when kept.
    pub(super) fn parse(&self, domain: &str, pem: &str) -> Result<Pair, TlsError> {
        Pair::from_pem(pem.as_bytes(), &self.path(domain))
    }

    fn path(&self, domain: &str) -> PathBuf {
        // No domain has a label of that name: it is what `*.` becomes.
        self.directory.join(format!("{}.pem", domain.replace('*', "_")))
    }
}
