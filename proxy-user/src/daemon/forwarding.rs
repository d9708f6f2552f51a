//! What the engine does for the kernel plane: answers that BPF cannot send, handshakes that
//! come to nothing, translations that are over.

use std::{
    collections::BTreeSet,
    error::Error,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use proxy_common::{
    address::FlowKey,
    event::{PlaneEvent, Plea},
    flow::FlowState,
    nat::{TargetSlot, Translation},
    tables::ServiceSlot,
};

use super::engine::Engine;
use crate::{
    datapath::{DatapathError, ForwardedFlows},
    flow::Now,
    record::FlowId,
};

/// Between two looks at handshakes under way.
const DIALS: Duration = Duration::from_millis(100);
/// How long a flow that is over goes on being translated: as long as TCP's longest pause
/// between two last packets (RFC 9293, 3.4.2).
const LINGER: u64 = 60_000_000_000;

/// A target that cannot be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetFailure {
    pub(super) service: ServiceSlot,
    pub(super) target: TargetSlot,
    pub(super) error: &'static str,
}

impl Engine {
    /// Does something with what the kernel plane has; a failure is logged.
    pub(super) fn plane(
        &mut self,
        act: impl FnOnce(&mut ForwardedFlows) -> Result<(), DatapathError>,
    ) {
        let Some(kernel) = &mut self.kernel else { return };
        if let Err(error) = act(&mut kernel.forwarded) {
            tracing::error!(error = &error as &dyn Error, "the kernel plane's tables fail");
        }
    }

    /// Looks at handshakes under way, every now and then.
    pub(super) fn look_at_dials(&mut self) {
        if self.dials_seen.elapsed() < DIALS {
            return;
        }
        self.dials_seen = Instant::now();
        let Some(kernel) = &self.kernel else { return };
        self.tracker.look_at_dials(kernel.forwarded.dials(), &Now::read());
        self.act();
    }

    /// What the kernel plane asks for.
    pub(super) fn plea(&mut self, event: &PlaneEvent, now: &Now) {
        match Plea::from_number(event.plea) {
            Some(plea @ (Plea::Refused | Plea::RefusedOne)) => self.refused(plea, event, now),
            Some(Plea::Cut) => self.tell(event, Answer::Reset),
            Some(Plea::TooBig) => self.tell(event, Answer::TooBig),
            None => {}
        }
    }

    fn refused(&mut self, plea: Plea, event: &PlaneEvent, now: &Now) {
        let Some(kernel) = &self.kernel else { return };
        // One that cannot be read is looked at with all others.
        let Ok(Some(state)) = kernel.forwarded.dial(&event.key) else { return };
        let flow = FlowId { key: event.key, started: state.started };
        self.tracker.refused_by_target(plea, flow, &state, now);
    }

    /// Answers who sent a packet of a forwarded flow, at the rate of all answers.
    fn tell(&mut self, event: &PlaneEvent, answer: Answer) {
        if !self.may_answer() {
            return;
        }
        let (Some(resetter), Some(kernel)) = (&self.resetter, &self.kernel) else { return };
        // Seen from who is told.
        let key = if event.down == 0 {
            event.key
        } else {
            match kernel.forwarded.ends(&event.key) {
                Ok(Some(ends)) => towards(ends, event.key.protocol),
                _ => return,
            }
        };
        let told = match answer {
            Answer::Reset => resetter.reset(&key, &event.segment),
            Answer::TooBig => resetter.too_big(&key, &event.segment, event.mtu),
        };
        if let Err(error) = told {
            tracing::debug!(%error, "an answer of the kernel plane could not be sent");
        }
    }

    /// Ends both sides of a forwarded flow.
    pub(super) fn reset_forwarded(&self, flow: &FlowKey, state: &FlowState) -> io::Result<()> {
        let (Some(resetter), Some(kernel)) = (&self.resetter, &self.kernel) else {
            return Ok(());
        };
        let ends = kernel.forwarded.ends(flow).map_err(io::Error::other)?;
        if let Some(ends) = ends {
            resetter.cut_half(&towards(ends, flow.protocol), &state.up)?;
        }
        Ok(resetter.cut(flow, state)?)
    }

    /// Tells a client that no target takes it.
    pub(super) fn refuse(&self, key: &FlowKey, sequence: u32) {
        let refused = self.resetter.as_ref().map(|resetter| resetter.refuse(key, sequence));
        if let Some(Err(error)) = refused {
            tracing::debug!(%error, "a client could not be told that no target takes it");
        }
    }

    pub(super) fn tell_target(
        &self,
        service: ServiceSlot,
        target: TargetSlot,
        error: &'static str,
    ) {
        // Nobody hears it who has ended.
        let _ = self.failures.send(TargetFailure { service, target, error });
    }

    /// Removes translations that are over, and those of no flow at all, which a crash may
    /// have left.
    pub(super) fn clear_translations(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let now = Now::read().monotonic;
        let (mut over, mut orphans) = (Vec::new(), BTreeSet::new());
        let mut dialled = None;
        for (key, way) in kernel.forwarded.translations() {
            if way.has(Translation::DOWN) {
                continue;
            }
            if way.closed != 0 {
                over.extend((now.saturating_sub(way.closed) > LINGER).then_some(key));
            } else if kernel.flows.get(&key).is_ok_and(|flow| flow.is_none()) {
                let dials = dialled.get_or_insert_with(|| -> BTreeSet<FlowKey> {
                    kernel.forwarded.dials().map(|(key, _)| key).collect()
                });
                if !dials.contains(&key) {
                    orphans.insert(key);
                }
            }
        }
        over.extend(orphans.intersection(&self.orphans));
        self.orphans = orphans;
        for key in over {
            if let Err(error) = kernel.forwarded.release(&key) {
                tracing::error!(error = &error as &dyn Error, "a translation cannot be removed");
            }
        }
    }
}

/// What a sender is told.
#[derive(Clone, Copy)]
enum Answer {
    Reset,
    TooBig,
}

/// The 5-tuple of the target's side, seen as if the target were the client.
fn towards((source, target): (SocketAddr, SocketAddr), protocol: u32) -> FlowKey {
    FlowKey::between(target, source, protocol)
}
