//! What clients of bad will can do to others: not keep them from being served, and cost no
//! more than a little memory.

use std::{
    io::{ErrorKind, Read, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use weir_tests::{
    capture::{Capture, PLAIN, TLS, services},
    client,
    http2::{
        CONTINUATION, END_HEADERS, END_STREAM, Ending, HEADERS, Http2, PING, RST_STREAM, SETTINGS,
        fields, frame,
    },
    lab::Lab,
    talk::{Answers, talk},
    wait::{SOON, holds},
    weir::Weir,
};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
const LINES: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "app.test"), (":path", "/")];
/// What floods may leave in memory, of which freed memory is a part.
const MOST_GROWTH: u64 = 96 << 20;
/// How long others may wait meanwhile: tests share the machine.
const MOST_WAIT: Duration = Duration::from_secs(3);

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
    Flood { name: "settings", round: |_| frame(SETTINGS, 0, 0, &[]), rounds: 200_000 },
    Flood { name: "pings", round: |_| frame(PING, 0, 0, &[0; 8]), rounds: 200_000 },
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

/// Runs a thread's work to its end.
fn join<T>(thread: thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a client panicked"))?
}

#[test]
fn floods_cost_nobody_else_anything() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let mut weir = services(&lab, &target)?;
    talk(&lab.server, PLAIN, GET)?;
    let before = weir.resident()?;
    let over = AtomicBool::new(false);
    let (slowest, count) = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&lab, &over));
        let dawdling = scope.spawn(|| dawdle(&lab));
        let floods = FLOODS.each_ref().map(|kind| scope.spawn(|| flood(&lab, kind)));
        let begun = floods.into_iter().zip(&FLOODS);
        let ended = begun.map(|(flood, kind)| join(flood).context(kind.name));
        let ended: Result<Vec<bool>> = ended.collect();
        let lasted = join(dawdling);
        over.store(true, Relaxed);
        let asked = join(asking)?;
        // Settings and pings are answered, no faster than the client takes the answers.
        assert_eq!(ended?, [true, true, true, false, false]);
        let lasted = lasted?.as_secs();
        assert!((9..15).contains(&lasted), "a head may take 10 s, and took {lasted}");
        anyhow::Ok(asked)
    })?;
    assert!(slowest < MOST_WAIT, "one of {count} answers took {slowest:?}");
    let grown = weir.resident()?.saturating_sub(before);
    assert!(grown < MOST_GROWTH, "{grown} bytes more");
    assert!(weir.is_running());
    let slow = |record: &Value| record["metadata"]["error"] == "the request's head did not end";
    let told = || {
        let records = weir.events("reason=client_aborted").unwrap_or_default();
        records.iter().filter(|record| slow(record)).count() == 1
    };
    assert!(holds(SOON, told), "no record of who dawdled");
    Ok(())
}

/// A head that is too large is refused, and costs the connection's other requests nothing.
#[test]
fn a_large_head_of_http2_is_refused_alone() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let _weir = services(&lab, &target)?;
    let mut connection = Http2::connect(&lab.server, TLS, "app.test")?;
    let line = fields(&[("x", &"y".repeat(15_000))]);
    connection.send(HEADERS, END_STREAM, 1, &fields(&LINES))?;
    for last in [0, 0, 0, 0, END_HEADERS] {
        connection.send(CONTINUATION, last, 1, &line)?;
    }
    assert_eq!(connection.ending(1)?, Ending::Status(431));
    let many = [fields(&LINES), fields(&[("x", "y"); 101])].concat();
    connection.send(HEADERS, END_HEADERS | END_STREAM, 3, &many)?;
    assert_eq!(connection.ending(3)?, Ending::Status(400));
    connection.send(HEADERS, END_HEADERS | END_STREAM, 5, &fields(&LINES))?;
    assert_eq!(connection.ending(5)?, Ending::Status(200));
    Ok(())
}

/// "open sesame", hashed as cheaply as can be: a thousand tries are to take no minute.
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$d2VpcndlaXJ3ZWly$m3g1+5RNyibWXN5b3j5FQMZI7KpwId+sHNSnz5oiMc0";
const RIGHT: &str = "open+sesame";
/// Who knocks at the door, and how often.
const NETWORK: &str = "198.51.100";
const TRIES: u32 = 1_000;

/// Signs in from an address, as a proxy tells it, with cookies that the browser has.
fn sign_in(lab: &Lab, from: &str, cookies: &str, password: &str) -> Result<Answers> {
    let body = format!("password={password}");
    let request = format!(
        "POST /.weir/login HTTP/1.1\r\nHost: app.test\r\nOrigin: http://app.test\r\n\
         X-Forwarded-For: {from}\r\nCookie: {cookies}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    talk(&lab.server, PLAIN, request.as_bytes())
}

/// The cookie of that name, as the browser sends it.
fn cookie(answers: &Answers, name: &str) -> Result<String> {
    let begins = format!("set-cookie: {name}=");
    let line = answers.text.split("\r\n").find(|line| line.starts_with(&begins));
    let pair = line.and_then(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
    pair.map(ToOwned::to_owned).with_context(|| format!("no {name}: {}", answers.text))
}

/// Guesses a part of the passwords, each from the next address; how many tries were not
/// even looked at.
fn guess(lab: &Lab, tries: impl Iterator<Item = u32>) -> Result<u32> {
    let mut locked = 0;
    for number in tries {
        let from = format!("{NETWORK}.{}", number % 254 + 1);
        match sign_in(lab, &from, "", &format!("wrong{number}"))?.statuses.as_slice() {
            // All of those who check are busy.
            [401 | 503] => {}
            [429] => locked += 1,
            other => return Err(anyhow!("{other:?}")),
        }
    }
    Ok(locked)
}

#[test]
fn a_thousand_wrong_passwords_lock_nobody_out_who_was_in() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let tables = format!(
        "[http]\ntrusted_proxies = ['127.0.0.1']\n[service.app]\ndomain = 'app.test'\n\
         listen = {}\ntls = false\ntarget = 'http://{}'\npassword = '{HASH}'\n",
        PLAIN.port(),
        target.address()
    );
    let _weir = Weir::start(&lab.server, "interfaces = ['wan']", &tables)?;
    let signed_in = sign_in(&lab, "198.51.100.7", "", RIGHT)?;
    assert_eq!(signed_in.statuses, [303], "{signed_in:?}");
    let [session, device] = ["weir", "weir-device"].map(|name| cookie(&signed_in, name));
    let (session, device) = (session?, device?);
    let locked = thread::scope(|scope| {
        let lab = &lab;
        let part = |first| scope.spawn(move || guess(lab, (first..TRIES).step_by(4)));
        [0, 1, 2, 3].map(part).into_iter().map(join).sum::<Result<u32>>()
    })?;
    assert!(locked > TRIES / 2, "{locked} tries were refused");
    let stranger = sign_in(&lab, "203.0.113.9", "", RIGHT)?;
    assert_eq!(stranger.statuses, [429], "the service is locked for who was never in");
    let known = sign_in(&lab, "198.51.100.7", &device, RIGHT)?;
    assert_eq!(known.statuses, [303], "a browser that was in before signs in again");
    let page = format!(
        "GET / HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: 198.51.100.7\r\n\
         Cookie: {session}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(talk(&lab.server, PLAIN, page.as_bytes())?.statuses, [200], "a session goes on");
    Ok(())
}
