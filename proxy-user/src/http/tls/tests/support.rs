//! Certificates, and clients that look at them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, ServerName},
    server::Acceptor,
};
use tempfile::TempDir;

use crate::{
    config::Tls,
    http::tls::{Certificates, Trust, client_config},
};

/// Years in which a certificate is good: long past, now, and for longer.
pub(super) const PAST: [i32; 2] = [2000, 2001];
pub(super) const NOW: [i32; 2] = [2020, 2100];
pub(super) const LONGER: [i32; 2] = [2020, 2200];

/// A directory of its own.
pub(in crate::http::tls) struct Place(TempDir);

impl Place {
    pub(in crate::http::tls) fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        fs::create_dir(place.path("certs")).unwrap();
        place
    }

    pub(in crate::http::tls) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Without an authority.
    pub(in crate::http::tls) fn tls(&self) -> Tls {
        Tls { cert_dir: self.path("certs"), self_signed: true, acme: None }
    }

    pub(in crate::http::tls) fn data_dir(&self) -> &Path {
        self.0.path()
    }

    pub(in crate::http::tls) fn open(&self, tls: &Tls, domains: &[&str]) -> Arc<Certificates> {
        Certificates::open(self.data_dir(), tls, owned(domains)).unwrap()
    }

    /// As [`Self::open`], where nothing signs itself.
    pub(super) fn open_strict(&self, domains: &[&str]) -> Arc<Certificates> {
        self.open(&Tls { self_signed: false, ..self.tls() }, domains)
    }

    /// Puts `NAME.crt` and `NAME.key` into `cert_dir`.
    pub(super) fn put(&self, name: &str, (certificate, key): &(String, String)) {
        let certs = self.path("certs");
        fs::write(certs.join(format!("{name}.crt")), certificate).unwrap();
        fs::write(certs.join(format!("{name}.key")), key).unwrap();
    }
}

pub(in crate::http::tls) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A certificate for these names and its key, as PEM.
pub(super) fn pair(names: &[&str], years: [i32; 2]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    (certificate(names, years, &key), key.serialize_pem())
}

pub(super) fn certificate(names: &[&str], [from, to]: [i32; 2], key: &KeyPair) -> String {
    let mut params = CertificateParams::new(owned(names)).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    params.self_signed(key).unwrap().pem()
}

/// What a client sees who takes anything.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) protocol: Option<Vec<u8>>,
}

impl Seen {
    /// The certificate's names.
    pub(super) fn names(&self) -> Vec<String> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.certificate).unwrap();
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        names.value.general_names.iter().map(ToString::to_string).collect()
    }

    pub(super) fn pem_is(&self, pem: &str) -> bool {
        use rustls::pki_types::pem::PemObject;
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap() == self.certificate
    }
}

/// A client that takes any certificate and speaks these protocols.
pub(super) fn speaking(protocols: &[&str]) -> ClientConfig {
    let mut config = client_config(Trust::Anyone).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// What a client gets that asks for a name; `None`: it is refused.
pub(super) fn ask(certificates: &Certificates, name: &str) -> Option<Seen> {
    handshake(certificates, name, speaking(&["h2", "http/1.1"]))
}

/// As [`ask`], of a client that names nobody.
pub(super) fn ask_unnamed(certificates: &Certificates) -> Option<Seen> {
    let mut config = speaking(&[]);
    config.enable_sni = false;
    handshake(certificates, "weir.test", config)
}

/// Both ends of a handshake, in memory.
pub(super) fn handshake(
    certificates: &Certificates,
    name: &str,
    config: ClientConfig,
) -> Option<Seen> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = accept(&mut client, |hello| certificates.config_for(hello))?;
    finish(&mut client, &mut server);
    Some(Seen {
        certificate: client.peer_certificates()?[0].clone().into_owned(),
        protocol: client.alpn_protocol().map(<[u8]>::to_vec),
    })
}

/// The server's side of a client's first words.
pub(super) fn accept(
    client: &mut ClientConnection,
    config: impl FnOnce(&rustls::server::ClientHello<'_>) -> Option<Arc<ServerConfig>>,
) -> Option<ServerConnection> {
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut hello.as_slice()).unwrap();
    let accepted = acceptor.accept().unwrap().unwrap();
    let config = config(&accepted.client_hello())?;
    Some(accepted.into_connection(config).unwrap())
}

/// The rest of the handshake.
pub(super) fn finish(client: &mut ClientConnection, server: &mut ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
        let mut words = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut words).unwrap();
        }
        let mut words = words.as_slice();
        while !words.is_empty() {
            client.read_tls(&mut words).unwrap();
            client.process_new_packets().unwrap();
        }
        let mut words = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut words).unwrap();
        }
        let mut words = words.as_slice();
        while !words.is_empty() {
            server.read_tls(&mut words).unwrap();
            server.process_new_packets().unwrap();
        }
    }
}
