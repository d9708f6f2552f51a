//! Streams of HTTP/2 whose client does not take what it asked for. Their connection goes on
//! meanwhile and has no limit for that, so each stream has its own.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use hyper::rt::Executor;
use tokio::time::{Duration, Instant, sleep};

use super::pulse::STALLED;

tokio::task_local! {
    static TAKEN: Arc<Taken>;
}

/// Runs streams, each for as long as its client takes what is there for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        tokio::spawn(async move {
            let taken = Arc::new(Taken::new());
            let serving = TAKEN.scope(Arc::clone(&taken), stream);
            // A stream that is dropped is reset.
            tokio::select! {
                biased;
                _ = serving => {}
                () = taken.stalls() => {}
            }
        });
    }
}

/// What a stream's client has taken.
#[derive(Debug)]
pub(super) struct Taken {
    begun: Instant,
    /// Since when something waits for the client, in milliseconds, and one more; 0: nothing.
    offered: AtomicU64,
}

impl Taken {
    fn new() -> Self {
        Self { begun: Instant::now(), offered: AtomicU64::new(0) }
    }

    /// The running stream's; `None`: this is none.
    pub(super) fn current() -> Option<Arc<Self>> {
        TAKEN.try_with(Arc::clone).ok()
    }

    /// Something waits for the client.
    pub(super) fn offers(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.offered.store(now.saturating_add(1), Relaxed);
    }

    /// The client took it.
    pub(super) fn takes(&self) {
        self.offered.store(0, Relaxed);
    }

    /// How long it may still wait; nothing where it has waited for too long.
    fn left(&self) -> Duration {
        match self.offered.load(Relaxed) {
            0 => STALLED,
            since => {
                let until = self.begun + Duration::from_millis(since - 1) + STALLED;
                until.saturating_duration_since(Instant::now())
            }
        }
    }

    async fn stalls(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn only_what_waits_for_the_client_has_a_limit() {
        let begun = Instant::now().checked_sub(STALLED * 2).unwrap();
        let taken = Taken { begun, offered: AtomicU64::new(0) };
        assert_eq!(taken.left(), STALLED, "the target may take its time");
        taken.offered.store(1, Relaxed);
        assert_eq!(taken.left(), Duration::ZERO);
        taken.offers();
        assert!(taken.left() > STALLED / 2);
        taken.takes();
        assert_eq!(taken.left(), STALLED);
    }

    #[tokio::test]
    async fn a_stream_knows_what_is_its_own() {
        assert!(Taken::current().is_none());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        Streams.execute(async move { sender.send(Taken::current().is_some()) });
        assert!(receiver.await.unwrap());
    }
}
