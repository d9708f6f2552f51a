//! The ways from client to target, of which one at a time stands in the host's namespace.

use std::{
    fs::File,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use weir_tests::{
    lab::{LAN, Lab, SERVER4},
    nft,
    ns::Namespace,
    wait::{SOON, holds},
    weir::Weir,
};

use super::{
    super::{
        load::wait_for,
        proxies::{Proxy, Served, Started, weir},
    },
    loads::Load,
};

/// Lines of the services that the kernel plane serves, and of those that the relay does: the
/// flows of the benchmark are more than a service takes where nothing is said.
const KERNEL: &str = "forward = 'kernel'\nmax_connections = 200000";
const RELAY: &str = "forward = 'relay'";

/// How packets get from a client to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// The host itself is the target: what guarding is compared with
    Direct,
    /// The same, guarded by Weir
    Guard,
    /// The host routes, and does nothing else
    Routing,
    /// DNAT with masquerade
    Nftables,
    Haproxy,
    Nginx,
    /// Weir's relay
    Relay,
    /// Weir's kernel plane
    Kernel,
}

/// The lab, and what is compared in it.
pub(super) struct Place {
    pub(super) binary: PathBuf,
    pub(super) directory: TempDir,
    pub(super) lab: Lab,
}

/// A way that stands until this is dropped.
pub(super) struct Standing<'a> {
    pub(super) way: Way,
    pub(super) started: Option<Started<'a>>,
    _rules: Option<Rules<'a>>,
}

/// Rules of nftables, removed with this.
struct Rules<'a>(&'a Namespace);

impl Way {
    pub(super) const ALL: [Self; 8] = [
        Self::Direct,
        Self::Guard,
        Self::Routing,
        Self::Nftables,
        Self::Haproxy,
        Self::Nginx,
        Self::Relay,
        Self::Kernel,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Guard => "guard",
            Self::Routing => "routing",
            Self::Nftables => "nftables",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Relay => "relay",
            Self::Kernel => "kernel",
        }
    }

    /// Whether the targets are on the host itself.
    pub(super) const fn ends_here(self) -> bool {
        matches!(self, Self::Direct | Self::Guard)
    }

    /// What its rates are compared with.
    pub(super) const fn limit(self) -> Self {
        if self.ends_here() { Self::Direct } else { Self::Routing }
    }

    /// Whether a process of the host's takes each connection and makes another.
    pub(super) const fn is_relay(self) -> bool {
        matches!(self, Self::Haproxy | Self::Nginx | Self::Relay)
    }

    /// Whether it has anything to do with a load.
    pub(super) fn carries(self, load: Load) -> bool {
        (self, load) != (Self::Haproxy, Load::Datagrams)
    }

    /// Its target, which others do not know: with one for all, each would meet what others'
    /// connections left in `TIME_WAIT`.
    pub(super) const fn target(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(198, 18, 0, 101 + self as u8))
    }

    /// Where clients find the first target.
    pub(super) fn address(self, served: &Served<'_>) -> IpAddr {
        match (self, served.targets) {
            (Self::Routing, [first, ..]) => *first,
            _ => SERVER4,
        }
    }

    /// Sets it up.
    pub(super) fn start<'a>(self, place: &'a Place, served: &Served<'_>) -> Result<Standing<'a>> {
        let host = &place.lab.server;
        let routes = matches!(self, Self::Routing | Self::Nftables);
        host.sysctl("net/ipv4/ip_forward", if routes { "1" } else { "0" })?;
        let rules = (self == Self::Nftables).then(|| Rules::load(host, served)).transpose()?;
        let started = self.process(host, served, &place.binary, place.directory.path())?;
        if started.is_some() {
            for port in served.tcp {
                wait_for(host, *port)?;
            }
        }
        if let (Self::Kernel, Some(Started::Weir(weir))) = (self, &started) {
            forwards(weir)?;
        }
        Ok(Standing { way: self, started, _rules: rules })
    }

    fn process<'a>(
        self,
        host: &'a Namespace,
        served: &Served<'_>,
        binary: &Path,
        dir: &Path,
    ) -> Result<Option<Started<'a>>> {
        let started = match self {
            Self::Direct | Self::Routing | Self::Nftables => return Ok(None),
            Self::Haproxy => Proxy::Haproxy.start(host, served, binary, dir)?,
            Self::Nginx => {
                // It writes behind what there is.
                File::create(dir.join("nginx-access.log"))?;
                Proxy::Nginx.start(host, served, binary, dir)?
            }
            Self::Guard => weir(host, binary, &served.services(|_| "target = 'host'".into()))?,
            Self::Relay => weir(host, binary, &served.forwarded(RELAY))?,
            Self::Kernel => weir(host, binary, &served.forwarded(KERNEL))?,
        };
        Ok(Some(started))
    }
}

/// Waits until the kernel plane serves everything.
fn forwards(weir: &Weir<'_>) -> Result<()> {
    let all = || {
        let status = weir.status().ok()?;
        let services = status["services"].as_array()?;
        Some(services.iter().all(|service| service["plane"] == "kernel"))
    };
    let ready = holds(SOON, || all() == Some(true));
    ensure!(ready, "the kernel plane does not serve: {}", weir.status()?);
    Ok(())
}

impl Standing<'_> {
    /// Takes it down in order.
    pub(super) fn stop(self) -> Result<()> {
        self.started.map_or(Ok(()), Started::stop)
    }
}

impl<'a> Rules<'a> {
    fn load(host: &'a Namespace, served: &Served<'_>) -> Result<Self> {
        let to = match served.targets {
            [target] => target.to_string(),
            targets => {
                let choice = |(number, target)| format!("{number} : {target}");
                let all: Vec<_> = targets.iter().enumerate().map(choice).collect();
                format!("numgen inc mod {} map {{ {} }}", all.len(), all.join(", "))
            }
        };
        let rule = |protocol: &str, port: &u16| {
            format!("ip daddr {SERVER4} {protocol} dport {port} dnat to {to}\n")
        };
        let tcp = served.tcp.iter().map(|port| rule("tcp", port));
        let rules: String = tcp.chain(served.udp.iter().map(|port| rule("udp", port))).collect();
        let ruleset = format!(
            "table ip ways {{
                chain arriving {{ type nat hook prerouting priority dstnat; {rules} }}
                chain leaving {{ type nat hook postrouting priority srcnat; oifname {LAN} masquerade; }}
            }}"
        );
        nft::load(host, &ruleset)?;
        Ok(Self(host))
    }
}

impl Drop for Rules<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.run("nft delete table ip ways") {
            eprintln!("{error:#}");
        }
    }
}
