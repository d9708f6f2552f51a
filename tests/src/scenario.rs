//! What most tests set up: one service of each plane, with the same restrictions.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    time::Duration,
};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::{
    client::{self, Refusal},
    lab::{self, BLOCKED4_CIDR, BLOCKED6_CIDR, Lab},
    raw::{self, Syn},
    server::{Behaviour, Server},
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

/// Restrictions that each kind of client of the lab meets: the CIDRs blocked by
/// name, and no country but Germany.
pub fn only_germany() -> String {
    format!("blocked_cidrs = ['{BLOCKED4_CIDR}', '{BLOCKED6_CIDR}']\nallowed_countries = ['DE']")
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

/// How long a client tries where silence is expected.
pub const BRIEF: Duration = Duration::from_millis(400);

/// Tables of both services that block one prefix.
pub fn blocking() -> String {
    services(&format!("blocked_cidrs = ['{BLOCKED4_CIDR}']"))
}

/// How a client fares at a port of the server; `None` if it was served.
pub fn fate(lab: &Lab, from: IpAddr, port: u16) -> Result<Option<Refusal>> {
    client::refusal((&lab.clients, from), SocketAddr::new(lab::SERVER4, port), BRIEF)
}

/// Both services are silent.
///
/// # Panics
/// Where one is not.
pub fn assert_denied(lab: &Lab, from: IpAddr) -> Result<()> {
    for (service, port) in PLANES {
        assert_eq!(fate(lab, from, port)?, Some(Refusal::Silence), "{service}, {from}");
    }
    Ok(())
}

/// Both services answer.
///
/// # Panics
/// Where one does not.
pub fn assert_served(lab: &Lab, from: IpAddr) -> Result<()> {
    for (service, port) in PLANES {
        assert_eq!(fate(lab, from, port)?, None, "{service}, {from}");
    }
    Ok(())
}

/// Attempts at the guarded service from 500 ports of a denied address.
pub fn deny_many(lab: &Lab, first_port: u16) -> Result<()> {
    let IpAddr::V4(source) = lab::BLOCKED4 else { bail!("the lab's addresses") };
    raw::send(&lab.clients, (first_port..first_port + 500).map(|port| syn(source, port)))
}

/// A first packet to the guarded service.
pub fn syn(source: Ipv4Addr, port: u16) -> Syn {
    // lab::SERVER4
    let destination = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), GUARDED);
    Syn { source: SocketAddrV4::new(source, port), destination, sequence: 17 }
}
