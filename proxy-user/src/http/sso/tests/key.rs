//! The key that is kept.

use std::{fs, os::unix::fs::PermissionsExt, thread};

use crate::http::sso::key::Key;

#[test]
fn a_login_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let sealed = Key::kept(directory.path()).unwrap().seal("name", b"login".to_vec()).unwrap();
    let after = Key::kept(directory.path()).unwrap();
    assert_eq!(after.open("name", &sealed).as_deref(), Some(&b"login"[..]));
    let mode = fs::metadata(directory.path().join("sso.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn what_another_made_or_changed_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let key = Key::kept(directory.path()).unwrap();
    let sealed = key.seal("name", b"login".to_vec()).unwrap();
    assert_eq!(key.open("other", &sealed), None);
    assert_eq!(key.open("name", &sealed[..4]), None);
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(key.open("name", &changed), None, "byte {place}");
    }
    let other = Key::kept(tempfile::tempdir().unwrap().path()).unwrap();
    assert_eq!(other.open("name", &sealed), None);
}

#[test]
fn processes_that_start_at_once_have_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let keys: Vec<Key> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(move || Key::kept(path).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let sealed = keys[0].seal("name", b"login".to_vec()).unwrap();
    assert!(keys.iter().all(|key| key.open("name", &sealed).is_some()));
}

#[test]
fn a_file_that_is_no_key_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("sso.key"), "short").unwrap();
    let error = Key::kept(directory.path()).err().unwrap().to_string();
    assert!(error.contains("sso.key: not a key"), "{error}");
}
