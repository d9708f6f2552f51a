//! A service with three targets, of which one dies.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::Value;
use weir_tests::{
    client,
    echo::Echo,
    lab::{self, Lab},
    scenario::RELAYED,
    wait::{SOON, holds},
    weir::Weir,
};

const TARGETS: [u16; 3] = [7101, 7102, 7103];
const VICTIM: u16 = TARGETS[1];
/// Clients at a time.
const CLIENTS: usize = 8;
/// Longer than a connection lasts, many times over.
const MANY: usize = 20 * CLIENTS;
/// For all that happens under load.
const LONG: Duration = Duration::from_mins(1);

fn address(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn echo(lab: &Lab, port: u16) -> Result<Echo> {
    Echo::start(env!("CARGO_BIN_EXE_echo"), &lab.server, address(port))
}

fn tables() -> String {
    let targets = TARGETS.map(|port| format!("'{}'", address(port))).join(", ");
    format!(
        "[service.relayed]\nmode = 'tcp'\nlisten = {RELAYED}\ntargets = [{targets}]\n\
         health = {{ interval = '200ms', timeout = '200ms' }}\n"
    )
}

/// Clients that come one after the other, and how they fared.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    made: AtomicUsize,
    /// When those that failed had begun.
    failed: Mutex<Vec<Instant>>,
}

impl Load {
    fn run(&self, lab: &Lab) {
        while !self.stop.load(Relaxed) {
            let began = Instant::now();
            if talk(lab).is_err() {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(began);
            }
            self.made.fetch_add(1, Relaxed);
        }
    }

    /// Waits for so many connections from now on.
    fn goes_on(&self, count: usize) -> Result<()> {
        let wanted = self.made.load(Relaxed) + count;
        ensure!(holds(LONG, || self.made.load(Relaxed) >= wanted), "the load stands still");
        Ok(())
    }

    fn failed(&self) -> Vec<Instant> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Some questions and answers over one connection.
fn talk(lab: &Lab) -> io::Result<()> {
    let to = SocketAddr::new(lab::SERVER4, RELAYED);
    let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
    for _ in 0..20 {
        stream.write_all(&[b'?'; 100])?;
        stream.read_exact(&mut [0; 100])?;
    }
    Ok(())
}

/// What status and metrics say of the victim.
fn is_up(weir: &Weir<'_>) -> Result<bool> {
    let target = weir.status()?["services"][0]["targets"][1].take();
    assert_eq!(target["target"], address(VICTIM).to_string(), "{target}");
    Ok(target["up"] == true)
}

fn metric(weir: &Weir<'_>, up: bool) -> Result<()> {
    let line = format!(
        "weir_target_up{{service=\"relayed\",target=\"{}\"}} {}",
        address(VICTIM),
        u8::from(up)
    );
    let metrics = weir.metrics()?;
    ensure!(metrics.lines().any(|known| known == line), "no {line} in {metrics}");
    Ok(())
}

/// Waits for an entry of the audit log about the victim.
fn noted(weir: &Weir<'_>, event: &str) -> Result<Value> {
    let mut found = Value::Null;
    let there = holds(SOON, || {
        let Ok(mut log) = weir.api("/api/events/audit") else { return false };
        let entries = log["data"].as_array_mut();
        let entry = entries.and_then(|all| all.iter_mut().find(|entry| entry["event"] == event));
        found = entry.map(Value::take).unwrap_or_default();
        !found.is_null()
    });
    ensure!(there, "no {event} in the audit log");
    assert_eq!(found["details"]["service"], "relayed", "{found}");
    assert_eq!(found["details"]["target"], address(VICTIM).to_string(), "{found}");
    Ok(found)
}

fn served_by(records: &[Value], port: u16) -> usize {
    let target = address(port).to_string();
    records.iter().filter(|record| record["target"] == target).count()
}

/// Kills the victim under load and revives it.
fn kill_and_revive(lab: &Lab, weir: &Weir<'_>, load: &Load, victim: Echo) -> Result<Echo> {
    load.goes_on(MANY)?;
    metric(weir, true)?;
    ensure!(load.failed().is_empty(), "connections failed before anything did");
    victim.kill()?;
    let killed = Instant::now();
    ensure!(holds(LONG, || is_up(weir).is_ok_and(|up| !up)), "nobody noticed");
    metric(weir, false)?;
    let entry = noted(weir, "target_down")?;
    ensure!(entry["details"]["error"].is_string(), "{entry}");
    load.goes_on(MANY)?;
    let table = weir.run(&["status"])?;
    ensure!(table.contains("2 of 3 up"), "{table}");
    let dead = served_by(&weir.events("")?, VICTIM);

    let victim = echo(lab, VICTIM)?;
    ensure!(holds(LONG, || is_up(weir).is_ok_and(|up| up)), "it did not come back");
    metric(weir, true)?;
    noted(weir, "target_up")?;
    load.goes_on(MANY)?;
    let back = || weir.events("").is_ok_and(|all| served_by(&all, VICTIM) > dead + CLIENTS);
    ensure!(holds(LONG, back), "it gets no connections");

    let failed = load.failed();
    ensure!(failed.len() <= CLIENTS, "{} failed: more than were in flight", failed.len());
    ensure!(failed.iter().all(|began| *began < killed), "some failed that came later");
    Ok(victim)
}

#[test]
fn of_three_targets_one_is_killed_and_revived_under_load() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _others = [echo(&lab, TARGETS[0])?, echo(&lab, TARGETS[2])?];
    let victim = echo(&lab, VICTIM)?;
    let weir = Weir::start(&lab.server, "", &tables())?;
    let load = Load::default();
    let victim = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.run(&lab));
        }
        let revived = kill_and_revive(&lab, &weir, &load, victim);
        load.stop.store(true, Relaxed);
        revived
    });
    let _victim = victim?;

    let made = load.made.load(Relaxed);
    let records = weir.wait_for_events(made, "", SOON)?;
    assert_eq!(records.len(), made, "a record for each connection");
    for port in TARGETS {
        assert!(served_by(&records, port) > CLIENTS, "{port} served few");
    }
    // A client may have heard all when its target dies.
    let ended_well = |record: &&Value| record["close_reason"] == "client_closed";
    let (well, broken): (Vec<_>, Vec<_>) = records.iter().partition(ended_well);
    assert!(well.iter().all(|record| record["bytes_download"] == 2000), "{well:?}");
    assert!((load.failed().len()..=CLIENTS).contains(&broken.len()), "{broken:?}");
    for record in broken {
        // One that it refused went on to another.
        assert_eq!(record["close_reason"], "target_reset", "{record}");
        assert_eq!(record["target"], address(VICTIM).to_string(), "{record}");
    }
    Ok(())
}
