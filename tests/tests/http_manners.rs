//! Clients and targets that keep to the letter of HTTP, each in its own way.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};
use rustix::net::sockopt::set_tcp_cork;
use weir_tests::{
    lab::{self, Lab},
    listening::Listening,
    ns::run,
    scenario::BACKEND,
    wait::SOON,
    web::{curl::Curl, kept::Kept, site, target::Target},
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
    std::fs::write(&file, vec![b'x'; 8 << 20])?;
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
