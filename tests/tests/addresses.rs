//! Which addresses of the host a service is reached at.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use weir_tests::{
    client::{self, Refusal},
    lab::{self, Lab},
    scenario::{self, BACKEND, BRIEF, RELAYED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

/// A relayed service that listens so, and denies the clients blocked by name.
fn listening(listen: &str) -> String {
    format!(
        "[service.relayed]\nmode = 'tcp'\nlisten = {listen}\ntarget = '127.0.0.1:{BACKEND}'\n\
         [service.relayed.access]\n{}\n",
        scenario::blocked()
    )
}

fn serves(lab: &Lab, from: IpAddr, to: IpAddr) -> bool {
    let connected = client::connect((&lab.clients, from), SocketAddr::new(to, RELAYED));
    connected.is_ok_and(|mut stream| client::exchange(&mut stream, 1000).is_ok())
}

fn refuses(lab: &Lab, from: IpAddr, to: IpAddr) -> Result<Option<Refusal>> {
    client::refusal((&lab.clients, from), SocketAddr::new(to, RELAYED), BRIEF)
}

#[test]
fn several_addresses_and_no_other() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let listen = format!("['192.0.2.1:{RELAYED}', '[2001:db8:77::1]:{RELAYED}']");
    let weir = Weir::start(&lab.server, "", &listening(&listen))?;
    for (good, bad, to) in
        [(lab::DE4, lab::BLOCKED4, lab::SERVER4), (lab::DE6, lab::BLOCKED6, lab::SERVER6)]
    {
        assert!(serves(&lab, good, to), "{to}");
        assert_eq!(refuses(&lab, bad, to)?, Some(Refusal::Silence), "{to}");
    }
    for (from, to) in [(lab::PRIVATE4, lab::SERVER_PRIVATE4), (lab::PRIVATE6, lab::SERVER_PRIVATE6)]
    {
        assert_eq!(refuses(&lab, from, to)?, Some(Refusal::Reset), "{to}");
    }
    weir.wait_for_events(2, "verdict=allowed", SOON)?;
    assert_eq!(weir.wait_for_events(4, "", SOON)?.len(), 4);
    Ok(())
}

#[test]
fn an_address_that_comes_later() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let later = IpAddr::from([192, 0, 2, 99]);
    let weir = Weir::start(&lab.server, "", &listening(&format!("'{later}:{RELAYED}'")))?;
    assert_eq!(refuses(&lab, lab::DE4, later)?, Some(Refusal::Silence));
    assert_eq!(weir.events("")?.len(), 0);

    lab.server.ip(&format!("addr add {later}/24 dev wan"))?;
    assert!(holds(SOON, || serves(&lab, lab::DE4, later)));
    assert_eq!(refuses(&lab, lab::BLOCKED4, later)?, Some(Refusal::Silence));
    let record = weir.wait_for_event("verdict=denied", SOON)?;
    assert_eq!(record["metadata"]["hook"], "tc", "{record}");
    Ok(())
}

#[test]
fn a_host_with_ipv6_alone() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    for interface in [lab::WAN, lab::LAN] {
        lab.server.ip(&format!("-4 addr flush dev {interface}"))?;
    }
    one_family(&lab, (lab::DE6, lab::BLOCKED6, lab::SERVER6))
}

#[test]
fn a_host_without_ipv6() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    lab.server.sysctl("net/ipv6/conf/all/disable_ipv6", "1")?;
    one_family(&lab, (lab::DE4, lab::BLOCKED4, lab::SERVER4))
}

fn one_family(lab: &Lab, (good, bad, to): (IpAddr, IpAddr, IpAddr)) -> Result<()> {
    let _servers = Servers::start(lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &listening(&RELAYED.to_string()))?;
    assert!(serves(lab, good, to));
    assert_eq!(refuses(lab, bad, to)?, Some(Refusal::Silence));
    weir.wait_for_event("verdict=allowed", SOON)?;
    weir.wait_for_event("verdict=denied", SOON)?;
    Ok(())
}
