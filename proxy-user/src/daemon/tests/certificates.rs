//! What status says of certificates.

use std::{fs, sync::Arc};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio_util::sync::CancellationToken;

use super::{Daemon, Place, free_port, until};

fn wiki(place: &Place) -> String {
    let certs = place.path("certs");
    fs::create_dir_all(&certs).unwrap();
    format!(
        "[tls]\ncert_dir = '{}'\n[service.wiki]\ndomain = 'wiki.example.com'\n\
         listen = '127.0.0.1:{}'\ntarget = 'http://192.0.2.1:1'\n",
        certs.display(),
        free_port()
    )
}

/// A pair in `cert_dir` that expired long ago.
fn expired(place: &Place) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["wiki.example.com".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2001, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    fs::write(place.path("certs/wiki.crt"), certificate).unwrap();
    fs::write(place.path("certs/wiki.key"), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_shown_and_what_is_wrong_with_it_is_a_warning() {
    let daemon = Daemon::start(wiki).await;
    let [own] = daemon.status().await.certificates.try_into().unwrap();
    assert_eq!((&*own.domain, &*own.source), ("wiki.example.com", "self_signed"));
    assert_eq!((own.problem, own.acme), (None, None));
    assert!(own.not_after.is_some());
    expired(&daemon.place);
    daemon.reload(&wiki(&daemon.place), None).await.unwrap();
    let status = daemon.status().await;
    assert_eq!(status.certificates[0].source, "cert_dir");
    let told = "the certificate of wiki.example.com: expired at 2001-01-01T00:00:00.000Z";
    assert!(status.warnings.iter().any(|warning| warning == told), "{:?}", status.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_breaks_is_a_warning() {
    let daemon = Daemon::start(wiki).await;
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&daemon.core.certificates).run(stop.clone()));
    fs::write(daemon.path("certs/wiki.crt"), "nothing").unwrap();
    until("it is named", async || {
        let warnings = daemon.status().await.warnings;
        warnings.iter().any(|warning| warning.contains("wiki.crt: holds no certificate"))
    })
    .await;
    stop.cancel();
}
