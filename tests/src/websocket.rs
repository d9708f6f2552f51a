//! `WebSocket` (RFC 6455): an echo, and a client of it over TLS.

use std::{
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result, anyhow};
use rustix::net::Shutdown;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use tungstenite::{Message, WebSocket, accept};

use crate::{client, ns::Namespace};

/// A connection of a client.
pub type Client = WebSocket<StreamOwned<ClientConnection, TcpStream>>;

/// Sends texts and bytes back; it ends on drop.
#[derive(Debug)]
pub struct Echo(TcpListener);

impl Echo {
    /// Listens in a namespace.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let listener = namespace
            .within(|| TcpListener::bind(address))?
            .with_context(|| format!("listening on {address}"))?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                // A client that goes away is not the server's failure.
                thread::spawn(move || drop(serve(stream)));
            }
        });
        Ok(Self(listener))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Wakes the thread in accept(), which then ends.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Both);
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
    let name = ServerName::try_from(host.to_owned())?;
    let session = ClientConnection::new(Arc::clone(config), name)?;
    let stream = StreamOwned::new(session, client::connect(from, to)?);
    let (socket, _) = tungstenite::client(format!("wss://{host}/socket"), stream)
        .map_err(|error| anyhow!("no WebSocket: {error}"))?;
    Ok(socket)
}
