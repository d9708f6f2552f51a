//! axe-core, which finds faults of accessibility in a page.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Browser;
use crate::skip::skip;

/// Where `cargo xtask setup` installs it.
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/tools/axe-core/node_modules/axe-core/axe.min.js"
);

/// axe-core, ready to look at pages.
#[derive(Debug)]
pub struct Axe(String);

impl Axe {
    /// `None`, the test being skipped, where it is not installed.
    pub fn for_test() -> Option<Self> {
        let script = fs::read_to_string(SCRIPT).ok();
        if script.is_none() {
            skip("no axe-core; cargo xtask setup installs it");
        }
        script.map(Self)
    }

    /// Fails for faults of the page that are serious or worse.
    pub fn examine(&self, browser: &Browser<'_>) -> Result<()> {
        browser.run(&self.0)?;
        let found = browser.await_script(
            "const found = await axe.run(); return found.violations \
             .filter(({ impact }) => impact === 'serious' || impact === 'critical') \
             .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));",
        )?;
        let found: Vec<&str> = match &found {
            Value::Array(found) => found.iter().filter_map(Value::as_str).collect(),
            other => bail!("axe-core failed: {other}"),
        };
        let url = browser.url().context("no page")?;
        ensure!(found.is_empty(), "{url}: {found:#?}");
        Ok(())
    }
}
