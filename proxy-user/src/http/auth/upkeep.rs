//! What is done from time to time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{Authenticator, now::Now};

const EVERY: Duration = Duration::from_secs(10);

impl Authenticator {
    /// Until `stop`: ends sessions that have expired, writes what could not be written,
    /// and asks providers about users whose streams are open.
    pub async fn keep_up(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(join(self.keep(), self.recheck())).await;
    }

    async fn keep(&self) {
        loop {
            self.upkeep(Now::read()).await;
            sleep(EVERY).await;
        }
    }

    pub(super) async fn upkeep(&self, now: Now) {
        self.sessions.sweep(now.wall);
        let sessions = Arc::clone(&self.sessions);
        let kept = spawn_blocking(move || sessions.load(now.wall).and_then(|()| sessions.flush()));
        if let Ok(Err(error)) = kept.await {
            tracing::debug!("sessions are to be written later: {error}");
        }
    }

    /// Each provider is asked at its own pace: none waits for another that does not answer.
    async fn recheck(self: &Arc<Self>) {
        let mut passes: HashMap<String, AbortOnDropHandle<()>> = HashMap::new();
        loop {
            passes.retain(|_, pass| !pass.is_finished());
            for (provider, held) in self.held() {
                passes.entry(provider).or_insert_with(|| {
                    let own = Arc::clone(self);
                    let pass = async move { own.recheck_held(held, || Now::read().wall).await };
                    AbortOnDropHandle::new(tokio::spawn(pass))
                });
            }
            sleep(EVERY).await;
        }
    }
}
