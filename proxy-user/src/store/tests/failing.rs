//! Writes that fail, and what readers are told meanwhile.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::support::{
    BY_COMMIT, BY_DAY, DAY, NOON, Opened, accounts, all, attempts, denied, files, flow, of_flow,
    open, served, try_open,
};
use crate::{
    record::{Commit, Timestamp},
    store::{
        Filter, Order, Paging, Query, Sort, Store, StoreError, noted::Noting, partition::Files,
        series::Kind,
    },
};

/// Leaves the newest partition as a write error does.
fn fail(opened: &Opened, kind: Kind) -> PathBuf {
    let (_, newest) = opened.store.shared.series(kind).read().newest().unwrap();
    newest.close();
    newest.path.clone()
}

fn assert_closed<T>(answer: Result<T, StoreError>) {
    assert!(matches!(answer.err(), Some(StoreError::Closed(_))));
}

/// Nothing that is asked is answered as if it were all.
fn assert_refuses(store: &Store, id: Uuid) {
    let filter = Filter::default();
    assert_closed(store.after(None, Uuid::max(), &filter, 10));
    assert_closed(store.get(id));
    assert_closed(store.summary(&filter));
    let paging = Paging::Page(1);
    let (sort, order) = (Sort::Timestamp, Order::Descending);
    assert_closed(store.query(&Query { filter, sort, order, paging, page_size: 10 }));
}

#[test]
fn readers_are_refused_while_the_newest_partition_is_closed() {
    for kind in Kind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open(dir.path(), BY_DAY);
        let yesterday = Timestamp(NOON.0 - DAY);
        let entries = |at| vec![served(at), denied(at, Vec::new())];
        let before = opened.commit(entries(yesterday));
        let mut written = before.clone();
        written.extend(opened.commit(entries(NOON)));
        fail(&opened, kind);
        let place = usize::from(kind == Kind::Noise);
        assert_refuses(&opened.store, written[2 + place].id);
        // What lies before it is known.
        assert_eq!(opened.store.get(before[place].id).unwrap().as_ref(), Some(&before[place]));
        let upto = before[1].id;
        assert_eq!(opened.store.after(None, upto, &Filter::default(), 10).unwrap(), before);

        written.extend(opened.commit(entries(NOON)));
        assert_eq!(all(&opened.store), written);
    }
}

#[test]
fn nothing_is_answered_before_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let written = open(dir.path(), BY_DAY).commit(vec![served(NOON)]);
    let other = open(dir.path(), BY_DAY);
    let (store, mut writer) = Store::new(dir.path(), BY_DAY);
    assert!(writer.open().is_err());
    assert_refuses(&store, written[0].id);
    assert_closed(store.last_id());
    assert_closed(store.stats());
    drop(other);
    assert_eq!(writer.open().unwrap(), Some(written[0].id));
    assert_eq!(writer.open().unwrap(), Some(written[0].id), "again changes nothing");
    assert_eq!(all(&store), written);
}

/// Keeps the partition that would begin with the next record from being made.
fn obstruct(dir: &Path, opened: &mut Opened, entry: crate::record::Entry) -> PathBuf {
    let batch = opened.batch(vec![entry]);
    let committing = &batch.records[0];
    let kind = Kind::of(&committing.record, &committing.origin).name();
    let name = format!("{kind}-{}.redb", committing.record.id.simple());
    let path = dir.join("records").join(name);
    fs::create_dir(&path).unwrap();
    opened.writer.commit(&batch).unwrap_err();
    path
}

#[test]
fn a_partition_that_cannot_be_begun_leaves_the_one_before_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let mut written = opened.commit(vec![of_flow(served(NOON), 1)]);
    let obstacle = obstruct(dir.path(), &mut opened, served(NOON));
    assert_eq!(all(&opened.store), written);
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(1)]));
    fs::remove_dir(obstacle).unwrap();
    written.extend(opened.commit(vec![served(NOON)]));
    assert_eq!(all(&opened.store), written);
}

#[test]
fn noise_that_cannot_be_written_keeps_no_other_record_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let batch = opened.batch(vec![denied(NOON, vec![attempts(7, 0, 1)]), served(NOON)]);
    let [noise, main] = [0, 1].map(|at| batch.records[at].record.clone());
    let path = dir.path().join("records").join(format!("noise-{}.redb", noise.id.simple()));
    fs::create_dir(&path).unwrap();
    opened.writer.commit(&batch).unwrap_err();
    assert_eq!(all(&opened.store), std::slice::from_ref(&main));
    fs::remove_dir(&path).unwrap();
    opened.writer.commit(&batch).unwrap();
    assert_eq!(all(&opened.store), [noise, main], "once");
}

#[test]
fn a_partition_that_is_damaged_while_it_is_closed_makes_room_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let old = opened.commit(vec![served(NOON), denied(NOON, vec![attempts(7, 0, 1)])]);
    let path = fail(&opened, Kind::Noise);
    fs::write(&path, [0xa5; 10_000]).unwrap();
    let new = opened.commit(vec![served(NOON), denied(NOON, vec![attempts(7, 0, 20)])]);
    assert_eq!(all(&opened.store), [old[0].clone(), new[0].clone(), new[1].clone()]);
    assert_eq!(opened.store.accounted(7).unwrap(), accounts([attempts(7, 0, 20)]));
    let told = opened.store.damaged();
    assert!(matches!(&told[..], [StoreError::Damaged { path: named, .. }] if *named == path));
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), [0xa5; 10_000]);
}

#[test]
fn a_flow_that_a_daemon_before_recorded_is_not_recorded_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let mut written = opened.commit(vec![of_flow(served(NOON), 1)]);
    let again = opened.commit(vec![of_flow(served(NOON), 1), of_flow(served(NOON), 2)]);
    written.push(again[1].clone());
    assert_eq!(all(&opened.store), written);
    opened.forget(&[flow(1), flow(2)]);
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::new());
}

#[test]
fn what_a_write_that_failed_had_noted_is_not_taken_for_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let mut written = opened.commit(vec![of_flow(served(NOON), 1)]);
    let (_, newest) = opened.store.shared.series(Kind::Main).read().newest().unwrap();
    let failed = newest.written().unwrap().0.write(|write| {
        let mut noted = newest.noted();
        let mut noting = Noting::open(write, &mut noted)?;
        assert!(noting.note(flow(2))?);
        noting.forget(&[flow(1)])?;
        Err(redb::Error::PreviousIo)
    });
    assert!(failed.is_err());
    drop(newest);
    fail(&opened, Kind::Main);
    let again = opened.commit(vec![of_flow(served(NOON), 1), of_flow(served(NOON), 2)]);
    written.push(again[1].clone());
    assert_eq!(all(&opened.store), written);
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(1), flow(2)]));
}

#[test]
fn few_files_are_open_however_many_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    let mut written = Vec::new();
    for _ in 0..20 {
        written.extend(opened.commit(vec![served(NOON), denied(NOON, Vec::new())]));
    }
    assert_eq!(files(dir.path()).len(), 40);
    for reopened in [false, true] {
        if reopened {
            drop(opened);
            opened = try_open(dir.path(), BY_COMMIT).unwrap();
        }
        assert_eq!(all(&opened.store), written);
        for record in &written {
            assert_eq!(opened.store.get(record.id).unwrap().as_ref(), Some(record));
        }
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let open = descriptors
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter(|path| path.starts_with(dir.path()))
            .count();
        // The newest of both kinds, and the lock.
        assert!(open <= Files::MOST + 3, "{open}");
    }
}
