//! What is wrong with a configuration on this host: ports, files, limits.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
};

use rustix::process::{Resource, getrlimit};

use super::{Fault, Listen, ListenAddress, Loaded};

/// Descriptors that a relayed connection holds.
const FILES_PER_CONNECTION: u64 = 2;

/// What [`host_checks`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFindings {
    /// `weir run` would fail.
    pub faults: Vec<Fault>,
    /// It would not, and yet.
    pub warnings: Vec<Fault>,
}

/// Compares a valid configuration with the host that it is read on.
pub fn host_checks(loaded: &Loaded) -> HostFindings {
    let mut findings = HostFindings::default();
    for file in &loaded.files {
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o022 != 0 {
            let message = format!("others can write this file (mode {:03o})", mode & 0o777);
            findings.warnings.push(Fault { file: file.clone(), line: 1, column: 1, message });
        }
    }
    check_ports(loaded, &listening(), &mut findings);
    check_files(loaded, &mut findings);
    findings
}

fn check_ports(loaded: &Loaded, held: &BTreeSet<(IpAddr, u16)>, findings: &mut HostFindings) {
    for (service, places) in loaded.config.services.iter().zip(&loaded.listens) {
        for (listen, place) in service.listen.iter().zip(places) {
            let holder = held.iter().find(|(ip, port)| meets(*listen, *ip, *port));
            match (service.is_guard(), holder) {
                (false, Some((ip, port))) => {
                    let address = std::net::SocketAddr::new(*ip, *port);
                    let message = format!("another process listens on {address} already");
                    findings.faults.push(place.with(message));
                }
                (true, None) => {
                    let message = format!("nothing on this host listens on port {}", listen.port);
                    findings.warnings.push(place.with(message));
                }
                _ => {}
            }
        }
    }
}

fn meets(listen: Listen, ip: IpAddr, port: u16) -> bool {
    // An IPv6 wildcard takes IPv4 too, unless its process asked for less.
    let v4 = ip.is_ipv4() || ip == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    listen.port == port
        && match listen.address {
            ListenAddress::Any => true,
            ListenAddress::AnyV4 => v4,
            ListenAddress::AnyV6 => ip.is_ipv6(),
            ListenAddress::One(own) => ip == own || ip.is_unspecified() && (v4 || own.is_ipv6()),
        }
}

/// Listening TCP sockets of the network namespace: `proc_net_tcp` of the kernel's
/// documentation.
fn listening() -> BTreeSet<(IpAddr, u16)> {
    const LISTEN: &str = "0A";
    let mut found = BTreeSet::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = fs::read_to_string(file).unwrap_or_default();
        for line in table.lines().skip(1) {
            let mut columns = line.split_whitespace().skip(1);
            let (local, state) = (columns.next(), columns.nth(1));
            if state == Some(LISTEN) {
                found.extend(local.and_then(address));
            }
        }
    }
    found
}

/// Hexadecimal words in host byte order, a colon, the port.
fn address(text: &str) -> Option<(IpAddr, u16)> {
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
    Some((ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

fn check_files(loaded: &Loaded, findings: &mut HostFindings) {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let relayed = loaded.config.services.iter().filter(|service| !service.is_guard());
    let wanted: u64 = relayed.map(|s| u64::from(s.max_connections.get())).sum();
    if wanted.saturating_mul(FILES_PER_CONNECTION) > most {
        let file = loaded.files.first().cloned().unwrap_or_default();
        let message = format!(
            "max_connections of all services come to {wanted}, and the limit of {most} open files \
             carries {}: raise LimitNOFILE",
            most / FILES_PER_CONNECTION
        );
        findings.warnings.push(Fault { file, line: 1, column: 1, message });
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::load;

    fn findings(listener: &TcpListener, target: &str) -> HostFindings {
        let port = listener.local_addr().expect("bound").port();
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("weir.toml");
        let text = format!("[service.a]\nmode = \"tcp\"\nlisten = {port}\ntarget = {target:?}\n");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("changed");
        host_checks(&load(&path).expect("valid"))
    }

    #[test]
    fn a_port_that_is_held_is_a_fault_for_the_relay_and_right_for_a_guard() {
        for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            let listener = TcpListener::bind(address).expect("a port");
            let relay = findings(&listener, "192.0.2.1:1");
            assert_eq!(relay.faults.len(), 1, "{address}");
            assert!(relay.faults[0].to_string().contains("weir.toml:3:10: another process"));
            let guard = findings(&listener, "host");
            assert!(guard.faults.is_empty());
            assert!(guard.warnings.iter().all(|w| !w.message.contains("nothing on this host")));
        }
    }

    #[test]
    fn a_file_that_others_write_is_warned_about() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let warnings = findings(&listener, "host").warnings;
        assert!(warnings.iter().any(|w| w.message.contains("others can write")), "{warnings:?}");
    }
}
