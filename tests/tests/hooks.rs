//! Verdicts in namespaces, the same under each hook.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::{
    client::{self, Refusal},
    geo, kernel,
    lab::{self, Lab},
    nft,
    raw::{self, Syn},
    scenario::{self, BRIEF, GUARDED, PLANES, RELAYED, Servers},
    server::Behaviour,
    wait::SOON,
    weir::Weir,
};

const BYTES: u64 = 10_000;

/// A client, where it connects to, and why that is denied.
type Case = (IpAddr, IpAddr, Option<&'static str>);

const WITH_DATABASE: [Case; 8] = [
    (lab::DE4, lab::SERVER4, None),
    (lab::DE6, lab::SERVER6, None),
    (lab::BLOCKED4, lab::SERVER4, Some("ip_restricted")),
    (lab::BLOCKED6, lab::SERVER6, Some("ip_restricted")),
    (lab::FR4, lab::SERVER4, Some("country_restricted")),
    (lab::FR6, lab::SERVER6, Some("country_restricted")),
    (lab::PRIVATE4, lab::SERVER_PRIVATE4, None),
    (lab::PRIVATE6, lab::SERVER_PRIVATE6, None),
];

const WITHOUT_DATABASE: [Case; 8] = [
    (lab::DE4, lab::SERVER4, Some("geo_unavailable")),
    (lab::DE6, lab::SERVER6, Some("geo_unavailable")),
    (lab::BLOCKED4, lab::SERVER4, Some("ip_restricted")),
    (lab::BLOCKED6, lab::SERVER6, Some("ip_restricted")),
    (lab::FR4, lab::SERVER4, Some("geo_unavailable")),
    (lab::FR6, lab::SERVER6, Some("geo_unavailable")),
    (lab::PRIVATE4, lab::SERVER_PRIVATE4, None),
    (lab::PRIVATE6, lab::SERVER_PRIVATE6, None),
];

/// Clients that are denied for their country, and where they connect to.
const IN_FRANCE: [(IpAddr, IpAddr); 2] = [(lab::FR4, lab::SERVER4), (lab::FR6, lab::SERVER6)];

macro_rules! under_each_hook {
    ($($module:ident = $hook:literal),*) => {$(
        mod $module {
            use anyhow::Result;

            #[test]
            fn verdicts_are_those_of_the_database() -> Result<()> {
                super::verdicts($hook, true, &super::WITH_DATABASE)
            }

            #[test]
            fn without_a_database_countries_are_closed() -> Result<()> {
                super::verdicts($hook, false, &super::WITHOUT_DATABASE)
            }

            #[test]
            fn retransmitted_syns_are_one_record() -> Result<()> {
                super::retransmissions($hook)
            }

            #[test]
            fn a_reset_answers_the_first_syn() -> Result<()> {
                super::resets($hook)
            }
        }
    )*};
}

under_each_hook!(tc = "tc", xdp_native = "xdp-native", xdp_generic = "xdp-generic");

fn start<'a>(lab: &'a Lab, hook: &str, database: bool, access: &str) -> Result<Weir<'a>> {
    let mut weir = Weir::install(&lab.server)?;
    if database {
        geo::write(&scenario::database(&weir))?;
    }
    let tables = scenario::geoip(&weir) + &scenario::services(access);
    weir.configure(&format!("interfaces = ['wan']\nhook = '{hook}'"), &tables)?;
    weir.launch()?;
    assert_eq!(kernel::hook_in_use(&lab.server, lab::WAN)?, Some(hook));
    Ok(weir)
}

fn verdicts(hook: &str, database: bool, cases: &[Case]) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = start(&lab, hook, database, &scenario::only_germany())?;
    let denied = |wanted: bool| cases.iter().filter(move |case| case.2.is_some() == wanted);
    let sources: Vec<_> = denied(true).map(|case| case.0).collect();
    scenario::count_arrivals(&lab, &sources)?;
    nft::count_input(&lab.server, "all", &format!("tcp dport {{ {GUARDED}, {RELAYED} }}"))?;

    for (service, port) in PLANES {
        for (client, server, reason) in cases {
            let (from, to) = ((&lab.clients, *client), SocketAddr::new(*server, port));
            let context = format!("{service}, {client}");
            match reason {
                None => served(&weir, service, from, to).context(context)?,
                Some(reason) => {
                    assert_eq!(
                        client::refusal(from, to, BRIEF)?,
                        Some(Refusal::Silence),
                        "{context}"
                    );
                    let record = weir.wait_for_event(&query(service, *client), SOON)?;
                    refused(&record, hook, reason);
                }
            }
        }
        assert_eq!(servers.behind(port).accepted(), denied(false).count() as u64, "{service}");
    }
    assert_eq!(scenario::arrived(&lab)?, 0);
    assert!(nft::counted(&lab.server, "all")? > 0);
    assert_eq!(weir.events("")?.len(), 2 * cases.len());
    Ok(())
}

fn query(service: &str, client: IpAddr) -> String {
    format!("service_id={service}&source_ip={client}")
}

/// A client gets what the service serves, and one record.
fn served(
    weir: &Weir<'_>,
    service: &str,
    from: (&weir_tests::ns::Namespace, IpAddr),
    to: SocketAddr,
) -> Result<()> {
    let mut stream = client::connect(from, to)?;
    client::exchange(&mut stream, BYTES)?;
    let port = stream.local_addr()?.port();
    drop(stream);
    let record = weir.wait_for_event(&query(service, from.1), SOON)?;
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["reason"], Value::Null, "{record}");
    assert_eq!(record["source_port"], port, "{record}");
    assert_eq!(record["bytes_upload"], BYTES, "{record}");
    assert_eq!(record["bytes_download"], BYTES, "{record}");
    assert_eq!(record["listen_port"], to.port(), "{record}");
    let private = [lab::PRIVATE4, lab::PRIVATE6].contains(&from.1);
    let exempt = if private { Value::from("true") } else { Value::Null };
    assert_eq!(record["metadata"]["country_exempt"], exempt, "{record}");
    Ok(())
}

/// A record of a client that `hook` denied. TC stands behind XDP and must have had
/// nothing to do.
fn refused(record: &Value, hook: &str, reason: &str) {
    let judge = if hook == "tc" { "tc" } else { "xdp" };
    assert_eq!(record["verdict"], "denied", "{record}");
    assert_eq!(record["reason"], reason, "{record}");
    assert_eq!(record["metadata"]["hook"], judge, "{record}");
    assert_eq!(record["bytes_upload"], 0, "{record}");
    assert_eq!(record["bytes_download"], 0, "{record}");
    if reason == "country_restricted" {
        assert_eq!(record["country_code"], "FR", "{record}");
    }
}

/// Five SYNs with one initial sequence number are one attempt; with another, two.
fn retransmissions(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = start(&lab, hook, true, &scenario::only_germany())?;
    for (service, port) in PLANES {
        for (client, server) in IN_FRANCE {
            let destination = SocketAddr::new(server, port);
            let syn = |from, sequence| Syn {
                source: SocketAddr::new(client, from),
                destination,
                sequence,
            };
            let first = (0..5).map(|_| syn(5001, 17));
            // The last comes after all others, so its record tells that they were judged.
            let others = [syn(5002, 17), syn(5002, 18), syn(5003, 17)];
            raw::send(&lab.clients, first.chain(others))?;
            let records = weir.wait_for_events(4, &query(service, client), SOON)?;
            for record in &records {
                refused(record, hook, "country_restricted");
            }
            let of = |port: u16| records.iter().filter(|r| r["source_port"] == port).count();
            assert_eq!((of(5001), of(5002), of(5003)), (1, 2, 1), "{records:#?}");
        }
    }
    assert_eq!(kernel::denied_attempts(&lab.server)?, 4 * 4);
    assert_eq!(weir.events("")?.len(), 4 * 4);
    Ok(())
}

/// The same of clients that wait longer and longer before they try again.
#[test]
fn what_a_client_retransmits_is_one_record() -> Result<()> {
    // SYNs at 0, 1, 3 and 7 s, or closer together.
    const PATIENCE: Duration = Duration::from_millis(7_500);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = start(&lab, "tc", true, &scenario::only_germany())?;
    count_syns(&lab)?;
    thread::scope(|scope| {
        for (_, port) in PLANES {
            for (client, server) in IN_FRANCE {
                let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
                scope.spawn(move || {
                    let answer = client::connect_within(from, to, PATIENCE);
                    assert_eq!(answer.map_err(|e| e.kind()).err(), Some(ErrorKind::TimedOut));
                });
            }
        }
    });
    let sent = nft::counted(&lab.clients, "syns")?;
    assert!(sent >= 4 * 4, "only {sent} SYNs were sent");
    for (service, _) in PLANES {
        for (client, _) in IN_FRANCE {
            let record = weir.wait_for_event(&query(service, client), SOON)?;
            refused(&record, "tc", "country_restricted");
        }
    }
    assert_eq!(kernel::denied_attempts(&lab.server)?, 4);
    assert_eq!(weir.events("")?.len(), 4);
    Ok(())
}

/// Counts the SYNs that clients send to both services, as `syns`.
fn count_syns(lab: &Lab) -> Result<()> {
    let rule = format!("tcp dport {{ {GUARDED}, {RELAYED} }} tcp flags syn");
    nft::count_output(&lab.clients, "syns", &rule)
}

fn resets(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let servers = Servers::start(&lab, Behaviour::Echo)?;
    let access = scenario::only_germany() + "\ndeny = 'reset'";
    let weir = start(&lab, hook, true, &access)?;
    count_syns(&lab)?;
    for (service, port) in PLANES {
        for (client, server) in IN_FRANCE {
            let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
            let answer = client::connect(from, to).map_err(|error| error.kind());
            assert_eq!(answer.err(), Some(ErrorKind::ConnectionRefused), "{service}, {client}");
            let record = weir.wait_for_event(&query(service, client), SOON)?;
            refused(&record, hook, "country_restricted");
        }
        assert_eq!(servers.behind(port).accepted(), 0);
    }
    assert_eq!(nft::counted(&lab.clients, "syns")?, 4, "the first SYN was not answered");
    Ok(())
}

/// The kernel saves work, it is never the only judge.
#[test]
fn on_an_interface_without_a_hook_the_relay_denies() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = start(&lab, "tc", true, &scenario::only_germany())?;
    for (client, server) in [(lab::LAN_FR4, lab::SERVER_LAN4), (lab::LAN_FR6, lab::SERVER_LAN6)] {
        let (from, to) = ((&lab.neighbours, client), SocketAddr::new(server, RELAYED));
        assert_eq!(client::refusal(from, to, SOON)?, Some(Refusal::Reset), "{client}");
        let record = weir.wait_for_event(&query("relayed", client), SOON)?;
        assert_eq!(record["verdict"], "denied", "{record}");
        assert_eq!(record["reason"], "country_restricted", "{record}");
        assert_eq!(record["metadata"]["hook"], "relay", "{record}");
    }
    assert_eq!(servers.backend.accepted(), 0);
    Ok(())
}
