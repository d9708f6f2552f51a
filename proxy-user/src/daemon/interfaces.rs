//! Which interfaces are watched, and how.

use crate::{
    config::{Hook, Kernel},
    datapath::{Interface, Network},
};

/// The interfaces to attach to, as the configuration asks: those named, or every
/// one that has an address and is not a port of a bridge or bond. And `links`, in any case.
pub(super) fn wanted(kernel: &Kernel, network: &Network, links: &[u32]) -> Vec<(Interface, Hook)> {
    let suits = |interface: &&Interface| match &kernel.interfaces {
        _ if links.contains(&interface.index) => true,
        Some(names) => names.contains(&interface.name),
        None => interface.has_address && !interface.is_port,
    };
    let hook = |interface: &Interface| {
        let named = kernel.hook.by_interface.iter().find(|(name, _)| *name == interface.name);
        named.map_or(kernel.hook.default, |(_, hook)| *hook)
    };
    network.interfaces.iter().filter(suits).map(|i| (i.clone(), hook(i))).collect()
}

/// Interfaces that the configuration names and that are not there.
pub(super) fn awaited(kernel: &Kernel, network: &Network) -> Vec<String> {
    let there = |name: &String| network.interfaces.iter().any(|known| known.name == *name);
    kernel.interfaces.iter().flatten().filter(|name| !there(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{HookChoice, Nat},
        datapath::LinkLayer,
    };

    fn network() -> Network {
        let interface = |index, name: &str, is_port, has_address| Interface {
            index,
            name: name.into(),
            layer: LinkLayer::Ethernet,
            is_port,
            has_address,
            mtu: 1500,
            in_vrf: false,
        };
        Network {
            interfaces: vec![
                interface(1, "lo", false, true),
                interface(2, "eth0", false, true),
                interface(3, "port", true, true),
                interface(4, "bare", false, false),
            ],
            ..Network::default()
        }
    }

    fn kernel(interfaces: Option<Vec<String>>) -> Kernel {
        Kernel {
            interfaces,
            hook: HookChoice {
                default: Hook::Tc,
                by_interface: vec![("eth0".into(), Hook::XdpNative)],
            },
            bpffs: "/sys/fs/bpf/weir".into(),
            max_flows: std::num::NonZeroU32::MIN,
            required: true,
            nat: Nat::default(),
        }
    }

    fn names(wanted: &[(Interface, Hook)]) -> Vec<(&str, Hook)> {
        wanted.iter().map(|(interface, hook)| (interface.name.as_str(), *hook)).collect()
    }

    #[test]
    fn by_default_every_interface_with_an_address_that_is_no_port() {
        let wanted = wanted(&kernel(None), &network(), &[]);
        assert_eq!(names(&wanted), [("lo", Hook::Tc), ("eth0", Hook::XdpNative)]);
    }

    #[test]
    fn named_ones_as_they_are_and_absent_ones_are_awaited() {
        let kernel = kernel(Some(vec!["bare".into(), "wg0".into()]));
        assert_eq!(names(&wanted(&kernel, &network(), &[])), [("bare", Hook::Tc)]);
        assert_eq!(awaited(&kernel, &network()), ["wg0"]);
    }
}
