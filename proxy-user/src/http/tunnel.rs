//! A connection that has changed to another protocol: bytes both ways, until one end or
//! Weir has enough.

use std::{future::poll_fn, io, pin::pin, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional,
    time::{Instant, sleep},
};
use tokio_util::io::InspectReader;

use super::{connection::Connection, exchange::Exchange, forward::Switch, traffic::Traffic};
use crate::{record::CloseReason, relay::Bytes};

/// Copies until the end, which it notes.
pub(super) async fn tunnel(connection: &Connection, switch: Switch, mut exchange: Box<Exchange>) {
    let Switch { client, target, way: _way } = switch;
    let (Ok(client), Ok(target)) = tokio::join!(client, target) else { return };
    let idle_timeout = exchange.idle_timeout();
    let traffic = Arc::clone(exchange.traffic());
    let mut client = InspectReader::new(TokioIo::new(client), |read: &[u8]| {
        traffic.moves(Bytes { up: read.len() as u64, down: 0 });
    });
    let mut target = InspectReader::new(TokioIo::new(target), |read: &[u8]| {
        traffic.moves(Bytes { up: 0, down: read.len() as u64 });
    });
    let copying = pin!(copy_bidirectional(&mut client, &mut target));
    let why = tokio::select! {
        biased;
        why = poll_fn(|cx| exchange.poll_cut(cx)) => why,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_ends_without_a_word_has_reset_nothing() {
        assert_eq!(broken(&io::ErrorKind::UnexpectedEof.into()), CloseReason::ClientClosed);
        assert_eq!(broken(&io::ErrorKind::ConnectionReset.into()), CloseReason::ClientReset);
    }
}
