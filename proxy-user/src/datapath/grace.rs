//! Waiting until no packet can still be reading a table.

use std::io;

/// `MEMBARRIER_CMD_GLOBAL` (`include/uapi/linux/membarrier.h`).
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Waits for an RCU grace period: every program run that began before has ended.
/// The kernel's `membarrier(MEMBARRIER_CMD_GLOBAL)` is `synchronize_rcu()`
/// (`kernel/sched/membarrier.c`).
pub(super) fn wait() -> io::Result<()> {
    // SAFETY: membarrier takes three integers and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
