//! Requests that come to nothing, and what is recorded of each.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Stdio,
    thread,
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use weir_tests::{
    client,
    lab::{self, Lab},
    ns::run,
    program,
    scenario::BACKEND,
    wait::{SOON, eventually, holds},
    web::{
        assert_fields,
        curl::{Answer, Curl},
        site,
        target::Target,
    },
    weir::Weir,
};

/// Of the service `plain`, which takes requests without TLS.
const PLAIN: u16 = 8080;
/// Where nobody listens.
const CLOSED: u16 = 7009;

fn plain() -> String {
    site("plain", "plain.example.com", &format!("tls = false\nlisten = {PLAIN}"))
}

fn connect(lab: &Lab, port: u16) -> Result<TcpStream> {
    Ok(client::connect((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, port))?)
}

/// The only record of what came from a client's port.
fn record_of(weir: &Weir<'_>, port: u16) -> Result<Value> {
    let of_port = || {
        let all = weir.events("").unwrap_or_default();
        let found: Vec<Value> = all.into_iter().filter(|r| r["source_port"] == port).collect();
        (!found.is_empty()).then_some(found)
    };
    let found = eventually(SOON, of_port);
    let mut found = found.with_context(|| format!("no record of {port}: {:?}", weir.events("")))?;
    ensure!(found.len() == 1, "more than one record: {found:?}");
    found.pop().context("no record")
}

#[test]
fn a_target_that_fails_is_told_from_weir_and_from_the_client() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let lines = format!(
        "[[service.wiki.route]]\npath = '/silent'\ntarget = 'http://127.0.0.1:{BACKEND}'\n\
         timeout = '300ms'\n\
         [[service.wiki.route]]\npath = '/down'\ntarget = 'http://127.0.0.1:{CLOSED}'\n"
    );
    let weir = Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", &lines))?;
    for (options, path, status, recorded, reason) in [
        (&[][..], "/down", 502, 502, "backend_unreachable"),
        (&[], "/silent", 504, 504, "backend_timeout"),
        (&[], "/close", 502, 502, "backend_error"),
        (&["-d", "x"], "/close", 502, 502, "backend_error"),
        (&[], "/status/503", 503, 503, "backend_error"),
    ] {
        let answer =
            Curl::new(&lab).with(options).get(&format!("https://wiki.example.com{path}"))?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let own = !path.starts_with("/status");
        assert_eq!(answer.body.contains("Failed at: target"), own, "{answer:?}");
        let query =
            format!("path={path}&method={}", if options.is_empty() { "GET" } else { "POST" });
        let record = weir.wait_for_event(&query, SOON)?;
        let target = if path == "/down" { CLOSED } else { BACKEND };
        let expected = json!({
            "service_id": "wiki", "verdict": "error", "reason": reason, "status_code": recorded,
            "target": format!("127.0.0.1:{target}"),
        });
        assert_fields(&record, &expected);
        ensure!(!own || record["metadata"]["error"].is_string(), "no error in {record}");
    }
    // The head had gone out by then.
    for version in ["--http1.1", "--http2"] {
        let output = Curl::new(&lab).with(&[version]).output("https://wiki.example.com/broken")?;
        ensure!(!output.status.success(), "{version}: nobody told the client");
    }
    for record in weir.wait_for_events(2, "path=/broken", SOON)? {
        let expected = json!({
            "verdict": "error", "reason": "backend_error", "status_code": 200, "bytes_download": 7,
        });
        assert_fields(&record, &expected);
    }
    Ok(())
}

#[test]
fn a_request_that_comes_back_to_weir_is_stopped() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let http = format!(
        "server {{ listen 127.0.0.1:{BACKEND}; location / {{ proxy_pass https://127.0.0.1;\n\
           proxy_set_header Host $host; proxy_ssl_name $host; proxy_ssl_server_name on; }} }}"
    );
    let _nginx = program::nginx(&lab.server, &http, BACKEND, directory.path())?;
    let weir = Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", ""))?;
    let answer = Curl::new(&lab).get("https://wiki.example.com/")?;
    assert_eq!(answer.status, 508, "{answer:?}");
    let records = weir.wait_for_events(2, "", SOON)?;
    for record in &records {
        let expected = json!({ "status_code": 508, "reason": "backend_error", "verdict": "error" });
        assert_fields(record, &expected);
    }
    assert_eq!(records.len(), 2, "it goes round once: {records:?}");
    Ok(())
}

#[test]
fn requests_beyond_the_limit_are_told_to_come_again() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir =
        Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", "max_connections = 1"))?;
    let ask = |path: &str| Curl::new(&lab).get(&format!("https://wiki.example.com{path}"));
    thread::scope(|scope| -> Result<()> {
        let waiting = scope.spawn(|| ask("/silent"));
        ensure!(holds(SOON, || !target.received().is_empty()), "the first does not arrive");
        let answer = ask("/")?;
        assert_eq!(answer.status, 503, "{answer:?}");
        let record = weir.wait_for_event("reason=connection_limit", SOON)?;
        assert_fields(&record, &json!({ "service_id": "wiki", "verdict": "error" }));
        target.release();
        let first: Answer = waiting.join().map_err(|_| anyhow!("curl panicked"))??;
        assert_eq!(first.status, 204);
        Ok(())
    })?;
    assert_eq!(ask("/")?.status, 200, "there is a place again");
    Ok(())
}

#[test]
fn a_client_that_goes_away_is_recorded_with_what_it_got() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", ""))?;
    for (version, path, expected) in [
        ("--http1.1", "/silent?1", json!({ "status_code": 499, "verdict": "error" })),
        ("--http2", "/silent?2", json!({ "status_code": 499, "verdict": "error" })),
        ("--http1.1", "/events?1", json!({ "status_code": 200, "verdict": "allowed" })),
        ("--http2", "/events?2", json!({ "status_code": 200, "verdict": "allowed" })),
    ] {
        let before = weir.events("")?.len();
        let mut curl = lab.clients.bound_command("curl");
        curl.args([version, "--silent", "--no-buffer", "--insecure", "--connect-to"]);
        curl.arg(format!("::{}:", lab::SERVER4)).arg(format!("https://wiki.example.com{path}"));
        let mut child = curl.stdout(Stdio::piped()).spawn()?;
        target.awaits(path)?;
        if path.starts_with("/events") {
            let mut out = child.stdout.take().context("a pipe")?;
            out.read_exact(&mut [0; 13])?;
        }
        child.kill()?;
        child.wait()?;
        let records = weir.wait_for_events(before + 1, "reason=client_aborted", SOON)?;
        assert_eq!(records.len(), before + 1);
        assert_fields(&records[0], &expected);
        assert_fields(&records[0], &json!({ "service_id": "wiki", "method": "GET" }));
    }
    Ok(())
}

/// Says something on a connection of its own; all that is answered, and the record.
fn say(lab: &Lab, weir: &Weir<'_>, port: u16, words: &[u8]) -> Result<(String, Value)> {
    let mut stream = connect(lab, port)?;
    let source = stream.local_addr()?.port();
    stream.write_all(words)?;
    let mut answer = Vec::new();
    // It may end with a reset, where not all was read.
    let _ = stream.read_to_end(&mut answer);
    drop(stream);
    Ok((String::from_utf8_lossy(&answer).into_owned(), record_of(weir, source)?))
}

#[test]
fn requests_that_cannot_be_read_are_recorded_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &plain())?;
    let long =
        format!("GET / HTTP/1.1\r\nHost: plain.example.com\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    for (words, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: plain.example.com\r\nbad header\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nConnection: close\r\n\r\n", 405),
        ("PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\nGET / HTTP/1.1\r\n\r\n", 400),
        (&long, 431),
    ] {
        let shown = &words[..words.len().min(60)];
        let closes = words.replace("HTTP/1.1\r\n\r\n", "HTTP/1.1\r\nConnection: close\r\n\r\n");
        let (answer, record) = say(&lab, &weir, PLAIN, closes.as_bytes())?;
        let first = answer.lines().next().unwrap_or_default();
        ensure!(first.starts_with(&format!("HTTP/1.1 {status}")), "{shown}: {first}");
        let expected = json!({
            "reason": "bad_request", "verdict": "error", "status_code": status, "protocol": "http",
            "service_id": "", "source_ip": "198.51.100.2", "listen_port": PLAIN,
        });
        assert_fields(&record, &expected);
    }
    assert_eq!(target.received(), []);
    Ok(())
}

#[test]
fn connections_without_a_request_are_recorded_once() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let tables = site("wiki", "wiki.example.com", "") + &plain();
    let weir = Weir::start(&lab.server, "", &tables)?;
    let (_, record) = say(&lab, &weir, 443, b"GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n")?;
    let expected = json!({
        "protocol": "tls", "reason": "tls_handshake_failed", "verdict": "error", "status_code": 0,
        "service_id": "", "method": "TLS", "bytes_upload": 0, "bytes_download": 0,
    });
    assert_fields(&record, &expected);
    for port in [PLAIN, 443] {
        let stream = connect(&lab, port)?;
        let source = stream.local_addr()?.port();
        drop(stream);
        let record = record_of(&weir, source)?;
        let expected = json!({
            "reason": "client_aborted", "verdict": "error", "service_id": "", "status_code": 0,
            "close_reason": "client_closed",
        });
        assert_fields(&record, &expected);
    }
    let openssl = |options: &str| {
        let line = format!("openssl s_client -connect {}:443 {options} </dev/null", lab::SERVER4);
        run(lab.clients.command("sh").args(["-c", &line]))
    };
    openssl("-servername wiki.example.com")?;
    let record = weir.wait_for_event("reason=client_aborted&host=wiki.example.com", SOON)?;
    assert_fields(&record, &json!({ "protocol": "http", "tls_version": "1.3" }));
    let old = "-servername wiki.example.com -tls1_2 -cipher AES128-SHA";
    ensure!(openssl(old).is_err(), "a cipher without forward secrecy is spoken");
    let failed = "reason=tls_handshake_failed&host=wiki.example.com";
    let record = weir.wait_for_event(failed, SOON)?;
    ensure!(record["metadata"]["error"].is_string(), "no error in {record}");
    Ok(())
}
