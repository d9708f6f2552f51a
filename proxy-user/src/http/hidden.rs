//! Proxies that nobody has said to trust: behind them clients hide, whom country rules
//! cannot tell apart.

use std::{collections::BTreeSet, net::IpAddr};

use parking_lot::Mutex;

use crate::config::Service;

/// The services of which it was said.
#[derive(Default)]
pub(super) struct Hidden(Mutex<BTreeSet<String>>);

impl Hidden {
    /// Says once for each service that a private `peer` speaks for others.
    pub(super) fn warn(&self, service: &Service, peer: IpAddr) {
        if service.access.asks_country()
            && is_private(peer)
            && self.0.lock().insert(service.name.clone())
        {
            tracing::warn!(
                service = service.name,
                %peer,
                "a private address sends X-Forwarded-For and is not in http.trusted_proxies: \
                 country rules take it for the client, and do not exempt it"
            );
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}
