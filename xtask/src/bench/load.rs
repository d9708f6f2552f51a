//! What is measured of a way from client to target: bytes, requests on kept
//! connections, connections.

use std::{fs, net::SocketAddr, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{ns::Namespace, ss, wait};

use super::super::process::output;

/// Port of the target's iperf3.
pub(super) const BULK: u16 = 5201;
/// Port of the target's web server.
pub(super) const WEB: u16 = 8080;

const SECONDS: u32 = 2;
const WARM_UP: u32 = 1;
const CLIENTS: u32 = 64;
/// What has wrk make a connection for each request.
pub(super) const CLOSING: [&str; 2] = ["--header", "Connection: close"];

/// A figure, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Load {
    /// Gb/s of one connection
    Throughput,
    /// Requests a second over 64 kept connections
    Requests,
    /// Connections a second, one request each, 64 at a time
    Connections,
}

impl Load {
    pub(super) const ALL: [Self; 3] = [Self::Throughput, Self::Requests, Self::Connections];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "gigabits_per_second",
            Self::Requests => "requests_per_second",
            Self::Connections => "connections_per_second",
        }
    }

    /// Puts it on the way to `address`, whose ports are [`BULK`] and [`WEB`].
    pub(super) fn run(self, clients: &Namespace, address: std::net::IpAddr) -> Result<f64> {
        match self {
            Self::Throughput => throughput(clients, SocketAddr::new(address, BULK)),
            Self::Requests => requests(clients, SocketAddr::new(address, WEB), &[]),
            Self::Connections => requests(clients, SocketAddr::new(address, WEB), &CLOSING),
        }
    }
}

fn throughput(clients: &Namespace, target: SocketAddr) -> Result<f64> {
    let report = iperf3(clients, target, &["--omit", &WARM_UP.to_string()])?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.map(|rate| rate / 1e9).with_context(|| format!("iperf3 gave no rate: {report}"))
}

/// What iperf3 reports of a run.
pub(super) fn iperf3(clients: &Namespace, target: SocketAddr, more: &[&str]) -> Result<Value> {
    let mut command = clients.command("iperf3");
    command.args(["--json", "--client", &target.ip().to_string()]);
    command.args(["--port", &target.port().to_string()]);
    command.args(["--time", &SECONDS.to_string()]).args(more);
    Ok(serde_json::from_str(&output(&mut command)?)?)
}

fn requests(clients: &Namespace, target: SocketAddr, more: &[&str]) -> Result<f64> {
    let report = wrk(clients, target, more)?;
    rate(&report).with_context(|| report.clone())
}

/// What wrk reports of a run.
pub(super) fn wrk(clients: &Namespace, target: SocketAddr, more: &[&str]) -> Result<String> {
    let mut command = clients.command("wrk");
    command.args(["--threads", "1", "--connections", &CLIENTS.to_string()]);
    command.args(["--duration", &format!("{SECONDS}s")]).args(more);
    let report = output(command.arg(format!("http://{target}/")))?;
    ensure!(!report.contains("Socket errors"), "{report}");
    Ok(report)
}

/// Requests a second, of wrk's report.
pub(super) fn rate(report: &str) -> Option<f64> {
    let rate = report.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate?.trim().parse().ok()
}

/// The targets, in a namespace; they end with this.
pub(super) struct Targets {
    _processes: [Running; 2],
}

impl Targets {
    pub(super) fn start(namespace: &Namespace, dir: &Path) -> Result<Self> {
        let config = dir.join("target.conf");
        let text = format!(
            "daemon off; pid {0}/target.pid; error_log {0}/target.log; worker_processes 1;
             events {{ worker_connections 4096; }}
             http {{ access_log off; keepalive_requests 1000000000;
                     client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
                     uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
                     server {{ listen {WEB} reuseport backlog=4096; return 200 'ok'; }} }}",
            dir.display()
        );
        fs::write(&config, text)?;
        let web = Running::start(namespace, "nginx", &["-c", &config.to_string_lossy()])?;
        let bulk = Running::start(namespace, "iperf3", &["--server", "--port", &BULK.to_string()])?;
        for port in [WEB, BULK] {
            wait_for(namespace, port)?;
        }
        Ok(Self { _processes: [web, bulk] })
    }
}

/// Waits until something listens. A connection would tell too, but iperf3 complains of
/// one that says nothing.
pub(super) fn wait_for(namespace: &Namespace, port: u16) -> Result<()> {
    let listens = || ss::listens(namespace, port).unwrap_or(false);
    ensure!(wait::holds(wait::SOON, listens), "nothing listens on port {port}");
    Ok(())
}

/// A process in a namespace, ended with this.
pub(super) struct Running(std::process::Child);

impl Running {
    pub(super) fn start(namespace: &Namespace, program: &str, arguments: &[&str]) -> Result<Self> {
        Self::start_into(namespace, program, arguments, Stdio::null())
    }

    pub(super) fn start_into(
        namespace: &Namespace,
        program: &str,
        arguments: &[&str],
        stdout: Stdio,
    ) -> Result<Self> {
        let mut command = namespace.bound_command(program);
        let child = command.args(arguments).stdin(Stdio::null()).stdout(stdout).spawn();
        Ok(Self(child.with_context(|| format!("{command:?}"))?))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // TERM lets a master process end its workers; it may have ended by itself.
        let _ = std::process::Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}
