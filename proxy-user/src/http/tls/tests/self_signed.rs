//! Certificates that nobody vouches for.

use std::{fs, os::unix::fs::PermissionsExt};

use super::support::{NOW, Place, ask, ask_unnamed, pair};
use crate::{
    http::tls::{kept::Kept, self_signed::SelfSigned},
    record::Timestamp,
};

const DAY: i64 = 24 * 3_600_000;

#[test]
fn a_domain_without_a_certificate_gets_one_of_its_own() {
    let place = Place::new();
    let certificates = place.open(&place.tls(), &["a.example.com", "*.example.org"]);
    assert_eq!(ask(&certificates, "a.example.com").unwrap().names(), ["DNSName(a.example.com)"]);
    let wildcard = ask(&certificates, "any.example.org").unwrap();
    assert_eq!(wildcard.names(), ["DNSName(*.example.org)"]);
}

#[test]
fn it_is_the_same_after_a_restart_and_nobody_elses_to_read() {
    let place = Place::new();
    let domains = ["a.example.com", "*.example.org"];
    let before = place.open(&place.tls(), &domains);
    let after = place.open(&place.tls(), &domains);
    for name in ["a.example.com", "any.example.org"] {
        assert_eq!(ask(&before, name), ask(&after, name));
    }
    assert_eq!(ask_unnamed(&before), ask_unnamed(&after));
    let directory = place.path("self_signed");
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.clone()), 0o700);
    let files: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        assert_eq!(mode(file.path()), 0o600, "{file:?}");
    }
}

#[test]
fn a_pair_that_is_added_takes_its_place() {
    let place = Place::new();
    let certificates = place.open(&place.tls(), &["a.example.com"]);
    let added = pair(&["a.example.com"], NOW);
    assert!(!ask(&certificates, "a.example.com").unwrap().pem_is(&added.0));
    place.put("a", &added);
    certificates.poll();
    assert!(ask(&certificates, "a.example.com").unwrap().pem_is(&added.0));
}

#[test]
fn a_client_that_names_nobody_learns_no_domain() {
    let place = Place::new();
    place.put("a", &pair(&["a.example.com"], NOW));
    let certificates = place.open(&place.tls(), &["a.example.com", "b.example.com"]);
    assert_eq!(ask_unnamed(&certificates).unwrap().names(), ["DNSName(weir.invalid)"]);
    assert_eq!(ask(&certificates, "weir.invalid"), None);
}

#[test]
fn it_is_replaced_before_it_expires() {
    let place = Place::new();
    let mut own = SelfSigned::new(Kept::new(place.path("own")));
    let mut at = |days: i64| {
        own.provide(&["a.example.com"], Timestamp(days * DAY));
        let pair = own.get("a.example.com").unwrap();
        assert!(pair.validity.holds(Timestamp(days * DAY)));
        pair.validity.not_after
    };
    let first = at(20_000);
    assert_eq!(at(20_330), first);
    assert!(at(20_340) > first);
    assert_eq!(own.fault(), None);
}

#[test]
fn a_kept_one_that_is_damaged_is_made_anew() {
    let place = Place::new();
    let before = ask(&place.open(&place.tls(), &["a.example.com"]), "a.example.com").unwrap();
    fs::write(place.path("self_signed/a.example.com.pem"), "nothing").unwrap();
    let after = ask(&place.open(&place.tls(), &["a.example.com"]), "a.example.com").unwrap();
    assert_ne!(before, after);
}

#[test]
fn one_that_cannot_be_kept_is_used_and_the_reason_told() {
    let place = Place::new();
    fs::write(place.path("self_signed"), "in the way").unwrap();
    let certificates = place.open(&place.tls(), &["a.example.com"]);
    assert!(ask(&certificates, "a.example.com").is_some());
    let [fault] = certificates.faults().try_into().unwrap();
    assert!(fault.contains("self_signed"), "{fault}");
}
