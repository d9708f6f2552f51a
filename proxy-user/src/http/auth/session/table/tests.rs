#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{config::SecretHash, http::auth::secrets::Fingerprint};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const END: Timestamp = Timestamp(NOW.0 + 86_400_000);

fn facts(service: &str, opened: i64) -> Facts {
    Facts {
        service: service.into(),
        host: "wiki.example.com".into(),
        client: [192, 0, 2, 1].into(),
        opened: Timestamp(NOW.0 + opened),
        expires: END,
        secret: Fingerprint::of_secret(&SecretHash::Sha256([7; 32])),
    }
}

fn user(id: &str) -> User {
    User { id: id.into(), email: Some("ann@example.com".into()), groups: vec!["dev".into()] }
}

fn begin(dir: &TempDir) -> Sessions {
    let sessions = Sessions::of(dir.path(), 10);
    sessions.load(NOW).unwrap();
    sessions
}

#[test]
fn a_session_survives_a_restart_and_its_end_does_too() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = begin(&dir);
    let (kept, _) = sessions.open(facts("wiki", 0), Opener::Password).unwrap();
    let (ended, session) = sessions.open(facts("wiki", 0), Opener::Pin).unwrap();
    sessions.flush().unwrap();
    assert!(sessions.end(session.key) && !sessions.end(session.key));
    sessions.close();
    drop(sessions);
    let sessions = begin(&dir);
    let found = sessions.find(&kept, NOW).unwrap();
    assert_eq!(found.holder.method(), AuthMethod::Password);
    assert_eq!((found.facts.service.as_str(), found.facts.expires), ("wiki", END));
    assert!(sessions.find(&ended, NOW).is_none());
}

#[test]
fn a_user_and_how_to_confirm_them_survive_a_restart_but_a_stolen_file_tells_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = begin(&dir);
    let opener = Opener::User(user("7"), Some("refresh-token".into()));
    let (id, _) = sessions.open(facts("wiki", 0), opener).unwrap();
    sessions.close();
    drop(sessions);
    let file = fs::read(dir.path().join("sessions.redb")).unwrap();
    let holds = |what: &[u8]| file.windows(what.len()).any(|part| part == what);
    assert!(holds(b"ann@example.com"));
    assert!(!holds(b"refresh-token") && !holds(id.cookie().as_bytes()));
    let sessions = begin(&dir);
    let Holder::User(signed_on) = &sessions.all()[0].holder else { panic!("no user") };
    assert!(signed_on.asked().is_none(), "until the browser comes");
    let session = sessions.find(&id, NOW).unwrap();
    assert_eq!(session.user().as_deref(), Some(&user("7")));
    let Holder::User(signed_on) = &session.holder else { panic!("no user") };
    assert_eq!(signed_on.refresh_token().as_deref(), Some("refresh-token"));
}

#[test]
fn a_session_ends_by_itself_and_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = begin(&dir);
    let (id, _) = sessions.open(facts("wiki", 0), Opener::Password).unwrap();
    assert!(sessions.find(&id, Timestamp(END.0 - 1)).is_some());
    assert!(sessions.find(&id, END).is_none());
    sessions.sweep(END);
    assert!(sessions.all().is_empty());
}

#[test]
fn open_streams_hear_of_the_end_and_of_a_cut() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = begin(&dir);
    let open = facts("wiki", 0);
    let open = Facts { expires: Timestamp(Timestamp::now().0 + 3_600_000), ..open };
    let (_, session) = sessions.open(open, Opener::Password).unwrap();
    assert!(!session.is_held());
    let lease = session.lease();
    assert!(session.is_held() && !lease.is_over());
    session.cut();
    assert!(lease.is_over() && !session.lease().is_over());
    let lease = session.lease();
    sessions.end(session.key);
    assert!(lease.is_over() && session.lease().is_over(), "also what begins too late");
}

#[test]
fn a_flooded_service_costs_others_no_session() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = begin(&dir);
    let mut shop = Vec::new();
    for at in 0..3 {
        shop.push(sessions.open(facts("shop", at), Opener::Password).unwrap().0);
    }
    let mut wiki = Vec::new();
    for at in 0..20 {
        wiki.push(sessions.open(facts("wiki", 100 + at), Opener::Password).unwrap().0);
    }
    assert!(shop.iter().all(|id| sessions.find(id, NOW).is_some()));
    let left: Vec<bool> = wiki.iter().map(|id| sessions.find(id, NOW).is_some()).collect();
    assert_eq!(left.iter().filter(|left| **left).count(), 7);
    assert!(left[13..].iter().all(|left| *left), "the oldest go");
}

#[test]
fn a_user_has_only_so_many_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let sessions = Sessions::of(dir.path(), 100);
    let open = |at, id| {
        let (id, _) = sessions.open(facts("wiki", at), Opener::User(user(id), None)).unwrap();
        id
    };
    let (other, first) = (open(0, "8"), open(1, "7"));
    for at in 0..16 {
        open(10 + at, "7");
    }
    assert!(sessions.find(&first, NOW).is_none());
    assert!(sessions.find(&other, NOW).is_some());
    assert_eq!(sessions.all().len(), 17);
}

#[test]
fn while_another_process_has_the_file_nothing_is_decided_and_nothing_lost() {
    let dir = tempfile::tempdir().unwrap();
    let before = begin(&dir);
    let (old, _) = before.open(facts("wiki", 0), Opener::Password).unwrap();
    before.flush().unwrap();
    let sessions = Sessions::of(dir.path(), 10);
    assert!(matches!(sessions.load(NOW), Err(StoreError::Locked(_))));
    assert!(!sessions.is_loaded());
    let (new, _) = sessions.open(facts("wiki", 0), Opener::Password).unwrap();
    assert!(sessions.flush().is_err());
    before.close();
    sessions.load(NOW).unwrap();
    assert!(sessions.find(&old, NOW).is_some() && sessions.find(&new, NOW).is_some());
    sessions.flush().unwrap();
    assert!(matches!(before.flush(), Ok(())), "it has nothing left to write");
    before.open(facts("wiki", 0), Opener::Password).unwrap();
    assert!(matches!(before.flush(), Err(StoreError::HandedOver(_))));
}

#[test]
fn a_file_that_cannot_be_read_is_no_reason_to_let_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sessions.redb"), "damage").unwrap();
    let sessions = begin(&dir);
    assert!(sessions.is_loaded());
    assert_eq!(sessions.damaged().len(), 1);
    let (id, _) = sessions.open(facts("wiki", 0), Opener::Password).unwrap();
    sessions.close();
    drop(sessions);
    assert!(begin(&dir).find(&id, NOW).is_some());
}
