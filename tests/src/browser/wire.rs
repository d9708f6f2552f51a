//! Commands to a driver, as HTTP.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use ureq::{Agent, http::Response};

use crate::ns::Namespace;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a driver in a namespace is spoken to.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    namespace: &'a Namespace,
    base: String,
    agent: Agent,
}

impl<'a> Wire<'a> {
    pub(super) fn new(namespace: &'a Namespace, port: u16) -> Self {
        let config = Agent::config_builder();
        let config = config.http_status_as_error(false).proxy(None).timeout_global(Some(PATIENCE));
        let base = format!("http://127.0.0.1:{port}");
        Self { namespace, base, agent: config.build().into() }
    }

    /// What came of a command.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let answer = self.namespace.within(|| self.agent.get(&url).call())?;
        value(answer.with_context(|| url.clone())?).with_context(|| url.clone())
    }

    /// What came of a command with parameters.
    pub(super) fn post(&self, path: &str, parameters: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let body = parameters.to_string();
        let answer = self.namespace.within(|| self.agent.post(&url).send(&body))?;
        let shown = || format!("{url} {body}");
        value(answer.with_context(shown)?).with_context(shown)
    }

    /// Ends what is at a path.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let url = format!("{}{path}", self.base);
        let answer = self.namespace.within(|| self.agent.delete(&url).call())?;
        value(answer?).map(drop)
    }
}

fn value(mut answer: Response<ureq::Body>) -> Result<Value> {
    let status = answer.status();
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
    ensure!(status == 200, "{status}: {body}");
    let mut value: Value = serde_json::from_str(&body).context(body)?;
    Ok(value["value"].take())
}
