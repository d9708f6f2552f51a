//! What can go wrong with certificates and keys.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

/// Why TLS cannot be had, or a certificate not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or not be written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate for {domain} cannot be made: {source}")]
    Make {
        /// Whose it was to be.
        domain: String,
        /// Why.
        source: rcgen::Error,
    },
    /// The library refuses.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

impl TlsError {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }

    pub(super) fn content(path: &Path, fault: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), fault: fault.into() }
    }
}

/// An error with all its causes, which libraries of HTTP leave out of their own words.
pub(super) fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}
