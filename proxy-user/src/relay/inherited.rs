//! Listening sockets of a process before this one, in whose queues clients may wait.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

use socket2::SockRef;

use super::{
    descriptor::Transport,
    listening::ListenError,
    plan::Plan,
    rebind::{DATAGRAMS, Held, STREAMS, bind_missing},
};
use crate::config::Service;

/// Listening sockets, by their address.
#[derive(Debug, Default)]
pub struct Inherited {
    streams: BTreeMap<SocketAddr, TcpListener>,
    datagrams: BTreeMap<SocketAddr, UdpSocket>,
}

impl Inherited {
    /// Adds a socket of streams; one that cannot be used is closed.
    pub fn add_stream(&mut self, listener: TcpListener) {
        if listener.set_nonblocking(true).is_ok()
            && let Ok(address) = listener.local_addr()
        {
            self.streams.insert(address, listener);
        }
    }

    /// Adds a socket of datagrams; one that cannot be used is closed.
    pub fn add_datagrams(&mut self, socket: UdpSocket) {
        if socket.set_nonblocking(true).is_ok()
            && let Ok(address) = socket.local_addr()
        {
            self.datagrams.insert(address, socket);
        }
    }

    /// Where they listen.
    pub fn addresses(&self) -> impl Iterator<Item = (Transport, SocketAddr)> {
        let streams = self.streams.keys().map(|address| (Transport::Tcp, *address));
        streams.chain(self.datagrams.keys().map(|address| (Transport::Udp, *address)))
    }

    /// Adds what `services` need and is not among them. Nobody is accepted there yet.
    ///
    /// # Errors
    /// A port cannot be had; nothing was added.
    pub fn complete(&mut self, services: &[Arc<Service>]) -> Result<(), ListenError> {
        let streams = bind_missing(&Plan::streams(services), &held(&self.streams), &STREAMS)?;
        let datagrams = Plan::datagrams(services);
        let datagrams = bind_missing(&datagrams, &held(&self.datagrams), &DATAGRAMS)?;
        self.streams.extend(streams);
        self.datagrams.extend(datagrams);
        Ok(())
    }

    /// The sockets of streams that are there.
    pub(super) fn streams(&self) -> Held<'_> {
        held(&self.streams)
    }

    /// Takes the sockets of streams that the plan needs, or that give way to others of it;
    /// the rest is closed.
    pub(super) fn take_streams(
        &mut self,
        plan: &Plan,
    ) -> impl Iterator<Item = (SocketAddr, TcpListener)> {
        let all = std::mem::take(&mut self.streams).into_iter();
        all.filter(|(address, _)| plan.has_heirs(*address))
    }

    /// Takes the sockets of datagrams.
    pub(super) fn take_datagrams(&mut self) -> BTreeMap<SocketAddr, UdpSocket> {
        std::mem::take(&mut self.datagrams)
    }
}

/// As those know them who bind others beside them.
pub(super) fn held<S: std::os::fd::AsFd>(sockets: &BTreeMap<SocketAddr, S>) -> Held<'_> {
    sockets.iter().map(|(address, socket)| (*address, SockRef::from(socket))).collect()
}
