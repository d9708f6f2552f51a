//! Reports a session exactly once: when dropped, however that comes about.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use super::{
    Bytes, Ended, Fate, Opened, Outcome,
    contract::Journal,
    dial::{self, DialError},
    stats::Counters,
};
use crate::record::CloseReason;

/// Follows an opened session to its end.
pub(super) struct Sensor {
    journal: Arc<dyn Journal>,
    counters: Arc<Counters>,
    session: Opened,
    stage: Stage,
    bytes: Bytes,
    /// What holds if nobody says otherwise: the task panicked or was aborted.
    close_reason: CloseReason,
}

enum Stage {
    Dialling,
    Failed(DialError),
    Serving(SocketAddr),
}

impl Sensor {
    /// Reports the session as opened.
    pub(super) fn open(
        journal: Arc<dyn Journal>,
        counters: Arc<Counters>,
        session: Opened,
    ) -> Self {
        journal.opened(&session);
        Self {
            journal,
            counters,
            session,
            stage: Stage::Dialling,
            bytes: Bytes::default(),
            close_reason: CloseReason::Interrupted,
        }
    }

    /// The target's address answered.
    pub(super) fn connected(&mut self, target: SocketAddr) {
        self.stage = Stage::Serving(target);
    }

    /// No address of the target did.
    pub(super) fn failed(&mut self, error: DialError) {
        self.stage = Stage::Failed(error);
    }

    /// Payload was passed on.
    pub(super) fn moved(&mut self, bytes: Bytes) {
        self.bytes.up += bytes.up;
        self.bytes.down += bytes.down;
        self.counters.add(bytes);
    }

    /// The session is over.
    pub(super) fn closed(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    fn fate(&mut self) -> Fate {
        let target = || dial::name(&self.session.service.target);
        let close_reason = self.close_reason;
        match &self.stage {
            Stage::Dialling => Fate::Abandoned { target: target(), close_reason },
            Stage::Failed(DialError::Timeout) => Fate::BackendTimeout { target: target() },
            Stage::Failed(DialError::Unreachable(error)) => {
                Fate::BackendUnreachable { target: target(), error: error.to_string() }
            }
            Stage::Serving(address) => {
                Fate::Served { target: *address, bytes: self.bytes, close_reason }
            }
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let fate = self.fate();
        self.journal.ended(Ended {
            flow: self.session.flow,
            service: Arc::clone(&self.session.service),
            started: self.session.started,
            ended: Instant::now(),
            outcome: Outcome::Admitted { admission: self.session.admission, fate },
        });
    }
}
