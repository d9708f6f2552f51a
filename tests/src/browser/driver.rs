//! `chromedriver`, and the session of a browser in it.

use std::env;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Scripts, wire::Wire};
use crate::{names, ns::Namespace, program::Program};

/// In the namespace of the browser, where nobody else listens.
const PORT: u16 = 9515;
/// For a browser that runs as root, alone, and asks nobody for anything.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=800,600",
    // It ends with the driver, however that ends.
    "--remote-debugging-pipe",
];

/// A driver with one browser.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    session: String,
    wire: Wire<'a>,
    _program: Program,
    _profile: TempDir,
}

/// The program that is missing, if one is.
pub(super) fn missing() -> Option<&'static str> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    ["chromedriver", "chromium"].into_iter().find(|name| !is_there(name))
}

impl<'a> Driver<'a> {
    /// Starts both; `Err` within: why there is no browser.
    pub(super) fn start(
        namespace: &'a Namespace,
        server: &str,
        scripts: Scripts,
    ) -> Result<Result<Self, String>> {
        let profile = TempDir::with_prefix(names::prefix())?;
        let log = profile.path().join("chromedriver.log");
        let arguments = [format!("--port={PORT}")];
        let program = Program::start(namespace, "chromedriver", &arguments, PORT, &log)?;
        let wire = Wire::new(namespace, PORT);
        let mut flags = ARGUMENTS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().join("profile").display()));
        flags.push(format!("--host-resolver-rules=MAP *.example.com {server}"));
        // https://chromedriver.chromium.org/capabilities; 2: blocked.
        let setting = if scripts == Scripts::Run { 1 } else { 2 };
        let preferences = json!({ "profile.managed_default_content_settings.javascript": setting });
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": { "args": flags, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let session = match wire.post("/session", &wanted) {
            Ok(session) => session,
            Err(error) => return Ok(Err(format!("{error:#}: {}", program.log()))),
        };
        let session = session["sessionId"].as_str().context("no session")?;
        let session = format!("/session/{session}");
        Ok(Ok(Self { session, wire, _program: program, _profile: profile }))
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.wire.get(&format!("{}{path}", self.session))
    }

    pub(super) fn post(&self, path: &str, parameters: &Value) -> Result<Value> {
        self.wire.post(&format!("{}{path}", self.session), parameters)
    }

    /// A command of Chromium's own protocol.
    pub(super) fn devtools(&self, command: &str, parameters: &Value) -> Result<()> {
        let command = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", &command).map(drop)
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        // The browser goes before its profile does; without it, with its driver.
        let _ = self.wire.delete(&self.session);
    }
}
