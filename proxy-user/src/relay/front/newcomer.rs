//! Reports a connection that no session is opened for, when dropped, however that comes
//! about.

use std::{sync::Arc, time::Instant};

use proxy_common::{address::FlowKey, reason::Reason};

use crate::{
    config::Service,
    flow::{Admission, Ended, Failure, Introduction, Opened, Outcome},
    record::CloseReason,
    relay::contract::Journal,
};

/// An accepted connection before its session.
pub(in crate::relay) struct Newcomer {
    journal: Arc<dyn Journal>,
    flow: FlowKey,
    started: Instant,
    /// Known before a byte is read only where no other service could be meant.
    service: Option<Arc<Service>>,
    introduction: Introduction,
    /// `None` once a session reports it.
    outcome: Option<Outcome>,
}

impl Newcomer {
    pub(in crate::relay) fn new(
        journal: Arc<dyn Journal>,
        flow: FlowKey,
        service: Option<Arc<Service>>,
    ) -> Self {
        // It holds if nobody says otherwise: the task panicked or was aborted.
        let close_reason = Some(CloseReason::Interrupted);
        let interrupted = Failure { close_reason, ..Failure::of(Reason::TlsHandshakeFailed) };
        Self {
            journal,
            flow,
            started: Instant::now(),
            service,
            introduction: Introduction::default(),
            outcome: Some(Outcome::Unserved(interrupted)),
        }
    }

    /// When it was accepted.
    pub(in crate::relay) fn started(&self) -> Instant {
        self.started
    }

    /// What it tells of itself.
    pub(in crate::relay) fn introduction(&mut self) -> &mut Introduction {
        &mut self.introduction
    }

    /// It ends so; by a service where one is given.
    pub(in crate::relay) fn ends(&mut self, service: Option<Arc<Service>>, outcome: Outcome) {
        self.service = service.or(self.service.take());
        self.outcome = Some(outcome);
    }

    /// Hands it to a session, which reports it from now on.
    pub(in crate::relay) fn open(mut self, service: Arc<Service>, admission: Admission) -> Opened {
        self.outcome = None;
        let (flow, started) = (self.flow, self.started);
        Opened { flow, service, introduction: self.introduced(), admission, started }
    }

    /// Nothing where nothing was told.
    fn introduced(&mut self) -> Option<Box<Introduction>> {
        let introduction = std::mem::take(&mut self.introduction);
        (introduction != Introduction::default()).then(|| Box::new(introduction))
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let Some(outcome) = self.outcome.take() else { return };
        let (service, introduction) = (self.service.take(), self.introduced());
        self.journal.ended(Ended {
            flow: self.flow,
            service,
            introduction,
            started: self.started,
            ended: Instant::now(),
            outcome,
        });
    }
}
