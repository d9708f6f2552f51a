//! What goes, what stays, and that the disk gets its room back.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

use super::support::{
    BY_COMMIT, BY_DAY, DAY, HOUR, NOON, Opened, accounts, all, attempts, denied, files, flow,
    of_flow, open, served,
};
use crate::{
    config::{Keep, Log, Overload, StoreFailure},
    record::{Record, Timestamp},
    store::{
        Cursor, Filter, Order, Paging, Query, Sort, StoreError, StoreOptions,
        block::{Reader, Rows},
        retention::Shares,
        select::Selected,
    },
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

/// Bytes of the newest files of a kind.
fn bytes_of_newest(dir: &Path, kind: &str, count: usize) -> u64 {
    let own = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(kind);
    let files: Vec<PathBuf> = files(dir).into_iter().filter(own).collect();
    files.iter().rev().take(count).map(|path| fs::metadata(path).unwrap().len()).sum()
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
fn the_newest_partition_goes_when_it_is_too_old_and_what_it_notes_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let entries = vec![of_flow(served(NOON), 1), denied(NOON, vec![attempts(7, 0, 3)])];
    let last = opened.commit(entries)[1].id;
    let an_hour = log(Keep::For(Duration::from_hours(1)), PLENTY, 1 << 30);
    assert_eq!(opened.store.retain(Timestamp(NOON.0 + HOUR - 1), &an_hour).unwrap(), 0);
    let later = Timestamp(NOON.0 + HOUR + 1);
    assert_eq!(opened.store.retain(later, &an_hour).unwrap(), 2);
    assert_eq!(opened.store.retain(later, &an_hour).unwrap(), 0);
    for reopened in [false, true] {
        if reopened {
            drop(opened);
            opened = open(dir.path(), BY_DAY);
        }
        assert_eq!(all(&opened.store), []);
        assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(1)]));
        assert_eq!(opened.store.accounted(7).unwrap(), accounts([attempts(7, 0, 3)]));
        assert_eq!(opened.store.last_id().unwrap(), Some(last));
    }
    let written = opened.commit(vec![served(later), denied(later, Vec::new())]);
    assert_eq!(all(&opened.store), written);
    assert_eq!(files(dir.path()).len(), 2, "the empty ones are written on");
}

#[test]
fn the_newest_partition_never_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = opened.commit(vec![served(NOON), denied(NOON, Vec::new())]);
    assert_eq!(opened.store.retain(NOON, &log(Keep::Forever, 0, 0)).unwrap(), 0);
    assert_eq!(all(&opened.store), written);
}

#[test]
fn both_kinds_have_a_share_whatever_the_limits_are() {
    let shares = |max, noise| Shares::of(&log(Keep::Forever, max, noise));
    assert_eq!(shares(8 << 30, 2 << 30), Shares { main: 6 << 30, noise: 2 << 30 });
    for noise in [8 << 30, 9 << 30, u64::MAX] {
        assert_eq!(shares(8 << 30, noise), Shares { main: 4 << 30, noise: 4 << 30 });
    }
    // A partition is never more than a part of the smaller share.
    let options = StoreOptions::within(&log(Keep::Forever, 1 << 30, (1 << 30) - (64 << 20)));
    assert_eq!(options.partition_bytes, 8 << 20);
}

#[test]
fn a_clock_that_was_ahead_keeps_later_records_neither_longer_nor_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let ahead = opened.commit(vec![served(Timestamp(NOON.0 + 25_000 * DAY))]);
    let today = opened.commit(vec![served(NOON)]);
    let tomorrow = opened.commit(vec![served(Timestamp(NOON.0 + DAY))]);
    assert!(tomorrow[0].id > today[0].id && today[0].id > ahead[0].id);
    assert_eq!(files(dir.path()).len(), 3, "days lie apart");
    let a_day = log(Keep::For(Duration::from_hours(24)), PLENTY, 1 << 30);
    assert_eq!(opened.store.retain(Timestamp(NOON.0 + DAY + HOUR), &a_day).unwrap(), 1);
    assert_eq!(kept(&all(&opened.store)), kept([&ahead[0], &tomorrow[0]]));
}

#[test]
fn a_file_that_cannot_be_removed_stays_in_the_books() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = days(&mut opened, 4);
    let stubborn = files(dir.path()).remove(0);
    let beside = dir.path().join("beside");
    fs::rename(&stubborn, &beside).unwrap();
    fs::create_dir(&stubborn).unwrap();
    let now = Timestamp(NOON.0 + 3 * DAY);
    let two_days = log(Keep::For(Duration::from_hours(47)), PLENTY, 1 << 30);
    let error = opened.store.retain(now, &two_days).unwrap_err();
    assert!(error.to_string().contains(stubborn.to_str().unwrap()), "{error}");

    fs::remove_dir(&stubborn).unwrap();
    fs::rename(&beside, &stubborn).unwrap();
    let stay = || written[2..].iter().flat_map(|(main, noise)| [main, noise]);
    assert_eq!(kept(&all(&opened.store)), kept(stay().chain([&written[0].0])));
    assert_eq!(opened.store.retain(now, &two_days).unwrap(), 1);
    assert_eq!(kept(&all(&opened.store)), kept(stay()));
    assert_eq!(files(dir.path()).len(), 4);
}

#[test]
fn the_oldest_records_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let written = days(&mut opened, 6);
    let limit = bytes_of_newest(dir.path(), "main", 3);
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
    let share = bytes_of_newest(dir.path(), "noise", 2);
    let full = log(Keep::Forever, share + bytes(&opened, "main"), share);
    assert_eq!(opened.store.retain(at, &full).unwrap(), 6);
    assert_eq!(kept(&all(&opened.store)), kept(main.iter().chain(&noise[6..])));
}

#[test]
fn keep_none_removes_everything_and_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    days(&mut opened, 3);
    let nothing = log(Keep::None, PLENTY, 1 << 30);
    assert_eq!(opened.store.retain(NOON, &nothing).unwrap(), 6);
    assert_eq!(all(&opened.store), []);
    days(&mut opened, 2);
    assert_eq!(opened.store.retain(NOON, &nothing).unwrap(), 0);
    assert_eq!(all(&opened.store), []);
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn a_reader_finishes_the_partition_that_retention_removes_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let first = opened.commit(vec![served(NOON), served(NOON), served(NOON)]);
    opened.commit(vec![served(Timestamp(NOON.0 + DAY))]);
    opened.commit(vec![served(Timestamp(NOON.0 + 2 * DAY))]);
    let an_hour = log(Keep::For(Duration::from_hours(1)), PLENTY, 1 << 30);
    let mut read = Vec::new();
    let store = opened.store.clone();
    let during = |reader: Reader<'_>, _: &Selected| {
        store.retain(Timestamp(NOON.0 + 10 * DAY), &an_hour)?;
        let rows = Rows::of(reader)?;
        read.extend((0..reader.rows()).map(|row| rows.record(row).unwrap()));
        Ok(())
    };
    opened.store.visit(&Filter::default(), during).unwrap();
    assert_eq!(read, first, "the others are gone, which is no error");
    assert_eq!(files(dir.path()).len(), 1);
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
