//! Ending a connection of this host: `SOCK_DESTROY` (see `sock_diag(7)`) resets the peer
//! and fails the local socket with `ECONNABORTED`.

use std::{io, os::fd::OwnedFd};

use proxy_common::address::FlowKey;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket};

const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const MESSAGE: usize = 72;

/// Ends the host's own end of a connection. `Ok(false)`: there is no such socket.
pub fn destroy(flow: &FlowKey) -> io::Result<bool> {
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG))?;
    send(&netlink, &request(flow), SendFlags::empty())?;
    match answer(&netlink)? {
        0 => Ok(true),
        error if error == -rustix::io::Errno::NOENT.raw_os_error() => Ok(false),
        error => Err(io::Error::from_raw_os_error(-error)),
    }
}

/// `nlmsghdr` and `inet_diag_req_v2` (`include/uapi/linux/inet_diag.h`); ports and
/// addresses in network byte order, the rest in the host's.
fn request(flow: &FlowKey) -> [u8; MESSAGE] {
    let mut bytes = [0; MESSAGE];
    let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
    put(0, &72u32.to_ne_bytes());
    put(4, &SOCK_DESTROY.to_ne_bytes());
    put(6, &(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    let v4 = flow.service.as_v4().zip(flow.client.as_v4());
    let [protocol, ..] = flow.protocol.to_le_bytes();
    put(16, &[if v4.is_some() { 2 } else { 10 }, protocol]);
    put(20, &u32::MAX.to_ne_bytes());
    put(24, &flow.service_port.to_be_bytes());
    put(26, &flow.client_port.to_be_bytes());
    if let Some((service, client)) = v4 {
        put(28, &service);
        put(44, &client);
    } else {
        put(28, &flow.service.octets());
        put(44, &flow.client.octets());
    }
    // No interface, and `INET_DIAG_NOCOOKIE`.
    put(64, &u64::MAX.to_ne_bytes());
    bytes
}

fn answer(netlink: &OwnedFd) -> io::Result<i32> {
    let mut buffer = [0u8; 512];
    let (length, _) = recv(netlink, &mut buffer, RecvFlags::empty())?;
    let message = &buffer[..length];
    match (message.get(4..6), message.get(16..20)) {
        (Some(kind), Some(&[a, b, c, d])) if kind == NLMSG_ERROR.to_ne_bytes() => {
            Ok(i32::from_ne_bytes([a, b, c, d]))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "sock_diag answered something else")),
    }
}
