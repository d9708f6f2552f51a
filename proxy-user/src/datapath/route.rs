//! Where packets to an address leave this host, as its kernel says.

use std::{io, net::IpAddr};

use rtnetlink::packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteMetric, RouteType, RouteVia,
};

use super::{
    netlink::{Netlink, find},
    network::{Route, any, ip, ip_of},
};

/// `include/uapi/linux/rtnetlink.h`
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
/// Length of `struct rtmsg`.
const HEADER: usize = 12;
/// `include/linux/socket.h`
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The way to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Egress {
    /// It is this host's own.
    Local,
    /// There is none.
    None,
    /// Another host takes what is sent there.
    Link {
        /// Index of the interface.
        interface: u32,
        /// Who takes packets on the link.
        next_hop: IpAddr,
        /// From which address this host would send.
        source: IpAddr,
        /// The route's own limit of an IP packet, bytes.
        mtu: Option<u32>,
    },
}

/// Asks the kernel for the way to `address`, by all its rules.
///
/// # Errors
/// Netlink fails; that there is no way is [`Egress::None`].
pub fn egress(address: IpAddr) -> io::Result<Egress> {
    let (family, octets) = match address {
        IpAddr::V4(ip) => (AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AF_INET6, ip.octets().to_vec()),
    };
    let bits = u8::try_from(octets.len() * 8).unwrap_or(u8::MAX);
    let mut request = vec![0; HEADER];
    (request[0], request[1]) = (family, bits);
    let length = u16::try_from(4 + octets.len()).unwrap_or(u16::MAX);
    request.extend(length.to_ne_bytes());
    request.extend(RTA_DST.to_ne_bytes());
    request.extend(octets);
    match Netlink::route()?.get(RTM_GETROUTE, &request, RTM_NEWROUTE) {
        Ok(answers) => Ok(answers.first().map_or(Egress::None, |answer| read(address, answer))),
        Err(error) if is_nowhere(&error) => Ok(Egress::None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that there is no route, or one that refuses.
fn is_nowhere(error: &io::Error) -> bool {
    let none = [libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EACCES, libc::EINVAL, libc::ESRCH];
    error.raw_os_error().is_some_and(|number| none.contains(&number))
}

/// Of an answer: `struct rtmsg`, then attributes.
fn read(to: IpAddr, answer: &[u8]) -> Egress {
    let (kind, attributes) = (answer.get(7), answer.get(HEADER..).unwrap_or_default());
    let word = |value: &[u8]| value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
    let interface = find(attributes, RTA_OIF).and_then(word);
    match (kind, interface) {
        (Some(&RTN_LOCAL), _) => Egress::Local,
        (Some(&RTN_UNICAST), Some(interface)) => {
            let via = find(attributes, RTA_VIA).and_then(|via| ip_of(via.get(2..)?));
            let next_hop = find(attributes, RTA_GATEWAY).and_then(ip_of).or(via).unwrap_or(to);
            let metrics = find(attributes, RTA_METRICS);
            let mtu = metrics.and_then(|metrics| find(metrics, RTAX_MTU)).and_then(word);
            let source = find(attributes, RTA_PREFSRC).and_then(ip_of);
            match source {
                Some(source) => Egress::Link { interface, next_hop, source, mtu },
                None => Egress::None,
            }
        }
        _ => Egress::None,
    }
}

/// The main and the default table (`include/uapi/linux/rtnetlink.h`).
const TABLES: [u8; 2] = [RouteHeader::RT_TABLE_MAIN, 253];

impl Route {
    /// A route of the main table, as a dump tells it. Of several next hops the first.
    pub(super) fn read(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        if !TABLES.contains(&header.table) || header.kind != RouteType::Unicast {
            return None;
        }
        let mut route = Self {
            prefix: any(header.address_family)?,
            interface: 0,
            gateway: None,
            metric: 0,
            mtu: u32::MAX,
        };
        for attribute in &message.attributes {
            route.take(attribute, header.destination_prefix_length);
        }
        (route.interface != 0).then_some(route)
    }

    fn take(&mut self, attribute: &RouteAttribute, length: u8) {
        match attribute {
            RouteAttribute::Destination(address) => {
                let net = ip(address).and_then(|ip| ipnet::IpNet::new(ip, length).ok());
                self.prefix = net.unwrap_or(self.prefix);
            }
            RouteAttribute::Oif(interface) => self.interface = *interface,
            RouteAttribute::Gateway(address) => self.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(ip)) => self.gateway = Some((*ip).into()),
            RouteAttribute::Via(RouteVia::Inet6(ip)) => self.gateway = Some((*ip).into()),
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::Metrics(metrics) => {
                let mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
                self.mtu = mtu.unwrap_or(self.mtu);
            }
            RouteAttribute::MultiPath(hops) => {
                let Some(hop) = hops.first() else { return };
                self.interface = hop.interface_index;
                for attribute in &hop.attributes {
                    self.take(attribute, length);
                }
            }
            _ => {}
        }
    }
}
