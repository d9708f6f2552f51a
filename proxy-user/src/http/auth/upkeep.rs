//! What is done from time to time.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{Authenticator, now::Now};

const EVERY: Duration = Duration::from_secs(10);

impl Authenticator {
    /// Until `stop`: ends sessions that have expired, writes what could not be written,
    /// and asks providers about users whose streams are open.
    pub async fn keep_up(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.upkeep(Now::read()).await;
            if stop.run_until_cancelled(sleep(EVERY)).await.is_none() {
                return;
            }
        }
    }

    pub(super) async fn upkeep(&self, now: Now) {
        self.sessions.sweep(now.wall);
        self.recheck_held(now.wall).await;
        let sessions = Arc::clone(&self.sessions);
        let kept = spawn_blocking(move || sessions.load(now.wall).and_then(|()| sessions.flush()));
        if let Ok(Err(error)) = kept.await {
            tracing::debug!("sessions are to be written later: {error}");
        }
    }
}
