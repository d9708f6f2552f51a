//! Sites beside services of other kinds on one port, and what ends an open stream.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr},
    process::{Child, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use weir_tests::{
    client,
    lab::{self, Lab},
    server::{Behaviour, Server},
    tls::client_hello,
    wait::SOON,
    web::{
        assert_fields,
        curl::{Curl, sign_in},
        kept::Kept,
        secret::hash,
        site,
        target::Target,
    },
    weir::Weir,
};

/// Of the service `plain`, which takes requests without TLS.
const PLAIN: u16 = 8080;
const PASSED_ON: u16 = 7004;
const FALLBACK: u16 = 7005;

fn plain(lines: &str) -> String {
    let lines = format!("tls = false\nlisten = {PLAIN}\n{lines}");
    site("plain", "plain.example.com", &lines)
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::new(lab::SERVER4, port)
}

fn kept(lab: &Lab, from: IpAddr) -> Result<Kept> {
    Kept::connect(lab, from, to(PLAIN), "plain.example.com")
}

#[test]
fn sites_share_a_port_with_passthrough_and_with_the_rest() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let server =
        |port, behaviour| Server::start(&lab.server, ([127, 0, 0, 1], port).into(), behaviour);
    let _passed_on = server(PASSED_ON, Behaviour::Tally)?;
    let _rest = server(FALLBACK, Behaviour::Tally)?;
    let tables = site("wiki", "wiki.example.com", "")
        + &site("all", "*.example.com", "")
        + &format!(
            "[service.passed]\nmode = 'tls'\nlisten = 443\ndomain = 'passed.example.com'\n\
             target = '127.0.0.1:{PASSED_ON}'\n\
             [service.rest]\nmode = 'tcp'\nlisten = 443\ntarget = '127.0.0.1:{FALLBACK}'\n"
        );
    let weir = Weir::start(&lab.server, "", &tables)?;
    for (options, name) in
        [(&["--http2"][..], "wiki"), (&["--http1.1"], "wiki"), (&["--http2"], "other")]
    {
        let url = format!("https://{name}.example.com/");
        assert_eq!(Curl::new(&lab).with(options).get(&url)?.status, 200, "{name}");
    }
    let [passed, unknown] = ["passed.example.com", "example.org"].map(client_hello);
    let (passed, unknown) = (passed?, unknown?);
    for (words, service, protocol) in [
        (&passed[..], "passed", "tls"),
        (&unknown, "rest", "tcp"),
        (b"SSH-2.0-client\r\n", "rest", "tcp"),
    ] {
        let before = weir.events(&format!("service_id={service}"))?.len();
        let mut stream = client::connect((&lab.clients, lab::DE4), to(443))?;
        stream.write_all(words)?;
        let sent = words.len() as u64 + 1000;
        assert_eq!(client::upload(&mut stream, 1000)?, sent, "{service}");
        drop(stream);
        let records = weir.wait_for_events(before + 1, &format!("service_id={service}"), SOON)?;
        let expected = json!({
            "protocol": protocol, "verdict": "allowed", "bytes_upload": sent, "bytes_download": 8,
        });
        assert_fields(&records[0], &expected);
    }
    // One connection's name is not another's, though both are reached on the port.
    let header = ["-H", "Host: passed.example.com"];
    assert_eq!(Curl::new(&lab).with(&header).get("https://wiki.example.com/")?.status, 421);
    assert_eq!(target.received().len(), 3);
    assert_eq!(weir.wait_for_events(4, "protocol=http", SOON)?.len(), 4);
    assert_eq!(weir.events("")?.len(), 7, "one record of each");
    Ok(())
}

/// Opens a stream of events and hears the first.
fn events(lab: &Lab, from: IpAddr, lines: &str) -> Result<Kept> {
    let mut stream = kept(lab, from)?;
    stream.ask("/events", lines)?;
    assert_eq!(stream.head()?.0, 200);
    // The size of a chunk, and what it holds.
    stream.line()?;
    assert_eq!(stream.line()?, "data: first");
    Ok(stream)
}

#[test]
fn a_new_policy_cuts_what_it_denies_and_nothing_else() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &plain(""))?;
    let mut denied = events(&lab, lab::BLOCKED4, "")?;
    let mut upgraded = kept(&lab, lab::BLOCKED4)?;
    upgraded.ask("/upgrade", "Connection: Upgrade\r\nUpgrade: websocket\r\n")?;
    assert_eq!(upgraded.head()?.0, 101);
    upgraded.stream().write_all(b"hello")?;
    upgraded.stream().read_exact(&mut [0; 5])?;
    let mut waiting = kept(&lab, lab::BLOCKED4)?;
    waiting.ask("/silent", "")?;
    target.awaits("/silent")?;
    let mut allowed = events(&lab, lab::DE4, "")?;

    weir.configure("", &plain(&format!("block = ['{}']", lab::BLOCKED4)))?;
    weir.reload()?;
    let cut = Instant::now();
    ensure!(!denied.rest().contains("second"), "the stream goes on");
    assert_eq!(upgraded.rest(), "");
    assert_eq!(waiting.head()?.0, 503);
    ensure!(cut.elapsed() < SOON, "one of them was not told: {:?}", cut.elapsed());
    let blocked = format!("source_ip={}", lab::BLOCKED4);
    let records = weir.wait_for_events(3, &blocked, SOON)?;
    let of = |path: &str| records.iter().find(|record| record["path"] == path).cloned();
    for (path, status) in [("/events", 200), ("/silent", 503)] {
        let expected = json!({
            "status_code": status, "verdict": "error", "reason": null,
            "metadata": { "cut": "policy_changed" },
        });
        assert_fields(&of(path).unwrap_or_default(), &expected);
    }
    let upgrade = of("/upgrade").unwrap_or_default();
    let expected = json!({
        "status_code": 101, "close_reason": "policy_changed", "bytes_upload": 5, "bytes_download": 5,
    });
    assert_fields(&upgrade, &expected);
    target.release();
    while allowed.line().context("another's was cut")? != "data: second" {}
    Ok(())
}

/// A site behind a password.
fn guarded(hash: &str) -> String {
    site("vault", "vault.example.com", &format!("password = '{hash}'"))
}

/// A browser, signed in, that has heard the first event of a stream.
fn listening(lab: &Lab, weir: &Weir<'_>, version: &str) -> Result<Child> {
    let jar = sign_in(lab, weir, "vault.example.com", "secret")?;
    let mut curl = lab.clients.bound_command("curl");
    curl.args([version, "--silent", "--no-buffer", "--insecure", "--max-time", "20"]);
    curl.arg("--cookie").arg(&jar).arg("--connect-to").arg(format!("::{}:", lab::SERVER4));
    curl.arg("https://vault.example.com/events").stdout(Stdio::piped());
    let mut child = curl.spawn()?;
    let mut first = [0; 13];
    child.stdout.as_mut().context("a pipe")?.read_exact(&mut first)?;
    ensure!(&first == b"data: first\n\n", "{first:?}");
    Ok(child)
}

/// Waits for the end of a stream that is cut.
fn assert_cut(mut child: Child) -> Result<()> {
    // By an error of the transfer, and not since curl's time is over.
    let code = child.wait()?.code();
    ensure!([Some(18), Some(56), Some(92)].contains(&code), "{code:?}");
    Ok(())
}

#[test]
fn a_session_that_ends_ends_what_it_opened() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &guarded(&hash(&[], "secret")?))?;
    let revoked = listening(&lab, &weir, "--http2")?;
    weir.run(&["session", "revoke", "--all", "--service", "vault"])?;
    assert_cut(revoked)?;
    let changed = listening(&lab, &weir, "--http1.1")?;
    weir.configure("", &guarded(&hash(&[], "another")?))?;
    weir.reload()?;
    assert_cut(changed)?;
    for record in weir.wait_for_events(2, "path=/events", SOON)? {
        let expected = json!({
            "status_code": 200, "verdict": "error", "reason": null,
            "auth_method_used": "password", "bytes_download": 13,
            "metadata": { "cut": "session_ended" },
        });
        assert_fields(&record, &expected);
    }
    Ok(())
}
