//! A target that keeps what it receives, header by header.

use std::{
    io::{self, BufReader},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};

pub use super::read::Received;
use super::{
    answer::{Next, answer},
    read::request,
};
use crate::{
    listening::Listening,
    ns::Namespace,
    scenario::BACKEND,
    wait::{SOON, eventually, holds},
};

/// Speaks HTTP/1.1. What it answers depends on the path: see `answer.rs`; mostly the head
/// that it received. All its connections end on drop.
#[derive(Debug)]
pub struct Target {
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    gate: Gate,
}

/// Holds answers back until it is opened.
#[derive(Debug, Default)]
pub(super) struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn wait(&self) {
        let mut is_open = lock(&self.is_open);
        while !*is_open {
            is_open = self.changed.wait(is_open).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) {
        *lock(&self.is_open) = true;
        self.changed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Target {
    /// Listens on the loopback of a namespace, at [`BACKEND`].
    pub fn start(namespace: &Namespace) -> Result<Self> {
        Self::start_at(namespace, ([127, 0, 0, 1], BACKEND).into())
    }

    /// Listens at an address of a namespace.
    pub fn start_at(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let accept = move |stream| accept(stream, &state);
        Ok(Self { listening: Listening::start(namespace, address, accept)?, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listening.address()
    }

    /// All that it has received so far, in order.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// The last request that it has received, once there is one.
    pub fn last(&self) -> Result<Received> {
        let last = eventually(SOON, || lock(&self.shared.received).last().cloned());
        last.context("the target received nothing")
    }

    /// Waits until it has received a request for this path.
    pub fn awaits(&self, path: &str) -> Result<()> {
        let arrived = || lock(&self.shared.received).iter().any(|r| r.path() == path);
        ensure!(holds(SOON, arrived), "the request for {path} does not arrive");
        Ok(())
    }

    /// Connections that it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }

    /// Lets go what is held back, from now on.
    pub fn release(&self) {
        self.shared.gate.open();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.listening.stop();
        self.release();
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(stream: TcpStream, shared: &Arc<Shared>) -> impl FnOnce() + Send + use<> {
    shared.connections.fetch_add(1, Relaxed);
    if let Ok(copy) = stream.try_clone() {
        lock(&shared.open).push(copy);
    }
    let shared = Arc::clone(shared);
    move || {
        // A client that goes away is not the target's failure.
        let _ = serve(&stream, &shared);
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream);
    let mut to = stream;
    while let Some(received) = request(&mut from)? {
        lock(&shared.received).push(received.clone());
        match answer(&mut to, &received, &shared.gate)? {
            Next::Request => {}
            Next::End => return Ok(()),
            Next::Echo => return io::copy(&mut from, &mut to).map(drop),
        }
    }
    Ok(())
}
