//! Bytes that were sent and that the client does not read: only what it acknowledged
//! counts, and the record waits for it.

use std::{
    net::{Shutdown, SocketAddr},
    time::Duration,
};

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

/// The target's end is sent, and the relay's work done, long before the client has
/// read what comes before it.
#[test]
fn a_half_closed_client_that_reads_late_has_one_whole_record() -> Result<()> {
    const BYTES: u64 = 3 << 20;
    const LATE: Duration = Duration::from_millis(3_500);
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    // A sender's buffer holds all of it.
    lab.server.sysctl("net/ipv4/tcp_wmem", "4096 8388608 8388608")?;
    let _servers = Servers::start(&lab, Behaviour::Source(BYTES))?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    for (service, port) in PLANES {
        let to = SocketAddr::new(lab::SERVER4, port);
        let mut stream = client::connect((&lab.clients, lab::DE4), to)?;
        stream.shutdown(Shutdown::Write)?;
        let own = stream.local_addr()?.port();
        let left = format!("state closing state fin-wait-1 state last-ack dport = :{own}");
        let done = || ss::socket(&lab.server, &left).is_ok_and(|socket| !socket.is_empty());
        assert!(holds(SOON, done), "{service}: the sender has not ended");

        let query = format!("service_id={service}");
        let early = holds(LATE, || weir.events(&query).is_ok_and(|records| !records.is_empty()));
        assert!(!early, "{service}: recorded before its end: {:?}", weir.events(&query)?);
        assert_eq!(client::discard(&mut stream)?, BYTES);
        drop(stream);
        let record = weir.wait_for_event(&query, SOON)?;
        assert_eq!(record["bytes_download"], BYTES, "{record}");
        assert_eq!(record["bytes_upload"], 0, "{record}");
        assert_eq!(record["close_reason"], "client_closed", "{record}");
    }
    assert_eq!(weir.events("")?.len(), PLANES.len());
    Ok(())
}
