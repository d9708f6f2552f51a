//! Random configurations, and addresses where prefixes begin, end and go on.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::prelude::*;
use proxy_common::country::{Country, CountrySet};

use crate::{
    config::{
        Access, AccessMode, Api, Config, Denial, Destination, Forwarding, GlobalAccess, Hook,
        HookChoice, Keep, Kernel, Listen, ListenAddress, Log, Matching, Mode, Nat, Overload,
        ProxyProtocol, Service, StoreFailure,
    },
    geo::Database,
};
use weir_tests::mmdb::{Place, Schema, build};

pub(super) const CODES: [&str; 3] = ["DE", "FR", "US"];

/// Few bits vary, so that prefixes nest and meet.
pub(super) fn address() -> impl Strategy<Value = IpAddr> {
    let varied = prop_oneof![any::<u32>().prop_map(|bits| bits & 0x0303_0303), any::<u32>()];
    prop_oneof![
        varied.clone().prop_map(|bits| Ipv4Addr::from(bits | 0x0a00_0000).into()),
        varied.clone().prop_map(|bits| Ipv4Addr::from(bits).into()),
        varied.prop_map(|bits| Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(bits) << 64).into()),
    ]
}

pub(super) fn net() -> impl Strategy<Value = IpNet> {
    (address(), any::<u8>()).prop_map(|(address, length)| match address {
        IpAddr::V4(v4) => Ipv4Net::new(v4, length % 33).unwrap().trunc().into(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, length % 129).unwrap().trunc().into(),
    })
}

fn nets(most: usize) -> impl Strategy<Value = Vec<IpNet>> {
    prop::collection::vec(net(), 0..=most)
}

fn countries() -> impl Strategy<Value = CountrySet> {
    prop::collection::vec(prop::sample::select(CODES.to_vec()), 0..3).prop_map(|codes| {
        let mut set = CountrySet::EMPTY;
        for code in codes {
            set.insert(Country::from_code(code.as_bytes()).unwrap());
        }
        set
    })
}

pub(super) fn access() -> impl Strategy<Value = Access> {
    let modes = prop_oneof![3 => Just(AccessMode::Enforce), 1 => Just(AccessMode::Observe)];
    let matching = prop_oneof![Just(Matching::All), Just(Matching::Any)];
    (modes, matching, nets(6), nets(4), countries(), countries()).prop_map(
        |(mode, matching, allowed, blocked_cidrs, allowed_in, blocked_countries)| Access {
            mode,
            matching,
            allowed_cidrs: Some(allowed).filter(|nets| !nets.is_empty()),
            blocked_cidrs,
            allowed_countries: Some(allowed_in).filter(|set| !set.is_empty()),
            blocked_countries,
        },
    )
}

/// A policy's whole input.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) config: Config,
    pub(super) places: Option<Vec<(IpNet, &'static str)>>,
    pub(super) gateways: Vec<IpAddr>,
}

impl Input {
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        let places: Vec<_> =
            self.places.as_ref()?.iter().map(|(net, code)| (*net, Place::country(code))).collect();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("geo.mmdb");
        std::fs::write(&path, build(Schema::Country, &places, 1)).unwrap();
        Database::open(&path).ok().map(Arc::new)
    }
}

pub(super) fn input() -> impl Strategy<Value = Input> {
    let places = prop::collection::vec((net(), prop::sample::select(CODES.to_vec())), 1..8);
    let global = (access(), nets(4), nets(2)).prop_map(|(access, country_exempt, never_deny)| {
        GlobalAccess { access, country_exempt, never_deny }
    });
    let gateways = prop::collection::vec(address(), 0..2);
    (global, access(), nets(3), prop::option::of(places), gateways).prop_map(
        |(global, own, accept_from, places, gateways)| {
            let mut config = config(global, own);
            let service = Arc::make_mut(&mut config.services[0]);
            service.proxy_protocol.accept_from = accept_from;
            Input { config, places, gateways }
        },
    )
}

pub(super) fn config(global: GlobalAccess, own: Access) -> Config {
    let service = Service {
        name: "s".into(),
        domain: None,
        listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
        destination: Destination::Host,
        access: own,
        deny: Denial::Drop,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_hours(1),
        max_connections: 1.try_into().unwrap(),
        proxy_protocol: ProxyProtocol::default(),
        forwarding: Forwarding::default(),
        mode: Mode::Tcp,
    };
    Config {
        data_dir: "/d".into(),
        runtime_dir: "/r".into(),
        kernel: Kernel {
            interfaces: None,
            hook: HookChoice { default: Hook::Tc, by_interface: Vec::new() },
            bpffs: "/b".into(),
            max_flows: 1024.try_into().unwrap(),
            required: true,
            nat: Nat::default(),
        },
        geoip: None,
        global,
        log: Log {
            keep: Keep::Forever,
            max_bytes: 1,
            noise_max_bytes: 1,
            commit_interval: Duration::from_millis(1),
            on_overload: Overload::Block,
            on_store_failure: StoreFailure::Proxy,
            deny_records_per_second: 1,
        },
        api: Api {
            listen: ([127, 0, 0, 1], 1).into(),
            domain: None,
            allow: Vec::new(),
            control_group: String::new(),
        },
        http: crate::config::Http::default(),
        tls: crate::config::Tls::default().into(),
        sinks: Vec::new(),
        services: vec![Arc::new(service)],
        digest: [0; 32],
    }
}

/// Borders and middles of what the input names.
pub(super) fn probes(input: &Input) -> Vec<IpAddr> {
    let access = |access: &Access| {
        let allowed = access.allowed_cidrs.iter().flatten();
        allowed.chain(&access.blocked_cidrs).copied().collect::<Vec<_>>()
    };
    let global = &input.config.global;
    let mut nets = access(&global.access);
    nets.extend(access(&input.config.services[0].access));
    nets.extend(&input.config.services[0].proxy_protocol.accept_from);
    nets.extend(global.country_exempt.iter().chain(&global.never_deny));
    nets.extend(input.places.iter().flatten().map(|(net, _)| *net));
    let mut probes = input.gateways.clone();
    for net in nets {
        probes.extend([net.network(), net.broadcast(), middle(&net)]);
        probes.extend([before(net.network()), after(net.broadcast())]);
    }
    probes
}

pub(super) fn middle(net: &IpNet) -> IpAddr {
    match net {
        IpNet::V4(net) => {
            let span = u32::from(net.broadcast()) - u32::from(net.network());
            Ipv4Addr::from(u32::from(net.network()) + span / 2).into()
        }
        IpNet::V6(net) => {
            let span = u128::from(net.broadcast()) - u128::from(net.network());
            Ipv6Addr::from(u128::from(net.network()) + span / 2).into()
        }
    }
}

fn before(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_sub(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_sub(1)).into(),
    }
}

fn after(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add(1)).into(),
    }
}
