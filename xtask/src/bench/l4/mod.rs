//! Every way from client to target in one run: without a proxy, through others, through each
//! plane of Weir's. Client, host and targets have a namespace each. Every round puts each load
//! on all of them, one right after another, in changing order.

mod cpu;
mod hold;
mod loads;
mod memory;
mod records;
mod report;
mod ways;

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_tests::lab::{Lab, assign};

pub(crate) use self::hold::Hold;
use self::{
    loads::{Figure, Load, Sample},
    records::Recorded,
    ways::{Place, Way},
};
use super::{
    load::Targets,
    proxies::{BENCHED, Served, versions},
    routing::prepare,
};
use crate::build::{Options, release};

const ROUNDS: usize = 9;

/// Figures of all rounds.
type Figures = BTreeMap<(Load, Figure, Way), Vec<f64>>;

pub(super) fn measure() -> Result<Value> {
    let place = Place::new()?;
    let mut figures = Figures::new();
    let mut recorded: BTreeMap<Way, Recorded> = BTreeMap::new();
    let targets = Targets::start(&place.lab.neighbours, place.directory.path())?;
    for round in 0..ROUNDS {
        let mut order = Way::ALL;
        order.rotate_left(round % Way::ALL.len());
        for load in Load::ALL {
            for way in order.into_iter().filter(|way| way.carries(load)) {
                let run = || format!("{} by {}", load.name(), way.name());
                let (sample, records) = place.run(way, load).with_context(run)?;
                for (figure, value) in sample {
                    figures.entry((load, figure, way)).or_default().push(value);
                }
                *recorded.entry(way).or_default() += records;
            }
        }
        println!("bench: round {} of {ROUNDS}", round + 1);
    }
    drop(targets);
    let memory = memory::measure(&place)?;
    let figures_shown = report::figures(&figures);
    let mut goals = report::goals(&figures);
    goals.extend(report::complete(&recorded));
    let records = recorded.iter().map(|(way, of)| (way.name().to_owned(), of.json()));
    Ok(json!({
        "versions": versions()?,
        "figures": figures_shown,
        "records": records.collect::<serde_json::Map<_, _>>(),
        "memory": memory,
        "goals": goals,
    }))
}

impl Place {
    fn new() -> Result<Self> {
        let binary = release(Options::default())?.canonicalize()?;
        let lab = Lab::new()?;
        let directory = prepare(&lab)?;
        for way in Way::ALL {
            assign(&lab.neighbours, "net0", &[&format!("{}/24", way.target())])?;
        }
        fs::create_dir(directory.path().join("local"))?;
        Ok(Self { binary, directory, lab })
    }

    /// Sets a way up, puts a load on it and takes it down.
    fn run(&self, way: Way, load: Load) -> Result<(Sample, Recorded)> {
        let own = self.directory.path().join("local");
        let _own = way.ends_here().then(|| Targets::start(&self.lab.server, &own)).transpose()?;
        let targets = [way.target()];
        let served = Served { targets: &targets, ..BENCHED };
        let standing = way.start(self, &served)?;
        let before = way.made(self)?;
        let sample = load.run(&self.lab.clients, way.address(&served))?;
        let recorded = standing.recorded(self, load, before)?;
        standing.stop()?;
        Ok((sample, recorded))
    }
}
