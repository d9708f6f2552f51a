//! When Weir says that it can be relied on, and what it says when it cannot.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    raw,
    scenario::{self, RELAYED, Servers, deny_many, syn},
    server::Behaviour,
    tmpfs::Tmpfs,
    wait::{SOON, holds},
    weir::Weir,
};

const READY: &str = "/healthz/ready";
const LATE: &str = "late0";
const LATE_INDEX: u64 = 4242;

/// Where links are pinned, while there are any.
fn links(lab: &Lab) -> Result<PathBuf> {
    let namespace = kernel::pins(&lab.server).join(lab.server.inode()?.to_string());
    let layout = fs::read_dir(&namespace)?.next().context("nothing is pinned")??;
    Ok(layout.path().join("links"))
}

/// Puts something in the place of a link: an interface of that index then takes none.
fn occupy(lab: &Lab, index: u64) -> Result<PathBuf> {
    let pin = links(lab)?.join(format!("ingress-{index}"));
    if pin.exists() {
        fs::remove_file(&pin)?;
    }
    fs::create_dir(&pin)?;
    Ok(pin)
}

fn hook(weir: &Weir<'_>, interface: &str) -> Result<(String, u64)> {
    let status = weir.status()?;
    let all = status["interfaces"].as_array().context("no interfaces")?;
    let found = all.iter().find(|found| found["name"] == interface);
    let found = found.with_context(|| format!("{interface} is not in {status}"))?;
    let hook = found["hook"].as_str().context("no hook")?;
    Ok((hook.to_owned(), found["index"].as_u64().context("no index")?))
}

fn ready(weir: &Weir<'_>) -> u16 {
    weir.api_status(READY).unwrap_or_default()
}

#[test]
fn one_that_comes_later_and_takes_no_program_ends_readiness_until_it_does() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let interfaces = format!("interfaces = ['wan', '{LATE}']");
    let weir = Weir::start(&lab.server, &interfaces, &scenario::guarded(""))?;
    assert_eq!(hook(&weir, LATE)?, ("none".to_owned(), 0), "an awaited one");
    assert_eq!(ready(&weir), 200);

    let pin = occupy(&lab, LATE_INDEX)?;
    lab.server.ip(&format!("link add {LATE} index {LATE_INDEX} type veth peer name late1"))?;
    assert!(holds(SOON, || ready(&weir) == 503), "{:?}", weir.status());
    assert_eq!(hook(&weir, LATE)?, ("none".to_owned(), LATE_INDEX));
    assert_eq!(hook(&weir, lab::WAN)?.0, "tc");
    let audited = |what: &str| -> Result<bool> {
        let log = weir.api("/api/events/audit")?;
        let all = log["data"].as_array().context("no data")?;
        let message = |event: &Value| event["details"]["message"].as_str().map(str::to_owned);
        Ok(all.iter().filter_map(message).any(|message| message.contains(what)))
    };
    assert!(audited("late0 is not watched")?);

    fs::remove_dir(pin)?;
    lab.server.ip(&format!("address add 192.0.2.77/32 dev {LATE}"))?;
    assert!(holds(SOON, || ready(&weir) == 200), "{:?}", weir.status());
    assert_eq!(hook(&weir, LATE)?, ("tc".to_owned(), LATE_INDEX));
    assert!(audited("every interface that is to be watched is")?);
    Ok(())
}

#[test]
fn one_that_is_there_and_takes_no_program_ends_the_start_where_it_is_required() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut weir = Weir::start(&lab.server, "interfaces = ['wan']", &scenario::guarded(""))?;
    let index = hook(&weir, lab::WAN)?.1;
    weir.kill()?;
    occupy(&lab, index)?;
    let ended = weir.launch_in_vain()?;
    assert_eq!(ended.code(), Some(1), "{}", weir.log());
    assert!(weir.log().contains("wan is not watched"), "{}", weir.log());

    weir.configure("interfaces = ['wan']\nrequired = false", &scenario::guarded(""))?;
    weir.launch()?;
    assert_eq!(hook(&weir, lab::WAN)?, ("none".to_owned(), index));
    assert_eq!(ready(&weir), 200);
    Ok(())
}

#[test]
fn a_store_that_cannot_write_ends_readiness_where_it_refuses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut weir = Weir::install(&lab.server)?;
    let disk = Tmpfs::mount(&weir.data_dir(), 32)?;
    let access = format!("blocked_cidrs = ['{}']", lab::BLOCKED4_CIDR);
    let tables = "[log]\non_store_failure = 'refuse'\n".to_owned() + &scenario::guarded(&access);
    weir.configure("", &tables)?;
    weir.launch()?;
    assert_eq!(ready(&weir), 200);

    let ballast = disk.fill()?;
    let mut port = 0;
    let refuses = holds(2 * SOON, || {
        port = port % 60_000 + 500;
        // The store's file has room for some records yet.
        deny_many(&lab, port).is_ok() && ready(&weir) == 503
    });
    assert!(refuses, "{:?}", weir.status());
    fs::remove_file(ballast)?;
    assert!(holds(2 * SOON, || ready(&weir) == 200), "{:?}", weir.status());
    Ok(())
}

#[test]
fn the_fill_of_every_map_that_can_run_full_is_told() -> Result<()> {
    const SYNS: u16 = 5;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let entries = |map: &str| -> Option<u64> {
        let status = weir.status().ok()?;
        let found = status["maps"].as_array()?.iter().find(|found| found["name"] == map)?;
        assert!(found["capacity"].as_u64()? > found["entries"].as_u64()?, "{found}");
        found["entries"].as_u64()
    };
    assert_eq!(entries("services"), Some(2));
    assert!(entries("listeners") >= Some(2));
    assert_eq!(entries("half_open"), Some(0));
    // Nobody is at that address: the SYN-ACKs are swallowed.
    let nobody = Ipv4Addr::new(198, 51, 100, 200);
    raw::send(&lab.clients, (0..SYNS).map(|n| syn(nobody.into(), 5000 + n)))?;
    assert!(holds(SOON, || entries("half_open") == Some(SYNS.into())), "{:?}", weir.status());
    Ok(())
}

#[test]
fn resets_beyond_what_may_be_sent_are_counted() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let access = format!("blocked_cidrs = ['{}']\ndeny = 'reset'", lab::BLOCKED4_CIDR);
    let weir = Weir::start(&lab.server, "", &scenario::guarded(&access))?;
    let suppressed = || -> Option<u64> {
        let status = weir.status().ok()?;
        let all = status["losses"].as_array()?.clone();
        all.iter().find(|loss| loss["name"] == "resets_suppressed")?["count"].as_u64()
    };
    assert_eq!(suppressed(), Some(0));
    // More than a second may answer, faster than that.
    (1..=10).try_for_each(|round| deny_many(&lab, round * 500))?;
    assert!(holds(SOON, || suppressed() > Some(0)), "{:?}", weir.status());
    Ok(())
}

#[test]
fn a_second_signal_ends_the_drain_in_which_nothing_is_published() -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let to = SocketAddr::new(lab::SERVER4, RELAYED);
    let mut open = client::connect((&lab.clients, lab::DE4), to)?;
    client::exchange(&mut open, 1000)?;
    let told = Instant::now();
    weir.signal(Signal::TERM)?;
    ensure!(holds(SOON, || ready(&weir) == 503), "it is ready while it stops");
    let refused = weir.reload().err().map(|error| format!("{error:#}")).context("it was taken")?;
    assert!(refused.contains("stopping"), "{refused}");
    client::exchange(&mut open, 1000)?;

    assert!(weir.stop()?.success());
    assert!(told.elapsed() < PATIENCE, "{:?}", told.elapsed());
    Ok(())
}
