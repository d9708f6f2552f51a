//! Which servers Weir takes for the ones it means.

use std::{fs, path::Path, sync::Arc};

use rustls::{ClientConnection, pki_types::ServerName};

use super::support::{NOW, Place, accept, finish, pair};
use crate::http::tls::{Trust, client_config};

const DOMAIN: &str = "a.example.com";

/// Whether a client with this trust goes through with a handshake at `place`.
fn trusts(place: &Place, trust: Trust<'_>, name: &'static str) -> bool {
    let certificates = place.open_strict(&[DOMAIN, "b.example.com"]);
    let config = Arc::new(client_config(trust).unwrap());
    let name = ServerName::try_from(name).unwrap();
    let mut client = ClientConnection::new(config, name).unwrap();
    let mut server = accept(&mut client, |hello| certificates.config_for(hello)).unwrap();
    let mut words = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut words).unwrap();
    }
    client.read_tls(&mut words.as_slice()).unwrap();
    if client.process_new_packets().is_err() {
        return false;
    }
    finish(&mut client, &mut server);
    true
}

#[test]
fn an_authority_of_ones_own_vouches_for_its_servers_and_no_others() {
    let place = Place::new();
    let own = pair(&[DOMAIN], NOW);
    place.put("a", &own);
    place.put("b", &pair(&["b.example.com"], NOW));
    let file = place.path("ca.pem");
    fs::write(&file, &own.0).unwrap();
    assert!(trusts(&place, Trust::File(&file), DOMAIN));
    assert!(!trusts(&place, Trust::File(&file), "b.example.com"));
    assert!(!trusts(&place, Trust::System, DOMAIN));
    assert!(trusts(&place, Trust::Anyone, "b.example.com"));
}

#[test]
fn a_file_without_authorities_is_named() {
    let place = Place::new();
    let fault = |path: &Path| client_config(Trust::File(path)).unwrap_err().to_string();
    let file = place.path("ca.pem");
    assert!(fault(&file).contains("ca.pem: No such file"));
    fs::write(&file, "").unwrap();
    assert!(fault(&file).ends_with("ca.pem: holds no certificate"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(&file, broken).unwrap();
    assert!(fault(&file).contains("ca.pem: holds no usable certificate"), "{}", fault(&file));
}
