//! The kernel plane at its edges: what it leaves to the relay, drops, or must not be led to
//! believe.

use proxy_common::{flow::FlowState, outcome::Outcome, packet::Segment};
use proxy_user::datapath::Event;

use crate::{
    frames::{Frame, datagram, syn},
    harness::{HOST4, HOST6, Result},
    plane::{CLIENT4, DROP, FAMILIES, NEXT, Plane, REDIRECT, answer, ends, summed},
};

const SYN: u8 = Segment::SYN;
const ACK: u8 = Segment::ACK;
const RST: u8 = Segment::RST;

/// A frame that has no hop left after this host.
fn at_its_last_hop(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.bytes();
    let hops = if frame.from.is_ipv4() { 22 } else { 21 };
    bytes[hops] = 1;
    summed(&bytes)
}

/// A plane with an established flow; its client's SYN, and how that came to the target.
fn established(plane: &mut Plane, client: &Frame) -> Result<Vec<u8>> {
    let came = plane.forward(client)?;
    let back = plane.forward(&answer(&came, &client.segment(SYN | ACK, 900, 8, 0)))?;
    assert_eq!(plane.send(&back)?, NEXT);
    plane.forward(&client.segment(ACK, 8, 901, 0))?;
    Ok(came)
}

#[test]
fn what_cannot_be_translated_is_dropped_and_not_counted_as_carried() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let first = datagram(CLIENT4, HOST4).with(100);
    plane.forward(&first)?;
    let fragment = Frame { fragment: 0x2000, absent: 500, ..first.clone() };
    assert_eq!(plane.receive(&fragment.bytes())?.0, DROP);
    let with_options = Frame { options: vec![1; 4], ..first.clone() };
    assert_eq!(plane.receive(&with_options.bytes())?.0, DROP);
    assert_eq!(plane.link.kernel.outcome(Outcome::Untranslatable)?, 2);
    assert_eq!(plane.receive(&at_its_last_hop(&first))?.0, DROP);
    assert_eq!(plane.link.kernel.outcome(Outcome::Expired)?, 1);
    let (_, flow) = plane.link.kernel.maps.flows.all().next().ok_or("no flow")?;
    assert_eq!((flow.up.payload(), flow.up.packets), (100, 1));
    Ok(())
}

/// The host puts pieces together and follows options; its relay serves who begins so.
#[test]
fn what_begins_with_such_a_packet_is_the_relays() -> Result {
    for [client, host, ..] in FAMILIES {
        let mut plane = Plane::new(20_000..=20_009)?;
        for first in [syn(client, host), datagram(client, host).with(16)] {
            let mut odd = vec![at_its_last_hop(&first)];
            if first.from.is_ipv4() {
                odd.push(Frame { options: vec![1; 4], ..first.clone() }.bytes());
                odd.push(Frame { fragment: 0x2000, absent: 500, ..first.clone() }.bytes());
            } else {
                let extension = (60, vec![0, 1, 4, 0, 0, 0, 0]);
                odd.push(Frame { extensions: vec![extension], ..first.clone() }.bytes());
            }
            for (port, mut frame) in (41_000u16..).zip(odd) {
                let at =
                    frame.len() - first.bytes().len() + crate::plane::transport(&first.bytes());
                frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
                assert_eq!(plane.receive(&frame)?.0, NEXT, "{frame:?}");
            }
        }
        assert_eq!(plane.link.kernel.maps.forwarded.translations().count(), 0);
    }
    Ok(())
}

/// Their addresses say nothing of the link that they are on.
#[test]
fn clients_of_a_link_are_the_relays() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let (action, _) = plane.receive(&summed(&syn("fe80::9", HOST6).bytes()))?;
    assert_eq!(action, NEXT);
    assert_eq!(plane.link.kernel.outcome(Outcome::NotForwarded)?, 1);
    Ok(())
}

/// A reset that does not reach the target ends nothing: the flow goes on to be counted.
#[test]
fn a_reset_that_goes_no_further_ends_no_flow() -> Result {
    for [client, host, ..] in FAMILIES {
        let mut plane = Plane::new(20_000..=20_009)?;
        let client = syn(client, host);
        established(&mut plane, &client)?;
        assert_eq!(plane.receive(&at_its_last_hop(&client.segment(RST, 8, 0, 0)))?.0, DROP);
        assert!(plane.link.kernel.events().is_empty());
        plane.forward(&client.segment(ACK, 8, 901, 100))?;
        let (_, flow) = plane.link.kernel.maps.flows.all().next().ok_or("no flow")?;
        assert_eq!((flow.up.sent, flow.has(FlowState::ENDED)), (100, false));
    }
    Ok(())
}

/// Nor does one that the target drops (its checksum is wrong, say) let anything pass that is
/// not counted: who goes on is told that the flow is over.
#[test]
fn nothing_is_carried_after_a_reset() -> Result {
    let mut plane = Plane::new(20_000..=20_009)?;
    let client = syn(CLIENT4, HOST4);
    let came = established(&mut plane, &client)?;
    plane.forward(&client.segment(RST, 8, 0, 0))?;
    plane.link.kernel.events();
    assert_eq!(plane.receive(&summed(&client.segment(ACK, 8, 901, 100).bytes()))?.0, DROP);
    let down = plane.forward(&answer(&came, &client.segment(ACK, 901, 8, 100)))?;
    assert_eq!(plane.send(&down)?, DROP);
    let events = plane.link.kernel.events();
    assert!(matches!(events[..], [Event::Plane(_), Event::Plane(_)]), "{events:?}");
    // What still belongs to the end passes.
    plane.forward(&client.segment(RST, 8, 0, 0))?;
    Ok(())
}

/// Who goes on and on asks for no more answers than the ring buffer can spare.
#[test]
fn a_flood_on_a_cut_flow_leaves_room_for_other_events() -> Result {
    const FLOOD: u32 = 100_000;
    let mut plane = Plane::new(20_000..=20_009)?;
    let client = syn(CLIENT4, HOST4);
    established(&mut plane, &client)?;
    plane.forward(&client.segment(RST, 8, 0, 0))?;
    let begin = std::time::Instant::now();
    let frame = summed(&client.segment(ACK, 8, 901, 100).bytes());
    assert_eq!(plane.flood(&frame, FLOOD)?, DROP);
    // 64 in each 17 ms, on each CPU that it ran on.
    let windows = usize::try_from(begin.elapsed().as_millis())? / 16 + 2;
    let most = 64 * windows * std::thread::available_parallelism()?.get();
    let events = plane.link.kernel.events().len();
    assert!(events > 0 && events <= most, "{events}, at most {most}");
    assert!(events < FLOOD as usize / 2, "{events} in {:?}", begin.elapsed());
    Ok(())
}

/// Clients that targets see by their own addresses may have any port, a service's too.
#[test]
fn answers_go_to_clients_whose_port_is_a_services() -> Result {
    for [client, host, target, _] in FAMILIES {
        for (first, port) in [(syn(client, host), 22), (datagram(client, host).with(13), 53)] {
            let mut plane = Plane::transparent()?;
            let first = Frame { from_port: port, ..first };
            let out = plane.forward(&first)?;
            let source = std::net::SocketAddr::new(client.parse()?, port);
            assert_eq!(ends(&out), (source.to_string(), target.to_owned()));
            let reply = first.segment(SYN | ACK, 900, 8, first.payload);
            let (action, back) = plane.receive(&summed(&answer(&out, &reply).bytes()))?;
            assert_eq!(action, REDIRECT);
            assert_eq!(ends(&back).1, source.to_string());
        }
    }
    Ok(())
}
