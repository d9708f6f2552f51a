//! Reload, and going back where it is not confirmed.

use std::{sync::Arc, time::Duration};

use super::core::{ApplyError, Core};
use crate::config::{self, Config, Faults};

/// Whether the configuration in force is one that goes back unless confirmed.
#[derive(Default)]
pub(super) struct Unconfirmed {
    /// The last that was confirmed, where the one in force is not.
    before: Option<Arc<Config>>,
    /// Counts reloads: the time that one was given is nothing to the next.
    round: u64,
}

/// Why a reload changed nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The file is faulty; every fault, one a line.
    #[error(transparent)]
    Faulty(#[from] Faults),
    /// What it says cannot be brought in force.
    #[error(transparent)]
    NotApplied(#[from] ApplyError),
}

impl Core {
    /// Reads the file again and applies it; gives what the operator should know. With
    /// `confirm` it goes back to the last confirmed configuration unless it is
    /// confirmed within that time; without it is confirmed at once. A faulty file
    /// changes nothing.
    ///
    /// # Errors
    /// Every fault, one a line, or what could not be applied.
    pub(super) async fn reload(
        self: &Arc<Self>,
        who: &str,
        confirm: Option<Duration>,
    ) -> Result<Vec<String>, ReloadError> {
        // Whatever becomes of the configuration: files may have been rotated.
        self.sinks.reopen();
        let outcome = self.try_reload(confirm).await;
        let message = match &outcome {
            Ok(_) => format!("configuration {} is in force", hex(&self.config.load().digest)),
            Err(error) => format!("refused, nothing changed: {error}"),
        };
        tracing::info!(who, "reload: {message}");
        self.note("reload", who, &message);
        outcome
    }

    /// Keeps the configuration in force. False: it was not in question.
    pub(super) async fn confirm(&self) -> bool {
        self.unconfirmed.lock().await.before.take().is_some()
    }

    async fn try_reload(
        self: &Arc<Self>,
        confirm: Option<Duration>,
    ) -> Result<Vec<String>, ReloadError> {
        let mut unconfirmed = self.unconfirmed.lock().await;
        let loaded = config::load(&self.config_path)?;
        let before = self.config.load_full();
        let mut told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        told.extend(
            needs_restart(&before, &loaded.config)
                .map(|name| format!("{name} changes with the next start only")),
        );
        self.put_in_force(loaded.config).await?;
        told.extend(self.coverage.lock().told());
        unconfirmed.round += 1;
        let confirmed = unconfirmed.before.take().unwrap_or(before);
        if let Some(time) = confirm {
            unconfirmed.before = Some(confirmed);
            self.go_back_unless_confirmed(unconfirmed.round, time);
        }
        Ok(told)
    }

    async fn put_in_force(&self, config: Config) -> Result<(), ApplyError> {
        self.apply(config).await?;
        tokio::task::block_in_place(|| self.follow_network());
        Ok(())
    }

    fn go_back_unless_confirmed(self: &Arc<Self>, round: u64, time: Duration) {
        let core = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            core.go_back(round).await;
        });
    }

    /// Goes back to the last confirmed configuration, if the reload of that number is
    /// still in question.
    pub(super) async fn go_back(&self, round: u64) {
        let mut unconfirmed = self.unconfirmed.lock().await;
        if unconfirmed.round != round {
            return;
        }
        let Some(confirmed) = unconfirmed.before.take() else { return };
        let digest = hex(&confirmed.digest);
        let message = match self.put_in_force((*confirmed).clone()).await {
            Ok(()) => format!("not confirmed: configuration {digest} is in force again"),
            Err(error) => format!("not confirmed, and going back failed: {error}"),
        };
        tracing::warn!("{message}");
        self.note("reload", "weir", &message);
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
        ("sink", format!("{:?}", before.sinks) != format!("{:?}", after.sinks)),
        ("log.commit_interval_ms", before.log.commit_interval != after.log.commit_interval),
        ("log.on_overload", before.log.on_overload != after.log.on_overload),
        ("log.on_store_failure", before.log.on_store_failure != after.log.on_store_failure),
    ];
    changes.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
