//! What of a request reaches the target, and what of its answer the client.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use weir_tests::{
    authority::Authority,
    client,
    lab::{self, Lab},
    names,
    ns::run,
    program::{self, Program},
    scenario::{BACKEND, number},
    tls::Certificate,
    wait::SOON,
    web::{curl::Curl, site, site_of, target::Target},
    weir::Weir,
};

/// Of the service `plain`, which takes requests without TLS.
const PLAIN: u16 = 8080;
/// Where the second target listens.
const OTHER_BACKEND: u16 = 7005;
/// And a third one, behind the second.
const UPGRADED: u16 = 7006;

fn plain() -> String {
    site("plain", "plain.example.com", &format!("tls = false\nlisten = {PLAIN}"))
}

fn connect(lab: &Lab) -> Result<TcpStream> {
    Ok(client::connect((&lab.clients, lab::DE4), SocketAddr::new(lab::SERVER4, PLAIN))?)
}

/// Reads up to the end of a head.
fn head(from: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(from.read_line(&mut head)? > 0, "the head does not end: {head}");
    }
    Ok(head)
}

#[test]
fn a_target_gets_what_is_meant_for_it_and_nothing_in_weirs_name() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let route = "pass_host_header = false\nrewrite_redirects = false\n\
         [[service.own.route]]\npath = '/x'\ntarget = 'http://127.0.0.1:7003'\n\
         request_headers = { X-Env = 'prod', X-Kept = 'ours' }";
    let tables = site("wiki", "wiki.example.com", "") + &site("own", "own.example.com", route);
    let _weir = Weir::start(&lab.server, "", &tables)?;
    let sent = [
        "X-Kept: 1",
        "Authorization: Basic eDp5",
        "Cookie: a=1; __Host-weir=x; b=\"2 3\"",
        "X-Weir-User: root",
        "X_Weir_User: root",
        "x-weir_Groups: admins",
        "X-Forwarded-For: 203.0.113.9",
        "X_Forwarded_For: 203.0.113.9",
        "X-Real-IP: 203.0.113.9",
        "Forwarded: for=203.0.113.9",
        "X-Request-Id: mine",
        "X-Forwarded-Host: evil.test",
        "Proxy-Authorization: Basic eDp5",
        "Keep-Alive: timeout=5",
    ];
    let sent = sent.map(|header| ["-H", header]).concat();
    for options in [&["--http2"][..], &["--http1.1", "-H", "Connection: X-Hop", "-H", "X-Hop: 1"]] {
        let curl = Curl::new(&lab).with(&sent).with(options);
        assert_eq!(curl.get("https://wiki.example.com/")?.status, 200);
        let received = target.last()?;
        received.assert_headers(&["authorization", "cookie", "x-kept"]);
        assert_eq!(received.header("cookie"), Some("a=1; b=\"2 3\""));
        assert_eq!(received.header("x-forwarded-for"), Some("198.51.100.2"));
        assert_eq!(received.header("x-real-ip"), Some("198.51.100.2"));
        assert_ne!(received.header("x-request-id"), Some("mine"));
    }
    assert_eq!(
        Curl::new(&lab).with(&["-H", "X-Kept: 1"]).get("https://own.example.com/x")?.status,
        200
    );
    let received = target.last()?;
    assert_eq!(received.header("host"), Some("127.0.0.1:7003"));
    assert_eq!(received.header("x-forwarded-host"), Some("own.example.com"));
    assert_eq!(received.header("x-env"), Some("prod"));
    assert_eq!(received.header("x-kept"), Some("ours"));
    // The way back.
    let location = |name: &str, there: &str| -> Result<String> {
        let answer = Curl::new(&lab).get(&format!("https://{name}.example.com/to?{there}"))?;
        assert_eq!(answer.status, 302, "{answer:?}");
        Ok(answer.header("location").context("no location")?.to_owned())
    };
    let there = "http://127.0.0.1:7003/a?b";
    assert_eq!(location("wiki", there)?, "https://wiki.example.com/a?b");
    assert_eq!(location("wiki", "http://wiki.example.com/a")?, "https://wiki.example.com/a");
    assert_eq!(location("wiki", "https://example.org/a")?, "https://example.org/a");
    assert_eq!(location("own", there)?, there);
    let answer = Curl::new(&lab).get("https://wiki.example.com/cookies")?;
    assert_eq!(answer.all("set-cookie"), ["a=1; Path=/"]);
    Ok(())
}

#[test]
fn bodies_and_what_surrounds_them_go_through() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &(site("wiki", "wiki.example.com", "") + &plain()))?;
    let directory = TempDir::with_prefix(names::prefix())?;
    let file = directory.path().join("body");
    fs::write(&file, vec![b'x'; 3 << 20])?;
    let body = format!("@{}", file.display());
    for options in [
        &["--http2"][..],
        &["--http1.1"],
        &["--http1.1", "-H", "Transfer-Encoding: chunked"],
        &["--http1.1", "-H", "Expect: 100-continue"],
    ] {
        let curl = Curl::new(&lab).with(options).with(&["--data-binary", &body]);
        assert_eq!(curl.get("https://wiki.example.com/upload")?.status, 200, "{options:?}");
        let received = target.last()?;
        assert_eq!((received.method(), received.body.len()), ("POST", 3 << 20), "{options:?}");
        assert_eq!(received.header("expect"), None);
        let id = received.header("x-request-id").context("no id")?;
        let record = weir.wait_for_event(&format!("search={id}"), SOON)?;
        assert_eq!(number(&record, "bytes_upload"), 3 << 20, "{record}");
    }
    for version in ["--http1.1", "--http2"] {
        let ask = |options: &[&str], path: &str| {
            let curl = Curl::new(&lab).with(&[version]).with(options);
            curl.get(&format!("https://wiki.example.com{path}"))
        };
        let trailers = ask(&["-H", "TE: trailers"], "/trailers")?;
        // curl shows them where it shows headers.
        ensure!(trailers.body.to_lowercase().contains("x-sum: 3"), "{version}: {trailers:?}");
        let answer = ask(&["--head"], "/")?;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{version}");
        let length = answer.header("content-length").and_then(|length| length.parse().ok());
        assert_eq!(length, Some(target.last()?.head().len()), "{version}");
    }
    Ok(())
}

#[test]
fn a_body_is_asked_for_and_may_have_trailers() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &plain())?;
    let mut stream = connect(&lab)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    write!(
        stream,
        "POST /x HTTP/1.1\r\nHost: plain.example.com\r\nExpect: 100-continue\r\n\
         TE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    assert_eq!(head(&mut answers)?, "HTTP/1.1 100 Continue\r\n\r\n");
    write!(stream, "3\r\nabc\r\n0\r\nX-Sum: 3\r\nX-Weir-User: root\r\nX_Real_Ip: 1\r\n\r\n")?;
    ensure!(head(&mut answers)?.starts_with("HTTP/1.1 200"), "not answered");
    let received = target.last()?;
    assert_eq!(received.body, b"abc");
    let sum = ("x-sum".to_owned(), "3".to_owned());
    let trailers: Vec<_> =
        received.trailers.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
    assert_eq!(trailers, [sum]);
    let record = weir.wait_for_event("service_id=plain", SOON)?;
    assert_eq!((number(&record, "bytes_upload"), number(&record, "status_code")), (3, 200));
    Ok(())
}

#[test]
fn events_arrive_when_they_happen() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", ""))?;
    let mut curl = lab.clients.bound_command("curl");
    curl.args(["--silent", "--no-buffer", "--insecure", "--max-time", "20", "--connect-to"]);
    curl.arg(format!("::{}:", lab::SERVER4)).arg("https://wiki.example.com/events");
    let mut child = curl.stdout(Stdio::piped()).spawn()?;
    let mut events = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut event = String::new();
    events.read_line(&mut event)?;
    assert_eq!(event, "data: first\n");
    target.release();
    let mut rest = String::new();
    events.read_to_string(&mut rest)?;
    assert_eq!(rest, "\ndata: second\n\n");
    ensure!(child.wait()?.success(), "curl failed");
    let record = weir.wait_for_event("service_id=wiki", SOON)?;
    assert_eq!((&record["verdict"], number(&record, "bytes_download")), (&"allowed".into(), 27));
    Ok(())
}

#[test]
fn a_connection_may_go_on_with_another_protocol() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &plain())?;
    let mut stream = connect(&lab)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    write!(
        stream,
        "GET /upgrade HTTP/1.1\r\nHost: plain.example.com\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly"
    )?;
    let switched = head(&mut answers)?.to_lowercase();
    ensure!(switched.starts_with("http/1.1 101"), "{switched}");
    for header in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "as-it-is\r\n"] {
        ensure!(switched.contains(header), "no {header:?} in {switched}");
    }
    let received = target.last()?;
    assert_eq!(received.header("upgrade"), Some("websocket"));
    assert_eq!(received.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    let mut echo = [0; 5];
    answers.read_exact(&mut echo)?;
    assert_eq!(&echo, b"early");
    client::exchange(&mut stream, 1 << 20)?;
    drop((stream, answers));
    let record = weir.wait_for_event("status_code=101", SOON)?;
    assert_eq!(record["verdict"], "allowed", "{record}");
    assert_eq!(record["close_reason"], "client_closed", "{record}");
    for bytes in ["bytes_upload", "bytes_download"] {
        assert_eq!(number(&record, bytes), (1 << 20) + 5, "{record}");
    }
    Ok(())
}

/// nginx with a page that tells how it was asked, and a file of 10,000 digits.
fn nginx(lab: &Lab, directory: &TempDir) -> Result<Program> {
    let certificate = Certificate::new(directory.path(), &["localhost"])?;
    let digits: String = (0..1000).map(|_| "0123456789").collect();
    fs::write(directory.path().join("digits"), digits)?;
    let http = format!(
        "server {{ listen 127.0.0.1:{BACKEND}; listen 127.0.0.1:{OTHER_BACKEND} ssl http2;\n\
           ssl_certificate {}; ssl_certificate_key {}; root {};\n\
           location /asked {{ return 200 '$server_protocol $host $http_x_forwarded_for'; }}\n\
           location /upgrade {{ proxy_pass http://127.0.0.1:{UPGRADED}; proxy_http_version 1.1;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }} }}",
        certificate.certificate.display(),
        certificate.key.display(),
        directory.path().display(),
    );
    program::nginx(&lab.server, &http, BACKEND, directory.path())
}

#[test]
fn nginx_behind_is_reached_by_either_protocol() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let _nginx = nginx(&lab, &directory)?;
    let _upgraded = Target::start_at(&lab.server, ([127, 0, 0, 1], UPGRADED).into())?;
    let over_tls = format!("https://localhost:{OTHER_BACKEND}");
    let skipping = |name: &str, lines: &str| {
        format!(
            "[service.{name}]\ndomain = '{name}.example.com'\n{lines}\n[[service.{name}.route]]\n\
             path = '/'\ntarget = '{over_tls}'\nskip_tls_verify = true\n"
        )
    };
    let tables = site("wiki", "wiki.example.com", "")
        + &site_of("verifying", "verifying.example.com", &over_tls, "")
        + &skipping("trusting", "")
        + &skipping("plain", &format!("tls = false\nlisten = {PLAIN}"));
    let weir = Weir::start(&lab.server, "", &tables)?;
    let ask = |options: &[&str], url: &str| Curl::new(&lab).with(options).get(url);
    for version in ["--http1.1", "--http2"] {
        let part = ask(&[version, "--range", "9-11"], "https://wiki.example.com/digits")?;
        assert_eq!((part.status, part.body.as_str()), (206, "901"));
        assert_eq!(part.header("content-range"), Some("bytes 9-11/10000"));
        let whole = ask(&[version, "--head"], "https://wiki.example.com/digits")?;
        assert_eq!(whole.header("content-length"), Some("10000"));
        let asked = ask(&[version], "https://wiki.example.com/asked")?;
        assert_eq!(asked.body, "HTTP/1.1 wiki.example.com 198.51.100.2");
        let asked = ask(&[version], "https://trusting.example.com/asked")?;
        assert_eq!(asked.body, "HTTP/2.0 trusting.example.com 198.51.100.2");
    }
    // What HTTP/2 cannot do, HTTP/1.1 is spoken for.
    let mut stream = connect(&lab)?;
    write!(
        stream,
        "GET /upgrade HTTP/1.1\r\nHost: plain.example.com\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\n\r\n"
    )?;
    let switched = head(&mut BufReader::new(stream.try_clone()?))?;
    ensure!(switched.starts_with("HTTP/1.1 101"), "{switched}");
    client::exchange(&mut stream, 100_000)?;
    let refused = ask(&[], "https://verifying.example.com/asked")?;
    assert_eq!(refused.status, 502, "{refused:?}");
    let record = weir.wait_for_event("service_id=verifying", SOON)?;
    assert_eq!(record["reason"], "backend_unreachable", "{record}");
    let error = record["metadata"]["error"].as_str().unwrap_or_default();
    ensure!(error.contains("certificate"), "{record}");
    Ok(())
}

/// The certificate is to be good, and to be that target's.
#[test]
fn a_target_over_tls_is_who_it_is_taken_for() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let authority = Authority::new(directory.path())?;
    authority.issue("127.0.0.1", directory.path())?;
    let shown = directory.path().display();
    let http = format!(
        "server {{ listen 127.0.0.1:{BACKEND} ssl; listen 127.0.0.2:{BACKEND} ssl;\n\
           ssl_certificate {shown}/127.0.0.1.crt; ssl_certificate_key {shown}/127.0.0.1.key;\n\
           return 200 served; }}"
    );
    let _nginx = program::nginx(&lab.server, &http, BACKEND, directory.path())?;
    let tables = [("named", "127.0.0.1"), ("other", "127.0.0.2")].map(|(name, address)| {
        let target = format!("https://{address}:{BACKEND}");
        site_of(name, &format!("{name}.example.com"), &target, "")
    });
    let mut weir = Weir::install(&lab.server)?;
    weir.trust(&authority.certificate());
    weir.configure("", &tables.concat())?;
    weir.launch()?;
    let named = Curl::new(&lab).get("https://named.example.com/")?;
    assert_eq!((named.status, named.body.as_str()), (200, "served"));
    assert_eq!(Curl::new(&lab).get("https://other.example.com/")?.status, 502);
    let record = weir.wait_for_event("service_id=other", SOON)?;
    assert_eq!(record["reason"], "backend_unreachable", "{record}");
    Ok(())
}

#[test]
fn h2load_and_nghttpd_get_an_answer_to_everything() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    fs::write(directory.path().join("page"), vec![b'x'; 1024])?;
    let (port, root) = (BACKEND.to_string(), directory.path().to_string_lossy().into_owned());
    let arguments = ["--no-tls", "-a", "127.0.0.1", "-d", &root, &port];
    let log = directory.path().join("nghttpd.log");
    let _nghttpd = Program::start(&lab.server, "nghttpd", &arguments, BACKEND, &log)?;
    let target = format!("h2c://127.0.0.1:{BACKEND}");
    let weir = Weir::start(&lab.server, "", &site_of("wiki", "wiki.example.com", &target, ""))?;
    for (count, options) in (1..).zip([&["-m", "10"][..], &["--h1"]]) {
        let mut h2load = lab.clients.command("h2load");
        h2load.args(["-n", "300", "-c", "6"]).args(options).arg("--connect-to");
        h2load.arg(format!("{}:443", lab::SERVER4)).arg("https://wiki.example.com/page");
        let said = run(&mut h2load)?;
        ensure!(said.contains("status codes: 300 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
        let records = weir.wait_for_events(300 * count, "verdict=allowed", SOON)?;
        ensure!(records.iter().all(|record| number(record, "bytes_download") == 1024), "bytes");
    }
    assert_eq!(weir.events("")?.len(), 600);
    Ok(())
}
