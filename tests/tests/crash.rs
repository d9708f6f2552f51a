//! The daemon is killed, and what was true stays true.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use serde_json::Value;
use weir_tests::{
    client, geo, kernel,
    lab::{self, Lab},
    scenario::{self, GUARDED, PLANES, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

const BYTES: u64 = 1_000_000;

/// Who is denied, by prefix and by country.
const DENIED: [(IpAddr, IpAddr); 4] = [
    (lab::BLOCKED4, lab::SERVER4),
    (lab::BLOCKED6, lab::SERVER6),
    (lab::FR4, lab::SERVER4),
    (lab::FR6, lab::SERVER6),
];

fn start<'a>(lab: &'a Lab, hook: &str) -> Result<Weir<'a>> {
    let mut weir = Weir::install(&lab.server)?;
    geo::write(&scenario::database(&weir))?;
    let tables = scenario::geoip(&weir) + &scenario::services(&scenario::only_germany());
    weir.configure(&format!("interfaces = ['wan']\nhook = '{hook}'"), &tables)?;
    weir.launch()?;
    assert_eq!(kernel::hook_in_use(&lab.server, lab::WAN)?, Some(hook));
    scenario::count_arrivals(lab, &DENIED.map(|(client, _)| client))?;
    Ok(weir)
}

/// Runs `traffic` beside a main line, until that has ended.
fn beside<T>(
    mut traffic: impl FnMut() -> Result<()> + Send,
    main: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let ended = &ended;
        let traffic = scope.spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                traffic()?;
            }
            Ok(())
        });
        let result = main();
        ended.store(true, Ordering::Relaxed);
        let traffic: Result<()> = traffic.join().map_err(|_| anyhow!("the traffic panicked"))?;
        traffic?;
        result
    })
}

/// All clients that are denied try both services once. None is heard: what comes
/// through later than they wait is still counted at the input hook.
fn try_in_vain(lab: &Lab) -> Result<()> {
    for (client, server) in DENIED {
        for (_, port) in PLANES {
            let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
            let refusal = client::refusal(from, to, Duration::from_millis(20))?;
            ensure!(refusal == Some(client::Refusal::Silence), "{client} to {to}: {refusal:?}");
        }
    }
    ensure!(scenario::arrived(lab)? == 0, "{} packets came through", scenario::arrived(lab)?);
    Ok(())
}

#[test]
fn under_tc_a_kill_opens_nothing_and_loses_nothing() -> Result<()> {
    a_kill_opens_nothing_and_loses_nothing("tc")
}

#[test]
fn under_native_xdp_a_kill_opens_nothing_and_loses_nothing() -> Result<()> {
    a_kill_opens_nothing_and_loses_nothing("xdp-native")
}

#[test]
fn under_generic_xdp_a_kill_opens_nothing_and_loses_nothing() -> Result<()> {
    a_kill_opens_nothing_and_loses_nothing("xdp-generic")
}

fn a_kill_opens_nothing_and_loses_nothing(hook: &str) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab, hook)?;
    let rounds = AtomicU64::new(0);
    // All clients have tried again since.
    let tried = || {
        let target = rounds.load(Ordering::Relaxed) + 2;
        holds(SOON, || rounds.load(Ordering::Relaxed) >= target)
    };
    let connect =
        |port| client::connect((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, port));
    let (long, short) = beside(
        || {
            try_in_vain(&lab)?;
            rounds.fetch_add(1, Ordering::Relaxed);
            Ok(())
        },
        || {
            let (mut long, mut relayed) = (connect(GUARDED)?, connect(RELAYED)?);
            client::exchange(&mut relayed, BYTES)?;
            let (port, mut bytes) = (long.local_addr()?.port(), 0);
            let talk = || {
                client::exchange(&mut long, BYTES)?;
                bytes += BYTES;
                Ok(())
            };
            let short = beside(talk, || {
                ensure!(tried(), "nobody tries before the kill");
                weir.kill()?;
                ensure!(tried(), "nobody tries after the kill");
                let mut short = connect(GUARDED)?;
                client::exchange(&mut short, BYTES)?;
                let port = short.local_addr()?.port();
                drop(short);
                weir.launch()?;
                ensure!(tried(), "nobody tries after the start");
                Ok(port)
            })?;
            Ok(((port, bytes), short))
        },
    )?;
    scenario::assert_sum(&lab, &weir)?;

    let records = weir.wait_for_events(3, "verdict=allowed", SOON)?;
    assert_eq!(records.len(), 3, "{records:#?}");
    for record in &records {
        let (bytes, close_reason) = match record["source_port"].as_u64() {
            Some(port) if port == u64::from(long.0) => (long.1, "client_closed"),
            Some(port) if port == u64::from(short) => (BYTES, "client_closed"),
            _ => (BYTES, "interrupted"),
        };
        assert_eq!(record["bytes_upload"], bytes, "{record}");
        assert_eq!(record["bytes_download"], bytes, "{record}");
        assert_eq!(record["close_reason"], close_reason, "{record}");
        assert_eq!(record["metadata"]["partial"], Value::Null, "{record}");
    }
    let relayed = records.iter().filter(|record| record["service_id"] == "relayed");
    assert!(relayed.clone().all(|record| record["close_reason"] == "interrupted"), "{records:#?}");
    assert_eq!(relayed.count(), 1);
    assert_eq!((servers.guarded.accepted(), servers.backend.accepted()), (2, 1));
    Ok(())
}

#[test]
fn kills_at_any_instant_lose_and_repeat_no_record() -> Result<()> {
    const SHORT: u64 = 5_000;
    const KILLS: u64 = 12;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab, "tc")?;
    let made = AtomicU64::new(0);
    let traffic = || {
        let to = SocketAddr::new(lab::SERVER4, GUARDED);
        let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
        client::exchange(&mut stream, SHORT)?;
        let turn = usize::try_from(made.fetch_add(1, Ordering::Relaxed))?;
        let (client, server) = DENIED[turn % DENIED.len()];
        let (_, port) = PLANES[turn / DENIED.len() % PLANES.len()];
        let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
        client::refusal(from, to, Duration::from_millis(2)).map(drop)
    };
    beside(traffic, || {
        for kill in 0..KILLS {
            // Ever later after the start.
            let target = made.load(Ordering::Relaxed) + 1 + 7 * kill;
            ensure!(holds(SOON, || made.load(Ordering::Relaxed) >= target), "no traffic");
            weir.kill()?;
            let target = made.load(Ordering::Relaxed) + 10;
            ensure!(holds(SOON, || made.load(Ordering::Relaxed) >= target), "no traffic");
            weir.launch()?;
        }
        Ok(())
    })?;
    scenario::assert_sum(&lab, &weir)?;
    assert_eq!(scenario::arrived(&lab)?, 0);

    let made = usize::try_from(made.load(Ordering::Relaxed))?;
    let records = weir.wait_for_events(made, "verdict=allowed", SOON)?;
    assert_eq!(records.len(), made);
    for record in &records {
        assert_eq!(record["bytes_upload"], SHORT, "{record}");
        assert_eq!(record["bytes_download"], SHORT, "{record}");
    }
    Ok(())
}
