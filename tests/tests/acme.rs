//! Certificates by ACME, from an authority that the site is closed to.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use weir_tests::{
    authority::Authority,
    lab::{self, Lab},
    names,
    program::Program,
    wait::{SOON, holds},
    web::{curl::Curl, site, target::Target},
    weir::Weir,
};

const DOMAIN: &str = "shop.example.com";
/// Of the clients' link: what the authority's own connections come from.
const AUTHORITY: &str = "192.0.2.254";
/// Where it answers, where it is managed, and where its resolver does and is.
const PORTS: [u16; 4] = [14_000, 15_000, 8053, 8055];

/// Pebble, and a resolver by which every name leads to the server.
fn pebble(lab: &Lab, directory: &TempDir) -> Result<[Program; 2]> {
    let [port, management, resolver, resolver_management] = PORTS;
    let path = |name: &str| directory.path().join(name);
    let server = lab::SERVER4.to_string();
    let listen = |port| format!("127.0.0.1:{port}");
    let arguments = ["-dns01", &listen(resolver), "-management", &listen(resolver_management)];
    let empty = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
    let names = ["-defaultIPv4", &server];
    let arguments = [&arguments[..], &empty, &names].concat();
    let log = path("resolver.log");
    let program = "pebble-challtestsrv";
    let resolving = Program::start(&lab.clients, program, &arguments, resolver, &log)?;
    let settings = json!({ "pebble": {
        "listenAddress": format!("{AUTHORITY}:{port}"),
        "managementListenAddress": listen(management),
        "certificate": path(&format!("{AUTHORITY}.crt")),
        "privateKey": path(&format!("{AUTHORITY}.key")),
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": false,
    } });
    fs::write(path("pebble.json"), settings.to_string())?;
    let config = path("pebble.json").to_string_lossy().into_owned();
    let arguments = ["-config", &config, "-strict", "-dnsserver", &listen(resolver)];
    let pebble = Program::start(&lab.clients, "pebble", &arguments, port, &path("pebble.log"))?;
    Ok([resolving, pebble])
}

/// SPEC 3: ACME answers come before restrictions, whatever the authority asks by.
#[test]
fn an_authority_that_is_denied_still_sees_what_proves_control() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let authority = Authority::new(directory.path())?;
    authority.issue(AUTHORITY, directory.path())?;
    let [_resolving, pebble] = pebble(&lab, &directory)?;
    let _target = Target::start(&lab.server)?;
    for challenge in ["tls-alpn-01", "http-01"] {
        let acme = format!(
            "[tls.acme]\ndirectory = 'https://{AUTHORITY}:{}/dir'\nemail = 'ops@example.com'\n\
             challenge = '{challenge}'\nca_file = '{}'\n",
            PORTS[0],
            authority.certificate().display(),
        );
        let closed = site("shop", DOMAIN, &format!("allow = ['{}']", lab::DE4));
        let mut weir = Weir::start(&lab.server, "", &(acme + &closed))?;
        let state = || weir.status().map(|status| status["certificates"][0].clone());
        let is_there = || state().is_ok_and(|state| state["source"] == "acme");
        ensure!(holds(SOON * 2, is_there), "{challenge}: {:?}: {}", state(), pebble.log());
        assert_eq!(state()?["names"], json!([DOMAIN]));
        let url = format!("https://{DOMAIN}/");
        assert_eq!(Curl::new(&lab).get(&url)?.status, 200, "{challenge}");
        let denied = Curl::from(&lab, AUTHORITY.parse()?).get(&url)?;
        assert_eq!(denied.status, 403, "{challenge}");
        let denied = format!("source_ip={AUTHORITY}&reason=ip_restricted");
        assert_eq!(weir.wait_for_event(&denied, SOON)?["path"], "/");
        weir.stop()?;
    }
    Ok(())
}
