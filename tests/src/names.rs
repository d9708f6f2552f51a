//! Names that tell whose a namespace, file or pin is.

use std::{fs, process, sync::LazyLock};

/// What all names of ours begin with.
const LAB: &str = "weir-lab-";

static PREFIX: LazyLock<String> = LazyLock::new(|| {
    let id = process::id();
    format!("{LAB}{id}_{}-", began(id).unwrap_or_default())
});

/// What names of this process begin with: its number, which will be another's one day,
/// and when it began.
pub fn prefix() -> &'static str {
    &PREFIX
}

/// Whether a name is a lab's whose process is gone.
pub(crate) fn is_orphan(name: &str) -> bool {
    owner(name).is_some_and(|(id, start)| began(id) != Some(start))
}

/// The process that a name tells: its number, and when it began.
fn owner(name: &str) -> Option<(u32, u64)> {
    let (owner, _) = name.strip_prefix(LAB)?.split_once('-')?;
    let (id, start) = owner.split_once('_')?;
    Some((id.parse().ok()?, start.parse().ok()?))
}

/// When a process that there is began, in ticks of the system's clock.
fn began(id: u32) -> Option<u64> {
    const START_TIME: usize = 22;
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(START_TIME - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_that_are_gone_are_orphans() {
        let id = process::id();
        let own = began(id).unwrap_or_default();
        assert!(own > 0);
        assert!(!is_orphan(&format!("{}0-server", prefix())));
        assert!(is_orphan(&format!("{LAB}{id}_{}-0-server", own + 1)), "a number used again");
        assert!(is_orphan(&format!("{LAB}4194305_{own}-0-server")), "no such process");
        assert!(!is_orphan("weir-lab-of-someone-else"));
    }
}
