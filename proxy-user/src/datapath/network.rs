//! The host's network, followed live: interfaces, local prefixes, gateways.

use std::{io, net::IpAddr, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream::BoxStream};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::{
    Handle, MulticastGroup, RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        link::{InfoKind, InfoPortKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteType},
    },
};
use tokio::sync::watch;

/// What a frame of an interface begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// Ethernet, loopback included.
    Ethernet,
    /// The IP header.
    None,
    /// Something else, which the programs do not read.
    Other,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// How its frames begin.
    pub layer: LinkLayer,
    /// A port of a bridge or bond: what comes in belongs to its master.
    pub is_port: bool,
    /// Whether it has an IP address.
    pub has_address: bool,
    /// Bytes of an IP packet that it carries.
    pub mtu: u32,
    /// It is a virtual routing domain (VRF), or belongs to one.
    pub in_vrf: bool,
}

/// A route of the host's main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it leads to.
    pub prefix: IpNet,
    /// Index of the interface.
    pub interface: u32,
    /// Router; `None`: what is sent to is on the link.
    pub gateway: Option<IpAddr>,
    /// Of several to one prefix the lowest is taken.
    pub metric: u32,
    /// Bytes of an IP packet that it carries: its own limit, or its interface's.
    pub mtu: u32,
}

/// The network as it was at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// By index.
    pub interfaces: Vec<Interface>,
    /// Prefixes that are this host's own, from routes of type `local`; sorted.
    pub locals: Vec<IpNet>,
    /// Next hops of default routes; sorted.
    pub gateways: Vec<IpAddr>,
    /// Where packets leave; of each prefix one, sorted.
    pub routes: Vec<Route>,
}

/// After a failure, the network is looked at anew.
const RETRY: Duration = Duration::from_millis(500);

/// Follows the network: the receiver sees each change, the newest state only.
///
/// # Errors
/// Netlink cannot be opened or the first state not be read.
pub async fn follow() -> io::Result<watch::Receiver<Network>> {
    let (sender, receiver) = watch::channel(Network::default());
    let mut follower = Follower::start(&sender).await?;
    tokio::spawn(async move {
        loop {
            let error = follower.run(&sender).await;
            if sender.is_closed() {
                return;
            }
            tracing::warn!(%error, "the network is looked at anew");
            follower = loop {
                tokio::time::sleep(RETRY).await;
                match Follower::start(&sender).await {
                    Ok(follower) => break follower,
                    Err(error) => tracing::warn!(%error, "the network cannot be followed"),
                }
            };
        }
    });
    Ok(receiver)
}

/// One netlink connection.
struct Follower {
    handle: Handle,
    changes: BoxStream<'static, ()>,
}

impl Follower {
    /// Tells the state of now.
    async fn start(sender: &watch::Sender<Network>) -> io::Result<Self> {
        let (connection, handle, messages) = rtnetlink::new_multicast_connection(&[
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ])?;
        tokio::spawn(connection);
        let mut follower = Self { handle, changes: messages.map(drop).boxed() };
        follower.tell(sender).await?;
        Ok(follower)
    }

    /// Tells each change, until the connection fails or nobody listens any more.
    async fn run(&mut self, sender: &watch::Sender<Network>) -> io::Error {
        while self.changes.next().await.is_some() {
            // A burst of changes is read once.
            while self.changes.next().now_or_never().flatten().is_some() {}
            if let Err(error) = self.tell(sender).await {
                return error;
            }
            if sender.is_closed() {
                break;
            }
        }
        io::Error::from(io::ErrorKind::BrokenPipe)
    }

    async fn tell(&mut self, sender: &watch::Sender<Network>) -> io::Result<()> {
        let now = read(&self.handle).await?;
        sender.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
        Ok(())
    }
}

async fn read(handle: &Handle) -> io::Result<Network> {
    let mut network = Network::default();
    let mut with_address = Vec::new();
    let mut addresses = handle.address().get().execute();
    while let Some(address) = addresses.try_next().await.map_err(io::Error::other)? {
        with_address.push(address.header.index);
    }
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await.map_err(io::Error::other)? {
        network.interfaces.extend(interface(&link, &with_address));
    }
    let families = [
        RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
        RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
    ];
    for family in families {
        let mut routes = handle.route().get(family).execute();
        while let Some(route) = routes.try_next().await.map_err(io::Error::other)? {
            network.take_route(&route);
        }
    }
    network.locals.sort_unstable();
    network.locals.dedup();
    network.gateways.sort_unstable();
    network.gateways.dedup();
    network.settle_routes();
    Ok(network)
}

fn interface(link: &LinkMessage, addressed: &[u32]) -> Option<Interface> {
    let index = link.header.index;
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let is_port = link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(|info| {
            matches!(info, LinkInfo::PortKind(InfoPortKind::Bridge | InfoPortKind::Bond))
        }),
        _ => false,
    });
    let layer = layer(link);
    let mtu = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    let in_vrf = link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(|info| {
            matches!(info, LinkInfo::Kind(InfoKind::Vrf) | LinkInfo::PortKind(InfoPortKind::Vrf))
        }),
        _ => false,
    });
    let (mtu, has_address) = (mtu.unwrap_or(u32::MAX), addressed.contains(&index));
    Some(Interface { index, name, layer, is_port, has_address, mtu, in_vrf })
}

fn layer(link: &LinkMessage) -> LinkLayer {
    match link.header.link_layer_type {
        LinkLayerType::Ether | LinkLayerType::Loopback => LinkLayer::Ethernet,
        LinkLayerType::None
        | LinkLayerType::Ppp
        | LinkLayerType::Rawip
        | LinkLayerType::Tunnel
        | LinkLayerType::Tunnel6
        | LinkLayerType::Sit => LinkLayer::None,
        LinkLayerType::Ipgre | LinkLayerType::Ip6gre if is_point_to_point(link) => LinkLayer::None,
        _ => LinkLayer::Other,
    }
}

/// Whether a GRE tunnel has one other end. One with many takes the outer header, which
/// holds the sender, for its link layer (`ipgre_header_ops`, `ip6gre_header_ops`).
fn is_point_to_point(link: &LinkMessage) -> bool {
    let other_end = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Broadcast(address) => Some(address.as_slice()),
        _ => None,
    });
    other_end
        .and_then(ip_of)
        .is_some_and(|address| !address.is_unspecified() && !address.is_multicast())
}

impl Network {
    fn take_route(&mut self, route: &RouteMessage) {
        let length = route.header.destination_prefix_length;
        if route.header.kind == RouteType::Local {
            let prefix = route.attributes.iter().find_map(|attribute| match attribute {
                RouteAttribute::Destination(address) => IpNet::new(ip(address)?, length).ok(),
                _ => None,
            });
            self.locals.extend(prefix);
        } else if route.header.kind == RouteType::Unicast {
            if length == 0 {
                self.gateways.extend(gateways(route));
            }
            self.routes.extend(Route::read(route));
        }
    }

    /// Keeps the best route to each prefix, and fills in what links carry.
    fn settle_routes(&mut self) {
        self.routes.sort_by_key(|route| (route.prefix, route.metric));
        self.routes.dedup_by_key(|route| route.prefix);
        for route in &mut self.routes {
            let link = self.interfaces.iter().find(|link| link.index == route.interface);
            route.mtu = route.mtu.min(link.map_or(u32::MAX, |link| link.mtu));
        }
    }
}

/// The prefix of all addresses of a family.
pub(super) fn any(family: AddressFamily) -> Option<IpNet> {
    match family {
        AddressFamily::Inet => Some(Ipv4Net::default().into()),
        AddressFamily::Inet6 => Some(Ipv6Net::default().into()),
        _ => None,
    }
}

fn gateways(route: &RouteMessage) -> impl Iterator<Item = IpAddr> + use<'_> {
    route.attributes.iter().flat_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address).into_iter().collect::<Vec<_>>(),
        RouteAttribute::MultiPath(hops) => hops
            .iter()
            .flat_map(|hop| &hop.attributes)
            .filter_map(|attribute| match attribute {
                RouteAttribute::Gateway(address) => ip(address),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    })
}

/// An address of either family, by the number of its octets.
pub(super) fn ip_of(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer_of(kind: LinkLayerType, other_end: &[u8]) -> LinkLayer {
        let mut link = LinkMessage::default();
        link.header.link_layer_type = kind;
        link.attributes.push(LinkAttribute::Broadcast(other_end.to_vec()));
        layer(&link)
    }

    #[test]
    fn only_frames_that_the_programs_read_are_given_to_them() {
        for kind in [LinkLayerType::Ether, LinkLayerType::Loopback] {
            assert_eq!(layer_of(kind, &[0xff; 6]), LinkLayer::Ethernet, "{kind:?}");
        }
        // WireGuard and tun, PPP, modems, IPIP, IP6IP6 and SIT.
        for kind in [
            LinkLayerType::None,
            LinkLayerType::Ppp,
            LinkLayerType::Rawip,
            LinkLayerType::Tunnel,
            LinkLayerType::Tunnel6,
            LinkLayerType::Sit,
        ] {
            assert_eq!(layer_of(kind, &[]), LinkLayer::None, "{kind:?}");
        }
        for kind in [LinkLayerType::Infiniband, LinkLayerType::Ieee1394, LinkLayerType::Void] {
            assert_eq!(layer_of(kind, &[]), LinkLayer::Other, "{kind:?}");
        }
    }

    #[test]
    fn a_gre_tunnel_has_no_link_layer_where_it_has_one_other_end() {
        let gre = |kind, other_end: &[u8]| layer_of(kind, other_end);
        assert_eq!(gre(LinkLayerType::Ipgre, &[192, 0, 2, 2]), LinkLayer::None);
        assert_eq!(gre(LinkLayerType::Ip6gre, &[0x20; 16]), LinkLayer::None);
        for many in [&[0; 4][..], &[224, 0, 0, 1], &[]] {
            assert_eq!(gre(LinkLayerType::Ipgre, many), LinkLayer::Other, "{many:?}");
        }
        assert_eq!(gre(LinkLayerType::Ip6gre, &[0; 16]), LinkLayer::Other);
    }
}
