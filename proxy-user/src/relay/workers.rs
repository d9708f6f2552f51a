//! The relay's threads. A session lives on the thread that accepted it, so that
//! neither its sockets nor its timers are ever handed from one to another: measured,
//! that costs a busy relay a fifth of its connections.

use std::{
    io,
    num::NonZeroUsize,
    thread::{self, JoinHandle},
};

use tokio::{runtime, sync::oneshot};

/// How many threads the relay has: one for each core.
pub fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// One thread for each core, each with a runtime of its own; they end with this.
pub(super) struct Workers {
    threads: Vec<Worker>,
}

struct Worker {
    runtime: runtime::Handle,
    /// Dropped, it ends the thread.
    alive: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Workers {
    pub(super) fn start() -> io::Result<Self> {
        let threads: io::Result<_> = (0..workers()).map(|_| Worker::start()).collect();
        Ok(Self { threads: threads? })
    }

    /// Every thread's runtime.
    pub(super) fn runtimes(&self) -> Vec<runtime::Handle> {
        self.threads.iter().map(|worker| worker.runtime.clone()).collect()
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new().name("relay".into()).spawn(move || {
            // It ends when the sender is dropped, which is no failure.
            let _ = runtime.block_on(ended);
            // Drops the tasks, and waits for no resolver.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, alive: Some(alive), thread: Some(thread) })
    }
}

/// When this returns, every session that was left is dropped, and reported thereby.
impl Drop for Worker {
    fn drop(&mut self) {
        self.alive = None;
        // A panic of one of its tasks has been printed.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
