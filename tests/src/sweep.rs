//! What runs that were killed left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    kernel::BPFFS,
    ns::{DIRECTORY, PREFIX, run},
};

static ONCE: Once = Once::new();

/// Removes the namespaces, their processes and the pins of labs whose process is
/// gone; once in a process.
pub(crate) fn sweep() {
    ONCE.call_once(|| {
        for namespace in leftovers(DIRECTORY) {
            remove_namespace(&namespace);
        }
        for pins in leftovers(BPFFS) {
            let _ = fs::remove_dir_all(Path::new(BPFFS).join(pins));
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

fn leftovers(directory: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| owner(name).is_some_and(|owner| !owner.exists())).collect()
}

/// `/proc/PID` of the process that a name belongs to.
fn owner(name: &str) -> Option<PathBuf> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    Some(Path::new("/proc").join(pid.parse::<u32>().ok()?.to_string()))
}
