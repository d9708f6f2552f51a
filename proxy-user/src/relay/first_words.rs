//! The client's first bytes, which the handshake's last ACK to the target can carry: a
//! packet less to send and to receive.

use std::{io, net::SocketAddr, os::fd::AsFd};

use socket2::SockRef;
use tokio::net::TcpSocket;

/// Who will speak first to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstWords {
    /// The client: it has sent something already, which goes out with the last ACK.
    Waiting,
    /// Perhaps the target: it gets its ACK at once.
    Unknown,
}

impl FirstWords {
    /// Whether there is something to read from `client`.
    pub(super) fn of(client: &impl AsFd) -> Self {
        match rustix::io::ioctl_fionread(client) {
            Ok(unread) if unread > 0 => Self::Waiting,
            _ => Self::Unknown,
        }
    }

    /// A socket that is about to connect to `target`.
    pub(super) fn towards(self, target: SocketAddr) -> io::Result<TcpSocket> {
        let socket = match target {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_nodelay(true)?;
        if self == Self::Waiting {
            // The kernel then delays the ACK of the SYN-ACK: tcp(7), TCP_QUICKACK.
            SockRef::from(&socket).set_tcp_quickack(false)?;
        }
        Ok(socket)
    }
}

/// Ends the delay, once the first words are sent: a target that writes its answer piece
/// by piece may wait for each ACK (Nagle's algorithm).
pub(crate) fn ack_at_once(target: &impl AsFd) {
    // It fails only for a socket that is no TCP socket.
    let _ = SockRef::from(target).set_tcp_quickack(true);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn what_a_client_has_sent_is_seen_without_reading_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        assert_eq!(FirstWords::of(&accepted), FirstWords::Unknown);
        client.write_all(b"hello").unwrap();
        accepted.peek(&mut [0; 1]).unwrap();
        assert_eq!(FirstWords::of(&accepted), FirstWords::Waiting);
    }

    #[tokio::test]
    async fn the_ack_waits_only_for_words_that_are_there() {
        for words in [FirstWords::Waiting, FirstWords::Unknown] {
            let socket = words.towards("127.0.0.1:9".parse().unwrap()).unwrap();
            let at_once = SockRef::from(&socket).tcp_quickack().unwrap();
            assert_eq!(at_once, words == FirstWords::Unknown);
            assert!(socket.nodelay().unwrap());
            ack_at_once(&socket);
            assert!(SockRef::from(&socket).tcp_quickack().unwrap());
        }
    }
}
