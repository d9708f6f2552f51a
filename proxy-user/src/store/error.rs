//! What can go wrong with files of the store.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
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
    /// It was written by an earlier Weir, and only reading it is asked for.
    #[error(
        "{path} has format {found}, which an older Weir wrote; `weir run` or `weir store compact` brings it up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
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
    /// It could not be opened, or not be written and was closed: the writer opens it
    /// as soon as it can. Until then nobody knows what is in it.
    #[error("{0} is not open: it is tried again until it can be opened")]
    Closed(PathBuf),
    /// Another process has taken over.
    #[error("{0} is the business of the process that took over")]
    HandedOver(PathBuf),
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
        use redb::Error as E;
        let damaged = |why: String| Self::Damaged { path: path.to_owned(), why };
        move |error| match error {
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => Self::Locked(path.to_owned()),
            E::UpgradeRequired(found) => damaged(format!("redb file format {found}")),
            // What is too short or senseless is damaged; only the rest is the disk's word.
            E::Io(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Io { path: path.to_owned(), source }
            }
            // An open file that redb gave up after an error of before.
            E::PreviousIo | E::DatabaseClosed | E::LockPoisoned(_) | E::TransactionPoisoned => {
                Self::Io { path: path.to_owned(), source: io::Error::other(error) }
            }
            other => damaged(other.to_string()),
        }
    }

    /// What `run` gives. A damaged file can make redb panic; that must not end the
    /// daemon.
    pub(super) fn guard<T>(
        path: &Path,
        run: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, Self> {
        let why = "its contents contradict each other".to_owned();
        catch_unwind(AssertUnwindSafe(run))
            .map_err(|_| Self::Damaged { path: path.to_owned(), why })?
            .map_err(Self::of(path))
    }
}

/// Moves a damaged file out of the way, beside where it was: someone may still want
/// to look.
pub(super) fn set_aside(path: &Path) -> Result<(), StoreError> {
    let first = path.with_extension("damaged");
    let more = (1u32..).map(|number| path.with_extension(format!("damaged.{number}")));
    let free = std::iter::once(first).chain(more).find(|aside| !aside.exists());
    let Some(aside) = free else { return Ok(()) };
    std::fs::rename(path, aside).map_err(StoreError::io(path))
}
