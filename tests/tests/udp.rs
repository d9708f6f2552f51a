//! Datagrams through the relay, between real programs.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{
    lab::{self, Lab},
    ns::{Namespace, run},
    wait::{SOON, eventually},
    weir::Weir,
};

/// Where the relay listens.
const PORT: u16 = 7020;
/// Where it sends to, on the server's loopback.
const BACKEND: u16 = 7021;
/// Long enough to see a session open, short enough to wait for its end.
const IDLE: Duration = Duration::from_secs(2);

/// A program that ends with this.
struct Running(Child);

impl Running {
    fn start(namespace: &Namespace, program: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = namespace.bound_command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("{command:?}"))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The tables of a service of datagrams, and of one of streams beside it.
fn tables(streams: bool) -> String {
    let mut tables = String::new();
    for mode in ["udp", "tcp"].iter().take(if streams { 2 } else { 1 }) {
        let idle = if *mode == "udp" { IDLE } else { Duration::from_mins(1) }.as_secs();
        // Writing into a string cannot fail.
        let _ = write!(
            tables,
            "[service.over-{mode}]\nmode = '{mode}'\nlisten = {PORT}\n\
             target = '127.0.0.1:{BACKEND}'\nidle_timeout = '{idle}s'\n"
        );
    }
    tables
}

/// Asks a name server for `weir.example`.
fn dig(lab: &Lab, from: IpAddr, server: IpAddr, port: u16) -> Result<String> {
    let mut dig = lab.clients.command("dig");
    dig.args(["+short", "+tries=1", "+timeout=5", "-p", &port.to_string()]);
    dig.args(["-b", &from.to_string(), &format!("@{server}"), "weir.example"]);
    Ok(run(&mut dig)?.trim().to_owned())
}

#[test]
fn a_name_server_answers_from_the_address_that_was_asked() -> Result<()> {
    const ANSWER: &str = "198.51.100.53";
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let (port, answer) = (format!("--port={BACKEND}"), format!("--address=/weir.example/{ANSWER}"));
    let arguments = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--user=root",
        "--pid-file=",
        &port,
        &answer,
    ];
    let _server = Running::start(&lab.server, "dnsmasq", &arguments)?;
    let weir = Weir::start(&lab.server, "", &tables(false))?;
    // The server may take its time; an attempt before that is recorded as well.
    let (from, to) = (lab::PRIVATE4, lab::SERVER_PRIVATE4);
    let up =
        eventually(SOON, || dig(&lab, from, to, PORT).is_ok_and(|a| a == ANSWER).then_some(()));
    up.context("no answer")?;
    let ways =
        [(lab::DE4, lab::SERVER4), (lab::DE6, lab::SERVER6), (lab::FR4, lab::SERVER_PRIVATE4)];
    for (from, to) in ways {
        ensure!(dig(&lab, from, to, PORT)? == ANSWER, "{from} to {to}");
        let record = weir.wait_for_event(&format!("source_ip={from}"), SOON + IDLE)?;
        assert_eq!(record["service_id"], "over-udp", "{record}");
        assert_eq!(record["protocol"], "udp", "{record}");
        assert_eq!(record["method"], "UDP", "{record}");
        assert_eq!(record["verdict"], "allowed", "{record}");
        assert_eq!(record["close_reason"], "idle_timeout", "{record}");
        assert_eq!(record["target"], format!("127.0.0.1:{BACKEND}"), "{record}");
        assert_eq!(
            (&record["packets_upload"], &record["packets_download"]),
            (&1.into(), &1.into())
        );
        let bytes = |name: &str| record[name].as_u64().unwrap_or_default();
        assert!(bytes("bytes_upload") > 20, "{record}");
        assert!(bytes("bytes_download") > bytes("bytes_upload"), "{record}");
        assert!(record["duration_ms"].as_u64().is_some_and(|ms| ms >= 2000), "{record}");
    }
    Ok(())
}

/// What `iperf3` says of its run.
fn iperf3(lab: &Lab, more: &[&str]) -> Result<Value> {
    let server = Running::start(&lab.server, "iperf3", &["-s", "-1", "-p", &BACKEND.to_string()])?;
    let mut client = lab.clients.command("iperf3");
    client.args(["-c", &lab::SERVER4.to_string(), "-p", &PORT.to_string(), "-B"]);
    client.args([&lab::DE4.to_string(), "-u", "-l", "1200", "-b", "30M", "-t", "2", "--json"]);
    client.args(more);
    // It says so in its report where the server does not listen yet.
    let mut report = || serde_json::from_str(&run(&mut client).ok()?).ok();
    let done = eventually(SOON, || report().filter(|report: &Value| report["error"].is_null()));
    drop(server);
    done.context("iperf3 has failed")
}

#[test]
fn a_stream_of_datagrams_is_counted() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    for (reverse, payload, packets) in [
        (None, "bytes_upload", "packets_upload"),
        (Some("-R"), "bytes_download", "packets_download"),
    ] {
        let weir = Weir::start(&lab.server, "", &tables(true))?;
        let report = iperf3(&lab, reverse.as_slice())?;
        let query = "service_id=over-udp&verdict=allowed";
        let sum = &report["end"]["sum"];
        let record = weir.wait_for_event(query, SOON + IDLE).with_context(|| sum.to_string())?;
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        let lost = number(&sum["lost_packets"]);
        let sent = number(&sum["packets"]);
        assert!(sent > 1000 && lost * 100 < sent, "{sum}");
        assert!(number(&record[packets]) + lost >= sent, "{record}\n{sum}");
        assert!(number(&record[payload]) + 1200 * lost >= number(&sum["bytes"]), "{record}\n{sum}");
        assert_eq!(record["source_ip"], lab::DE4.to_string(), "{record}");
    }
    Ok(())
}

#[test]
fn datagrams_larger_than_any_packet_pass() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = lab.server.within(|| UdpSocket::bind(("127.0.0.1", BACKEND)))??;
    let weir = Weir::start(&lab.server, "", &tables(false))?;
    let client = lab.clients.within(|| UdpSocket::bind((lab::DE4, 0)))??;
    for socket in [&target, &client] {
        socket.set_read_timeout(Some(SOON))?;
    }
    client.connect(SocketAddr::new(lab::SERVER4, PORT))?;
    let (sizes, mut room) = ([0, 1, 1472, 1473, 9000, 65_507], vec![0; 1 << 16]);
    for size in sizes {
        client.send(&vec![7; size])?;
        let (length, upstream) = target.recv_from(&mut room)?;
        target.send_to(&room[..length], upstream)?;
        assert_eq!((length, client.recv(&mut room)?), (size, size));
    }
    let record = weir.wait_for_event("service_id=over-udp", SOON + IDLE)?;
    let all = sizes.iter().sum::<usize>();
    assert_eq!((&record["bytes_upload"], &record["bytes_download"]), (&all.into(), &all.into()));
    Ok(())
}
