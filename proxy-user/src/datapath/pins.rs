//! Where maps and links are pinned, so that restrictions outlive the daemon.
//!
//! Pins lie under `BPFFS/<network namespace inode>/v<layout version>`: two network
//! namespaces never share them, and a daemon never reads another layout's maps.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use proxy_common::LAYOUT_VERSION;
use rustix::{
    fs::{FlockOperation, flock},
    mount::MountFlags,
};

use super::{DatapathError, claim::Claim, clsact::Clsact, links::detach};

/// `statfs` type of bpffs (`include/uapi/linux/magic.h`).
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// The pins of this network namespace.
#[derive(Clone, Debug)]
pub struct Pins {
    namespace: PathBuf,
}

impl Pins {
    /// The place of this network namespace's pins below `bpffs`, whether there are
    /// any or not.
    pub fn locate(bpffs: &Path) -> Result<Self, DatapathError> {
        let own = Path::new("/proc/self/ns/net");
        let inode = fs::metadata(own).map_err(at(own))?.ino();
        Ok(Self { namespace: bpffs.join(inode.to_string()) })
    }

    /// As [`Self::make`], and claims them.
    pub fn prepare(bpffs: &Path) -> Result<(Self, Claim), DatapathError> {
        let (pins, _alone) = Self::made(bpffs)?;
        let claim = Claim::of(&pins.namespace)?;
        Ok((pins, claim))
    }

    /// Makes the directories, and mounts a BPF file system where there is none.
    pub fn make(bpffs: &Path) -> Result<Self, DatapathError> {
        Self::made(bpffs).map(|(pins, _alone)| pins)
    }

    /// With the lock under which nobody removes them.
    fn made(bpffs: &Path) -> Result<(Self, fs::File), DatapathError> {
        let root = bpffs.parent().unwrap_or(bpffs);
        if !is_bpffs(root)? {
            let _alone = lock(root)?;
            // A Weir of another network namespace may have been first.
            if !is_bpffs(root)? {
                mount(root)?;
            }
        }
        let alone = lock(root)?;
        let pins = Self::locate(bpffs)?;
        let links = pins.links();
        // Who cannot open them cannot claim them.
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&links);
        made.map_err(at(&links))?;
        Ok((pins, alone))
    }

    /// The directory of this network namespace's pins.
    pub fn namespace(&self) -> &Path {
        &self.namespace
    }

    /// Claims the pins that there are: while a daemon uses them it fails and names the
    /// process.
    pub fn claim(&self) -> Result<Option<Claim>, DatapathError> {
        if self.namespace.exists() { Claim::of(&self.namespace).map(Some) } else { Ok(None) }
    }

    /// Where maps are pinned.
    pub fn maps(&self) -> PathBuf {
        self.namespace.join(format!("v{LAYOUT_VERSION}"))
    }

    /// Where links are pinned.
    pub fn links(&self) -> PathBuf {
        self.maps().join("links")
    }

    /// What is attached without a link to pin.
    pub(super) fn clsact(&self) -> Clsact {
        Clsact::of(&self.namespace)
    }

    fn layouts(&self) -> Result<Vec<PathBuf>, DatapathError> {
        let mut found = entries(&self.namespace)?;
        found
            .retain(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'v'));
        Ok(found)
    }

    /// Removes what a Weir with another map layout left: it attached programs of its
    /// own, which judge by rules that nobody updates any more.
    pub fn remove_other_layouts(&self) -> Result<(), DatapathError> {
        let own = self.maps();
        for version in self.layouts()?.iter().filter(|version| **version != own) {
            detach_all(&version.join("links"))?;
            remove_tree(version)?;
        }
        Ok(())
    }

    /// Removes every filter and pin of this network namespace, of all layout versions,
    /// links first: what they attach is detached. Whether there was anything.
    pub fn remove(&self) -> Result<bool, DatapathError> {
        let filtered = self.clsact().remove_except(&BTreeSet::new())?;
        if !self.namespace.exists() {
            return Ok(filtered);
        }
        let bpffs = self.namespace.parent().unwrap_or(&self.namespace);
        let _alone = lock(bpffs.parent().unwrap_or(bpffs))?;
        for version in self.layouts()? {
            detach_all(&version.join("links"))?;
        }
        remove_tree(&self.namespace)?;
        // Other network namespaces may have theirs in it.
        let _ = fs::remove_dir(bpffs);
        Ok(true)
    }
}

/// Keeps Weirs of other network namespaces from mounting, making or removing
/// directories at the same time, until it is dropped.
fn lock(root: &Path) -> Result<fs::File, DatapathError> {
    let directory = fs::File::open(root).map_err(at(root))?;
    flock(&directory, FlockOperation::LockExclusive).map_err(|error| at(root)(error.into()))?;
    Ok(directory)
}

/// Detaches at once, not a moment after the last reference: what is counted from here on
/// would be read by nobody.
fn detach_all(links: &Path) -> Result<(), DatapathError> {
    match entries(links) {
        Ok(links) => links.iter().try_for_each(|link| detach(link)),
        Err(DatapathError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// bpffs knows no recursive removal of what is open; names go one by one.
fn remove_tree(path: &Path) -> Result<(), DatapathError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn entries(path: &Path) -> Result<Vec<PathBuf>, DatapathError> {
    let listed: io::Result<Vec<_>> =
        fs::read_dir(path).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
    listed.map_err(at(path))
}

fn is_bpffs(path: &Path) -> Result<bool, DatapathError> {
    let stat = rustix::fs::statfs(path).map_err(|error| at(path)(error.into()))?;
    Ok(u64::try_from(stat.f_type).is_ok_and(|kind| kind == BPF_FS_MAGIC))
}

/// Mounts bpffs, in PID 1's mount namespace only: in a private one it would vanish
/// with the process, and the restrictions with it.
fn mount(root: &Path) -> Result<(), DatapathError> {
    if root_mount("/proc/self/mountinfo")? != root_mount("/proc/1/mountinfo")? {
        return Err(DatapathError::PrivateMountNamespace(root.to_owned()));
    }
    rustix::mount::mount(
        "bpf",
        root,
        "bpf",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        // As systemd mounts it; the default lets everybody make directories.
        Some(c"mode=0700"),
    )
    .map_err(|error| at(root)(error.into()))
}

/// Number of the mount at `/`: two mount namespaces never share one. Unlike the
/// namespace's own link it can be read of PID 1 without tracing rights.
fn root_mount(mountinfo: &str) -> Result<Option<String>, DatapathError> {
    let path = Path::new(mountinfo);
    let mounts = fs::read_to_string(path).map_err(at(path))?;
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/"));
    Ok(root.and_then(|line| line.split(' ').next()).map(ToOwned::to_owned))
}

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> DatapathError + use<'_> {
    move |source| DatapathError::File { path: path.to_owned(), source }
}
