//! Certificates that change while they are in use.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{NOW, Place, ask, owned, pair};
use crate::config::Tls;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const DOMAIN: &str = "a.example.com";

/// A directory's files, as an orchestrator mounts them: links through one link to a
/// directory, which is exchanged at once.
fn mount(certs: &Path, version: &str, (certificate, key): &(String, String)) {
    let files = certs.join(version);
    fs::create_dir(&files).unwrap();
    fs::write(files.join("tls.crt"), certificate).unwrap();
    fs::write(files.join("tls.key"), key).unwrap();
    symlink(version, certs.join("..data.new")).unwrap();
    fs::rename(certs.join("..data.new"), certs.join("..data")).unwrap();
}

#[test]
fn a_directory_that_is_exchanged_by_a_link_is_followed() {
    let place = Place::new();
    let certs = place.path("certs");
    let [first, second] = [(); 2].map(|()| pair(&[DOMAIN], NOW));
    mount(&certs, "..1", &first);
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), certs.join(file)).unwrap();
    }
    let certificates = place.open_strict(&[DOMAIN]);
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&first.0));
    mount(&certs, "..2", &second);
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&second.0));
    assert_eq!(certificates.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_pair_is_in_use_soon_and_a_stop_is_heard() {
    let place = Place::new();
    let certificates = place.open_strict(&[DOMAIN]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&certificates).run(stop.clone()));
    let added = pair(&[DOMAIN], NOW);
    place.put("added", &added);
    let in_use = async {
        while !ask(&certificates, DOMAIN).is_some_and(|seen| seen.pem_is(&added.0)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, in_use).await.unwrap();
    stop.cancel();
    timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[test]
fn a_pair_that_breaks_stays_as_it_was_and_is_named_until_it_is_good_again() {
    let place = Place::new();
    let [first, second] = [(); 2].map(|()| pair(&[DOMAIN], NOW));
    place.put("a", &first);
    let certificates = place.open_strict(&[DOMAIN]);
    // Half of the exchange.
    fs::write(place.path("certs").join("a.crt"), &second.0).unwrap();
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&first.0));
    let [fault] = certificates.faults().try_into().unwrap();
    assert!(fault.contains("a.key: is not the key of"), "{fault}");
    fs::remove_file(place.path("certs").join("a.key")).unwrap();
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&first.0));
    place.put("a", &second);
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&second.0));
    assert_eq!(certificates.faults(), Vec::<String>::new());
}

#[test]
fn a_pair_that_is_taken_away_is_no_longer_shown() {
    let place = Place::new();
    place.put("a", &pair(&[DOMAIN], NOW));
    let certificates = place.open_strict(&[DOMAIN]);
    for file in ["a.crt", "a.key"] {
        fs::remove_file(place.path("certs").join(file)).unwrap();
    }
    certificates.poll();
    assert_eq!(ask(&certificates, DOMAIN), None);
}

#[test]
fn a_directory_that_vanishes_leaves_what_was_in_use_and_is_named() {
    let place = Place::new();
    let own = pair(&[DOMAIN], NOW);
    place.put("a", &own);
    let certificates = place.open_strict(&[DOMAIN]);
    fs::remove_dir_all(place.path("certs")).unwrap();
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).unwrap().pem_is(&own.0));
    let [fault] = certificates.faults().try_into().unwrap();
    assert!(fault.contains("certs: No such file"), "{fault}");
}

#[test]
fn a_directory_that_is_not_there_is_no_fault() {
    let place = Place::new();
    fs::remove_dir(place.path("certs")).unwrap();
    let certificates = place.open_strict(&[DOMAIN]);
    assert_eq!(certificates.faults(), Vec::<String>::new());
    fs::create_dir(place.path("certs")).unwrap();
    place.put("a", &pair(&[DOMAIN], NOW));
    certificates.poll();
    assert!(ask(&certificates, DOMAIN).is_some());
}

#[test]
fn a_reload_brings_other_domains_and_another_directory() {
    let place = Place::new();
    place.put("a", &pair(&[DOMAIN], NOW));
    let certificates = place.open_strict(&[DOMAIN]);
    let strict = Tls { self_signed: false, ..place.tls() };
    certificates.apply(&strict, owned(&["b.example.com"]));
    assert_eq!(ask(&certificates, DOMAIN), None);
    certificates.apply(&place.tls(), owned(&[DOMAIN, "b.example.com"]));
    assert!(ask(&certificates, "b.example.com").is_some(), "it may sign itself now");
    let elsewhere = Tls { cert_dir: place.path("elsewhere"), ..strict };
    certificates.apply(&elsewhere, owned(&[DOMAIN]));
    assert_eq!(ask(&certificates, DOMAIN), None);
}
