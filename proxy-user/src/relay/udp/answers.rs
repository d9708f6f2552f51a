//! From the target to the client, until the session ends.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::Interest;

use super::{
    batch::{Arena, MOST},
    bundles::{Bundles, is_too_large},
    uplink::Uplink,
    upstream::Upstream,
};
use crate::{
    record::CloseReason,
    relay::{Bytes, Datagrams, copy::Idle, published::Entered, sensor::Sensor, targets::Seat},
};

/// Silence after which a session ends when all are to end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Messages that are asked for while few come.
const FEW: usize = 4;

/// What is heard when nobody listens at the target.
pub(super) enum Refused {
    /// The target has never answered.
    Unanswered(io::Error),
    /// It has gone away.
    AfterAnswers(io::Error),
}

/// What the task of a session works with.
pub(super) struct Answers<'a> {
    uplink: &'a Uplink,
    upstream: &'a Upstream,
    entered: &'a Entered,
    sensor: &'a mut Sensor,
    count: &'a mut Datagrams,
    seat: &'a Seat,
    bundles: Bundles,
    /// Messages that are asked for.
    most: usize,
    answered: bool,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        uplink: &'a Uplink,
        upstream: &'a Upstream,
        entered: &'a Entered,
        sensor: &'a mut Sensor,
        count: &'a mut Datagrams,
        seat: &'a Seat,
    ) -> Self {
        let bundles = Bundles::default();
        let (most, answered) = (FEW, false);
        Self { uplink, upstream, entered, sensor, count, seat, bundles, most, answered }
    }

    /// Passes answers on, and says how the session ends.
    pub(super) async fn relay(mut self) -> Result<CloseReason, Refused> {
        let (uplink, upstream, entered) = (self.uplink, self.upstream, self.entered);
        let mut idle = Idle::new(self.limit());
        // What ICMP tells does not make a socket readable.
        let mut fault = pin!(upstream.socket().ready(Interest::ERROR));
        poll_fn(|cx| {
            if let Poll::Ready(cut) = entered.control().poll_cut(cx) {
                return Poll::Ready(Ok(cut.into()));
            }
            if let Some(error) = uplink.take_refusal() {
                return Poll::Ready(Err(self.refused(error)));
            }
            let moved = match self.poll_answers(cx) {
                Ok(moved) => moved,
                Err(error) => return Poll::Ready(Err(self.refused(error))),
            };
            while let Poll::Ready(ready) = fault.as_mut().poll(cx) {
                if let Err(error) = self.heard(ready.map(|mut ready| ready.clear_ready())) {
                    return Poll::Ready(Err(self.refused(error)));
                }
                fault.set(upstream.socket().ready(Interest::ERROR));
            }
            if !moved {
                idle.touch(uplink.last());
            }
            match idle.poll(cx, moved, || self.limit()) {
                Poll::Ready(()) if uplink.close_if_silent_since(idle.last()) => {
                    Poll::Ready(Ok(self.silent()))
                }
                Poll::Ready(()) => {
                    // The client has just sent something.
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Passes on what is there. True: payload was.
    fn poll_answers(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let (upstream, mut moved) = (self.upstream, false);
        loop {
            let mut ready = match upstream.socket().poll_read_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return Ok(moved),
            };
            match self.pass() {
                Ok(Relayed { payload, full: true }) => {
                    // Others come before there is more.
                    cx.waker().wake_by_ref();
                    return Ok(moved | payload);
                }
                Ok(Relayed { payload, full: false }) => {
                    moved |= payload;
                    ready.clear_ready();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if is_too_large(&error) => self.count.undelivered += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Passes one batch on.
    fn pass(&mut self) -> io::Result<Relayed> {
        let (socket, io) = (self.upstream.socket().get_ref(), &self.upstream.common().io);
        Arena::lend(|arena| {
            let (batch, stage) = arena.receive(socket, io, self.most)?;
            let payload = batch.trains().any(|train| !train.bytes().is_empty());
            let listener = self.uplink.listener();
            let way = listener.answers(self.uplink.peers);
            let passed = self.bundles.pass(batch.trains(), stage, &way);
            if !self.answered {
                self.answered = true;
                self.seat.worked();
            }
            self.sensor.moved(Bytes { up: 0, down: passed.bytes });
            self.count.down += passed.datagrams;
            self.count.undelivered += passed.undelivered;
            let full = batch.len() == self.most;
            self.most = if full { MOST } else { FEW };
            Ok(Relayed { payload, full })
        })
    }

    /// What an error on the socket means, of which there may be none.
    fn heard(&mut self, ready: io::Result<()>) -> io::Result<()> {
        ready?;
        match self.upstream.socket().get_ref().take_error()? {
            Some(error) if is_too_large(&error) => self.count.undelivered += 1,
            Some(error) => return Err(error),
            None => {}
        }
        Ok(())
    }

    fn refused(&self, error: io::Error) -> Refused {
        if self.answered { Refused::AfterAnswers(error) } else { Refused::Unanswered(error) }
    }

    fn is_draining(&self) -> bool {
        self.upstream.common().draining.load(Relaxed)
    }

    fn limit(&self) -> Duration {
        let limit = self.entered.published().settings().idle_timeout;
        if self.is_draining() { limit.min(LAST_WORDS) } else { limit }
    }

    fn silent(&self) -> CloseReason {
        if self.is_draining() { CloseReason::Shutdown } else { CloseReason::IdleTimeout }
    }
}

/// What a batch was.
struct Relayed {
    /// It held payload.
    payload: bool,
    /// There may be more.
    full: bool,
}
