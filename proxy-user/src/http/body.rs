//! Bodies on their way through, counted, and the end of the record with that of an answer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes as Chunk;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use proxy_common::reason::Reason;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    exchange::Exchange,
    forward::Way,
    headers,
    pulse::Pulse,
    taken::Taken,
    traffic::{BodyEnd, Traffic},
};
use crate::relay::Bytes;

/// How long a client may be silent within a body.
const SILENCE: Duration = Duration::from_mins(1);

/// The body of a request, on its way to a target.
pub(super) struct Upload {
    /// With the pulse of the connection that it comes over; `None`: there is none.
    inner: Option<(Incoming, Arc<Pulse>)>,
    traffic: Arc<Traffic>,
    credentials: Arc<[hyper::header::HeaderName]>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Upload {
    pub(super) fn new(
        inner: (Incoming, Arc<Pulse>),
        traffic: &Arc<Traffic>,
        credentials: Arc<[hyper::header::HeaderName]>,
    ) -> Self {
        Self { inner: Some(inner), traffic: Arc::clone(traffic), credentials, patience: None }
    }

    /// Of a request without one.
    pub(super) fn none(traffic: &Arc<Traffic>) -> Self {
        let credentials = Arc::default();
        Self { inner: None, traffic: Arc::clone(traffic), credentials, patience: None }
    }

    /// Whether the client was silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = || Box::pin(sleep_until(Instant::now() + SILENCE));
        self.patience.get_or_insert_with(until).as_mut().poll(cx)
    }
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// It broke off.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// The client was silent for too long.
    #[error("the client sent nothing for {} s", SILENCE.as_secs())]
    Silent,
}

impl Body for Upload {
    type Data = Chunk;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, BodyError>>> {
        let Some((inner, pulse)) = &mut self.inner else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(cx) else {
            ready!(self.poll_silence(cx));
            self.traffic.body_ends(BodyEnd::Silent);
            return Poll::Ready(Some(Err(BodyError::Silent)));
        };
        if frame.is_none() || inner.is_end_stream() {
            pulse.set_unread(false);
        }
        self.patience = None;
        self.traffic.asks();
        Poll::Ready(frame.map(|frame| match frame {
            Ok(frame) => {
                if let Some(data) = frame.data_ref() {
                    self.traffic.moves(Bytes { up: data.len() as u64, down: 0 });
                }
                Ok(match frame.into_trailers() {
                    Ok(mut trailers) => {
                        headers::clean_trailers(&mut trailers, &self.credentials);
                        Frame::trailers(trailers)
                    }
                    Err(frame) => frame,
                })
            }
            Err(error) => {
                self.traffic.body_ends(BodyEnd::Broken);
                Err(error.into())
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(|(inner, _)| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), |(inner, _)| inner.size_hint())
    }
}

/// The body of an answer. The request's record is made when this is dropped.
pub(super) struct Download {
    inner: Inner,
    /// `None`: somebody else follows the request to its end.
    exchange: Option<Box<Exchange>>,
    /// Of the stream that it goes over, where it is one.
    taken: Option<Arc<Taken>>,
}

enum Inner {
    /// Of Weir's own making.
    Page(Option<Chunk>),
    /// A target's.
    Target(Incoming, Way),
}

/// Why the body of an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    /// The target broke it off.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// Weir did: who asked for it may not have it any more.
    #[error("cut")]
    Cut,
}

impl Download {
    /// Of Weir's own making.
    pub(super) fn page(page: Chunk, exchange: Box<Exchange>) -> Self {
        let page = Some(page).filter(|page| !page.is_empty());
        Self::new(Inner::Page(page), Some(exchange))
    }

    /// A target's.
    pub(super) fn of_target(inner: Incoming, way: Way, exchange: Box<Exchange>) -> Self {
        Self::new(Inner::Target(inner, way), Some(exchange))
    }

    /// Nothing, where another protocol follows.
    pub(super) fn none() -> Self {
        Self::new(Inner::Page(None), None)
    }

    fn new(inner: Inner, exchange: Option<Box<Exchange>>) -> Self {
        let taken = Taken::current();
        if let Some(taken) = &taken {
            taken.offers();
        }
        Self { inner, exchange, taken }
    }

    fn passes(&mut self, frame: Frame<Chunk>) -> Frame<Chunk> {
        if let (Some(data), Some(exchange)) = (frame.data_ref(), &self.exchange) {
            let down = data.len() as u64;
            exchange.traffic().moves(Bytes { up: 0, down });
        }
        if let Some(taken) = &self.taken {
            taken.offers();
        }
        match frame.into_trailers() {
            Ok(mut trailers) => {
                headers::remove_hop_by_hop(&mut trailers);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }
    }

    fn is_complete(&mut self) {
        if let Inner::Target(_, way) = &mut self.inner {
            way.is_free();
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.is_complete();
        }
    }
}

impl Body for Download {
    type Data = Chunk;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, AnswerError>>> {
        let this = &mut *self;
        // Nobody asks before the client has taken what there was.
        if let Some(taken) = &this.taken {
            taken.takes();
        }
        let inner = match &mut this.inner {
            Inner::Page(page) => return Poll::Ready(page.take().map(Frame::data).map(Ok)),
            Inner::Target(inner, _) => inner,
        };
        if let Some(exchange) = &mut this.exchange
            && exchange.poll_cut(cx).is_ready()
        {
            return Poll::Ready(Some(Err(AnswerError::Cut)));
        }
        Poll::Ready(match ready!(Pin::new(inner).poll_frame(cx)) {
            Some(Ok(frame)) => Some(Ok(this.passes(frame))),
            Some(Err(error)) => {
                if let Some(exchange) = &mut this.exchange {
                    exchange.fails(Reason::BackendError, &error);
                }
                Some(Err(error.into()))
            }
            None => {
                this.is_complete();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Page(page) => page.is_none(),
            Inner::Target(inner, _) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Page(page) => SizeHint::with_exact(page.as_ref().map_or(0, |p| p.len() as u64)),
            Inner::Target(inner, _) => inner.size_hint(),
        }
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.is_complete();
        }
    }
}
