//! Random conversations through the kernel plane, beside a plain model of the flow: two ends
//! that lose, repeat and reorder segments, reset each other, and use ports again.

use std::{collections::VecDeque, net::SocketAddr};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    flow::FlowState,
    packet::Segment,
};
use proxy_user::datapath::Event;

use crate::{
    frames::{Frame, syn},
    harness::{HOST4, Result},
    plane::{CLIENT4, Link, NEXT, Plane, REDIRECT, TARGET4, ends, is_summed, summed, transport},
};

const CONVERSATIONS: u32 = 3000;
/// Any other does as well.
const SEED: u64 = 6;
/// Client ports, so few that each is used again and again.
const PORTS: u16 = 7;
const SYN: u8 = Segment::SYN;
const ACK: u8 = Segment::ACK;
const FIN: u8 = Segment::FIN;
const RST: u8 = Segment::RST;

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from(mixed >> 32).expect("half of it")
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.next() % bound
    }

    fn one_in(&mut self, chance: u32) -> bool {
        self.below(chance) == 0
    }
}

/// One end of a conversation. Numbers are positions after the initial sequence number.
#[derive(Clone, Debug)]
struct End {
    initial: u32,
    /// Of its own stream: what it has to say, sent, acknowledged. The SYN is position 0, the
    /// FIN one more than the last byte.
    length: u32,
    sent: u32,
    acknowledged: u32,
    /// Of the other's stream.
    expects: u32,
    heard_fin: bool,
    knows: Option<u32>,
}

/// A segment between the ends, by numbers of the wire.
#[derive(Clone, Copy, Debug)]
struct Wire {
    flags: u8,
    sequence: u32,
    acknowledgment: u32,
    payload: u32,
}

impl End {
    fn new(dice: &mut Dice) -> Self {
        Self {
            initial: dice.next(),
            length: dice.below(2000),
            sent: 0,
            acknowledged: 0,
            expects: 0,
            heard_fin: false,
            knows: None,
        }
    }

    /// Position after the FIN.
    fn end(&self) -> u32 {
        self.length + 2
    }

    fn wire(&self, flags: u8, position: u32, payload: u32) -> Wire {
        let acknowledgment = self.knows.map_or(0, |other| other.wrapping_add(self.expects));
        let sequence = self.initial.wrapping_add(position);
        Wire { flags, sequence, acknowledgment, payload }
    }

    /// What it says next, from a position that may have been sent before.
    fn speak(&mut self, dice: &mut Dice) -> Wire {
        let ack = if self.knows.is_some() { ACK } else { 0 };
        let from = if dice.one_in(3) { self.acknowledged } else { self.sent };
        // Only a connection that stands carries anything.
        if self.acknowledged == 0 {
            self.sent = self.sent.max(1);
            return self.wire(SYN | ack, 0, 0);
        }
        let left = (self.length + 1).saturating_sub(from);
        if left > 0 {
            let payload = 1 + dice.below(left.min(500));
            self.sent = self.sent.max(from + payload);
            return self.wire(ACK, from, payload);
        }
        let position = self.length + 1;
        self.sent = self.end();
        self.wire(FIN | ACK, position, 0)
    }

    /// Takes a segment of the other's.
    fn hear(&mut self, wire: Wire) {
        if wire.flags & SYN != 0 && self.knows.is_none() {
            self.knows = Some(wire.sequence);
            self.expects = 1;
        }
        let Some(other) = self.knows else { return };
        if wire.flags & ACK != 0 {
            let position = wire.acknowledgment.wrapping_sub(self.initial);
            if position <= self.sent {
                self.acknowledged = self.acknowledged.max(position);
            }
        }
        let at = wire.sequence.wrapping_sub(other);
        if wire.flags & SYN == 0 && at <= self.expects {
            self.expects = self.expects.max(at + wire.payload);
            if wire.flags & FIN != 0 && self.expects == at + wire.payload && !self.heard_fin {
                self.expects += 1;
                self.heard_fin = true;
            }
        }
    }

    fn is_done(&self) -> bool {
        self.acknowledged == self.end() && self.heard_fin
    }
}

/// What passed the plane, as a plain reader of segments counts it.
#[derive(Debug, Default)]
struct Seen {
    up: u32,
    down: u32,
    is_established: bool,
}

/// A conversation under way.
struct Talk {
    client: End,
    target: End,
    port: u16,
    /// Of this host, as the target sees it.
    source: Option<SocketAddr>,
    seen: Seen,
    to_target: VecDeque<Wire>,
    to_client: VecDeque<Wire>,
}

fn frame(from: SocketAddr, to: SocketAddr, wire: Wire) -> Vec<u8> {
    let blank = syn(CLIENT4, HOST4);
    let payload = usize::try_from(wire.payload).expect("short");
    let frame = Frame {
        from: from.ip(),
        to: to.ip(),
        from_port: from.port(),
        to_port: to.port(),
        ..blank.segment(wire.flags, wire.sequence, wire.acknowledgment, payload)
    };
    summed(&frame.bytes())
}

impl Talk {
    fn ends(&self) -> Result<[SocketAddr; 3]> {
        let client = SocketAddr::new(CLIENT4.parse()?, self.port);
        Ok([client, SocketAddr::new(HOST4.parse()?, 22), TARGET4.parse()?])
    }

    /// Has a client's segment pass.
    fn up(&mut self, link: &mut Link, wire: Wire) -> Result {
        let [client, service, target] = self.ends()?;
        let bytes = frame(client, service, wire);
        let (action, out) = link.receive(&bytes)?;
        assert_eq!(action, REDIRECT, "{wire:?}");
        self.compare(&bytes, &out);
        let (from, to) = ends(&out);
        assert_eq!(to, target.to_string());
        let from: SocketAddr = from.parse()?;
        assert_eq!(*self.source.get_or_insert(from), from, "another port within a flow");
        if wire.flags & ACK != 0 {
            let position = wire.acknowledgment.wrapping_sub(self.target.initial);
            self.seen.down = self.seen.down.max(position);
            self.seen.is_established = true;
        }
        self.to_target.push_back(wire);
        Ok(())
    }

    /// Has a target's segment pass.
    fn down(&mut self, link: &mut Link, wire: Wire) -> Result {
        let [client, service, target] = self.ends()?;
        let Some(source) = self.source else { return Ok(()) };
        let bytes = frame(target, source, wire);
        let (action, out) = link.receive(&bytes)?;
        assert_eq!(action, REDIRECT, "{wire:?}");
        self.compare(&bytes, &out);
        assert_eq!(ends(&out), (service.to_string(), client.to_string()));
        assert_eq!(link.send(&out)?, NEXT);
        if wire.flags & ACK != 0 {
            let position = wire.acknowledgment.wrapping_sub(self.client.initial);
            self.seen.up = self.seen.up.max(position);
        }
        self.to_client.push_back(wire);
        Ok(())
    }

    /// All but addresses, ports, hops and checksums stays.
    #[expect(clippy::unused_self, reason = "as the other steps of a conversation")]
    fn compare(&self, given: &[u8], out: &[u8]) {
        assert!(is_summed(out), "a wrong checksum");
        let at = transport(out);
        assert_eq!(out[at + 4..at + 16], given[at + 4..at + 16]);
        assert_eq!(out[at + 18..], given[at + 18..]);
    }

    /// One step: somebody speaks, or hears something of what is under way.
    fn step(&mut self, link: &mut Link, dice: &mut Dice) -> Result {
        match dice.below(4) {
            0 => {
                let wire = self.client.speak(dice);
                self.pass(link, dice, wire, true)
            }
            1 if self.target.knows.is_some() => {
                let wire = self.target.speak(dice);
                self.pass(link, dice, wire, false)
            }
            2 => {
                if let Some(wire) = take(&mut self.to_target, dice) {
                    self.target.hear(wire);
                }
                Ok(())
            }
            _ => {
                if let Some(wire) = take(&mut self.to_client, dice) {
                    self.client.hear(wire);
                }
                Ok(())
            }
        }
    }

    /// A segment that may be lost before the plane, or come twice.
    fn pass(&mut self, link: &mut Link, dice: &mut Dice, wire: Wire, is_up: bool) -> Result {
        let times = if dice.one_in(10) { 0 } else { 1 + u32::from(dice.one_in(10)) };
        for _ in 0..times {
            if is_up {
                self.up(link, wire)?;
            } else {
                self.down(link, wire)?;
            }
        }
        Ok(())
    }

    /// What the flow's record is to say.
    fn payload(&self) -> (u64, u64) {
        let of = |seen: u32, end: &End| u64::from(seen.saturating_sub(1).min(end.length));
        (of(self.seen.up, &self.client), of(self.seen.down, &self.target))
    }
}

/// Any of what is under way, which may be lost or stay to be heard again.
fn take(under_way: &mut VecDeque<Wire>, dice: &mut Dice) -> Option<Wire> {
    let many = u32::try_from(under_way.len()).expect("few");
    if many == 0 {
        return None;
    }
    let place = usize::try_from(dice.below(many)).expect("small");
    let wire = *under_way.get(place)?;
    if !dice.one_in(10) {
        under_way.remove(place);
    }
    (!dice.one_in(10)).then_some(wire)
}

/// The ends of flows that the kernel told: payload up and down.
fn told(link: &mut Link) -> Vec<(u16, u64, u64)> {
    let closed = link.kernel.events().into_iter().filter_map(|event| match event {
        Event::Closed(event) if event.replaced == 0 => Some(event),
        _ => None,
    });
    closed
        .map(|event| {
            assert!(event.state.has(FlowState::FORWARDED | FlowState::ESTABLISHED));
            let (up, down) = (event.state.up.payload(), event.state.down.payload());
            (event.key.client_port, up, down)
        })
        .collect()
}

fn converse(link: &mut Link, dice: &mut Dice, port: u16) -> Result {
    let mut talk = Talk {
        client: End::new(dice),
        target: End::new(dice),
        port,
        source: None,
        seen: Seen::default(),
        to_target: VecDeque::new(),
        to_client: VecDeque::new(),
    };
    let is_cut_short = dice.one_in(4);
    let patience = if is_cut_short { 20 + dice.below(100) } else { 100_000 };
    for _ in 0..patience {
        talk.step(link, dice)?;
        if talk.client.is_done() && talk.target.is_done() {
            break;
        }
    }
    let is_over = talk.client.is_done() && talk.target.is_done();
    assert!(is_over || is_cut_short, "the ends come to no end");
    let ends = told(link);
    if is_over {
        let (up, down) = (talk.client.length.into(), talk.target.length.into());
        assert_eq!(ends, [(port, up, down)], "closed in order");
        return Ok(());
    }
    if ends.is_empty() && talk.seen.is_established {
        // The client gives up, where the target expects it.
        let wire = talk.client.wire(RST, talk.seen.up.max(1), 0);
        let [client, service, _] = talk.ends()?;
        let (action, _) = link.receive(&frame(client, service, wire))?;
        assert_eq!(action, REDIRECT);
        let (up, down) = talk.payload();
        assert_eq!(told(link), [(port, up, down)], "{:?}", talk.seen);
    } else if ends.is_empty() {
        // As the daemon does with handshakes that come to nothing.
        let [client, service, _] = talk.ends()?;
        let key = FlowKey::between(client, service, PROTOCOL_TCP.into());
        link.kernel.maps.forwarded.drop_dial(&key)?;
        link.kernel.maps.forwarded.release(&key)?;
    }
    Ok(())
}

#[test]
fn random_conversations_are_what_a_plain_model_says() -> Result {
    let mut plane = Plane::new(20_000..=20_030)?;
    let (link, namespace) = (&mut plane.link, &plane.namespace);
    let mut dice = Dice(SEED);
    let run = || -> std::result::Result<(), String> {
        for number in 0..CONVERSATIONS {
            let port = 4000 + u16::try_from(number).expect("few") % PORTS;
            converse(link, &mut dice, port)
                .map_err(|error| format!("conversation {number}: {error}"))?;
        }
        let open = link.kernel.maps.forwarded.of_service(0).map_err(|error| error.to_string())?;
        assert_eq!(open, 0, "sessions that are over are counted still");
        Ok(())
    };
    Ok(namespace.within(run)??)
}
