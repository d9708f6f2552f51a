//! The country database while the daemon runs: reloaded when its file changes,
//! updated where the configuration says from where.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::core::Core;
use crate::geo::{self, Holder};

const POLL: Duration = Duration::from_secs(1);
/// After an update that failed.
const RETRY: Duration = Duration::from_hours(1);

/// Looks at the file, and fetches a newer one when it is time, until `stop`.
pub(super) async fn follow(core: Arc<Core>, mut holder: Holder, stop: CancellationToken) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut update_at = first_update(&core);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if update_at.is_some_and(|due| due <= Instant::now()) {
            update_at = update(&core).await;
        }
        match tokio::task::block_in_place(|| holder.poll()) {
            None => {}
            Some(Ok(database)) => {
                tracing::info!(built = %database.built(), "country database loaded");
                core.geo.store(Some(database));
                *core.geo_fault.lock() = None;
                if let Err(error) = core.refresh().await {
                    tracing::error!("the new country database is not in force: {error:#}");
                    *core.geo_fault.lock() = Some(format!("{error:#}"));
                }
            }
            Some(Err(error)) => {
                tracing::warn!("{error}; the database that is loaded stays");
                *core.geo_fault.lock() = Some(error.to_string());
            }
        }
    }
}

/// A missing database is fetched at once, an old one when its time has come.
fn first_update(core: &Core) -> Option<Instant> {
    let config = core.config.load();
    let every = config.geoip.as_ref()?.update.as_ref()?.every;
    let wait = core.geo.load().as_ref().map_or(Duration::ZERO, |_| every);
    Some(Instant::now() + wait)
}

async fn update(core: &Arc<Core>) -> Option<Instant> {
    let config = core.config.load_full();
    let geoip = config.geoip.clone()?;
    let update = geoip.update?;
    let every = update.every;
    let done =
        tokio::task::spawn_blocking(move || geo::update(&update, &geoip.database)).await.ok()?;
    let wait = match done {
        Ok(_) => every,
        Err(error) => {
            tracing::warn!("the country database cannot be updated: {error}");
            *core.geo_fault.lock() = Some(error.to_string());
            RETRY.min(every)
        }
    };
    Some(Instant::now() + wait)
}
