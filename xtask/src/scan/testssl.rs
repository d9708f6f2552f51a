//! testssl.sh.

use std::{collections::BTreeMap, fs, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Verdict,
    web::{Web, url},
};

/// Severities above LOW.
const FAILING: [&str; 5] = ["MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN"];
/// Findings that are not Weir's, and why.
const ACCEPTED: [(&str, &str); 1] = [("engine_problem", "it is of the OpenSSL that testssl runs")];

/// Has everything tested that it tests.
pub(super) fn scan(web: &Web<'_>) -> Result<Vec<Verdict>> {
    let report = web.weir.path("testssl.json");
    let mut command = web.command("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"]);
    command.args(["--ip", "127.0.0.1", "--openssl-timeout", "10"]);
    command.arg("--add-ca").arg(web.authority()).arg("--jsonfile").arg(&report);
    command.arg(url("/")).stdin(Stdio::null()).stdout(Stdio::null());
    // How it ends says how much it found; the report says what.
    command.status().context("testssl")?;
    let text = fs::read_to_string(&report).context("testssl's report")?;
    let found: Vec<Value> = serde_json::from_str(&text).context("testssl's report")?;
    ensure!(found.len() > 50, "testssl ended early: {text}");
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for finding in &found {
        let field = |name: &str| finding[name].as_str().unwrap_or_default();
        let (id, severity) = (field("id"), field("severity"));
        *counts.entry(severity).or_default() += 1;
        if FAILING.contains(&severity) || severity == "LOW" {
            let accepted = ACCEPTED.iter().find(|(known, _)| *known == id);
            let why = accepted.map(|(_, why)| format!(" (accepted: {why})")).unwrap_or_default();
            let is_good = severity == "LOW" || accepted.is_some();
            let text = format!("testssl {severity}: {id}: {}{why}", field("finding"));
            verdicts.push(Verdict { text, is_good });
        }
    }
    let is_good = verdicts.iter().all(|verdict| verdict.is_good);
    verdicts.push(Verdict { text: format!("testssl: {counts:?}"), is_good });
    Ok(verdicts)
}
