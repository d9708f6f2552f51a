//! A tunnel between two namespaces, whose packets have no link-layer header: both ends of a
//! VPN as `WireGuard` makes one, its packets carried in UDP by socat.

use std::path::Path;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{
    lab::Lab,
    names,
    ns::Namespace,
    program::Program,
    skip::skip,
    wait::{SOON, holds},
};

/// The interface's name at both ends.
pub const TUNNEL: &str = "tun0";

/// A tunnel, gone on drop.
pub struct Tunnel {
    _ends: [Program; 2],
    _logs: TempDir,
}

impl Tunnel {
    /// Between the server and its neighbours, over their link. `None`: this kernel has no
    /// such devices, and the test is skipped.
    pub fn for_test(lab: &Lab) -> Result<Option<Self>> {
        if !Path::new("/dev/net/tun").exists() {
            skip("this kernel has no tun devices");
            return Ok(None);
        }
        let logs = TempDir::with_prefix(names::prefix())?;
        let end = |namespace, near: &str, far: &str| {
            let arguments = [
                // Not connected: else the first end gives up on hearing that the other is not
                // there yet.
                format!("UDP4-DATAGRAM:{far}:9999,bind={near}:9999"),
                format!("TUN,tun-type=tun,iff-no-pi,iff-up,tun-name={TUNNEL}"),
            ];
            Program::spawn(namespace, "socat", &arguments, &logs.path().join(near))
        };
        let ends = [
            end(&lab.server, "198.18.0.1", "198.18.0.2")?,
            end(&lab.neighbours, "198.18.0.2", "198.18.0.1")?,
        ];
        let is_up = |namespace: &Namespace| namespace.ip("link show tun0").is_ok();
        ensure!(holds(SOON, || is_up(&lab.server) && is_up(&lab.neighbours)), "no tunnel");
        Ok(Some(Self { _ends: ends, _logs: logs }))
    }
}
