//! Who listens on this host: `proc_net_tcp` of the kernel's documentation, proc(5).

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

use super::Mode;

/// A socket of this network namespace that takes who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    /// What it is known by in `/proc/PID/fd`.
    pub(super) inode: u64,
}

/// Every listening TCP socket, or every UDP socket that is bound and not connected.
pub(super) fn listening(mode: Mode) -> Vec<Listening> {
    let (tables, state) = match mode {
        Mode::Http | Mode::Tcp | Mode::Tls => (["/proc/net/tcp", "/proc/net/tcp6"], "0A"),
        Mode::Udp => (["/proc/net/udp", "/proc/net/udp6"], "07"),
    };
    // One of the families may be missing.
    let tables = tables.map(|table| fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    lines.filter_map(|line| entry(line, state)).collect()
}

/// `SLOT: LOCAL REMOTE STATE QUEUES TIMER RETRANSMITS UID TIMEOUT INODE ...`
fn entry(line: &str, wanted: &str) -> Option<Listening> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
    if *state != wanted {
        return None;
    }
    Some(Listening { address: address(local)?, inode: inode.parse().ok()? })
}

/// Hexadecimal words in host byte order, a colon, the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..words.len()).step_by(8) {
        let word = u32::from_str_radix(words.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        _ => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

/// Ports within a range at which something of this host listens or receives datagrams.
pub fn busy_ports(range: &RangeInclusive<u16>) -> Vec<u16> {
    let all = [Mode::Tcp, Mode::Udp].into_iter().flat_map(listening);
    let mut ports: Vec<u16> = all.map(|socket| socket.address.port()).collect();
    ports.retain(|port| range.contains(port));
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// The sockets that a process holds, by inode.
///
/// # Errors
/// The process is gone, or another user's.
pub fn sockets_of(process: u32) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A file may be closed meanwhile.
        let Ok(target) = fs::read_link(entry?.path()) else { continue };
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        found.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn found(mode: Mode, address: SocketAddr) -> Option<u64> {
        listening(mode).into_iter().find(|s| s.address == address).map(|s| s.inode)
    }

    #[test]
    fn a_listener_is_found_with_the_process_that_holds_it() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(address).expect("a port");
            let bound = listener.local_addr().expect("bound");
            let inode = found(Mode::Tls, bound).expect("listed");
            assert!(sockets_of(std::process::id()).expect("ours").contains(&inode), "{address}");
            drop(listener);
            assert!(!sockets_of(std::process::id()).expect("ours").contains(&inode), "{address}");
        }
    }

    #[test]
    fn a_udp_socket_is_found_unless_it_is_connected() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let bound = socket.local_addr().expect("bound");
        assert!(found(Mode::Udp, bound).is_some());
        assert_eq!(found(Mode::Tcp, bound), None);
        socket.connect(bound).expect("connected");
        assert_eq!(found(Mode::Udp, bound), None);
    }
}
