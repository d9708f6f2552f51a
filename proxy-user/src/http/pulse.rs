//! How far a connection is: what its time limits go by, and when a request began.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// From the first byte of a head to its end.
const HEAD: Duration = Duration::from_secs(10);
/// From an answer to the next request, or from accept to the first.
const IDLE: Duration = Duration::from_secs(75);
/// How long a client may take none of what is there for it.
pub(super) const STALLED: Duration = Duration::from_mins(1);

/// What is known of a connection by whoever serves it. Times are nanoseconds since it was
/// accepted, and one more; 0: there was none.
#[derive(Debug)]
pub(super) struct Pulse {
    accepted: Instant,
    /// Whether a request came.
    asked: AtomicBool,
    /// The first byte of a head that is not complete. HTTP/2 has none: what comes between
    /// requests may be anything.
    head: AtomicU64,
    /// Since when it was idle.
    idle: AtomicU64,
    /// Since when it takes nothing.
    stalled: AtomicU64,
    /// Requests under way.
    serving: AtomicU32,
    /// Whether the client may still be sending the last request's body. Over HTTP/2, where
    /// several may come at a time, it tells nothing.
    unread: AtomicBool,
}

/// Whether to go on with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// To be looked at again by then.
    Good(Instant),
    /// Nothing was asked for a long time: it may go.
    Idle,
    /// A head does not end.
    SlowHead,
    /// It takes nothing of what it asked for.
    Stalled,
}

impl Pulse {
    pub(super) fn new(accepted: Instant) -> Arc<Self> {
        let pulse = Self {
            accepted,
            asked: AtomicBool::new(false),
            head: AtomicU64::new(0),
            idle: AtomicU64::new(1),
            stalled: AtomicU64::new(0),
            serving: AtomicU32::new(0),
            unread: AtomicBool::new(false),
        };
        Arc::new(pulse)
    }

    fn now(&self) -> u64 {
        let nanos = self.accepted.elapsed().as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn at(&self, time: u64) -> Instant {
        self.accepted + Duration::from_nanos(time.saturating_sub(1))
    }

    /// A request's head is complete: when it began, which for the first is when the
    /// connection was accepted.
    pub(super) fn begin(self: &Arc<Self>) -> (Instant, Serving) {
        self.serving.fetch_add(1, Relaxed);
        let is_first = !self.asked.swap(true, Relaxed);
        let began = match self.head.swap(0, Relaxed) {
            _ if is_first => self.accepted,
            0 => Instant::now(),
            head => self.at(head),
        };
        (began, Serving(Arc::clone(self)))
    }

    /// Whether some of the request's body is still to be read.
    pub(super) fn set_unread(&self, unread: bool) {
        self.unread.store(unread, Relaxed);
    }

    /// Whether some of the last request's body was not read.
    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// How it is now.
    pub(super) fn health(&self) -> Health {
        let load = |time: &AtomicU64| Some(time.load(Relaxed)).filter(|time| *time != 0);
        let stalled = load(&self.stalled).map(|since| (self.at(since) + STALLED, Health::Stalled));
        let waits = if self.serving.load(Relaxed) > 0 {
            None
        } else if let Some(head) = load(&self.head) {
            Some((self.at(head) + HEAD, Health::SlowHead))
        } else {
            load(&self.idle).map(|since| (self.at(since) + IDLE, Health::Idle))
        };
        let now = Instant::now();
        let limits = [stalled, waits].into_iter().flatten();
        match limits.min_by_key(|(until, _)| *until) {
            Some((until, over)) if until <= now => over,
            Some((until, _)) => Health::Good(until.min(now + HEAD)),
            None => Health::Good(now + HEAD),
        }
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Serving(Arc<Pulse>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.idle.store(self.0.now(), Relaxed);
        self.0.serving.fetch_sub(1, Relaxed);
    }
}

/// A connection whose pulse is taken.
pub(super) struct Watched<S> {
    pub(super) stream: S,
    pub(super) pulse: Arc<Pulse>,
    pub(super) is_http2: bool,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let pulse = &self.pulse;
        if !self.is_http2
            && buf.filled().len() > before
            && pulse.serving.load(Relaxed) == 0
            && pulse.head.load(Relaxed) == 0
        {
            pulse.head.store(pulse.now(), Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Watched<S> {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let stalled = &self.pulse.stalled;
        match (written.is_pending(), stalled.load(Relaxed)) {
            (true, 0) => stalled.store(self.pulse.now(), Relaxed),
            (false, since) if since != 0 => stalled.store(0, Relaxed),
            _ => {}
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use tokio::io::AsyncReadExt;

    use super::*;

    fn ago(time: Duration) -> Arc<Pulse> {
        Pulse::new(Instant::now().checked_sub(time).unwrap())
    }

    #[test]
    fn a_connection_on_which_nothing_is_asked_may_go() {
        assert!(matches!(ago(IDLE / 2).health(), Health::Good(_)));
        assert_eq!(ago(IDLE).health(), Health::Idle);
        let pulse = ago(IDLE);
        let (_, serving) = pulse.begin();
        assert!(matches!(pulse.health(), Health::Good(_)), "an answer may take its time");
        drop(serving);
        assert!(matches!(pulse.health(), Health::Good(_)), "the next request may, too");
    }

    #[test]
    fn a_head_has_to_end_and_a_request_began_with_it() {
        let pulse = ago(HEAD);
        pulse.head.store(1, Relaxed);
        assert_eq!(pulse.health(), Health::SlowHead);
        let (began, _serving) = pulse.begin();
        assert_eq!(began, pulse.accepted);
        assert_eq!(pulse.head.load(Relaxed), 0);
    }

    #[test]
    fn the_first_request_began_with_the_connection_and_others_with_their_head() {
        let pulse = ago(HEAD);
        assert_eq!(pulse.begin().0, pulse.accepted);
        let now = Instant::now();
        assert!(pulse.begin().0 >= now, "nothing was read of its head before");
    }

    /// A frame between requests, such as the answer to a ping, begins no request: the
    /// connection may wait for the next as long as any other.
    #[tokio::test]
    async fn what_comes_between_requests_of_http2_is_no_head() {
        for (is_http2, awaits) in [(true, false), (false, true)] {
            let pulse = ago(Duration::ZERO);
            let mut watched =
                Watched { stream: &b"frame"[..], pulse: Arc::clone(&pulse), is_http2 };
            watched.read_u8().await.unwrap();
            assert_eq!(pulse.head.load(Relaxed) != 0, awaits, "{is_http2}");
        }
    }

    #[test]
    fn a_client_that_takes_nothing_is_let_go() {
        let pulse = ago(STALLED);
        let (_, _serving) = pulse.begin();
        pulse.stalled.store(1, Relaxed);
        assert_eq!(pulse.health(), Health::Stalled);
    }
}
