//! `weir flows`

use std::{
    collections::{HashMap, HashSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    Client, OK, Place,
    args::Flows,
    out::{say, tell, write},
    table::{Table, bytes, duration},
};
use crate::api::model::{Flow, Listing};

const PERIOD: Duration = Duration::from_secs(1);

/// What rates are taken from: bytes up and down.
type Before = HashMap<String, (u64, u64)>;

pub(super) fn run(place: &Place, options: &Flows) -> Result<u8> {
    let client = place.client();
    let mut before = Before::new();
    let mut since = Instant::now();
    loop {
        // Who watches sees those with the most bytes.
        let page = |number| page(&client, number);
        let (flows, total) = if options.watch { first(page)? } else { all(page)? };
        let seconds = since.elapsed().as_secs_f64();
        since = Instant::now();
        if options.watch && !options.json {
            // Home, and clear what is below.
            write(b"\x1b[H\x1b[J")?;
        }
        if options.json {
            say(serde_json::to_string(&flows)?)?;
        } else {
            table(&flows, &before, seconds).print()?;
        }
        if (flows.len() as u64) < total {
            tell(format_args!("{} of {total} flows", flows.len()));
        }
        if !options.watch {
            return Ok(OK);
        }
        before = flows.iter().map(|f| (name(f), (f.bytes_upload, f.bytes_download))).collect();
        thread::sleep(PERIOD);
    }
}

/// As many as one answer holds, and how many there are.
fn first(page: impl Fn(u64) -> Result<Listing<Flow>>) -> Result<(Vec<Flow>, u64)> {
    let page = page(1)?;
    Ok((page.data, page.total_records))
}

/// Every flow, and how many there are: flows that come, go or grow between two pages
/// may be in neither.
fn all(page: impl Fn(u64) -> Result<Listing<Flow>>) -> Result<(Vec<Flow>, u64)> {
    let Listing { data: mut flows, mut total_pages, mut total_records, .. } = page(1)?;
    let mut known: HashSet<String> = flows.iter().map(name).collect();
    let mut number = 2;
    while number <= total_pages {
        let next = page(number)?;
        (total_pages, total_records) = (next.total_pages, next.total_records);
        flows.extend(next.data.into_iter().filter(|flow| known.insert(name(flow))));
        number += 1;
    }
    Ok((flows, total_records))
}

fn page(client: &Client, number: u64) -> Result<Listing<Flow>> {
    client.get(&format!("/api/flows?page_size=1000&page={number}"))
}

fn name(flow: &Flow) -> String {
    let Flow { protocol, source_ip, source_port, listen_address, listen_port, .. } = flow;
    format!("{protocol} {source_ip} {source_port} {listen_address} {listen_port}")
}

fn table(flows: &[Flow], before: &Before, seconds: f64) -> Table {
    let mut table = Table::new(&[
        "SERVICE", "PLANE", "PROTO", "SOURCE", "CC", "PORT", "STATE", "AGE", "IDLE", "UP", "DOWN",
        "UP/S", "DOWN/S", "PACKETS",
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
            flow.protocol.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::model::Plane;

    fn flow(port: u16) -> Flow {
        Flow {
            service_id: "a".into(),
            plane: Plane::Guard,
            protocol: "udp".into(),
            source_ip: [192, 0, 2, 1].into(),
            source_port: port,
            listen_address: [192, 0, 2, 2].into(),
            listen_port: 22,
            state: "established".into(),
            age_ms: 0,
            idle_ms: 0,
            bytes_upload: 0,
            bytes_download: 0,
            packets_upload: 0,
            packets_download: 0,
            country_code: None,
        }
    }

    /// 2500 flows, a thousand on a page, of which one that grew is on two.
    fn answer(number: u64) -> Listing<Flow> {
        let ports = match number {
            1 => 0..1000,
            2 => 999..1999,
            3 => 1999..2500,
            _ => panic!("there is no page {number}"),
        };
        Listing::of(ports.map(flow).collect(), number, 1000, 2500)
    }

    #[test]
    fn every_page_is_read_and_no_flow_shown_twice() {
        let (flows, total) = all(|number| Ok(answer(number))).expect("answered");
        let ports: Vec<u16> = flows.iter().map(|flow| flow.source_port).collect();
        assert_eq!(ports, (0..2500).collect::<Vec<u16>>());
        assert_eq!(total, 2500);
    }

    #[test]
    fn who_watches_is_told_how_many_there_are() {
        let (flows, total) = first(|number| Ok(answer(number))).expect("answered");
        assert_eq!((flows.len(), total), (1000, 2500));
    }
}
