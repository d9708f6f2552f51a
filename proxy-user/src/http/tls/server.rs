//! Weir as a TLS server.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, SupportedCipherSuite,
    crypto::{
        CryptoProvider,
        ring::{
            self, Ticketer,
            cipher_suite::{
                TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256,
                TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
            },
        },
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{TlsError, challenges::Challenges, index::Index};
use crate::record::Timestamp;

/// What a client that validates domains speaks, and nobody else (RFC 8737, 4).
const ACME_PROTOCOL: &[u8] = b"acme-tls/1";
/// HTTP's own, the better first (RFC 7301 and 9113). Who speaks HTTP/1.0 may say so, and is
/// answered in it.
const PROTOCOLS: [&[u8]; 3] = [b"h2", b"http/1.1", b"http/1.0"];

/// The one that costs least comes first. All of them are authenticated and have forward
/// secrecy; who audits a server wants it to choose, not the client.
const SUITES: [SupportedCipherSuite; 9] = [
    TLS13_AES_128_GCM_SHA256,
    TLS13_AES_256_GCM_SHA384,
    TLS13_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// How handshakes are answered.
#[derive(Debug)]
pub(super) struct Server {
    index: Arc<ArcSwap<Index>>,
    challenges: Arc<Challenges>,
    http: Arc<ServerConfig>,
    acme: Arc<ServerConfig>,
}

impl Server {
    pub(super) fn new(
        index: Arc<ArcSwap<Index>>,
        challenges: Arc<Challenges>,
    ) -> Result<Self, TlsError> {
        let mut http = config(Arc::new(Chosen(Arc::clone(&index))))?;
        http.alpn_protocols = PROTOCOLS.map(Into::into).into();
        // Sessions are resumed by tickets, whose keys change every six hours.
        http.ticketer = Ticketer::new()?;
        let mut acme = config(Arc::<Challenges>::clone(&challenges))?;
        acme.alpn_protocols = vec![ACME_PROTOCOL.into()];
        acme.send_tls13_tickets = 0;
        Ok(Self { index, challenges, http: Arc::new(http), acme: Arc::new(acme) })
    }

    /// What a client is answered with; `None`: it has to be refused.
    pub(super) fn config_for(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if is_validation(hello) {
            let asked = name.is_some_and(|name| self.challenges.has_certificate(&name));
            return asked.then(|| Arc::clone(&self.acme));
        }
        self.index.load().key(name.as_deref(), Timestamp::now())?;
        Some(Arc::clone(&self.http))
    }
}

/// Whether the client offers the validation's protocol and nothing else.
fn is_validation(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|protocols| protocols.eq([ACME_PROTOCOL]))
}

fn config(certificates: Arc<dyn ResolvesServerCert>) -> Result<ServerConfig, TlsError> {
    let provider = CryptoProvider { cipher_suites: SUITES.to_vec(), ..ring::default_provider() };
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(certificates);
    config.ignore_client_order = true;
    Ok(config)
}

/// The certificate that the index has for a client.
#[derive(Debug)]
struct Chosen(Arc<ArcSwap<Index>>);

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        self.0.load().key(name.as_deref(), Timestamp::now())
    }
}
