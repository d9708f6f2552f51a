//! Certificates that pebble signs.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    pebble::{Kind, Pebble, REFUSED},
    site::Site,
};
use crate::{
    config::{AcmeChallenge, Tls},
    http::tls::{CertificateState, Certificates, Source, tests::support::Place},
    record::Timestamp,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);
const DOMAIN: &str = "wiki.example.com";

/// Weir's certificates, an authority for them, and a port where it looks for answers.
struct World {
    place: Place,
    pebble: Pebble,
    tls: Tls,
    certificates: Arc<Certificates>,
    running: JoinHandle<()>,
}

impl World {
    /// `None`: there is no pebble here.
    async fn new(kind: Kind, challenge: AcmeChallenge, domains: &[&str]) -> Option<Self> {
        let place = Place::new();
        let site = Site::new().await;
        let pebble = Pebble::start(place.data_dir(), site.address().port(), kind)?;
        let tls = Tls { acme: Some(pebble.acme(challenge)), ..place.tls() };
        let certificates = place.open(&tls, domains);
        site.serve(Arc::clone(&certificates));
        let running = tokio::spawn(Arc::clone(&certificates).run(CancellationToken::new()));
        Some(Self { place, pebble, tls, certificates, running })
    }

    fn state(&self, domain: &str) -> CertificateState {
        self.certificates.states().into_iter().find(|state| state.domain == domain).unwrap()
    }

    /// Waits for a domain to be so.
    async fn until(&self, domain: &str, wanted: impl Fn(&CertificateState) -> bool) {
        let come = async {
            while !wanted(&self.state(domain)) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let is_so = timeout(PATIENCE, come).await.is_ok();
        assert!(is_so, "{:?}\n{}", self.state(domain), self.pebble.log());
    }

    /// Waits for the domain's certificate, and for its order to have ended.
    async fn until_signed(&self, domain: &str) {
        let is_signed = |state: &CertificateState| {
            let ordering = state.acme.as_ref().is_some_and(|acme| acme.ordering);
            state.source == Some(Source::Acme) && !ordering
        };
        self.until(domain, is_signed).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn assert_good(state: &CertificateState) {
    assert_eq!((&state.problem, &state.names[..]), (&None, &[state.domain.clone()][..]));
    let acme = state.acme.as_ref().unwrap();
    assert_eq!(acme.last_error, None);
    // At two thirds of what pebble's certificates live.
    let (end, next) = (state.not_after.unwrap().0, acme.next_try.unwrap().0);
    let third = i64::from(Kind::USUAL.lifetime) * 1000 / 3;
    assert!((end - next - third).abs() < 60_000, "{state:?}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Files below the directory of the only authority.
fn kept(world: &World) -> Vec<String> {
    let acme = world.place.path("acme");
    assert_eq!(mode(&acme), 0o700);
    let [authority] = fs::read_dir(acme).unwrap().collect::<Vec<_>>().try_into().unwrap();
    let files = fs::read_dir(authority.unwrap().path()).unwrap();
    let mut names: Vec<String> = files
        .map(|file| {
            let file = file.unwrap();
            assert_eq!(mode(&file.path()), 0o600, "{file:?}");
            file.file_name().into_string().unwrap()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_had_by_tls_alpn_01_and_are_there_after_a_restart() {
    let domains = [DOMAIN, "www.example.com", "*.example.org"];
    let Some(world) = World::new(Kind::USUAL, AcmeChallenge::TlsAlpn01, &domains).await else {
        return;
    };
    for domain in [DOMAIN, "www.example.com"] {
        world.until_signed(domain).await;
        assert_good(&world.state(domain));
    }
    let wildcard = world.state("*.example.org");
    assert_eq!((wildcard.source, wildcard.acme), (Some(Source::SelfSigned), None));
    let files = kept(&world);
    assert_eq!(files.len(), 3, "one account for both: {files:?}");
    assert_eq!(files[1..], ["wiki.example.com.pem", "www.example.com.pem"]);
    let again = world.place.open(&world.tls, &domains);
    assert_eq!(again.states(), world.certificates.states());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_had_by_http_01_with_an_account_that_is_bound_to_another() {
    let kind = Kind { binds: true, ..Kind::USUAL };
    let Some(world) = World::new(kind, AcmeChallenge::Http01, &[DOMAIN]).await else { return };
    world.until_signed(DOMAIN).await;
    assert_good(&world.state(DOMAIN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_time() {
    let kind = Kind { lifetime: 12, ..Kind::USUAL };
    let Some(world) = World::new(kind, AcmeChallenge::TlsAlpn01, &[DOMAIN]).await else { return };
    world.until_signed(DOMAIN).await;
    let first = world.state(DOMAIN).not_after.unwrap();
    world.until(DOMAIN, |state| state.not_after > Some(first)).await;
    assert!(Timestamp::now() < first, "the first had expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_fails_says_why_and_holds_up_no_other() {
    let domains = [REFUSED, DOMAIN];
    let Some(world) = World::new(Kind::USUAL, AcmeChallenge::TlsAlpn01, &domains).await else {
        return;
    };
    world.until_signed(DOMAIN).await;
    let failed = |state: &CertificateState| state.acme.as_ref().unwrap().last_error.is_some();
    world.until(REFUSED, failed).await;
    let state = world.state(REFUSED);
    assert_eq!(state.source, Some(Source::SelfSigned));
    let problem = state.problem.unwrap();
    assert!(problem.contains("rejectedIdentifier"), "{problem}");
    let wait = state.acme.unwrap().next_try.unwrap().0 - Timestamp::now().0;
    assert!((30_000..75_000).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_comes_with_a_reload_is_ordered() {
    let Some(world) = World::new(Kind::USUAL, AcmeChallenge::TlsAlpn01, &[DOMAIN]).await else {
        return;
    };
    world.until_signed(DOMAIN).await;
    world.certificates.apply(&world.tls, vec!["new.example.com".to_owned()]);
    world.until_signed("new.example.com").await;
    assert_eq!(world.certificates.states().len(), 1);
    world.certificates.apply(&world.place.tls(), vec![DOMAIN.to_owned()]);
    assert_eq!(world.state(DOMAIN).source, Some(Source::SelfSigned), "nobody is asked any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_the_authority_lost_is_made_anew() {
    let world = World::new(Kind::USUAL, AcmeChallenge::TlsAlpn01, &[DOMAIN]).await;
    let Some(mut world) = world else { return };
    world.until_signed(DOMAIN).await;
    world.pebble.restart();
    let domains = [DOMAIN, "new.example.com"].map(str::to_owned);
    world.certificates.apply(&world.tls, domains.into());
    world.until_signed("new.example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_authority_found_is_told() {
    let place = Place::new();
    // Nobody answers there.
    let site = Site::new().await;
    let port = site.address().port();
    drop(site);
    let Some(pebble) = Pebble::start(place.data_dir(), port, Kind::USUAL) else { return };
    let tls = Tls { acme: Some(pebble.acme(AcmeChallenge::Http01)), ..place.tls() };
    let certificates = place.open(&tls, &[DOMAIN]);
    let running = tokio::spawn(Arc::clone(&certificates).run(CancellationToken::new()));
    let error = async {
        loop {
            let [state] = certificates.states().try_into().unwrap();
            if let Some(error) = state.acme.unwrap().last_error {
                return error;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let error = timeout(PATIENCE, error).await.unwrap();
    assert!(error.contains("could not validate") && error.contains("refused"), "{error}");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_not_trusted_is_asked_for_nothing() {
    let Some(world) = World::new(Kind::USUAL, AcmeChallenge::Http01, &[]).await else { return };
    let mut acme = world.pebble.acme(AcmeChallenge::Http01);
    acme.ca_file = None;
    let tls = Tls { acme: Some(acme), ..world.place.tls() };
    world.certificates.apply(&tls, vec![DOMAIN.to_owned()]);
    let failed = |state: &CertificateState| state.acme.as_ref().unwrap().last_error.is_some();
    world.until(DOMAIN, failed).await;
    let error = world.state(DOMAIN).acme.unwrap().last_error.unwrap();
    assert!(error.contains("UnknownIssuer"), "{error}");
}
