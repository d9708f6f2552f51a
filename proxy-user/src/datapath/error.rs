//! What can go wrong between the daemon and the kernel.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, programs::ProgramError};

/// A failure of the data path.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The object in this binary lacks a program or map.
    #[error("the kernel object in this binary has no `{0}`: it was built from other sources")]
    Object(&'static str),
    /// The object could not be loaded.
    #[error("the kernel refuses the programs: {0}")]
    Load(#[from] EbpfError),
    /// A program could not be loaded or attached.
    #[error("the kernel refuses a program: {0}")]
    Program(#[from] ProgramError),
    /// A map operation failed.
    #[error("a kernel map failed: {0}")]
    Map(#[from] MapError),
    /// A file-system operation failed.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
