//! A certificate chain with its key.

use std::{path::Path, sync::Arc};

use rustls::{
    Error, InconsistentKeys,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use super::{TlsError, files, validity::Validity};
use crate::record::Timestamp;

/// What a server can show.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names of the first certificate (its subject alternative names), in lower case.
    pub(super) names: Vec<String>,
    pub(super) validity: Validity,
}

impl Pair {
    /// Reads a chain, the server's own certificate first, and its key: PEM, of PKCS#8,
    /// PKCS#1 or SEC1.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = chain(&files::read(certificate)?, certificate)?;
        let key_bytes = files::read(key)?;
        let parsed = PrivateKeyDer::from_pem_slice(&key_bytes);
        let parsed = parsed.map_err(|error| TlsError::content(key, no_key(&error)))?;
        Self::new(chain, parsed, certificate, key)
    }

    /// Takes chain and key out of one PEM file; `path` is for messages.
    pub(super) fn from_pem(pem: &[u8], path: &Path) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_slice(pem);
        let key = key.map_err(|error| TlsError::content(path, no_key(&error)))?;
        Self::new(chain(pem, path)?, key, path, path)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        chain_path: &Path,
        key_path: &Path,
    ) -> Result<Self, TlsError> {
        let first = chain.first().ok_or_else(|| TlsError::content(chain_path, NO_CERTIFICATE))?;
        let (names, validity) = facts(first).map_err(|fault| {
            TlsError::content(chain_path, format!("holds no certificate: {fault}"))
        })?;
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| unusable(&error, chain_path, key_path))?;
        Ok(Self { key: Arc::new(key), names, validity })
    }
}

const NO_CERTIFICATE: &str = "holds no certificate";

fn chain(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|error| TlsError::content(path, format!("is no PEM: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError::content(path, NO_CERTIFICATE));
    }
    Ok(chain)
}

fn no_key(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "holds no private key".to_owned(),
        error => format!("is no PEM: {error}"),
    }
}

fn unusable(error: &Error, chain: &Path, key: &Path) -> TlsError {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::content(key, format!("is not the key of {}", chain.display()))
        }
        error => TlsError::content(key, format!("cannot be used: {error}")),
    }
}

/// Names and validity of a certificate.
fn facts(certificate: &CertificateDer<'_>) -> Result<(Vec<String>, Validity), String> {
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let alternatives = parsed.subject_alternative_name().map_err(|error| error.to_string())?;
    let alternatives = alternatives.map(|extension| &extension.value.general_names);
    let names = alternatives.into_iter().flatten().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let moment =
        |time: x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(1000));
    let validity = parsed.validity();
    let validity =
        Validity { not_before: moment(validity.not_before), not_after: moment(validity.not_after) };
    Ok((names.collect(), validity))
}
