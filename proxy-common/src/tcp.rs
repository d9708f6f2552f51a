//! TCP accounting: payload by acknowledgements (SPEC 4), and a flow's life.
//!
//! The functions are pure but for [`Cells`], which the kernel programs implement
//! with atomics: packets of one flow run on several CPUs at once.

use crate::{
    flow::{FlowState, Half},
    packet::Segment,
};

/// Read-modify-write on a field that other CPUs write as well.
pub trait Cells {
    /// Adds to a counter.
    fn add(cell: &mut u64, value: u64);
    /// Raises to `value`; whether it did.
    fn raise(cell: &mut u64, value: u64) -> bool;
    /// Sets bits; the value before.
    fn set(cell: &mut u32, bits: u32) -> u32;
}

/// Which way a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to service.
    Up,
    /// Service to client.
    Down,
}

/// The largest window (RFC 7323, 2.3): what lies further ahead is no segment of
/// this flow.
const MAX_WINDOW: u64 = 0xffff << 14;

impl FlowState {
    /// A half-open flow, from its SYN.
    #[inline(always)]
    pub fn opening(syn: &Segment, now: u64) -> Self {
        let mut state = Self::at(now);
        state.up.base = syn.sequence.wrapping_add(1);
        state.up.known = 1;
        // Fast open: payload in the SYN.
        state.up.sent = u64::from(syn.payload);
        state.up.packets = u64::from(syn.packets);
        state
    }

    /// A flow met in its middle, from a segment of the client's.
    #[inline(always)]
    pub fn midway(segment: &Segment, now: u64) -> Self {
        let mut state = Self::at(now);
        state.flags = Self::PARTIAL;
        state.up.base = segment.sequence;
        state.up.known = 1;
        state.up.sent = u64::from(segment.payload);
        state.up.packets = u64::from(segment.packets);
        state.down.base = segment.acknowledgment;
        state.down.known = 1;
        state
    }

    /// Whether `syn` is this half-open flow's own SYN, sent again.
    #[inline(always)]
    pub const fn is_same_opening(&self, syn: &Segment) -> bool {
        !self.has(Self::PARTIAL) && self.up.base == syn.sequence.wrapping_add(1)
    }

    /// A half-open flow of which only the service's SYN-ACK was seen.
    #[inline(always)]
    pub fn answered(syn_ack: &Segment, now: u64) -> Self {
        let mut state = Self::at(now);
        state.up.base = syn_ack.acknowledgment;
        state.up.known = 1;
        state.answer(syn_ack);
        state
    }

    /// Whether the service's SYN-ACK answers the SYN that this flow began with.
    #[inline(always)]
    pub const fn is_answered_by(&self, syn_ack: &Segment) -> bool {
        !self.has(Self::PARTIAL)
            && syn_ack.acknowledgment.wrapping_sub(self.up.base) as u64 <= self.up.sent
    }

    /// Whether the service's SYN-ACK was seen.
    #[inline(always)]
    pub const fn is_answered(&self) -> bool {
        !self.has(Self::PARTIAL) && self.down.known == 1
    }

    /// Counts from here on: what the service sends belongs to a handshake that was not
    /// followed.
    #[inline(always)]
    pub fn turn_partial(&mut self, segment: &Segment) {
        self.flags |= Self::PARTIAL;
        self.up.base = segment.acknowledgment;
        self.up.sent = 0;
        self.down.base = segment.sequence;
        self.down.known = 1;
    }

    /// Takes the service's SYN-ACK into a half-open flow that it answers.
    #[inline(always)]
    pub fn answer(&mut self, syn_ack: &Segment) {
        self.down.base = syn_ack.sequence.wrapping_add(1);
        self.down.known = 1;
        self.down.packets += u64::from(syn_ack.packets);
        // What a fast-open SYN carried and the service took.
        self.up.acked = u64::from(syn_ack.acknowledgment.wrapping_sub(self.up.base));
    }

    /// Whether a client's segment completes the handshake: it acknowledges our
    /// SYN-ACK, which only who received it can do.
    #[inline(always)]
    pub const fn completes(&self, segment: &Segment) -> bool {
        let ahead = segment.acknowledgment.wrapping_sub(self.down.base) as u64;
        self.down.known == 1
            && segment.has(Segment::ACK)
            && !segment.has(Segment::SYN)
            && !segment.has(Segment::RST)
            && ahead <= self.down.sent
    }

    /// Counts a segment; true for the one segment that ends the flow.
    #[inline(always)]
    pub fn on_segment<C: Cells>(
        &mut self,
        direction: Direction,
        segment: &Segment,
        now: u64,
    ) -> bool {
        if self.has(Self::ENDED) {
            return false;
        }
        self.last_packet = now;
        let (own, peer) = match direction {
            Direction::Up => (&mut self.up, &mut self.down),
            Direction::Down => (&mut self.down, &mut self.up),
        };
        C::add(&mut own.packets, u64::from(segment.packets));
        if segment.has(Segment::RST) {
            return self.on_reset::<C>(direction, segment);
        }
        let mut fresh = send::<C>(own, direction, segment);
        if segment.has(Segment::ACK) {
            fresh |= acknowledge::<C>(peer, direction, segment.acknowledgment);
        }
        if fresh {
            self.last_payload = now;
        }
        self.note_fin::<C>(direction, segment);
        self.up.fin_acked() && self.down.fin_acked() && self.end::<C>(0)
    }

    /// A client's RST counts only where the host accepts it (RFC 5961, 3.2): at the
    /// next byte that it expects, which lies between what it acknowledged and what
    /// came in order.
    #[inline(always)]
    fn on_reset<C: Cells>(&mut self, direction: Direction, segment: &Segment) -> bool {
        match direction {
            Direction::Down => self.end::<C>(Self::SERVICE_RESET),
            Direction::Up => match position(&self.up, segment.sequence) {
                Some(at) if at == self.up.acked || at == self.up.sent => {
                    self.end::<C>(Self::CLIENT_RESET)
                }
                _ => false,
            },
        }
    }

    #[inline(always)]
    fn note_fin<C: Cells>(&mut self, direction: Direction, segment: &Segment) {
        let closed = Self::CLIENT_CLOSED | Self::SERVICE_CLOSED;
        if segment.has(Segment::FIN) && self.flags & closed == 0 {
            C::set(
                &mut self.flags,
                match direction {
                    Direction::Up => Self::CLIENT_CLOSED,
                    Direction::Down => Self::SERVICE_CLOSED,
                },
            );
        }
    }

    /// Ends the flow; true for the first who does.
    #[inline(always)]
    fn end<C: Cells>(&mut self, how: u32) -> bool {
        C::set(&mut self.flags, how | Self::ENDED) & Self::ENDED == 0
    }
}

/// The position of a sequence number. Measured from what was acknowledged, which
/// no forged segment moves.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap at 32 bits")]
fn position(half: &Half, sequence: u32) -> Option<u64> {
    let here = half.base.wrapping_add(half.acked as u32);
    let distance = i64::from(sequence.wrapping_sub(here).cast_signed());
    half.acked.checked_add_signed(distance)
}

/// Takes what a segment sends; whether any of it is new payload.
///
/// The host sends in order. Of a client's only what came in order counts as sent: what
/// lies further ahead may be forged, and is counted once the host acknowledges it.
#[inline(always)]
fn send<C: Cells>(own: &mut Half, direction: Direction, segment: &Segment) -> bool {
    if own.known == 0 || segment.has(Segment::SYN) {
        return false;
    }
    let Some(at) = position(own, segment.sequence) else {
        return false;
    };
    let end = at + u64::from(segment.payload);
    if end > own.acked + MAX_WINDOW {
        return false;
    }
    if segment.has(Segment::FIN) {
        note_fin_at(own, end + 1);
    }
    let in_order = matches!(direction, Direction::Down) || at <= own.sent;
    let end = end + u64::from(segment.has(Segment::FIN));
    in_order && C::raise(&mut own.sent, end) && segment.payload > 0
}

/// The stream ends at the first FIN: a later one is forged, and so is one that data
/// was acknowledged beyond.
#[inline(always)]
fn note_fin_at(own: &mut Half, fin: u64) {
    if own.fin == 0 || fin < own.fin || own.fin < own.acked {
        own.fin = fin;
    }
}

/// Takes an acknowledgement; whether it is of something new. The host acknowledges
/// only what it has; a client's word is bounded by what the host sent.
#[inline(always)]
fn acknowledge<C: Cells>(peer: &mut Half, direction: Direction, acknowledgment: u32) -> bool {
    if peer.known == 0 {
        return false;
    }
    let Some(at) = position(peer, acknowledgment) else {
        return false;
    };
    match direction {
        Direction::Up if at > peer.sent => false,
        Direction::Down if at > peer.acked + MAX_WINDOW => false,
        Direction::Up => C::raise(&mut peer.acked, at),
        Direction::Down => {
            C::raise(&mut peer.sent, at);
            C::raise(&mut peer.acked, at)
        }
    }
}
