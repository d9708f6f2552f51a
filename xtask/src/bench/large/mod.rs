//! What Weir needs of memory: for bodies of gigabytes, and for connections that wait.

mod generator;
mod idle;
mod transfer;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use weir_tests::{authority::Authority, lab::Lab, weir::Weir};

use self::{generator::Generator, idle::Kind, transfer::Transfer};
use super::{
    goal,
    routing::{NEIGHBOUR, prepare},
};
use crate::build::{Options, release};

/// The site.
const DOMAIN: &str = "app.test";
/// Where it is served over TLS, where without, and where its target listens.
const TLS: u16 = 8443;
const PLAIN: u16 = 8081;
const TARGET: u16 = 9080;
/// What bodies of any length may cost.
const MOST: u64 = 128 << 20;

/// The lab, and who vouches for the site.
struct Place<'a> {
    lab: &'a Lab,
    authority: &'a Authority,
}

pub(super) fn measure() -> Result<Value> {
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let dir = prepare(&lab)?;
    let authority = Authority::new(dir.path())?;
    let place = Place { lab: &lab, authority: &authority };
    let _target = Generator::start(&lab.neighbours, (NEIGHBOUR, TARGET).into())?;
    let mut transfers = Vec::new();
    let mut most = 0;
    for transfer in Transfer::ALL {
        let mut weir = place.weir(&binary)?;
        let measured = transfer.run(&place, &weir)?;
        weir.stop()?;
        println!("{measured}");
        most = most.max(measured.peak);
        transfers.push(measured.json());
    }
    let mut waiting = Vec::new();
    for kind in Kind::ALL {
        let mut weir = place.weir(&binary)?;
        waiting.push(kind.run(&place, &weir)?);
        weir.stop()?;
    }
    let goal = goal("bodies of 5 GiB take less than 128 MiB", most < MOST);
    Ok(json!({ "transfers": transfers, "idle_connections": waiting, "goals": [goal] }))
}

impl<'a> Place<'a> {
    /// A new Weir with the site.
    fn weir(&self, binary: &Path) -> Result<Weir<'a>> {
        let mut weir = Weir::install_from(&self.lab.server, binary.to_owned())?;
        self.authority.issue(DOMAIN, &weir.path("certs"))?;
        let service = |name: &str, port: u16, tls: bool| {
            format!(
                "[service.{name}]\ndomain = '{DOMAIN}'\nlisten = {port}\ntls = {tls}\n\
                 target = 'http://{NEIGHBOUR}:{TARGET}'\n"
            )
        };
        let certificates = format!("[tls]\ncert_dir = '{}'\n", weir.path("certs").display());
        let services = service("site", TLS, true) + &service("plain", PLAIN, false);
        weir.configure("", &(certificates + &services))?;
        weir.launch()?;
        Ok(weir)
    }
}
