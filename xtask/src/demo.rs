//! `cargo xtask demo`: a lab of network namespaces, real clients, and the records
//! that they leave.

use std::{
    env,
    net::IpAddr,
    process::{Child, Stdio},
};

use anyhow::{Context, Result, bail};
use weir_tests::{
    geo,
    lab::{
        BLOCKED4, BLOCKED4_CIDR, BLOCKED6, BLOCKED6_CIDR, DE4, DE6, FR4, FR6, Lab, SERVER4, SERVER6,
    },
    wait::{SOON, eventually},
    weir::Weir,
};

use crate::{
    build::{Options, release},
    process::is_root,
    setup,
};

const WEB: u16 = 8081;
const IPERF: u16 = 5201;
/// Six clients over HTTP, two over iperf3 with a control and a data connection each.
const RECORDS: usize = 6 + 2 * 2;

const TABLES: &str = "
[service.web]                  # relayed
mode   = 'tcp'
listen = 8081
target = '127.0.0.1:9081'
[service.web.access]
allowed_countries = ['DE']
blocked_cidrs     = [BLOCKED]

[service.iperf]                # guarded
mode   = 'tcp'
listen = 5201
target = 'host'
[service.iperf.access]
allowed_countries = ['DE']
blocked_cidrs     = [BLOCKED]
";

/// A process of the lab's, ended with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run() -> Result<()> {
    if !is_root() {
        bail!("namespaces need root: sudo -E cargo xtask demo");
    }
    setup::for_tests()?;
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let _backend = start(&lab, &format!("{} backend", env::current_exe()?.display()))?;
    let _iperf = start(&lab, &format!("iperf3 --server --port {IPERF}"))?;
    let mut weir = Weir::install_from(&lab.server, binary)?;
    let database = weir.path("geo.mmdb");
    geo::write(&database)?;
    let blocked = format!("'{BLOCKED4_CIDR}', '{BLOCKED6_CIDR}'");
    let tables = TABLES.replace("BLOCKED", &blocked);
    let geoip = format!("[geoip]\ndatabase = '{}'\n", database.display());
    weir.configure("", &(geoip + &tables))?;
    weir.launch()?;
    println!("a lab of three namespaces; Weir runs in the server's:\n{tables}");

    for (who, address) in [
        ("in Germany", DE4),
        ("in Germany", DE6),
        ("in France", FR4),
        ("in France", FR6),
        ("in a blocked prefix", BLOCKED4),
        ("in a blocked prefix", BLOCKED6),
    ] {
        println!("curl from {address}, {who}: {}", curl(&lab, address)?);
    }
    for address in [DE4, DE6] {
        println!("iperf3 from {address}: {}", iperf(&lab, address)?);
    }
    weir.wait_for_events(RECORDS, "", SOON)?;
    println!("\nweir events");
    print!("{}", weir.run(&["events", "--sort_order", "asc"])?);
    println!("\nweir status");
    print!("{}", weir.run(&["status"])?);
    weir.stop()?;
    println!("\nthe lab is removed");
    Ok(())
}

/// Starts a server in the server's namespace.
fn start(lab: &Lab, line: &str) -> Result<Running> {
    let mut words = line.split(' ');
    let mut command = lab.server.bound_command(words.next().unwrap_or_default());
    let child = command.args(words).stdout(Stdio::null()).spawn();
    Ok(Running(child.with_context(|| line.to_owned())?))
}

fn server(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { SERVER4 } else { SERVER6 }
}

fn curl(lab: &Lab, from: IpAddr) -> Result<String> {
    let to = std::net::SocketAddr::new(server(from), WEB);
    let mut command = lab.clients.command("curl");
    command.args(["--silent", "--max-time", "2", "--interface", &from.to_string()]);
    let output = command.arg(format!("http://{to}/")).output()?;
    if output.status.success() {
        Ok(format!("\"{}\"", String::from_utf8_lossy(&output.stdout).trim()))
    } else {
        Ok("no answer".to_owned())
    }
}

fn iperf(lab: &Lab, from: IpAddr) -> Result<String> {
    let run = || {
        let mut command = lab.clients.command("iperf3");
        command.args(["--bind", &from.to_string(), "--bytes", "256M", "--json"]);
        command.args(["--port", &IPERF.to_string(), "--client", &server(from).to_string()]);
        let output = command.output().ok()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        report["end"]["sum_received"]["bits_per_second"].as_f64()
    };
    // The server serves one client at a time.
    let rate = eventually(SOON, run).context("iperf3 was not served")?;
    Ok(format!("256 MiB at {:.1} Gb/s", rate / 1e9))
}
