//! Weir's store: written by its writer with everything on, and asked.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use proxy_user::{
    config::{Overload, StoreFailure},
    record::FlowId,
    store::{Store, StoreOptions, Told, Writer, WriterOptions},
};
use serde_json::{Value, json};

use crate::generate::Generator;

/// Records that are handed over together.
const HANDFUL: usize = 1024;
/// Entries that may wait, as in the daemon.
const CAPACITY: usize = 65_536;

/// A store that is written.
pub(crate) struct Written {
    pub(crate) store: Store,
    writer: Writer,
    thread: std::thread::JoinHandle<()>,
    settled: Arc<Mutex<Vec<FlowId>>>,
}

impl Written {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let (store, commit) = Store::new(dir, StoreOptions::default());
        let settled: Arc<Mutex<Vec<FlowId>>> = Arc::default();
        let told = Arc::clone(&settled);
        let on_told = move |what: Told| {
            if let Told::Settled(flows) = what {
                told.lock().unwrap_or_else(PoisonError::into_inner).extend(flows);
            }
        };
        let options = WriterOptions {
            commit_interval: Duration::from_millis(100),
            capacity: CAPACITY,
            on_overload: Overload::Block,
            on_store_failure: StoreFailure::Proxy,
        };
        let (writer, thread) = Writer::start(commit, options, Box::new(on_told))?;
        Ok(Self { store, writer, thread, settled })
    }

    /// Writes so many records, or as long as `go_on` says so; each is durable when this is
    /// over. Gives how many, and seconds.
    pub(crate) fn write(
        &self,
        generator: &mut Generator,
        mut go_on: impl FnMut(usize) -> bool,
    ) -> Result<(usize, f64)> {
        let before = self.writer.stats().committed;
        let (begin, mut count) = (Instant::now(), 0);
        while go_on(count) {
            let entries: Vec<_> = (0..HANDFUL).map(|_| generator.next()).collect();
            self.writer.submit(entries);
            count += HANDFUL;
            // What the daemon does once the kernel's entries are deleted.
            let settled =
                std::mem::take(&mut *self.settled.lock().unwrap_or_else(PoisonError::into_inner));
            self.writer.forget(settled);
        }
        let all = before + count as u64;
        while self.writer.stats().committed < all {
            ensure!(self.writer.stats().failing.is_none(), "{:?}", self.writer.stats());
            std::thread::sleep(Duration::from_millis(5));
        }
        ensure!(self.writer.stats().dropped == 0, "records were dropped");
        Ok((count, begin.elapsed().as_secs_f64()))
    }

    /// Ends the writer. The store stays readable.
    pub(crate) fn end(self) -> Result<Store> {
        self.writer.close();
        self.thread.join().ok().context("the writer panicked")?;
        Ok(self.store)
    }
}

/// Bytes of the files below a directory.
pub(crate) fn bytes(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// Memory that this process has, bytes: now, and at most so far.
pub(crate) fn memory() -> Result<Value> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let bytes = |name| kib(name).map(|kib| kib * 1024);
    Ok(json!({ "resident": bytes("VmRSS"), "peak": bytes("VmHWM"), "anonymous": bytes("RssAnon") }))
}
