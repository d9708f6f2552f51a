//! A connection that is over while the client is still sending. If it were closed at once,
//! the host would reset it for what comes then, and a reset may cost the client the answer
//! that it has not read yet. So the client is told of the end first, and what it goes on to
//! send is read for a while.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::relay::House;

/// How long the client may be silent.
const SILENCE: Duration = Duration::from_secs(2);
/// For all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends a connection as its client hears it best, unless it is cut.
pub(super) async fn linger<S>(house: &House, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        biased;
        _ = house.cut() => {}
        _ = timeout(PATIENCE, discard(stream, SILENCE)) => {}
    }
}

/// Sends the end, and reads until the client ends, too, or is silent for too long.
async fn discard<S>(mut stream: S, silence: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = vec![0; 16 << 10];
    if stream.shutdown().await.is_ok() {
        while let Ok(Ok(1..)) = timeout(silence, stream.read(&mut buffer)).await {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Instant;

    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn the_client_hears_of_the_end_and_may_go_on_to_send() {
        let (mut client, server) = duplex(16);
        let discarding = tokio::spawn(discard(server, SILENCE));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        client.write_all(&[0; 4 << 10]).await.unwrap();
        assert!(!discarding.is_finished());
        drop(client);
        discarding.await.unwrap();
    }

    #[tokio::test]
    async fn who_is_silent_is_not_waited_for() {
        let (_client, server) = duplex(16);
        let (begun, silence) = (Instant::now(), Duration::from_millis(20));
        discard(server, silence).await;
        assert!(begun.elapsed() >= silence);
    }
}
