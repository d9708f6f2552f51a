//! Datagrams through the relay, beside nginx and beside plain routing: client, proxy and
//! target in a namespace each. Every round measures all of them, in changing order.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_tests::{
    lab::{Lab, SERVER4},
    ns::Namespace,
};

use super::{
    goal,
    load::{BULK, Targets, iperf3, wait_for},
    proxies::{BENCHED, Proxy, versions},
    routing::{NEIGHBOUR, prepare},
    stats::median,
};
use crate::build::{Options, release};

const ROUNDS: usize = 7;

/// Who passes datagrams on; `None`: the host itself routes.
type Way = Option<Proxy>;
const WAYS: [Way; 3] = [None, Some(Proxy::Weir), Some(Proxy::Nginx)];

const fn name(way: Way) -> &'static str {
    match way {
        Some(proxy) => proxy.name(),
        None => "routing",
    }
}

/// What clients send.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    /// Payload bytes of a datagram.
    length: u32,
    /// Sessions at a time.
    sessions: u32,
    /// Bits a second over all of them; 0: as many as the client can.
    rate: u32,
}

const OFFERS: [Offer; 4] = [
    Offer { length: 1400, sessions: 1, rate: 0 },
    Offer { length: 64, sessions: 1, rate: 0 },
    Offer { length: 1400, sessions: 64, rate: 0 },
    // 20,000 datagrams a second, which everybody can pass on.
    Offer { length: 1400, sessions: 1, rate: 224_000_000 },
];

impl Offer {
    fn shown(self) -> String {
        let rate = match self.rate {
            0 => "as fast as the client can".to_owned(),
            rate => format!("{} Mb/s", rate / 1_000_000),
        };
        format!("datagrams of {} bytes, {} sessions, {rate}", self.length, self.sessions)
    }
}

/// What arrived.
#[derive(Clone, Copy)]
struct Arrived {
    a_second: f64,
    lost: f64,
}

impl Offer {
    fn run(self, clients: &Namespace, target: IpAddr) -> Result<Arrived> {
        let report = iperf3(
            clients,
            SocketAddr::new(target, BULK),
            &[
                "--udp",
                "--length",
                &self.length.to_string(),
                "--bitrate",
                &(self.rate / self.sessions).to_string(),
                "--parallel",
                &self.sessions.to_string(),
            ],
        )?;
        let sum = &report["end"]["sum"];
        let figure = |key: &str| sum[key].as_f64().with_context(|| format!("{key}: {report}"));
        let (packets, lost) = (figure("packets")?, figure("lost_packets")?);
        Ok(Arrived { a_second: (packets - lost) / figure("seconds")?, lost: lost / packets })
    }
}

pub(super) fn measure() -> Result<Value> {
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let dir = prepare(&lab)?;
    let _targets = Targets::start(&lab.neighbours, dir.path())?;
    let mut figures: BTreeMap<(Offer, Way), Vec<Arrived>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut order = WAYS;
        order.rotate_left(round % WAYS.len());
        for (offer, way) in OFFERS.into_iter().flat_map(|offer| order.map(|way| (offer, way))) {
            // Each starts anew: datagrams that a proxy still has of the offer before would
            // be taken for the next one's by iperf3.
            let started = match way {
                Some(proxy) => {
                    let started = proxy.start(&lab.server, &BENCHED, &binary, dir.path())?;
                    wait_for(&lab.server, BULK)?;
                    Some(started)
                }
                None => None,
            };
            let target = if way.is_some() { SERVER4 } else { NEIGHBOUR };
            let arrived = offer.run(&lab.clients, target).with_context(|| name(way))?;
            figures.entry((offer, way)).or_default().push(arrived);
            if let Some(started) = started {
                started.stop()?;
            }
        }
        println!("bench: round {} of {ROUNDS}", round + 1);
    }
    let (mut results, mut goals) = (Vec::new(), Vec::new());
    for offer in OFFERS {
        println!("{}, medians of {ROUNDS}", offer.shown());
        let medians = |way| {
            let rounds = &figures[&(offer, way)];
            let of = |figure: fn(&Arrived) -> f64| {
                median(&rounds.iter().map(figure).collect::<Vec<_>>())
            };
            (of(|arrived| arrived.a_second), of(|arrived| arrived.lost))
        };
        let (base, base_lost) = medians(Some(Proxy::Nginx));
        for way in WAYS {
            let (rate, lost) = medians(way);
            println!(
                "  {:8} {rate:>10.0} a second, {:.2} of nginx's, {:.2} % lost",
                name(way),
                rate / base,
                lost * 100.0,
            );
            let rounds: Vec<_> =
                figures[&(offer, way)].iter().map(|a| json!([a.a_second, a.lost])).collect();
            results.push(json!({
                "offer": offer.shown(),
                "way": name(way),
                "arrived_a_second": rate,
                "lost": lost,
                "ratio_to_nginx": rate / base,
                "rounds": rounds,
            }));
        }
        let (own, own_lost) = medians(Some(Proxy::Weir));
        let met = own >= base || (offer.rate != 0 && own_lost <= base_lost);
        goals.push(goal("as many datagrams arrive as through nginx", met));
    }
    Ok(json!({ "versions": versions()?, "figures": results, "goals": goals }))
}
