//! What an authority asks for to see that a domain is ours.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::TlsError;

/// Answers to challenges that are under way.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    /// Key authorizations by token (RFC 8555, 8.3).
    tokens: Mutex<HashMap<String, String>>,
    /// Certificates by domain (RFC 8737).
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

/// An answer that is there as long as this.
#[derive(Debug)]
pub(super) struct Presented {
    challenges: Arc<Challenges>,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Token(String),
    Certificate(String, Arc<CertifiedKey>),
}

impl Challenges {
    /// The key authorization that belongs to a token.
    pub(super) fn token(&self, token: &str) -> Option<String> {
        self.tokens.lock().get(token).cloned()
    }

    /// Whether a domain's certificate is asked for.
    pub(super) fn has_certificate(&self, domain: &str) -> bool {
        self.certificates.lock().contains_key(domain)
    }

    /// Answers requests for a token (HTTP-01).
    pub(super) fn present_token(self: &Arc<Self>, token: &str, authorization: &str) -> Presented {
        self.tokens.lock().insert(token.to_owned(), authorization.to_owned());
        Presented { challenges: Arc::clone(self), answer: Answer::Token(token.to_owned()) }
    }

    /// Answers handshakes for a domain with the digest of a key authorization
    /// (TLS-ALPN-01).
    pub(super) fn present_certificate(
        self: &Arc<Self>,
        domain: &str,
        digest: [u8; 32],
    ) -> Result<Presented, TlsError> {
        let key = Arc::new(certificate(domain, digest)?);
        self.certificates.lock().insert(domain.to_owned(), Arc::clone(&key));
        let answer = Answer::Certificate(domain.to_owned(), key);
        Ok(Presented { challenges: Arc::clone(self), answer })
    }
}

impl Drop for Presented {
    fn drop(&mut self) {
        match &self.answer {
            Answer::Token(token) => drop(self.challenges.tokens.lock().remove(token)),
            Answer::Certificate(domain, key) => {
                let mut certificates = self.challenges.certificates.lock();
                // Another order's for the same domain stays.
                if certificates.get(domain).is_some_and(|there| Arc::ptr_eq(there, key)) {
                    certificates.remove(domain);
                }
            }
        }
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let domain = hello.server_name()?.to_ascii_lowercase();
        self.certificates.lock().get(&domain).cloned()
    }
}

/// Signs itself, and holds the digest in the extension of RFC 8737, 3.
fn certificate(domain: &str, digest: [u8; 32]) -> Result<CertifiedKey, TlsError> {
    let made = || {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![domain.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) =
        made().map_err(|source| TlsError::Make { domain: domain.to_owned(), source })?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::default_provider().key_provider.load_private_key(key)?;
    // Not compared with each other: the extension is critical, and rustls refuses what it
    // does not know.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}
