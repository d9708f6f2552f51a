//! What the kernel tells the daemon through the ring buffer.

use crate::{address::FlowKey, flow::FlowState, packet::Segment, tables::ServiceSlot};

/// First field of every event.
pub const KIND_DENIED: u32 = 1;
/// See [`ClosedEvent`].
pub const KIND_CLOSED: u32 = 2;
/// See [`CutEvent`].
pub const KIND_CUT: u32 = 3;
/// See [`PlaneEvent`].
pub const KIND_PLANE: u32 = 4;

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

/// What the kernel plane has the daemon see to, since BPF cannot send packets of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneEvent {
    /// [`KIND_PLANE`].
    pub kind: u32,
    /// [`Plea`] as a number.
    pub plea: u8,
    /// 1 where the packet came from the target.
    pub down: u8,
    /// [`Plea::TooBig`]: the most bytes of an IP packet that its way carries.
    pub mtu: u16,
    /// The flow, seen from the service.
    pub key: FlowKey,
    /// The packet that gave rise to it.
    pub segment: Segment,
}

const _: () = assert!(size_of::<PlaneEvent>() == 64);

/// What is to be seen to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plea {
    /// The target refused a client's SYN, and the client hears of it.
    Refused = 1,
    /// The packet was dropped because of its size, and its sender is to be told.
    TooBig = 2,
    /// The flow is cut, and who sent the packet does not know.
    Cut = 3,
    /// The target refused a client's SYN, and the client is to try another.
    RefusedOne = 4,
}

impl Plea {
    /// From its number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Refused),
            2 => Some(Self::TooBig),
            3 => Some(Self::Cut),
            4 => Some(Self::RefusedOne),
            _ => None,
        }
    }
}

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
