//! Datagrams while one daemon follows another: none is lost, none counted twice.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use weir_tests::{
    lab::{self, Lab},
    scenario,
    systemd::{UNIT, serve},
    udp,
    wait::{SOON, holds},
    weir::Weir,
};

/// Where datagrams are relayed, and bytes of one.
const DATAGRAMS: u16 = 7020;
const DATAGRAM: usize = 700;
const TO: SocketAddr = SocketAddr::new(lab::SERVER4, DATAGRAMS);
/// A restart takes seconds, where this machine has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);

fn datagrams() -> String {
    format!(
        "[service.dns]\nmode = 'udp'\nlisten = {DATAGRAMS}\ntarget = '127.0.0.1:{}'\n\
         idle_timeout = '2s'\n",
        DATAGRAMS + 1
    )
}

/// Who sends datagrams all the time hears an answer to each, and no byte is counted twice.
#[test]
fn takeovers_lose_no_datagram() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _echo = udp::Echo::start(&lab.server, &[[127, 0, 0, 1].into()], DATAGRAMS + 1)?;
    let mut weir = Weir::start(&lab.server, "", &datagrams())?;
    let (ended, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let (lab, ended, sent) = (&lab, &ended, &sent);
        let client = scope.spawn(move || {
            let socket = udp::connect((&lab.clients, lab::DE4), TO)?;
            while !ended.load(Ordering::Relaxed) {
                udp::exchange(&socket, DATAGRAM).context("a datagram is not answered")?;
                sent.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
        let takeovers = (0..5).try_for_each(|_| {
            let target = sent.load(Ordering::Relaxed) + 100;
            ensure!(holds(SOON, || sent.load(Ordering::Relaxed) >= target), "no answers");
            let mut before = weir.take_over()?;
            ensure!(before.wait(SOON)?.success(), "{}", weir.log());
            Ok(())
        });
        ended.store(true, Ordering::Relaxed);
        client.join().map_err(|_| anyhow!("the client panicked"))??;
        takeovers
    })?;
    let bytes = sent.into_inner() * u64::try_from(DATAGRAM)?;
    let (mut records, mut sum) = (Vec::new(), 0);
    let adds_up = holds(SOON, || {
        records = weir.events("service_id=dns").unwrap_or_default();
        sum = records.iter().map(|record| scenario::number(record, "bytes_upload")).sum();
        sum == bytes
    });
    ensure!(adds_up, "{sum} of {bytes} bytes in {} records: {records:#?}", records.len());
    ensure!(records.iter().all(|record| record["verdict"] == "allowed"), "{records:#?}");
    Ok(())
}

/// Sends one datagram after the other, each until it is answered; counts what is sent.
fn send(lab: &Lab, to: SocketAddr, ended: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let socket = udp::connect((&lab.clients, lab::DE4), to)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    while !ended.load(Ordering::Relaxed) {
        sent.fetch_add(1, Ordering::Relaxed);
        socket.send(&[7; DATAGRAM])?;
        // The daemon that has read it may be the one that ends.
        let _ = socket.recv(&mut [0; DATAGRAM]);
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Datagrams that wait in the sockets are the next daemon's, and no byte is counted twice.
#[test]
fn datagrams_wait_for_the_next_daemon_and_are_counted_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let echo = udp::Echo::start(&lab.server, &[[127, 0, 0, 1].into()], DATAGRAMS + 1)?;
    let Some((systemd, weir)) = serve(&lab, &datagrams())? else { return Ok(()) };
    let (ended, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let client = scope.spawn(|| send(&lab, TO, &ended, &sent));
        let ends = [&["restart", UNIT][..], &["kill", "--signal=KILL", UNIT]];
        let restarts = ends.into_iter().cycle().take(6).try_for_each(|end| {
            let target = echo.received() + 100;
            ensure!(
                holds(PATIENCE, || echo.received() >= target),
                "nothing arrives: {}",
                weir.log()
            );
            systemd.ask(end).map(drop)
        });
        let target = echo.received() + 100;
        let arrives = holds(PATIENCE, || echo.received() >= target);
        ended.store(true, Ordering::Relaxed);
        client.join().map_err(|_| anyhow!("the client panicked"))??;
        ensure!(arrives, "nothing arrives: {}", weir.log());
        restarts
    })?;
    let flows = || weir.api("/api/flows").is_ok_and(|flows| flows["total_records"] == 0);
    ensure!(holds(SOON, flows), "a flow stays");
    let (mut records, mut sum) = (Vec::new(), 0);
    let length = u64::try_from(DATAGRAM)?;
    // Those on their way through a daemon that ends are lost, and with one that is killed
    // the count of what it served before its programs were attached.
    let once = echo.received() * length * 9 / 10..=sent.into_inner() * length;
    let adds_up = holds(SOON, || {
        records = weir.events("service_id=dns").unwrap_or_default();
        sum = records.iter().map(|record| scenario::number(record, "bytes_upload")).sum();
        once.contains(&sum)
    });
    println!("{sum} bytes in {} records, to be {once:?}", records.len());
    ensure!(adds_up, "{sum} bytes in {} records, to be {once:?}: {records:#?}", records.len());
    ensure!(records.iter().all(|record| record["verdict"] == "allowed"), "{records:#?}");
    Ok(())
}
