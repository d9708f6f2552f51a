//! What is known of the relay's UDP sessions, by 5-tuple.

use std::{collections::BTreeMap, time::Duration};

use proxy_common::{address::FlowKey, tables::ServiceSlot};

use super::FlowPast;
use crate::record::KeyedMap;

/// How long a datagram may wait in the relay's socket before it begins a session.
const DATAGRAM_WAITS: u64 = 30_000_000_000;
/// A refused attempt is one until so long a silence (SPEC 5).
const ATTEMPT_LASTS: Duration = Duration::from_mins(2);
/// What the sweep may be late by.
const SWEPT_BY: Duration = Duration::from_secs(15);

/// Sessions that are open, and what 5-tuples without one still have to be told apart by.
/// Times are of the kernel's monotonic clock.
#[derive(Debug, Default)]
pub(super) struct UdpSessions {
    known: KeyedMap<FlowKey, Known>,
    /// Refused attempts of which only the number is known.
    refused: BTreeMap<ServiceSlot, Refused>,
}

#[derive(Debug, Default)]
struct Known {
    /// Sessions that were opened and have not ended.
    open: u32,
    /// A session that begins before may have been counted in a flow that was taken.
    shared_until: u64,
    /// A flow whose last packet was before is of an attempt that was refused and told.
    refused_until: u64,
    /// The last packet that is known of that attempt.
    refused_at: u64,
    /// It was told by another process, of which the relay here knows nothing.
    refused_elsewhere: bool,
}

#[derive(Debug, Default)]
struct Refused {
    attempts: u64,
    until: u64,
}

impl UdpSessions {
    pub(super) fn opened(&mut self, key: FlowKey) {
        self.known.entry(key).or_default().open += 1;
    }

    /// Leaves everything of 5-tuples to another process: open sessions, each as often as
    /// it is, and what is recorded.
    pub(super) fn hand_over(&mut self, open: &mut Vec<FlowKey>) -> Vec<FlowPast> {
        let mut past = Vec::new();
        for (flow, known) in self.known.drain() {
            let Known { open: sessions, shared_until, refused_until, refused_at, .. } = known;
            open.extend((0..sessions).map(|_| flow));
            let anything = shared_until > 0 || refused_until > 0;
            let of_flow = FlowPast { flow, shared_until, refused_until, refused_at };
            past.extend(anything.then_some(of_flow));
        }
        past
    }

    /// Leaves attempts that were told by their number, and until when their flows may be
    /// found.
    pub(super) fn hand_over_refused(&mut self) -> Vec<(ServiceSlot, u64, u64)> {
        let refused = std::mem::take(&mut self.refused).into_iter();
        refused.map(|(service, Refused { attempts, until })| (service, attempts, until)).collect()
    }

    /// Takes over what another process recorded of a 5-tuple.
    pub(super) fn take_over(&mut self, past: FlowPast) {
        let known = self.known.entry(past.flow).or_default();
        known.shared_until = known.shared_until.max(past.shared_until);
        if past.refused_until > known.refused_until {
            known.refused_until = past.refused_until;
            known.refused_at = past.refused_at;
            known.refused_elsewhere = true;
        }
    }

    /// Takes over attempts that another process told by their number.
    pub(super) fn take_over_refused(&mut self, service: ServiceSlot, attempts: u64, until: u64) {
        let refused = self.refused.entry(service).or_default();
        refused.attempts += attempts;
        refused.until = refused.until.max(until);
    }

    pub(super) fn ended(&mut self, key: &FlowKey) {
        if let Some(known) = self.known.get_mut(key) {
            known.open = known.open.saturating_sub(1);
            if known.open == 0 && known.shared_until == 0 && known.refused_until == 0 {
                self.known.remove(key);
            }
        }
    }

    pub(super) fn is_open(&self, key: &FlowKey) -> bool {
        self.known.get(key).is_some_and(|known| known.open > 0)
    }

    /// A flow was taken that may hold datagrams of a session to come, or of one that is
    /// open.
    pub(super) fn share(&mut self, key: FlowKey, now: u64) {
        self.known.entry(key).or_default().shared_until = now + DATAGRAM_WAITS;
    }

    /// Whether a session that began then may have been counted in the flow of the one
    /// before it.
    pub(super) fn is_shared(&self, key: &FlowKey, began: u64) -> bool {
        self.known.get(key).is_some_and(|known| began <= known.shared_until)
    }

    /// An attempt was refused and is told.
    pub(super) fn refuse(&mut self, key: FlowKey, idle_timeout: Duration, now: u64) {
        let known = self.known.entry(key).or_default();
        known.refused_until = kept_until(idle_timeout, now);
        known.refused_at = now;
        known.refused_elsewhere = false;
    }

    /// Whether one that the relay refuses, and came then, is of an attempt that another
    /// process told. What this one's refused before the relay tells apart by itself.
    pub(super) fn is_told_elsewhere(&self, key: &FlowKey, came: u64) -> bool {
        self.known
            .get(key)
            .is_some_and(|known| known.refused_elsewhere && is_one(known.refused_at, came))
    }

    /// Whether an attempt was refused and told, lately.
    pub(super) fn was_refused(&self, key: &FlowKey) -> bool {
        self.known.get(key).is_some_and(|known| known.refused_until > 0)
    }

    /// A flow without a session goes on: so does the attempt, if it was refused.
    pub(super) fn go_on(&mut self, key: &FlowKey, idle_timeout: Duration, last_packet: u64) {
        if let Some(known) = self.known.get_mut(key)
            && known.refused_until >= last_packet
        {
            known.refused_until = kept_until(idle_timeout, last_packet);
            if is_one(known.refused_at, last_packet) {
                known.refused_at = known.refused_at.max(last_packet);
            }
        }
    }

    /// Attempts were refused and are told, by their number.
    pub(super) fn refuse_some(
        &mut self,
        service: ServiceSlot,
        attempts: u64,
        idle_timeout: Duration,
        now: u64,
    ) {
        let refused = self.refused.entry(service).or_default();
        refused.attempts += attempts;
        refused.until = kept_until(idle_timeout, now);
    }

    /// Whether a flow that had no session is of an attempt that is told already.
    pub(super) fn is_told(&mut self, key: &FlowKey, service: ServiceSlot, last: u64) -> bool {
        if self.known.get(key).is_some_and(|known| last <= known.refused_until) {
            return true;
        }
        let Some(refused) = self.refused.get_mut(&service) else { return false };
        let is_told = refused.attempts > 0;
        refused.attempts = refused.attempts.saturating_sub(1);
        is_told
    }

    /// Forgets what nothing can ask for any more.
    pub(super) fn expire(&mut self, now: u64) {
        self.known.retain(|_, known| {
            known.open > 0 || known.shared_until > now || known.refused_until > now
        });
        self.refused.retain(|_, refused| refused.attempts > 0 && refused.until > now);
    }
}

/// Whether two packets of a 5-tuple that is refused are of one attempt.
fn is_one(before: u64, after: u64) -> bool {
    Duration::from_nanos(after.saturating_sub(before)) < ATTEMPT_LASTS
}

/// Until a flow without a session has surely been found.
fn kept_until(idle_timeout: Duration, now: u64) -> u64 {
    let kept = idle_timeout.max(ATTEMPT_LASTS).saturating_add(SWEPT_BY);
    now.saturating_add(u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX))
}
