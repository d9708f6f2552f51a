//! A connection that has changed to another protocol: bytes both ways, until one end or
//! Weir has enough.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    time::{Instant, sleep},
};

use super::{connection::Connection, exchange::Exchange, forward::Switch, traffic::Traffic};
use crate::{record::CloseReason, relay::Bytes};

/// Copies until the end, which it notes.
pub(super) async fn tunnel(connection: &Connection, switch: Switch, mut exchange: Box<Exchange>) {
    let Switch { client, target, way: _way } = switch;
    let (Ok(client), Ok(target)) = tokio::join!(client, target) else { return };
    let idle_timeout = exchange.idle_timeout();
    let traffic = Arc::clone(exchange.traffic());
    let mut client = Counted::new(client, &traffic, |up| Bytes { up, down: 0 });
    let mut target = Counted::new(target, &traffic, |down| Bytes { up: 0, down });
    let copying = pin!(copy_bidirectional(&mut client, &mut target));
    let why = tokio::select! {
        biased;
        () = poll_fn(|cx| exchange.poll_cut(cx)) => CloseReason::PolicyChanged,
        cut = connection.house.cut() => cut.into(),
        copied = copying => match copied {
            Ok(_) => CloseReason::ClientClosed,
            Err(error) => broken(&error),
        },
        () = silence(&traffic, idle_timeout) => CloseReason::IdleTimeout,
    };
    exchange.closes(why);
}

/// How it ended where not in order. Browsers end TLS with the connection, without a word
/// (`close_notify`) before: that is an end as any other.
fn broken(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CloseReason::ClientClosed,
        _ => CloseReason::ClientReset,
    }
}

/// Ready when nothing has passed for so long.
async fn silence(traffic: &Traffic, limit: Duration) {
    let (mut seen, mut since) = (traffic.passed(), Instant::now());
    while since.elapsed() < limit {
        sleep(limit / 8).await;
        let passed = traffic.passed();
        if passed != seen {
            (seen, since) = (passed, Instant::now());
        }
    }
}

/// One end, of which what is read is counted.
struct Counted<'a> {
    io: TokioIo<Upgraded>,
    traffic: &'a Traffic,
    count: fn(u64) -> Bytes,
}

impl<'a> Counted<'a> {
    fn new(io: Upgraded, traffic: &'a Traffic, count: fn(u64) -> Bytes) -> Self {
        Self { io: TokioIo::new(io), traffic, count }
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.traffic.moves((self.count)((buf.filled().len() - before) as u64));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_ends_without_a_word_has_reset_nothing() {
        assert_eq!(broken(&io::ErrorKind::UnexpectedEof.into()), CloseReason::ClientClosed);
        assert_eq!(broken(&io::ErrorKind::ConnectionReset.into()), CloseReason::ClientReset);
    }
}
