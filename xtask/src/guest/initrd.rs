//! What the guest begins with: busybox, and the modules by which it sees the host's files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::kernels::Unpacked;
use crate::process::{self, output};

const INIT: &str = include_str!("init.sh");
/// A bus, the host's files, a layer over them.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];

/// Makes it; `words` are files of one line for its script.
pub(super) fn make(kernel: &Unpacked, words: &[(&str, &str)]) -> Result<PathBuf> {
    let root = kernel.directory.join("initrd");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| root.display().to_string())?;
    }
    for directory in ["bin", "modules"] {
        fs::create_dir_all(root.join(directory))?;
    }
    fs::copy(kernel.busybox(), root.join("bin/busybox")).context("busybox")?;
    fs::write(root.join("modules/order"), modules(kernel, &root.join("modules"))?)?;
    for (name, word) in words {
        fs::write(root.join(name), word)?;
    }
    fs::write(root.join("init"), INIT)?;
    let archive = kernel.directory.join("initrd.cpio");
    let pack = "chmod +x init && find . | \"$0\" cpio -o -H newc > ../initrd.cpio";
    let mut shell = Command::new("sh");
    shell.args(["-c", pack]).arg(kernel.busybox()).current_dir(&root);
    output(&mut shell)?;
    Ok(archive)
}

/// Copies modules and what they need; their names in the order in which they are loaded.
fn modules(kernel: &Unpacked, to: &Path) -> Result<String> {
    let mut order = Vec::<String>::new();
    for module in MODULES {
        let mut modprobe = Command::new("modprobe");
        modprobe.arg("-d").arg(&kernel.directory).args(["-S", &kernel.release]);
        let needed = output(modprobe.args(["--show-depends", module]))?;
        // Those that are part of the kernel are `builtin`.
        for path in needed.lines().filter_map(|line| line.trim().strip_prefix("insmod ")) {
            let name = Path::new(path).file_stem().context("a module without a name")?;
            let name = name.to_string_lossy().trim_end_matches(".ko").to_owned();
            if order.contains(&name) {
                continue;
            }
            unpack(kernel, Path::new(path), &to.join(&name))?;
            order.push(name);
        }
    }
    Ok(order.join("\n"))
}

fn unpack(kernel: &Unpacked, module: &Path, to: &Path) -> Result<()> {
    if module.extension().is_none_or(|kind| kind != "xz") {
        return fs::copy(module, to).map(drop).with_context(|| module.display().to_string());
    }
    let file = fs::File::create(to).with_context(|| to.display().to_string())?;
    process::run(Command::new(kernel.busybox()).arg("xzcat").arg(module).stdout(file))
}
