//! Reloads: what stays allowed does not notice, what is denied ends.

use std::{
    io::{ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::{self, BLOCKED4_CIDR, Lab},
    scenario::{self, BACKEND, GUARDED, PLANES, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

const BYTES: u64 = 20_000;
/// Port of a service that comes and goes.
const OTHER: u16 = 7004;

fn connect(lab: &Lab, from: std::net::IpAddr, port: u16) -> Result<TcpStream> {
    let to = SocketAddr::new(lab::SERVER4, port);
    let mut stream = client::connect((&lab.clients, from), to)
        .with_context(|| format!("connecting from {from} to port {port}"))?;
    client::exchange(&mut stream, BYTES)
        .with_context(|| format!("talking from {from} to port {port}"))?;
    Ok(stream)
}

fn blocking(cidr: &str) -> String {
    scenario::services(&format!("blocked_cidrs = ['{cidr}']"))
}

/// The relayed service on other addresses than all.
fn listening(on: &str) -> String {
    blocking(BLOCKED4_CIDR).replace(&format!("listen = {RELAYED}"), &format!("listen = [{on}]"))
}

/// One more service.
fn other(listen: &str) -> String {
    format!("[service.other]\nmode = 'tcp'\nlisten = [{listen}]\ntarget = '127.0.0.1:{BACKEND}'\n")
}

/// Reloads through `configurations`, while clients connect to both planes all the time
/// and some stay; none of them may notice.
fn unnoticed(configurations: &[String]) -> Result<()> {
    unnoticed_from(&blocking(BLOCKED4_CIDR), configurations)
}

/// The same, from this first configuration on.
fn unnoticed_from(first: &str, configurations: &[String]) -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", first)?;
    let mut long: Vec<_> =
        PLANES.iter().map(|plane| connect(&lab, lab::DE4, plane.1)).collect::<Result<_>>()?;
    let (ended, made) = (AtomicBool::new(false), PLANES.map(|_| AtomicUsize::new(0)));
    thread::scope(|scope| {
        let load = [0, 1].map(|plane| {
            let (lab, ended, made) = (&lab, &ended, &made[plane]);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    drop(connect(lab, lab::DE4, PLANES[plane].1)?);
                    made.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        });
        let reloads = configurations.iter().try_for_each(|configuration| {
            weir.configure("", configuration)?;
            weir.reload().context(configuration.clone())?;
            made.iter().try_for_each(|made| {
                let target = made.load(Ordering::Relaxed) + 5;
                ensure!(
                    holds(SOON, || made.load(Ordering::Relaxed) >= target),
                    "the load has come to a halt"
                );
                Ok(())
            })
        });
        ended.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().map_err(|_| anyhow!("the load panicked"))??;
        }
        reloads
    })?;
    for stream in &mut long {
        client::exchange(stream, BYTES)?;
    }
    drop(long);

    let all = made.iter().map(|made| made.load(Ordering::Relaxed)).sum::<usize>() + PLANES.len();
    let records = weir.wait_for_events(all, "", SOON)?;
    assert_eq!(records.len(), all);
    for record in &records {
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["close_reason"], "client_closed", "{record}");
    }
    Ok(())
}

#[test]
fn under_load_a_policy_changes_unnoticed() -> Result<()> {
    let policies = ["203.0.113.0/24", BLOCKED4_CIDR].map(blocking);
    unnoticed(&policies.iter().cycle().take(10).cloned().collect::<Vec<_>>())
}

#[test]
fn under_load_other_services_come_and_go_unnoticed() -> Result<()> {
    let own = blocking(BLOCKED4_CIDR);
    let others = [
        other(&format!("{OTHER}")),
        other(&format!("'{}:{OTHER}'", lab::SERVER4)),
        other(&format!("{}", OTHER + 1)),
        String::new(),
    ];
    let configurations = others.iter().map(|other| own.clone() + other);
    unnoticed(&configurations.cycle().take(12).collect::<Vec<_>>())
}

/// The address that the clients use stays, another of the same service's comes and goes.
#[test]
fn under_load_a_service_gets_more_listeners_unnoticed() -> Result<()> {
    let wan = format!("'{}:{RELAYED}'", lab::SERVER4);
    let sets =
        [wan.clone(), format!("{wan}, '{}:{RELAYED}'", lab::SERVER_LAN4)].map(|s| listening(&s));
    let mut configurations = vec![];
    for _ in 0..5 {
        configurations.extend(sets.clone());
    }
    // The first would take the clients' address from a listener on all.
    unnoticed_from(&sets[0], &configurations)
}

/// `:7002` gives way to one address of it, and comes back.
#[test]
fn under_load_a_listener_is_rebound_unnoticed() -> Result<()> {
    let all = blocking(BLOCKED4_CIDR);
    let one = listening(&format!("'{}:{RELAYED}'", lab::SERVER4));
    unnoticed(&[one, all].into_iter().cycle().take(10).collect::<Vec<_>>())
}

#[test]
fn exactly_the_flows_that_are_denied_now_are_cut() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    for (service, port) in PLANES {
        let mut kept = connect(&lab, lab::DE4, port)?;
        let mut cut = connect(&lab, lab::BLOCKED4, port)?;
        weir.configure("", &blocking(BLOCKED4_CIDR))?;
        weir.reload()?;

        let heard = cut.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(heard, Err(ErrorKind::ConnectionReset), "{service}");
        let query = format!("service_id={service}&source_ip={}&verdict=allowed", lab::BLOCKED4);
        let record = weir.wait_for_event(&query, SOON)?;
        assert_eq!(record["close_reason"], "policy_changed", "{record}");
        assert_eq!(record["bytes_upload"], BYTES, "{record}");
        scenario::assert_denied(&lab, lab::BLOCKED4, SocketAddr::new(lab::SERVER4, port))?;
        client::exchange(&mut kept, BYTES)?;

        weir.configure("", &scenario::services(""))?;
        weir.reload()?;
    }
    Ok(())
}

#[test]
fn the_port_of_a_removed_service_refuses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let mut guarded = connect(&lab, lab::DE4, GUARDED)?;
    let mut relayed = connect(&lab, lab::DE4, RELAYED)?;
    weir.configure("", &scenario::guarded(""))?;
    weir.reload()?;

    let (from, to) = ((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, RELAYED));
    assert_eq!(client::refusal(from, to, SOON)?, Some(Refusal::Reset));
    let heard = relayed.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(heard, Ok(0) | Err(ErrorKind::ConnectionReset)), "{heard:?}");
    let record = weir.wait_for_event("service_id=relayed", SOON)?;
    assert_eq!(record["close_reason"], "service_removed", "{record}");
    client::exchange(&mut guarded, BYTES)
}

#[test]
fn a_policy_that_cannot_be_installed_changes_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let mut open = connect(&lab, lab::DE4, RELAYED)?;
    // More than the kernel has room for, and none of those that are there.
    let service = |n: u16| {
        format!("[service.s{n}]\nmode = 'tcp'\nlisten = {}\ntarget = 'host'\n", 10_000 + n)
    };
    weir.configure("", &(0..1100).map(service).collect::<String>())?;

    let said = weir.reload().err().map(|error| format!("{error:#}")).context("it was taken")?;
    assert!(said.contains("internal error"), "{said}");
    client::exchange(&mut open, BYTES)?;
    for (_, port) in PLANES {
        drop(connect(&lab, lab::DE4, port)?);
    }
    Ok(())
}

#[test]
fn what_is_not_confirmed_goes_back_on_the_interfaces_too() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let only = |names: &str| format!("interfaces = [{names}]");
    let weir = Weir::start(&lab.server, &only("'wan'"), &scenario::services(""))?;
    weir.configure(&only("'wan', 'lan'"), &scenario::services(""))?;
    // Nobody is there to confirm it.
    assert!(weir.run(&["reload", "--confirm", "5s"]).is_err());
    assert!(kernel::watched(&lab.server, lab::LAN)?);
    let watched = |interface| kernel::watched(&lab.server, interface).unwrap_or(true);
    assert!(holds(SOON, || !watched(lab::LAN)), "the interface is watched on");
    assert!(watched(lab::WAN));
    Ok(())
}

#[test]
fn a_faulty_file_changes_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &blocking(BLOCKED4_CIDR))?;
    let mut open = connect(&lab, lab::DE4, RELAYED)?;
    // An allow list with a typo must not open the door, nor close it.
    weir.configure("", &scenario::services("allowed_cidrs = ['198.51.100.0/33']"))?;

    let said = weir.reload().err().map(|error| format!("{error:#}")).context("it was taken")?;
    assert!(said.contains("weir.toml:") && said.contains("198.51.100.0/33"), "{said}");
    weir.signal(Signal::HUP)?;
    assert!(holds(SOON, || weir.log().contains("198.51.100.0/33")), "the log does not say why");

    assert!(weir.is_running());
    for (_, port) in PLANES {
        scenario::assert_denied(&lab, lab::BLOCKED4, SocketAddr::new(lab::SERVER4, port))?;
        drop(connect(&lab, lab::FR4, port)?);
    }
    client::exchange(&mut open, BYTES)
}
