//! The pairs of `cert_dir`, looked at as they will be used.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::{
    Error, InconsistentKeys,
    client::verify_server_name,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::{
    Service, Tls,
    fault::{At, Report},
    pem::{certificates, private_key},
    service::Placed,
};

/// Where `cert_dir` stands, and whether the file names one.
#[derive(Clone, Copy)]
pub(super) struct CertDir {
    pub(super) at: At,
    /// One that is named has to be there.
    pub(super) is_named: bool,
}

/// Tells which pairs cannot be used, and which domains need one.
pub(super) fn check(services: &[Placed], tls: &Tls, dir: CertDir, report: &mut Report) {
    let over_tls = |placed: &&Placed| placed.service.web().is_some_and(|web| web.tls);
    let mut over_tls = services.iter().filter(over_tls).peekable();
    if over_tls.peek().is_none() && !dir.is_named {
        return;
    }
    let mut usable = Vec::new();
    match pairs(&tls.cert_dir) {
        Ok(paths) => {
            for path in paths {
                match pair(&path) {
                    Ok(certificate) => usable.push(certificate),
                    Err(why) => report.fault(dir.at, why),
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.is_named => {}
        Err(error) => {
            let path = tls.cert_dir.display();
            report.fault(dir.at, format!("{path}: cannot be read: {error}"));
        }
    }
    if tls.acme.is_some() {
        over_tls.for_each(|placed| warn_of_wildcard(placed, &usable, report));
    }
}

/// Every `NAME.crt`, in the order of names.
fn pairs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crt") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The certificate of a server, where it has a key beside it that fits.
fn pair(path: &Path) -> Result<CertificateDer<'static>, String> {
    let chain = certificates(path)?;
    let key_path = path.with_extension("key");
    if !key_path.exists() {
        return Err(format!("{}: there is no key {}", path.display(), key_path.display()));
    }
    let key = private_key(&key_path)?;
    let pair = CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
        let (certificate, key) = (path.display(), key_path.display());
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                format!("{key}: is not the key of the certificate {certificate}")
            }
            Error::InvalidCertificate(why) => format!("{certificate}: is no certificate: {why}"),
            error => format!("{key}: {error}"),
        }
    })?;
    let certificate = pair.end_entity_cert().map_err(|error| error.to_string())?;
    Ok(certificate.clone().into_owned())
}

/// ACME orders a wildcard's certificate by a challenge over DNS only.
fn warn_of_wildcard(placed: &Placed, usable: &[CertificateDer<'_>], report: &mut Report) {
    let Some(domain) = wildcard(&placed.service) else { return };
    let below = ServerName::try_from(format!("any-name-below.{domain}"));
    let covers = |certificate: &CertificateDer<'_>| {
        let parsed = ParsedCertificate::try_from(certificate);
        below.as_ref().is_ok_and(|name| parsed.is_ok_and(|c| verify_server_name(&c, name).is_ok()))
    };
    if !usable.iter().any(covers) {
        let message = format!(
            "ACME orders no certificate for *.{domain}: it needs a pair in cert_dir that covers it"
        );
        report.warn(placed.domain, message);
    }
}

/// What follows the `*.` of a service's domain.
fn wildcard(service: &Service) -> Option<&str> {
    service.domain.as_deref()?.strip_prefix("*.")
}
