//! The idle timeout.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Ends a session in which no payload moves. The timer is not touched when bytes
/// move: it is set anew when it fires too early.
pub(in crate::relay) struct Idle {
    timer: Pin<Box<Sleep>>,
    last: Instant,
    limit: Duration,
    /// The timer was polled, and knows whom to wake.
    armed: bool,
}

impl Idle {
    /// Counts from now.
    pub(in crate::relay) fn new(limit: Duration) -> Self {
        let last = Instant::now();
        Self { timer: Box::pin(sleep_until(last + limit)), last, limit, armed: false }
    }

    /// Something moved at that time, of which [`Self::poll`] was not told.
    pub(in crate::relay) fn touch(&mut self, at: Instant) {
        self.last = self.last.max(at);
    }

    /// When something moved last.
    pub(in crate::relay) fn last(&self) -> Instant {
        self.last
    }

    /// Ready when nothing has moved for the limit. `moved` says whether something
    /// did since the last poll, `limit` gives what is configured now.
    pub(in crate::relay) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        moved: bool,
        limit: impl Fn() -> Duration,
    ) -> Poll<()> {
        if moved {
            self.last = Instant::now();
            // It is set, and wakes the session when it is due.
            if self.armed && !self.timer.is_elapsed() {
                return Poll::Pending;
            }
        } else if self.limit != limit() {
            self.limit = limit();
            self.timer.as_mut().reset(self.last + self.limit);
        }
        self.armed = true;
        while self.timer.as_mut().poll(cx).is_ready() {
            self.limit = limit();
            let due = self.last + self.limit;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    async fn fires(idle: &mut Idle) -> Instant {
        poll_fn(|cx| idle.poll(cx, false, || LIMIT)).await;
        Instant::now()
    }

    #[tokio::test]
    async fn it_ends_when_nothing_moves() {
        let started = Instant::now();
        assert!(fires(&mut Idle::new(LIMIT)).await >= started + LIMIT);
    }

    #[tokio::test]
    async fn a_byte_starts_it_anew() {
        let mut idle = Idle::new(LIMIT);
        let started = Instant::now();
        poll_fn(|cx| {
            let early = started.elapsed() < LIMIT / 2;
            let fired = idle.poll(cx, true, || LIMIT).is_ready();
            assert!(!fired, "bytes moved");
            if early {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        assert!(fires(&mut idle).await >= started + LIMIT + LIMIT / 2);
    }

    #[tokio::test]
    async fn a_shorter_limit_holds_for_what_runs() {
        let long = Duration::from_hours(1);
        let mut idle = Idle::new(long);
        let first = poll_fn(|cx| Poll::Ready(idle.poll(cx, false, || long))).await;
        assert!(first.is_pending());
        assert!(tokio::time::timeout(long / 60, fires(&mut idle)).await.is_ok());
    }
}
