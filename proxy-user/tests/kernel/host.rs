//! A host in a network namespace, with the programs attached as the daemon does it.

use std::{
    fs,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use proxy_user::policy::{CidrFlags, Rules};
use proxy_user::{
    config::Hook,
    datapath::{Attached, Attacher, Claim, Interface, LinkLayer, Maps, Pins, TcAttachment, load},
};
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::assign,
    ns::{Namespace, link},
    server::{Behaviour, Server},
};

use crate::harness::{Result, generation};

pub(crate) const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
pub(crate) const ALLOWED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
pub(crate) const BLOCKED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3));
/// How long what must come is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
const BRIEF: Duration = Duration::from_millis(200);

pub(crate) struct Host {
    pub(crate) namespace: Namespace,
    clients: Namespace,
    _server: Server,
}

/// What a daemon holds.
pub(crate) struct Daemon {
    pub(crate) attacher: Attacher,
    pub(crate) maps: Maps,
    pub(crate) pins: Pins,
    _claim: Claim,
}

impl Host {
    pub(crate) fn new() -> Result<Self> {
        let (namespace, clients) = (Namespace::create("host")?, Namespace::create("clients")?);
        link((&namespace, "wan"), (&clients, "net0"))?;
        link((&namespace, "spare"), (&clients, "net1"))?;
        assign(&namespace, "wan", &["192.0.2.1/24"])?;
        assign(&clients, "net0", &["192.0.2.2/24", "192.0.2.3/24"])?;
        let server = Server::start(&namespace, SocketAddr::new(HOST, 22), Behaviour::Echo)?;
        Ok(Self { namespace, clients, _server: server })
    }

    /// Takes over what is there, and brings a policy in force that denies [`BLOCKED`].
    pub(crate) fn start(&self, by: TcAttachment) -> Result<Daemon> {
        let start = || -> Result<Daemon> {
            let (pins, claim) = Pins::prepare(&kernel::pins(&self.namespace))?;
            let (programs, mut maps) = load(Some(&pins.maps()), 1024)?.take()?;
            maps.tables.set_locals(&["192.0.2.1/32".parse()?])?;
            let blocked = format!("{BLOCKED}/32");
            maps.tables.install(&generation(&Rules::OPEN, &[(&blocked, CidrFlags::BLOCKED)])?)?;
            let attacher = Attacher::new(programs, &pins, by);
            Ok(Daemon { attacher, maps, pins, _claim: claim })
        };
        let mut daemon = self.within(start)?;
        self.sync(&mut daemon, Hook::Tc)?;
        Ok(daemon)
    }

    /// Has the daemon watch `wan`.
    pub(crate) fn sync(&self, daemon: &mut Daemon, hook: Hook) -> Result<Attached> {
        let shown = self.namespace.run("ip -j link show dev wan")?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let wan = Interface {
            index: shown[0]["ifindex"].as_u64().ok_or("no index")?.try_into()?,
            name: "wan".into(),
            layer: LinkLayer::Ethernet,
            is_port: false,
            has_address: true,
            mtu: 1500,
            in_vrf: false,
        };
        self.within(|| {
            let failures = daemon.attacher.sync(&[(wan, hook)]);
            if let Some((name, error)) = failures.into_iter().next() {
                return Err(
                    format!("{name}: {error}: {:?}", std::error::Error::source(&error)).into()
                );
            }
            Ok(daemon.attacher.attached().next().ok_or("not attached")?.clone())
        })
    }

    /// Detaches and removes everything, as a clean stop and `weir detach` do.
    pub(crate) fn remove(&self) -> Result<bool> {
        self.within(|| Ok(Pins::locate(&kernel::pins(&self.namespace))?.remove()?))
    }

    pub(crate) fn fate(&self, client: IpAddr) -> Result<Option<Refusal>> {
        Ok(client::refusal((&self.clients, client), SocketAddr::new(HOST, 22), BRIEF)?)
    }

    /// A UDP socket of the host's on port 53, and one of a client's that is connected to it.
    pub(crate) fn datagrams(&self, client: IpAddr) -> Result<(UdpSocket, UdpSocket)> {
        let service = SocketAddr::new(HOST, 53);
        let server = self.namespace.within(|| UdpSocket::bind(service))??;
        let client = self.clients.within(|| UdpSocket::bind(SocketAddr::new(client, 0)))??;
        client.connect(service)?;
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        Ok((server, client))
    }

    fn within<T: Send>(&self, function: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let done = self.namespace.within(|| function().map_err(|error| error.to_string()))?;
        Ok(done?)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What a test that failed leaves.
        let _ = self.remove();
        let _ = fs::remove_dir_all(kernel::pins(&self.namespace));
    }
}
