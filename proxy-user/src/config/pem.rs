//! Certificates and keys in files (RFC 7468).

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{
    fields::Fields,
    secret_file::{read_secret, read_text},
};

/// The certificates in a file, one at least.
///
/// # Errors
/// What is wrong with it.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read_text(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{}: holds no certificate", path.display())),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The private key in a file that only its owner can write.
///
/// # Errors
/// What is wrong with it.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = read_secret(path)?;
    PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|_| format!("{}: holds no private key that can be read", path.display()))
}

/// `ca_file`: whom to trust instead of the system's authorities.
pub(super) fn ca_file(fields: &mut Fields<'_, '_>) -> Option<PathBuf> {
    let path = fields.path("ca_file")?;
    certificates(&path).map_err(|why| fields.fault("ca_file", why)).ok()?;
    Some(path)
}
