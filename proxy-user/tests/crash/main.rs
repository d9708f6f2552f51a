//! A store whose writer is killed, or whose machine loses its power, at any instant: what was
//! committed is there, once, and the store opens in seconds.

#![allow(clippy::unwrap_used, reason = "tests")]

mod disk;
mod writer;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use disk::Disk;
use proxy_user::{
    record::Commit,
    store::{Filter, Order, Paging, Query, Sort, Store},
};
use weir_tests::skip::skip;
use writer::{Killed, OPTIONS, number};

/// Some ten thousands of records open well within this, also on a busy machine.
const OPENS_WITHIN: Duration = Duration::from_secs(5);

/// Opens the store as a daemon would, and counts what is in it: the records 0, 1, 2, ... each
/// once, of which at least `committed` are there.
fn check(dir: &Path, committed: u64) -> u64 {
    let begin = Instant::now();
    let (store, mut commit) = Store::new(dir, OPTIONS);
    let last = commit.open().unwrap();
    let took = begin.elapsed();
    assert!(took < OPENS_WITHIN, "opening took {took:?}");
    let damaged = store.damaged();
    assert!(damaged.is_empty(), "{damaged:?}");
    let first_of = |sort| {
        let (filter, order, paging) = (Filter::default(), Order::Descending, Paging::Page(1));
        store.query(&Query { filter, sort, order, paging, page_size: 1000 }).unwrap()
    };
    let highest = first_of(Sort::BytesUpload);
    let count = highest.total;
    assert!(count >= committed, "{committed} were committed, {count} are there");
    let numbers = highest.records.iter().map(number);
    assert!(numbers.eq((0..count).rev().take(1000)), "a record is missing, or there twice");
    let sum = store.summary(&Filter::default()).unwrap().bytes_upload;
    assert_eq!(sum, (0..count).sum::<u64>(), "a record is missing, or there twice");
    assert_eq!(last, first_of(Sort::Timestamp).records.first().map(|record| record.id));
    let flows = store.committed_flows().unwrap().len() as u64;
    assert_eq!(flows, count.div_ceil(3), "a flow's note is not with its record");
    count
}

/// Instants that differ from round to round, up to `most`.
fn instant(round: u32, most: Duration) -> Duration {
    // The golden ratio: no two are near.
    most.mul_f64((f64::from(round) * 0.618_033_988_749_895).fract())
}

#[test]
fn killed_at_any_instant_a_writer_loses_and_repeats_nothing() {
    if writer::is_asked_for() {
        return writer::write();
    }
    let test = "killed_at_any_instant_a_writer_loses_and_repeats_nothing";
    let mut rounds = 0;
    while rounds < 150 {
        let dir = tempfile::tempdir().unwrap();
        let mut committed = 0;
        // Each begins with what the one before left.
        for _ in 0..25 {
            let writer = Killed::start(test, dir.path());
            writer.wait_for_first();
            thread::sleep(instant(rounds, Duration::from_millis(60)));
            committed = check(dir.path(), writer.kill().max(committed));
            rounds += 1;
        }
        assert!(committed > 2000, "{committed}: the writer hardly wrote");
    }
}

#[test]
fn after_a_power_cut_at_any_instant_what_was_committed_is_there() {
    if writer::is_asked_for() {
        return writer::write();
    }
    let test = "after_a_power_cut_at_any_instant_what_was_committed_is_there";
    let disk = match Disk::make() {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("no file system can be cut off: {why:#}")),
    };
    let mut cuts = 0;
    while cuts < 100 {
        let dir = disk.fresh();
        let writer = Killed::start(test, &dir);
        writer.wait_for_first();
        for _ in 0..10 {
            thread::sleep(instant(cuts, Duration::from_millis(25)));
            // What was told before the cut was on the disk before it.
            let committed = writer.committed();
            let cut = disk.cut().unwrap();
            check(&cut.path_of(&dir), committed);
            cuts += 1;
        }
        writer.kill();
    }
}
