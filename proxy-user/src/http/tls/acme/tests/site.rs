//! A port that answers an authority as Weir does: handshakes of TLS, and requests without.

use std::{net::SocketAddr, sync::Arc};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::LazyConfigAcceptor;

use crate::http::tls::Certificates;

/// The first byte of a record of TLS that holds a handshake.
const HANDSHAKE: u8 = 22;

/// A port whose certificates are given later: an authority has to know it first.
pub(super) struct Site(TcpListener);

impl Site {
    pub(super) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Answers, as long as the runtime lives.
    pub(super) fn serve(self, certificates: Arc<Certificates>) {
        tokio::spawn(async move {
            while let Ok((stream, _)) = self.0.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&certificates)));
            }
        });
    }
}

/// `None`: the client went away, or was refused.
async fn answer(mut stream: TcpStream, certificates: Arc<Certificates>) -> Option<()> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    if first == [HANDSHAKE] {
        let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
        let config = certificates.config_for(&started.client_hello())?;
        return started.into_stream(config).await.ok()?.shutdown().await.ok();
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.split(' ').nth(1)?;
    let token = path.strip_prefix("/.well-known/acme-challenge/");
    let answer = match token.and_then(|token| certificates.http01(token)) {
        Some(text) => format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
        None => "HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(answer.as_bytes()).await.ok()
}
