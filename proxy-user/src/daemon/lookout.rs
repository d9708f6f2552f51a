//! Targets that go down and come up, for log and audit log.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use tokio::sync::Notify;

use crate::{config::Target, relay::Lookout, store::Audit};

/// Entries that wait to be written, at most. More come only where targets change faster
/// than a disk writes.
const MOST_WAITING: usize = 1024;

/// An entry of the audit log.
struct Entry {
    event: &'static str,
    details: BTreeMap<String, String>,
}

/// Writes down what becomes of targets, on a thread of its own: who tells it serves
/// traffic, and an entry waits for the disk. The thread ends with it.
pub(super) struct Watchman {
    entries: SyncSender<Entry>,
    /// Told of each change.
    changed: Arc<Notify>,
}

impl Watchman {
    /// # Errors
    /// Where the thread cannot be started.
    pub(super) fn start(audit: Audit, changed: Arc<Notify>) -> io::Result<Self> {
        let (sender, entries) = sync_channel(MOST_WAITING);
        thread::Builder::new().name("lookout".into()).spawn(move || write(&audit, &entries))?;
        Ok(Self { entries: sender, changed })
    }

    fn note(&self, event: &'static str, details: &[(&str, &str)]) {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let entry = Entry { event, details: details.iter().map(owned).collect() };
        self.changed.notify_one();
        if self.entries.try_send(entry).is_err() {
            tracing::error!(event, ?details, "the audit log misses a target's change");
        }
    }
}

fn write(audit: &Audit, entries: &Receiver<Entry>) {
    for Entry { event, details } in entries {
        if let Err(error) = audit.append(event, "weir", details) {
            tracing::error!(%error, event, "the audit log cannot be written");
        }
    }
}

impl Lookout for Watchman {
    fn target_down(&self, service: &str, target: &Target, error: &str) {
        tracing::warn!(service, %target, error, "a target is down");
        let target = target.to_string();
        let details = [("service", service), ("target", &target), ("error", error)];
        self.note("target_down", &details);
    }

    fn target_up(&self, service: &str, target: &Target) {
        tracing::info!(service, %target, "a target is up again");
        let target = target.to_string();
        self.note("target_up", &[("service", service), ("target", &target)]);
    }
}
