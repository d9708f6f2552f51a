//! What clients and server agree on.

use std::sync::Arc;

use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind,
    ProtocolVersion, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ServerConnection,
    version::{TLS12, TLS13},
};

use super::support::{NOW, Place, Seen, accept, ask, finish, handshake, pair, speaking};
use crate::http::tls::{Certificates, client::AnyServer};

const DOMAIN: &str = "a.example.com";

fn certificates() -> (Place, Arc<Certificates>) {
    let place = Place::new();
    place.put("a", &pair(&[DOMAIN], NOW));
    let certificates = place.open_strict(&[DOMAIN]);
    (place, certificates)
}

fn connect(
    certificates: &Certificates,
    config: &Arc<ClientConfig>,
) -> (ClientConnection, ServerConnection) {
    let name = ServerName::try_from(DOMAIN).unwrap();
    let mut client = ClientConnection::new(Arc::clone(config), name).unwrap();
    let mut server = accept(&mut client, |hello| certificates.config_for(hello)).unwrap();
    finish(&mut client, &mut server);
    (client, server)
}

/// A client of one version.
fn of_version(version: &'static rustls::SupportedProtocolVersion) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&[version]).unwrap().dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(AnyServer(provider)));
    Arc::new(builder.with_no_client_auth())
}

#[test]
fn the_better_protocol_that_a_client_speaks_is_taken() {
    let (_place, certificates) = certificates();
    let offered = |protocols: &[&str]| {
        let protocol = handshake(&certificates, DOMAIN, speaking(protocols)).unwrap().protocol;
        protocol.map(|name| String::from_utf8(name).unwrap())
    };
    assert_eq!(offered(&["http/1.1", "h2"]).as_deref(), Some("h2"));
    assert_eq!(offered(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(offered(&["http/1.0"]).as_deref(), Some("http/1.0"));
    assert_eq!(offered(&[]), None);
}

#[test]
fn a_session_is_resumed_in_both_versions() {
    let (_place, certificates) = certificates();
    for version in [&TLS12, &TLS13] {
        let client = of_version(version);
        let (_, first) = connect(&certificates, &client);
        assert_eq!(first.protocol_version(), Some(version.version));
        assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
        let (_, second) = connect(&certificates, &client);
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed), "{version:?}");
    }
}

#[test]
fn old_clients_get_nothing_but_authenticated_ciphers_with_forward_secrecy() {
    let (_place, certificates) = certificates();
    let (client, _) = connect(&certificates, &of_version(&TLS12));
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = client.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
}

/// Takes a validation's certificate, whose extension rustls does not know.
#[derive(Debug)]
struct Validator;

impl ServerCertVerifier for Validator {
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
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// What an authority sees that validates a domain.
fn validate(certificates: &Certificates, domain: &str) -> Option<Seen> {
    let mut config = speaking(&["acme-tls/1"]);
    config.dangerous().set_certificate_verifier(Arc::new(Validator));
    handshake(certificates, domain, config)
}

#[test]
fn a_validation_is_answered_while_it_is_under_way_and_no_longer() {
    let (_place, certificates) = certificates();
    assert_eq!(validate(&certificates, DOMAIN), None);
    let presented = certificates.challenges().present_certificate(DOMAIN, [7; 32]).unwrap();
    let seen = validate(&certificates, DOMAIN).unwrap();
    assert_eq!(seen.protocol.as_deref(), Some(&b"acme-tls/1"[..]));
    assert_eq!(seen.names(), ["DNSName(a.example.com)"]);
    let (_, parsed) = x509_parser::parse_x509_certificate(&seen.certificate).unwrap();
    let mut extensions = parsed.extensions().iter();
    let identifier = extensions.find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
    assert!(identifier.critical);
    // An octet string of 32 bytes (RFC 8737, 3).
    assert_eq!(identifier.value, [&[4, 32][..], &[7; 32]].concat());
    assert_eq!(validate(&certificates, "b.example.com"), None);
    let own = ask(&certificates, DOMAIN).unwrap();
    assert_eq!(own.protocol.as_deref(), Some(&b"h2"[..]), "browsers go on meanwhile");
    drop(presented);
    assert_eq!(validate(&certificates, DOMAIN), None);
}

#[test]
fn an_answer_that_is_withdrawn_late_leaves_its_successor() {
    let (_place, certificates) = certificates();
    let challenges = certificates.challenges();
    let early = challenges.present_certificate(DOMAIN, [1; 32]).unwrap();
    let late = challenges.present_certificate(DOMAIN, [2; 32]).unwrap();
    drop(early);
    assert!(validate(&certificates, DOMAIN).is_some());
    drop(late);
    assert!(validate(&certificates, DOMAIN).is_none());
}
