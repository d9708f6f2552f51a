//! `handover.sock`, at which the next process asks.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use socket2::{SockAddr, Socket};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::{sleep, timeout},
};

use super::{
    frame::{Estate, Frame, VERSION},
    wire::{Wire, socket, watched},
};

/// Processes that may wait until the one before has gone away.
const BACKLOG: i32 = 4;
/// How long one may load programs and read its database.
const PREPARATION: Duration = Duration::from_mins(2);
/// After a failure to accept.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening socket. Its file goes with it.
pub(in crate::daemon) struct Door {
    listener: AsyncFd<Socket>,
    path: PathBuf,
    estate: Estate,
}

impl Door {
    /// Where it is in a `runtime_dir`.
    pub(super) fn path(runtime_dir: &Path) -> PathBuf {
        runtime_dir.join("handover.sock")
    }

    /// Opens it for processes of the same user. There is one daemon for a `runtime_dir`,
    /// so that a file that is there was left by a dead one.
    pub(in crate::daemon) fn open(runtime_dir: &Path, estate: Estate) -> io::Result<Self> {
        let path = Self::path(runtime_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = socket()?;
        socket.bind(&SockAddr::unix(&path)?)?;
        // Only a socket that listens can be connected to.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: watched(socket)?, path, estate })
    }

    /// Waits for a process that has everything prepared to take over.
    pub(in crate::daemon) async fn knock(&self) -> Successor {
        loop {
            let wire = match self.accept().await {
                Ok(wire) => wire,
                Err(error) => {
                    tracing::warn!(%error, "a process that wants to take over is not heard");
                    sleep(PAUSE).await;
                    continue;
                }
            };
            let asked = timeout(PREPARATION, self.greet(&wire)).await;
            match asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
                Ok(()) => return Successor(wire),
                Err(error) => {
                    tracing::warn!(process = wire.peer, %error, "it does not take over");
                }
            }
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Wire> {
        let accept = |listener: &Socket| listener.accept();
        let (socket, _) = self.listener.async_io(Interest::READABLE, accept).await?;
        socket.set_nonblocking(true)?;
        Wire::over(socket)
    }

    async fn greet(&self, wire: &Wire) -> io::Result<()> {
        let (Frame::Hello { version, .. }, _) = wire.receive().await? else {
            return Err(unexpected());
        };
        let estate = Some(self.estate.clone());
        wire.send(&Frame::Hello { version: VERSION, estate }, &[]).await?;
        if version != VERSION {
            let message = format!("its handover has version {version}, ours {VERSION}");
            return Err(io::Error::new(ErrorKind::Unsupported, message));
        }
        match wire.receive().await? {
            (Frame::Take, _) => Ok(()),
            _ => Err(unexpected()),
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a socket is not removed");
        }
    }
}

/// A process that is prepared to take over.
pub(in crate::daemon) struct Successor(pub(super) Wire);

impl Successor {
    /// Its number.
    pub(in crate::daemon) fn process(&self) -> i32 {
        self.0.peer
    }
}

/// The other process does not keep to the order.
pub(super) fn unexpected() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "it says something else than is expected")
}
