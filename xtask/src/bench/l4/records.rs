//! Whether each connection has its record: those that were made by the kernel's count, those
//! that were recorded by each log.

use std::{fs, ops::AddAssign, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_tests::{
    ns::Namespace,
    wait::{SOON, eventually},
    weir::Weir,
};

use super::{
    super::proxies::Started,
    loads::{Load, SESSIONS},
    ways::{Place, Standing, Way},
};

/// Connections, and sessions of datagrams where Weir has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recorded {
    pub(super) made: u64,
    pub(super) records: u64,
    /// Of the records, those of the kernel plane.
    pub(super) in_kernel: u64,
}

impl AddAssign for Recorded {
    fn add_assign(&mut self, other: Self) {
        self.made += other.made;
        self.records += other.records;
        self.in_kernel += other.in_kernel;
    }
}

impl Recorded {
    pub(super) fn json(self) -> Value {
        json!({ "made": self.made, "records": self.records, "in_kernel": self.in_kernel })
    }
}

impl Way {
    /// Whether it records connections.
    pub(super) const fn records(self) -> bool {
        !matches!(self, Self::Direct | Self::Routing | Self::Nftables)
    }

    /// Connections that came in on it so far.
    pub(super) fn made(self, place: &Place) -> Result<u64> {
        // What the kernel plane leaves to the relay meets a target too.
        let end = if self == Self::Kernel { &place.lab.neighbours } else { &place.lab.server };
        accepted(end)
    }
}

/// Connections that a namespace has accepted.
fn accepted(namespace: &Namespace) -> Result<u64> {
    let snmp = namespace.within(|| fs::read_to_string("/proc/thread-self/net/snmp"))??;
    let mut tcp = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let mut row = || tcp.next().unwrap_or_default().split(' ');
    let mut columns = row().zip(row());
    let count = columns.find(|(name, _)| *name == "PassiveOpens");
    count.and_then(|(_, count)| count.parse().ok()).with_context(|| snmp.clone())
}

impl Standing<'_> {
    /// What a load left behind, where there were so many connections before.
    pub(super) fn recorded(&self, place: &Place, load: Load, before: u64) -> Result<Recorded> {
        let mut made = self.way.made(place)? - before;
        if let Some(Started::Weir(weir)) = &self.started {
            if load == Load::Datagrams {
                made += SESSIONS;
            }
            return of_weir(weir, made, SOON);
        }
        if !self.way.records() {
            return Ok(Recorded::default());
        }
        let count = || logged(self.way, place).filter(|records| *records >= made);
        let records = eventually(SOON, count).or_else(|| logged(self.way, place));
        Ok(Recorded { made, records: records.context("no log")?, in_kernel: 0 })
    }
}

/// Weir's records, once there are as many as connections, or no more seem to come.
pub(super) fn of_weir(weir: &Weir<'_>, made: u64, within: Duration) -> Result<Recorded> {
    let total = || weir.api("/api/events/proxy?page_size=1").ok()?["total_records"].as_u64();
    eventually(within, || total().filter(|total| *total >= made));
    let records = weir.events("")?;
    let in_kernel = records.iter().filter(|record| record["metadata"]["plane"] == "kernel");
    let in_kernel = in_kernel.count() as u64;
    Ok(Recorded { made, records: records.len() as u64, in_kernel })
}

/// Connections in a proxy's log.
fn logged(way: Way, place: &Place) -> Option<u64> {
    // What tells a connection from what else is said, in each log.
    let (file, sign) = match way {
        Way::Haproxy => ("haproxy.log", "/198.18."),
        _ => ("nginx-access.log", "] TCP "),
    };
    let log = fs::read_to_string(place.directory.path().join(file)).ok()?;
    Some(log.lines().filter(|line| line.contains(sign)).count() as u64)
}
