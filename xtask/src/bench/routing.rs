//! What Weir costs traffic that the host only routes: pairs with and without Weir
//! attached, in changing order.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{lab::Lab, names, weir::Weir};

use super::{
    goal,
    load::{Load, Targets},
    stats::{mean_with_confidence, median},
};
use crate::build::{Options, release};

/// The target, behind the server.
pub(super) const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2));

const PAIRS: usize = 24;
/// A guarded and a relayed port, and a restriction: all that a router's Weir may have.
const TABLES: &str = "
[service.ssh]
mode = 'tcp'
listen = 22
target = 'host'
[service.ssh.access]
blocked_cidrs = ['203.0.113.0/24']
[service.web]
mode = 'tcp'
listen = 80
target = '127.0.0.1:8000'
";

pub(super) fn measure() -> Result<Value> {
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let dir = prepare(&lab)?;
    let _targets = Targets::start(&lab.neighbours, dir.path())?;
    let mut weir = Weir::install_from(&lab.server, binary)?;
    weir.configure("", TABLES)?;
    let mut results = Vec::new();
    for load in Load::ALL {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for pair in 0..PAIRS {
            for turn in 0..2 {
                if (pair + turn) % 2 == 0 {
                    without.push(load.run(&lab.clients, NEIGHBOUR)?);
                } else {
                    weir.launch()?;
                    with.push(load.run(&lab.clients, NEIGHBOUR)?);
                    weir.stop()?;
                }
            }
        }
        let ratios: Vec<f64> =
            with.iter().zip(&without).map(|(with, without)| with / without).collect();
        let (mean, half) = mean_with_confidence(&ratios);
        println!(
            "{}: {:.2} without, {:.2} with (medians of {PAIRS}); attached over plain {mean:.4} \
             +- {half:.4} (mean of pairs, 95 %)",
            load.name(),
            median(&without),
            median(&with),
        );
        let goal = goal("attaching costs at most 3 %", mean >= 0.97);
        results.push(json!({
            "load": load.name(),
            "goal": goal,
            "ratio": { "mean": mean, "half_width_95": half, "median": median(&ratios) },
            "without": without,
            "with": with,
        }));
    }
    Ok(results.into())
}

/// Lets the server route, and gives the benchmarks ports enough.
pub(super) fn prepare(lab: &Lab) -> Result<TempDir> {
    lab.server.sysctl("net/ipv4/ip_forward", "1")?;
    lab.neighbours.ip("route add default via 198.18.0.1")?;
    for namespace in [&lab.server, &lab.clients, &lab.neighbours] {
        namespace.sysctl("net/ipv4/ip_local_port_range", "10000 65000")?;
    }
    Ok(TempDir::with_prefix(names::prefix())?)
}
