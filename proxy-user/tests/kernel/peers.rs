//! Who is let in unjudged, because the relay alone can tell the client.

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    flow::FlowState,
    packet::Segment,
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{Event, Generation},
    policy::{CidrFlags, Rules},
};

use crate::{
    frames::{Frame, datagram, syn},
    harness::{Action, HOOKS, HOST4, HOST6, Kernel, Result, frame_for, generation, guard},
};

/// Opens a connection; the flow's state.
fn connect(kernel: &mut Kernel, client: &Frame) -> Result<FlowState> {
    kernel.receive(client)?;
    kernel.send(&client.reply().segment(Segment::SYN | Segment::ACK, 100, 8, 0))?;
    kernel.receive(&client.segment(Segment::ACK, 8, 101, 0))?;
    let key = FlowKey {
        client: client.from.into(),
        service: client.to.into(),
        client_port: client.from_port,
        service_port: client.to_port,
        protocol: PROTOCOL_TCP.into(),
    };
    kernel.maps.flows.get(&key)?.ok_or_else(|| "no flow".into())
}

/// A peer that must send a PROXY header is not the client.
#[test]
fn a_peer_in_accept_from_passes_and_nobody_else_does() -> Result {
    let blocked = CidrFlags::BLOCKED;
    let cidrs = [
        ("198.51.100.0/24", blocked),
        ("198.51.100.7/32", blocked.with(CidrFlags::PROXY)),
        ("2001:db8:bad::/48", blocked.with(CidrFlags::PROXY)),
    ];
    let rules = Rules { flags: Rules::PROXIES, ..Rules::OPEN };
    let mut kernel = Kernel::new(&rules, &cidrs)?;
    for hook in HOOKS {
        for (from, to, action) in [
            ("198.51.100.7", HOST4, Action::Pass),
            ("2001:db8:bad::7", HOST6, Action::Pass),
            ("198.51.100.8", HOST4, Action::Drop),
            ("203.0.113.5", HOST4, Action::Pass),
        ] {
            for frame in [syn(from, to), datagram(from, to)] {
                assert_eq!(kernel.run(hook, &frame_for(hook, &frame))?, action, "{hook} {from}");
            }
        }
    }
    // Only where the service has such peers.
    kernel.maps.tables.install(&generation(&Rules { flags: 0, ..rules }, &cidrs)?)?;
    assert_eq!(kernel.receive(&syn("198.51.100.7", HOST4))?, Action::Drop);
    Ok(())
}

/// What an observing policy would have denied is the client's, not its proxy's.
#[test]
fn nothing_is_noted_of_a_peer_in_accept_from() -> Result {
    let cidrs = [
        ("198.51.100.7/32", CidrFlags::BLOCKED.with(CidrFlags::PROXY)),
        ("198.51.100.8/32", CidrFlags::BLOCKED),
    ];
    let flags = Rules::PROXIES | Rules::OBSERVE;
    let mut kernel = Kernel::new(&Rules { flags, ..Rules::OPEN }, &cidrs)?;
    assert_eq!(connect(&mut kernel, &syn("198.51.100.7", HOST4))?.observed(), None);
    assert!(connect(&mut kernel, &syn("198.51.100.8", HOST4))?.observed().is_some());
    Ok(())
}

/// `tls` services `a` and `b`, which share port 443; `a` has port 8443 to itself.
fn shared(cidrs: &[(&str, CidrFlags)]) -> Result<Generation> {
    let mut shared = generation(&Rules::OPEN, cidrs)?;
    shared.services = vec![guard("a", PROTOCOL_TCP, 443), guard("b", PROTOCOL_TCP, 443)];
    shared.services[0].listen.push(Listen { address: ListenAddress::Any, port: 8443 });
    for service in &mut shared.services {
        service.relayed = true;
    }
    Ok(shared)
}

/// The service is not known before the client names it.
#[test]
fn on_a_shared_listener_everyone_is_let_in_and_followed() -> Result {
    let blocked = [("198.51.100.0/24", CidrFlags::BLOCKED)];
    let mut kernel = Kernel::of(&shared(&blocked)?, 16)?;
    for hook in HOOKS {
        for (port, action) in [(443, Action::Pass), (8443, Action::Drop)] {
            let frame = Frame { to_port: port, ..syn("198.51.100.7", HOST4) };
            assert_eq!(kernel.run(hook, &frame_for(hook, &frame))?, action, "{hook} {port}");
        }
    }
    kernel.events();
    kernel.maps.tables.install(&shared(&[])?)?;
    let client = Frame { to_port: 443, ..syn("198.51.100.7", HOST4) };
    assert!(connect(&mut kernel, &client)?.has(FlowState::RELAYED));
    let alone = Frame { to_port: 8443, ..client.clone() };
    connect(&mut kernel, &alone)?;
    // The relay cuts by the service that the client named.
    kernel.maps.tables.install(&shared(&blocked)?)?;
    assert_eq!(kernel.receive(&client.segment(Segment::ACK, 8, 101, 5))?, Action::Pass);
    assert_eq!(kernel.receive(&alone.segment(Segment::ACK, 8, 101, 5))?, Action::Drop);
    let events = kernel.events();
    assert!(matches!(events[..], [Event::Cut(_)]), "{events:?}");
    Ok(())
}

/// One service may name a place twice.
#[test]
fn a_listener_named_twice_by_one_service_is_not_shared() -> Result {
    let blocked = [("198.51.100.0/24", CidrFlags::BLOCKED)];
    let mut twice = generation(&Rules::OPEN, &blocked)?;
    twice.services[0].listen.push(Listen { address: ListenAddress::AnyV4, port: 22 });
    let mut kernel = Kernel::of(&twice, 16)?;
    assert_eq!(kernel.receive(&syn("198.51.100.7", HOST4))?, Action::Drop);
    Ok(())
}
