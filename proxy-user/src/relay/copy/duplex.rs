//! Both directions of a session.

use std::{
    io,
    net::Shutdown,
    sync::Arc,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream};

use super::{
    direction::{Direction, Fault},
    end::End,
    pipe::PipePool,
};
use crate::relay::Bytes;

/// Copies both ways; the end of one stream is handed on while the other goes on.
pub(in crate::relay) struct Duplex<'a> {
    client: &'a TcpStream,
    target: &'a TcpStream,
    up: Half,
    down: Half,
    first_end: Option<End>,
}

enum Half {
    Open(Direction),
    Ended,
}

impl<'a> Duplex<'a> {
    /// `ahead` was read of the client already.
    pub(in crate::relay) fn new(
        client: &'a TcpStream,
        target: &'a TcpStream,
        pipes: &Arc<PipePool>,
        ahead: Vec<u8>,
    ) -> Self {
        let up = Half::Open(Direction::behind(ahead, Arc::clone(pipes)));
        let down = Half::Open(Direction::new(Arc::clone(pipes)));
        Self { client, target, up, down, first_end: None }
    }

    /// Moves what can be moved now: how much that was, and whether that was the end.
    pub(in crate::relay) fn poll(&mut self, cx: &mut Context<'_>) -> (Bytes, Poll<End>) {
        let mut bytes = Bytes::default();
        let end = self.poll_halves(cx, &mut bytes);
        (bytes, end)
    }

    /// Whether the client is being read.
    pub(in crate::relay) fn reads_client(&self) -> bool {
        self.up.is_reading()
    }

    /// Whether the target is being read.
    pub(in crate::relay) fn reads_target(&self) -> bool {
        self.down.is_reading()
    }

    fn poll_halves(&mut self, cx: &mut Context<'_>, bytes: &mut Bytes) -> Poll<End> {
        match self.up.poll(cx, self.client, self.target, &mut bytes.up) {
            Poll::Ready(Ok(())) => self.hand_on_end(End::ClientClosed, self.target),
            Poll::Ready(Err(Fault::Source(error))) => return Poll::Ready(End::of_client(&error)),
            Poll::Ready(Err(Fault::Sink(error))) => return Poll::Ready(End::of_target(&error)),
            Poll::Pending => {}
        }
        match self.down.poll(cx, self.target, self.client, &mut bytes.down) {
            Poll::Ready(Ok(())) => self.hand_on_end(End::TargetClosed, self.client),
            Poll::Ready(Err(Fault::Source(error))) => return Poll::Ready(End::of_target(&error)),
            Poll::Ready(Err(Fault::Sink(error))) => return Poll::Ready(End::of_client(&error)),
            Poll::Pending => {}
        }
        match (&self.up, &self.down, self.first_end) {
            (Half::Ended, Half::Ended, Some(end)) => Poll::Ready(end),
            _ => Poll::Pending,
        }
    }

    /// One stream has ended. When both have, closing the sockets says so to `sink`.
    fn hand_on_end(&mut self, end: End, sink: &TcpStream) {
        if self.first_end.is_none() {
            self.first_end = Some(end);
            // It fails only where `sink` was reset, which its own stream tells.
            let _ = SockRef::from(sink).shutdown(Shutdown::Write);
        }
    }
}

impl Half {
    fn is_reading(&self) -> bool {
        matches!(self, Self::Open(direction) if direction.is_reading())
    }

    /// Ready once: when the stream has just ended.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &TcpStream,
        sink: &TcpStream,
        moved: &mut u64,
    ) -> Poll<Result<(), Fault>> {
        let Self::Open(direction) = self else { return Poll::Pending };
        let result = direction.poll(cx, source, sink, moved);
        if result.is_ready() {
            *self = Self::Ended;
        }
        result
    }
}

/// Waits for an error on a socket, also on one that is not being read.
pub(in crate::relay) async fn fault(stream: &TcpStream) -> io::Error {
    match stream.ready(Interest::ERROR).await {
        Ok(_) => {
            let error = stream.take_error().ok().flatten();
            error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
        }
        Err(error) => error,
    }
}
