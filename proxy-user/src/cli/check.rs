//! `weir check`

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use anyhow::{Context, Result};

use super::{
    Client, OK, Place, WRONG, network,
    out::{say, tell},
    ssh::{self, SshClient},
};
use crate::{
    config::{Config, Host, Mode, Service, host_checks, sockets_of},
    daemon::{Forecast, forecast, relay_limits},
    geo::Database,
    policy::{Policy, PolicyError, compile},
    relay::limits::hard_limit,
};

pub(super) fn run(place: &Place) -> Result<u8> {
    let loaded = place.load()?;
    let network = network::now();
    let host = Host {
        own_sockets: own_sockets(&place.client()).map_err(|error| format!("{error:#}")),
        locals: network.locals.clone(),
        interfaces: network.interfaces.iter().map(|link| link.name.clone()).collect(),
    };
    let found = host_checks(&loaded, &host);
    for warning in loaded.warnings.iter().chain(&found.warnings) {
        tell(format_args!("{warning} (warning)"));
    }
    for fault in &found.faults {
        tell(fault);
    }
    let notes = match notes(&loaded.config, &network.gateways) {
        Ok(notes) => notes,
        Err(error) => {
            tell(format_args!("{}: {error}", place.config.display()));
            return Ok(WRONG);
        }
    };
    for warning in notes {
        tell(format_args!("{}: {warning} (warning)", place.config.display()));
    }
    let (mut serves, mut trouble) = (Vec::new(), Vec::new());
    for forecast in forecast(&loaded.config, &network) {
        match forecast {
            Forecast::Serves(message) => serves.push(message),
            Forecast::Trouble(message) => trouble.push(message),
        }
    }
    for warning in trouble {
        tell(format_args!("{}: {warning} (warning)", place.config.display()));
    }
    if !found.faults.is_empty() {
        return Ok(WRONG);
    }
    for message in serves {
        say(message)?;
    }
    let count = loaded.config.services.len();
    say(format_args!("{} is valid: {count} services", place.config.display()))?;
    Ok(OK)
}

/// What the running daemon listens on, which is free for it to take over.
fn own_sockets(client: &Client) -> Result<BTreeSet<u64>> {
    match client.process()? {
        Some(daemon) => sockets_of(daemon).with_context(|| format!("/proc/{daemon}/fd")),
        None => Ok(BTreeSet::new()),
    }
}

/// What depends on more than the file.
fn notes(config: &Config, gateways: &[IpAddr]) -> Result<Vec<String>, PolicyError> {
    let mut notes = Vec::new();
    let mut database = None;
    if let Some(geoip) = &config.geoip {
        match Database::open(&geoip.database) {
            Ok(loaded) => database = Some(loaded.into()),
            Err(error) => notes.push(format!("{error}; country rules will deny")),
        }
    }
    let policy = compile(config, database, gateways, None)?;
    if let Some(client) = ssh::client() {
        notes.extend(lock_outs(config, &policy, client));
    }
    notes.extend(too_few_files(config, hard_limit()));
    Ok(notes)
}

/// Services that would deny whoever runs this.
fn lock_outs(config: &Config, policy: &Policy, client: SshClient) -> Vec<String> {
    let SshClient { address, port } = client;
    let met = config.services.iter().filter(|s| s.listen.iter().any(|l| l.port == port));
    met.filter_map(|service| {
        let reason = policy.judge(&service.name, address).denied?.as_str();
        let name = &service.name;
        Some(format!(
            "service {name} would deny {address} ({reason}), from which you are connected by SSH"
        ))
    })
    .collect()
}

/// Whether the limit of open files carries fewer sessions than services may have.
fn too_few_files(config: &Config, files: u64) -> Option<String> {
    let relayed = config.services.iter().filter(|service| !service.is_guard());
    let (datagrams, streams): (Vec<_>, Vec<_>) = relayed.partition(|s| s.mode == Mode::Udp);
    let most = |services: &[&Arc<Service>]| {
        services.iter().map(|service| u64::from(service.max_connections.get())).sum::<u64>()
    };
    let (datagrams, streams) = (most(&datagrams), most(&streams));
    let fit = relay_limits(config, files).sessions;
    // A session of datagrams takes half of what a connection takes.
    (streams + datagrams.div_ceil(2) > fit as u64).then(|| {
        let wanted = streams + datagrams;
        let more = if datagrams > 0 { ", or twice as many of udp services" } else { "" };
        format!(
            "max_connections of all services come to {wanted}, and the limit of {files} open \
             files carries {fit}{more}: raise LimitNOFILE"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    #[test]
    fn an_ssh_client_that_would_be_denied_is_told() {
        let config = config(
            "[service.ssh]\nmode = \"tcp\"\nlisten = 2222\ntarget = \"host\"\n\
             allow = [\"198.51.100.0/24\"]\n",
        );
        let policy = compile(&config, None, &[], None).expect("it is small");
        let told = |address: [u8; 4], port| {
            lock_outs(&config, &policy, SshClient { address: address.into(), port })
        };
        let denied = told([203, 0, 113, 7], 2222);
        assert_eq!(denied.len(), 1);
        assert!(denied[0].starts_with("service ssh would deny 203.0.113.7 (ip_restricted)"));
        assert!(told([198, 51, 100, 7], 2222).is_empty());
        assert!(told([203, 0, 113, 7], 22).is_empty(), "sshd is reached by another port");
    }

    #[test]
    fn a_limit_that_carries_less_is_told_with_what_it_carries() {
        let relayed = config("[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"192.0.2.1:1\"\n");
        let fit = relay_limits(&relayed, 20_000).sessions;
        let told = too_few_files(&relayed, 20_000).expect("10,000 sessions do not fit");
        assert!(told.contains("come to 10000") && told.contains(&format!("carries {fit}:")));
        assert_eq!(too_few_files(&relayed, 65_536), None);
        let datagrams =
            config("[service.a]\nmode = \"udp\"\nlisten = 1\ntarget = \"192.0.2.1:1\"\n");
        assert_eq!(too_few_files(&datagrams, 20_000), None);
        let told = too_few_files(&datagrams, 10_000).expect("10,000 sessions do not fit");
        assert!(told.contains("twice as many of udp services"), "{told}");
        let guarded = config("[service.a]\nmode = \"tcp\"\nlisten = 1\ntarget = \"host\"\n");
        assert_eq!(too_few_files(&guarded, 1024), None, "a guard needs no files");
    }
}
