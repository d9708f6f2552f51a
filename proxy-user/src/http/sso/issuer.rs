//! What is known of one provider, fetched when it is needed and not more often.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::{error::SsoError, known::Known};
use crate::config::SsoProvider;

/// For which nobody asks a provider again that did not answer.
const FAILED: Duration = Duration::from_secs(3);
/// The same where what is known is merely old.
const FAILED_AGAIN: Duration = Duration::from_mins(5);
/// Between two fetches for the sake of an unknown key.
const KEYS: Duration = Duration::from_secs(10);

/// One provider.
pub(super) struct Issuer {
    pub(super) provider: Arc<SsoProvider>,
    known: ArcSwapOption<Known>,
    /// Whoever fetches holds it, so that one does at a time.
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    failed: Option<(Instant, SsoError)>,
    keys: Option<Instant>,
}

impl Issuer {
    pub(super) fn new(provider: Arc<SsoProvider>) -> Self {
        Self { provider, known: ArcSwapOption::empty(), turn: Mutex::default() }
    }

    /// What is known, at most a day old where the provider answers.
    pub(super) async fn known(&self) -> Result<Arc<Known>, SsoError> {
        self.known_at(Instant::now()).await
    }

    pub(super) async fn known_at(&self, now: Instant) -> Result<Arc<Known>, SsoError> {
        match self.known.load_full() {
            Some(known) if known.is_fresh(now) => Ok(known),
            Some(known) => Ok(self.renewed(known).await),
            None => self.first().await,
        }
    }

    /// After a token that no known key has signed: what is known now, where that is
    /// something else.
    pub(super) async fn other_than(
        &self,
        seen: &Arc<Known>,
    ) -> Result<Option<Arc<Known>>, SsoError> {
        let mut turn = self.turn.lock().await;
        let now = self.known.load_full();
        if let Some(now) = now.filter(|now| !Arc::ptr_eq(now, seen)) {
            return Ok(Some(now));
        }
        if turn.keys.is_some_and(|at| at.elapsed() < KEYS) {
            // Whether there is such a key is not known while the provider does not say.
            return turn.failed.as_ref().map_or(Ok(None), |(_, error)| Err(error.clone()));
        }
        turn.keys = Some(Instant::now());
        self.fetch(&mut turn).await.map(Some)
    }

    async fn first(&self) -> Result<Arc<Known>, SsoError> {
        let mut turn = self.turn.lock().await;
        if let Some(known) = self.known.load_full() {
            return Ok(known);
        }
        match &turn.failed {
            Some((at, error)) if at.elapsed() < FAILED => Err(error.clone()),
            _ => self.fetch(&mut turn).await,
        }
    }

    /// What is old serves as long as there is nothing newer: nobody waits for another's
    /// fetch, and a provider out of reach is not asked by each visitor.
    async fn renewed(&self, old: Arc<Known>) -> Arc<Known> {
        let Ok(mut turn) = self.turn.try_lock() else { return old };
        if turn.failed.as_ref().is_some_and(|(at, _)| at.elapsed() < FAILED_AGAIN) {
            return old;
        }
        self.fetch(&mut turn).await.unwrap_or(old)
    }

    async fn fetch(&self, turn: &mut Turn) -> Result<Arc<Known>, SsoError> {
        match Known::fetch(&self.provider).await {
            Ok(known) => {
                let known = Arc::new(known);
                turn.failed = None;
                self.known.store(Some(Arc::clone(&known)));
                Ok(known)
            }
            Err(error) => {
                tracing::warn!(provider = self.provider.name, "single sign-on: {error}");
                turn.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
