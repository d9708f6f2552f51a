//! The connection between the two processes: datagrams in order, with descriptors
//! (unix(7), `SOCK_SEQPACKET`, `SCM_RIGHTS`).

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt::socket_peercred,
    },
    process::geteuid,
};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};

use super::frame::{Frame, MOST_FLOWS};

/// Bytes of the longest frame.
const LONGEST: usize = 64 << 10;
/// Descriptors with one frame. The kernel takes 253 (`SCM_MAX_FD`).
pub(super) const MOST_FILES: usize = 64;

/// One end of the connection.
pub(super) struct Wire {
    socket: AsyncFd<Socket>,
    /// The process at the other end, as it was when the connection was made.
    pub(super) peer: i32,
}

impl Wire {
    /// Connects to who listens at `path`; `None` where nobody does.
    pub(super) fn connect(path: &Path) -> io::Result<Option<Self>> {
        let socket = socket()?;
        match socket.connect(&SockAddr::unix(path)?) {
            Ok(()) => Self::over(socket).map(Some),
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A connection that is made.
    ///
    /// # Errors
    /// Another user's process is at the other end.
    pub(super) fn over(socket: Socket) -> io::Result<Self> {
        let peer = socket_peercred(&socket)?;
        if peer.uid != geteuid() {
            let message = format!("a process of user {} is at the other end", peer.uid.as_raw());
            return Err(io::Error::new(ErrorKind::PermissionDenied, message));
        }
        Ok(Self { socket: watched(socket)?, peer: peer.pid.as_raw_nonzero().get() })
    }

    /// Sends a frame, with at most [`MOST_FILES`] descriptors.
    pub(super) async fn send(&self, frame: &Frame, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = serde_json::to_vec(frame)?;
        self.socket.async_io(Interest::WRITABLE, |socket| send(socket, &bytes, files)).await
    }

    /// Sends what concerns flows in as many frames as it takes.
    pub(super) async fn send_flows<T: Clone, F: Into<T>>(
        &self,
        frame: impl Fn(Vec<T>) -> Frame,
        flows: impl IntoIterator<Item = F>,
    ) -> io::Result<()> {
        let flows: Vec<T> = flows.into_iter().map(Into::into).collect();
        for part in flows.chunks(MOST_FLOWS) {
            self.send(&frame(part.to_vec()), &[]).await?;
        }
        Ok(())
    }

    /// The next frame, with its descriptors.
    ///
    /// # Errors
    /// `UnexpectedEof` where the other end is closed.
    pub(super) async fn receive(&self) -> io::Result<(Frame, Vec<OwnedFd>)> {
        let mut bytes = vec![0; LONGEST];
        let (length, files) =
            self.socket.async_io(Interest::READABLE, |socket| receive(socket, &mut bytes)).await?;
        if length == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it has closed the connection"));
        }
        Ok((serde_json::from_slice(&bytes[..length])?, files))
    }
}

/// A socket that waits for nothing.
pub(super) fn socket() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::SEQPACKET.nonblocking().cloexec(), None)
}

/// A socket that the runtime watches.
pub(super) fn watched(socket: Socket) -> io::Result<AsyncFd<Socket>> {
    #[expect(deprecated, reason = "a socket owns its descriptor, and never changes it")]
    AsyncFd::new(socket)
}

fn send(socket: &Socket, bytes: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "too many descriptors"));
    }
    sendmsg(socket.as_fd(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: &Socket, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_FILES))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(socket.as_fd(), &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    let mut files = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(more) = part {
            files.extend(more);
        }
    }
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(ErrorKind::InvalidData, "a message was cut off"));
    }
    Ok((message.bytes, files))
}
