//! Processes that hold connections open: a process may have 20,000 files, or fewer.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    net::{AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_linger},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// One end of connections.
#[derive(clap::Subcommand)]
pub(crate) enum Hold {
    /// Accept
    Accept {
        /// Where
        at: SocketAddr,
    },
    /// Connect
    Connect {
        /// From which address
        from: IpAddr,
        /// Where to
        to: SocketAddr,
        /// How many
        count: usize,
    },
}

impl Hold {
    pub(crate) fn run(self) -> Result<()> {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        match self {
            Self::Accept { at } => accept(at),
            Self::Connect { from, to, count } => {
                let made = |_| dial(from, to).with_context(|| format!("{from} to {to}"));
                let _held = (0..count).map(made).collect::<Result<Vec<_>>>()?;
                loop {
                    thread::park();
                }
            }
        }
    }
}

fn accept(at: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(at).with_context(|| at.to_string())?;
    let mut held = Vec::new();
    loop {
        held.push(listener.accept()?);
    }
}

fn dial(from: IpAddr, to: SocketAddr) -> Result<OwnedFd> {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&stream, &SocketAddr::new(from, 0))?;
    connect(&stream, &to)?;
    // It ends by RST: nobody waits a minute for its address.
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    Ok(stream)
}
