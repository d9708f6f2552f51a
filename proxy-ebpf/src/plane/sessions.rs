//! How many sessions targets and services have.

use aya_ebpf::maps::Array;
use proxy_common::{
    balance::Sessions,
    flow::FlowState,
    nat::{TargetSlot, of_service},
    tcp::Cells,
};

use crate::{
    atomics::Shared,
    maps::{FORGOTTEN, SESSIONS_CLOSED, SESSIONS_OPENED, SESSIONS_TAKEN},
};

/// Sessions, from counters that only grow: a flow that begins on one CPU may end on
/// another, or be ended by the daemon.
pub struct Counted;

impl Counted {
    #[inline(always)]
    pub fn now(counter: u32) -> u64 {
        let of = |cell: Option<&u64>| cell.copied().unwrap_or(0);
        let opened = of(SESSIONS_OPENED.get(counter));
        let ended = of(SESSIONS_CLOSED.get(counter)) + of(SESSIONS_TAKEN.get(counter));
        opened.saturating_sub(ended)
    }
}

impl Sessions for Counted {
    #[inline(always)]
    fn of(&self, slot: TargetSlot) -> u64 {
        Self::now(slot.into())
    }

    #[inline(always)]
    fn forget(&self, value: u64) -> u64 {
        forget(value)
    }
}

/// The same value, of which the verifier knows nothing: it went through a map.
#[inline(always)]
pub fn forget(value: u64) -> u64 {
    let Some(cell) = FORGOTTEN.get_ptr_mut(0) else { return value };
    // SAFETY: this CPU's own map value, which no other program uses meanwhile.
    unsafe {
        cell.write_volatile(value);
        cell.read_volatile()
    }
}

/// A forwarded flow began.
#[inline(always)]
pub fn began(flow: &FlowState) {
    count(&SESSIONS_OPENED, flow);
}

/// A forwarded flow is over.
#[inline(always)]
pub fn over(flow: &FlowState) {
    count(&SESSIONS_CLOSED, flow);
}

/// Counts a flow at its target and at its service.
#[inline(always)]
fn count(cells: &Array<u64>, flow: &FlowState) {
    for counter in [u32::from(flow.target), of_service(flow.service)] {
        if let Some(cell) = cells.get_ptr_mut(counter) {
            // SAFETY: a map value, valid for the program's run.
            Shared::add(unsafe { &mut *cell }, 1);
        }
    }
}
