//! Pipes for splicing, held only while they carry bytes.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::net::TcpStream;

/// Room in a pipe: measured, a quarter more throughput than the default of 64 KiB,
/// and as much as 1 MiB.
const PIPE_BYTES: usize = 256 * 1024;

/// More than a pipe holds, so that one call takes what there is.
const SPLICE_BYTES: usize = 1 << 20;

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Beyond the user's share of pipe memory it is refused; a small pipe works too.
        let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
        Ok(Self { read, write })
    }
}

/// At most so many pipes.
#[derive(Debug)]
pub(in crate::relay) struct PipePool {
    capacity: usize,
    open: AtomicUsize,
    idle: Mutex<Vec<Pipe>>,
}

impl PipePool {
    pub(in crate::relay) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, open: AtomicUsize::new(0), idle: Mutex::default() })
    }

    /// An empty pipe, or `None` where all are in use or none can be made: then bytes
    /// are copied.
    pub(super) fn take(self: &Arc<Self>) -> Option<Lease> {
        let idle = self.idle.lock().pop();
        let pipe = idle.or_else(|| self.make())?;
        Some(Lease { pipe: Some(pipe), filled: 0, pool: Arc::clone(self) })
    }

    /// Pipes that were made and are not in use.
    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    fn make(&self) -> Option<Pipe> {
        self.open
            .fetch_update(Relaxed, Relaxed, |open| (open < self.capacity).then_some(open + 1))
            .ok()?;
        let made = Pipe::new();
        if made.is_err() {
            self.open.fetch_sub(1, Relaxed);
        }
        made.ok()
    }
}

/// A pipe on loan.
#[derive(Debug)]
pub(super) struct Lease {
    /// `None` only while being dropped.
    pipe: Option<Pipe>,
    filled: usize,
    pool: Arc<PipePool>,
}

impl Lease {
    /// Bytes in it.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Moves what `source` has into the pipe, which must be empty: else "would
    /// block" might mean the pipe. 0 is the stream's end.
    pub(super) fn fill(&mut self, source: &TcpStream) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let moved = splice(source, None, &pipe.write, None, SPLICE_BYTES, FLAGS)?;
        self.filled += moved;
        Ok(moved)
    }

    /// Moves what is in the pipe to `sink`.
    pub(super) fn drain(&mut self, sink: &TcpStream) -> io::Result<usize> {
        let Some(pipe) = &self.pipe else { return Ok(0) };
        let moved = splice(&pipe.read, None, sink, None, self.filled, FLAGS)?;
        self.filled -= moved;
        Ok(moved)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        if self.filled == 0 {
            self.pool.idle.lock().push(pipe);
        } else {
            // What is in it belongs to a session that is over.
            drop(pipe);
            self.pool.open.fetch_sub(1, Relaxed);
        }
    }
}
