//! A session's socket towards its target.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn_udp::{Transmit, UdpSockRef};
use rustix::net::{SendFlags, send};
use tokio::io::{Interest, unix::AsyncFd};

use super::{bundles::Way, listener::Common, socket};

/// A connected socket.
pub(super) struct Upstream {
    socket: AsyncFd<UdpSocket>,
    target: SocketAddr,
    common: Arc<Common>,
}

impl Upstream {
    /// To be called on the session's runtime.
    pub(super) fn connect(target: SocketAddr, common: Arc<Common>) -> io::Result<Self> {
        let socket = socket::connect(target)?;
        #[expect(deprecated, reason = "a session owns its descriptor, and never changes it")]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { socket, target, common })
    }

    pub(super) fn socket(&self) -> &AsyncFd<UdpSocket> {
        &self.socket
    }

    pub(super) fn common(&self) -> &Common {
        &self.common
    }
}

impl Way for Upstream {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // Without an address, the kernel takes the route that it has looked up once.
        send(self.socket.get_ref(), datagram, SendFlags::empty())?;
        Ok(())
    }

    fn send_bundle(&self, bundle: &[u8], size: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.target,
            ecn: None,
            contents: bundle,
            segment_size: Some(size),
            src_ip: None,
        };
        self.common.io.try_send(UdpSockRef::from(self.socket.get_ref()), &transmit)
    }
}
