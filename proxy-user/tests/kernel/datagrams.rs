//! UDP between real sockets.

use aya::maps::{HashMap, Map, MapData};
use proxy_common::flow::{FlowId, FlowState};
use proxy_user::datapath::TcAttachment;

use crate::{
    harness::Result,
    host::{ALLOWED, BLOCKED, Host},
};

/// A `FlowState`, a `FlowKey` and a `FlowId` in a pinned map.
type State = [u8; 120];
type Key = [u8; 40];
type Id = [u8; 48];

fn map<K: aya::Pod>(path: &std::path::Path) -> Result<HashMap<MapData, K, State>> {
    Ok(HashMap::try_from(Map::HashMap(MapData::from_pin(path)?))?)
}

/// Fragments as the host itself makes them and puts them together.
#[test]
fn what_two_sockets_exchange_is_what_is_counted() -> Result {
    let host = Host::new()?;
    let daemon = host.start(TcAttachment::probe())?;
    let (server, client) = host.datagrams(ALLOWED)?;
    let mut room = vec![0; 65_536];
    // 1,472 fit into a packet; 65,507 are 65,515 with the header, 1,480 of them in each.
    let (mut bytes, mut packets) = (0, 0);
    for (payload, pieces) in [(0, 1), (1_472, 1), (1_473, 2), (65_507, 45)] {
        client.send(&room[..payload])?;
        let (received, from) = server.recv_from(&mut room)?;
        assert_eq!(received, payload);
        server.send_to(&room[..payload], from)?;
        assert_eq!(client.recv(&mut room)?, payload);
        bytes += payload as u64;
        packets += pieces;
    }
    let flows: Vec<_> = daemon.maps.flows.all().collect();
    let [(_, state)] = flows[..] else { return Err(format!("{flows:?}").into()) };
    assert_eq!((state.up.payload(), state.up.packets), (bytes, packets));
    assert_eq!((state.down.payload(), state.down.packets), (bytes, packets));
    assert!(state.has(FlowState::ESTABLISHED));
    Ok(())
}

/// The host asks whom it would not serve, and is answered.
#[test]
fn a_host_that_asks_from_its_port_is_answered() -> Result {
    let host = Host::new()?;
    let daemon = host.start(TcAttachment::probe())?;
    let (server, peer) = host.datagrams(BLOCKED)?;
    server.send_to(b"?", peer.local_addr()?)?;
    let mut room = [0; 8];
    assert_eq!(peer.recv(&mut room)?, 1);
    peer.send(b"yes")?;
    assert_eq!(server.recv(&mut room)?, 3);
    assert_eq!(daemon.maps.flows.all().count(), 0);
    Ok(())
}

/// A daemon that is killed while it takes a flow leaves it in its place and parked.
#[test]
fn a_flow_that_was_half_taken_is_one() -> Result {
    let host = Host::new()?;
    let mut daemon = host.start(TcAttachment::probe())?;
    let (server, client) = host.datagrams(ALLOWED)?;
    client.send(b"?")?;
    server.recv(&mut [0; 8])?;
    let placed = map::<Key>(&daemon.pins.maps().join("udp_flows"))?;
    let (key, state) = placed.iter().next().ok_or("no flow")??;
    let mut id: Id = [0; 48];
    id[..40].copy_from_slice(&key);
    id[40..].copy_from_slice(&state[..8]);
    map::<Id>(&daemon.pins.maps().join("parked"))?.insert(id, state, 0)?;

    let flows: Vec<_> = daemon.maps.flows.all().collect();
    let [(key, state)] = flows[..] else { return Err(format!("{flows:?}").into()) };
    assert!(!state.has(FlowState::ENDED));
    daemon.maps.flows.remove(&FlowId { key, started: state.started })?;
    assert_eq!(daemon.maps.flows.all().count(), 0);
    Ok(())
}
