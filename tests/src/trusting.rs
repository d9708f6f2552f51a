//! TLS clients that trust the one certificate which a test has made.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use rustls::{
    ClientConfig, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{
    tls::{Certificate, names, trusting},
    weir::Weir,
};

/// Has Weir show a certificate for `*.example.com`, from its next start on, and trusts it.
/// Clients offer these protocols (ALPN).
pub fn certify(weir: &Weir<'_>, protocols: &[&str]) -> Result<Arc<ClientConfig>> {
    let certificate = Certificate::of_server(weir.path("").as_path(), "*.example.com")?;
    let directory = weir.data_dir().join("certs");
    fs::create_dir_all(&directory)?;
    fs::copy(&certificate.certificate, directory.join("test.crt"))?;
    fs::copy(&certificate.key, directory.join("test.key"))?;
    trusting(&certificate.certificate, protocols)
}

/// A server with a certificate of its own, for `directory`.
pub fn server(directory: &Path, protocols: &[&str]) -> Result<Arc<ServerConfig>> {
    ensure!(directory.is_dir(), "{}", directory.display());
    let certificate = Certificate::of_server(directory, "target.example.com")?;
    let chain = vec![CertificateDer::from_pem_file(&certificate.certificate)?];
    let key = PrivateKeyDer::from_pem_file(&certificate.key)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = names(protocols);
    Ok(Arc::new(config))
}
