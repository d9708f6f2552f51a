//! `weir flows`

use std::{
    collections::HashMap,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    OK, Place,
    args::Flows,
    table::{Table, bytes, duration},
};
use crate::api::model::{Data, Flow};

const PERIOD: Duration = Duration::from_secs(1);

/// What rates are taken from: bytes up and down.
type Before = HashMap<String, (u64, u64)>;

pub(super) fn run(place: &Place, options: &Flows) -> Result<u8> {
    let client = place.client();
    let mut before = Before::new();
    let mut since = Instant::now();
    loop {
        let Data { data: mut flows } = client.get::<Data<Flow>>("/api/flows")?;
        flows.sort_by_key(|flow| std::cmp::Reverse(flow.bytes_upload + flow.bytes_download));
        let seconds = since.elapsed().as_secs_f64();
        since = Instant::now();
        if options.watch && !options.json {
            // Home, and clear what is below.
            io::stdout().lock().write_all(b"\x1b[H\x1b[J")?;
        }
        if options.json {
            println!("{}", serde_json::to_string(&flows)?);
        } else {
            table(&flows, &before, seconds).print()?;
        }
        if !options.watch {
            return Ok(OK);
        }
        before = flows.iter().map(|f| (name(f), (f.bytes_upload, f.bytes_download))).collect();
        thread::sleep(PERIOD);
    }
}

fn name(flow: &Flow) -> String {
    let Flow { source_ip, source_port, listen_address, listen_port, .. } = flow;
    format!("{source_ip} {source_port} {listen_address} {listen_port}")
}

fn table(flows: &[Flow], before: &Before, seconds: f64) -> Table {
    let mut table = Table::new(&[
        "SERVICE", "PLANE", "SOURCE", "CC", "PORT", "STATE", "AGE", "IDLE", "UP", "DOWN", "UP/S",
        "DOWN/S", "PACKETS",
    ]);
    for flow in flows {
        let known = before.get(&name(flow));
        let rate = |now: u64, then: Option<u64>| {
            then.map_or_else(String::new, |then| {
                bytes(per_second(now.saturating_sub(then), seconds))
            })
        };
        table.row([
            flow.service_id.clone(),
            flow.plane.as_str().to_owned(),
            std::net::SocketAddr::new(flow.source_ip, flow.source_port).to_string(),
            flow.country_code.clone().unwrap_or_default(),
            flow.listen_port.to_string(),
            flow.state.clone(),
            duration(flow.age_ms),
            duration(flow.idle_ms),
            bytes(flow.bytes_upload),
            bytes(flow.bytes_download),
            rate(flow.bytes_upload, known.map(|(up, _)| *up)),
            rate(flow.bytes_download, known.map(|(_, down)| *down)),
            format!("{}/{}", flow.packets_upload, flow.packets_download),
        ]);
    }
    table
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a rate to be read, not reckoned with"
)]
fn per_second(count: u64, seconds: f64) -> u64 {
    (count as f64 / seconds.max(0.001)) as u64
}
