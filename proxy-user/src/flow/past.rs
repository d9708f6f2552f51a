//! What the tracker of one process tells that of the next, which finds it neither in the
//! kernel's maps nor in the store. Times are of the kernel's monotonic clock, nanoseconds,
//! which is the same in every process.

use proxy_common::address::FlowKey;

use super::Ended;

/// Relayed connections that have no record yet, and what records told of UDP stand for.
#[derive(Debug, Default)]
pub struct Unreported {
    /// Each whose report is among [`Self::reports`], or comes when it ends.
    pub expected: Vec<FlowKey>,
    /// Reports that waited for the kernel's view, those of a 5-tuple in their order.
    pub reports: Vec<Ended>,
    /// Of UDP.
    pub past: UdpPast,
}

/// What was recorded of UDP and is yet to be told apart from what comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UdpPast {
    /// By 5-tuple.
    pub flows: Vec<FlowPast>,
    /// By service.
    pub refused: Vec<RefusedByNumber>,
}

/// What was recorded of a 5-tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowPast {
    /// The 5-tuple.
    pub flow: FlowKey,
    /// A session that begins before may have been counted in a flow that was taken.
    pub shared_until: u64,
    /// A flow whose last packet was before is of an attempt that was refused and told.
    pub refused_until: u64,
    /// The last packet that is known of that attempt.
    pub refused_at: u64,
}

/// Attempts that were refused and told by their number alone: of so many more flows no
/// record is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedByNumber {
    /// The service's name.
    pub service: String,
    /// How many.
    pub attempts: u64,
    /// Flows that are found later are of others.
    pub until: u64,
}
