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

use super::load::{BULK, Running, WEB};
use crate::process::output;

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

    /// Starts it in a namespace, relaying [`BULK`] and [`WEB`] to `target`, and but for HAProxy
    /// the datagrams of [`BULK`].
    pub(super) fn start<'a>(
        self,
        namespace: &'a Namespace,
        target: IpAddr,
        binary: &Path,
        dir: &Path,
    ) -> Result<Started<'a>> {
        let config = dir.join(format!("{}.conf", self.name()));
        let path = config.to_string_lossy();
        let text = match self {
            Self::Weir => return weir(namespace, target, binary),
            Self::Haproxy => haproxy(target),
            Self::Nginx => nginx(target, dir),
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

fn weir<'a>(namespace: &'a Namespace, target: IpAddr, binary: &Path) -> Result<Started<'a>> {
    let service = |name: &str, mode: &str, port: u16| {
        format!(
            "[service.{name}]\nmode = '{mode}'\nlisten = {port}\ntarget = '{target}:{port}'\n\
             forward = 'relay'\n"
        )
    };
    let tables = for_both(|port| service(&format!("p{port}"), "tcp", port));
    let tables = tables + &service("datagrams", "udp", BULK);
    let mut weir = Weir::install_from(namespace, binary.to_owned())?;
    weir.configure("", &tables)?;
    weir.launch()?;
    Ok(Started::Weir(weir))
}

fn for_both(service: impl Fn(u16) -> String) -> String {
    [service(BULK), service(WEB)].concat()
}

fn haproxy(target: IpAddr) -> String {
    let services =
        for_both(|port| format!("listen p{port}\n bind :{port}\n server target {target}:{port}\n"));
    format!(
        "global\n maxconn 4000\n log stdout format raw local0\n\
         defaults\n mode tcp\n log global\n option tcplog\n option splice-auto\n\
         timeout connect 10s\n timeout client 1h\n timeout server 1h\n{services}"
    )
}

fn nginx(target: IpAddr, dir: &Path) -> String {
    let dir = dir.display();
    let servers =
        for_both(|port| format!("server {{ listen {port}; proxy_pass {target}:{port}; }}\n"));
    let datagrams =
        format!("server {{ listen {BULK} udp reuseport; proxy_pass {target}:{BULK}; }}\n");
    format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
         pid {dir}/nginx.pid; error_log {dir}/nginx.err; worker_processes auto;
         events {{ worker_connections 4096; }}
         stream {{
           log_format basic '$remote_addr [$time_local] $protocol $status $bytes_sent \
$bytes_received $session_time $upstream_addr';
           access_log {dir}/nginx-access.log basic;
           {servers}{datagrams}
         }}"
    )
}
