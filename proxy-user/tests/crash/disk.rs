//! A disk that can lose its power: a file system in an image, and the image on one that clones
//! files. A clone is what the disk holds at one instant, while the first is being written.

use std::{
    cell::Cell,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};

/// Bytes of the disk.
const SIZE: u64 = 256 << 20;
/// Bytes of what its clones lie on.
const AROUND: u64 = 2 << 30;

/// The disk, with its power.
pub(crate) struct Disk {
    // Unmounted in this order.
    inner: Mounted,
    outer: Mounted,
    _dir: tempfile::TempDir,
    stores: Cell<u32>,
}

/// What is left after a cut.
pub(crate) struct Cut {
    mounted: Mounted,
    image: PathBuf,
}

impl Disk {
    pub(crate) fn make() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let around = dir.path().join("around.img");
        let outer = image(&around, AROUND, "mkfs.btrfs", &["-q"])
            .and_then(|()| Mounted::mount(&around, &dir.path().join("around"), "loop"))?;
        let disk = outer.path.join("disk.img");
        // As a small disk of a small machine: the store is a few MiB of it.
        image(&disk, SIZE, "mkfs.ext4", &["-q", "-F"])?;
        let inner = Mounted::mount(&disk, &dir.path().join("disk"), "loop")?;
        Ok(Self { inner, outer, _dir: dir, stores: Cell::new(0) })
    }

    /// A directory that nothing is in; what was in others goes.
    pub(crate) fn fresh(&self) -> PathBuf {
        let number = self.stores.replace(self.stores.get() + 1);
        let path = |number: u32| self.inner.path.join(format!("store{number}"));
        if let Some(before) = number.checked_sub(1) {
            fs::remove_dir_all(path(before)).unwrap();
        }
        path(number)
    }

    /// Cuts the power: of what the disk then holds, there is a copy.
    pub(crate) fn cut(&self) -> Result<Cut> {
        let [disk, image] = ["disk.img", "cut.img"].map(|name| self.outer.path.join(name));
        run(Command::new("cp").arg("--reflink=always").args([&disk, &image]))?;
        let mounted = Mounted::mount(&image, &self.outer.path.join("cut"), "loop")?;
        Ok(Cut { mounted, image })
    }
}

impl Cut {
    /// Where a directory of the disk is.
    pub(crate) fn path_of(&self, dir: &Path) -> PathBuf {
        self.mounted.path.join(dir.file_name().unwrap())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}

/// A mounted image; unmounted on drop, its loop device with it.
struct Mounted {
    path: PathBuf,
}

impl Mounted {
    fn mount(image: &Path, path: &Path, options: &str) -> Result<Self> {
        fs::create_dir_all(path)?;
        run(Command::new("mount").args(["-o", options]).args([image, path]))?;
        Ok(Self { path: path.to_owned() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH) {
            eprintln!("unmounting {}: {error}", self.path.display());
        }
    }
}

fn image(path: &Path, bytes: u64, make: &str, options: &[&str]) -> Result<()> {
    File::create(path)?.set_len(bytes)?;
    run(Command::new(make).args(options).arg(path))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(())
}
