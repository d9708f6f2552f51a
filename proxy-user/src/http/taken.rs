//! Streams of HTTP/2 whose client does not take what it asked for. Their connection goes on
//! meanwhile and has no limit for that, so each stream has its own.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use hyper::rt::Executor;
use tokio::time::{Duration, Instant, Sleep, sleep};

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
            let mut timer = None;
            // A stream that is dropped is reset.
            tokio::select! {
                biased;
                _ = serving => {}
                () = poll_fn(|cx| taken.poll_stalls(&mut timer, cx)) => {}
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

    /// How long it may still wait, which may have passed; `None`: nothing waits.
    fn left(&self) -> Option<Duration> {
        let since = self.offered.load(Relaxed).checked_sub(1)?;
        let until = self.begun + Duration::from_millis(since) + STALLED;
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Ready when something has waited for too long. To be asked whenever the stream was
    /// served: most never wait, and need no timer.
    fn poll_stalls(&self, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(left) = self.left() {
            if left.is_zero() {
                return Poll::Ready(());
            }
            let sleeping = timer.get_or_insert_with(|| Box::pin(sleep(left)));
            ready!(sleeping.as_mut().poll(cx));
            *timer = None;
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::task::Waker;

    use super::*;

    #[test]
    fn only_what_waits_for_the_client_has_a_limit() {
        let begun = Instant::now().checked_sub(STALLED * 2).unwrap();
        let taken = Taken { begun, offered: AtomicU64::new(0) };
        assert_eq!(taken.left(), None, "the target may take its time");
        taken.offered.store(1, Relaxed);
        assert_eq!(taken.left(), Some(Duration::ZERO));
        taken.offers();
        assert!(taken.left() > Some(STALLED / 2));
        taken.takes();
        assert_eq!(taken.left(), None);
    }

    #[tokio::test]
    async fn a_timer_runs_only_while_something_waits() {
        let taken = |begun| Taken { begun, offered: AtomicU64::new(0) };
        let (now, mut timer) = (Instant::now(), None);
        let mut cx = Context::from_waker(Waker::noop());
        let fresh = taken(now);
        assert!(fresh.poll_stalls(&mut timer, &mut cx).is_pending());
        assert!(timer.is_none());
        fresh.offers();
        assert!(fresh.poll_stalls(&mut timer, &mut cx).is_pending());
        assert!(timer.is_some());
        let old = taken(now.checked_sub(STALLED * 2).unwrap());
        old.offered.store(1, Relaxed);
        assert!(old.poll_stalls(&mut timer, &mut cx).is_ready());
    }

    #[tokio::test]
    async fn a_stream_knows_what_is_its_own() {
        assert!(Taken::current().is_none());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        Streams.execute(async move { sender.send(Taken::current().is_some()) });
        assert!(receiver.await.unwrap());
    }
}
