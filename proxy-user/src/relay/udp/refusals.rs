//! What is told of those whom no session was opened for: of each once, and of a flood
//! its size.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use proxy_common::{address::FlowKey, reason::Reason};
use tokio::time::sleep_until;

use crate::{
    config::Service,
    relay::{Admission, Ended, Fate, Outcome, contract::Journal},
};

/// Single reports in a second.
const MOST_SINGLE: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(1);

/// The reports of one socket.
pub(super) struct Refusals {
    journal: Arc<dyn Journal>,
    since: Instant,
    told: u32,
    /// What is to be told together when the second is over, by service and reason.
    rest: BTreeMap<(String, Reason), (Arc<Service>, u64)>,
}

impl Refusals {
    pub(super) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, since: Instant::now(), told: 0, rest: BTreeMap::new() }
    }

    /// Tells of one, or counts it.
    pub(super) fn tell(
        &mut self,
        flow: FlowKey,
        service: &Arc<Service>,
        started: Instant,
        refusal: Refusal,
    ) {
        let (now, service) = (Instant::now(), Arc::clone(service));
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.turn(now);
        }
        if self.told < MOST_SINGLE {
            self.told += 1;
            let outcome = refusal.outcome();
            let service = Some(service);
            let (introduction, ended) = (None, now);
            return self.journal.ended(Ended {
                flow,
                service,
                introduction,
                started,
                ended,
                outcome,
            });
        }
        let rest = self.rest.entry((service.name.clone(), refusal.reason()));
        rest.or_insert((service, 0)).1 += 1;
    }

    /// Comes when [`Self::turn`] is due.
    pub(super) async fn due(&self) {
        if self.rest.is_empty() {
            return pending().await;
        }
        sleep_until((self.since + WINDOW).into()).await;
    }

    /// Tells what was counted, and begins another second.
    pub(super) fn turn(&mut self, now: Instant) {
        (self.since, self.told) = (now, 0);
        for ((_, reason), (service, attempts)) in std::mem::take(&mut self.rest) {
            self.journal.refused(&service, reason, attempts);
        }
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        self.turn(Instant::now());
    }
}

/// Why one is turned away.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    /// The gate denies it.
    Denied(Reason),
    /// [`crate::relay::Intake::Refuse`]
    Intake,
    /// There is no place for another session.
    OverLimit(Admission),
}

impl Refusal {
    fn reason(self) -> Reason {
        match self {
            Self::Denied(reason) => reason,
            Self::Intake | Self::OverLimit(_) => Reason::ConnectionLimit,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Denied(reason) => Outcome::Denied(reason),
            Self::Intake => Outcome::Refused,
            Self::OverLimit(admission) => {
                Outcome::Admitted { admission, fate: Fate::ConnectionLimit }
            }
        }
    }
}
