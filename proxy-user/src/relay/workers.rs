//! The relay's threads. A session lives on one of them from its judgement to its end:
//! neither its sockets nor its timers are ever handed from one to another. It is given to
//! the thread that has the fewest, since clients that keep their connections would not
//! be spread evenly by who happens to accept first.

use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::{self, Handle},
    sync::oneshot,
};

/// Turns of sessions between two looks for what has arrived. Many at a stretch make one
/// side of a connection wait for the other: with tokio's 61 a request or a connection
/// costs a tenth more.
const TURNS: u32 = 16;

/// How many threads the relay has: one for each core.
pub fn workers() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// One thread for each core, each with a runtime of its own; they end with this.
pub(super) struct Workers {
    threads: Vec<Worker>,
}

struct Worker {
    runtime: Handle,
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
    pub(super) fn runtimes(&self) -> Runtimes {
        let runtime =
            |worker: &Worker| Runtime { handle: worker.runtime.clone(), sessions: Arc::default() };
        Runtimes { all: self.threads.iter().map(runtime).collect(), next_home: AtomicUsize::new(0) }
    }
}

/// The threads as those know them who give them work.
pub(super) struct Runtimes {
    all: Vec<Runtime>,
    next_home: AtomicUsize,
}

/// One thread.
pub(super) struct Runtime {
    handle: Handle,
    /// A reference for each session that it runs.
    sessions: Arc<()>,
}

/// Which thread accepts a socket's connections.
#[derive(Clone, Copy)]
pub(super) struct Home(usize);

impl Runtimes {
    /// The home of one more socket: each thread in turn.
    pub(super) fn home(&self) -> Home {
        Home(self.next_home.fetch_add(1, Relaxed) % self.all.len())
    }

    /// Its thread's runtime.
    pub(super) fn at(&self, home: Home) -> &Handle {
        &self.all[home.0].handle
    }

    /// A thread's runtime for what goes on beside the sessions.
    pub(super) fn beside(&self) -> &Handle {
        self.at(Home(self.all.len() - 1))
    }

    /// Waits until every thread is done with the task that it is at.
    pub(super) async fn pass(&self) {
        for runtime in &self.all {
            // It fails where the thread has ended: that is done with everything.
            let _ = runtime.handle.spawn(async {}).await;
        }
    }

    /// The thread with the fewest sessions; of several the one at `home`, which need not
    /// be woken.
    pub(super) fn least_busy(&self, home: Home) -> &Runtime {
        let load = |index: usize| (self.all[index].load(), index != home.0);
        let least = (0..self.all.len()).min_by_key(|index| load(*index));
        &self.all[least.unwrap_or(home.0)]
    }
}

impl Runtime {
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Counts one more session until the answer is dropped.
    pub(super) fn enter(&self) -> OnThread {
        OnThread { _counted: Arc::clone(&self.sessions) }
    }

    fn load(&self) -> usize {
        Arc::strong_count(&self.sessions)
    }
}

/// A session's place on its thread.
pub(super) struct OnThread {
    _counted: Arc<()>,
}

impl Worker {
    fn start() -> io::Result<Self> {
        let mut runtime = runtime::Builder::new_current_thread();
        let runtime = runtime.event_interval(TURNS).enable_all().build()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_spread_evenly_and_stay_at_home_where_that_is_even() {
        let workers = Workers::start().expect("threads");
        let runtimes = workers.runtimes();
        let home = runtimes.home();
        let loads = || runtimes.all.iter().map(Runtime::load).collect::<Vec<_>>();
        let idle = loads();
        let first = runtimes.least_busy(home).enter();
        assert_eq!(runtimes.all[home.0].load(), idle[home.0] + 1);
        let rest: Vec<_> = (1..3 * idle.len()).map(|_| runtimes.least_busy(home).enter()).collect();
        assert!(loads().iter().zip(&idle).all(|(now, before)| *now == before + 3));
        drop((first, rest));
        assert_eq!(loads(), idle);
    }
}
