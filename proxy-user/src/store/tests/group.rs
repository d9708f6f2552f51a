//! The writer against stores that are slow, broken, and well again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::support::flow;
use crate::{
    config::{Overload, StoreFailure},
    record::{Batch, Commit, CommitError, Entry, Origin, tests::draft},
    store::{Pressure, Writer, WriterOptions},
};

#[derive(Clone, Default)]
struct Store {
    fails: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Commit for Store {
    fn commit(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if self.fails.load(SeqCst) {
            return Err(CommitError("no space left".into()));
        }
        self.batches.lock().push(batch.clone());
        Ok(())
    }
}

fn options() -> WriterOptions {
    WriterOptions {
        commit_interval: Duration::from_millis(5),
        capacity: 8,
        on_overload: Overload::Block,
        on_store_failure: StoreFailure::Proxy,
    }
}

fn entry(origin: Origin) -> Entry {
    Entry { draft: draft(), origin }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn records_are_committed_in_groups_with_rising_ids_and_their_flows_settled() {
    let store = Store::default();
    let (sender, settled) = mpsc::channel();
    let on_settled = Box::new(move |flows| sender.send(flows).unwrap());
    let (writer, thread) = Writer::start(store.clone(), None, options(), on_settled).unwrap();
    for port in 0..20 {
        writer.submit(entry(Origin::Flow(flow(port))));
    }
    writer.forget([flow(99)]);
    writer.submit(entry(Origin::Userspace));
    writer.close();
    thread.join().unwrap();
    let batches = store.batches.lock();
    let ids: Vec<_> = batches.iter().flat_map(|b| &b.records).map(|r| r.record.id).collect();
    assert_eq!(ids.len(), 21);
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert!(batches.len() < 21, "no group was made");
    assert_eq!(settled.iter().flatten().collect::<Vec<_>>(), (0..20).map(flow).collect::<Vec<_>>());
    assert!(batches.iter().flat_map(|batch| &batch.forget).eq(&[flow(99)]));
    assert_eq!(*writer.committed().borrow(), ids.last().copied());
}

#[test]
fn a_store_that_fails_keeps_what_is_queued_and_counts_what_is_dropped() {
    let store = Store::default();
    store.fails.store(true, SeqCst);
    let (writer, thread) = Writer::start(store.clone(), None, options(), Box::new(|_| {})).unwrap();
    writer.submit(entry(Origin::Userspace));
    until("the failure shows", || writer.stats().failing.is_some());
    assert_eq!(writer.stats().failing.as_deref(), Some("no space left"));
    assert_eq!(writer.pressure(), Pressure::None, "on_store_failure = \"proxy\"");
    for _ in 0..options().capacity + 3 {
        writer.submit(entry(Origin::Userspace));
    }
    assert_eq!(writer.stats().dropped, 3);
    store.fails.store(false, SeqCst);
    until("the store writes again", || writer.stats().failing.is_none());
    writer.close();
    thread.join().unwrap();
    let written: usize = store.batches.lock().iter().map(|batch| batch.records.len()).sum();
    assert_eq!(written, options().capacity + 1);
}

#[test]
fn pressure_tells_traffic_what_to_do() {
    let refuse = WriterOptions { on_store_failure: StoreFailure::Refuse, ..options() };
    let store = Store::default();
    store.fails.store(true, SeqCst);
    let (writer, thread) = Writer::start(store, None, refuse, Box::new(|_| {})).unwrap();
    writer.submit(entry(Origin::Userspace));
    until("traffic is refused", || writer.pressure() == Pressure::Refuse);
    writer.close();
    thread.join().unwrap();
    assert_eq!(writer.stats().dropped, 1, "given up at the end, and counted");
}

#[test]
fn overload_drops_only_where_asked_to() {
    let drops = WriterOptions {
        commit_interval: Duration::from_mins(1),
        on_overload: Overload::Drop,
        ..options()
    };
    let (writer, thread) = Writer::start(Store::default(), None, drops, Box::new(|_| {})).unwrap();
    for _ in 0..drops.capacity + 2 {
        writer.submit(entry(Origin::Userspace));
    }
    assert_eq!(writer.stats().dropped, 2);
    writer.close();
    thread.join().unwrap();
}
