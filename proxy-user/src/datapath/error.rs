//! What can go wrong between the daemon and the kernel.

use std::{io, path::PathBuf};

use aya::{
    EbpfError,
    maps::MapError,
    pin::PinError,
    programs::{ProgramError, links::LinkError},
};

/// A failure of the data path.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The object in this binary lacks a program or map.
    #[error("the kernel object in this binary has no `{0}`: it was built from other sources")]
    Object(&'static str),
    /// The object could not be loaded.
    #[error("the kernel refuses the programs")]
    Load(#[from] EbpfError),
    /// A program could not be loaded or attached.
    #[error("the kernel refuses a program")]
    Program(#[from] ProgramError),
    /// A link could not be made.
    #[error("the kernel refuses a link")]
    Link(#[from] LinkError),
    /// A pin could not be made.
    #[error("pinning failed")]
    Pin(#[from] PinError),
    /// A map operation failed.
    #[error("a kernel map failed")]
    Map(#[from] MapError),
    /// bpffs is not mounted, and a mount here would not last.
    #[error(
        "{0} holds no BPF file system, and this process has a mount namespace of its own, \
             in which one would vanish with it: `mount -t bpf bpf {0}` outside first"
    )]
    PrivateMountNamespace(PathBuf),
    /// Another process uses the pins.
    #[error(
        "{path} is in use by {holder}: there is one Weir for each network namespace and \
             kernel.bpffs"
    )]
    InUse {
        /// The pins.
        path: PathBuf,
        /// Who, as far as can be told.
        holder: String,
    },
    /// Frames of an interface are of no kind that the programs read.
    #[error(
        "its frames begin with neither an Ethernet nor an IP header, so it is not hooked: the \
             relay judges there, guarded services are open there"
    )]
    LinkLayer,
    /// More services than one set of maps can name.
    #[error(
        "no more service can be named: {0} were, since the maps were made; \
             a stop and start makes new ones"
    )]
    ServicesExhausted(u32),
    /// More targets than one set of maps can name at a time.
    #[error("no more target can be named: {0} have flows, or are of services in force")]
    TargetsExhausted(u32),
    /// A system call failed.
    #[error("{call}")]
    System {
        /// Which.
        call: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file-system operation failed.
    #[error("{path}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// As [`aya::maps::LpmTrie::remove`] says it.
pub(super) fn absent_is_removed(removed: Result<(), MapError>) -> Result<(), DatapathError> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
