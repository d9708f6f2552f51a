//! Debian's kernels, unpacked below `target/kernels` and installed nowhere.

use std::{
    fmt, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::process::{self, output};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A kernel of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kernel {
    /// Debian 12's
    #[value(name = "6.1")]
    Bookworm,
    /// Debian 13's
    #[value(name = "6.12")]
    Trixie,
}

impl Kernel {
    fn version(self) -> &'static str {
        match self {
            Self::Bookworm => "6.1",
            Self::Trixie => "6.12",
        }
    }

    fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Gets it where it is not there, and gives its place.
    pub(crate) fn get(self) -> Result<Unpacked> {
        let place = Path::new("target/kernels").join(self.version());
        if !place.is_dir() {
            println!("setup: getting Debian's kernel {self} into {}", place.display());
            // Beside, so that what was interrupted is done again.
            let beside = PathBuf::from(format!("{}.new", place.display()));
            unpack(&beside, self.suite())?;
            fs::rename(&beside, &place).with_context(|| place.display().to_string())?;
        }
        let directory = fs::canonicalize(&place).with_context(|| place.display().to_string())?;
        let release = only(&directory.join("lib/modules"))?;
        Ok(Unpacked { directory, release })
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

/// What a guest is booted from.
pub(crate) struct Unpacked {
    /// With `boot`, `lib/modules` and `bin/busybox`.
    pub(crate) directory: PathBuf,
    /// As `uname -r` tells it.
    pub(crate) release: String,
}

impl Unpacked {
    pub(crate) fn image(&self) -> PathBuf {
        self.directory.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    pub(crate) fn busybox(&self) -> PathBuf {
        self.directory.join("bin/busybox")
    }
}

/// Unpacks the newest kernel of a release of Debian's and a busybox that needs no libraries.
fn unpack(directory: &Path, suite: &str) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let apt = Apt::new(&directory.join("apt"), suite)?;
    let metapackage = output(apt.command("apt-cache").args(["depends", "linux-image-amd64"]))?;
    let image = metapackage.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    let image = image.context("linux-image-amd64 depends on no image")?;
    for package in apt.download(&[image, "busybox-static"])? {
        process::run(Command::new("dpkg-deb").arg("-x").arg(package).arg(directory))?;
    }
    // Newer packages have all their files below usr.
    for name in ["bin", "lib"] {
        let (link, to) = (directory.join(name), Path::new("usr").join(name));
        if !link.exists() {
            symlink(&to, &link).with_context(|| link.display().to_string())?;
        }
    }
    fs::remove_dir_all(&apt.directory).context("apt's files")?;
    let release = only(&directory.join("lib/modules"))?;
    process::run(Command::new("depmod").arg("-b").arg(directory).arg(release))
}

/// The name of the one entry of a directory.
fn only(directory: &Path) -> Result<String> {
    let mut entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let entry = entries.next().with_context(|| format!("{} is empty", directory.display()))??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

/// apt, with a release of Debian's beside the host's own, from where the host has its packages.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn new(directory: &Path, suite: &str) -> Result<Self> {
        for needed in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(needed)).context("apt's directories")?;
        }
        let directory = fs::canonicalize(directory)?;
        let source = format!("deb [signed-by={KEYRING}] {} {suite} main\n", mirror()?);
        fs::write(directory.join("sources.list"), source)?;
        let apt = Self { directory };
        process::run(apt.command("apt-get").args(["update", "--quiet=2"]))?;
        Ok(apt)
    }

    /// A command of apt's that knows nothing of what the host has installed.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory);
        let own = |name: &str| self.directory.join(name).display().to_string();
        for (option, value) in [
            ("Dir::Etc::SourceList", own("sources.list")),
            ("Dir::Etc::SourceParts", "-".to_owned()),
            ("Dir::State", own("state")),
            ("Dir::State::Status", "/dev/null".to_owned()),
            ("Dir::Cache", own("cache")),
            ("APT::Architecture", "amd64".to_owned()),
            // Its user may not write here.
            ("APT::Sandbox::User", "root".to_owned()),
        ] {
            command.arg("-o").arg(format!("{option}={value}"));
        }
        command
    }

    fn download(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        process::run(self.command("apt-get").args(["download", "--quiet=2"]).args(packages))?;
        let entries = fs::read_dir(&self.directory)?.filter_map(Result::ok);
        let files = entries.map(|entry| entry.path());
        Ok(files.filter(|path| path.extension().is_some_and(|kind| kind == "deb")).collect())
    }
}

/// Where the host has Debian's packages from.
fn mirror() -> Result<String> {
    let format = ["--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"];
    let sources = output(Command::new("apt-get").arg("indextargets").args(format))
        .context("kernels are packages of Debian's, which apt-get gets")?;
    let debian = sources.lines().find_map(|line| line.strip_prefix("Debian "));
    Ok(debian.context("none of apt's sources is Debian's")?.to_owned())
}
