//! `weir.sock`, for root and the control group.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, chown},
        net::{UnixListener as StdListener, UnixStream as StdStream},
    },
    path::{Path, PathBuf},
};

use nix::unistd::Group;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use super::BindError;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// The socket and its file, which goes with it.
#[derive(Debug)]
pub(super) struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds it at `path` for root and `group`, or for root alone with a warning where
    /// there is no such group. A file that a dead daemon left is replaced.
    pub(super) fn bind(path: PathBuf, group: &str) -> Result<(Self, Option<String>), BindError> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed(directory, "make the directory"))?;
        }
        remove_stale(&path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)
            .map_err(failed(&path, "make a socket"))?;
        SockAddr::unix(&path)
            .and_then(|address| socket.bind(&address))
            .map_err(failed(&path, "bind the control socket"))?;
        let warning = admit(&path, group).map_err(failed(&path, "set the mode"))?;
        // Only a socket that listens can be connected to: nobody slips in before the
        // file has its mode.
        let listener = listen(socket).map_err(failed(&path, "listen on the control socket"))?;
        Ok((Self { listener, path }, warning))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ControlSocket {
    /// Before the listener closes: until then no other daemon takes the path.
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "control socket not removed");
        }
    }
}

fn listen(socket: Socket) -> io::Result<UnixListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(StdListener::from(socket))
}

fn remove_stale(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "look at the file")(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(BindError::InTheWay { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => Err(BindError::Answered { path: path.to_owned() }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed(path, "remove the stale socket"))
        }
        Err(error) => Err(failed(path, "tell whether a daemon answers")(error)),
    }
}

/// Gives the file its group and mode; the warning says why the group was left out.
fn admit(path: &Path, group: &str) -> io::Result<Option<String>> {
    let refusal = match Group::from_name(group) {
        Ok(Some(group)) => chown(path, None, Some(group.gid.as_raw())).err(),
        Ok(None) => Some(io::Error::new(ErrorKind::NotFound, "there is no such group")),
        Err(error) => Some(error.into()),
    };
    let mode = if refusal.is_some() { 0o600 } else { 0o660 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(refusal
        .map(|why| format!("api.control_group {group:?} may not use {}: {why}", path.display())))
}

fn failed(path: &Path, step: &'static str) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Control { path, step, source }
}
