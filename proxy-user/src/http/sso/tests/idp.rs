//! A real provider: oidc-provider, which `cargo xtask setup` installs.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ORIGIN;
use crate::config::SsoProvider;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// For node to start, on a busy machine.
const START: Duration = Duration::from_secs(30);
const CLIENT: &str = "weir";
/// Of bytes that do not stay as they are in a form.
const SECRET: &str = "s3cret/+:%&=";
/// One host for the callback of all services.
pub(super) const COMMON: &str = "https://login.example.com";

/// A provider on an address of its own, so that nobody takes its port while it is down.
pub(super) struct Idp {
    directory: TempDir,
    address: Ipv4Addr,
    port: u16,
    settings: Value,
    child: Option<Child>,
}

impl Idp {
    /// Its users are alice, whose e-mail is verified, and bob; `None`: the test is skipped.
    pub(super) fn start() -> Option<Self> {
        Self::start_with(&json!({}))
    }

    /// With other settings; those of the client are below `client`.
    pub(super) fn start_with(others: &Value) -> Option<Self> {
        if let Some(reason) = missing() {
            weir_tests::skip::skip(&reason);
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let address = own_address();
        certify(directory.path(), address);
        let settings = settings(directory.path(), address, others);
        let mut own = Self { directory, address, port: 0, settings, child: None };
        own.has_users(&json!({
            "alice": { "email": "Alice@Example.com", "email_verified": true,
                       "groups": ["admins", "staff"] },
            "bob": { "email": "bob@example.com", "email_verified": false, "groups": "staff" },
        }));
        own.start_again();
        Some(own)
    }

    /// From now on.
    pub(super) fn has_users(&self, users: &Value) {
        fs::write(self.directory.path().join("users.json"), users.to_string()).unwrap();
    }

    /// On the same port, with other keys.
    pub(super) fn start_again(&mut self) {
        self.settings["port"] = self.port.into();
        let mut node = Command::new("node");
        node.arg(format!("{WORKSPACE}/tests/oidc-provider/server.mjs")).arg(modules());
        node.arg(self.settings.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = self.child.insert(node.stderr(Stdio::null()).spawn().unwrap());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, ready) = mpsc::channel();
        // To the end: without a reader it dies of the next line.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let line = ready.recv_timeout(START).expect("oidc-provider did not start");
        self.port = line.strip_prefix("ready ").unwrap().parse().unwrap();
    }

    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// As it is configured.
    pub(super) fn provider(&self) -> Arc<SsoProvider> {
        Arc::new(self.plain())
    }

    /// The same, to be changed.
    pub(super) fn plain(&self) -> SsoProvider {
        SsoProvider {
            name: "corp".to_owned(),
            issuer: format!("https://{}:{}", self.address, self.port),
            client_id: CLIENT.to_owned(),
            client_secret: SECRET.to_owned(),
            scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
            groups_claim: "groups".to_owned(),
            callback: None,
            recheck: Duration::from_hours(1),
            ca_file: Some(self.authority()),
        }
    }

    /// With a scope by which it gives refresh tokens.
    pub(super) fn offline(&self) -> Arc<SsoProvider> {
        let mut provider = self.plain();
        provider.scopes.push("offline_access".to_owned());
        Arc::new(provider)
    }

    /// Takes a refresh token back (RFC 7009).
    pub(super) fn revoke(&self, refresh: &str) {
        let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "--noproxy", "*"]);
        curl.arg("--cacert").arg(self.authority());
        curl.args(["--user", &format!("{CLIENT}:{encoded}")]);
        curl.args(["--data-urlencode", &format!("token={refresh}")]);
        curl.arg(format!("https://{}:{}/token/revocation", self.address, self.port));
        assert!(curl.status().unwrap().success());
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        self.stop();
    }
}

fn modules() -> String {
    format!("{WORKSPACE}/target/tools/oidc-provider")
}

fn missing() -> Option<String> {
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
    if let Some(program) = ["node", "curl"].into_iter().find(|program| !there(program)) {
        return Some(format!("{program} is not installed"));
    }
    let package = format!("{}/node_modules/oidc-provider", modules());
    let is_there = Path::new(&package).is_dir();
    (!is_there).then(|| "no oidc-provider; cargo xtask setup installs it".to_owned())
}

/// Of 127.0.0.0/8 what no other process and no other test uses.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let own = (std::process::id() << 4) | (COUNT.fetch_add(1, Ordering::Relaxed) & 15);
    let [_, a, b, c] = own.to_be_bytes();
    // 127.0.0.x and its like are used by others.
    Ipv4Addr::new(127, a | 0x80, b, c)
}

/// A certificate for the address by an authority of its own: `ca.pem`, `cert.pem`,
/// `key.pem`.
fn certify(directory: &Path, address: Ipv4Addr) {
    let mut authority = CertificateParams::new([]).unwrap();
    // Else it and the certificate have one name, and OpenSSL takes that for a loop.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([address.to_string()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let write = |name: &str, text: String| fs::write(directory.join(name), text).unwrap();
    write("ca.pem", authority.pem());
    write("cert.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
}

fn settings(directory: &Path, address: Ipv4Addr, others: &Value) -> Value {
    let callbacks = [ORIGIN, COMMON].map(|host| format!("{host}/.weir/sso/callback"));
    let mut settings = json!({
        "address": address,
        "certificate": directory.join("cert.pem"),
        "key": directory.join("key.pem"),
        "users": directory.join("users.json"),
        "claims_by_userinfo": false,
        "client": {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": callbacks,
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "client_secret_basic",
            "id_token_signed_response_alg": "ES256",
        },
    });
    for (name, value) in others.as_object().unwrap() {
        match value.as_object() {
            Some(inner) => settings[name].as_object_mut().unwrap().extend(inner.clone()),
            None => settings[name] = value.clone(),
        }
    }
    settings
}
