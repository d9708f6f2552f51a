//! A flow from its first packet to its record's figures.

use proxy_common::{
    flow::{FlowId, FlowState},
    outcome::Outcome,
    packet::Segment,
};
use proxy_user::{
    datapath::Event,
    policy::{CidrFlags, Rules},
};

use crate::{
    frames::{Frame, syn},
    harness::{Action, HOST4, HOST6, Kernel, Result, generation},
};

const ACK: u8 = Segment::ACK;
const FIN: u8 = Segment::FIN | Segment::ACK;

/// Opens a connection: client's sequence numbers from 8, the host's from 101.
fn handshake(kernel: &mut Kernel, syn: &Frame) -> Result {
    kernel.receive(syn)?;
    kernel.send(&syn.reply().segment(Segment::SYN | ACK, 100, 8, 0))?;
    kernel.receive(&syn.segment(ACK, 8, 101, 0))?;
    Ok(())
}

fn closed(kernel: &mut Kernel) -> Result<FlowState> {
    let events = kernel.events();
    match events[..] {
        [Event::Closed(event)] => Ok(event.state),
        _ => Err(format!("not one end: {events:?}").into()),
    }
}

#[test]
fn bytes_are_what_the_receiving_end_acknowledged() -> Result {
    for (from, to) in [("203.0.113.5", HOST4), ("2001:db8::5", HOST6)] {
        let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
        let client = syn(from, to);
        let host = client.reply();
        handshake(&mut kernel, &client)?;
        assert_eq!(kernel.outcome(Outcome::Opened)?, 1);
        kernel.receive(&client.segment(ACK, 8, 101, 300))?;
        kernel.receive(&client.segment(ACK, 8, 101, 300))?;
        kernel.send(&host.segment(ACK, 101, 308, 1000))?;
        kernel.receive(&client.segment(ACK, 308, 1101, 0))?;
        // Beyond what was sent: ignored.
        kernel.receive(&client.segment(ACK, 308, 9999, 0))?;
        kernel.receive(&client.segment(FIN, 308, 1101, 0))?;
        kernel.send(&host.segment(FIN, 1101, 309, 0))?;
        kernel.receive(&client.segment(ACK, 309, 1102, 0))?;
        let state = closed(&mut kernel)?;
        assert_eq!((state.up.payload(), state.down.payload()), (300, 1000));
        assert_eq!((state.up.packets, state.down.packets), (8, 3));
        assert!(state.has(FlowState::CLIENT_CLOSED) && !state.has(FlowState::PARTIAL));
    }
    Ok(())
}

#[test]
fn an_acceptable_reset_ends_a_flow_and_a_forged_one_does_not() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    handshake(&mut kernel, &client)?;
    kernel.receive(&client.segment(Segment::RST, 5000, 0, 0))?;
    assert_eq!(kernel.events(), []);
    kernel.receive(&client.segment(Segment::RST, 8, 0, 0))?;
    assert!(closed(&mut kernel)?.has(FlowState::CLIENT_RESET));
    Ok(())
}

#[test]
fn a_half_open_or_refused_handshake_is_no_flow() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    kernel.receive(&client)?;
    kernel.send(&client.reply().segment(Segment::RST | ACK, 0, 8, 0))?;
    assert_eq!((kernel.outcome(Outcome::Refused)?, kernel.outcome(Outcome::Opened)?), (1, 0));
    kernel.receive(&client)?;
    kernel.send(&client.reply().segment(Segment::SYN | ACK, 100, 8, 0))?;
    // A blind ACK does not fit.
    kernel.receive(&client.segment(ACK, 8, 4000, 0))?;
    assert_eq!(kernel.maps.flows.all().count(), 0);
    assert_eq!(kernel.events(), []);
    Ok(())
}

#[test]
fn a_flow_met_midway_is_partial_once_the_host_answers() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    kernel.receive(&client.segment(ACK, 5000, 9000, 100))?;
    assert_eq!(kernel.maps.flows.all().count(), 0);
    kernel.send(&client.reply().segment(ACK, 9000, 5100, 50))?;
    kernel.receive(&client.segment(ACK, 5100, 9050, 0))?;
    let flows: Vec<_> = kernel.maps.flows.all().collect();
    let [(_, state)] = flows[..] else { return Err("no flow".into()) };
    assert!(state.has(FlowState::PARTIAL));
    assert_eq!((state.up.payload(), state.down.payload()), (100, 50));
    Ok(())
}

#[test]
fn a_new_connection_on_an_ended_5_tuple_hands_the_old_one_over() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    handshake(&mut kernel, &client)?;
    kernel.send(&client.reply().segment(Segment::RST, 101, 0, 0))?;
    assert_eq!(kernel.events().len(), 1);
    kernel.receive(&Frame { sequence: 900, ..client })?;
    let events = kernel.events();
    let [Event::Closed(event)] = events[..] else { return Err(format!("{events:?}").into()) };
    assert_eq!(event.replaced, 1);
    // It is there for a daemon that was killed with the event, until its record is safe.
    assert_eq!(kernel.maps.flows.get(&event.key)?, None);
    let waiting: Vec<_> = kernel.maps.flows.all().collect();
    assert_eq!(waiting, [(event.key, event.state)]);
    kernel.maps.flows.remove(&FlowId { key: event.key, started: event.state.started })?;
    assert_eq!(kernel.maps.flows.all().count(), 0);
    Ok(())
}

/// The host had given a connection up without a word; the client comes again.
#[test]
fn a_connection_on_a_stale_5_tuple_is_a_flow_of_its_own() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    handshake(&mut kernel, &client)?;
    kernel.receive(&client.segment(ACK, 8, 101, 300))?;
    kernel.send(&client.reply().segment(ACK, 101, 308, 0))?;
    let again = Frame { sequence: 9_000_000, ..client };
    kernel.receive(&again)?;
    kernel.send(&again.reply().segment(Segment::SYN | ACK, 5000, 9_000_001, 0))?;
    kernel.receive(&again.segment(ACK, 9_000_001, 5001, 70))?;
    kernel.send(&again.reply().segment(ACK, 5001, 9_000_071, 0))?;
    let old = closed(&mut kernel)?;
    assert_eq!(old.up.payload(), 300);
    let flows: Vec<_> = kernel.maps.flows.all().collect();
    let fresh = flows.iter().find(|(_, state)| state.started != old.started);
    assert_eq!(fresh.map(|(_, state)| state.up.payload()), Some(70), "{flows:?}");
    Ok(())
}

/// A second SYN ends no handshake under way, whoever sent it.
#[test]
fn another_syn_hides_no_connection() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    kernel.receive(&client)?;
    kernel.send(&client.reply().segment(Segment::SYN | ACK, 100, 8, 0))?;
    kernel.receive(&Frame { sequence: 700_000, ..client.clone() })?;
    kernel.receive(&client.segment(ACK, 8, 101, 50))?;
    assert_eq!(kernel.outcome(Outcome::Opened)?, 1);
    Ok(())
}

/// What the host sends after its SYN-ACK says that it has a connection, whatever was
/// seen of the client.
#[test]
fn the_hosts_own_packets_open_a_flow_that_the_clients_do_not() -> Result {
    let client = syn("203.0.113.5", HOST4);
    let host = client.reply();
    for seen in [true, false] {
        let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
        if seen {
            kernel.receive(&client)?;
        }
        kernel.send(&host.segment(Segment::SYN | ACK, 100, 8, 0))?;
        // The client's ACK came in pieces; the host greets.
        kernel.send(&host.segment(ACK, 101, 8, 20))?;
        kernel.receive(&client.segment(ACK, 8, 121, 5))?;
        kernel.send(&host.segment(ACK, 121, 13, 0))?;
        let flows: Vec<_> = kernel.maps.flows.all().collect();
        let [(_, state)] = flows[..] else { return Err(format!("{flows:?}").into()) };
        assert_eq!((state.up.payload(), state.down.payload()), (5, 20));
        assert!(!state.has(FlowState::PARTIAL));
    }
    Ok(())
}

/// What is routed through this host is not its own, whatever its port.
#[test]
fn a_routed_answer_is_nobodys_flow() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", "192.0.2.9");
    kernel.send(&client.reply().segment(Segment::SYN | ACK, 100, 8, 0))?;
    kernel.send(&client.reply().segment(ACK, 101, 8, 20))?;
    assert_eq!(kernel.maps.flows.all().count(), 0);
    Ok(())
}

/// A flow that nobody judged yet is judged with the client's first packet.
#[test]
fn a_flow_that_the_host_opened_is_judged_all_the_same() -> Result {
    let blocked = [("198.51.100.0/24", CidrFlags::BLOCKED)];
    let mut kernel = Kernel::new(&Rules::OPEN, &blocked)?;
    let client = syn("198.51.100.5", HOST4);
    kernel.send(&client.reply().segment(Segment::SYN | ACK, 100, 8, 0))?;
    kernel.send(&client.reply().segment(ACK, 101, 8, 20))?;
    assert_eq!(kernel.receive(&client.segment(ACK, 8, 121, 5))?, Action::Drop);
    Ok(())
}

/// An entry whose record is not written yet lets nobody in.
#[test]
fn what_follows_an_ended_flow_is_judged_by_the_policy_of_now() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("198.51.100.5", HOST4);
    handshake(&mut kernel, &client)?;
    kernel.send(&client.reply().segment(Segment::RST, 101, 0, 0))?;
    kernel
        .maps
        .tables
        .install(&generation(&Rules::OPEN, &[("198.51.100.0/24", CidrFlags::BLOCKED)])?)?;
    assert_eq!(kernel.receive(&Frame { sequence: 900, ..client.clone() })?, Action::Drop);
    assert_eq!(kernel.receive(&client.segment(ACK, 901, 1, 5))?, Action::Drop);
    Ok(())
}

/// Bytes ahead of a gap may be forged: no RST there ends the flow, and no FIN.
#[test]
fn what_lies_ahead_of_a_gap_ends_nothing() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let client = syn("203.0.113.5", HOST4);
    handshake(&mut kernel, &client)?;
    kernel.receive(&client.segment(ACK, 500_008, 101, 1))?;
    kernel.receive(&client.segment(Segment::RST, 500_009, 0, 0))?;
    assert_eq!(kernel.events(), []);
    kernel.receive(&client.segment(FIN, 8, 101, 10))?;
    kernel.receive(&client.segment(FIN, 900_008, 101, 0))?;
    kernel.send(&client.reply().segment(FIN, 101, 19, 0))?;
    kernel.receive(&client.segment(ACK, 19, 102, 0))?;
    assert_eq!(closed(&mut kernel)?.up.payload(), 10);
    Ok(())
}

#[test]
fn a_new_policy_cuts_exactly_the_flows_that_it_denies() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let (denied, kept) = (syn("198.51.100.5", HOST4), syn("203.0.113.5", HOST4));
    handshake(&mut kernel, &denied)?;
    handshake(&mut kernel, &kept)?;
    kernel
        .maps
        .tables
        .install(&generation(&Rules::OPEN, &[("198.51.100.0/24", CidrFlags::BLOCKED)])?)?;
    for _ in 0..2 {
        assert_eq!(kernel.receive(&denied.segment(ACK, 8, 101, 10))?, Action::Drop);
        assert_eq!(kernel.receive(&kept.segment(ACK, 8, 101, 10))?, Action::Pass);
    }
    let events = kernel.events();
    assert!(matches!(events[..], [Event::Cut(_)]), "{events:?}");
    Ok(())
}
