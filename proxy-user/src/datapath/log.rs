//! What the programs log, in builds that ask for it.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use tokio::{io::Interest, io::unix::AsyncFd};

use super::DatapathError;

/// Lines of the programs, which become those of whoever logs here. Their map is not
/// pinned: programs that a daemon before left attached have one of their own.
pub struct ProgramLog {
    lines: EbpfLogger<&'static dyn log::Log>,
}

impl ProgramLog {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, DatapathError> {
        let lines = EbpfLogger::init(ebpf).map_err(|_| DatapathError::Object("AYA_LOGS"))?;
        Ok(Self { lines })
    }

    /// Logs the lines that there are.
    pub fn flush(&mut self) {
        self.lines.flush();
    }

    /// Logs lines as they come, for good.
    ///
    /// # Errors
    /// That they cannot be waited for.
    pub async fn follow(self) -> io::Result<()> {
        // SAFETY: the ring buffer owns its one descriptor until it is dropped.
        let mut log = unsafe { AsyncFd::register_with_interest(self.lines, Interest::READABLE)? };
        loop {
            let mut ready = log.readable_mut().await?;
            ready.clear_ready();
            tokio::task::block_in_place(|| ready.get_inner_mut().flush());
        }
    }
}
