//! What the daemon can be asked.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Weir;
use crate::{http, wait::eventually};

impl Weir<'_> {
    /// Records that match a query (`reason=ip_restricted&verdict=denied`), newest
    /// first, of all pages.
    pub fn events(&self, query: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/events/proxy?page_size=1000&cursor={cursor}&{query}");
            let mut page = self.api(&path)?;
            let Value::Array(records) = page["data"].take() else { bail!("no data: {page}") };
            found.extend(records);
            match page["next_cursor"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut cursor),
                _ => return Ok(found),
            }
        }
    }

    /// Waits until at least `count` records match; all that do.
    pub fn wait_for_events(
        &self,
        count: usize,
        query: &str,
        deadline: Duration,
    ) -> Result<Vec<Value>> {
        let mut last = Vec::new();
        let found = eventually(deadline, || {
            // Reading all of many again and again would keep the daemon from making them.
            let page = self.api(&format!("/api/events/proxy?page_size=1&{query}")).ok()?;
            if usize::try_from(page["total_records"].as_u64()?).ok()? < count {
                return None;
            }
            last = self.events(query).ok()?;
            (last.len() >= count).then(|| last.clone())
        });
        found.with_context(|| {
            let found = self.events(query).unwrap_or_default();
            format!("{} of {count} records match {query:?}: {found:#?}", found.len())
        })
    }

    /// Waits until exactly one record matches.
    pub fn wait_for_event(&self, query: &str, deadline: Duration) -> Result<Value> {
        let mut found = self.wait_for_events(1, query, deadline)?;
        match (found.pop(), found.is_empty()) {
            (Some(event), true) => Ok(event),
            (last, _) => bail!("more than one record matches {query:?}: {last:?} {found:#?}"),
        }
    }

    /// `GET /api/status`
    pub fn status(&self) -> Result<Value> {
        self.api("/api/status")
    }

    /// `GET` of any path of the API, through the control socket.
    pub fn api(&self, path: &str) -> Result<Value> {
        http::get_json(&self.socket(), path)
    }

    /// `GET /metrics`
    pub fn metrics(&self) -> Result<String> {
        Ok(http::get(&self.socket(), "/metrics")?.body)
    }

    /// The status of a `GET`, whatever it is.
    pub fn api_status(&self, path: &str) -> Result<u16> {
        Ok(http::get(&self.socket(), path)?.status)
    }

    /// `weir reload`
    pub fn reload(&self) -> Result<()> {
        self.run(&["reload"]).map(drop)
    }
}
