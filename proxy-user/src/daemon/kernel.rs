//! The kernel's side, as the engine reads it; absent where eBPF cannot be loaded.

use proxy_common::{address::FlowKey, flow::FlowState, outcome::Outcome, tables::ServiceSlot};

use crate::{
    datapath::{Counters, Denials, Event, Events, Flows, ForwardedFlows},
    flow::{Count, FlowTable},
    record::{CounterId, FlowId},
};

/// Flow map, counters and ring buffer.
pub(super) struct Kernel {
    pub(super) epoch: u64,
    pub(super) events: Events,
    pub(super) flows: Flows,
    pub(super) forwarded: ForwardedFlows,
    pub(super) counters: Counters,
}

impl Kernel {
    /// The counters of denied attempts of these services.
    pub(super) fn counts(&self, slots: &[ServiceSlot]) -> Vec<Count> {
        let denials = self.denials(slots);
        denials.iter().map(|denials| count(self.epoch, denials)).collect()
    }

    /// Denials of these services; what cannot be read now is read the next time.
    pub(super) fn denials(&self, slots: &[ServiceSlot]) -> Vec<Denials> {
        self.counters.denials(slots.iter().copied()).unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "denials cannot be read");
            Vec::new()
        })
    }

    /// What became of packets.
    pub(super) fn outcomes(&self) -> Vec<(Outcome, u64)> {
        self.counters.outcomes().unwrap_or_default()
    }

    /// The next event.
    pub(super) fn take(&mut self) -> Option<Event> {
        self.events.take()
    }

    /// Deletes a flow's entry. One that stays is found by the sweep.
    pub(super) fn delete(&mut self, flow: &FlowId) {
        match self.flows.remove(flow) {
            // What the kernel saw no end of is not forwarded any more.
            Ok(Some(state)) if !state.has(FlowState::ENDED) => self.release(&flow.key, &state),
            Ok(_) => {}
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "a flow's entry cannot be deleted"
            ),
        }
    }

    /// Ends the translation of a flow that the kernel saw no end of.
    fn release(&mut self, key: &FlowKey, state: &FlowState) {
        if !state.has(FlowState::FORWARDED) {
            return;
        }
        let released =
            self.forwarded.release(key).and_then(|()| self.forwarded.session_taken(state));
        if let Err(error) = released {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a flow's translation cannot be removed"
            );
        }
    }
}

fn count(epoch: u64, denials: &Denials) -> Count {
    let counter = CounterId {
        epoch,
        service: denials.service,
        reason: denials.reason as u8,
        cpu: denials.cpu,
    };
    Count { counter, attempts: denials.count.attempts }
}

impl FlowTable for Option<Kernel> {
    fn all(&self) -> impl Iterator<Item = (FlowKey, FlowState)> {
        self.iter().flat_map(|kernel| kernel.flows.all())
    }

    fn take(&mut self, key: &FlowKey) -> Option<FlowState> {
        let kernel = self.as_mut()?;
        let taken = kernel.flows.take(key);
        if let Ok(Some(state)) = &taken {
            kernel.release(key, state);
        }
        taken.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a flow cannot be taken out of the map"
            );
            None
        })
    }

    fn get(&self, key: &FlowKey) -> Option<FlowState> {
        // An entry that cannot be read is told by its event or the sweep.
        self.as_ref().and_then(|kernel| kernel.flows.get(key).ok().flatten())
    }
}
