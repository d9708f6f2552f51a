//! Weir as a TLS client: of targets, authorities and identity providers.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{TlsError, files};

/// Whom a client takes for the server that it means.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Who has a certificate of one of the system's authorities.
    System,
    /// Who has one of these authorities' (PEM).
    File(&'a Path),
    /// Anyone: for targets with certificates that nobody vouches for.
    Anyone,
}

/// How a client speaks TLS: versions 1.2 and 1.3, without a protocol to negotiate.
///
/// The system's authorities are read anew with each call, which takes some milliseconds.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn client_config(trust: Trust<'_>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions()?;
    let roots = match trust {
        Trust::System => system(),
        Trust::File(path) => file(path)?,
        Trust::Anyone => {
            let anyone = Arc::new(AnyServer(provider));
            let builder = builder.dangerous().with_custom_certificate_verifier(anyone);
            return Ok(builder.with_no_client_auth());
        }
    };
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn system() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!("the system's certificate authorities: {error}");
    }
    let mut roots = RootCertStore::empty();
    // Some systems have old ones that cannot be used.
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        tracing::warn!("the system has no certificate authorities: no server can be verified");
    }
    roots
}

fn file(path: &Path) -> Result<RootCertStore, TlsError> {
    let pem = files::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate =
            certificate.map_err(|error| TlsError::content(path, format!("is no PEM: {error}")))?;
        roots.add(certificate).map_err(|error| {
            TlsError::content(path, format!("holds no usable certificate: {error}"))
        })?;
    }
    if roots.is_empty() {
        return Err(TlsError::content(path, "holds no certificate"));
    }
    Ok(roots)
}

/// Takes any certificate, but only from who has its key.
#[derive(Debug)]
pub(super) struct AnyServer(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
