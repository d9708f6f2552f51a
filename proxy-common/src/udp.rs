//! UDP accounting: payload by what was seen, and what the host itself asks.

use crate::{
    flow::FlowState,
    packet::Segment,
    tcp::{Cells, Direction},
};

impl FlowState {
    /// A UDP flow, from its client's first datagram.
    #[inline(always)]
    pub fn first_datagram(datagram: &Segment, now: u64) -> Self {
        let mut state = Self::at(now);
        state.up.acked = u64::from(datagram.payload);
        state.up.packets = u64::from(datagram.packets);
        state
    }

    /// Counts a datagram. Its end is the daemon's to decide.
    #[inline(always)]
    pub fn on_datagram<C: Cells>(&mut self, direction: Direction, datagram: &Segment, now: u64) {
        self.last_packet = now;
        if datagram.payload > 0 {
            self.last_payload = now;
        }
        let half = match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        };
        C::add(&mut half.packets, u64::from(datagram.packets));
        C::add(&mut half.acked, u64::from(datagram.payload));
        if matches!(direction, Direction::Down) && !self.has(Self::ESTABLISHED) {
            C::set(&mut self.flags, Self::ESTABLISHED);
        }
    }
}

/// Whether the host itself spoke first on a 5-tuple of a guarded UDP port, as `ntpd` does
/// from port 123 and a resolver from 53: it is let have its answer. Only what the host
/// sends makes one.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// When the host last sent, nanoseconds of the coarse monotonic clock; 0 where the
    /// client spoke first: nothing that the host sends it is a question.
    asked: u64,
}

const _: () = assert!(size_of::<Question>() == 8);

impl Question {
    /// How long an answer is waited for: as conntrack keeps a two-way UDP stream
    /// (`nf_conntrack_udp_timeout_stream`).
    pub const LIFETIME_SECONDS: u64 = 120;
    /// The client spoke first.
    pub const NONE: Self = Self { asked: 0 };

    /// The host speaks first.
    #[inline(always)]
    pub const fn at(now: u64) -> Self {
        Self { asked: now }
    }

    /// The host speaks on.
    #[inline(always)]
    pub fn again(&mut self, now: u64) {
        if self.asked != 0 {
            self.asked = now;
        }
    }

    /// Whether what comes in is an answer.
    #[inline(always)]
    pub const fn admits(&self, now: u64) -> bool {
        self.asked != 0 && now.saturating_sub(self.asked) < Self::LIFETIME_SECONDS * 1_000_000_000
    }
}
