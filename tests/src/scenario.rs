//! What most tests set up: one service of each plane, with the same restrictions.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    client::{self, Refusal},
    kernel,
    lab::{self, BLOCKED4_CIDR, BLOCKED6_CIDR, Lab},
    nft,
    ns::run,
    raw::{self, Syn},
    server::{Behaviour, Server},
    wait::{SOON, holds},
    weir::Weir,
};

/// Port of the service `guarded`: a process of the server listens.
pub const GUARDED: u16 = 7001;
/// Port of the service `relayed`: Weir listens.
pub const RELAYED: u16 = 7002;
/// Where the relay dials, on the server's loopback.
pub const BACKEND: u16 = 7003;

/// Both services by name and port.
pub const PLANES: [(&str, u16); 2] = [("guarded", GUARDED), ("relayed", RELAYED)];

/// How long a client that is to be denied listens: shorter than the second after which
/// a SYN is sent again.
pub const BRIEF: Duration = Duration::from_millis(400);

/// How long after the end of traffic records may take to add up to what the kernel
/// counted.
pub const SETTLED: Duration = Duration::from_secs(2);

/// Restrictions that each kind of client of the lab meets: the CIDRs blocked by
/// name, and no country but Germany.
pub fn only_germany() -> String {
    blocked() + "\nallowed_countries = ['DE']"
}

/// The restrictions that only the clients blocked by name meet.
pub fn blocked() -> String {
    format!("blocked_cidrs = ['{BLOCKED4_CIDR}', '{BLOCKED6_CIDR}']")
}

/// Tables of both services that block one prefix.
pub fn blocking() -> String {
    services(&format!("blocked_cidrs = ['{BLOCKED4_CIDR}']"))
}

/// Tables of both services. `access` are lines of each one's `access`.
pub fn services(access: &str) -> String {
    format!("{}{}", guarded(access), relayed(access))
}

/// The table of the service `guarded`.
pub fn guarded(access: &str) -> String {
    table("guarded", GUARDED, "host", access)
}

/// The table of the service `relayed`.
pub fn relayed(access: &str) -> String {
    table("relayed", RELAYED, &format!("127.0.0.1:{BACKEND}"), access)
}

fn table(name: &str, port: u16, target: &str, access: &str) -> String {
    format!(
        "[service.{name}]\nmode = 'tcp'\nlisten = {port}\ntarget = '{target}'\n\
         [service.{name}.access]\n{access}\n"
    )
}

/// The table that names a country database.
pub fn geoip(weir: &Weir<'_>) -> String {
    format!("[geoip]\ndatabase = '{}'\n", database(weir).display())
}

/// Where [`geoip`] has it.
pub fn database(weir: &Weir<'_>) -> std::path::PathBuf {
    weir.path("geo.mmdb")
}

/// What serves the two services.
#[derive(Debug)]
pub struct Servers {
    /// Behind `guarded`.
    pub guarded: Server,
    /// Behind `relayed`.
    pub backend: Server,
}

impl Servers {
    /// Two servers that behave alike.
    pub fn start(lab: &Lab, behaviour: Behaviour) -> Result<Self> {
        let any = IpAddr::from([0u16; 8]);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let start =
            |address, port| Server::start(&lab.server, SocketAddr::new(address, port), behaviour);
        Ok(Self { guarded: start(any, GUARDED)?, backend: start(loopback, BACKEND)? })
    }

    /// The one behind a port.
    pub fn behind(&self, port: u16) -> &Server {
        if port == GUARDED { &self.guarded } else { &self.backend }
    }
}

/// Asserts that a client hears nothing, and that it is the kernel that denies it.
pub fn assert_denied(lab: &Lab, from: IpAddr, to: SocketAddr) -> Result<()> {
    // Silence alone might be slowness.
    let before = kernel::denied_attempts(&lab.server)?;
    let refusal = client::refusal((&lab.clients, from), to, BRIEF)?;
    ensure!(refusal == Some(Refusal::Silence), "{from} to {to}: {refusal:?}");
    let counted = holds(SOON, || kernel::denied_attempts(&lab.server).is_ok_and(|n| n > before));
    ensure!(counted, "{from} to {to}: not denied, and yet not heard");
    Ok(())
}

/// Asserts that a client is served, by a server that answers the first byte.
pub fn assert_served(lab: &Lab, from: IpAddr, to: SocketAddr) -> Result<()> {
    let refusal = client::refusal((&lab.clients, from), to, SOON)?;
    ensure!(refusal.is_none(), "{from} to {to}: {refusal:?}");
    Ok(())
}

/// [`assert_denied`] of both services, over IPv4.
pub fn assert_both_deny(lab: &Lab, from: IpAddr) -> Result<()> {
    PLANES
        .into_iter()
        .try_for_each(|(_, port)| assert_denied(lab, from, SocketAddr::new(lab::SERVER4, port)))
}

/// [`assert_served`] of both services, over IPv4.
pub fn assert_both_serve(lab: &Lab, from: IpAddr) -> Result<()> {
    PLANES
        .into_iter()
        .try_for_each(|(_, port)| assert_served(lab, from, SocketAddr::new(lab::SERVER4, port)))
}

/// How a client fares at a port of the server; `None` if it was served.
pub fn fate(lab: &Lab, from: IpAddr, port: u16) -> Result<Option<Refusal>> {
    client::refusal((&lab.clients, from), SocketAddr::new(lab::SERVER4, port), BRIEF)
}

/// Attempts at the guarded service from 500 ports of a denied address.
pub fn deny_many(lab: &Lab, first_port: u16) -> Result<()> {
    raw::send(&lab.clients, (first_port..first_port + 500).map(|port| syn(lab::BLOCKED4, port)))
}

/// A first packet to the guarded service, over IPv4.
pub fn syn(source: IpAddr, port: u16) -> Syn {
    let destination = SocketAddr::new(lab::SERVER4, GUARDED);
    Syn { source: SocketAddr::new(source, port), destination, sequence: 17 }
}

/// Counts what of some clients comes through to the input hook, to either service; see
/// [`arrived`].
pub fn count_arrivals(lab: &Lab, clients: &[IpAddr]) -> Result<()> {
    for (header, v4) in [("ip", true), ("ip6", false)] {
        let family = clients.iter().filter(|client| client.is_ipv4() == v4);
        let sources: Vec<_> = family.map(ToString::to_string).collect();
        let rule = format!(
            "tcp dport {{ {GUARDED}, {RELAYED} }} {header} saddr {{ {} }}",
            sources.join(", ")
        );
        nft::count_input(&lab.server, header, &rule)?;
    }
    Ok(())
}

/// Packets that [`count_arrivals`] has counted.
pub fn arrived(lab: &Lab) -> Result<u64> {
    Ok(nft::counted(&lab.server, "ip")? + nft::counted(&lab.server, "ip6")?)
}

/// Asserts that records account for every attempt that the kernel counted, and that all
/// were made in time; to be called when traffic has ended. Gives the records.
pub fn assert_sum(lab: &Lab, weir: &Weir<'_>) -> Result<Vec<Value>> {
    let deadline = settled_at()?;
    let counted = kernel::denied_attempts(&lab.server)?;
    ensure!(counted > 0, "nothing was denied");
    let mut records = Vec::new();
    // Asking takes longer than making them, on a busy machine.
    let adds_up = holds(SOON, || {
        records = weir.events("verdict=denied").unwrap_or_default();
        attempts(&records) == counted
    });
    let sum = attempts(&records);
    ensure!(adds_up, "{} records for {sum} of {counted} attempts", records.len());
    let made = |record: &&Value| record["timestamp"].as_str() > Some(&deadline);
    let late = records.iter().find(made);
    ensure!(late.is_none(), "made later than {SETTLED:?} after the end of traffic: {late:?}");
    ensure!(kernel::denied_attempts(&lab.server)? == counted, "traffic goes on");
    Ok(records)
}

/// The end of [`SETTLED`] from now on, as records tell time.
fn settled_at() -> Result<String> {
    let date = format!("--date=+{} seconds", SETTLED.as_secs());
    let time = run(Command::new("date").args(["--utc", &date, "+%Y-%m-%dT%H:%M:%S.%3NZ"]))?;
    Ok(time.trim_end().to_owned())
}

/// A number of a record, 0 where it has none.
pub fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_default()
}

/// Attempts that denied records stand for, aggregates with all of theirs.
pub fn attempts(records: &[Value]) -> u64 {
    let suppressed = |record: &Value| -> u64 {
        record["metadata"]["suppressed"].as_str().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    records.iter().map(|record| 1 + suppressed(record)).sum()
}
