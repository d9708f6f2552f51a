//! The kernel plane, packet by packet: what goes on, and how it looks then.

use aya::programs::{TestRun, TestRunOptions};
use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP, PROTOCOL_UDP},
    outcome::Outcome,
    packet::Segment,
};
use proxy_user::{
    config::{Balance, SourceAddress},
    datapath::{AnswerPorts, Backends, Event, Generation, TargetWay},
};
use weir_tests::ns::{Namespace, link};

use crate::{
    frames::{Frame, datagram, syn},
    harness::{HOST4, HOST6, Kernel, Result, guard},
};

pub(crate) const CLIENT4: &str = "198.51.100.9";
const CLIENT6: &str = "2001:db8:de::9";
pub(crate) const TARGET4: &str = "10.0.0.5:5432";
const TARGET6: &str = "[2001:db8:10::5]:5432";
/// This host, as targets know it.
const SOURCE4: &str = "10.0.0.1";
const SOURCE6: &str = "2001:db8:10::1";
/// What the link to targets carries.
const MTU: u32 = 1400;

const SYN: u8 = Segment::SYN;
const ACK: u8 = Segment::ACK;
const RST: u8 = Segment::RST;
const FIN: u8 = Segment::FIN;

/// TC's actions.
pub(crate) const NEXT: i32 = -1;
pub(crate) const DROP: i32 = 2;
pub(crate) const REDIRECT: i32 = 7;

/// Programs in a namespace of their own, with an interface that is not loopback: of what
/// comes in there nothing is the plane's.
pub(crate) struct Plane {
    pub(crate) namespace: Namespace,
    _other: Namespace,
    pub(crate) link: Link,
}

/// Programs, and the interface at which packets come in.
pub(crate) struct Link {
    pub(crate) kernel: Kernel,
    interface: u32,
}

fn way(target: &str, source: &str, interface: u32) -> Result<TargetWay> {
    let address: std::net::SocketAddr = target.parse()?;
    let source = source.parse()?;
    Ok(TargetWay { address, number: 1, source, next_hop: address.ip(), interface, mtu: MTU })
}

/// Services on TCP port 22 and UDP port 53 with these targets.
fn generation(targets: Vec<TargetWay>, source: SourceAddress) -> Generation {
    let backends = Backends {
        balance: Balance::RoundRobin,
        source,
        sources: Vec::new(),
        most_sessions: 100,
        targets,
    };
    let service = |name, transport, port| {
        let mut entry = guard(name, transport, port);
        (entry.relayed, entry.forward) = (true, Some(backends.clone()));
        entry
    };
    Generation {
        services: vec![service("db", PROTOCOL_TCP, 22), service("dns", PROTOCOL_UDP, 53)],
        classes: std::sync::Arc::default(),
    }
}

impl Plane {
    /// With one target of each family, reached from these ports.
    pub(crate) fn new(ports: std::ops::RangeInclusive<u16>) -> Result<Self> {
        let nat = Some(ports);
        Self::of(SourceAddress::Proxy, &AnswerPorts { nat, ..AnswerPorts::default() })
    }

    /// As [`Self::new`], reached from its clients' own addresses.
    pub(crate) fn transparent() -> Result<Self> {
        let of_targets = vec![(PROTOCOL_TCP, 5432), (PROTOCOL_UDP, 5432)];
        Self::of(SourceAddress::Client, &AnswerPorts { of_targets, ..AnswerPorts::default() })
    }

    fn of(source: SourceAddress, answers: &AnswerPorts) -> Result<Self> {
        let (namespace, other) = (Namespace::create("plane")?, Namespace::create("other")?);
        link((&namespace, "wan"), (&other, "net0"))?;
        let shown = namespace.ip("-j link show dev wan")?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let interface = shown[0]["ifindex"].as_u64().ok_or("no index")?.try_into()?;
        let targets = vec![way(TARGET4, SOURCE4, interface)?, way(TARGET6, SOURCE6, interface)?];
        let mut kernel = Kernel::of(&generation(targets, source), 1024)?;
        kernel.maps.tables.set_answer_ports(answers)?;
        Ok(Self { namespace, _other: other, link: Link { kernel, interface } })
    }

    /// Has a frame come in; the action, and the frame then.
    pub(crate) fn receive(&mut self, frame: &[u8]) -> Result<(i32, Vec<u8>)> {
        let (link, namespace) = (&mut self.link, &self.namespace);
        Ok(namespace.within(|| link.receive(frame).map_err(|error| error.to_string()))??)
    }

    /// Has a frame come in as often as that; the action at last.
    pub(crate) fn flood(&mut self, frame: &[u8], times: u32) -> Result<i32> {
        let (link, namespace) = (&mut self.link, &self.namespace);
        let flood = || link.receive_times(frame, times).map_err(|error| error.to_string());
        Ok(namespace.within(flood)??.0)
    }

    /// As it goes out to the client, where it is counted.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<i32> {
        self.link.send(frame)
    }

    /// Has a frame come in that must be sent on; the frame then.
    pub(crate) fn forward(&mut self, frame: &Frame) -> Result<Vec<u8>> {
        let (action, out) = self.receive(&summed(&frame.bytes()))?;
        assert_eq!(action, REDIRECT);
        assert!(is_summed(&out), "a wrong checksum");
        Ok(out)
    }
}

impl Link {
    /// Has a frame come in; the action, and the frame then. To be called in the namespace.
    pub(crate) fn receive(&mut self, frame: &[u8]) -> Result<(i32, Vec<u8>)> {
        self.receive_times(frame, 1)
    }

    /// As often as that; what came of the last one.
    fn receive_times(&mut self, frame: &[u8], times: u32) -> Result<(i32, Vec<u8>)> {
        // `struct __sk_buff` (`include/uapi/linux/bpf.h`).
        let mut context = [0; 192];
        context[40..44].copy_from_slice(&self.interface.to_ne_bytes());
        let mut out = vec![0; frame.len() + 64];
        let program = self.kernel.programs.classifier("weir_ingress")?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context);
        options.repeat = times;
        let result = program.test_run(options)?;
        out.truncate(result.data_size_out as usize);
        Ok((result.return_value.cast_signed(), out))
    }

    /// Has a frame go out; the action.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<i32> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        let program = self.kernel.programs.classifier("weir_egress")?;
        Ok(program.test_run(options)?.return_value.cast_signed())
    }
}

/// Where the transport header is.
pub(crate) fn transport(frame: &[u8]) -> usize {
    if frame[14] >> 4 == 4 { 34 } else { 54 }
}

/// The Internet checksum of bytes (RFC 1071), before it is complemented.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded")
}

/// The sum over the transport's pseudo-header and bytes.
fn transport_sum(frame: &[u8]) -> u16 {
    let at = transport(frame);
    let (addresses, protocol) =
        if at == 34 { (&frame[26..34], frame[23]) } else { (&frame[22..54], frame[20]) };
    let length = u16::try_from(frame.len() - at).expect("short").to_be_bytes();
    sum(&[addresses, &[0, protocol], &length, &frame[at..]])
}

fn checksum_at(frame: &[u8]) -> usize {
    let at = transport(frame);
    let protocol = if at == 34 { frame[23] } else { frame[20] };
    at + if protocol == PROTOCOL_UDP { 6 } else { 16 }
}

/// With right checksums.
pub(crate) fn summed(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if transport(&frame) == 34 {
        let header = !sum(&[&frame[14..34]]);
        frame[24..26].copy_from_slice(&header.to_be_bytes());
    }
    let at = checksum_at(&frame);
    let whole = !transport_sum(&frame);
    frame[at..at + 2].copy_from_slice(&whole.to_be_bytes());
    frame
}

/// Whether checksums are right.
pub(crate) fn is_summed(frame: &[u8]) -> bool {
    let header = transport(frame) == 54 || sum(&[&frame[14..34]]) == 0xffff;
    header && transport_sum(frame) == 0xffff
}

/// From where a frame comes and where it goes.
pub(crate) fn ends(frame: &[u8]) -> (String, String) {
    let at = transport(frame);
    let port = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let address = |v4: usize, v6: usize| -> std::net::IpAddr {
        if at == 34 {
            <[u8; 4]>::try_from(&frame[v4..v4 + 4]).expect("four").into()
        } else {
            <[u8; 16]>::try_from(&frame[v6..v6 + 16]).expect("sixteen").into()
        }
    };
    let end = |v4, v6, at| std::net::SocketAddr::new(address(v4, v6), port(at)).to_string();
    (end(26, 22, at), end(30, 38, at + 2))
}

/// A SYN that asks for segments of this size.
fn asking(frame: &Frame, mss: u16) -> Vec<u8> {
    let mut bytes = frame.bytes();
    let at = transport(&bytes);
    bytes[at + 12] = 6 << 4;
    let option = [[2, 4], mss.to_be_bytes()].concat();
    bytes.truncate(at + 20);
    bytes.extend(option);
    if at == 34 {
        bytes[16..18].copy_from_slice(&44u16.to_be_bytes());
    } else {
        bytes[18..20].copy_from_slice(&24u16.to_be_bytes());
    }
    summed(&bytes)
}

/// The families: client, host, target and this host as the target knows it.
pub(crate) const FAMILIES: [[&str; 4]; 2] =
    [[CLIENT4, HOST4, TARGET4, SOURCE4], [CLIENT6, HOST6, TARGET6, SOURCE6]];

fn at(ip: &str, port: u16) -> Result<String> {
    Ok(std::net::SocketAddr::new(ip.parse()?, port).to_string())
}

/// What the target answers to the frame that came to it.
pub(crate) fn answer(came: &[u8], like: &Frame) -> Frame {
    let (from, to) = ends(came);
    let (from, to): (std::net::SocketAddr, std::net::SocketAddr) =
        (from.parse().expect("an end"), to.parse().expect("an end"));
    Frame {
        from: to.ip(),
        to: from.ip(),
        from_port: to.port(),
        to_port: from.port(),
        ..like.clone()
    }
}

#[test]
fn packets_go_to_the_target_and_its_answers_to_the_client() -> Result {
    for [client, host, target, source] in FAMILIES {
        for first in [syn(client, host), datagram(client, host).with(13)] {
            let mut plane = Plane::new(20_000..=20_009)?;
            let out = plane.forward(&first)?;
            assert_eq!(ends(&out), (at(source, 20_000)?, target.to_owned()));
            let hops = if client == CLIENT4 { out[22] } else { out[21] };
            assert_eq!(hops, 63);
            let same = &out[transport(&out) + 4..checksum_at(&out)];
            let given = first.bytes();
            assert_eq!(same, &given[transport(&given) + 4..checksum_at(&given)]);

            let reply = first.segment(SYN | ACK, 900, 8, first.payload);
            let back = plane.forward(&answer(&out, &reply))?;
            let (service, port) = (at(host, first.to_port)?, first.from_port);
            assert_eq!(ends(&back), (service, at(client, port)?));
            assert_eq!(plane.send(&back)?, NEXT);
            let again = plane.forward(&first)?;
            assert_eq!(ends(&again), ends(&out), "the same port for one flow");
        }
    }
    Ok(())
}

/// A flow, from its first packet to its last, is counted as a guard's is.
#[test]
fn a_forwarded_flow_is_counted_as_any_other() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let client = syn(CLIENT4, HOST4);
    let came = plane.forward(&client)?;
    let mut exchange = |frame: &Frame, up: bool| -> Result {
        let out = if up { plane.forward(frame)? } else { plane.forward(&answer(&came, frame))? };
        if !up {
            assert_eq!(plane.send(&out)?, NEXT);
        }
        Ok(())
    };
    exchange(&client.segment(SYN | ACK, 900, 8, 0), false)?;
    exchange(&client.segment(ACK, 8, 901, 0), true)?;
    exchange(&client.segment(ACK, 8, 901, 100), true)?;
    exchange(&client.segment(ACK, 901, 108, 50), false)?;
    exchange(&client.segment(FIN | ACK, 108, 951, 0), true)?;
    exchange(&client.segment(FIN | ACK, 951, 109, 0), false)?;
    exchange(&client.segment(ACK, 109, 952, 0), true)?;
    let events: Vec<Event> = plane.link.kernel.events();
    let [Event::Closed(closed)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((closed.state.up.payload(), closed.state.down.payload()), (100, 50));
    assert!(closed.state.has(proxy_common::flow::FlowState::FORWARDED));
    let key: FlowKey = closed.key;
    let way = plane.link.kernel.maps.forwarded.translation(&key)?.ok_or("translated no longer")?;
    assert!(way.closed != 0, "the port is not to be had");
    // What comes late is sent on all the same.
    plane.forward(&client.segment(FIN | ACK, 108, 951, 0))?;
    assert!(plane.link.kernel.events().is_empty());
    Ok(())
}

#[test]
fn syns_ask_for_no_more_than_the_way_carries() -> Result {
    for [client, host, ..] in FAMILIES {
        let header: u16 = if client == CLIENT4 { 40 } else { 60 };
        for (asked, granted) in [(1460, 1400 - header), (536, 536)] {
            let mut plane = Plane::new(20_000..=20_009)?;
            let (action, out) = plane.receive(&asking(&syn(client, host), asked))?;
            assert_eq!(action, REDIRECT);
            assert!(is_summed(&out));
            let mss = &out[transport(&out) + 22..transport(&out) + 24];
            assert_eq!(mss, granted.to_be_bytes());
        }
    }
    Ok(())
}

/// Ports are taken in turn; one whose flow lives is left alone, and without any the relay
/// serves.
#[test]
fn the_port_that_was_taken_longest_ago_is_the_next() -> Result {
    let mut plane = Plane::new(20_000..=20_002)?;
    let client = |port| Frame { from_port: port, ..syn(CLIENT4, HOST4) };
    let source = |out: &[u8]| ends(out).0;
    for taken in 0..3 {
        let out = plane.forward(&client(4000 + taken))?;
        assert_eq!(source(&out), at(SOURCE4, 20_000 + taken)?);
    }
    let (action, _) = plane.receive(&summed(&client(5000).bytes()))?;
    assert_eq!(action, NEXT, "the relay's");
    assert_eq!(plane.link.kernel.outcome(Outcome::NotForwarded)?, 1);
    // The second one's flow is over: its port is the one that is left.
    let second = client(4001);
    let came = plane.forward(&second)?;
    let established = second.segment(SYN | ACK, 900, 8, 0);
    let back = plane.forward(&answer(&came, &established))?;
    plane.send(&back)?;
    plane.forward(&second.segment(ACK, 8, 901, 0))?;
    plane.forward(&second.segment(RST, 8, 0, 0))?;
    let out = plane.forward(&client(5001))?;
    assert_eq!(source(&out), at(SOURCE4, 20_001)?);
    Ok(())
}

/// A datagram without a checksum stays one (RFC 768).
#[test]
fn no_checksum_is_made_up() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let bytes = datagram(CLIENT4, HOST4).with(10).bytes();
    let (action, out) = plane.receive(&bytes)?;
    assert_eq!(action, REDIRECT);
    assert_eq!(out[checksum_at(&out)..][..2], [0, 0]);
    Ok(())
}

/// Answers of strangers, to ports of the plane, are the host's.
#[test]
fn a_port_of_the_plane_answers_to_its_target_alone() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let came = plane.forward(&syn(CLIENT4, HOST4))?;
    let like = syn(CLIENT4, HOST4).segment(SYN | ACK, 900, 8, 0);
    let stranger = Frame { from: "10.0.0.6".parse()?, ..answer(&came, &like) };
    assert_eq!(plane.receive(&stranger.bytes())?.0, NEXT);
    let other_port = Frame { from_port: 5433, ..answer(&came, &like) };
    assert_eq!(plane.receive(&other_port.bytes())?.0, NEXT);
    Ok(())
}
