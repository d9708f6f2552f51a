//! `weir check`

use std::net::IpAddr;

use anyhow::Result;

use super::{
    OK, Place, WRONG, network,
    out::{say, tell},
};
use crate::{
    config::{Config, host_checks},
    geo::Database,
    policy::{TableIds, compile},
};

pub(super) fn run(place: &Place) -> Result<u8> {
    let loaded = place.load()?;
    let found = host_checks(&loaded);
    for warning in loaded.warnings.iter().chain(&found.warnings) {
        tell(format_args!("{warning} (warning)"));
    }
    for fault in &found.faults {
        tell(fault);
    }
    for warning in notes(&loaded.config, &network::now().gateways) {
        tell(format_args!("{}: {warning} (warning)", place.config.display()));
    }
    if !found.faults.is_empty() {
        return Ok(WRONG);
    }
    let count = loaded.config.services.len();
    say(format_args!("{} is valid: {count} services", place.config.display()))?;
    Ok(OK)
}

/// What depends on more than the file.
fn notes(config: &Config, gateways: &[IpAddr]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut database = None;
    if let Some(geoip) = &config.geoip {
        match Database::open(&geoip.database) {
            Ok(loaded) => database = Some(loaded.into()),
            Err(error) => notes.push(format!("{error}; country rules will deny")),
        }
    }
    if let Some(client) = ssh_client() {
        let policy = compile(config, database, gateways, &mut TableIds::from(1), None);
        let ssh = config.services.iter().filter(|s| s.listen.iter().any(|l| l.port == client.port));
        for service in ssh {
            if let Some(reason) = policy.judge(&service.name, client.address).denied {
                notes.push(format!(
                    "service {} would deny {} ({}), from which you are connected by SSH",
                    service.name,
                    client.address,
                    reason.as_str()
                ));
            }
        }
    }
    notes
}

/// Who runs this over SSH, and to which port of this host.
struct SshClient {
    address: IpAddr,
    port: u16,
}

/// `SSH_CONNECTION`: client address and port, server address and port (ssh(1)).
fn ssh_client() -> Option<SshClient> {
    let variable = std::env::var("SSH_CONNECTION").ok()?;
    let mut parts = variable.split(' ');
    let address = parts.next()?.parse().ok()?;
    let port = parts.nth(2)?.parse().ok()?;
    Some(SshClient { address, port })
}
