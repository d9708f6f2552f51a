//! What the kernel tells the daemon through the ring buffer.

use crate::{address::FlowKey, flow::FlowState, packet::Segment, tables::ServiceSlot};

/// First field of every event.
pub const KIND_DENIED: u32 = 1;
/// See [`ClosedEvent`].
pub const KIND_CLOSED: u32 = 2;
/// See [`CutEvent`].
pub const KIND_CUT: u32 = 3;

/// Where a verdict was given.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// TC ingress.
    Tc = 1,
    /// XDP in the driver or the generic one.
    Xdp = 2,
}

/// A denied attempt: a new one, or for a service with `deny = "reset"` each
/// packet of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedEvent {
    /// [`KIND_DENIED`].
    pub kind: u32,
    /// The CPU whose counter `ordinal` is of.
    pub cpu: u32,
    /// Value of that CPU's attempt counter for this service and reason, this
    /// attempt included; 0 for a repeat. A gap between two is a lost event.
    pub ordinal: u64,
    /// Coarse monotonic clock, nanoseconds.
    pub time: u64,
    /// Who tried to reach what.
    pub key: FlowKey,
    /// The packet.
    pub segment: Segment,
    /// The service.
    pub service: ServiceSlot,
    /// [`crate::reason::Reason`] as a number.
    pub reason: u8,
    /// [`Hook`] as a number.
    pub hook: u8,
    /// Interface index.
    pub interface: u32,
}

const _: () = assert!(size_of::<DeniedEvent>() == 88);

/// A flow ended, or a new SYN took the place of an ended flow that was not yet
/// recorded.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedEvent {
    /// [`KIND_CLOSED`].
    pub kind: u32,
    /// 1 where the entry is gone from the map because a new SYN took its place.
    pub replaced: u32,
    /// The flow.
    pub key: FlowKey,
    /// Its last state.
    pub state: FlowState,
}

const _: () = assert!(size_of::<ClosedEvent>() == 168);

/// An established flow is denied by a new policy; its packets are dropped from
/// here on, and the daemon resets it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutEvent {
    /// [`KIND_CUT`].
    pub kind: u32,
    /// Zero.
    pub pad: u32,
    /// The flow.
    pub key: FlowKey,
}

const _: () = assert!(size_of::<CutEvent>() == 48);
