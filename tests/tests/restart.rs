//! One daemon takes over from another under load: nobody is refused, nobody who is denied
//! comes through, and each connection is recorded once.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use weir_tests::{
    client, kernel,
    lab::{self, Lab},
    scenario::{self, GUARDED, PLANES, RELAYED, Servers},
    server::Behaviour,
    systemd::Manager,
    udp,
    wait::{SOON, holds},
    weir::{Superseded, Weir},
};

const RESTARTS: u32 = 20;
/// Connections a second, over all clients.
const RATE: u32 = 200;
/// So many may wait at a time without anybody being late: a third of a second of them.
const CLIENTS: u32 = 64;
/// Of the time that a client was kept waiting, so much does it make up for.
const ARREARS: Duration = Duration::from_secs(1);
/// Bytes each way of a short connection.
const SHORT: u64 = 2_000;
/// Bytes each way of what a long connection exchanges at a time.
const LONG: u64 = 300_000;
/// Who is denied, at the one plane and the other.
const DENIED: [(IpAddr, IpAddr); 2] =
    [(lab::BLOCKED4, lab::SERVER4), (lab::BLOCKED6, lab::SERVER6)];
/// What a client does who fails before there is a connection.
const CONNECTING: &str = "connecting";
/// How long who has connected waits for an answer: a start takes seconds, where this
/// machine has much else to do.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a daemon may serve what was open when its time was over.
const DRAIN: Duration = Duration::from_secs(40);

fn start(lab: &Lab) -> Result<Weir<'_>> {
    Weir::start(&lab.server, "", &scenario::services(&scenario::blocked()))
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(lab::SERVER4, port)
}

/// What the packaged unit says of the descriptor store, in a unit for this Weir.
fn unit(weir: &Weir<'_>) -> Result<String> {
    let packaged = include_str!("../../packaging/weir.service");
    let kept = ["Type=", "FileDescriptorStoreMax=", "Environment=", "TimeoutStopSec="];
    let kept = packaged.lines().filter(|line| kept.iter().any(|key| line.starts_with(key)));
    Ok(format!(
        "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n{}\n\
         ExecStart={} run --config {}\nStandardOutput=append:{log}\nStandardError=append:{log}\n\
         Restart=always\nRestartSec=0\n",
        kept.collect::<Vec<_>>().join("\n"),
        weir_tests::weir::binary()?.display(),
        weir.config().display(),
        log = weir.path("weir.log").display(),
    ))
}

/// One request and its answer, on a connection of its own; `connected` is told the client's
/// port. Called within the clients' namespace.
fn ask(port: u16, connected: impl FnOnce(u16)) -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(lab::DE4, 0).into())?;
    socket.connect_timeout(&to(port).into(), SOON).context(CONNECTING)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = TcpStream::from(socket);
    connected(stream.local_addr()?.port());
    let request = vec![b'x'; usize::try_from(SHORT)?];
    stream.write_all(&request).context("asking")?;
    let mut answer = vec![0; request.len()];
    stream.read_exact(&mut answer).context("hearing the answer")?;
    ensure!(answer == request, "another answer");
    Ok(())
}

/// Whether a connection was made, and ended by the other side.
fn is_cut(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let ended = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof];
    kind.is_some_and(|kind| ended.contains(&kind)) && error.to_string() != CONNECTING
}

/// How the load goes.
#[derive(Default)]
struct Load {
    ended: AtomicBool,
    /// Short connections that were served.
    made: AtomicU64,
    /// Milliseconds that the slowest of them took.
    longest: AtomicU64,
    /// The clients' ports of those that were made, where they may be cut: where the daemon is
    /// killed, and nowhere else.
    ports: Option<Mutex<Vec<u16>>>,
}

impl Load {
    fn note(&self, port: u16) {
        if let Some(ports) = &self.ports {
            ports.lock().unwrap_or_else(PoisonError::into_inner).push(port);
        }
    }

    /// Waits until so many more connections were made.
    fn goes_on(&self, more: u64) -> Result<()> {
        let target = self.made.load(Ordering::Relaxed) + more;
        let there = holds(PATIENCE, || self.made.load(Ordering::Relaxed) >= target);
        ensure!(there, "the load has come to a halt");
        Ok(())
    }
}

/// Asks at the rate of one of the clients until `ended`.
fn client(number: u32, load: &Load) -> Result<()> {
    let interval = Duration::from_secs(1) * CLIENTS / RATE;
    let mut due = Instant::now() + interval * number / CLIENTS;
    while !load.ended.load(Ordering::Relaxed) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let since = Instant::now();
        // Who was kept waiting makes up for it, but not so that it would be another load.
        due = (due + interval).max(since.checked_sub(ARREARS).unwrap_or(since));
        let asked = ask(RELAYED, |port| load.note(port));
        if load.ports.is_some() && asked.as_ref().is_err_and(is_cut) {
            continue;
        }
        asked.with_context(|| format!("client {number}"))?;
        let took = u64::try_from(since.elapsed().as_millis())?;
        load.longest.fetch_max(took, Ordering::Relaxed);
        load.made.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Those who are denied try both services again and again; none may be heard.
fn try_in_vain(lab: &Lab, load: &Load) -> Result<()> {
    while !load.ended.load(Ordering::Relaxed) {
        for ((client, server), (_, port)) in DENIED.into_iter().zip(PLANES) {
            let (from, to) = ((&lab.clients, client), SocketAddr::new(server, port));
            let refusal = client::refusal(from, to, Duration::from_millis(20))?;
            ensure!(refusal == Some(client::Refusal::Silence), "{client} to {to}: {refusal:?}");
        }
        let arrived = scenario::arrived(lab)?;
        ensure!(arrived == 0, "{arrived} packets came through");
    }
    Ok(())
}

/// Runs `main` under the load of all clients and of who is denied. Gives how many short
/// connections there were.
fn under_load(lab: &Lab, main: impl FnOnce(&Load) -> Result<()>) -> Result<u64> {
    scenario::count_arrivals(lab, &DENIED.map(|(client, _)| client))?;
    under_load_and(lab, |load| try_in_vain(lab, load), main)
}

/// Runs `main` under the load of all clients, beside `others`.
fn under_load_and(
    lab: &Lab,
    others: impl FnOnce(&Load) -> Result<()> + Send,
    main: impl FnOnce(&Load) -> Result<()>,
) -> Result<u64> {
    Ok(under(Load::default(), lab, others, main)?.made.into_inner())
}

/// Has that load go on while `main` runs, beside `others`; how it went.
fn under(
    load: Load,
    lab: &Lab,
    others: impl FnOnce(&Load) -> Result<()> + Send,
    main: impl FnOnce(&Load) -> Result<()>,
) -> Result<Load> {
    thread::scope(|scope| {
        let load = &load;
        let others = scope.spawn(move || others(load));
        let client = |number| move || lab.clients.within(|| client(number, load))?;
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        let result = main(load);
        load.ended.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        others.join().map_err(|_| anyhow!("who is denied panicked"))??;
        result
    })?;
    let [made, longest] = [&load.made, &load.longest].map(|count| count.load(Ordering::Relaxed));
    println!("{made} short connections, of which the slowest took {longest} ms");
    Ok(load)
}

fn connect(lab: &Lab, port: u16) -> Result<TcpStream> {
    let mut stream = client::connect((&lab.clients, lab::DE4), to(port))?;
    client::exchange(&mut stream, LONG)?;
    Ok(stream)
}

/// Asserts that there is one record of each connection, with its bytes, and that records
/// of denied attempts add up.
fn assert_recorded(lab: &Lab, weir: &Weir<'_>, short: u64, long: &[u64]) -> Result<()> {
    scenario::assert_sum(lab, weir)?;
    let all = usize::try_from(short)? + long.len();
    let records = weir.wait_for_events(all, "verdict=allowed", SOON)?;
    ensure!(records.len() == all, "{} records of {all} connections", records.len());
    let mut bytes: Vec<u64> = Vec::new();
    for record in &records {
        ensure!(record["close_reason"] == "client_closed", "{record}");
        ensure!(record["bytes_upload"] == record["bytes_download"], "{record}");
        bytes.extend(record["bytes_upload"].as_u64().filter(|bytes| *bytes != SHORT));
    }
    bytes.sort_unstable();
    let mut expected = long.to_vec();
    expected.sort_unstable();
    ensure!(bytes == expected, "{bytes:?} instead of {expected:?}");
    ensure!(weir.events("")?.iter().all(|record| record["verdict"] != "error"));
    Ok(())
}

#[test]
fn twenty_takeovers_under_load_refuse_nobody_and_lose_and_repeat_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = start(&lab)?;
    let mut before: Vec<Superseded> = Vec::new();
    // Each spans two takeovers or three.
    let mut open: Vec<(TcpStream, u64)> = Vec::new();
    let mut closed = Vec::new();
    let short = under_load(&lab, |load| {
        for round in 0..RESTARTS {
            let port = if round % 4 == 3 { GUARDED } else { RELAYED };
            open.push((connect(&lab, port)?, LONG));
            load.goes_on(40)?;
            before.push(weir.take_over()?);
            for (stream, bytes) in &mut open {
                client::exchange(stream, LONG)?;
                *bytes += LONG;
            }
            if open.len() > 2 {
                closed.push(open.remove(0).1);
            }
            load.goes_on(40)?;
        }
        Ok(())
    })?;
    closed.extend(open.drain(..).map(|(_, bytes)| bytes));
    for before in &mut before {
        ensure!(before.wait(DRAIN)?.success(), "{}", weir.log());
    }
    assert_recorded(&lab, &weir, short, &closed)?;
    ensure!(weir.stop()?.success(), "{}", weir.log());
    ensure!(kernel::nothing_attached(&lab.server)?);
    Ok(())
}

/// Where datagrams are relayed, and bytes of one.
const DATAGRAMS: u16 = 7020;
const DATAGRAM: usize = 700;

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
            let socket = udp::connect((&lab.clients, lab::DE4), to(DATAGRAMS))?;
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
    let Some((systemd, weir)) = serve_by(&lab, &datagrams())? else { return Ok(()) };
    let (ended, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let client = scope.spawn(|| send(&lab, to(DATAGRAMS), &ended, &sent));
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

const UNIT: &str = "weir.service";

/// Installs Weir as a service of a systemd of its own and starts it.
fn serve(lab: &Lab) -> Result<Option<(Manager, Weir<'_>)>> {
    serve_by(lab, &scenario::services(&scenario::blocked()))
}

fn serve_by<'a>(lab: &'a Lab, tables: &str) -> Result<Option<(Manager, Weir<'a>)>> {
    let weir = Weir::install(&lab.server)?;
    weir.configure("", tables)?;
    let unit = (UNIT, &*unit(&weir)?);
    let Some(systemd) = Manager::start(&lab.server, &weir.path("manager"), unit)? else {
        return Ok(None);
    };
    systemd.ask(&["start", UNIT]).with_context(|| weir.log())?;
    // Every address is a socket for each family.
    ensure!(systemd.property(UNIT, "NFileDescriptorStore")? == "2", "{}", weir.log());
    Ok(Some((systemd, weir)))
}

/// As a service: systemd holds the listening sockets while no Weir runs.
#[test]
fn twenty_restarts_by_systemd_refuse_nobody_and_lose_and_repeat_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = serve(&lab)? else { return Ok(()) };
    let tries = AtomicU64::new(0);
    let denied = |load: &Load| insist_in_vain(&lab, load, &tries);
    let short = under_load_and(&lab, denied, |load| {
        for _ in 0..RESTARTS {
            load.goes_on(40)?;
            systemd.ask(&["restart", UNIT]).with_context(|| weir.log())?;
        }
        load.goes_on(200)
    })?;
    let all = usize::try_from(short)?;
    assert_counted(&weir, short)?;
    let records = weir.events("verdict=allowed")?;
    ensure!(records.len() == all, "{} records of {all} connections", records.len());
    for record in records {
        let bytes = ["bytes_upload", "bytes_download"].map(|way| scenario::number(&record, way));
        ensure!(bytes == [SHORT, SHORT], "{record}");
    }
    // Of who is denied, the last packets may meet both judges where programs are attached
    // just then: the relay has reset it, and the kernel drops what it still sends.
    let (tries, mut told) = (tries.into_inner(), 0);
    let once = tries..=tries + u64::from(RESTARTS);
    let adds_up = holds(SOON, || {
        told = weir.events("verdict=denied").map_or(0, |records| scenario::attempts(&records));
        once.contains(&told)
    });
    println!("{tries} attempts in vain, {told} in records");
    ensure!(adds_up, "{tries} attempts in vain, {told} in records");

    // A service that goes for good leaves nothing that listens.
    systemd.ask(&["stop", UNIT])?;
    ensure!(systemd.property(UNIT, "NFileDescriptorStore")? == "0");
    let fate = scenario::fate(&lab, lab::DE4, RELAYED)?;
    ensure!(fate == Some(client::Refusal::Reset), "{fate:?}");
    ensure!(kernel::nothing_attached(&lab.server)?);
    Ok(())
}

/// Who comes after a crash waits for the next process, and what the crash cut is recorded
/// beside it.
#[test]
fn a_crash_under_systemd_refuses_nobody() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = serve(&lab)? else { return Ok(()) };
    let _cut = connect(&lab, RELAYED)?;
    systemd.ask(&["kill", "--signal=KILL", UNIT])?;
    let mut waiting = client::connect((&lab.clients, lab::DE4), to(RELAYED))?;
    client::exchange(&mut waiting, SHORT)?;
    drop(waiting);
    let records = weir.wait_for_events(2, "", SOON)?;
    ensure!(records.len() == 2, "{records:#?}");
    let [cut, waiting] = [&records[1], &records[0]]
        .map(|record| (record["close_reason"].as_str(), scenario::number(record, "bytes_upload")));
    ensure!(cut == (Some("interrupted"), LONG), "{records:#?}");
    ensure!(waiting == (Some("client_closed"), SHORT), "{records:#?}");

    // A listener that is not configured any more is let go.
    weir.configure("", &scenario::guarded(""))?;
    systemd.ask(&["restart", UNIT]).with_context(|| weir.log())?;
    ensure!(systemd.property(UNIT, "NFileDescriptorStore")? == "0");
    let fate = scenario::fate(&lab, lab::DE4, RELAYED)?;
    ensure!(fate == Some(client::Refusal::Reset), "{fate:?}");
    Ok(())
}

#[test]
fn crashes_under_systemd_lose_and_repeat_no_record() -> Result<()> {
    const CRASHES: u32 = 5;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let Some((systemd, weir)) = serve(&lab)? else { return Ok(()) };
    let load = Load { ports: Some(Mutex::default()), ..Load::default() };
    let load = under(
        load,
        &lab,
        |_| Ok(()),
        |load| {
            for _ in 0..CRASHES {
                load.goes_on(100)?;
                systemd.ask(&["kill", "--signal=KILL", UNIT])?;
            }
            load.goes_on(200)
        },
    )?;
    let mut ports = load.ports.unwrap_or_default().into_inner().unwrap_or_default();
    ports.sort_unstable();
    let mut told: Vec<Value> = Vec::new();
    let once = holds(SOON, || {
        told = weir.events("").unwrap_or_default();
        let of = |record: &Value| u16::try_from(scenario::number(record, "source_port"));
        let mut recorded: Vec<u16> = told.iter().filter_map(|record| of(record).ok()).collect();
        recorded.sort_unstable();
        recorded == ports
    });
    let of = |port: u16| told.iter().filter(move |record| record["source_port"] == port);
    let wrong = ports.chunk_by(|a, b| a == b).filter(|same| of(same[0]).count() != same.len());
    let wrong: Vec<_> = wrong.map(|same| (same.len(), same[0], of(same[0]).collect())).collect();
    let wrong: Vec<(usize, u16, Vec<&Value>)> = wrong;
    ensure!(once, "{} records of {}: {wrong:#?} {}", told.len(), ports.len(), weir.log());
    ensure!(told.iter().all(|record| record["verdict"] == "allowed"), "{told:#?}");
    Ok(())
}

/// Asserts that there are records of so many connections, and of no other that was let in.
fn assert_counted(weir: &Weir<'_>, connections: u64) -> Result<()> {
    let count = |query: &str| {
        let listing = weir.api(&format!("/api/events/proxy?page_size=1&{query}"));
        listing.ok().and_then(|listing| listing["total_records"].as_u64()).unwrap_or_default()
    };
    // Those whose end the programs saw half of come two seconds later.
    let recorded = holds(SOON, || count("verdict=allowed") == connections);
    let others = weir.events("verdict=error")?;
    ensure!(
        recorded && others.is_empty(),
        "{} records of {connections} connections, and {others:#?}",
        count("verdict=allowed")
    );
    let flows = weir.api("/api/flows")?;
    ensure!(flows["total_records"] == 0, "what has its record goes on: {flows:#}");
    Ok(())
}

/// Who is denied tries again and again and is never heard: where no program is attached
/// since none runs, it waits with the others and is reset.
fn insist_in_vain(lab: &Lab, load: &Load, tries: &AtomicU64) -> Result<()> {
    while !load.ended.load(Ordering::Relaxed) {
        let from = (&lab.clients, lab::BLOCKED4);
        let fate = client::refusal(from, to(RELAYED), Duration::from_millis(20))?;
        ensure!(fate.is_some(), "who is denied was served");
        tries.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
