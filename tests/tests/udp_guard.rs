//! Guarded UDP services under each hook: verdicts, records, and what they count.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;
use weir_tests::{
    geo, kernel,
    lab::{self, Lab},
    scenario::{self, BRIEF, GUARDED},
    udp::{self, Echo, LARGEST},
    wait::{SOON, holds},
    weir::Weir,
};

/// A record comes when its flow was silent for `idle_timeout` and the daemon has looked,
/// which it does every five seconds.
const IDLE: Duration = Duration::from_secs(20);

/// Where the server listens.
const SERVERS: [IpAddr; 4] =
    [lab::SERVER4, lab::SERVER6, lab::SERVER_PRIVATE4, lab::SERVER_PRIVATE6];

/// A client, where it sends to, and why that is denied.
type Case = (IpAddr, IpAddr, Option<&'static str>);

const CASES: [Case; 8] = [
    (lab::DE4, lab::SERVER4, None),
    (lab::DE6, lab::SERVER6, None),
    (lab::BLOCKED4, lab::SERVER4, Some("ip_restricted")),
    (lab::BLOCKED6, lab::SERVER6, Some("ip_restricted")),
    (lab::FR4, lab::SERVER4, Some("country_restricted")),
    (lab::FR6, lab::SERVER6, Some("country_restricted")),
    (lab::PRIVATE4, lab::SERVER_PRIVATE4, None),
    (lab::PRIVATE6, lab::SERVER_PRIVATE6, None),
];

macro_rules! under_each_hook {
    ($($module:ident = $hook:literal),*) => {$(
        mod $module {
            use anyhow::Result;

            #[test]
            fn each_client_has_its_verdict_and_one_record() -> Result<()> {
                super::verdicts($hook)
            }

            #[test]
            fn bytes_and_packets_are_exact_in_fragments_too() -> Result<()> {
                super::counts($hook)
            }

            #[test]
            fn a_denied_client_is_told_where_it_is_to_be() -> Result<()> {
                super::resets($hook)
            }

            #[test]
            fn a_kill_loses_and_repeats_nothing() -> Result<()> {
                super::kill($hook)
            }
        }
    )*};
}

under_each_hook!(tc = "tc", xdp_native = "xdp-native", xdp_generic = "xdp-generic");

fn start<'a>(lab: &'a Lab, hook: &str, idle_timeout: &str, access: &str) -> Result<Weir<'a>> {
    let mut weir = Weir::install(&lab.server)?;
    geo::write(&scenario::database(&weir))?;
    configure(&weir, hook, idle_timeout, access)?;
    weir.launch()?;
    assert_eq!(kernel::hook_in_use(&lab.server, lab::WAN)?, Some(hook));
    Ok(weir)
}

fn configure(weir: &Weir<'_>, hook: &str, idle_timeout: &str, access: &str) -> Result<()> {
    let service = format!(
        "[service.guarded]\nmode = 'udp'\nlisten = {GUARDED}\ntarget = 'host'\n\
         idle_timeout = '{idle_timeout}'\n[service.guarded.access]\n{access}\n"
    );
    let tables = scenario::geoip(weir) + &service;
    weir.configure(&format!("interfaces = ['wan']\nhook = '{hook}'"), &tables)
}

fn client(lab: &Lab, client: IpAddr, server: IpAddr) -> Result<UdpSocket> {
    udp::connect((&lab.clients, client), SocketAddr::new(server, GUARDED))
}

fn verdicts(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let weir = start(&lab, hook, "1s", &scenario::only_germany())?;
    let mut sockets = Vec::new();
    for (source, server, reason) in CASES {
        let socket = client(&lab, source, server)?;
        if reason.is_some() {
            // Many datagrams of one socket are one attempt.
            for _ in 0..4 {
                socket.send(b"?")?;
            }
            assert_eq!(udp::refusal(&socket, BRIEF)?, Some(ErrorKind::TimedOut), "{source}");
        } else {
            udp::exchange(&socket, 100)?;
            udp::exchange(&socket, 900)?;
        }
        sockets.push(socket);
    }
    for ((source, _, reason), socket) in CASES.iter().zip(&sockets) {
        let record = weir.wait_for_event(&format!("source_ip={source}"), IDLE)?;
        assert_eq!(record["protocol"], "udp", "{record}");
        assert_eq!(record["method"], "UDP", "{record}");
        assert_eq!(record["source_port"], socket.local_addr()?.port(), "{record}");
        match reason {
            Some(reason) => refused(&record, hook, reason),
            None => served(&record, (1000, 2), "idle_timeout"),
        }
    }
    let denied = CASES.iter().filter(|case| case.2.is_some()).count() as u64;
    assert_eq!(kernel::denied_attempts(&lab.server)?, denied);
    assert_eq!(weir.events("")?.len(), CASES.len());
    assert_eq!(echo.received(), 2 * (CASES.len() as u64 - denied));
    Ok(())
}

/// A record of a client that `hook` denied.
fn refused(record: &Value, hook: &str, reason: &str) {
    let judge = if hook == "tc" { "tc" } else { "xdp" };
    assert_eq!(record["verdict"], "denied", "{record}");
    assert_eq!(record["reason"], reason, "{record}");
    assert_eq!(record["metadata"]["hook"], judge, "{record}");
    assert_eq!((&record["bytes_upload"], &record["bytes_download"]), (&0.into(), &0.into()));
}

/// A record of an echo of so many bytes in so many packets.
fn served(record: &Value, (bytes, packets): (u64, u64), close_reason: &str) {
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["close_reason"], close_reason, "{record}");
    assert_eq!(record["bytes_upload"], bytes, "{record}");
    assert_eq!(record["bytes_download"], bytes, "{record}");
    assert_eq!(record["packets_upload"], packets, "{record}");
    assert_eq!(record["packets_download"], packets, "{record}");
}

/// Packets of 1500 bytes that carry a datagram of so many.
fn packets(length: usize, is_v4: bool) -> u64 {
    // What a fragment has room for, in units of eight (RFC 791; RFC 8200, 4.5).
    let (whole, fragment) = if is_v4 { (1480, 1480) } else { (1460, 1448) };
    let datagram = length + 8;
    if datagram <= whole { 1 } else { datagram.div_ceil(fragment) as u64 }
}

fn counts(hook: &str) -> Result<()> {
    const LENGTHS: [usize; 8] = [0, 1, 1452, 1453, 1472, 1473, 9_000, LARGEST];
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let mut weir = start(&lab, hook, "1m", "")?;
    for (source, server) in [(lab::DE4, lab::SERVER4), (lab::DE6, lab::SERVER6)] {
        let socket = client(&lab, source, server)?;
        for length in LENGTHS {
            udp::exchange(&socket, length)?;
        }
        let expected = |length: &usize| packets(*length, source.is_ipv4());
        let bytes = LENGTHS.iter().sum::<usize>() as u64;
        let counted = (bytes, LENGTHS.iter().map(expected).sum::<u64>());
        let flows = weir.api("/api/flows")?;
        let open = |flow: &&Value| flow["source_ip"] == source.to_string();
        let flow = flows["data"].as_array().and_then(|flows| flows.iter().find(open));
        let flow = flow.with_context(|| flows.to_string())?;
        assert_eq!(flow["protocol"], "udp", "{flow}");
        assert_eq!(flow["state"], "established", "{flow}");
        assert_eq!(flow["bytes_upload"], counted.0, "{flow}");
        assert_eq!(flow["packets_download"], counted.1, "{flow}");
        // Of what is open a clean stop makes the record.
        assert!(weir.stop()?.success(), "{}", weir.log());
        weir.launch()?;
        let record = weir.wait_for_event(&format!("source_ip={source}"), SOON)?;
        served(&record, counted, "shutdown");
    }
    Ok(())
}

fn resets(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let access = scenario::only_germany() + "\ndeny = 'reset'";
    let weir = start(&lab, hook, "1m", &access)?;
    for (source, server, reason) in CASES {
        let Some(reason) = reason else { continue };
        let socket = client(&lab, source, server)?;
        for _ in 0..2 {
            // Each datagram is answered, and the attempt is one.
            assert_eq!(
                udp::refusal(&socket, SOON)?,
                Some(ErrorKind::ConnectionRefused),
                "{source}"
            );
        }
        refused(&weir.wait_for_event(&format!("source_ip={source}"), SOON)?, hook, reason);
    }
    assert_eq!(echo.received(), 0);
    Ok(())
}

/// A guarded flow goes on while no daemon runs, and what is denied meanwhile is counted.
fn kill(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let mut weir = start(&lab, hook, "1m", &scenario::blocked())?;
    let (long, denied) =
        (client(&lab, lab::DE4, lab::SERVER4)?, client(&lab, lab::BLOCKED4, lab::SERVER4)?);
    udp::exchange(&long, 100)?;
    assert_eq!(udp::refusal(&denied, BRIEF)?, Some(ErrorKind::TimedOut));
    weir.kill()?;
    udp::exchange(&long, 200)?;
    let meanwhile = client(&lab, lab::DE6, lab::SERVER6)?;
    udp::exchange(&meanwhile, 10)?;
    let denied = client(&lab, lab::BLOCKED6, lab::SERVER6)?;
    assert_eq!(udp::refusal(&denied, BRIEF)?, Some(ErrorKind::TimedOut));
    weir.launch()?;
    udp::exchange(&long, 400)?;
    scenario::assert_sum(&lab, &weir)?;
    weir.kill()?;
    weir.launch()?;
    assert!(weir.stop()?.success(), "{}", weir.log());
    weir.launch()?;
    let record =
        |source: IpAddr| weir.wait_for_event(&format!("verdict=allowed&source_ip={source}"), SOON);
    served(&record(lab::DE4)?, (700, 3), "shutdown");
    served(&record(lab::DE6)?, (10, 1), "shutdown");
    Ok(())
}

/// A daemon is killed as it begins to record the flows of a second, and again.
#[test]
fn kills_while_flows_are_recorded_lose_and_repeat_none() -> Result<()> {
    const KILLS: usize = 4;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let mut weir = start(&lab, "tc", "1s", "")?;
    let ended = AtomicBool::new(false);
    let traffic = || -> Result<usize> {
        let to = SocketAddr::new(lab::SERVER4, GUARDED);
        // A port that is used again would go on with its flow.
        for port in 1024..=u16::MAX {
            let from = SocketAddr::new(lab::DE4, port);
            let socket = udp::connect_from((&lab.clients, from), to)?;
            for length in [1000, 500] {
                udp::exchange(&socket, length)?;
            }
            if ended.load(Ordering::Relaxed) {
                return Ok(usize::from(port - 1023));
            }
            // Ports suffice for a minute then.
            thread::sleep(Duration::from_millis(1));
        }
        bail!("all ports are used")
    };
    let made = thread::scope(|scope| {
        let traffic = scope.spawn(traffic);
        let killed = (0..KILLS).try_for_each(|_| {
            let before = recorded(&weir)?;
            let goes_on = holds(IDLE, || recorded(&weir).is_ok_and(|count| count > before));
            ensure!(goes_on, "nothing is recorded");
            weir.kill()?;
            weir.launch()
        });
        ended.store(true, Ordering::Relaxed);
        let made = traffic.join().map_err(|_| anyhow!("the traffic panicked"))?;
        killed.and(made)
    })?;
    let records = weir.wait_for_events(made, "", IDLE)?;
    assert_eq!(records.len(), made);
    for record in &records {
        served(record, (1500, 2), "idle_timeout");
    }
    Ok(())
}

/// How many records there are.
fn recorded(weir: &Weir<'_>) -> Result<u64> {
    let page = weir.api("/api/events/proxy?page_size=1")?;
    page["total_records"].as_u64().with_context(|| page.to_string())
}

/// Its flow ends at once, and what it sends next is an attempt.
#[test]
fn a_client_that_a_new_policy_denies_is_cut() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = Echo::start(&lab.server, &SERVERS, GUARDED)?;
    let weir = start(&lab, "tc", "1m", "")?;
    let sockets = [(lab::BLOCKED4, lab::SERVER4), (lab::DE4, lab::SERVER4)]
        .map(|(source, server)| client(&lab, source, server));
    let [cut, other] = sockets;
    let (cut, other) = (cut?, other?);
    for socket in [&cut, &other] {
        udp::exchange(socket, 100)?;
    }
    configure(&weir, "tc", "1m", &scenario::blocked())?;
    weir.reload()?;
    let of = |verdict| format!("verdict={verdict}&source_ip={}", lab::BLOCKED4);
    served(&weir.wait_for_event(&of("allowed"), SOON)?, (100, 1), "policy_changed");
    assert_eq!(udp::refusal(&cut, BRIEF)?, Some(ErrorKind::TimedOut));
    refused(&weir.wait_for_event(&of("denied"), SOON)?, "tc", "ip_restricted");
    udp::exchange(&other, 100)?;
    assert_eq!((echo.received(), weir.events("")?.len()), (3, 2));
    Ok(())
}

/// What no program of the host takes is recorded all the same.
#[test]
fn a_client_that_nobody_answers_has_a_record() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = start(&lab, "tc", "1s", "")?;
    let socket = client(&lab, lab::DE4, lab::SERVER4)?;
    assert_eq!(udp::refusal(&socket, SOON)?, Some(ErrorKind::ConnectionRefused));
    let flows = || weir.api("/api/flows").unwrap_or_default();
    assert!(holds(SOON, || flows()["data"][0]["state"] == "unanswered"), "{}", flows());
    let record = weir.wait_for_event("", IDLE)?;
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["close_reason"], "idle_timeout", "{record}");
    assert_eq!((&record["bytes_upload"], &record["packets_download"]), (&1.into(), &0.into()));
    Ok(())
}
