//! Files that are in use, newer, damaged, or only to be read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use redb::Database;

use super::support::{
    BY_DAY, DAY, Dice, NOON, accounts, all, attempts, denied, files, open, served, try_open,
};
use crate::{
    record::{Record, Timestamp},
    store::{
        Store, StoreError,
        file::{FORMAT, META, META_FORMAT},
    },
};

/// A closed store with records of both kinds on two days.
fn written(dir: &Path) -> Vec<Record> {
    let mut opened = open(dir, BY_DAY);
    let mut written = Vec::new();
    for day in 0..2 {
        let at = Timestamp(NOON.0 + day * DAY);
        let entries = vec![served(at), denied(at, vec![attempts(7, 0, 1)])];
        written.extend(opened.commit(entries));
    }
    written
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(dir).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_second_daemon_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), BY_DAY);
    let error = try_open(dir.path(), BY_DAY).err().unwrap();
    assert!(matches!(error, StoreError::Locked(_)));
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    drop(first);
    open(dir.path(), BY_DAY);
}

#[test]
fn a_file_of_a_newer_weir_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let newer = files(dir.path()).remove(1);
    let database = Database::open(&newer).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(META).unwrap().insert(META_FORMAT, FORMAT + 1).unwrap();
    write.commit().unwrap();
    drop(database);
    let before = fs::read(&newer).unwrap();
    let to_write = try_open(dir.path(), BY_DAY).err().unwrap();
    let to_read = Store::open_read_only(dir.path()).err().unwrap();
    for error in [to_write, to_read] {
        let StoreError::Newer { path, found, known } = &error else { panic!("{error}") };
        let ours = u64::try_from(FORMAT).unwrap();
        assert_eq!((path, *found, *known), (&newer, ours + 1, ours));
        assert!(error.to_string().contains("newer Weir"));
    }
    assert!(fs::read(&newer).unwrap() == before, "it was written to");
}

type Damage = fn(&mut Vec<u8>);

/// Ways to damage a file.
fn damages() -> [(&'static str, Damage); 6] {
    [
        ("garbage", |bytes| {
            let mut dice = Dice(3);
            bytes.fill_with(|| u8::try_from(dice.below(256)).unwrap());
        }),
        ("all but the head", |bytes| bytes[4096..].fill(0xa5)),
        ("zeros", |bytes| bytes.fill(0)),
        ("half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a few bytes", |bytes| bytes.truncate(100)),
        ("empty", Vec::clear),
    ]
}

/// [`written`], with one file damaged: which, and what it holds now.
fn written_and_damaged(dir: &Path, damage: Damage) -> (Vec<Record>, PathBuf, Vec<u8>) {
    let records = written(dir);
    let path = files(dir).remove(1);
    let mut bytes = fs::read(&path).unwrap();
    damage(&mut bytes);
    fs::write(&path, &bytes).unwrap();
    (records, path, bytes)
}

#[test]
fn a_damaged_file_is_set_aside_and_told_and_the_rest_goes_on() {
    for (what, damage) in damages() {
        let dir = tempfile::tempdir().unwrap();
        let (records, path, bytes) = written_and_damaged(dir.path(), damage);

        let told = try_open(dir.path(), BY_DAY).unwrap().store.damaged();
        let [StoreError::Damaged { path: named, .. }] = &told[..] else {
            panic!("{what}: {told:?}")
        };
        assert_eq!(named, &path, "{what}");
        let aside = path.with_extension("damaged");
        assert!(fs::read(aside).unwrap() == bytes, "{what}: someone may still want to look");

        // It is told once.
        let mut opened = open(dir.path(), BY_DAY);
        let mut rest = vec![records[0].clone(), records[1].clone(), records[3].clone()];
        assert_eq!(all(&opened.store), rest, "{what}");
        rest.extend(opened.commit(vec![served(Timestamp(NOON.0 + DAY))]));
        assert_eq!(all(&opened.store), rest, "{what}");
    }
}

#[test]
fn files_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path());
    let others = ["main-x.redb", "notes.txt", "other-018bcdb3e2007600a8f8fa4fa1334175.redb"];
    for name in others {
        fs::write(dir.path().join("records").join(name), "mine").unwrap();
    }
    assert_eq!(all(&open(dir.path(), BY_DAY).store), records);
    for name in others {
        assert_eq!(fs::read_to_string(dir.path().join("records").join(name)).unwrap(), "mine");
    }
}

#[test]
fn reading_only_changes_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path());
    let before = contents(dir.path());
    let store = Store::open_read_only(dir.path()).unwrap();
    let beside = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&store), records);
    assert_eq!(all(&beside), records, "there may be several readers");
    assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 2)]));
    let verified = store.verify().unwrap();
    assert_eq!((verified.good, verified.bad), (4, 0));
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
    drop((store, beside));
    assert!(contents(dir.path()) == before);
}

#[test]
fn reading_only_waits_for_no_daemon_but_says_that_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let daemon = open(dir.path(), BY_DAY);
    let error = Store::open_read_only(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Locked(_)), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    drop(daemon);
    Store::open_read_only(dir.path()).unwrap();
}

#[test]
fn reading_only_passes_over_what_was_begun_and_never_committed() {
    let dir = tempfile::tempdir().unwrap();
    let records = written(dir.path());
    let name = format!("noise-{}.redb", uuid::Uuid::max().simple());
    drop(Database::create(dir.path().join("records").join(name)).unwrap());
    let before = contents(dir.path());
    let store = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(all(&store), records);
    assert_eq!(store.accounted(7).unwrap(), accounts([attempts(7, 0, 2)]));
    drop(store);
    assert!(contents(dir.path()) == before);
}

#[test]
fn what_a_killed_daemon_left_can_be_read_and_checked_without_repairing_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let records = opened.commit(vec![served(NOON), denied(NOON, Vec::new())]);
    let image = tempfile::tempdir().unwrap();
    fs::create_dir(image.path().join("records")).unwrap();
    for file in files(dir.path()) {
        fs::copy(&file, image.path().join("records").join(file.file_name().unwrap())).unwrap();
    }
    let before = contents(image.path());
    let store = Store::open_read_only(image.path()).unwrap();
    assert_eq!(all(&store), records);
    let verified = store.verify().unwrap();
    assert_eq!((verified.good, verified.bad, verified.faults.len()), (2, 0, 0));
    drop(store);
    assert!(contents(image.path()) == before);
}

#[test]
fn reading_only_names_a_damaged_file_and_leaves_it_as_it_is() {
    for (what, damage) in damages() {
        let dir = tempfile::tempdir().unwrap();
        let (records, path, _) = written_and_damaged(dir.path(), damage);
        let before = contents(dir.path());
        let names = |faults: &[StoreError]| match faults {
            [StoreError::Damaged { path: named, .. }] => *named == path,
            _ => false,
        };

        let store = Store::open_read_only(dir.path()).unwrap();
        let rest = [records[0].clone(), records[1].clone(), records[3].clone()];
        assert_eq!(all(&store), rest, "{what}");
        let verified = store.verify().unwrap();
        assert!(names(&verified.faults), "{what}: {:?}", verified.faults);
        assert_eq!((verified.good, verified.bad), (3, 0), "{what}");
        drop(store);
        let store = Store::open_read_only(dir.path()).unwrap();
        assert!(names(&store.damaged()), "{what}");
        assert!(contents(dir.path()) == before, "{what}");
    }
}

#[test]
fn a_check_finds_what_changed_in_the_middle_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    for _ in 0..20 {
        opened.commit((0..100).map(|_| served(NOON)).collect());
    }
    drop(opened);
    let path = files(dir.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let name = b"db.example.com";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|at| bytes[*at..].starts_with(name)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] = b'x';
    }
    fs::write(&path, bytes).unwrap();
    let before = contents(dir.path());
    let verified = Store::open_read_only(dir.path()).unwrap().verify().unwrap();
    let [StoreError::Damaged { path: named, .. }] = &verified.faults[..] else {
        panic!("{verified:?}")
    };
    assert_eq!(named, &path);
    assert!(contents(dir.path()) == before);
}
