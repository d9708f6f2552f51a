//! What runs that were killed left behind.

use std::{env, fs, path::Path, process::Command, sync::Once};

use rustix::{
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, kill_process},
};

use crate::{
    kernel::BPFFS,
    names::is_orphan,
    ns::{DIRECTORY, run},
};

static ONCE: Once = Once::new();

/// Removes the namespaces, processes, files and pins of labs whose process is
/// gone; once in a process.
pub(crate) fn sweep() {
    ONCE.call_once(|| {
        for namespace in leftovers(Path::new(DIRECTORY)) {
            remove_namespace(&namespace);
        }
        let temporary = env::temp_dir();
        for installation in leftovers(&temporary) {
            remove_installation(&temporary.join(installation));
        }
        let bpffs = Path::new(BPFFS);
        for pins in leftovers(bpffs) {
            let _ = fs::remove_dir_all(bpffs.join(pins));
        }
    });
}

fn remove_namespace(name: &str) {
    let processes = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    let ids = processes.split_ascii_whitespace().filter_map(|id| id.parse().ok());
    for process in ids.filter_map(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
    let _ = run(Command::new("ip").args(["netns", "del", name]));
}

fn remove_installation(directory: &Path) {
    // Where a test had mounted a small file system.
    let _ = unmount(directory.join("data"), UnmountFlags::DETACH);
    let _ = fs::remove_dir_all(directory);
}

fn leftovers(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| is_orphan(name)).collect()
}
