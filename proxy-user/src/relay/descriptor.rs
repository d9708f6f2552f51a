//! Listening sockets as another process gets them.

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use tokio::io::unix::AsyncFd;

use super::udp::Listener;

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A listening socket, to be given to another process.
pub struct Descriptor {
    address: SocketAddr,
    socket: Socket,
}

enum Socket {
    Stream(Arc<AsyncFd<TcpListener>>),
    Datagrams(Arc<Listener>),
}

impl Descriptor {
    pub(super) fn stream(address: SocketAddr, listener: Arc<AsyncFd<TcpListener>>) -> Self {
        Self { address, socket: Socket::Stream(listener) }
    }

    pub(super) fn datagrams(listener: Arc<Listener>) -> Self {
        Self { address: listener.local(), socket: Socket::Datagrams(listener) }
    }

    /// What it carries, and where it listens.
    pub fn place(&self) -> (Transport, SocketAddr) {
        let transport = match self.socket {
            Socket::Stream(_) => Transport::Tcp,
            Socket::Datagrams(_) => Transport::Udp,
        };
        (transport, self.address)
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Stream(listener) => listener.get_ref().as_fd(),
            Socket::Datagrams(listener) => listener.socket().get_ref().as_fd(),
        }
    }
}
