//! The API's two listeners.

use std::{
    io,
    net::SocketAddr,
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
        let listen = config.api.listen;
        let tcp = |source| BindError::Tcp { listen, source };
        let listener = bind_tcp(listen).map_err(tcp)?;
        let address = listener.local_addr().map_err(tcp)?;
        let path = config.runtime_dir.join("weir.sock");
        let (control, warning) = ControlSocket::bind(path, &config.api.control_group)?;
        Ok(Self {
            tcp: listener,
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

fn bind_tcp(listen: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
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
