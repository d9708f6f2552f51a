//! What a commit leaves in the files, also when it is repeated or cut off.

use std::{collections::BTreeSet, fs, path::Path};

use redb::Database;
use uuid::Uuid;

use super::support::{
    BY_COMMIT, BY_DAY, DAY, NOON, accounts, all, attempts, denied, files, flow, of_flow, open,
    served, try_open,
};
use crate::{
    record::{Commit, Entry, FlowId, Origin, Record, Timestamp},
    store::{
        Store, StoreError, codec,
        file::{FORMAT, META, META_FORMAT, NOTED, NOTED_1},
        notes::flow_bytes,
        rewrite::RECORDS,
        tail,
    },
};

/// What a `kill -9` would leave.
fn crash_image(of: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("records")).unwrap();
    for file in files(of) {
        fs::copy(&file, copy.path().join("records").join(file.file_name().unwrap())).unwrap();
    }
    copy
}

fn ids(records: &[Record]) -> Vec<Uuid> {
    records.iter().map(|record| record.id).collect()
}

#[test]
fn records_accounts_and_notes_are_the_same_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let mut written = opened.commit(vec![
        served(NOON),
        denied(NOON, vec![attempts(7, 0, 1)]),
        of_flow(served(NOON), 1),
        denied(NOON, vec![attempts(7, 0, 20), attempts(7, 1, 300)]),
    ]);
    written.extend(opened.commit(vec![
        denied(NOON, vec![attempts(8, 0, 5)]),
        denied(NOON, vec![attempts(7, 1, 4000)]),
        of_flow(denied(NOON, Vec::new()), 2),
    ]));
    for reopened in [false, true] {
        if reopened {
            drop(opened);
            opened = open(dir.path(), BY_DAY);
        }
        let store = &opened.store;
        assert_eq!(all(store), written);
        assert_eq!(store.last_id().unwrap(), written.last().map(|record| record.id));
        let seven = accounts([attempts(7, 0, 21), attempts(7, 1, 4300)]);
        assert_eq!(store.accounted(7).unwrap(), seven);
        assert_eq!(store.accounted(8).unwrap(), accounts([attempts(8, 0, 5)]));
        assert_eq!(store.accounted(9).unwrap(), accounts([]));
        assert_eq!(store.committed_flows().unwrap(), BTreeSet::from([flow(1), flow(2)]));
    }
}

#[test]
fn a_record_of_many_settles_attempts_and_flows() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let many = |accounted: Vec<_>, ports: std::ops::Range<u16>| {
        let flows: Vec<_> = ports.map(flow).collect();
        let draft = denied(NOON, Vec::new()).draft;
        Entry { draft, origin: Origin::Denied { accounted, flows } }
    };
    let mut written = opened.commit(vec![many(vec![attempts(7, 0, 2)], 1..4)]);
    // Of its flows one is noted already, of all the others it is the record.
    written.extend(opened.commit(vec![many(Vec::new(), 3..6)]));
    drop(opened);
    let store = open(dir.path(), BY_DAY).store;
    assert_eq!(all(&store), written);
    assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 2)]));
    assert_eq!(store.committed_flows().unwrap(), (1..6).map(flow).collect());
}

#[test]
fn a_batch_that_is_tried_again_counts_once() {
    for options in [BY_DAY, BY_COMMIT] {
        for nothing in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut opened = open(dir.path(), options);
            opened.store.keep_nothing(nothing);
            opened.commit(vec![denied(NOON, vec![attempts(7, 0, 100)])]);
            let batch = opened.batch(vec![
                of_flow(served(NOON), 1),
                denied(NOON, vec![attempts(7, 0, 1)]),
                denied(NOON, vec![attempts(7, 0, 20)]),
            ]);
            opened.writer.commit(&batch).unwrap();
            opened.writer.commit(&batch).unwrap();
            let case = format!("{options:?}, nothing: {nothing}");
            let store = &opened.store;
            assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 121)]), "{case}");
            assert_eq!(store.committed_flows().unwrap(), BTreeSet::from([flow(1)]), "{case}");
            assert_eq!(all(store).len(), if nothing { 0 } else { 4 }, "{case}");
            assert_eq!(store.last_id().unwrap(), batch.records.last().map(|c| c.record.id));
        }
    }
}

#[test]
fn a_new_partition_takes_accounts_and_notes_along() {
    let tomorrow = Timestamp(NOON.0 + DAY);
    for (options, then) in [(BY_COMMIT, NOON), (BY_DAY, tomorrow)] {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open(dir.path(), options);
        let first = vec![of_flow(served(NOON), 1), denied(NOON, vec![attempts(7, 0, 1)])];
        let mut written = opened.commit(first);
        let second = vec![of_flow(served(then), 2), denied(then, vec![attempts(7, 0, 20)])];
        written.extend(opened.commit(second));
        assert_eq!(files(dir.path()).len(), 4);
        drop(opened);
        let store = open(dir.path(), options).store;
        assert_eq!(all(&store), written);
        assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 21)]));
        assert_eq!(store.committed_flows().unwrap(), BTreeSet::from([flow(1), flow(2)]));
    }
}

#[test]
fn a_new_partition_leaves_the_accounts_of_maps_behind_that_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    opened.commit(vec![denied(NOON, vec![attempts(9, 0, 1)])]);
    opened.commit(vec![denied(NOON, Vec::new())]);
    let kept = opened.store.accounted(9).unwrap();
    assert_eq!(kept, accounts([attempts(9, 0, 1)]), "nothing tells that these maps are gone");
    // Epochs are random: a later one may be smaller.
    opened.commit(vec![denied(NOON, vec![attempts(4, 0, 20)])]);
    assert_eq!(opened.store.accounted(9).unwrap(), accounts([]));
    assert_eq!(opened.store.accounted(4).unwrap(), accounts([attempts(4, 0, 20)]));
}

#[test]
fn a_forgotten_flow_leaves_no_note() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let served_and_denied = vec![
        of_flow(served(NOON), 1),
        of_flow(served(NOON), 2),
        of_flow(denied(NOON, Vec::new()), 3),
        of_flow(denied(NOON, Vec::new()), 4),
    ];
    opened.commit(served_and_denied);
    opened.forget(&[flow(1), flow(3), flow(99)]);
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(2), flow(4)]));
    let mut batch = opened.batch(vec![served(NOON)]);
    batch.forget = vec![flow(2), flow(4)];
    opened.writer.commit(&batch).unwrap();
    assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::new());
    assert_eq!(all(&opened.store).len(), 5, "the records stay");
}

#[test]
fn flows_that_are_noted_together_are_forgotten_in_any_parts() {
    for reopened in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open(dir.path(), BY_DAY);
        opened.commit((0..300).map(|port| of_flow(served(NOON), port)).collect());
        opened.commit((300..310).map(|port| of_flow(served(NOON), port)).collect());
        let mut left: BTreeSet<FlowId> = (0..310).map(flow).collect();
        // Of one row some, rows whole, what was forgotten before, all that is left.
        let parts = [7..11, 0..170, 100..301, 305..306, 0..310];
        for (port, part) in (1000..).zip(parts) {
            if reopened {
                drop(opened);
                opened = open(dir.path(), BY_DAY);
            }
            let part: Vec<FlowId> = part.map(flow).collect();
            left.retain(|flow| !part.contains(flow));
            left.insert(flow(port));
            let mut batch = opened.batch(vec![of_flow(served(NOON), port)]);
            batch.forget = part;
            opened.writer.commit(&batch).unwrap();
            assert_eq!(opened.store.committed_flows().unwrap(), left);
        }
        // Each is noted or not by itself.
        let before = all(&opened.store).len();
        let again: Vec<_> = left.iter().map(|flow| flow.key.client_port).chain([7, 305]).collect();
        opened.commit(again.iter().map(|port| of_flow(served(NOON), *port)).collect());
        assert_eq!(all(&opened.store).len(), before + 2);
    }
}

#[test]
fn a_store_of_an_older_format_keeps_its_records_and_its_notes() {
    for format in 1..FORMAT {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open(dir.path(), BY_DAY);
        let written = opened.commit(vec![of_flow(served(NOON), 1), of_flow(served(NOON), 2)]);
        drop(opened);
        make_older(&files(dir.path())[0], format, &written);
        let older = Store::open_read_only(dir.path()).err().unwrap();
        assert!(matches!(older, StoreError::Older { .. }), "{older}");
        for _ in 0..2 {
            let mut opened = open(dir.path(), BY_DAY);
            assert_eq!(opened.store.committed_flows().unwrap(), BTreeSet::from([flow(1), flow(2)]));
            opened.commit(vec![of_flow(served(NOON), 1)]);
            assert_eq!(all(&opened.store), written, "it was recorded before");
        }
        assert_eq!(all(&Store::open_read_only(dir.path()).unwrap()), written);
    }
}

/// Makes a file what an older Weir would have written: records as rows, and with format 1 a
/// row for each noted flow.
fn make_older(file: &Path, format: i64, records: &[Record]) {
    let database = Database::open(file).unwrap();
    let write = database.begin_write().unwrap();
    tail::clear(&write).unwrap();
    {
        let mut rows = write.open_table(RECORDS).unwrap();
        for record in records {
            let row = codec::encode(&record.draft, Vec::new());
            rows.insert(record.id.as_u128(), row.as_slice()).unwrap();
        }
        write.open_table(META).unwrap().insert(META_FORMAT, format).unwrap();
        if format == 1 {
            write.delete_table(NOTED).unwrap();
            let mut table = write.open_table(NOTED_1).unwrap();
            for port in 1..=2 {
                table.insert(flow_bytes(&flow(port)).as_slice(), ()).unwrap();
            }
        }
    }
    write.commit().unwrap();
}

#[test]
fn keeping_nothing_still_settles_what_the_kernel_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    opened.store.keep_nothing(true);
    let entries = vec![of_flow(served(NOON), 1), denied(NOON, vec![attempts(7, 0, 3)])];
    let unwritten = opened.commit(entries);
    drop(opened);
    let mut opened = open(dir.path(), BY_DAY);
    let store = &opened.store;
    assert_eq!(all(store), []);
    assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 3)]));
    assert_eq!(store.committed_flows().unwrap(), BTreeSet::from([flow(1)]));
    // Ids go on above those that were given, so that none is ever given twice.
    assert_eq!(store.last_id().unwrap(), unwritten.last().map(|record| record.id));
    let written = opened.commit(vec![served(Timestamp(NOON.0 - DAY))]);
    assert_eq!(all(&opened.store), written);
    assert!(written[0].id > unwritten[1].id);
}

#[test]
fn a_killed_daemon_loses_nothing_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let mut written = Vec::new();
    for round in 1..=5 {
        let entries = vec![
            of_flow(served(NOON), round),
            denied(NOON, vec![attempts(7, round, 1)]),
            served(NOON),
        ];
        written.extend(opened.commit(entries));
        let image = crash_image(dir.path());
        let found = open(image.path(), BY_DAY).store;
        assert_eq!(ids(&all(&found)), ids(&written));
        assert_eq!(found.accounted(7).unwrap().len(), usize::from(round));
        assert_eq!(found.committed_flows().unwrap().len(), usize::from(round));
    }
}

#[test]
fn a_daemon_killed_as_it_begins_a_partition_loses_no_accounts() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    opened.commit(vec![of_flow(served(NOON), 1), denied(NOON, vec![attempts(7, 0, 3)])]);
    let after = opened.ids.next(Timestamp(NOON.0 + DAY));
    drop(opened);
    for kind in ["main", "noise"] {
        let name = format!("{kind}-{}.redb", after.simple());
        drop(Database::create(dir.path().join("records").join(name)).unwrap());
    }
    let store = open(dir.path(), BY_DAY).store;
    assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 3)]));
    assert_eq!(store.committed_flows().unwrap(), BTreeSet::from([flow(1)]));
}

#[test]
fn another_process_can_have_what_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = open(dir.path(), BY_COMMIT);
    let mut written = before.commit(vec![served(NOON)]);
    written.extend(before.commit(vec![served(NOON)]));
    assert_eq!(ids(&all(&before.store)), ids(&written));
    assert!(try_open(dir.path(), BY_COMMIT).is_err(), "two have it open");

    before.store.close();
    let after = open(dir.path(), BY_COMMIT);
    assert_eq!(ids(&all(&after.store)), ids(&written));
    let refused = before.store.last_id();
    assert!(matches!(refused, Err(StoreError::HandedOver(_))), "{refused:?}");
}
