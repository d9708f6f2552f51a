//! Reports a session exactly once: when dropped, however that comes about.

use std::{mem::take, net::SocketAddr, sync::Arc, time::Instant};

use super::{
    Bytes, Datagrams, Ended, Fate, Opened, Outcome,
    connect::{DialError, Failed},
    contract::Journal,
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
    datagrams: Datagrams,
    /// What holds if nobody says otherwise: the task panicked or was aborted.
    close_reason: CloseReason,
}

enum Stage {
    /// The address dialled last, where one was.
    Dialling(Option<SocketAddr>),
    Failed(Failed),
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
            stage: Stage::Dialling(None),
            bytes: Bytes::default(),
            datagrams: Datagrams::default(),
            close_reason: CloseReason::Interrupted,
        }
    }

    /// So far was got with dialling.
    pub(super) fn dialling(&mut self, tried: Option<SocketAddr>) {
        self.stage = Stage::Dialling(tried);
    }

    /// The target's address answered.
    pub(super) fn connected(&mut self, target: SocketAddr) {
        self.stage = Stage::Serving(target);
    }

    /// No address of any target did.
    pub(super) fn failed(&mut self, failed: Failed) {
        self.stage = Stage::Failed(failed);
    }

    /// Payload was passed on.
    pub(super) fn moved(&mut self, bytes: Bytes) {
        self.add(bytes);
        self.counters.add(bytes);
    }

    /// Payload was passed on, and is counted already for the service.
    pub(super) fn add(&mut self, bytes: Bytes) {
        self.bytes.up += bytes.up;
        self.bytes.down += bytes.down;
    }

    /// So many datagrams there were.
    pub(super) fn datagrams(&mut self, datagrams: Datagrams) {
        self.datagrams = datagrams;
    }

    /// The session is over.
    pub(super) fn closed(&mut self, reason: CloseReason) {
        self.close_reason = reason;
    }

    fn fate(&mut self) -> Fate {
        let close_reason = self.close_reason;
        match &mut self.stage {
            Stage::Dialling(tried) => {
                let first = || self.session.service.targets().first();
                let name = || first().map_or_else(String::new, ToString::to_string);
                let target = tried.map_or_else(name, |address| address.to_string());
                Fate::Abandoned { target, close_reason }
            }
            Stage::Failed(Failed { target, error: DialError::Timeout }) => {
                Fate::BackendTimeout { target: take(target) }
            }
            Stage::Failed(Failed { target, error: DialError::Unreachable(error) }) => {
                Fate::BackendUnreachable { target: take(target), error: error.to_string() }
            }
            Stage::Serving(address) => Fate::Served {
                target: *address,
                bytes: self.bytes,
                datagrams: self.datagrams,
                close_reason,
            },
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let fate = self.fate();
        self.journal.ended(Ended {
            flow: self.session.flow,
            service: Some(Arc::clone(&self.session.service)),
            introduction: self.session.introduction.take(),
            started: self.session.started,
            ended: Instant::now(),
            outcome: Outcome::Admitted { admission: self.session.admission, fate },
        });
    }
}
