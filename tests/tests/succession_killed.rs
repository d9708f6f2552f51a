//! Successors that are killed at any instant.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use socket2::{Domain, Socket, Type};
use weir_tests::{
    client,
    lab::{self, Lab},
    scenario::{self, PLANES, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

const BYTES: u64 = 20_000;

/// Connects again and again, whatever becomes of it, from a port of its own each time that
/// somebody answers. Gives the ports from which it was served, and counts what it tries.
fn insist(ended: &AtomicBool, tries: &AtomicU64) -> Result<Vec<u16>> {
    let mut served = Vec::new();
    let mut own = 20_000;
    while !ended.load(Ordering::Relaxed) {
        for (_, port) in PLANES {
            // Few enough that every one has a port of its own.
            thread::sleep(Duration::from_millis(5));
            tries.fetch_add(1, Ordering::Relaxed);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::new(lab::DE4, own).into())?;
            let connected = socket.connect_timeout(
                &SocketAddr::new(lab::SERVER4, port).into(),
                Duration::from_millis(50),
            );
            if connected.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                continue;
            }
            own += 1;
            let mut stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(SOON))?;
            if connected.is_ok() && client::exchange(&mut stream, BYTES).is_ok() {
                served.push(own - 1);
            }
        }
    }
    Ok(served)
}

#[test]
fn successors_killed_at_any_instant_lose_and_repeat_no_record() -> Result<()> {
    const KILLS: u64 = 12;
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &scenario::services(&scenario::blocked()))?;
    let (ended, tries) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut went_on, mut recovered) = (0, 0);
    let served = thread::scope(|scope| {
        let insisting = scope.spawn(|| lab.clients.within(|| insist(&ended, &tries))?);
        let kills = (0..KILLS).try_for_each(|kill| {
            let takeovers = || weir.log().matches("it takes over").count();
            let (target, before) = (tries.load(Ordering::Relaxed) + 30 * kill, takeovers());
            let mut looks = 0;
            weir.take_over_until(|| {
                if kill % 2 == 0 {
                    // Ever later after its start.
                    return tries.load(Ordering::Relaxed) > target;
                }
                // When it has begun to take over, or a little later.
                looks += u64::from(takeovers() > before);
                looks > kill / 2 % 3
            })?;
            // The one before goes on, or has let go and ends.
            let goes_on = || matches!(scenario::fate(&lab, lab::DE4, RELAYED), Ok(None));
            ensure!(holds(SOON, || goes_on() || !weir.is_running()), "neither: {}", weir.log());
            if weir.is_running() {
                went_on += 1;
            } else {
                recovered += 1;
                weir.launch()?;
            }
            Ok(())
        });
        ended.store(true, Ordering::Relaxed);
        let served = insisting.join().map_err(|_| anyhow!("the client panicked"))??;
        kills.map(|()| served)
    })?;
    println!(
        "{} connections were served; {went_on} times the one before went on, {recovered} times another had to start",
        served.len()
    );
    scenario::assert_both_serve(&lab, lab::DE4)?;
    let mut records = BTreeMap::<u64, u32>::new();
    let all_recorded = holds(SOON, || {
        records.clear();
        for record in weir.events("").unwrap_or_default() {
            *records.entry(scenario::number(&record, "source_port")).or_default() += 1;
        }
        served.iter().all(|port| records.contains_key(&u64::from(*port)))
    });
    ensure!(all_recorded, "connections that were served have no record");
    // Those who look whether somebody answers have ports of the system's choice.
    let repeated: Vec<_> = records.iter().filter(|(port, n)| **port < 32_768 && **n > 1).collect();
    ensure!(repeated.is_empty(), "recorded more than once: {repeated:?}");
    Ok(())
}
