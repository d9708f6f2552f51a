//! The kernel plane where things fail: targets, rules of others, the daemon itself.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use weir_tests::{
    client::{self, Refusal},
    lab::{self, Lab},
    nft,
    plane::{SERVICE4, TARGET, TARGET4, is_forwarded, ready, record, service, target},
    scenario::{self, number},
    server::Behaviour,
    udp,
    wait::{SOON, holds},
    weir::Weir,
};

/// Nothing listens there.
const CLOSED: SocketAddr = SocketAddr::new(lab::LAN_FR4, TARGET + 1);
/// Nobody has that address.
const SILENT: &str = "198.18.0.99:7101";

fn connect(lab: &Lab, from: IpAddr) -> Result<TcpStream> {
    client::connect((&lab.clients, from), SERVICE4).with_context(|| from.to_string())
}

fn silent() -> Result<SocketAddr> {
    Ok(SILENT.parse()?)
}

/// What status says of the service's target of that number.
fn is_up(weir: &Weir<'_>, target: usize) -> bool {
    weir.status().is_ok_and(|status| status["services"][0]["targets"][target]["up"] == true)
}

#[test]
fn who_is_refused_by_one_target_is_served_by_another() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    // Looked at so seldom that a client finds out first.
    let tables = service("tcp", &[CLOSED, TARGET4], "health = { interval = '1h', timeout = '1s' }");
    let weir = Weir::start(&lab.server, "", &tables)?;
    ready(&weir)?;
    for _ in 0..2 {
        let mut stream = connect(&lab, lab::DE4)?;
        client::exchange(&mut stream, 3)?;
    }
    let records = weir.wait_for_events(2, "", SOON)?;
    assert_eq!(records.len(), 2, "{records:#?}");
    for record in &records {
        assert_eq!(record["target"], TARGET4.to_string(), "{record:#}");
        assert_eq!(record["verdict"], "allowed", "{record:#}");
    }
    ensure!(holds(SOON, || !is_up(&weir, 0) && is_up(&weir, 1)), "{:#}", weir.status()?);
    Ok(())
}

#[test]
fn who_meets_silence_is_served_by_another_target() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let more = "health = { interval = '1h', timeout = '1s' }\nconnect_timeout = '4s'\n\
                balance = 'source_hash'";
    let weir = Weir::start(&lab.server, "", &service("tcp", &[silent()?, TARGET4], more))?;
    ready(&weir)?;
    // One of these clients has the silent one for its own.
    for from in [lab::DE4, lab::FR4, lab::PRIVATE4, lab::BLOCKED4] {
        let mut stream = connect(&lab, from)?;
        client::exchange(&mut stream, 3)?;
    }
    let records = weir.wait_for_events(4, "", SOON)?;
    assert_eq!(records.len(), 4, "{records:#?}");
    assert!(records.iter().all(|record| record["target"] == TARGET4.to_string()), "{records:#?}");
    Ok(())
}

#[test]
fn whom_no_target_answers_is_refused_and_recorded() -> Result<()> {
    for dead in [CLOSED, silent()?] {
        let Some(lab) = Lab::for_test()? else { return Ok(()) };
        let tables = service("tcp", &[dead], "connect_timeout = '500ms'");
        let weir = Weir::start(&lab.server, "", &tables)?;
        ready(&weir)?;
        let refusal = client::refusal((&lab.clients, lab::DE4), SERVICE4, SOON)?;
        assert_eq!(refusal, Some(Refusal::Reset), "{dead}");
        let record = record(&weir)?;
        assert_eq!(record["reason"], "backend_unreachable", "{record:#}");
        assert_eq!(record["verdict"], "error", "{record:#}");
        assert_eq!(record["target"], dead.to_string(), "{record:#}");
        assert_eq!(number(&record, "bytes_upload"), 0, "{record:#}");
        ensure!(holds(SOON, || !is_up(&weir, 0)), "it is not set aside");
    }
    Ok(())
}

/// `auto` keeps its hands off where others filter what comes in; `kernel` does not.
#[test]
fn rules_of_others_leave_a_service_to_the_relay() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let auto = service("tcp", &[TARGET4], "").replace("'kernel'", "'auto'");
    let weir = Weir::start(&lab.server, "", &auto)?;
    ready(&weir)?;
    nft::load(
        &lab.server,
        "table inet fw {
            chain in {
                type filter hook input priority 0; policy accept;
                ip saddr 192.0.2.200 drop
            }
        }",
    )?;
    let told = || {
        let status = weir.status().unwrap_or_default();
        let service = &status["services"][0];
        service["plane"] == "relay"
            && service["plane_reason"].as_str().is_some_and(|why| why.contains("inet fw in"))
    };
    ensure!(holds(SOON, told), "{:#}", weir.status()?);
    let mut stream = connect(&lab, lab::DE4)?;
    client::exchange(&mut stream, 10)?;
    drop(stream);
    let relayed = weir.wait_for_event("", SOON)?;
    ensure!(!is_forwarded(&relayed), "{relayed:#}");
    weir.configure("", &service("tcp", &[TARGET4], ""))?;
    weir.reload()?;
    ready(&weir)
}

/// A client that sends at a steady pace, until it is told to end; how much it sent.
fn trickle(mut stream: TcpStream, until: &dyn Fn() -> bool) -> Result<u64> {
    let (mut sent, mut chunk) = (0, [7; 1000]);
    while !until() {
        stream.write_all(&chunk)?;
        stream.read_exact(&mut chunk)?;
        sent += 1000;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(sent)
}

/// While no daemon runs, flows go on, new ones come about, and the denied stay denied. The
/// next daemon has all of them.
#[test]
fn a_killed_daemon_costs_no_flow_and_no_byte_of_its_record() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let blocking = format!("block = ['{}']", lab::BLOCKED4_CIDR);
    let mut weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], &blocking))?;
    ready(&weir)?;
    let stream = connect(&lab, lab::DE4)?;
    let ended = std::sync::atomic::AtomicBool::new(false);
    let is_over = || ended.load(std::sync::atomic::Ordering::Relaxed);
    let sent = thread::scope(|scope| -> Result<u64> {
        let client = scope.spawn(|| trickle(stream, &is_over));
        let outcome = (|| {
            weir.kill()?;
            let refusal =
                client::refusal((&lab.clients, lab::BLOCKED4), SERVICE4, scenario::BRIEF)?;
            assert_eq!(refusal, Some(Refusal::Silence));
            let mut meanwhile = connect(&lab, lab::FR4)?;
            client::exchange(&mut meanwhile, 5)?;
            drop(meanwhile);
            weir.launch()?;
            ensure!(!client.is_finished(), "the transfer broke");
            let since = Instant::now();
            while since.elapsed() < Duration::from_millis(300) {
                thread::yield_now();
            }
            Ok(())
        })();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        let sent = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))?;
        outcome.and(sent)
    })?;
    let records = weir.wait_for_events(2, "verdict=allowed", SOON)?;
    assert_eq!(records.len(), 2, "{records:#?}");
    let of = |source: IpAddr| {
        let record = records.iter().find(|record| record["source_ip"] == source.to_string());
        record.context("no record")
    };
    let long = of(lab::DE4)?;
    assert_eq!(number(long, "bytes_upload"), sent, "{long:#}");
    assert_eq!(number(long, "bytes_download"), sent, "{long:#}");
    assert_eq!(long["metadata"]["partial"], serde_json::Value::Null, "{long:#}");
    assert_eq!(number(of(lab::FR4)?, "bytes_upload"), 5);
    let denied = weir.wait_for_events(1, "verdict=denied", SOON)?;
    assert_eq!(scenario::attempts(&denied), 1, "{denied:#?}");
    Ok(())
}

/// A stop ends what is open, at both ends, and leaves nothing behind.
#[test]
fn a_stop_ends_flows_in_order() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = target(&lab, TARGET4, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &service("tcp", &[TARGET4], ""))?;
    ready(&weir)?;
    let mut stays = connect(&lab, lab::DE4)?;
    client::exchange(&mut stays, 7)?;
    weir.signal(rustix::process::Signal::TERM)?;
    // It is served while sessions may finish, and nobody new is.
    client::exchange(&mut stays, 7)?;
    ensure!(
        holds(SOON, || client::refusal((&lab.clients, lab::FR4), SERVICE4, scenario::BRIEF)
            .is_ok_and(|refusal| refusal.is_some())),
        "new clients are served while it stops"
    );
    client::exchange(&mut stays, 7)?;
    drop(stays);
    assert!(weir.wait_for_end(SOON)?.success(), "{}", weir.log());
    weir.launch()?;
    // Another client may have been the relay's, before that closed its listener.
    let own = format!("source_ip={}", lab::DE4);
    let record = weir.wait_for_event(&own, SOON)?;
    ensure!(is_forwarded(&record), "{record:#}");
    assert_eq!(record["close_reason"], "client_closed", "{record:#}");
    assert_eq!(number(&record, "bytes_upload"), 21, "{record:#}");
    Ok(())
}

/// Where nobody listens, a datagram's client is told, as by the target itself.
#[test]
fn a_dead_target_of_datagrams_is_told_of() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::start(&lab.server, "", &service("udp", &[TARGET4], ""))?;
    ready(&weir)?;
    let socket = udp::connect((&lab.clients, lab::DE4), SERVICE4)?;
    let told = || {
        udp::refusal(&socket, scenario::BRIEF)
            .is_ok_and(|kind| kind == Some(std::io::ErrorKind::ConnectionRefused))
    };
    ensure!(holds(SOON, told), "the client hears nothing");
    Ok(())
}
