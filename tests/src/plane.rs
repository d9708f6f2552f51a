//! The kernel plane's scenario: targets in another namespace, beyond the server's second
//! link.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    lab::{self, Lab},
    server::{Behaviour, Server},
    wait::{SOON, holds},
    weir::Weir,
};

/// Where the service is reached.
pub const PORT: u16 = 7001;
/// Where its first target listens.
pub const TARGET: u16 = 7101;

/// The service over IPv4.
pub const SERVICE4: SocketAddr = SocketAddr::new(lab::SERVER4, PORT);
/// The service over IPv6.
pub const SERVICE6: SocketAddr = SocketAddr::new(lab::SERVER6, PORT);
/// Its target over IPv4.
pub const TARGET4: SocketAddr = SocketAddr::new(lab::LAN_FR4, TARGET);
/// Its target over IPv6.
pub const TARGET6: SocketAddr = SocketAddr::new(lab::LAN_FR6, TARGET);

/// For records to be written.
const RECORDED: Duration = Duration::from_secs(10);

/// The table of a service `db` with these targets; `lines` are further ones of it.
pub fn service(mode: &str, targets: &[SocketAddr], lines: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
    format!(
        "[service.db]\nmode = '{mode}'\nlisten = {PORT}\ntargets = [{}]\nforward = 'kernel'\n{lines}\n",
        targets.join(", ")
    )
}

/// A target.
pub fn target(lab: &Lab, address: SocketAddr, behaviour: Behaviour) -> Result<Server> {
    Server::start(&lab.neighbours, address, behaviour)
}

/// Waits for the one record, which is of a flow that the kernel plane served.
pub fn record(weir: &Weir<'_>) -> Result<Value> {
    let record = weir.wait_for_event("", RECORDED)?;
    ensure!(is_forwarded(&record), "not by the kernel plane: {record:#}");
    Ok(record)
}

/// Whether the kernel plane served what a record is of.
pub fn is_forwarded(record: &Value) -> bool {
    record["metadata"]["plane"] == "kernel"
}

/// Waits until status says that the kernel plane serves.
pub fn ready(weir: &Weir<'_>) -> Result<()> {
    let plane = || weir.status().ok().map(|mut status| status["services"][0]["plane"].take());
    ensure!(holds(SOON, || plane().is_some_and(|plane| plane == "kernel")), "{:?}", plane());
    Ok(())
}
