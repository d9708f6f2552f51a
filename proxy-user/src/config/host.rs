//! What is wrong with a configuration on this host: ports, addresses, files.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::PermissionsExt,
};

use ipnet::IpNet;

use super::{
    Fault, Listen, ListenAddress, Loaded, Mode, Target,
    fault::Spot,
    ports,
    sockets::{Listening, listening},
};

/// What the host is like, as far as it takes more than a look at files.
#[derive(Clone, Debug)]
pub struct Host {
    /// Sockets of the Weir that runs by this configuration, by inode, or why they are
    /// not known. Empty where none runs.
    pub own_sockets: Result<BTreeSet<u64>, String>,
    /// Prefixes that are the host's own.
    pub locals: Vec<IpNet>,
    /// Names of interfaces; none where they are not known.
    pub interfaces: Vec<String>,
}

/// What [`host_checks`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFindings {
    /// `weir run` would fail.
    pub faults: Vec<Fault>,
    /// It would not, and yet.
    pub warnings: Vec<Fault>,
}

/// Compares a valid configuration with the host that it is read on.
pub fn host_checks(loaded: &Loaded, host: &Host) -> HostFindings {
    let mut findings = HostFindings::default();
    for file in &loaded.files {
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o022 != 0 {
            let message = format!("others can write this file (mode {:03o})", mode & 0o777);
            findings.warnings.push(Fault { file: file.clone(), line: 1, column: 1, message });
        }
    }
    findings.warnings.extend(readable_hashes(loaded));
    check_ports(loaded, host, &mut findings);
    check_targets(loaded, host, &mut findings);
    check_hooks(loaded, host, &mut findings);
    findings
}

/// The first hash of each file that everyone can read, and guess at.
fn readable_hashes(loaded: &Loaded) -> impl Iterator<Item = Fault> {
    let mut told = BTreeSet::new();
    let hashes = loaded.places.services.iter().flat_map(|places| &places.hashes);
    hashes.filter_map(move |spot| {
        let file = spot.file();
        let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o004 == 0 || !told.insert(file) {
            return None;
        }
        let message =
            format!("others can read the hashes in this file (mode {:03o})", mode & 0o777);
        Some(spot.with(message))
    })
}

fn check_ports(loaded: &Loaded, host: &Host, findings: &mut HostFindings) {
    let is_ours = |socket: &Listening| {
        host.own_sockets.as_ref().is_ok_and(|inodes| inodes.contains(&socket.inode))
    };
    let others = |mode| {
        let mut held = listening(mode);
        held.retain(|socket| !is_ours(socket));
        held
    };
    let (streams, datagrams) = (others(Mode::Tcp), others(Mode::Udp));
    let holder = |listen: Listen, mode| {
        let held = if mode == Mode::Udp { &datagrams } else { &streams };
        held.iter().find(|socket| meets(listen, **socket))
    };
    let mut refuse = |spot: &Spot, socket: &Listening| match &host.own_sockets {
        Ok(_) => {
            let message = format!("another process listens on {} already", socket.address);
            findings.faults.push(spot.with(message));
        }
        Err(why) => {
            let message = format!(
                "something listens on {} already, and whether that is this Weir is not known: {why}",
                socket.address
            );
            findings.warnings.push(spot.with(message));
        }
    };
    if let Some(socket) = holder(ports::of_api(&loaded.config.api), Mode::Tcp) {
        refuse(&loaded.places.api, socket);
    }
    let mut unheard = Vec::new();
    for (service, places) in loaded.config.services.iter().zip(&loaded.places.services) {
        for (listen, spot) in service.listen.iter().zip(&places.listen) {
            match (service.is_guard(), holder(*listen, service.mode)) {
                (false, Some(socket)) => refuse(spot, socket),
                (true, None) => {
                    let message = format!("nothing on this host listens on port {}", listen.port);
                    unheard.push(spot.with(message));
                }
                _ => {}
            }
        }
        let held = service.redirect_listen().find_map(|listen| holder(listen, Mode::Http));
        if let Some(socket) = held {
            let message = format!(
                "another process listens on {} already, so that http://{} is not redirected",
                socket.address,
                service.host()
            );
            unheard.push(places.redirect.with(message));
        }
    }
    findings.warnings.extend(unheard);
}

fn meets(listen: Listen, held: Listening) -> bool {
    let ip = held.address.ip();
    // An IPv6 wildcard takes IPv4 too, unless its process asked for less.
    let v4 = ip.is_ipv4() || ip == IpAddr::from(Ipv6Addr::UNSPECIFIED);
    listen.port == held.address.port()
        && match listen.address {
            ListenAddress::Any => true,
            ListenAddress::AnyV4 => v4,
            ListenAddress::AnyV6 => ip.is_ipv6(),
            ListenAddress::One(own) => ip == own || ip.is_unspecified() && (v4 || own.is_ipv6()),
        }
}

/// Targets at addresses of this host that are listeners of ours.
fn check_targets(loaded: &Loaded, host: &Host, findings: &mut HostFindings) {
    let services = &loaded.config.services;
    let targets = services.iter().zip(&loaded.places.services).flat_map(|(service, places)| {
        let targets = service.dialled().into_iter().zip(&places.targets);
        targets.map(move |(target, spot)| (service, target, spot))
    });
    for (service, target, spot) in targets {
        let Target::Address(target) = target else { continue };
        let ip = target.ip().to_canonical();
        // Found out without the host.
        if ip.is_loopback() {
            continue;
        }
        let is_own = host.locals.iter().any(|net| net.contains(&ip));
        let reached = |listen: &Listen| {
            listen.port == target.port() && ports::accepts(listen.address, ip, is_own)
        };
        let transport = service.mode.transport();
        let relayed = services.iter().filter(|other| !other.is_guard());
        let mut relayed = relayed.filter(|other| other.mode.transport() == transport);
        if let Some(owner) = relayed.find(|other| other.listen.iter().any(reached)) {
            let message = format!(
                "the target is a listener of service {}: {ip} is an address of this host",
                owner.name
            );
            findings.faults.push(spot.with(message));
        }
    }
}

/// Interfaces with a hook that there are not, and that nobody waits for.
fn check_hooks(loaded: &Loaded, host: &Host, findings: &mut HostFindings) {
    let kernel = &loaded.config.kernel;
    let awaited = kernel.interfaces.as_deref().unwrap_or_default();
    let is_known = |name: &String| host.interfaces.contains(name) || awaited.contains(name);
    for ((name, _), spot) in kernel.hook.by_interface.iter().zip(&loaded.places.hooks) {
        if !host.interfaces.is_empty() && !is_known(name) {
            let message = format!("there is no interface {name:?}; its hook has no effect");
            findings.warnings.push(spot.with(message));
        }
    }
}
