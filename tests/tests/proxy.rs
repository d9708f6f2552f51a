//! The PROXY protocol between real programs: HAProxy in front, nginx behind.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use weir_tests::{
    client,
    lab::{self, BLOCKED4_CIDR, Lab},
    names,
    ns::run,
    program,
    scenario::{BACKEND, RELAYED, assert_denied, number},
    server::{Behaviour, Server},
    wait::{SOON, holds},
    weir::Weir,
};

/// HAProxy, among the clients.
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 254));
const PROXY_PORT: u16 = 8000;
const TO: SocketAddr = SocketAddr::new(lab::SERVER4, RELAYED);
const V1: &[u8] = b"PROXY TCP4 198.51.100.2 192.0.2.254 4711 8000\r\n";

/// The service, which expects headers of HAProxy and serves Germany's clients alone.
fn tables(send: &str) -> String {
    format!(
        "[service.relayed]\nmode = 'tcp'\nlisten = {RELAYED}\ntarget = '127.0.0.1:{BACKEND}'\n\
         proxy_protocol = {{ accept_from = ['{PROXY}'], send = '{send}' }}\n\
         [service.relayed.access]\nallowed_cidrs = ['{}/32', '{BLOCKED4_CIDR}']\n\
         blocked_cidrs = ['{BLOCKED4_CIDR}']\n",
        lab::DE4
    )
}

/// Fetches a page by curl from one of the clients' addresses: the page, and the bytes of
/// request and response.
fn fetch(lab: &Lab, from: IpAddr, to: SocketAddr) -> Result<(String, u64, u64)> {
    let mut curl = lab.clients.command("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--interface"]);
    curl.arg(from.to_string()).arg("--write-out");
    curl.arg("\n%{size_request} %{size_header} %{size_download}");
    let said = run(curl.arg(format!("http://{to}/")))?;
    let (page, sizes) = said.rsplit_once('\n').context("no sizes")?;
    let sizes: Result<Vec<u64>, _> = sizes.split(' ').map(str::parse).collect();
    match sizes?.as_slice() {
        [request, header, body] => Ok((page.trim_end().to_owned(), *request, header + body)),
        sizes => anyhow::bail!("{sizes:?}"),
    }
}

#[test]
fn haproxy_in_front_and_nginx_behind() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let http = format!(
        "log_format client '$proxy_protocol_addr $proxy_protocol_server_port';\n\
         server {{ listen 127.0.0.1:{BACKEND} proxy_protocol;\n\
           access_log {}/client.log client; return 200 $proxy_protocol_addr; }}",
        directory.path().display()
    );
    let _nginx = program::nginx(&lab.server, &http, BACKEND, directory.path())?;
    let sections =
        format!("listen front\n bind {PROXY}:{PROXY_PORT}\n server weir {TO} send-proxy-v2\n");
    let _haproxy = program::haproxy(&lab.clients, &sections, PROXY_PORT, directory.path())?;
    let mut weir = Weir::start(&lab.server, "", &tables("v2"))?;
    let front = SocketAddr::new(PROXY, PROXY_PORT);
    for send in ["v2", "v1"] {
        weir.configure("", &tables(send))?;
        weir.reload()?;
        let (page, request, response) = fetch(&lab, lab::DE4, front)?;
        assert_eq!(page, lab::DE4.to_string(), "{send}");
        let records = weir.wait_for_events(1, "verdict=allowed", SOON)?;
        let record = &records[0];
        assert_eq!(record["source_ip"], lab::DE4.to_string(), "{record}");
        let proxy = record["metadata"]["proxy"].as_str().context("no proxy")?;
        assert!(proxy.starts_with(&format!("{PROXY}:")), "{record}");
        assert_ne!(proxy, format!("{PROXY}:{}", number(record, "source_port")), "{record}");
        assert_eq!(number(record, "bytes_upload"), request, "{record}");
        assert_eq!(number(record, "bytes_download"), response, "{record}");
        weir.stop()?;
        fs::remove_dir_all(weir.data_dir())?;
        weir.launch()?;
    }
    let log = || fs::read_to_string(directory.path().join("client.log")).unwrap_or_default();
    // HAProxy's own address was addressed.
    let logged = format!("{} {PROXY_PORT}\n", lab::DE4).repeat(2);
    assert!(holds(SOON, || log() == logged), "{}", log());

    // By the header's address it is denied, in the relay.
    assert!(fetch(&lab, lab::BLOCKED4, front).is_err());
    let record = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!(record["source_ip"], lab::BLOCKED4.to_string(), "{record}");
    assert_eq!(record["metadata"]["hook"], "relay", "{record}");
    Ok(())
}

#[test]
fn a_listed_peer_passes_the_kernel_and_others_do_not() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _server = Server::start(&lab.server, ([127, 0, 0, 1], BACKEND).into(), Behaviour::Tally)?;
    let weir = Weir::start(&lab.server, "", &tables("off"))?;
    // Its own address is on no list.
    let mut stream = client::connect((&lab.clients, PROXY), TO)?;
    stream.write_all(V1)?;
    assert_eq!(client::upload(&mut stream, 50_000)?, 50_000);
    drop(stream);
    let record = weir.wait_for_event("verdict=allowed", SOON)?;
    assert_eq!(record["bytes_upload"], 50_000, "{record}");
    assert_eq!(
        (&record["source_ip"], &record["source_port"]),
        (&"198.51.100.2".into(), &4711.into())
    );
    assert_denied(&lab, lab::FR4, TO)?;

    // Others' headers are payload.
    let mut stream = client::connect((&lab.clients, lab::DE4), TO)?;
    stream.write_all(V1)?;
    assert_eq!(client::upload(&mut stream, 1_000)?, 1_000 + V1.len() as u64);
    drop(stream);
    let payload = format!("verdict=allowed&source_ip={}", lab::DE4);
    let records = weir.wait_for_events(2, &payload, SOON)?;
    assert_eq!(number(&records[0], "bytes_upload"), 1_000 + V1.len() as u64);
    Ok(())
}

#[test]
fn a_listed_peer_without_a_header_is_a_bad_request() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _server = Server::start(&lab.server, ([127, 0, 0, 1], BACKEND).into(), Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &tables("off"))?;
    for (words, error) in [
        (&b"GET / HTTP/1.1\r\n"[..], "the connection begins with no PROXY header"),
        (&V1[..20], "no PROXY header within 5s"),
    ] {
        let mut stream = client::connect((&lab.clients, PROXY), TO)?;
        let port = stream.local_addr()?.port();
        stream.write_all(words)?;
        ensure!(stream.read(&mut [0]).is_err(), "not reset");
        let mut record = Value::Null;
        let told = || {
            let records = weir.events("reason=bad_request").unwrap_or_default();
            let found = records.into_iter().find(|record| record["source_port"] == port);
            record = found.unwrap_or_default();
            !record.is_null()
        };
        ensure!(holds(SOON, told), "no record of {error:?}");
        assert_eq!(record["metadata"]["error"], error, "{record}");
        assert_eq!(
            (&record["service_id"], &record["verdict"]),
            (&"relayed".into(), &"error".into())
        );
    }
    Ok(())
}
