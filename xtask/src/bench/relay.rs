//! The relay beside HAProxy and nginx: client, proxy and target in a namespace each.
//! Every round measures all of them, in changing order.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};
use weir_tests::lab::{Lab, SERVER4};

use super::{
    goal,
    load::{BULK, Load, Targets, WEB, wait_for},
    proxies::{BENCHED, Proxy, versions},
    routing::prepare,
    stats::median,
};
use crate::build::{Options, release};

const ROUNDS: usize = 15;

pub(super) fn measure() -> Result<Value> {
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let dir = prepare(&lab)?;
    let _targets = Targets::start(&lab.neighbours, dir.path())?;
    let mut figures: BTreeMap<(Load, Proxy), Vec<f64>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut order = Proxy::ALL;
        order.rotate_left(round % Proxy::ALL.len());
        for proxy in order {
            let started = proxy.start(&lab.server, &BENCHED, &binary, dir.path())?;
            for port in [BULK, WEB] {
                wait_for(&lab.server, port)?;
            }
            for load in Load::ALL {
                let figure = load.run(&lab.clients, SERVER4)?;
                figures.entry((load, proxy)).or_default().push(figure);
            }
            started.stop()?;
        }
        println!("bench: round {} of {ROUNDS}", round + 1);
    }
    let (mut results, mut goals) = (Vec::new(), Vec::new());
    for load in Load::ALL {
        println!("{}, medians of {ROUNDS}", load.name());
        let base = median(&figures[&(load, Proxy::Haproxy)]);
        for proxy in Proxy::ALL {
            let rounds = &figures[&(load, proxy)];
            let median = median(rounds);
            println!("  {:8} {median:>10.2}  {:.2} of HAProxy's", proxy.name(), median / base);
            results.push(json!({
                "load": load.name(),
                "proxy": proxy.name(),
                "median": median,
                "ratio_to_haproxy": median / base,
                "rounds": rounds,
            }));
        }
        let own = median(&figures[&(load, Proxy::Weir)]);
        let text = format!("the relay's median of {} is at least HAProxy's", load.name());
        goals.push(goal(&text, own >= base));
    }
    Ok(json!({ "versions": versions()?, "figures": results, "goals": goals }))
}
