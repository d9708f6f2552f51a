//! Who tries: what a try is counted by.

use std::net::IpAddr;

use ipnet::IpNet;

use super::counter::Rule;
use crate::{config, http::auth::device::DeviceId};

/// Tries at one service in one window, from all clients that are not known.
const PER_SERVICE: u32 = 300;
/// Whoever has a /56 or a /48 has many /64, so that those are counted together. How many
/// times the tries of a /64 (RFC 6177 has what a site is given).
const WIDER: [(u8, u32); 3] = [(64, 1), (56, 4), (48, 10)];
const WIDEST: u32 = 10;

/// Who tries.
#[derive(Clone, Copy, Debug)]
pub(in crate::http::auth) struct TriedFrom {
    /// The client's address.
    pub(in crate::http::auth) client: IpAddr,
    /// The browser, where it has signed in before.
    pub(in crate::http::auth) device: Option<DeviceId>,
}

/// The prefixes that an address is counted by, each with the rule for it.
pub(super) fn prefixes(client: IpAddr, rules: &config::Lockout) -> Vec<(IpNet, Rule)> {
    let rule = |times: u32| Rule {
        limit: rules.attempts.saturating_mul(times),
        window: rules.window,
        duration: Some(rules.duration),
    };
    match client.to_canonical() {
        address @ IpAddr::V4(_) => vec![(IpNet::from(address), rule(1))],
        address @ IpAddr::V6(_) => {
            let prefix = |length| IpNet::new(address, length).map(|net| net.trunc());
            let all = WIDER.into_iter();
            all.filter_map(|(length, times)| Some((prefix(length).ok()?, rule(times)))).collect()
        }
    }
}

/// Of a browser that signed in before.
pub(super) fn device_rule(rules: &config::Lockout) -> Rule {
    Rule { limit: rules.attempts, window: rules.window, duration: Some(rules.duration) }
}

/// Of the service: never so few that one site alone could use it up.
pub(super) fn service_rule(rules: &config::Lockout) -> Rule {
    let limit = PER_SERVICE.max(rules.attempts.saturating_mul(WIDEST));
    Rule { limit, window: rules.window, duration: None }
}
