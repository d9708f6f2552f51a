//! The small books: tokens, the audit log, and the positions of sinks.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use super::support::{BY_DAY, NOON, Opened, all, denied, open, served};
use crate::{
    config::{Sink, SinkKind},
    record::{Record, Verdict},
    store::{Audit, Scope, SinkWriter, StoreError, Tokens, book::Book},
};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn a_token_is_good_until_it_is_revoked_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(dir.path());
    let (token, secret) = tokens.create("grafana", Scope::Metrics, None).unwrap();
    let (_, other) = tokens.create("ci", Scope::Read, Some(HOUR)).unwrap();
    assert_eq!((token.name.as_str(), token.scope), ("grafana", Scope::Metrics));
    assert_eq!(tokens.verify(&secret), Some(token.clone()));
    assert_eq!(tokens.verify("weir_"), None);
    assert_eq!(tokens.verify(&secret[..secret.len() - 1]), None);
    drop(tokens);

    let tokens = Tokens::new(dir.path());
    assert_eq!(tokens.verify(&secret), Some(token));
    assert_eq!(tokens.verify(&other).unwrap().name, "ci");
    let names: Vec<String> = tokens.list().unwrap().into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["ci", "grafana"]);
    assert!(tokens.revoke("grafana").unwrap());
    assert!(!tokens.revoke("grafana").unwrap());
    assert_eq!(tokens.verify(&secret), None);
    drop(tokens);
    let tokens = Tokens::new(dir.path());
    assert_eq!(tokens.verify(&secret), None);
    assert_eq!(tokens.list().unwrap().len(), 1);
}

#[test]
fn a_token_ends_by_itself_when_it_was_made_to() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(dir.path());
    let (over, secret) = tokens.create("over", Scope::Read, Some(Duration::ZERO)).unwrap();
    assert_eq!(over.expires_at, Some(over.created_at));
    assert_eq!(tokens.verify(&secret), None);
    let (later, secret) = tokens.create("later", Scope::Read, Some(HOUR)).unwrap();
    assert_eq!(later.expires_at.unwrap().0 - later.created_at.0, 3_600_000);
    assert_eq!(tokens.verify(&secret), Some(later));
}

#[test]
fn a_name_is_given_once_until_its_token_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(dir.path());
    let (_, first) = tokens.create("ci", Scope::Read, None).unwrap();
    let error = tokens.create("ci", Scope::Metrics, None).unwrap_err();
    assert!(matches!(&error, StoreError::TokenExists(name) if name == "ci"));
    assert_eq!(tokens.verify(&first).unwrap().scope, Scope::Read);
    tokens.revoke("ci").unwrap();
    let (_, second) = tokens.create("ci", Scope::Metrics, None).unwrap();
    assert_eq!(tokens.verify(&second).unwrap().scope, Scope::Metrics);
    assert_eq!(tokens.verify(&first), None);
}

#[test]
fn a_stolen_file_gives_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::new(dir.path());
    let (_, secret) = tokens.create("ci", Scope::Read, None).unwrap();
    let (_, other) = tokens.create("other", Scope::Read, None).unwrap();
    assert_ne!(secret, other);
    let random = secret.strip_prefix("weir_").unwrap();
    assert_eq!(random.len(), 64);
    let bytes: Vec<u8> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&random[at..at + 2], 16).unwrap()).collect();
    drop(tokens);
    let file = fs::read(dir.path().join("tokens.redb")).unwrap();
    let holds = |what: &[u8]| file.windows(what.len()).any(|part| part == what);
    assert!(holds(b"other"), "the names are there");
    assert!(!holds(random.as_bytes()) && !holds(&bytes));
}

#[test]
fn the_audit_log_is_read_in_pages_newest_first_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut audit = Audit::new(dir.path());
    assert_eq!(audit.list(0, 10).unwrap(), (Vec::new(), 0));
    for number in 0..25 {
        let details = BTreeMap::from([("number".to_owned(), number.to_string())]);
        audit.append("reload", "token ci", details).unwrap();
        if number == 12 {
            drop(audit);
            audit = Audit::new(dir.path());
        }
    }
    let mut numbers = Vec::new();
    for page in 0..3 {
        let (entries, total) = audit.list(page * 10, 10).unwrap();
        assert_eq!(total, 25);
        assert!(entries.iter().all(|entry| entry.event == "reload" && entry.who == "token ci"));
        numbers.extend(entries.iter().map(|entry| entry.details["number"].clone()));
    }
    assert!(numbers.into_iter().eq((0..25).rev().map(|number| number.to_string())));
    assert_eq!(audit.list(usize::MAX, 10).unwrap(), (Vec::new(), 25));
}

#[test]
fn who_comes_and_goes_displaces_no_other_entry_of_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::new(dir.path());
    note(&audit, "start").unwrap();
    for _ in 0..60 {
        note(&audit, "signed_in").unwrap();
    }
    note(&audit, "reload").unwrap();
    let noted = noted(&audit);
    assert_eq!((noted[0].as_str(), noted[51].as_str()), ("start", "reload"));
    assert_eq!(noted.len(), 52, "the oldest visits went");
    let (newest, total) = audit.list(0, 2).unwrap();
    assert_eq!(total, 52);
    assert_eq!([newest[0].event.as_str(), newest[1].event.as_str()], ["reload", "signed_in"]);
}

fn note(audit: &Audit, event: &str) -> Result<(), StoreError> {
    audit.append(event, "weir", BTreeMap::new())
}

fn noted(audit: &Audit) -> Vec<String> {
    let (entries, _) = audit.list(0, usize::MAX).unwrap();
    entries.into_iter().rev().map(|entry| entry.event).collect()
}

#[test]
fn entries_wait_while_the_audit_log_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::new(dir.path());
    let other = Audit::new(dir.path());
    note(&other, "start").unwrap();
    for event in ["gap", "stop"] {
        let error = note(&audit, event).unwrap_err();
        assert!(error.to_string().contains("audit.redb"), "{error}");
    }
    assert!(audit.flush().is_err());
    drop(other);
    audit.flush().unwrap();
    note(&audit, "reload").unwrap();
    assert_eq!(noted(&audit), ["start", "gap", "stop", "reload"]);
}

#[test]
fn a_book_is_opened_again_after_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let book = Book::new(dir.path(), "book.redb");
    book.read(|_| Ok(())).unwrap();
    let path = dir.path().join("book.redb");
    assert!(redb::Database::open(&path).is_err(), "it is open");
    let full = || redb::Error::Io(std::io::ErrorKind::StorageFull.into());
    let error = book.write(|_| Err(full())).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }));
    drop(redb::Database::open(&path).expect("redb refuses a file until it is closed"));
    book.write(|_| Ok(())).unwrap();
}

#[test]
fn damaged_books_are_set_aside_and_told_once_and_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (_, secret) = Tokens::new(dir.path()).create("ci", Scope::Read, None).unwrap();
    note(&Audit::new(dir.path()), "start").unwrap();
    for round in 0..2 {
        for name in ["audit.redb", "tokens.redb"] {
            fs::write(dir.path().join(name), format!("damage {round}")).unwrap();
        }
        let (audit, tokens) = (Audit::new(dir.path()), Tokens::new(dir.path()));
        assert_eq!(tokens.verify(&secret), None, "nothing opens");
        note(&audit, "gap").unwrap();
        assert_eq!(noted(&audit), ["gap"]);
        tokens.create("ci", Scope::Read, None).unwrap();
        for (name, told) in [("audit", audit.damaged()), ("tokens", tokens.damaged())] {
            let path = dir.path().join(name).with_extension("redb");
            let [StoreError::Damaged { path: named, .. }] = &told[..] else { panic!("{told:?}") };
            assert_eq!(named, &path);
            let aside = ["damaged", "damaged.1"][round];
            let kept = fs::read_to_string(path.with_extension(aside)).unwrap();
            assert_eq!(kept, format!("damage {round}"));
        }
        assert!(audit.damaged().is_empty() && tokens.damaged().is_empty());
    }
}

#[test]
fn tokens_are_good_as_soon_as_they_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let other = Tokens::new(dir.path());
    let (token, secret) = other.create("ci", Scope::Read, None).unwrap();
    let tokens = Tokens::new(dir.path());
    assert_eq!(tokens.verify(&secret), None);
    assert!(tokens.list().is_err() && tokens.revoke("ci").is_err());
    drop(other);
    assert_eq!(tokens.verify(&secret), Some(token));
}

fn settings(path: &Path, verdicts: &[Verdict]) -> Sink {
    Sink { kind: SinkKind::JsonlFile(path.to_owned()), verdicts: verdicts.to_vec() }
}

/// Copies until nothing is left; gives how many records were copied.
fn copy(sink: &mut SinkWriter, opened: &Opened) -> usize {
    let through = opened.store.last_id().unwrap().unwrap();
    let mut copied = 0;
    while !sink.is_at(through) {
        copied += sink.step(&opened.store, through).unwrap();
    }
    copied
}

/// The ids of the lines that are whole.
fn ids(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.map(|line: serde_json::Value| line["id"].as_str().unwrap().to_owned()).collect()
}

fn ids_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<String> {
    records.into_iter().map(|record| record.id.to_string()).collect()
}

#[test]
fn a_sink_gets_every_record_once_in_order_over_restarts_and_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let (path, rotated) = (dir.path().join("copy.jsonl"), dir.path().join("copy.jsonl.1"));
    let entries =
        |count| (0..count).flat_map(|_| [served(NOON), denied(NOON, Vec::new())]).collect();
    let mut written = opened.commit(entries(1300));
    let mut sink = SinkWriter::new(&settings(&path, &[]), dir.path());
    assert_eq!(copy(&mut sink, &opened), 2600);
    drop(sink);
    written.extend(opened.commit(entries(2)));
    let mut sink = SinkWriter::new(&settings(&path, &[]), dir.path());
    assert_eq!(copy(&mut sink, &opened), 4);
    assert_eq!(ids(&path), ids_of(&written));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2604);

    fs::rename(&path, &rotated).unwrap();
    sink.reopen();
    let later = opened.commit(entries(1));
    assert_eq!(copy(&mut sink, &opened), 2);
    assert_eq!((ids(&rotated), ids(&path)), (ids_of(&written), ids_of(&later)));
}

#[test]
fn a_sink_gets_the_verdicts_that_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = opened.commit(vec![served(NOON), denied(NOON, Vec::new()), served(NOON)]);
    let path = dir.path().join("denied.jsonl");
    let asked = settings(&path, &[Verdict::Denied, Verdict::Error]);
    let mut sink = SinkWriter::new(&asked, dir.path());
    assert_eq!(copy(&mut sink, &opened), 1);
    assert_eq!(ids(&path), ids_of(&written[1..2]));
    // Another sink is as far as it came itself.
    let everything = dir.path().join("all.jsonl");
    let mut sink = SinkWriter::new(&settings(&everything, &[]), dir.path());
    assert_eq!(copy(&mut sink, &opened), 3);
}

#[test]
fn a_sink_killed_at_any_byte_of_a_line_loses_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let path = dir.path().join("copy.jsonl");
    opened.commit(vec![served(NOON)]);
    copy(&mut SinkWriter::new(&settings(&path, &[]), dir.path()), &opened);
    let position = fs::read_dir(dir.path().join("sinks")).unwrap().next().unwrap().unwrap().path();
    let (noted, begun) = (fs::read(&position).unwrap(), fs::read(&path).unwrap());
    opened.commit(vec![served(NOON), served(NOON)]);
    copy(&mut SinkWriter::new(&settings(&path, &[]), dir.path()), &opened);
    let whole = fs::read(&path).unwrap();
    for cut in begun.len()..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        fs::write(&position, &noted).unwrap();
        let mut sink = SinkWriter::new(&settings(&path, &[]), dir.path());
        assert_eq!(copy(&mut sink, &opened), 2);
        let found: BTreeSet<String> = ids(&path).into_iter().collect();
        assert_eq!(found, ids_of(&all(&opened.store)).into_iter().collect(), "cut at {cut}");
    }
}

#[test]
fn a_sink_that_cannot_be_written_stays_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = opened.commit(vec![served(NOON)]);
    let settings = settings(Path::new("/dev/full"), &[]);
    let mut sink = SinkWriter::new(&settings, dir.path());
    assert!(sink.step(&opened.store, written[0].id).is_err());
    assert!(!sink.is_at(written[0].id));
    assert!(!SinkWriter::new(&settings, dir.path()).is_at(written[0].id));
}

#[test]
fn a_sink_may_be_what_cannot_be_synced() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_DAY);
    let written = opened.commit(vec![served(NOON)]);
    let settings = settings(Path::new("/dev/null"), &[]);
    copy(&mut SinkWriter::new(&settings, dir.path()), &opened);
    assert!(SinkWriter::new(&settings, dir.path()).is_at(written[0].id));
}

#[test]
fn a_book_that_is_closed_is_another_process_s() {
    let dir = tempfile::tempdir().unwrap();
    let before = Tokens::new(dir.path());
    let (_, secret) = before.create("ci", Scope::Read, None).unwrap();
    before.close();
    let after = Tokens::new(dir.path());
    assert_eq!(after.list().unwrap().len(), 1);
    assert!(after.verify(&secret).is_some());
    let refused = before.create("late", Scope::Read, None);
    assert!(matches!(refused, Err(StoreError::HandedOver(_))), "{refused:?}");
}
