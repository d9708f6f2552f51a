//! Bytes that were sent and that the client does not read: only what it acknowledged
//! counts.

use std::net::SocketAddr;

use anyhow::Result;
use weir_tests::{
    client,
    lab::{self, Lab},
    scenario::{self, PLANES, Servers},
    server::Behaviour,
    ss,
    wait::{SOON, holds},
    weir::Weir,
};

/// More than all buffers between a server and a client.
const ENDLESS: u64 = 64 << 20;

#[test]
fn a_reset_of_a_full_window_counts_what_was_acknowledged() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Source(ENDLESS))?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    for (service, port) in PLANES {
        let to = SocketAddr::new(lab::SERVER4, port);
        let stream = client::connect((&lab.clients, lab::DE4), to)?;
        let own = stream.local_addr()?.port();
        let sender = || ss::socket(&lab.server, &format!("dport = :{own}"));
        // It has probed the closed window, and probes are no payload.
        let stuck = || sender().is_ok_and(|socket| ss::figure(&socket, "backoff") >= 2);
        assert!(holds(SOON, stuck), "{service}: {}", sender()?);
        let reader = ss::socket(&lab.clients, &format!("sport = :{own}"))?;
        let received = ss::figure(&reader, "bytes_received");
        assert!(received > 0, "{service}: {reader}");
        client::reset(stream)?;

        let record = weir.wait_for_event(&format!("service_id={service}"), SOON)?;
        assert_eq!(record["bytes_download"], received, "{record}");
        assert_eq!(record["bytes_upload"], 0, "{record}");
        assert_eq!(record["close_reason"], "client_reset", "{record}");
    }
    Ok(())
}
