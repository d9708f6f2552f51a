//! The counters of one service.

use std::{hash::Hash, time::Instant};

use ipnet::IpNet;

use super::{
    Locked, Tag,
    counter::{Counter, Rule},
    origin::{TriedFrom, device_rule, prefixes, service_rule},
};
use crate::{config, http::auth::device::DeviceId, record::KeyedMap};

/// Prefixes and devices that are counted at a time, each. A service lets so few tries in
/// a window be made that only locks which last for many windows come near it; then the
/// oldest counter goes, and what is let through stays within the service's own limit.
const MOST: usize = 8192;

pub(super) struct Ledger {
    total: Counter,
    prefixes: KeyedMap<IpNet, Counter>,
    devices: KeyedMap<DeviceId, Counter>,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        let (prefixes, devices) = (KeyedMap::default(), KeyedMap::default());
        Self { total: Counter::new(now), prefixes, devices }
    }

    /// Counts the try in every counter, or in none where one is locked. Whether the value
    /// is known to be wrong, to whoever tries it: what others tried is not told.
    pub(super) fn admit(
        &mut self,
        from: TriedFrom,
        rules: &config::Lockout,
        tag: Tag,
        now: Instant,
    ) -> Result<bool, Locked> {
        let (mut locked, mut known) = (None, true);
        self.each(from, rules, now, |counter, _| {
            locked = locked.max(counter.locked(tag, now));
            known &= counter.is_known_wrong(tag);
        });
        if let Some(retry_after) = locked {
            return Err(Locked { retry_after });
        }
        if !known {
            self.each(from, rules, now, |counter, rule| counter.count(tag, rule, now));
        }
        Ok(known)
    }

    /// Goes through the counters of an origin. A known browser is counted by itself alone,
    /// so that nobody else can lock it out.
    pub(super) fn each(
        &mut self,
        from: TriedFrom,
        rules: &config::Lockout,
        now: Instant,
        mut run: impl FnMut(&mut Counter, &Rule),
    ) {
        if let Some(device) = from.device {
            let rule = device_rule(rules);
            return run(entry(&mut self.devices, device, &rule, now), &rule);
        }
        let rule = service_rule(rules);
        if self.total.is_over(rule.window, now) {
            self.total = Counter::new(now);
        }
        run(&mut self.total, &rule);
        for (prefix, rule) in prefixes(from.client, rules) {
            run(entry(&mut self.prefixes, prefix, &rule, now), &rule);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.prefixes.len() + self.devices.len()
    }
}

/// The counter of `key`, begun anew where nothing in it counts any more.
fn entry<'a, K: Copy + Eq + Hash>(
    counters: &'a mut KeyedMap<K, Counter>,
    key: K,
    rule: &Rule,
    now: Instant,
) -> &'a mut Counter {
    if counters.len() >= MOST && !counters.contains_key(&key) {
        counters.retain(|_, counter| !counter.is_over(rule.window, now));
        let oldest = counters.iter().min_by_key(|(_, counter)| counter.since).map(|(key, _)| *key);
        if let Some(oldest) = oldest.filter(|_| counters.len() >= MOST) {
            counters.remove(&oldest);
        }
    }
    let counter = counters.entry(key).or_insert_with(|| Counter::new(now));
    if counter.is_over(rule.window, now) {
        *counter = Counter::new(now);
    }
    counter
}
