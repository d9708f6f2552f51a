//! Clients and targets that keep to the letter of HTTP, each in its own way.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::net::sockopt::set_tcp_cork;
use tokio::runtime;
use weir_tests::{
    client,
    lab::{self, Lab},
    listening::Listening,
    ns::run,
    scenario::BACKEND,
    tls,
    trusting::certify,
    wait::SOON,
    web::{assert_fields, curl::Curl, kept::Kept, routed, site, site_of, target::Target},
    weir::Weir,
};

const PLAIN: u16 = 8080;

fn tables() -> String {
    let plain = format!("tls = false\nlisten = {PLAIN}");
    site("wiki", "wiki.example.com", "") + &site("plain", "plain.example.com", &plain)
}

fn kept(lab: &Lab) -> Result<Kept> {
    let to = SocketAddr::new(lab::SERVER4, PLAIN);
    Kept::connect(lab, lab::DE4, to, "plain.example.com")
}

#[test]
fn clients_are_understood_in_each_of_their_ways() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let _weir = Weir::start(&lab.server, "", &tables())?;
    // Browsers divide cookies over HTTP/2.
    let cookies = ["-H", "Cookie: a=1", "-H", "Cookie: __Host-weir=x", "-H", "Cookie: b=\"2 3\""];
    let answer =
        Curl::new(&lab).with(&["--http2"]).with(&cookies).get("https://wiki.example.com/")?;
    assert_eq!(answer.status, 200);
    assert_eq!(target.last()?.header("cookie"), Some("a=1; b=\"2 3\""));
    // HTTP/1.0 has no chunks, and no name where none is sent.
    let old = Curl::new(&lab).with(&["--http1.0"]).get("https://wiki.example.com/trailers")?;
    assert_eq!((old.header("transfer-encoding"), old.body.as_str()), (None, "abc"));
    // The whole URL, as for a proxy.
    let mut stream = kept(&lab)?;
    stream.ask("http://plain.example.com/a?b", "")?;
    assert_eq!(stream.head()?.0, 200);
    assert_eq!(target.last()?.line, "GET /a?b HTTP/1.1");
    // HTTP/2 that is asked for in this way would be spoken with the target, past Weir.
    let mut stream = kept(&lab)?;
    let settings = "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n";
    stream.ask("/upgrade-not", settings)?;
    assert_eq!(stream.head()?.0, 200);
    let received = target.last()?;
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    // One after the other on one connection, without waiting.
    let mut stream = kept(&lab)?;
    for path in ["/1", "/2", "/3"] {
        stream.ask(path, "")?;
    }
    for _ in 0..3 {
        let (status, length) = stream.head()?;
        assert_eq!(status, 200);
        stream.skip(length.context("no length")?)?;
    }
    let paths: Vec<String> =
        target.received().iter().rev().take(3).map(|r| r.path().to_owned()).collect();
    assert_eq!(paths, ["/3", "/2", "/1"]);
    Ok(())
}

/// A target that reads a head, gives an answer and closes the connection, again and again.
fn hasty(lab: &Lab, answer: &'static [u8]) -> Result<Listening> {
    // A client that goes away is not the target's failure.
    let serve = move |stream| move || drop(answer_head(&stream, answer));
    Listening::start(&lab.server, ([127, 0, 0, 1], BACKEND).into(), serve)
}

fn answer_head(stream: &TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut from = BufReader::with_capacity(256, stream);
    let mut line = String::from("head");
    while !line.trim_end().is_empty() {
        line.clear();
        from.read_line(&mut line)?;
    }
    // In one segment: who has the answer knows of its end, and no request crosses it.
    set_tcp_cork(stream, true)?;
    (&mut &*stream).write_all(answer)?;
    stream.shutdown(Shutdown::Write)?;
    // What is left unread would make a reset of the end, and that an error of the answer.
    io::copy(&mut &*stream, &mut io::sink()).map(drop)
}

#[test]
fn a_target_may_close_after_each_answer_without_a_word() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = hasty(&lab, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
    let weir = Weir::start(&lab.server, "", &tables())?;
    let mut stream = kept(&lab)?;
    for count in 0..60 {
        // Nobody may send one of these again.
        let head = "POST / HTTP/1.1\r\nHost: plain.example.com\r\nContent-Length: 0\r\n\r\n";
        stream.stream().write_all(head.as_bytes())?;
        let (status, length) = stream.head()?;
        ensure!(status == 200, "{count}: {status}: {:?}", weir.events("verdict=error"));
        stream.skip(length.context("no length")?)?;
    }
    Ok(())
}

#[test]
fn a_target_may_answer_before_it_has_read_everything() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let large =
        b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nlarge";
    let _target = hasty(&lab, large)?;
    let weir = Weir::start(&lab.server, "", &tables())?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("body");
    fs::write(&file, vec![b'x'; 8 << 20])?;
    let body = format!("@{}", file.display());
    let curl = Curl::new(&lab).with(&["--http1.1", "-H", "Expect:", "--data-binary", &body]);
    let answer = curl.get("https://wiki.example.com/")?;
    assert_eq!((answer.status, answer.body.as_str()), (413, "large"));
    // curl 7.88 takes the end of an upload that is not wanted for an error (RFC 9113, 8.1).
    let mut nghttp = lab.clients.command("nghttp");
    nghttp.args(["--verbose", "--null-out", "--data"]).arg(&file);
    nghttp.args(["--header", ":authority: wiki.example.com"]);
    let said = run(nghttp.arg(format!("https://{}/", lab::SERVER4)))?;
    for part in [":status: 413", "content-length: 5", "NO_ERROR"] {
        ensure!(said.contains(part), "no {part:?} in {said}");
    }
    for record in weir.wait_for_events(2, "status_code=413", SOON)? {
        assert_eq!(record["verdict"], "allowed", "{record}");
    }
    Ok(())
}

/// Sends a whole request, and only then reads the answer, to the end; its status.
fn deaf_upload(mut stream: impl Read + Write, host: &str) -> Result<u16> {
    const BODY: usize = 8 << 20;
    let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {BODY}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![b'x'; BODY]).context("sending")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("after {answer:?}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    ensure!(head.contains(&format!("content-length: {}", body.len())), "{answer}");
    Ok(head.get(9..12).context("no status")?.parse()?)
}

/// What is sent after an early answer makes no reset, which would cost the client the answer.
#[test]
fn an_early_answer_is_there_when_everything_has_been_sent() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let large = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge";
    let _target = hasty(&lab, large)?;
    let mut weir = Weir::install(&lab.server)?;
    weir.configure("", &tables())?;
    let trusted = certify(&weir, &["http/1.1"])?;
    weir.launch()?;
    let connect = |port| client::connect((&lab.clients, lab::DE4), (lab::SERVER4, port).into());
    // The target's answer, and Weir's own.
    for (name, status) in [("plain", 413), ("nobody", 404)] {
        let host = format!("{name}.example.com");
        assert_eq!(deaf_upload(connect(PLAIN)?, &host)?, status, "{host}");
    }
    for (name, status) in [("wiki", 413), ("nobody", 404)] {
        let host = format!("{name}.example.com");
        let stream = tls::speak(connect(443)?, "wiki.example.com", &trusted)?;
        assert_eq!(deaf_upload(stream, &host)?, status, "{host} over TLS");
    }
    for record in weir.wait_for_events(2, "status_code=404", SOON)? {
        assert_eq!(record["bytes_upload"], 0, "what is thrown away went nowhere: {record}");
    }
    Ok(())
}

/// A target over HTTP/2 that answers `/`, and gives up every other request without an answer;
/// `asked` counts these.
fn reluctant(lab: &Lab, asked: Arc<AtomicUsize>) -> Result<Listening> {
    Listening::start(&lab.server, ([127, 0, 0, 1], BACKEND).into(), move |stream| {
        let asked = Arc::clone(&asked);
        move || drop(answer_some(stream, &asked))
    })
}

fn answer_some(stream: TcpStream, asked: &AtomicUsize) -> Result<()> {
    stream.set_nonblocking(true)?;
    let answer = |request: Request<Incoming>| {
        let is_given_up = request.uri().path() != "/";
        asked.fetch_add(usize::from(is_given_up), Relaxed);
        async move {
            ensure!(!is_given_up, "a stream that ends with an error is reset");
            Ok(Response::new(String::from("ok")))
        }
    };
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let io = TokioIo::new(tokio::net::TcpStream::from_std(stream)?);
        Ok(http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service_fn(answer))
            .await?)
    })
}

/// A request that can be repeated, and does not fail because of its connection, is not for
/// the same target again.
#[test]
fn a_request_that_its_target_gives_up_is_sent_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let asked = Arc::new(AtomicUsize::new(0));
    let _target = reluctant(&lab, Arc::clone(&asked))?;
    let target = format!("h2c://127.0.0.1:{BACKEND}");
    let weir = Weir::start(&lab.server, "", &site_of("wiki", "wiki.example.com", &target, ""))?;
    for (path, status) in [("", 200), ("x", 502), ("", 200), ("y", 502)] {
        let url = format!("https://wiki.example.com/{path}");
        assert_eq!(Curl::new(&lab).get(&url)?.status, status, "{path}");
    }
    assert_eq!(asked.load(Relaxed), 2);
    for record in weir.wait_for_events(2, "status_code=502", SOON)? {
        let expected = serde_json::json!({ "reason": "backend_error", "verdict": "error" });
        assert_fields(&record, &expected);
    }
    Ok(())
}

/// `timeout` is how long a target may take to answer what it has, not how long a client
/// takes to send it.
#[test]
fn a_body_may_take_longer_than_an_answer() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    let file = weir.path("body");
    fs::write(&file, vec![b'x'; 600_000])?;
    let body = format!("@{}", file.display());
    let routes = [("/", "timeout = '1s'")];
    weir.configure("", &routed("wiki", "wiki.example.com", &routes))?;
    weir.launch()?;
    for version in ["--http1.1", "--http2"] {
        let slowly = ["--limit-rate", "200k", "--data-binary", &body, version];
        let answer = Curl::new(&lab).with(&slowly).get("https://wiki.example.com/")?;
        assert_eq!(answer.status, 200, "{version}");
        assert_eq!(target.last()?.body.len(), 600_000);
    }
    for record in weir.wait_for_events(2, "status_code=200", SOON)? {
        assert!(record["duration_ms"].as_u64() >= Some(2_000), "{record}");
    }
    let late = Curl::new(&lab).with(&["-d", "x"]).get("https://wiki.example.com/silent")?;
    assert_eq!(late.status, 504);
    target.release();
    Ok(())
}

/// A `GET` may have a body, as searches have that are too long for a URL.
#[test]
fn a_body_of_unknown_length_goes_with_every_method() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    let file = weir.path("body");
    fs::write(&file, "query")?;
    weir.configure("", &tables())?;
    weir.launch()?;
    for method in ["GET", "DELETE", "PUT"] {
        let mut stream = kept(&lab)?;
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: plain.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        stream.stream().write_all(head.as_bytes())?;
        stream.stream().write_all(b"5\r\nquery\r\n0\r\n\r\n")?;
        assert_eq!(stream.head()?.0, 200);
        let received = target.last()?;
        assert_eq!((received.method(), &received.body[..]), (method, &b"query"[..]));
        // Over HTTP/2, no length has to be told at all.
        let mut curl = lab.clients.command("sh");
        let command = format!(
            "curl --silent --insecure --http2 --interface {} --resolve wiki.example.com:443:{} \
             --request {method} --upload-file - https://wiki.example.com/ < {}",
            lab::DE4,
            lab::SERVER4,
            file.display()
        );
        run(curl.args(["-c", &command]))?;
        let received = target.last()?;
        assert_eq!((received.method(), &received.body[..]), (method, &b"query"[..]));
    }
    for record in weir.wait_for_events(6, "service_id=wiki&service_id=plain", SOON)? {
        assert_eq!(record["bytes_upload"], 5, "{record}");
    }
    Ok(())
}
