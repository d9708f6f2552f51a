//! An OpenID provider: oidc-provider, which `cargo xtask setup` installs.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{ns::Namespace, skip::skip, tls::Certificate};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// For node to start, on a busy machine.
const START: Duration = Duration::from_secs(30);
const SECRET: &str = "between weir and its provider";

/// A provider with its users; it ends on drop.
#[derive(Debug)]
pub struct Provider {
    child: Child,
    issuer: String,
    directory: PathBuf,
}

impl Provider {
    /// One at an address of a namespace, whose files are in `directory`; `None`, the test
    /// being skipped, where it is not installed. `users` have their claims by name;
    /// services come back to `callback`.
    pub fn for_test(
        namespace: &Namespace,
        (address, port): (IpAddr, u16),
        directory: &Path,
        users: &Value,
        callback: &str,
    ) -> Result<Option<Self>> {
        let modules = format!("{WORKSPACE}/target/tools/oidc-provider");
        if !Path::new(&modules).join("node_modules/oidc-provider").is_dir() {
            skip("no oidc-provider; cargo xtask setup installs it");
            return Ok(None);
        }
        fs::create_dir_all(directory)?;
        let certificate = Certificate::of_server(directory, &address.to_string())?;
        let file = directory.join("users.json");
        fs::write(&file, users.to_string())?;
        let settings = json!({
            "address": address, "port": port, "users": file,
            "certificate": certificate.certificate, "key": certificate.key,
            "claims_by_userinfo": false,
            "client": {
                "client_id": "weir",
                "client_secret": SECRET,
                "redirect_uris": [callback],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "client_secret_basic",
                "id_token_signed_response_alg": "ES256",
            },
        });
        let mut node = namespace.bound_command("node");
        node.arg(format!("{WORKSPACE}/tests/oidc-provider/server.mjs")).arg(modules);
        node.arg(settings.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.stderr(Stdio::null()).spawn().context("node")?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let issuer = format!("https://{address}:{port}");
        let own = Self { child, issuer, directory: directory.to_owned() };
        let (tell, ready) = mpsc::channel();
        // To the end: without a reader it dies of the next line.
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
        let line = ready.recv_timeout(START).context("oidc-provider does not start")?;
        ensure!(line.starts_with("ready "), "{line}");
        Ok(Some(own))
    }

    /// Its table in a configuration, as `[sso.NAME]`.
    pub fn table(&self, name: &str) -> Result<String> {
        let secret = self.directory.join("secret");
        fs::write(&secret, SECRET)?;
        Ok(format!(
            "[sso.{name}]\nissuer = '{}'\nclient_id = 'weir'\nclient_secret_file = '{}'\n\
             ca_file = '{}'\n",
            self.issuer,
            secret.display(),
            self.directory.join("cert.pem").display(),
        ))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
