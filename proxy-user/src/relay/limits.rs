//! How many sessions and pipes the file-descriptor limit carries.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a session of a stream holds: client and target.
const FILES_PER_SESSION: usize = 2;
/// Descriptors of a pipe.
const FILES_PER_PIPE: u64 = 2;
/// One pipe for so many files: bytes are in flight in few sessions at a time.
const FILES_FOR_ONE_PIPE: u64 = 256;
/// More of their size would pass the default `pipe-user-pages-soft`.
const MOST_PIPES: u64 = 256;

/// How many files may be open once the limit is raised.
pub fn hard_limit() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the soft limit of open files to the hard one. Gives the limit in force.
pub fn raise() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(hard_limit())
}

/// How long a PROXY header or a server name is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the relay may hold at a time, and for how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions of streams, over all services. Of datagrams it may be twice as many.
    pub sessions: usize,
    /// Pipes for splicing.
    pub pipes: usize,
    /// From accept to the end of a PROXY header and of a server name.
    pub patience: Duration,
}

impl Limits {
    /// What fits into `files` open files, `reserve` of which the rest of the
    /// daemon needs.
    pub fn within(files: u64, reserve: u64) -> Self {
        let files = files.saturating_sub(reserve);
        let pipes = (files / FILES_FOR_ONE_PIPE).min(MOST_PIPES);
        let sessions = (files - pipes * FILES_PER_PIPE) / FILES_PER_SESSION as u64;
        let count = |n| usize::try_from(n).unwrap_or(usize::MAX);
        Self { sessions: count(sessions), pipes: count(pipes), patience: PATIENCE }
    }
}

/// Counts the descriptors of sessions against those of [`Limits::sessions`].
#[derive(Debug)]
pub(super) struct Budget {
    capacity: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(sessions: usize) -> Arc<Self> {
        let capacity = sessions.saturating_mul(FILES_PER_SESSION);
        Arc::new(Self { capacity, used: AtomicUsize::new(0) })
    }

    /// The right to one more session of a stream, or `None` where the budget is spent.
    pub(super) fn take(self: &Arc<Self>) -> Option<Permit> {
        self.take_files(FILES_PER_SESSION)
    }

    /// The right to one more file: of a session of datagrams, or of who brings requests or
    /// answers them.
    pub(super) fn take_file(self: &Arc<Self>) -> Option<Permit> {
        self.take_files(1)
    }

    fn take_files(self: &Arc<Self>, files: usize) -> Option<Permit> {
        let room = |used: usize| (used + files <= self.capacity).then_some(used + files);
        self.used.fetch_update(Relaxed, Relaxed, room).ok()?;
        Some(Permit { budget: Arc::clone(self), files })
    }
}

/// What a session takes of the budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    files: usize,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.files, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_and_pipes_never_need_more_files_than_there_are() {
        for files in [0, 1, 64, 1024, 20_000, 1 << 20, u64::MAX] {
            let limits = Limits::within(files, 200);
            let needed = (limits.sessions as u64 + limits.pipes as u64) * 2;
            assert!(needed <= files.saturating_sub(200), "{files}: {limits:?}");
        }
        assert!(Limits::within(20_500, 300).sessions > 10_000);
    }

    #[test]
    fn a_permit_comes_back_when_dropped() {
        let budget = Budget::new(1);
        let permit = budget.take();
        assert!(permit.is_some());
        assert!(budget.take().is_none());
        drop(permit);
        let permits = [budget.take_file(), budget.take_file()];
        assert!(permits.iter().all(Option::is_some));
        assert!(budget.take_file().is_none());
        drop(permits);
        assert!(budget.take().is_some());
    }
}
