//! A flow's state, as the kernel map holds it.

use crate::{
    address::FlowKey,
    nat::TargetSlot,
    reason::Reason,
    tables::{Listener, ServiceSlot},
    verdict::Judgement,
};

/// One flow: a 5-tuple may have several, one after another.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId {
    /// The 5-tuple.
    pub key: FlowKey,
    /// Its start, [`FlowState::started`].
    pub started: u64,
}

const _: () = assert!(size_of::<FlowId>() == 48);

/// One direction of a flow. Positions are 64-bit offsets from `base`; a UDP flow has no
/// such thing, and its `acked` counts payload bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Sequence number of position 0: the first payload byte, or where the flow
    /// was met.
    pub base: u32,
    /// 1 once `base` is known.
    pub known: u32,
    /// Highest position sent, a FIN included; of the client's, in order.
    pub sent: u64,
    /// Highest position that the other end acknowledged.
    pub acked: u64,
    /// Position of the FIN, plus 1; 0 where none was seen.
    pub fin: u64,
    /// Wire packets.
    pub packets: u64,
}

impl Half {
    /// Payload bytes: of TCP those that the receiving end acknowledged.
    #[inline]
    pub const fn payload(&self) -> u64 {
        if self.fin_acked() { self.acked - 1 } else { self.acked }
    }

    /// Whether the FIN itself is acknowledged. A FIN that data was acknowledged
    /// beyond was never the stream's end, but forged.
    #[inline]
    pub const fn fin_acked(&self) -> bool {
        self.fin != 0 && self.acked == self.fin
    }
}

/// A flow, half-open or established; a UDP flow begins with its client's first datagram,
/// answered or not. Times are nanoseconds of the coarse monotonic clock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowState {
    /// First packet, precisely; with the key, the flow's identity.
    pub started: u64,
    /// Last packet.
    pub last_packet: u64,
    /// Last new payload byte, either way.
    pub last_payload: u64,
    /// See the constants of this type.
    pub flags: u32,
    /// Policy generation that last admitted the flow.
    pub generation: u32,
    /// The service.
    pub service: ServiceSlot,
    /// [`Reason`] that an observing layer would have denied for, or 0.
    pub observed: u8,
    /// [`Reason`] for which a new policy cut the flow, or 0.
    pub cut: u8,
    /// The target, where the kernel plane forwards it.
    pub target: TargetSlot,
    /// Zero.
    pub pad: u16,
    /// Client to service.
    pub up: Half,
    /// Service to client.
    pub down: Half,
}

const _: () = assert!(size_of::<FlowState>() == 120);

impl FlowState {
    /// The handshake completed, or data of a flow met midway was answered; the host
    /// answered a UDP client.
    pub const ESTABLISHED: u32 = 1;
    /// Met in its middle.
    pub const PARTIAL: u32 = 1 << 1;
    /// The client's FIN came first.
    pub const CLIENT_CLOSED: u32 = 1 << 2;
    /// The service's FIN came first.
    pub const SERVICE_CLOSED: u32 = 1 << 3;
    /// The client sent an acceptable RST.
    pub const CLIENT_RESET: u32 = 1 << 4;
    /// The service sent an RST.
    pub const SERVICE_RESET: u32 = 1 << 5;
    /// Over: both FINs acknowledged, or reset. Nothing is counted any more.
    pub const ENDED: u32 = 1 << 6;
    /// A new policy denies it: its packets are dropped.
    pub const CUT: u32 = 1 << 7;
    /// It ends in the relay.
    pub const RELAYED: u32 = 1 << 8;
    /// Country rules were asked and did not apply to this client.
    pub const COUNTRY_EXEMPT: u32 = 1 << 9;
    /// Its packets go on to a target without leaving the kernel.
    pub const FORWARDED: u32 = 1 << 10;

    /// A flow that begins now, nothing counted yet.
    #[inline(always)]
    pub(crate) fn at(now: u64) -> Self {
        Self { started: now, last_packet: now, last_payload: now, ..Self::default() }
    }

    /// Takes who serves it, and by which generation.
    #[inline(always)]
    pub fn serve(&mut self, listener: &Listener, generation: u32) {
        self.service = listener.service;
        self.generation = generation;
        if listener.has(Listener::RELAYED) {
            self.flags |= Self::RELAYED;
        }
    }

    /// Takes that the kernel plane forwards it to a target, by which generation.
    #[inline(always)]
    pub fn forward(&mut self, service: ServiceSlot, target: TargetSlot, generation: u32) {
        self.service = service;
        self.target = target;
        self.generation = generation;
        self.flags = self.flags & !Self::RELAYED | Self::FORWARDED;
    }

    /// Takes what was said of the client beside "pass".
    #[inline(always)]
    pub fn note(&mut self, judgement: &Judgement) {
        self.observed = match judgement.observed {
            Some(reason) => reason as u8,
            None => 0,
        };
        if judgement.country_exempt {
            self.flags |= Self::COUNTRY_EXEMPT;
        }
    }

    /// Whether all of `flags` are set.
    #[inline]
    pub const fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Whether either end reset it.
    #[inline(always)]
    pub const fn is_reset(&self) -> bool {
        self.flags & (Self::CLIENT_RESET | Self::SERVICE_RESET) != 0
    }

    /// What an observing layer would have denied for.
    pub fn observed(&self) -> Option<Reason> {
        Reason::from_number(self.observed)
    }

    /// For what a new policy cut it.
    pub fn cut(&self) -> Option<Reason> {
        Reason::from_number(self.cut)
    }
}
