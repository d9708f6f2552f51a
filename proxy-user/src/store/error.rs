//! What can go wrong with files of the store.

use std::{
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0} is in use by another process: is `weir run` running already?")]
    Locked(PathBuf),
    /// It was written by a later Weir.
    #[error("{path} has format {found}, which a newer Weir wrote; this one knows {known}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// It cannot be made sense of.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The file system says no.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A page was to follow a record that retention removed: its place in the asked
    /// order is not known any more.
    #[error("cursor: record {0} is gone; begin again with the first page")]
    CursorGone(Uuid),
    /// A name that is taken.
    #[error("there is a token {0:?} already")]
    TokenExists(String),
}

impl StoreError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    /// Any of redb's errors, by what it means for the file at `path`.
    pub(super) fn of(path: &Path) -> impl Fn(redb::Error) -> Self + use<'_> {
        move |error| match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked(path.to_owned()),
            redb::Error::UpgradeRequired(found) => {
                Self::Damaged { path: path.to_owned(), why: format!("redb file format {found}") }
            }
            // What is too short or senseless is damaged; only the rest is the disk's word.
            redb::Error::Io(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Io { path: path.to_owned(), source }
            }
            other => Self::Damaged { path: path.to_owned(), why: other.to_string() },
        }
    }
}
