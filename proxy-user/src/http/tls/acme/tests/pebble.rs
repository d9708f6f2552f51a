//! Pebble, an authority for tests, and the resolver that it asks.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use weir_tests::{skip::skip, wait::holds};

use crate::config::{Acme, AcmeChallenge, Eab};

/// For two programs to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The account key that pebble wants where it wants any (base64url, as its settings have it).
const MAC_KEY: (&str, [u8; 16]) = ("d2VpciB0ZXN0cyBvbmx5IQ", *b"weir tests only!");
const KEY_ID: &str = "kid-1";

/// A domain that it signs nothing for.
pub(super) const REFUSED: &str = "refused.example";

/// A running authority.
pub(super) struct Pebble {
    authority: Running,
    resolver: SocketAddr,
    _resolving: Running,
    directory: PathBuf,
    address: SocketAddr,
    binds: bool,
}

/// What an authority is to be like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Whether it wants accounts to be bound to ones that it has already.
    pub(super) binds: bool,
    /// How long its certificates are good, seconds.
    pub(super) lifetime: u32,
}

impl Kind {
    pub(super) const USUAL: Self = Self { binds: false, lifetime: 7 * 24 * 3600 };
}

/// Killed on drop.
struct Running(Child);

impl Running {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that is free, and likely to be so in a moment.
fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Pebble {
    /// Starts one that looks for every domain on loopback, at this port, whatever the
    /// challenge. `None`: there is none on this machine, which is told.
    pub(super) fn start(directory: &Path, port: u16, kind: Kind) -> Option<Self> {
        let found = Command::new("pebble").arg("-h").stderr(Stdio::null()).status();
        if found.is_err() {
            skip("there is no pebble");
            return None;
        }
        let (address, resolver) = (free(), free());
        certify(directory);
        configure(directory, address, port, kind);
        let resolving = resolve(directory, resolver);
        let authority = authorize(directory, resolver);
        let pebble = Self {
            authority,
            resolver,
            _resolving: resolving,
            directory: directory.into(),
            address,
            binds: kind.binds,
        };
        assert!(holds(PATIENCE, || TcpStream::connect(resolver).is_ok()), "no resolver");
        pebble.await_start();
        Some(pebble)
    }

    /// Makes it forget everything.
    pub(super) fn restart(&mut self) {
        self.authority.end();
        self.authority = authorize(&self.directory, self.resolver);
        self.await_start();
    }

    fn await_start(&self) {
        let listens = || TcpStream::connect(self.address).is_ok();
        assert!(holds(PATIENCE, listens), "{}", self.log());
    }

    /// How Weir is to use it.
    pub(super) fn acme(&self, challenge: AcmeChallenge) -> Acme {
        let eab = Eab { kid: KEY_ID.to_owned(), key: MAC_KEY.1.to_vec() };
        Acme {
            directory: format!("https://{}/dir", self.address),
            email: "ops@example.com".to_owned(),
            challenge,
            ca_file: Some(self.directory.join("ca.pem")),
            eab: self.binds.then_some(eab),
        }
    }

    /// What it said.
    pub(super) fn log(&self) -> String {
        ["pebble.log", "pebble.err"]
            .map(|name| fs::read_to_string(self.directory.join(name)).unwrap_or_default())
            .concat()
    }
}

/// Starts what answers for every name.
fn resolve(directory: &Path, at: SocketAddr) -> Running {
    let resolving = Command::new("pebble-challtestsrv")
        .args(["-dns01", &at.to_string(), "-management", &free().to_string()])
        .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
        .stdout(File::create(directory.join("resolver.log")).unwrap())
        .stderr(Stdio::null())
        .spawn();
    Running(resolving.unwrap())
}

/// Starts the authority itself.
fn authorize(directory: &Path, resolver: SocketAddr) -> Running {
    let authority = Command::new("pebble")
        .arg("-config")
        .arg(directory.join("pebble.json"))
        .args(["-strict", "-dnsserver", &resolver.to_string()])
        .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "0")])
        .stdout(File::create(directory.join("pebble.log")).unwrap())
        .stderr(File::create(directory.join("pebble.err")).unwrap())
        .spawn();
    Running(authority.unwrap())
}

/// The authority's own certificate as a server, and the one that vouches for it.
fn certify(directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let server = params.signed_by(&key, &issuer).unwrap();
    let files =
        [("ca.pem", root.pem()), ("server.crt", server.pem()), ("server.key", key.serialize_pem())];
    for (name, text) in files {
        fs::write(directory.join(name), text).unwrap();
    }
}

fn configure(directory: &Path, address: SocketAddr, port: u16, kind: Kind) {
    let mut settings = serde_json::json!({
        "listenAddress": address.to_string(),
        "managementListenAddress": free().to_string(),
        "certificate": directory.join("server.crt"),
        "privateKey": directory.join("server.key"),
        "httpPort": port,
        "tlsPort": port,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": kind.binds,
        "certificateValidityPeriod": kind.lifetime,
        "domainBlocklist": [REFUSED],
    });
    if kind.binds {
        settings["externalAccountMACKeys"] = serde_json::json!({ KEY_ID: MAC_KEY.0 });
    }
    let settings = serde_json::json!({ "pebble": settings });
    fs::write(directory.join("pebble.json"), settings.to_string()).unwrap();
}
