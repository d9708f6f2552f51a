//! The relays that are compared, each as its manual recommends, each with its access log
//! on.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{ns::Namespace, weir::Weir};

use super::{
    load::{BULK, Running, WEB},
    routing::NEIGHBOUR,
};
use crate::process::output;

/// What is relayed: ports, each to the same one of the targets.
pub(super) struct Served<'a> {
    pub(super) tcp: &'a [u16],
    pub(super) udp: &'a [u16],
    pub(super) targets: &'a [IpAddr],
    /// Connections at a time.
    pub(super) connections: u32,
}

/// What most benchmarks have relayed.
pub(super) const BENCHED: Served<'static> =
    Served { tcp: &[BULK, WEB], udp: &[BULK], targets: &[NEIGHBOUR], connections: 4000 };

/// What relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proxy {
    Weir,
    Haproxy,
    Nginx,
}

/// A running one, ended with this.
pub(super) enum Started<'a> {
    Weir(Weir<'a>),
    Other { process: Running },
}

impl Started<'_> {
    /// Its process, whose children are workers.
    pub(super) fn id(&self) -> Result<u32> {
        match self {
            Self::Weir(weir) => weir.id(),
            Self::Other { process } => Ok(process.id()),
        }
    }

    /// Ends it in order. One that is dropped has failed, and shows its log.
    pub(super) fn stop(self) -> Result<()> {
        if let Self::Weir(mut weir) = self {
            let status = weir.stop()?;
            ensure!(status.success(), "weir: {status}: {}", weir.log());
        }
        Ok(())
    }
}

impl Proxy {
    pub(super) const ALL: [Self; 3] = [Self::Weir, Self::Haproxy, Self::Nginx];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    /// Starts it in a namespace; HAProxy relays no datagrams.
    pub(super) fn start<'a>(
        self,
        namespace: &'a Namespace,
        served: &Served<'_>,
        binary: &Path,
        dir: &Path,
    ) -> Result<Started<'a>> {
        let config = dir.join(format!("{}.conf", self.name()));
        let path = config.to_string_lossy();
        let text = match self {
            Self::Weir => return weir(namespace, binary, &served.forwarded("forward = 'relay'")),
            Self::Haproxy => haproxy(served),
            Self::Nginx => nginx(served, dir),
        };
        fs::write(&config, text).with_context(|| path.to_string())?;
        let log = File::create(dir.join(format!("{}.log", self.name())))?;
        let (program, arguments) = match self {
            Self::Haproxy => ("haproxy", ["-db", "-f", &path]),
            _ => ("nginx", ["-g", "daemon off;", "-c"]),
        };
        let mut arguments = arguments.to_vec();
        if self == Self::Nginx {
            arguments.push(&path);
        }
        let process = Running::start_into(namespace, program, &arguments, Stdio::from(log))?;
        Ok(Started::Other { process })
    }
}

/// What was compared with.
pub(super) fn versions() -> Result<Value> {
    let haproxy = output(std::process::Command::new("haproxy").arg("-v"))?;
    let package = ["-f", "${Version}", "-W", "nginx"];
    Ok(serde_json::json!({
        "haproxy": haproxy.lines().next(),
        "nginx": output(std::process::Command::new("dpkg-query").args(package))?,
    }))
}

impl Served<'_> {
    /// The tables of Weir's services, which have these lines beside their targets.
    pub(super) fn forwarded(&self, lines: &str) -> String {
        let each = |port| self.targets.iter().map(move |target| format!("'{target}:{port}'"));
        let targets = |port| each(port).collect::<Vec<_>>().join(", ");
        self.services(|port| format!("targets = [{}]\n{lines}", targets(port)))
    }

    /// The tables of Weir's services, each with the lines of its port.
    pub(super) fn services(&self, lines: impl Fn(u16) -> String) -> String {
        let table = |mode, port, more| {
            let lines = lines(port);
            format!("[service.{mode}{port}]\nmode = '{mode}'\nlisten = {port}\n{lines}\n{more}")
        };
        let tcp = self.tcp.iter().map(|port| table("tcp", *port, ""));
        // A session is recorded as soon as it is over.
        let udp = self.udp.iter().map(|port| table("udp", *port, "idle_timeout = '1s'\n"));
        tcp.chain(udp).collect()
    }

    fn lines(&self, line: impl Fn(&IpAddr) -> String) -> String {
        self.targets.iter().map(line).collect()
    }
}

/// Starts Weir with these services.
pub(super) fn weir<'a>(
    namespace: &'a Namespace,
    binary: &Path,
    tables: &str,
) -> Result<Started<'a>> {
    let mut weir = Weir::install_from(namespace, binary.to_owned())?;
    weir.configure("", tables)?;
    weir.launch()?;
    Ok(Started::Weir(weir))
}

fn haproxy(served: &Served<'_>) -> String {
    let service = |port: &u16| {
        let target = |target: &IpAddr| format!(" server {target} {target}:{port}\n");
        format!("listen p{port}\n bind :{port}\n{}", served.lines(target))
    };
    let services: String = served.tcp.iter().map(service).collect();
    format!(
        "global\n maxconn {}\n log stdout format raw local0\n\
         defaults\n mode tcp\n log global\n option tcplog\n option splice-auto\n\
         timeout connect 10s\n timeout client 1h\n timeout server 1h\n{services}",
        served.connections
    )
}

fn nginx(served: &Served<'_>, dir: &Path) -> String {
    let dir = dir.display();
    let block = |listen: &str, port: &u16| {
        let targets = served.lines(|target| format!("server {target}:{port}; "));
        let name = listen.replace(' ', "-");
        format!(
            "upstream {name} {{ {targets}}}
             server {{ listen {listen}; proxy_pass {name}; }}\n"
        )
    };
    let tcp = served.tcp.iter().map(|port| block(&port.to_string(), port));
    let udp = served.udp.iter().map(|port| block(&format!("{port} udp reuseport"), port));
    let blocks: String = tcp.chain(udp).collect();
    // Each is two connections.
    let connections = 2 * served.connections + 96;
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
         pid {dir}/nginx.pid; error_log {dir}/nginx.err; worker_processes auto;
         events {{ worker_connections {connections}; }}
         stream {{
           log_format basic '$remote_addr [$time_local] $protocol $status $bytes_sent \
$bytes_received $session_time $upstream_addr';
           access_log {dir}/nginx-access.log basic;
           {blocks}
         }}"
    )
}
