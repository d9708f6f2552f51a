//! Who carries a service's packets: `forward`, `source`, and `[kernel]`'s part in it.

use std::{net::IpAddr, ops::RangeInclusive};

use proxy_common::nat::{MAX_SOURCES, MAX_TARGETS};

use super::{Destination, Mode, ProxyProtocol, Service, Target, fields::Fields};

/// `forward`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forward {
    /// The kernel plane where it can, else the relay.
    #[default]
    Auto,
    /// The relay.
    Relay,
    /// The kernel plane.
    Kernel,
}

/// `source`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceAddress {
    /// One of this host's.
    #[default]
    Proxy,
    /// The client's own: what the target answers must come back through this host.
    Client,
}

/// Who carries a service's packets, and as whose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// `forward`
    pub by: Forward,
    /// `source`
    pub source: SourceAddress,
}

/// Ports and addresses from which the kernel plane reaches targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// `nat_ports`
    pub ports: RangeInclusive<u16>,
    /// `nat_addresses`; of a family of which there are none, each target is reached from the
    /// host's own address on the way there.
    pub addresses: Vec<IpAddr>,
}

impl Nat {
    /// The most flows that one address of this host can have with one target.
    pub fn capacity(&self) -> usize {
        self.ports.len()
    }
}

const PORTS: RangeInclusive<u16> = 16_384..=32_767;

impl Default for Nat {
    fn default() -> Self {
        Self { ports: PORTS, addresses: Vec::new() }
    }
}

/// `nat_ports` and `nat_addresses`.
pub(super) fn nat(fields: &mut Fields<'_, '_>) -> Nat {
    let ports = fields.string("nat_ports").and_then(|(text, at)| {
        let range = range(text);
        if range.is_none() {
            let message = format!("nat_ports {text:?} is not \"FIRST-LAST\", from 1024 to 65535");
            fields.report.fault(at, message);
        }
        range
    });
    let addresses = fields.list("nat_addresses", |text| {
        let address: Option<IpAddr> = text.parse().ok();
        let usable = address.filter(|ip| !ip.is_unspecified() && !ip.is_multicast());
        usable.ok_or_else(|| format!("nat_addresses: {text:?} is no address of a host"))
    });
    for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
        if addresses.iter().filter(|address| family(address)).count() > MAX_SOURCES {
            let message = format!("nat_addresses takes {MAX_SOURCES} addresses of each family");
            fields.fault("nat_addresses", message);
        }
    }
    Nat { ports: ports.unwrap_or(PORTS), addresses }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (1024 <= first && first <= last).then_some(first..=last)
}

/// `forward` and `source`.
pub(super) fn forwarding(fields: &mut Fields<'_, '_>) -> Forwarding {
    let by = [("auto", Forward::Auto), ("relay", Forward::Relay), ("kernel", Forward::Kernel)];
    let sources = [("proxy", SourceAddress::Proxy), ("client", SourceAddress::Client)];
    Forwarding {
        by: fields.choice("forward", &by).unwrap_or_default(),
        source: fields.choice("source", &sources).unwrap_or_default(),
    }
}

/// Tells where the kernel plane is asked for and cannot serve.
pub(super) fn refuse_what_the_kernel_cannot(fields: &mut Fields<'_, '_>, service: &Service) {
    let Some(why) = service.unfit_for_kernel() else { return };
    if service.forwarding.by == Forward::Kernel {
        fields.fault("forward", format!("forward = \"kernel\" cannot be: {why}"));
    }
    if service.forwarding.source == SourceAddress::Client {
        fields.fault("source", format!("source = \"client\" cannot be: {why}"));
    }
}

impl Service {
    /// Why the kernel plane can never serve it, in words; `None`: it may.
    pub fn unfit_for_kernel(&self) -> Option<&'static str> {
        if self.forwarding.by == Forward::Relay {
            return Some("forward = \"relay\"");
        }
        if !matches!(self.mode, Mode::Tcp | Mode::Udp) {
            return Some("the kernel forwards tcp and udp services; of others the relay reads");
        }
        let Destination::Targets(targets) = &self.destination else {
            return Some("target = \"host\" is served on this host already");
        };
        if self.proxy_protocol != ProxyProtocol::default() {
            return Some("PROXY headers are read and written by the relay");
        }
        if targets.list.len() > MAX_TARGETS {
            return Some("the kernel knows 32 targets of a service");
        }
        let here = |target: &Target| match target {
            Target::Address(address) => address.ip().to_canonical().is_loopback(),
            Target::Name { host, .. } => host == "localhost",
        };
        targets.list.iter().any(here).then_some("a target is on this host, which no packet leaves")
    }
}
