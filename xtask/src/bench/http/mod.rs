//! HTTP over TLS beside nginx, HAProxy and Caddy: clients, proxy and target in a namespace
//! each, the same certificate and every access log on. Every round measures all of them, in
//! changing order.

mod compare;
mod load;
mod profile;
mod proxies;
mod target;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_tests::{lab::Lab, tls::Certificate};

pub(super) use self::{compare::compare, profile::profile};
use self::{
    load::Load,
    proxies::{HTTPS, Proxy, Setting, versions},
    target::Target,
};
use super::{
    goal,
    load::wait_for,
    proxies::Started,
    routing::{NEIGHBOUR, prepare},
    stats::median,
};
use crate::build::{Options, release};

const ROUNDS: usize = 7;
/// Whom everybody asks for.
const DOMAIN: &str = "app.test";

/// Figures of all rounds.
type Figures = BTreeMap<(Load, Proxy), Vec<f64>>;

pub(super) fn measure() -> Result<Value> {
    let place = Place::new()?;
    let mut figures = Figures::new();
    for round in 0..ROUNDS {
        let mut order = Proxy::ALL;
        order.rotate_left(round % Proxy::ALL.len());
        for proxy in order {
            let started = place.start(proxy)?;
            for load in Load::ALL {
                let peak = load.of_peak().and_then(|peak| figures.get(&(peak, proxy))?.last());
                let figure = load.run(&place.lab.clients, peak.copied())?;
                figures.entry((load, proxy)).or_default().push(figure);
            }
            started.stop()?;
        }
        println!("bench: round {} of {ROUNDS}", round + 1);
    }
    Ok(json!({
        "versions": versions()?,
        "access_logs": Proxy::ALL.map(|proxy| json!({ proxy.name(): proxy.access_log() })),
        "figures": shown(&figures),
        "goals": goals(&figures),
    }))
}

/// The lab, with the target, where one proxy at a time is.
struct Place {
    target: Target,
    certificate: Certificate,
    weir: PathBuf,
    directory: TempDir,
    lab: Lab,
}

impl Place {
    fn new() -> Result<Self> {
        let weir = release(Options::default())?.canonicalize()?;
        let lab = Lab::new()?;
        let directory = prepare(&lab)?;
        let certificate = Certificate::new(directory.path(), &[DOMAIN])?;
        let target = target::start(&lab.neighbours, NEIGHBOUR, directory.path())?;
        Ok(Self { target, certificate, weir, directory, lab })
    }

    /// Starts one of them.
    fn start(&self, proxy: Proxy) -> Result<Started<'_>> {
        let setting = Setting {
            namespace: &self.lab.server,
            target: self.target.address,
            certificate: &self.certificate,
            directory: self.directory.path(),
            weir: &self.weir,
        };
        let started = proxy.start(&setting)?;
        wait_for(&self.lab.server, HTTPS)?;
        Ok(started)
    }
}

/// Prints medians, and gives them with the rounds that they are of.
fn shown(figures: &Figures) -> Vec<Value> {
    let mut results = Vec::new();
    for load in Load::ALL {
        println!("{}, medians of {ROUNDS}", load.name());
        let nginx = median(&figures[&(load, Proxy::Nginx)]);
        for proxy in Proxy::ALL {
            let rounds = &figures[&(load, proxy)];
            let median = median(rounds);
            println!("  {:8} {median:>10.2}  {:.2} of nginx's", proxy.name(), median / nginx);
            results.push(json!({
                "load": load.name(),
                "proxy": proxy.name(),
                "median": median,
                "ratio_to_nginx": median / nginx,
                "rounds": rounds,
            }));
        }
    }
    results
}

fn goals(figures: &Figures) -> Vec<Value> {
    let mut goals = Vec::new();
    for load in Load::ALL {
        let of = |proxy| median(&figures[&(load, proxy)]);
        let (weir, name) = (of(Proxy::Weir), load.name());
        if load.of_peak().is_some() {
            let text = format!("{name} is at most nginx's");
            goals.push(goal(&text, weir <= of(Proxy::Nginx)));
            continue;
        }
        goals.push(goal(&format!("{name} is at least nginx's"), weir >= of(Proxy::Nginx)));
        if load != Load::Handshakes {
            let text = format!("{name} is at least three times Caddy's");
            goals.push(goal(&text, weir >= 3.0 * of(Proxy::Caddy)));
        }
    }
    goals
}
