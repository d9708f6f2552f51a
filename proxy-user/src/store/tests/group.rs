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
use uuid::Uuid;

use super::support::flow;
use crate::{
    config::{Overload, StoreFailure},
    record::{Batch, Commit, CommitError, Entry, FlowId, Ids, Origin, Timestamp, tests::draft},
    store::{Pressure, Told, Writer, WriterOptions},
};

#[derive(Clone, Default)]
struct Store {
    shut: Arc<AtomicBool>,
    last: Arc<Mutex<Option<Uuid>>>,
    fails: Arc<AtomicBool>,
    batches: Arc<Mutex<Vec<Batch>>>,
}

impl Commit for Store {
    fn open(&mut self) -> Result<Option<Uuid>, CommitError> {
        if self.shut.load(SeqCst) {
            return Err(CommitError("in use by another process".into()));
        }
        Ok(*self.last.lock())
    }

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

/// The flows that were told to be settled.
fn flows(told: impl Iterator<Item = Told>) -> Vec<FlowId> {
    let settled = told.filter_map(|told| match told {
        Told::Settled(flows) => Some(flows),
        Told::Opened => None,
    });
    settled.flatten().collect()
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
    let on_told = Box::new(move |told| sender.send(told).unwrap());
    let (writer, thread) = Writer::start(store.clone(), options(), on_told).unwrap();
    for port in 0..20 {
        writer.submit([entry(Origin::Flow(flow(port)))]);
    }
    writer.forget([flow(99)]);
    writer.submit([entry(Origin::Userspace)]);
    writer.close();
    thread.join().unwrap();
    let batches = store.batches.lock();
    let ids: Vec<_> = batches.iter().flat_map(|b| &b.records).map(|r| r.record.id).collect();
    assert_eq!(ids.len(), 21);
    assert!(ids.is_sorted_by(|a, b| a < b));
    assert!(batches.len() < 21, "no group was made");
    assert_eq!(flows(settled.iter()), (0..20).map(flow).collect::<Vec<_>>());
    assert!(batches.iter().flat_map(|batch| &batch.forget).eq(&[flow(99)]));
    assert_eq!(*writer.committed().borrow(), ids.last().copied());
}

#[test]
fn a_store_that_fails_keeps_what_is_queued_and_counts_what_is_dropped() {
    let store = Store::default();
    store.fails.store(true, SeqCst);
    let (writer, thread) = Writer::start(store.clone(), options(), Box::new(|_| {})).unwrap();
    writer.submit([entry(Origin::Userspace)]);
    until("the failure shows", || writer.stats().failing.is_some());
    assert_eq!(writer.stats().failing.as_deref(), Some("no space left"));
    assert_eq!(writer.pressure(), Pressure::None, "on_store_failure = \"proxy\"");
    for _ in 0..options().capacity + 3 {
        writer.submit([entry(Origin::Userspace)]);
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
fn entries_that_come_together_wait_for_room_and_keep_their_order() {
    let store = Store::default();
    let (sender, settled) = mpsc::channel();
    let on_told = Box::new(move |told| drop(sender.send(told)));
    let (writer, thread) = Writer::start(store.clone(), options(), on_told).unwrap();
    let ports = 0..10 * u16::try_from(options().capacity).unwrap();
    writer.submit(ports.clone().map(|port| entry(Origin::Flow(flow(port)))));
    writer.close();
    thread.join().unwrap();
    assert!(flows(settled.try_iter()).into_iter().eq(ports.map(flow)));
    assert_eq!(writer.stats().dropped, 0);
}

#[test]
fn a_record_of_many_settles_all_their_flows() {
    let (sender, settled) = mpsc::channel();
    let on_told = Box::new(move |told| drop(sender.send(told)));
    let (writer, thread) = Writer::start(Store::default(), options(), on_told).unwrap();
    let many: Vec<_> = (1..4).map(flow).collect();
    let refused = Origin::Denied { accounted: Vec::new(), flows: many.clone() };
    writer.submit([entry(refused), entry(Origin::Flow(flow(9)))]);
    writer.close();
    thread.join().unwrap();
    assert!(flows(settled.try_iter()).into_iter().eq(many.into_iter().chain([flow(9)])));
}

#[test]
fn pressure_tells_traffic_what_to_do() {
    let refuse = WriterOptions { on_store_failure: StoreFailure::Refuse, ..options() };
    let store = Store::default();
    store.fails.store(true, SeqCst);
    let (writer, thread) = Writer::start(store, refuse, Box::new(|_| {})).unwrap();
    writer.submit([entry(Origin::Userspace)]);
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
    let (writer, thread) = Writer::start(Store::default(), drops, Box::new(|_| {})).unwrap();
    for _ in 0..drops.capacity + 2 {
        writer.submit([entry(Origin::Userspace)]);
    }
    assert_eq!(writer.stats().dropped, 2);
    writer.close();
    thread.join().unwrap();
}

#[test]
fn a_store_that_cannot_be_opened_yet_fails_until_it_can() {
    let store = Store::default();
    store.shut.store(true, SeqCst);
    let (sender, told) = mpsc::channel();
    let on_told = Box::new(move |told| sender.send(told).unwrap());
    let refuse = WriterOptions { on_store_failure: StoreFailure::Refuse, ..options() };
    let (writer, thread) = Writer::start(store.clone(), refuse, on_told).unwrap();
    assert_eq!(writer.pressure(), Pressure::Refuse, "from the start");
    assert_eq!(writer.stats().failing.as_deref(), Some("in use by another process"));
    assert_eq!(*writer.committed().borrow(), None);
    for port in 0..11 {
        writer.submit([entry(Origin::Flow(flow(port)))]);
    }
    assert_eq!((writer.stats().queued, writer.stats().dropped), (8, 3), "what waits is bounded");

    // Records that a daemon with a clock of 2099 left there.
    let far = Ids::after(None).next(Timestamp(4_070_908_800_000));
    *store.last.lock() = Some(far);
    store.shut.store(false, SeqCst);
    until("the store writes", || writer.stats().committed == 8);
    assert_eq!(writer.pressure(), Pressure::None);
    writer.close();
    thread.join().unwrap();
    let batches = store.batches.lock();
    let mut ids = batches.iter().flat_map(|batch| &batch.records).map(|one| one.record.id);
    assert!(ids.all(|id| id > far), "an id was given a second time");
    drop(writer);
    let told: Vec<Told> = told.iter().collect();
    let before = flows(told.iter().cloned().take_while(|told| *told != Told::Opened));
    assert!(before.iter().all(|flow| flow.key.client_port >= 8), "{told:?}");
    let mut settled = flows(told.iter().cloned());
    settled.sort_unstable();
    assert_eq!(settled, (0..11).map(flow).collect::<Vec<_>>());
}

#[test]
fn flows_of_dropped_records_are_let_go_while_the_store_fails() {
    let store = Store::default();
    store.fails.store(true, SeqCst);
    let (sender, told) = mpsc::channel();
    let on_told = Box::new(move |told| sender.send(told).unwrap());
    let (writer, thread) = Writer::start(store.clone(), options(), on_told).unwrap();
    writer.submit([entry(Origin::Userspace)]);
    until("the failure shows", || writer.stats().failing.is_some());
    for port in 0..10 {
        writer.submit([entry(Origin::Flow(flow(port)))]);
    }
    let heard = told.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(heard, Told::Settled(vec![flow(8), flow(9)]));
    writer.forget((0..100).map(flow));
    store.fails.store(false, SeqCst);
    writer.close();
    thread.join().unwrap();
    let forgotten: usize = store.batches.lock().iter().map(|batch| batch.forget.len()).sum();
    assert_eq!(forgotten, options().capacity, "what waits is bounded");
}
