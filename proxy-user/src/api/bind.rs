//! The API's two listeners.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::net::TcpListener;

use super::{Gate, control_socket::ControlSocket};
use crate::config::Config;

/// Both listeners, bound, so that clients already queue.
#[derive(Debug)]
pub struct Bound {
    pub(super) tcp: TcpListener,
    pub(super) control: ControlSocket,
    pub(super) gate: Arc<Gate>,
    address: SocketAddr,
    warnings: Vec<String>,
}

impl Bound {
    /// Binds `api.listen` and `weir.sock` in `runtime_dir`. Call it within a runtime.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        Self::around(bind_tcp(config)?, config)
    }

    /// As [`Self::bind`], with what listens on `api.listen` already.
    pub fn around(tcp: StdListener, config: &Config) -> Result<Self, BindError> {
        let listen = config.api.listen;
        let failed = |source| BindError::Tcp { listen, source };
        tcp.set_nonblocking(true).map_err(failed)?;
        let tcp = TcpListener::from_std(tcp).map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        let path = config.runtime_dir.join("weir.sock");
        let (control, warning) = ControlSocket::bind(path, &config.api.control_group)?;
        Ok(Self {
            tcp,
            control,
            gate: Arc::new(Gate::new(&config.api)),
            address,
            warnings: warning.into_iter().collect(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Another descriptor of what listens there, for another process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.tcp.as_fd().try_clone_to_owned()
    }

    /// The control socket's path.
    pub fn control_path(&self) -> &Path {
        self.control.path()
    }

    /// The gate, for a reload to replace its rules.
    pub fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// What the operator should know, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Listens on `api.listen`.
pub fn bind_tcp(config: &Config) -> Result<StdListener, BindError> {
    let listen = config.api.listen;
    StdListener::bind(listen).map_err(|source| BindError::Tcp { listen, source })
}

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// `api.listen`
    #[error("api.listen = \"{listen}\" cannot be bound")]
    Tcp {
        /// The address.
        listen: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Another daemon answers at the control socket.
    #[error("{}: another daemon answers there", path.display())]
    Answered {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is where the control socket should be.
    #[error("{}: exists and is not a socket", path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error("{}: cannot {step}", path.display())]
    Control {
        /// The socket, or its directory.
        path: PathBuf,
        /// What failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}
