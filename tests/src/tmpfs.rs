//! File systems that are small, full or read-only.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

/// A file system in memory, mounted over a directory; gone on drop.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of a size in MiB; the directory is made where there is none.
    pub fn mount(path: &Path, mebibytes: u32) -> Result<Self> {
        fs::create_dir_all(path)?;
        let options = std::ffi::CString::new(format!("size={mebibytes}m,mode=0700"))?;
        mount("weir-lab", path, "tmpfs", MountFlags::empty(), Some(options.as_c_str()))
            .with_context(|| format!("mounting a tmpfs on {}", path.display()))?;
        Ok(Self { path: path.to_owned() })
    }

    /// Lets nobody write to it from now on.
    pub fn set_read_only(&self) -> Result<()> {
        Ok(mount_remount(&self.path, MountFlags::RDONLY, "")?)
    }

    /// Lets it be written to again.
    pub fn set_writable(&self) -> Result<()> {
        Ok(mount_remount(&self.path, MountFlags::empty(), "")?)
    }

    /// Writes a file until there is no room left; removing it makes room again.
    pub fn fill(&self) -> Result<PathBuf> {
        let path = self.path.join("ballast");
        let mut file = File::create(&path)?;
        loop {
            match file.write(&[0; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(path),
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH) {
            eprintln!("unmounting {}: {error}", self.path.display());
        }
    }
}
