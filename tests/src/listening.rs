//! A listener in a namespace, each of whose connections has a thread of its own.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, Result};
use rustix::net::{Shutdown, shutdown};

use crate::ns::Namespace;

/// Accepts until it is dropped; what it accepted goes on.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    listener: TcpListener,
}

impl Listening {
    /// Listens in a namespace; port 0 is chosen by the host. `accept` gets the connections
    /// one after another, and gives what is done with each in its own thread.
    pub fn start<S: FnOnce() + Send + 'static>(
        namespace: &Namespace,
        address: SocketAddr,
        mut accept: impl FnMut(TcpStream) -> S + Send + 'static,
    ) -> Result<Self> {
        let listener = namespace
            .within(|| TcpListener::bind(address))?
            .with_context(|| format!("listening on {address} in {}", namespace.name()))?;
        let address = listener.local_addr()?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                thread::spawn(accept(stream));
            }
        });
        Ok(Self { address, listener })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more.
    pub fn stop(&self) {
        // Wakes the thread in accept(), which then ends.
        let _ = shutdown(&self.listener, Shutdown::Both);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}
