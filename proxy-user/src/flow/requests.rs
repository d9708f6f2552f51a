//! Requests of HTTP: each makes a record of its own, whatever becomes of its connection.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    reason::Reason,
};

use super::{
    Now, Tracker,
    limiter::{Attempt, Judge},
};
use crate::record::{Draft, Origin, Source, Verdict};

/// Who hears of requests.
pub trait Requests: Send + Sync + 'static {
    /// A request is over; `draft` is its whole record but for where its client is. Called
    /// exactly once for each, from the task that served it: it does not block.
    fn ended(&self, draft: Box<Draft>);
}

/// Requests of a service by what became of them; those that share a record, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Served.
    pub allowed: u64,
    /// Refused by policy.
    pub denied: u64,
    /// Failed.
    pub error: u64,
}

impl RequestCounts {
    fn add(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Allowed => self.allowed += 1,
            Verdict::Denied => self.denied += 1,
            Verdict::Error => self.error += 1,
        }
    }
}

impl Tracker {
    /// A request is over. Denied ones beyond the limit share records.
    pub fn request(&mut self, draft: Box<Draft>, now: &Now) {
        self.count(&draft);
        match draft.reason {
            Some(reason) if draft.verdict == Verdict::Denied => {
                self.denied_request(draft, reason, now);
            }
            _ => self.record(*draft, Origin::Userspace),
        }
    }

    fn denied_request(&mut self, draft: Box<Draft>, reason: Reason, now: &Now) {
        self.turn(now);
        if self.limiter.take_single() {
            self.record(*draft, Origin::Userspace);
            return;
        }
        let attempt = Attempt {
            service: self.services.number_of_name(&draft.service_id),
            reason,
            key: key(&draft),
            time: now.monotonic,
            judge: Judge::Request(draft),
        };
        self.limiter.aggregate(attempt);
    }

    fn count(&mut self, draft: &Draft) {
        // A name is copied once, not with every request.
        if let Some(counts) = self.requests.get_mut(draft.service_id.as_str()) {
            counts.add(draft.verdict);
        } else {
            self.requests.entry(draft.service_id.to_string()).or_default().add(draft.verdict);
        }
    }
}

/// The client, who is not the peer behind a proxy, and where it asked.
fn key(draft: &Draft) -> FlowKey {
    let nobody = IpAddr::from(Ipv6Addr::UNSPECIFIED);
    let client = match draft.source {
        Source::Address(address) => address,
        Source::Many => nobody,
    };
    let client = SocketAddr::new(client, draft.source_port);
    FlowKey::between(client, SocketAddr::new(nobody, draft.listen_port), PROTOCOL_TCP.into())
}
