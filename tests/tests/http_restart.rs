//! Sites under load while targets and daemons come and go.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use weir_tests::{
    lab::{self, Lab},
    wait::{SOON, holds},
    web::{
        assert_fields,
        curl::{Curl, sign_in},
        kept::Kept,
        secret::hash,
        site,
        target::Target,
    },
    weir::Weir,
};

const PLAIN: u16 = 8080;
const TO: SocketAddr = SocketAddr::new(lab::SERVER4, PLAIN);
const TARGETS: [u16; 3] = [7101, 7102, 7103];
/// Clients at a time.
const CLIENTS: usize = 4;
/// For all that happens under load.
const LONG: Duration = Duration::from_secs(30);

fn tables(targets: &[u16]) -> String {
    let targets: Vec<String> =
        targets.iter().map(|port| format!("'http://127.0.0.1:{port}'")).collect();
    format!(
        "[service.plain]\ndomain = 'plain.example.com'\nlisten = {PLAIN}\ntls = false\n\
         targets = [{}]\nhealth = {{ interval = '200ms', timeout = '200ms' }}\n",
        targets.join(", ")
    )
}

fn target(lab: &Lab, port: u16) -> Result<Target> {
    Target::start_at(&lab.server, ([127, 0, 0, 1], port).into())
}

fn connect(lab: &Lab) -> Result<Kept> {
    Kept::connect(lab, lab::DE4, TO, "plain.example.com")
}

/// Clients that ask for a path of its own with each request.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    made: AtomicUsize,
}

impl Load {
    /// Asks until it is to stop; over a connection that is `kept`, or one of each request's
    /// own. Ends at the first request that does not go well.
    fn run(&self, lab: &Lab, number: usize, kept: bool) -> Result<()> {
        let mut connection = None;
        for count in 0.. {
            if self.stop.load(Relaxed) {
                break;
            }
            let asked = match &mut connection {
                Some(asked) if kept => asked,
                connection => connection.insert(connect(lab)?),
            };
            let path = format!("/of/{number}/{count}");
            let status = asked.get(&path).with_context(|| path.clone())?;
            ensure!(status == 200, "{path}: {status}");
            self.made.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Waits for so many requests from now on.
    fn goes_on(&self, count: usize) -> Result<()> {
        let wanted = self.made.load(Relaxed) + count;
        ensure!(holds(LONG, || self.made.load(Relaxed) >= wanted), "the load stands still");
        Ok(())
    }
}

/// Has the load go on while `main` runs.
fn under(lab: &Lab, kept: bool, main: impl FnOnce(&Load) -> Result<()>) -> Result<Load> {
    let load = Load::default();
    thread::scope(|scope| {
        let load = &load;
        let client = |number| scope.spawn(move || load.run(lab, number, kept));
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        let result = main(load);
        load.stop.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        result
    })?;
    Ok(load)
}

/// Asserts that each request of the load is recorded once, and well; the records.
fn assert_recorded(weir: &Weir<'_>, load: &Load) -> Result<Vec<Value>> {
    let made = load.made.load(Relaxed);
    let records = weir.wait_for_events(made, "path=/of/", SOON)?;
    let paths: BTreeSet<&str> = records.iter().filter_map(|r| r["path"].as_str()).collect();
    assert_eq!((records.len(), paths.len()), (made, made), "each once");
    let well = |record: &&Value| record["verdict"] == "allowed" && record["status_code"] == 200;
    let others: Vec<&Value> = records.iter().filter(|record| !well(record)).collect();
    assert!(others.is_empty(), "{others:?}");
    Ok(records)
}

fn is_up(weir: &Weir<'_>, place: usize) -> bool {
    weir.status().is_ok_and(|status| status["services"][0]["targets"][place]["up"] == true)
}

#[test]
fn nobody_notices_that_one_of_three_targets_dies() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _others = [target(&lab, TARGETS[0])?, target(&lab, TARGETS[2])?];
    let victim = target(&lab, TARGETS[1])?;
    let weir = Weir::start(&lab.server, "", &tables(&TARGETS))?;
    let served = |records: &[Value], port: u16| {
        let of = format!("127.0.0.1:{port}");
        records.iter().filter(|record| record["target"] == of).count()
    };
    let load = under(&lab, true, |load| {
        load.goes_on(30 * CLIENTS)?;
        drop(victim);
        ensure!(holds(LONG, || !is_up(&weir, 1)), "nobody noticed");
        load.goes_on(30 * CLIENTS)?;
        let dead = served(&weir.events("path=/of/")?, TARGETS[1]);
        let _victim = target(&lab, TARGETS[1])?;
        ensure!(holds(LONG, || is_up(&weir, 1)), "it did not come back");
        load.goes_on(30 * CLIENTS)?;
        // Records are written a little later.
        let alive = || weir.events("path=/of/").map(|records| served(&records, TARGETS[1]));
        let is_served = || alive().is_ok_and(|alive| alive > dead);
        ensure!(holds(SOON, is_served), "it gets no requests");
        Ok(())
    });
    let records = assert_recorded(&weir, &load?)?;
    for port in TARGETS {
        ensure!(served(&records, port) > CLIENTS, "{port} served few");
    }
    Ok(())
}

#[test]
fn reloads_under_load_fail_no_request() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _targets = [target(&lab, TARGETS[0])?, target(&lab, TARGETS[1])?];
    let weir = Weir::start(&lab.server, "", &tables(&TARGETS[..2]))?;
    let load = under(&lab, true, |load| {
        for targets in [&TARGETS[..1], &TARGETS[1..2], &TARGETS[..2]] {
            load.goes_on(10 * CLIENTS)?;
            weir.configure("", &tables(targets))?;
            weir.reload()?;
        }
        load.goes_on(10 * CLIENTS)
    })?;
    let records = assert_recorded(&weir, &load)?;
    let ports: BTreeSet<u64> = records.iter().filter_map(|r| r["source_port"].as_u64()).collect();
    assert_eq!(ports.len(), CLIENTS, "no connection was let go");
    Ok(())
}

#[test]
fn a_takeover_refuses_no_request_and_records_each_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = target(&lab, TARGETS[0])?;
    let mut weir = Weir::start(&lab.server, "", &tables(&TARGETS[..1]))?;
    let mut stream = connect(&lab)?;
    stream.ask("/events", "")?;
    assert_eq!(stream.head()?.0, 200);
    let mut idle = connect(&lab)?;
    assert_eq!(idle.get("/idle")?, 200);
    let load = under(&lab, false, |load| {
        load.goes_on(20 * CLIENTS)?;
        let mut before = weir.take_over()?;
        load.goes_on(20 * CLIENTS)?;
        // What is under way ends with who began it, who waits for more is let go.
        assert_eq!(idle.rest(), "");
        ensure!(before.is_running(), "the stream was not waited for");
        target.release();
        while stream.line()? != "data: second" {}
        drop(stream);
        ensure!(before.wait(LONG)?.success(), "it failed");
        load.goes_on(CLIENTS)
    })?;
    assert_recorded(&weir, &load)?;
    for path in ["/events", "/idle"] {
        let record = weir.wait_for_event(&format!("path={path}"), SOON)?;
        assert_eq!((&record["verdict"], &record["status_code"]), (&"allowed".into(), &200.into()));
    }
    let all = load.made.load(Relaxed) + 2;
    assert_eq!(weir.events("")?.len(), all, "connections make no records of their own");
    Ok(())
}

#[test]
fn a_kill_loses_what_is_under_way_and_invents_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = target(&lab, TARGETS[0])?;
    let mut weir = Weir::start(&lab.server, "", &tables(&TARGETS[..1]))?;
    let mut idle = connect(&lab)?;
    assert_eq!(idle.get("/done")?, 200);
    let mut waiting = connect(&lab)?;
    waiting.ask("/silent", "")?;
    target.awaits("/silent")?;
    weir.wait_for_event("path=/done", SOON)?;
    weir.kill()?;
    assert_eq!((waiting.rest(), idle.rest()), (String::new(), String::new()));
    weir.launch()?;
    assert_eq!(connect(&lab)?.get("/after")?, 200);
    weir.wait_for_event("path=/after", SOON)?;
    // By then it has looked through what the kernel knew.
    weir.stop()?;
    weir.launch()?;
    let records = weir.events("")?;
    let paths: Vec<&str> = records.iter().filter_map(|record| record["path"].as_str()).collect();
    assert_eq!(paths, ["/after", "/done"], "{records:?}");
    Ok(())
}

/// Who signed in with one daemon is known to the next, and what HTTP/2 has under way is
/// answered by the one that took it.
#[test]
fn a_takeover_signs_nobody_out() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let lines = format!("password = '{}'", hash(&[], "secret")?);
    let mut weir = Weir::start(&lab.server, "", &site("vault", "vault.example.com", &lines))?;
    let url = |path: &str| format!("https://vault.example.com{path}");
    let jar = sign_in(&lab, &weir, "vault.example.com", "secret")?;
    let ask = |path: &str| Curl::new(&lab).with(&["--http2", "--cookie", &jar]).get(&url(path));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ask("/silent"));
        target.awaits("/silent")?;
        let mut before = weir.take_over()?;
        assert_eq!(ask("/after")?.status, 200);
        ensure!(before.is_running(), "the stream was not waited for");
        target.release();
        let waited = waiting.join().map_err(|_| anyhow!("a client panicked"))??;
        assert_eq!((waited.status, waited.version.as_str()), (204, "HTTP/2"));
        ensure!(before.wait(LONG)?.success(), "it failed");
        Ok(())
    })?;
    for path in ["/silent", "/after"] {
        let record = weir.wait_for_event(&format!("path={path}"), SOON)?;
        let expected = json!({
            "verdict": "allowed", "auth_method_used": "password", "http_version": "2",
        });
        assert_fields(&record, &expected);
    }
    Ok(())
}
