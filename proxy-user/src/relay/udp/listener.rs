//! A listening socket as the sessions know it: answers leave by it.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use socket2::SockRef;
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::UnboundedSender,
};

use super::{aside::First, attempts::Attempts, bundles::Way, socket, uplink::Uplink};

/// Payload that may wait for targets' addresses or for a policy, over all sessions, bytes.
const MOST_WAITING: usize = 16 << 20;

/// What all sockets of datagrams have in common.
pub(super) struct Common {
    pub(super) io: UdpSocketState,
    pub(super) attempts: Attempts,
    /// Sessions end when nothing has come for a moment.
    pub(super) draining: AtomicBool,
    /// Payload that waits, in bytes.
    waiting: AtomicUsize,
}

impl Common {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            io: socket::io()?,
            attempts: Attempts::new(),
            draining: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Takes room for payload that waits, where there is any.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let room = |waiting: usize| (waiting + bytes <= MOST_WAITING).then_some(waiting + bytes);
        self.waiting.fetch_update(Relaxed, Relaxed, room).is_ok()
    }

    /// Gives it back.
    pub(super) fn let_go(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Relaxed);
    }
}

/// Who speaks to whom: a session is one such pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peers {
    pub(super) client: SocketAddr,
    /// The address of this host that the client wrote to.
    pub(super) local: IpAddr,
}

/// What the task that receives for a socket is told of its sessions.
pub(super) enum Note {
    /// It comes from another socket.
    Joined(Arc<Uplink>),
    /// It is over.
    Gone(Arc<Uplink>),
    /// It has not begun: its first datagram came to another socket.
    Waits(First),
}

/// A listening socket. It is closed when neither its task nor a session holds it.
pub(in crate::relay) struct Listener {
    socket: AsyncFd<UdpSocket>,
    local: SocketAddr,
    notes: UnboundedSender<Note>,
    pub(super) common: Arc<Common>,
}

impl Listener {
    /// To be called on the runtime of the task that receives.
    pub(super) fn new(
        socket: UdpSocket,
        notes: UnboundedSender<Note>,
        common: Arc<Common>,
    ) -> io::Result<Self> {
        let local = socket.local_addr()?;
        #[expect(deprecated, reason = "a listener owns its descriptor, and never changes it")]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { socket, local, notes, common })
    }

    pub(in crate::relay) fn socket(&self) -> &AsyncFd<UdpSocket> {
        &self.socket
    }

    pub(super) fn options(&self) -> SockRef<'_> {
        SockRef::from(self.socket.get_ref())
    }

    /// Where it listens.
    pub(in crate::relay) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether datagrams to that address of this host come here.
    pub(super) fn hears(&self, address: IpAddr, port: u16) -> bool {
        self.local.port() == port
            && self.local.is_ipv4() == address.is_ipv4()
            && (self.local.ip() == address || self.local.ip().is_unspecified())
    }

    /// The line to the task that receives.
    pub(super) fn notes(&self) -> &UnboundedSender<Note> {
        &self.notes
    }

    /// The way back to a client, from the address that it wrote to.
    pub(super) fn answers(&self, peers: Peers) -> Answers<'_> {
        Answers { listener: self, peers }
    }
}

/// The way of answers.
pub(super) struct Answers<'a> {
    listener: &'a Listener,
    peers: Peers,
}

impl Answers<'_> {
    fn transmit(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        let Peers { client: destination, local } = self.peers;
        let src_ip = Some(local);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip };
        let socket = UdpSockRef::from(self.listener.socket.get_ref());
        self.listener.common.io.try_send(socket, &transmit)
    }
}

impl Way for Answers<'_> {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.transmit(datagram, None)
    }

    fn send_bundle(&self, bundle: &[u8], size: usize) -> io::Result<()> {
        self.transmit(bundle, Some(size))
    }
}
