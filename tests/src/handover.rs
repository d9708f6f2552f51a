//! A process that asks a daemon to hand over, and does no more than it is told to.

use std::{io::Read, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::wait::SOON;

/// Bytes of the longest frame.
const LONGEST: usize = 64 << 10;

/// It. Where it is dropped, it is gone without a word.
#[derive(Debug)]
pub struct Claimant(Socket);

impl Claimant {
    /// Introduces itself at a daemon's `handover.sock`.
    pub fn introduce(runtime_dir: &Path) -> Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(runtime_dir.join("handover.sock"))?)?;
        socket.set_read_timeout(Some(SOON))?;
        let claimant = Self(socket);
        claimant.say(&json!({ "Hello": { "version": 2 } }))?;
        let answer = claimant.hear()?;
        ensure!(answer["Hello"]["version"] == 2, "{answer}");
        Ok(claimant)
    }

    /// Has the daemon accept no more and give its listeners, which are closed at once.
    pub fn take(&self) -> Result<Vec<Value>> {
        self.say(&json!("Take"))?;
        let mut listeners = Vec::new();
        loop {
            let mut frame = self.hear()?;
            let Some(more) = frame.get_mut("Sockets").and_then(Value::as_array_mut) else {
                ensure!(frame == "Offered", "{frame}");
                return Ok(listeners);
            };
            listeners.append(more);
        }
    }

    /// Says that it has all, and hears that everything is its own.
    pub fn ready(&self) -> Result<()> {
        self.say(&json!("Ready"))?;
        while self.hear()? != "Yours" {}
        Ok(())
    }

    fn say(&self, frame: &Value) -> Result<()> {
        let bytes = serde_json::to_vec(frame)?;
        ensure!(self.0.send(&bytes)? == bytes.len(), "{frame} was cut off");
        Ok(())
    }

    fn hear(&self) -> Result<Value> {
        let mut frame = vec![0; LONGEST];
        let length = (&self.0).read(&mut frame).context("the daemon is silent")?;
        serde_json::from_slice(&frame[..length]).context("the daemon has gone")
    }
}
