//! Ending a connection of this host: `SOCK_DESTROY` (see `sock_diag(7)`) resets the peer
//! and fails the local socket with `ECONNABORTED`. And who waits to be accepted.

use std::{collections::BTreeSet, io};

use proxy_common::address::{Address, FlowKey, PROTOCOL_TCP};

use super::netlink::Netlink;

/// `include/uapi/linux/sock_diag.h`
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
/// `include/linux/socket.h`
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `include/net/tcp_states.h`
const TCP_ESTABLISHED: u8 = 1;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_LISTEN: u8 = 10;
/// Length of `inet_diag_req_v2` (`include/uapi/linux/inet_diag.h`), which ends with an
/// `inet_diag_sockid`.
const REQUEST: usize = 56;
const SOCKET_ID: usize = 48;

/// Ends the host's own end of a connection. `Ok(false)`: there is no such socket.
pub fn destroy(flow: &FlowKey) -> io::Result<bool> {
    let diagnosis = Netlink::sock_diag()?;
    if destroy_on(&diagnosis, flow, 0)? {
        return Ok(true);
    }
    // A socket that is bound to an interface (every one of an IPv6 link-local address,
    // and those of a VRF) is found only under it.
    for interface in interfaces()? {
        if destroy_on(&diagnosis, flow, interface)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn destroy_on(diagnosis: &Netlink, flow: &FlowKey, interface: u32) -> io::Result<bool> {
    let mut request = request(flow, interface);
    let Some(id) = find(diagnosis, &request)? else { return Ok(false) };
    request[REQUEST - SOCKET_ID..].copy_from_slice(&id);
    match diagnosis.act(SOCK_DESTROY, &request) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

/// The very socket of a connection, with its cookie. Where there is none, the kernel
/// finds who listens on the port, and would end that.
fn find(diagnosis: &Netlink, request: &[u8]) -> io::Result<Option<[u8; SOCKET_ID]>> {
    let answers = match diagnosis.get(SOCK_DIAG_BY_FAMILY, request, SOCK_DIAG_BY_FAMILY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        answers => answers?,
    };
    // `struct inet_diag_msg`: family, state, two more bytes, the id.
    let connection = answers.iter().find(|answer| answer.get(1) != Some(&TCP_LISTEN));
    Ok(connection.and_then(|answer| answer.get(4..)?.first_chunk().copied()))
}

/// Indexes of the interfaces that are there.
fn interfaces() -> io::Result<Vec<u32>> {
    // `struct ifinfomsg`: the index is its second word.
    let links = Netlink::route()?.dump(RTM_GETLINK, &[0; 16], RTM_NEWLINK)?;
    let index = |link: &Vec<u8>| Some(u32::from_ne_bytes(*link.get(4..)?.first_chunk()?));
    Ok(links.iter().filter_map(index).collect())
}

/// Connections to this host that stand in a listener's queue: nobody has accepted them,
/// and the handshake is over.
pub fn queued() -> io::Result<BTreeSet<FlowKey>> {
    let diagnosis = Netlink::sock_diag()?;
    let mut found = BTreeSet::new();
    for family in [AF_INET, AF_INET6] {
        let mut request = [0; REQUEST];
        (request[0], request[1]) = (family, PROTOCOL_TCP);
        request[4..8]
            .copy_from_slice(&(1u32 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT).to_ne_bytes());
        let sockets = diagnosis.dump(SOCK_DIAG_BY_FAMILY, &request, SOCK_DIAG_BY_FAMILY)?;
        found.extend(sockets.iter().filter_map(|socket| queued_flow(socket)));
    }
    Ok(found)
}

/// Of a `struct inet_diag_msg`, where no process holds the socket.
fn queued_flow(socket: &[u8]) -> Option<FlowKey> {
    let inode = u32::from_ne_bytes(*socket.get(68..)?.first_chunk()?);
    let port = |at: usize| Some(u16::from_be_bytes(*socket.get(at..)?.first_chunk()?));
    let address = |at: usize| {
        let octets: [u8; 16] = *socket.get(at..)?.first_chunk()?;
        let [a, b, c, d, ..] = octets;
        Some(if socket[0] == AF_INET { Address::v4([a, b, c, d]) } else { Address::v6(octets) })
    };
    let flow = FlowKey {
        service_port: port(4)?,
        client_port: port(6)?,
        service: address(8)?,
        client: address(24)?,
        protocol: PROTOCOL_TCP.into(),
    };
    (inode == 0).then_some(flow)
}

/// Ports and addresses in network byte order, the rest in the host's.
fn request(flow: &FlowKey, interface: u32) -> [u8; REQUEST] {
    let mut bytes = [0; REQUEST];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    let v4 = flow.service.as_v4().zip(flow.client.as_v4());
    let [protocol, ..] = flow.protocol.to_le_bytes();
    put(0, &[if v4.is_some() { AF_INET } else { AF_INET6 }, protocol]);
    put(4, &u32::MAX.to_ne_bytes());
    put(8, &flow.service_port.to_be_bytes());
    put(10, &flow.client_port.to_be_bytes());
    if let Some((service, client)) = v4 {
        put(12, &service);
        put(28, &client);
    } else {
        put(12, &flow.service.octets());
        put(28, &flow.client.octets());
    }
    put(44, &interface.to_ne_bytes());
    // `INET_DIAG_NOCOOKIE`
    put(48, &u64::MAX.to_ne_bytes());
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_is_queued_until_it_is_accepted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let service = listener.local_addr().unwrap();
            let client = TcpStream::connect(service).unwrap();
            let from = client.local_addr().unwrap();
            let key = FlowKey::between(from, service, PROTOCOL_TCP.into());
            assert!(queued().unwrap().contains(&key), "{address}");
            let accepted = listener.accept().unwrap();
            assert!(!queued().unwrap().contains(&key), "{address}");
            drop(accepted);
            assert!(!queued().unwrap().contains(&key), "{address}");
        }
    }
}
