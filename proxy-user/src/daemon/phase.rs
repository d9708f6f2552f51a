//! How far the daemon is between start and stop, and whether it can be relied on.

use super::core::Core;
use crate::{relay::Intake, store::Pressure};

/// Where in its life the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not everything is up.
    Starting,
    /// Serving.
    Running,
    /// Another process gets the listeners. It may fail yet.
    HandingOver,
    /// Sessions may finish; nothing is published any more.
    Stopping,
}

impl Core {
    /// Where in its life the daemon is.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// From here on nothing is published. When this returns, no change is under way.
    pub(super) async fn enter_stopping(&self) {
        self.enter(Phase::Stopping);
        drop(self.changes.lock().await);
    }

    /// Whether the services are up, judged wherever they must be, and recorded or not
    /// refused for want of a record.
    pub(super) fn ready(&self) -> bool {
        let judged = !self.config.load().kernel.required
            || (self.kernel_fault.is_none() && self.coverage.lock().gaps().next().is_none());
        self.phase() == Phase::Running && judged && self.writer.pressure() != Pressure::Refuse
    }

    /// What the relay is to do with what arrives.
    pub(super) fn intake(&self) -> Intake {
        match self.writer.pressure() {
            Pressure::None => Intake::Accept,
            Pressure::Full => Intake::Hold,
            Pressure::Refuse => Intake::Refuse,
        }
    }
}
