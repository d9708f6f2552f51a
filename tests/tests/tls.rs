//! TLS passthrough: real clients and servers, told apart by the name that is asked for.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_tests::{
    client,
    lab::{self, BLOCKED4_CIDR, Lab},
    names,
    ns::run,
    program::{self, Program},
    scenario::{BACKEND, assert_denied},
    server::{Behaviour, Server},
    ss,
    tls::{Certificate, client_hello},
    wait::{SOON, holds},
    weir::Weir,
};

const PORT: u16 = 7004;
/// Where the second server listens.
const OTHER_BACKEND: u16 = 7005;
const TO: SocketAddr = SocketAddr::new(lab::SERVER4, PORT);

/// The table of a passthrough; `access` are lines of its `access`.
fn passthrough(name: &str, domain: &str, target: u16, access: &str) -> String {
    format!(
        "[service.{name}]\nmode = 'tls'\nlisten = {PORT}\ndomain = '{domain}'\n\
         target = '127.0.0.1:{target}'\n[service.{name}.access]\n{access}\n"
    )
}

/// The table of what takes the rest.
fn fallback(target: u16) -> String {
    format!("[service.fallback]\nmode = 'tcp'\nlisten = {PORT}\ntarget = '127.0.0.1:{target}'\n")
}

fn server(lab: &Lab, port: u16, behaviour: Behaviour) -> Result<Server> {
    Server::start(&lab.server, ([127, 0, 0, 1], port).into(), behaviour)
}

fn directory() -> Result<TempDir> {
    Ok(TempDir::with_prefix(names::prefix())?)
}

/// Says a line by `openssl s_client`; what the server says to that.
fn say(lab: &Lab, options: &[&str], certificate: &Certificate, line: &str) -> Result<String> {
    let mut command = lab.clients.bound_command("openssl");
    command.args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error"]);
    command.arg("-CAfile").arg(&certificate.certificate).args(options);
    command.args(["-connect", &TO.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    writeln!(stdin, "{line}")?;
    let mut answer = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut answer)?;
    drop(stdin);
    child.wait()?;
    Ok(answer.trim_end().to_owned())
}

#[test]
fn openssl_talks_to_openssl() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = directory()?;
    let certificate = Certificate::new(directory.path(), &["wiki.example.com"])?;
    let address = format!("127.0.0.1:{BACKEND}");
    let mut arguments = vec!["s_server", "-rev", "-quiet", "-accept", &address, "-cert"];
    let (file, key) =
        (certificate.certificate.to_string_lossy(), certificate.key.to_string_lossy());
    arguments.extend([&file, "-key", &key]);
    let log = directory.path().join("openssl.log");
    let _server = Program::start(&lab.server, "openssl", &arguments, BACKEND, &log)?;
    let weir = Weir::start(&lab.server, "", &passthrough("wiki", "wiki.example.com", BACKEND, ""))?;
    let name = ["-servername", "wiki.example.com", "-verify_hostname", "wiki.example.com"];
    for (count, (option, version)) in (1..).zip([("-tls1_3", "1.3"), ("-tls1_2", "1.2")]) {
        let options = [&name[..], &[option]].concat();
        assert_eq!(say(&lab, &options, &certificate, "hello")?, "olleh", "{option}");
        let record = weir.wait_for_events(count, "service_id=wiki", SOON)?.swap_remove(0);
        assert_eq!(record["tls_version"], version, "{record}");
        assert_eq!((&record["protocol"], &record["method"]), (&"tls".into(), &"TLS".into()));
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["host"], "wiki.example.com", "{record}");
        assert_eq!(record["metadata"]["sni"], "wiki.example.com", "{record}");
        // The server closes at the client's close_notify, so either end's FIN may be first.
        let ended = record["close_reason"].as_str().unwrap_or_default();
        assert!(["client_closed", "target_closed"].contains(&ended), "{record}");
    }
    Ok(())
}

/// Fetches a page by curl; nothing where the handshake fails.
fn fetch(lab: &Lab, name: &str, certificate: &Certificate) -> Result<String> {
    let mut curl = lab.clients.command("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
    curl.arg(&certificate.certificate);
    curl.arg("--resolve").arg(format!("{name}:{PORT}:{}", lab::SERVER4));
    run(curl.arg(format!("https://{name}:{PORT}/")))
}

fn nginx(lab: &Lab, port: u16, page: &str, at: (&Path, &Certificate)) -> Result<Program> {
    let (directory, certificate) = at;
    let directory = directory.join(page);
    std::fs::create_dir(&directory)?;
    let http = format!(
        "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {};\n\
           ssl_certificate_key {}; return 200 {page}; }}",
        certificate.certificate.display(),
        certificate.key.display()
    );
    program::nginx(&lab.server, &http, port, &directory)
}

#[test]
fn curl_reaches_nginx_by_name() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = directory()?;
    let certificate = Certificate::new(directory.path(), &["wiki.example.com", "*.example.com"])?;
    let at = (directory.path(), &certificate);
    let _exact = nginx(&lab, BACKEND, "exact", at)?;
    let _wildcard = nginx(&lab, OTHER_BACKEND, "wildcard", at)?;
    let tables = passthrough("wildcard", "*.example.com", OTHER_BACKEND, "")
        + &passthrough("exact", "wiki.example.com", BACKEND, "");
    let weir = Weir::start(&lab.server, "", &tables)?;
    for (name, service) in [("wiki.example.com", "exact"), ("blog.example.com", "wildcard")] {
        assert_eq!(fetch(&lab, name, &certificate)?, service);
        let record = weir.wait_for_event(&format!("service_id={service}"), SOON)?;
        assert_eq!(record["metadata"]["sni"], name, "{record}");
        assert_eq!(record["tls_version"], "1.3", "{record}");
    }
    assert!(fetch(&lab, "example.org", &certificate).is_err());
    let record = weir.wait_for_event("reason=unknown_host", SOON)?;
    assert_eq!((&record["service_id"], &record["verdict"]), (&"".into(), &"error".into()));
    assert_eq!(record["host"], "example.org", "{record}");
    assert_eq!((&record["protocol"], &record["tls_version"]), (&"tls".into(), &"1.3".into()));
    assert_eq!((&record["bytes_upload"], &record["bytes_download"]), (&0.into(), &0.into()));
    Ok(())
}

#[test]
fn a_hello_counts_and_what_is_no_tls_falls_back() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _wiki = server(&lab, BACKEND, Behaviour::Tally)?;
    let _rest = server(&lab, OTHER_BACKEND, Behaviour::Tally)?;
    let tables = passthrough("wiki", "wiki.example.com", BACKEND, "") + &fallback(OTHER_BACKEND);
    let weir = Weir::start(&lab.server, "", &tables)?;
    let hello = client_hello("wiki.example.com")?;
    for (service, words) in [("wiki", &hello[..]), ("fallback", b"SSH-2.0-client\r\n")] {
        let mut stream = client::connect((&lab.clients, lab::DE4), TO)?;
        stream.set_nodelay(true)?;
        // In three packets.
        for piece in words.chunks(words.len() / 3 + 1) {
            let acknowledged = || {
                let socket = ss::socket(&lab.clients, &format!("dst {TO}"));
                socket.is_ok_and(|socket| ss::figure(&socket, "unacked") == 0)
            };
            stream.write_all(piece)?;
            ensure!(holds(SOON, acknowledged), "{service} takes no piece");
        }
        let sent = words.len() as u64 + 100_000;
        assert_eq!(client::upload(&mut stream, 100_000)?, sent, "{service}");
        drop(stream);
        let record = weir.wait_for_event(&format!("service_id={service}"), SOON)?;
        assert_eq!(record["bytes_upload"], sent, "{record}");
        assert_eq!(record["bytes_download"], 8, "{record}");
    }
    Ok(())
}

/// Connects, says something and is reset; the one record of it.
fn failed(lab: &Lab, weir: &Weir<'_>, words: &[u8]) -> Result<Value> {
    let mut stream = client::connect((&lab.clients, lab::DE4), TO)?;
    let port = stream.local_addr()?.port();
    stream.write_all(words)?;
    let end = stream.read(&mut [0]);
    ensure!(end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset), "no reset");
    let mut found = None;
    let told = || {
        let records = weir.events("verdict=error").unwrap_or_default();
        found = records.into_iter().find(|record| record["source_port"] == port);
        found.is_some()
    };
    ensure!(holds(SOON, told), "no record of it");
    found.context("no record")
}

#[test]
fn broken_hellos_are_recorded_and_silence_ends_after_five_seconds() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _wiki = server(&lab, BACKEND, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &passthrough("wiki", "wiki.example.com", BACKEND, ""))?;
    let hello = client_hello("wiki.example.com")?;
    let mut long = vec![22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    long.resize(1 << 14, 0);
    for (words, error) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "no TLS handshake"),
        (&long, "a ClientHello of more than 64 KiB"),
        (&hello[..hello.len() / 2], "no ClientHello within 5s"),
    ] {
        let begun = Instant::now();
        let record = failed(&lab, &weir, words)?;
        let waits = begun.elapsed() >= Duration::from_secs(5);
        assert_eq!(waits, error.ends_with("5s"), "{error}: {:?}", begun.elapsed());
        assert_eq!(record["reason"], "tls_handshake_failed", "{record}");
        assert_eq!(record["metadata"]["error"], error, "{record}");
        assert_eq!((&record["service_id"], &record["method"]), (&"".into(), &"TLS".into()));
        assert_eq!((&record["bytes_upload"], &record["bytes_download"]), (&0.into(), &0.into()));
    }
    Ok(())
}

#[test]
fn alone_on_its_port_it_is_judged_in_the_kernel() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _wiki = server(&lab, BACKEND, Behaviour::Echo)?;
    let access = format!("blocked_cidrs = ['{BLOCKED4_CIDR}']");
    let tables = passthrough("wiki", "wiki.example.com", BACKEND, &access);
    let weir = Weir::start(&lab.server, "", &tables)?;
    assert_denied(&lab, lab::BLOCKED4, TO)?;
    let record = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!((&record["service_id"], &record["protocol"]), (&"wiki".into(), &"tls".into()));
    assert_eq!(record["metadata"]["hook"], "tc", "{record}");
    Ok(())
}

/// How who asks for a name fares; true: served.
fn is_served(lab: &Lab, from: IpAddr, hello: &[u8]) -> Result<bool> {
    let mut stream = client::connect((&lab.clients, from), TO)?;
    stream.write_all(hello)?;
    Ok(stream.read_exact(&mut [0]).is_ok())
}

#[test]
fn on_a_shared_port_it_is_judged_by_name() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _wiki = server(&lab, BACKEND, Behaviour::Echo)?;
    let access = format!("blocked_cidrs = ['{BLOCKED4_CIDR}']");
    let tables = passthrough("closed", "closed.example.com", BACKEND, &access)
        + &passthrough("open", "open.example.com", BACKEND, "")
        + &passthrough("private", "private.example.com", BACKEND, &access);
    let weir = Weir::start(&lab.server, "", &tables)?;
    let [closed, open] = ["closed.example.com", "open.example.com"].map(client_hello);
    let (closed, open) = (closed?, open?);
    assert!(is_served(&lab, lab::BLOCKED4, &open)?);
    assert!(!is_served(&lab, lab::BLOCKED4, &closed)?);
    assert!(is_served(&lab, lab::DE4, &closed)?);
    let record = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!(
        (&record["service_id"], &record["reason"]),
        (&"closed".into(), &"ip_restricted".into())
    );
    assert_eq!(record["source_ip"], lab::BLOCKED4.to_string(), "{record}");
    assert_eq!(record["metadata"]["hook"], "relay", "{record}");
    assert_eq!(record["metadata"]["sni"], "closed.example.com", "{record}");
    // Each of the three connections is told once.
    assert_eq!(weir.wait_for_events(3, "protocol=tls", SOON)?.len(), 3);
    Ok(())
}

/// The shared port is nobody's: who leaves before it is accepted, or says nothing, came to
/// no service.
#[test]
fn on_a_shared_port_a_client_that_says_nothing_came_to_no_service() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let tables = passthrough("a", "a.example.com", BACKEND, "")
        + &passthrough("b", "b.example.com", BACKEND, "");
    let weir = Weir::start(&lab.server, "", &tables)?;
    drop(client::connect((&lab.clients, lab::DE4), TO)?);
    let record = weir.wait_for_event("reason=client_aborted", SOON)?;
    assert_eq!((&record["service_id"], &record["host"]), (&"".into(), &"".into()));
    assert_eq!(record["close_reason"], "client_closed", "{record}");
    Ok(())
}
