//! A flow from its first packet to its record's figures.

use proxy_common::{
    flow::FlowState,
    outcome::Outcome,
    packet::Segment,
    policy::{CidrFlags, Rules},
};
use proxy_user::datapath::Event;

use crate::{
    frames::{Tcp, syn},
    harness::{Action, HOST4, HOST6, Kernel, Result, generation},
};

const ACK: u8 = Segment::ACK;
const FIN: u8 = Segment::FIN | Segment::ACK;

/// Opens a connection: client's sequence numbers from 8, the host's from 101.
fn handshake(kernel: &mut Kernel, syn: &Tcp) -> Result {
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
    kernel.receive(&Tcp { sequence: 900, ..client })?;
    let events = kernel.events();
    assert!(matches!(events[..], [Event::Closed(event)] if event.replaced == 1), "{events:?}");
    assert_eq!(kernel.maps.flows.all().count(), 0);
    Ok(())
}

#[test]
fn a_new_policy_cuts_exactly_the_flows_that_it_denies() -> Result {
    let mut kernel = Kernel::new(&Rules::OPEN, &[])?;
    let (denied, kept) = (syn("198.51.100.5", HOST4), syn("203.0.113.5", HOST4));
    handshake(&mut kernel, &denied)?;
    handshake(&mut kernel, &kept)?;
    let rules = Rules { cidrs: 1, ..Rules::OPEN };
    kernel.maps.tables.install(&generation(&rules, &[("198.51.100.0/24", CidrFlags::BLOCKED)])?)?;
    for _ in 0..2 {
        assert_eq!(kernel.receive(&denied.segment(ACK, 8, 101, 10))?, Action::Drop);
        assert_eq!(kernel.receive(&kept.segment(ACK, 8, 101, 10))?, Action::Pass);
    }
    let events = kernel.events();
    assert!(matches!(events[..], [Event::Cut(_)]), "{events:?}");
    Ok(())
}
