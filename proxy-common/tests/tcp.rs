//! A flow's bytes and life against two ends that speak TCP over a path that loses,
//! repeats and reorders.

use proptest::prelude::*;
use proxy_common::{
    flow::FlowState,
    packet::Segment,
    tcp::{Cells, Direction},
};

struct Plain;

impl Cells for Plain {
    fn add(cell: &mut u64, value: u64) {
        *cell += value;
    }

    fn raise(cell: &mut u64, value: u64) -> bool {
        let raises = value > *cell;
        *cell = (*cell).max(value);
        raises
    }

    fn set(cell: &mut u32, bits: u32) -> u32 {
        let before = *cell;
        *cell |= bits;
        before
    }
}

/// One end: sends `total` bytes and a FIN, takes what comes in order.
#[derive(Debug)]
struct End {
    first: u32,
    total: u64,
    /// Acknowledged by the peer, the FIN included.
    acked: u64,
    /// Received in order, the peer's FIN included.
    received: u64,
    peer_total: u64,
}

impl End {
    fn new(first: u32, total: u64, peer_total: u64) -> Self {
        Self { first, total, acked: 0, received: 0, peer_total }
    }

    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
    fn number(first: u32, position: u64) -> u32 {
        first.wrapping_add(1).wrapping_add(position as u32)
    }

    /// The next piece from `skip` bytes past what is acknowledged.
    #[expect(clippy::cast_possible_truncation, reason = "a piece is small")]
    fn send(&self, skip: u64, size: u64, peer_first: u32) -> (Segment, u64) {
        let at = (self.acked + skip).min(self.total);
        let payload = size.min(self.total - at);
        let fin = at + payload == self.total && self.acked <= self.total;
        let segment = Segment {
            sequence: Self::number(self.first, at),
            acknowledgment: Self::number(peer_first, self.received),
            payload: payload as u32,
            packets: 1,
            flags: Segment::ACK | if fin { Segment::FIN } else { 0 },
            pad: 0,
        };
        (segment, at)
    }

    fn take(&mut self, segment: &Segment, at: u64) {
        let end = at + u64::from(segment.payload) + u64::from(segment.has(Segment::FIN));
        if at <= self.received && end > self.received && end <= self.peer_total + 1 {
            self.received = end;
        }
        let newly = segment.acknowledgment.wrapping_sub(Self::number(self.first, self.acked));
        if u64::from(newly) <= self.total + 1 - self.acked {
            self.acked += u64::from(newly);
        }
    }

    fn done(&self) -> bool {
        self.acked == self.total + 1 && self.received == self.peer_total + 1
    }
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    up: bool,
    skip: u64,
    size: u64,
    lost: bool,
    twice: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    (any::<bool>(), 0u64..3000, 0u64..1500, prop::bool::weighted(0.2), any::<bool>())
        .prop_map(|(up, skip, size, lost, twice)| Turn { up, skip, size, lost, twice })
}

fn begin(client_first: u32, service_first: u32) -> FlowState {
    let syn =
        Segment { sequence: client_first, flags: Segment::SYN, packets: 1, ..Segment::default() };
    let mut state = FlowState::opening(&syn, 0);
    state.answer(&Segment {
        sequence: service_first,
        acknowledgment: client_first.wrapping_add(1),
        flags: Segment::SYN | Segment::ACK,
        packets: 1,
        ..Segment::default()
    });
    state
}

fn ack(sequence: u32, acknowledgment: u32) -> Segment {
    Segment { sequence, acknowledgment, flags: Segment::ACK, packets: 1, ..Segment::default() }
}

proptest! {
    #[test]
    fn recorded_bytes_are_those_that_the_ends_exchanged(
        first in any::<(u32, u32)>(),
        totals in (0u64..20_000, 0u64..20_000),
        turns in prop::collection::vec(turn(), 0..300),
        stray in prop::collection::vec((any::<u32>(), any::<u32>(), 0u32..1500, any::<u8>()), 0..20),
    ) {
        let mut state = begin(first.0, first.1);
        prop_assert!(state.completes(&ack(first.0.wrapping_add(1), first.1.wrapping_add(1))));
        let mut client = End::new(first.0, totals.0, totals.1);
        let mut service = End::new(first.1, totals.1, totals.0);
        let mut ends = 0;
        let mut strays = stray.into_iter();
        // Random turns first, then orderly ones until both are done.
        let orderly = (0..10_000u32).map(|n| Turn {
            up: n % 2 == 0, skip: 0, size: 1460, lost: false, twice: false,
        });
        for turn in turns.into_iter().chain(orderly) {
            if client.done() && service.done() {
                break;
            }
            if let Some((sequence, acknowledgment, payload, flags)) = strays.next() {
                // A forger who sees nothing; an RST or SYN of his is another test.
                let flags = flags & !(Segment::RST | Segment::SYN | Segment::FIN);
                let forged = Segment { sequence, acknowledgment, payload, packets: 1, flags, pad: 0 };
                ends += u32::from(state.on_segment::<Plain>(Direction::Up, &forged, 1));
            }
            if turn.up {
                let (segment, at) = client.send(turn.skip, turn.size, service.first);
                if !turn.lost {
                    for _ in 0..=u32::from(turn.twice) {
                        ends += u32::from(state.on_segment::<Plain>(Direction::Up, &segment, 1));
                        service.take(&segment, at);
                    }
                }
            } else {
                let (segment, at) = service.send(turn.skip, turn.size, client.first);
                // The host's packets are seen also when the path loses them.
                ends += u32::from(state.on_segment::<Plain>(Direction::Down, &segment, 1));
                if !turn.lost {
                    client.take(&segment, at);
                }
            }
            prop_assert!(state.up.payload() <= totals.0);
            prop_assert!(state.down.payload() <= totals.1);
        }
        // The last acknowledgement of each.
        for (direction, end, peer) in [(Direction::Up, &client, &service), (Direction::Down, &service, &client)] {
            let (mut last, _) = end.send(0, 0, peer.first);
            last.flags = Segment::ACK;
            ends += u32::from(state.on_segment::<Plain>(direction, &last, 2));
        }
        prop_assert_eq!(state.up.payload(), totals.0);
        prop_assert_eq!(state.down.payload(), totals.1);
        prop_assert!(state.has(FlowState::ENDED));
        prop_assert_eq!(ends, 1, "one segment ends a flow");
    }

    /// RFC 5961: a blind RST or SYN ends nothing.
    #[test]
    fn blind_resets_and_syns_do_nothing(
        first in any::<(u32, u32)>(),
        forged in prop::collection::vec((any::<u32>(), any::<bool>()), 1..50),
    ) {
        let mut state = begin(first.0, first.1);
        for (sequence, reset) in forged {
            if sequence == first.0.wrapping_add(1) {
                continue;
            }
            let flags = if reset { Segment::RST } else { Segment::SYN };
            let segment = Segment { sequence, flags, packets: 1, ..Segment::default() };
            prop_assert!(!state.on_segment::<Plain>(Direction::Up, &segment, 1));
        }
        prop_assert!(!state.has(FlowState::ENDED));
        prop_assert_eq!(state.up.payload(), 0);
    }
}

#[test]
fn keep_alives_and_window_probes_add_nothing() {
    let mut state = begin(100, 500);
    let data = Segment { payload: 10, ..ack(101, 501) };
    state.on_segment::<Plain>(Direction::Up, &data, 1);
    state.on_segment::<Plain>(Direction::Down, &ack(501, 111), 2);
    assert_eq!((state.up.payload(), state.last_payload), (10, 2));
    // A keep-alive repeats the byte before the next one (RFC 9293, 3.8.4).
    state.on_segment::<Plain>(Direction::Up, &Segment { payload: 1, ..ack(110, 501) }, 9);
    state.on_segment::<Plain>(Direction::Down, &ack(501, 111), 9);
    assert_eq!((state.up.payload(), state.last_payload), (10, 2));
    assert_eq!(state.up.packets, 3);
}

#[test]
fn a_clients_ack_beyond_what_was_sent_is_ignored() {
    let mut state = begin(100, 500);
    state.on_segment::<Plain>(Direction::Up, &ack(101, 501 + 1_000_000), 1);
    assert_eq!(state.down.payload(), 0);
}

#[test]
fn who_closed_first_is_known() {
    for (first, flag) in
        [(Direction::Up, FlowState::CLIENT_CLOSED), (Direction::Down, FlowState::SERVICE_CLOSED)]
    {
        let mut state = begin(100, 500);
        let fin = |sequence, acknowledgment| Segment {
            flags: Segment::ACK | Segment::FIN,
            ..ack(sequence, acknowledgment)
        };
        let (one, two) = match first {
            Direction::Up => (fin(101, 501), fin(501, 102)),
            Direction::Down => (fin(501, 101), fin(101, 502)),
        };
        let second = if first == Direction::Up { Direction::Down } else { Direction::Up };
        state.on_segment::<Plain>(first, &one, 1);
        state.on_segment::<Plain>(second, &two, 2);
        let closed = FlowState::CLIENT_CLOSED | FlowState::SERVICE_CLOSED;
        assert_eq!(state.flags & closed, flag);
    }
}

#[test]
fn sequence_numbers_wrap_and_bytes_go_on() {
    let mut state = begin(u32::MAX - 5, 500);
    let mut sequence = u32::MAX - 4;
    for _ in 0..5 {
        let data = Segment { payload: 1 << 30, ..ack(sequence, 501) };
        // Within the largest window at a time.
        for part in 0..4 {
            let piece =
                Segment { payload: 1 << 28, sequence: sequence.wrapping_add(part << 28), ..data };
            state.on_segment::<Plain>(Direction::Up, &piece, 1);
            let end = piece.sequence.wrapping_add(1 << 28);
            state.on_segment::<Plain>(Direction::Down, &ack(501, end), 1);
        }
        sequence = sequence.wrapping_add(1 << 30);
    }
    assert_eq!(state.up.payload(), 5 << 30);
}
