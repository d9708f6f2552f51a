//! Reload, and going back where it is not confirmed.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::core::Core;
use crate::config::{self, Config};

/// A reload that goes back unless confirmed.
#[derive(Default)]
pub(super) struct Pending(Mutex<Option<oneshot::Sender<()>>>);

impl Pending {
    /// Confirms. False: nothing waits for it.
    pub(super) fn confirm(&self) -> bool {
        self.0.lock().take().is_some_and(|waiting| waiting.send(()).is_ok())
    }

    fn replace(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        // A reload on top of an unconfirmed one confirms it.
        if let Some(before) = self.0.lock().replace(sender) {
            let _ = before.send(());
        }
        receiver
    }
}

impl Core {
    /// Reads the file again and applies it; gives what the operator should know. A
    /// faulty file changes nothing.
    ///
    /// # Errors
    /// Every fault, one a line, or what could not be applied.
    pub(super) async fn reload(
        self: &Arc<Self>,
        who: &str,
        confirm: Option<Duration>,
    ) -> Result<Vec<String>> {
        let outcome = self.try_reload(confirm).await;
        let message = match &outcome {
            Ok(_) => format!("configuration {} is in force", hex(&self.config.load().digest)),
            Err(error) => format!("refused, nothing changed: {error:#}"),
        };
        tracing::info!(who, "reload: {message}");
        self.note("reload", who, &message);
        outcome
    }

    async fn try_reload(self: &Arc<Self>, confirm: Option<Duration>) -> Result<Vec<String>> {
        let loaded = match config::load(&self.config_path) {
            Ok(loaded) => loaded,
            Err(faults) => bail!("{faults}"),
        };
        let before = self.config.load_full();
        let mut told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        told.extend(
            needs_restart(&before, &loaded.config)
                .map(|name| format!("{name} changes with the next start only")),
        );
        self.apply(loaded.config).await?;
        tokio::task::block_in_place(|| self.follow_network());
        if let Some(time) = confirm {
            self.go_back_unless_confirmed(before, time);
        }
        Ok(told)
    }

    fn go_back_unless_confirmed(self: &Arc<Self>, before: Arc<Config>, time: Duration) {
        let confirmed = self.pending.replace();
        let core = Arc::clone(self);
        tokio::spawn(async move {
            if tokio::time::timeout(time, confirmed).await.is_ok() {
                return;
            }
            let message = match core.apply((*before).clone()).await {
                Ok(()) => "not confirmed: the configuration before is in force again".to_owned(),
                Err(error) => format!("not confirmed, and going back failed: {error:#}"),
            };
            tracing::warn!("{message}");
            core.note("reload", "weir", &message);
        });
    }

    /// Writes into the audit log; what cannot be written is at least logged.
    pub(super) fn note(&self, kind: &str, who: &str, message: &str) {
        let details = [("message".to_owned(), message.to_owned())].into();
        if let Err(error) = self.audit.append(kind, who, details) {
            tracing::error!(%error, kind, who, message, "the audit log cannot be written");
        }
    }
}

/// Settings that a running daemon cannot change.
fn needs_restart(before: &Config, after: &Config) -> impl Iterator<Item = &'static str> {
    let changes = [
        ("data_dir", before.data_dir != after.data_dir),
        ("runtime_dir", before.runtime_dir != after.runtime_dir),
        ("kernel.bpffs", before.kernel.bpffs != after.kernel.bpffs),
        ("kernel.max_flows", before.kernel.max_flows != after.kernel.max_flows),
        ("api.listen", before.api.listen != after.api.listen),
        ("api.control_group", before.api.control_group != after.api.control_group),
        ("geoip.database", database(before) != database(after)),
        ("sink", format!("{:?}", before.sinks) != format!("{:?}", after.sinks)),
        ("log.commit_interval_ms", before.log.commit_interval != after.log.commit_interval),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name)
}

fn database(config: &Config) -> Option<&std::path::Path> {
    config.geoip.as_ref().map(|geoip| geoip.database.as_path())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
