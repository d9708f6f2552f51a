//! The country database while the daemon runs: another one with another
//! configuration, loaded again when its file changes.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::core::{Changes, Core};
use crate::{
    config::Config,
    geo::{Database, Holder},
};

const POLL: Duration = Duration::from_secs(1);

/// What is wrong with the database, in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// Why the file as it is now is not the database in use.
    pub(super) file: Option<String>,
    /// Why there is no newer one.
    pub(super) update: Option<String>,
}

/// The database of a configuration, and its file.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) holder: Option<Holder>,
    pub(super) database: Option<Arc<Database>>,
    pub(super) fault: Option<String>,
}

/// Opens the database that `config` names. Where that fails, the one `before` serves
/// on: a wrong path shuts nobody out who was let in.
pub(super) fn open(config: &Config, before: Option<Arc<Database>>) -> Opened {
    let Some(path) = path(config) else { return Opened::default() };
    let (holder, error) = Holder::open(path);
    let fault = error.map(|error| error.to_string());
    if let Some(fault) = &fault {
        let until = match before {
            Some(_) => "the database that is loaded stays",
            None => "country rules deny with geo_unavailable until there is one",
        };
        tracing::warn!("{fault}; {until}");
    }
    Opened { database: holder.current().or(before), holder: Some(holder), fault }
}

fn path(config: &Config) -> Option<&Path> {
    config.geoip.as_ref().map(|geoip| geoip.database.as_path())
}

impl Core {
    /// The database of `config`, where it is in another file than the one in use.
    pub(super) fn open_database(&self, config: &Config, changes: &Changes) -> Option<Opened> {
        let same = changes.holder.as_ref().map(Holder::path) == path(config);
        (!same).then(|| open(config, self.geo.load_full()))
    }

    /// Follows that file from now on. The policy in force knows the database already.
    pub(super) fn take_database(&self, opened: Opened, changes: &mut Changes) {
        changes.holder = opened.holder;
        self.geo.store(opened.database);
        self.geo_faults.lock().file = opened.fault;
    }

    /// Loads the database again where its file changed.
    pub(super) async fn poll_database(&self) {
        let mut changes = self.changes.lock().await;
        let Some(holder) = &mut changes.holder else { return };
        match tokio::task::block_in_place(|| holder.poll()) {
            None => {}
            Some(Ok(database)) => {
                tracing::info!(built = %database.built(), "country database loaded");
                self.geo.store(Some(database));
                let fault = self.install_again(&mut changes).err().map(|error| {
                    tracing::error!("the new country database is not in force: {error:#}");
                    format!("{error:#}")
                });
                self.geo_faults.lock().file = fault;
            }
            Some(Err(error)) => {
                tracing::warn!("{error}; the database that is loaded stays");
                self.geo_faults.lock().file = Some(error.to_string());
            }
        }
    }
}

/// Looks at the file in use again and again, until `stop`.
pub(super) async fn follow(core: Arc<Core>, stop: CancellationToken) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        core.poll_database().await;
    }
}
