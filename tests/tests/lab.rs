//! The lab itself, without Weir.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::{self, Lab},
    nft,
    ping::ping,
    raw::{self, Syn},
    server::{Behaviour, Server},
    wait::{SOON, eventually, holds},
};

const PORT: u16 = 7000;

#[test]
fn every_client_reaches_the_server_from_its_own_address() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let server = Server::start(&lab.server, SocketAddr::from(([0u16; 8], PORT)), Behaviour::Echo)?;
    let public = [lab::DE4, lab::FR4, lab::BLOCKED4];
    let mut paths: Vec<_> =
        public.map(|client| (&lab.clients, client, lab::SERVER4)).into_iter().collect();
    paths.extend(
        [lab::DE6, lab::FR6, lab::BLOCKED6].map(|client| (&lab.clients, client, lab::SERVER6)),
    );
    paths.push((&lab.clients, lab::PRIVATE4, lab::SERVER_PRIVATE4));
    paths.push((&lab.clients, lab::PRIVATE6, lab::SERVER_PRIVATE6));
    paths.push((&lab.neighbours, lab::LAN_FR4, lab::SERVER_LAN4));
    paths.push((&lab.neighbours, lab::LAN_FR6, lab::SERVER_LAN6));
    for (namespace, from, to) in paths {
        let mut stream = client::connect((namespace, from), SocketAddr::new(to, PORT))?;
        client::exchange(&mut stream, 100_000)?;
        assert_eq!(stream.local_addr()?.ip(), from);
    }
    assert_eq!(server.accepted(), 10);
    assert_eq!(server.received(), 1_000_000);
    Ok(())
}

#[test]
fn pings_are_answered() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    ping((&lab.clients, lab::FR4), lab::SERVER4, SOON)?;
    ping((&lab.clients, lab::FR6), lab::SERVER6, SOON)
}

#[test]
fn servers_behave_as_asked() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let start = |behaviour| Server::start(&lab.server, (lab::SERVER4, 0).into(), behaviour);
    let from = (&lab.clients, lab::DE4);

    let tally = start(Behaviour::Tally)?;
    let mut stream = client::connect(from, tally.address())?;
    assert_eq!(client::upload(&mut stream, 1_000_000)?, 1_000_000);

    let source = start(Behaviour::Source(2_000_000))?;
    let mut stream = client::connect(from, source.address())?;
    assert_eq!(client::discard(&mut stream)?, 2_000_000);

    let reset = start(Behaviour::Reset)?;
    assert_eq!(client::refusal(from, reset.address(), SOON)?, Some(Refusal::Reset));

    let closed = reset.address();
    drop(reset);
    assert!(holds(SOON, || {
        matches!(client::refusal(from, closed, SOON), Ok(Some(Refusal::Reset)))
    }));

    let hold = start(Behaviour::Hold)?;
    let brief = Duration::from_millis(300);
    assert_eq!(client::refusal(from, hold.address(), brief)?, Some(Refusal::Silence));
    Ok(())
}

#[test]
fn spoofed_syns_arrive_and_are_counted() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    nft::count_input(&lab.server, "syns", &format!("tcp dport {PORT} tcp flags syn"))?;
    let v4 = raw::random_sources(1, 10_000).map(|source| (IpAddr::V4(source), lab::SERVER4));
    let v6 = raw::random_sources6(1, 10_000).map(|source| (IpAddr::V6(source), lab::SERVER6));
    let syns = v4.chain(v6).map(|(source, server)| Syn {
        source: SocketAddr::new(source, 999),
        destination: SocketAddr::new(server, PORT),
        sequence: 1,
    });
    raw::send(&lab.clients, syns)?;
    let all = || matches!(nft::counted(&lab.server, "syns"), Ok(20_000));
    assert!(holds(SOON, all), "{} arrived", nft::counted(&lab.server, "syns")?);
    Ok(())
}

#[test]
fn loss_loses_and_the_transfer_is_whole() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    nft::lose_one_percent(&lab.server, "meta l4proto tcp")?;
    nft::lose_one_percent(&lab.clients, "meta l4proto tcp")?;
    let echo = Server::start(&lab.server, (lab::SERVER4, 0).into(), Behaviour::Echo)?;
    let mut stream = client::connect((&lab.clients, lab::DE4), echo.address())?;
    client::exchange(&mut stream, 50_000_000)?;
    assert!(nft::lost(&lab.server)? > 0);
    assert!(nft::lost(&lab.clients)? > 0);
    Ok(())
}

#[test]
fn what_a_thread_starts_ends_with_it() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let mut command = lab.server.bound_command("sleep");
    command.arg("600");
    let starter = thread::spawn(move || {
        let child = command.spawn()?;
        // Until then it is on its way through setpriv and nsenter.
        let name = format!("/proc/{}/comm", child.id());
        let sleeps = || fs::read_to_string(&name).is_ok_and(|name| name == "sleep\n");
        ensure!(holds(SOON, sleeps), "it does not start");
        Ok(child)
    });
    let mut child = starter.join().map_err(|_| anyhow!("the starter panicked"))??;
    let ended = eventually(SOON, || child.try_wait().ok().flatten());
    child.kill()?;
    child.wait()?;
    assert!(ended.is_some_and(|status| !status.success()), "{ended:?}");
    Ok(())
}

#[test]
fn a_lab_leaves_nothing_behind() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let names = [lab.server.name(), lab.clients.name(), lab.neighbours.name()].map(str::to_owned);
    assert!(kernel::nothing_attached(&lab.server)?);
    drop(lab);
    for name in names {
        assert!(!fs::exists(format!("/run/netns/{name}"))?, "{name} is still there");
    }
    Ok(())
}
