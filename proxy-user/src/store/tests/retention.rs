//! What goes, what stays, and that the disk gets its room back.

use std::{collections::BTreeSet, time::Duration};

use uuid::Uuid;

use super::support::{
    BY_COMMIT, BY_DAY, DAY, HOUR, NOON, Opened, all, denied, files, flow, of_flow, open, served,
};
use crate::{
    config::{Keep, Log, Overload, StoreFailure},
    record::{Record, Timestamp},
    store::{Cursor, Filter, Order, Paging, Query, Sort, StoreError},
};

const PLENTY: u64 = 1 << 40;

fn log(keep: Keep, max_bytes: u64, noise_max_bytes: u64) -> Log {
    Log {
        keep,
        max_bytes,
        noise_max_bytes,
        commit_interval: Duration::from_millis(100),
        on_overload: Overload::Block,
        on_store_failure: StoreFailure::Proxy,
        deny_records_per_second: 1000,
    }
}

/// A record of each kind on each of so many days, each in a file of its own.
fn days(opened: &mut Opened, days: i64) -> Vec<(Record, Record)> {
    let mut written = Vec::new();
    for day in 0..days {
        let at = Timestamp(NOON.0 + day * DAY);
        let mut records = opened.commit(vec![served(at), denied(at, Vec::new())]).into_iter();
        written.extend(records.next().zip(records.next()));
    }
    written
}

/// Bytes of one kind's files.
fn bytes(opened: &Opened, kind: &str) -> u64 {
    let stats = opened.store.stats().unwrap();
    stats.iter().find(|series| series.name == kind).unwrap().bytes
}

fn kept<'a>(records: impl IntoIterator<Item = &'a Record>) -> BTreeSet<Uuid> {
    records.into_iter().map(|record| record.id).collect()
}

#[test]
fn what_is_too_old_goes_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = days(&mut opened, 4);
    let now = Timestamp(NOON.0 + 3 * DAY);
    let two_days = log(Keep::For(Duration::from_hours(48)), PLENTY, 1 << 30);
    assert_eq!(opened.store.retain(now, &two_days).unwrap(), 2);
    assert_eq!(files(dir.path()).len(), 6);
    let stay = kept(written[1..].iter().flat_map(|(main, noise)| [main, noise]));
    assert_eq!(kept(&all(&opened.store)), stay);
    assert_eq!(opened.store.get(written[0].0.id).unwrap(), None);
    assert_eq!(opened.store.retain(now, &two_days).unwrap(), 0);
    drop(opened);
    assert_eq!(kept(&all(&open(dir.path(), BY_DAY).store)), stay);
}

#[test]
fn a_partition_stays_while_its_last_record_is_young_enough() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let mut written = opened.commit(vec![served(NOON)]);
    written.extend(opened.commit(vec![served(Timestamp(NOON.0 + 2 * HOUR))]));
    written.extend(opened.commit(vec![served(Timestamp(NOON.0 + DAY))]));
    let a_day = log(Keep::For(Duration::from_hours(24)), PLENTY, 1 << 30);
    opened.store.retain(Timestamp(NOON.0 + DAY + HOUR), &a_day).unwrap();
    assert_eq!(all(&opened.store), written);
    opened.store.retain(Timestamp(NOON.0 + DAY + 3 * HOUR), &a_day).unwrap();
    assert_eq!(all(&opened.store), written[2..]);
}

#[test]
fn the_newest_partition_stays_with_what_it_notes_however_old_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = opened.commit(vec![of_flow(served(NOON), 1)]);
    let later = Timestamp(NOON.0 + 100 * DAY);
    let an_hour = log(Keep::For(Duration::from_hours(1)), 0, 0);
    assert_eq!(opened.store.retain(later, &an_hour).unwrap(), 0);
    assert_eq!(all(&opened.store), written);
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(1)]));
}

#[test]
fn the_oldest_records_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let written = days(&mut opened, 6);
    let limit = bytes(&opened, "main") / 2;
    let forever = log(Keep::Forever, limit + PLENTY, PLENTY);
    assert_eq!(opened.store.retain(NOON, &forever).unwrap(), 3);
    assert!(bytes(&opened, "main") <= limit);
    let main = written[3..].iter().map(|(main, _)| main);
    let noise = written.iter().map(|(_, noise)| noise);
    assert_eq!(kept(&all(&opened.store)), kept(main.chain(noise)));
    assert_eq!(files(dir.path()).len(), 9);
}

#[test]
fn denied_records_never_displace_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let mut main = Vec::new();
    for day in 0..2 {
        main.extend(opened.commit(vec![served(Timestamp(NOON.0 + day * DAY))]));
    }
    let at = Timestamp(NOON.0 + 2 * DAY);
    let noise: Vec<Record> =
        (0..8).flat_map(|_| opened.commit(vec![denied(at, Vec::new())])).collect();
    let share = bytes(&opened, "noise") / 4;
    let full = log(Keep::Forever, share + bytes(&opened, "main"), share);
    assert_eq!(opened.store.retain(at, &full).unwrap(), 6);
    assert_eq!(kept(&all(&opened.store)), kept(main.iter().chain(&noise[6..])));
}

#[test]
fn keep_none_removes_what_can_go_and_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = days(&mut opened, 3);
    let nothing = log(Keep::None, PLENTY, 1 << 30);
    assert_eq!(opened.store.retain(NOON, &nothing).unwrap(), 4);
    let (main, noise) = &written[2];
    assert_eq!(kept(&all(&opened.store)), kept([main, noise]));
    days(&mut opened, 1);
    let tomorrow = Timestamp(NOON.0 + 3 * DAY);
    opened.commit(vec![served(tomorrow), denied(tomorrow, Vec::new())]);
    assert_eq!(opened.store.retain(NOON, &nothing).unwrap(), 2);
    assert_eq!(all(&opened.store), []);
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn a_reader_finishes_what_retention_removes_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = days(&mut opened, 4);
    let an_hour = log(Keep::For(Duration::from_hours(1)), PLENTY, 1 << 30);
    let mut read = Vec::new();
    let mut removed = 0;
    let store = opened.store.clone();
    let during = |record| {
        read.push(record);
        removed += store.retain(Timestamp(NOON.0 + 10 * DAY), &an_hour).unwrap();
    };
    opened.store.visit(&Filter::default(), during).unwrap();
    assert_eq!(removed, 6);
    assert_eq!(kept(&read), kept(written.iter().flat_map(|(main, noise)| [main, noise])));
}

#[test]
fn a_cursor_whose_record_is_gone_is_told_and_not_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = days(&mut opened, 3);
    let an_hour = log(Keep::For(Duration::from_hours(1)), PLENTY, 1 << 30);
    opened.store.retain(Timestamp(NOON.0 + 10 * DAY), &an_hour).unwrap();
    let gone = written[0].0.id;
    for (sort, _) in Sort::ALL {
        for order in [Order::Ascending, Order::Descending] {
            let paging = Paging::After(Cursor { id: gone });
            let query = Query { filter: Filter::default(), sort, order, paging, page_size: 10 };
            let error = opened.store.query(&query).unwrap_err();
            assert!(matches!(error, StoreError::CursorGone(id) if id == gone));
            assert!(error.to_string().contains(&gone.to_string()));
        }
    }
}
