//! What clients of bad will can do to others: not keep them from being served, and cost no
//! more than a little memory.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use weir_tests::{
    capture::Capture,
    client,
    http2::{
        ACK, CONTINUATION, END_HEADERS, END_STREAM, Ending, HEADERS, Http2, PING, RST_STREAM,
        SETTINGS, fields, frame,
    },
    lab::Lab,
    talk::talk,
    wait::SOON,
    weir::Weir,
};

const PLAIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);
const TLS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7443);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
const LINES: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "app.test"), (":path", "/")];
/// What floods may leave in memory, of which freed memory is a part.
const MOST_GROWTH: u64 = 96 << 20;
/// How long others may wait meanwhile: tests share the machine.
const MOST_WAIT: Duration = Duration::from_secs(3);

/// A service of that name on [`PLAIN`], and on [`TLS`].
fn weir<'a>(lab: &'a Lab, target: &Capture) -> Result<Weir<'a>> {
    let service = |name: &str, to: SocketAddr, tls: bool| {
        format!(
            "[service.{name}]\ndomain = 'app.test'\nlisten = {}\ntls = {tls}\n\
             target = 'http://{}'\n",
            to.port(),
            target.address()
        )
    };
    let tables = service("plain", PLAIN, false) + &service("app", TLS, true);
    Weir::start(&lab.server, "interfaces = ['wan']", &tables)
}

/// Begins a request and sends a byte of its head now and then; how long it lasts.
fn dawdle(lab: &Lab) -> Result<Duration> {
    const PAUSE: Duration = Duration::from_millis(250);
    let mut stream = client::connect((&lab.server, PLAIN.ip()), PLAIN)?;
    stream.set_read_timeout(Some(PAUSE))?;
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: app.test\r\nX: ")?;
    while begun.elapsed() < SOON * 2 {
        let closed = match stream.read(&mut [0; 64]).map_err(|error| error.kind()) {
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => stream.write_all(b"x").is_err(),
            _ => true,
        };
        if closed {
            return Ok(begun.elapsed());
        }
    }
    Err(anyhow!("it goes on"))
}

/// Frames that come again and again.
struct Flood {
    name: &'static str,
    /// The frames of a round, by its number.
    round: fn(u32) -> Vec<u8>,
    rounds: u32,
}

static FLOODS: [Flood; 5] = [
    Flood {
        name: "resets",
        round: |round| {
            let stream = 1 + 2 * round;
            let ask = frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields(&LINES));
            [ask, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        },
        rounds: 50_000,
    },
    Flood {
        name: "continuations",
        round: |round| match round {
            0 => frame(HEADERS, 0, 1, &fields(&LINES)),
            _ => frame(CONTINUATION, 0, 1, &fields(&[("x", &"y".repeat(16_000))])),
        },
        rounds: 20_000,
    },
    Flood {
        name: "empty continuations",
        round: |round| match round {
            0 => frame(HEADERS, 0, 1, &fields(&LINES)),
            _ => frame(CONTINUATION, 0, 1, &[]),
        },
        rounds: 200_000,
    },
    Flood {
        name: "settings",
        round: |_| frame(SETTINGS, 0, 0, &[]),
        rounds: 200_000,
    },
    Flood {
        name: "pings",
        round: |_| frame(PING, 0, 0, &[0; 8]),
        rounds: 200_000,
    },
];

/// Sends a flood, until the other side has enough of it; whether it had.
fn flood(lab: &Lab, flood: &Flood) -> Result<bool> {
    let mut connection = Http2::connect(&lab.server, TLS, "app.test")?;
    let mut bytes = Vec::new();
    for round in 0..flood.rounds {
        bytes.extend((flood.round)(round));
        if bytes.len() >= 16 << 10 && connection.send_raw(&std::mem::take(&mut bytes)).is_err() {
            return Ok(true);
        }
    }
    let _ = connection.send_raw(&bytes);
    // Who is not closed out is served.
    let _ = connection.send(HEADERS, END_HEADERS | END_STREAM, 200_001, &fields(&LINES));
    match connection.ending(200_001)? {
        Ending::Closed => Ok(true),
        other => {
            ensure!(other == Ending::Status(200), "{other:?}");
            Ok(false)
        }
    }
}

/// Asks again and again until `over`; how long the slowest answer took, and of how many.
fn ask(lab: &Lab, over: &AtomicBool) -> Result<(Duration, u32)> {
    let (mut slowest, mut count) = (Duration::ZERO, 0);
    while !over.load(Relaxed) {
        let begun = Instant::now();
        let answers = talk(&lab.server, PLAIN, GET)?;
        ensure!(answers.statuses == [200], "{answers:?}");
        slowest = slowest.max(begun.elapsed());
        count += 1;
    }
    Ok((slowest, count))
}

#[test]
fn floods_cost_nobody_else_anything() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let mut weir = weir(&lab, &target)?;
    talk(&lab.server, PLAIN, GET)?;
    let before = weir.resident()?;
    let over = AtomicBool::new(false);
    let (slowest, count) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&lab, &over));
        let dawdling = scope.spawn(|| dawdle(&lab));
        let begun = FLOODS.each_ref().map(|kind| {
            scope.spawn(|| {
                let name = kind.name;
                flood(&lab, kind).map(|closed| (name, closed)).context(name)
            })
        });
        let mut ended = Vec::new();
        for flood in begun {
            ended.push(flood.join().map_err(|_| anyhow!("a flood panicked"))?);
        }
        let lasted = dawdling.join().map_err(|_| anyhow!("who dawdles panicked"))?;
        over.store(true, Relaxed);
        let asked = asking.join().map_err(|_| anyhow!("who asks panicked"))?;
        println!("{ended:?} {lasted:?} {asked:?}");
        asked
    })?;
    let grown = weir.resident()?.saturating_sub(before);
    println!("{grown} bytes more; {count} answers, of which the slowest took {slowest:?}");
    assert!(weir.is_running());
    panic!("look {ACK}");
}
