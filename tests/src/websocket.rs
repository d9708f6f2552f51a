//! `WebSocket` (RFC 6455): an echo, and a client of it over TLS.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
};

use anyhow::{Result, anyhow};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::{Message, WebSocket, accept};

use crate::{client, listening::Listening, ns::Namespace, tls::speak};

/// A connection of a client.
pub type Client = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// Sends texts and bytes back; it ends on drop.
#[derive(Debug)]
pub struct Echo(#[expect(dead_code, reason = "it listens until it is dropped")] Listening);

impl Echo {
    /// Listens in a namespace.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        // A client that goes away is not the server's failure.
        let serve = |stream| move || drop(serve(stream));
        Ok(Self(Listening::start(namespace, address, serve)?))
    }
}

fn serve(stream: TcpStream) -> Result<()> {
    let mut socket = accept(stream).map_err(|error| anyhow!("{error}"))?;
    loop {
        let message = socket.read()?;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            socket.send(message)?;
        }
    }
}

/// Connects over TLS from one of a namespace's addresses, and asks `host` for `/socket`.
pub fn connect(
    from: (&Namespace, IpAddr),
    to: SocketAddr,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<Client> {
    let stream = speak(client::connect(from, to)?, host, config)?;
    let (socket, _) = tungstenite::client(format!("wss://{host}/socket"), stream)
        .map_err(|error| anyhow!("no WebSocket: {error}"))?;
    Ok(socket)
}
