//! What status says.

use std::{
    fs::{self, File},
    net::SocketAddr,
};

use proxy_common::{reason::Reason, tables::DenialCount};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::{Daemon, LOCALHOST, free_port, service, until};
use crate::{
    daemon::{inbox::Snapshot, sinks},
    datapath::Denials,
    flow::{Now, TrackerStats},
};

/// A connection that the relay of `port` resets, whichever call sees that.
async fn denied(port: u16) {
    if let Ok(mut client) = TcpStream::connect(SocketAddr::from((LOCALHOST, port))).await {
        let _ = client.read(&mut [0]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_of_the_relay_are_counted() {
    let target = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let (port, target) = (free_port(), target.local_addr().unwrap());
    let daemon =
        Daemon::start(|_| service("db", port, target, "blocked_cidrs = ['127.0.0.1/32']")).await;
    denied(port).await;
    denied(port).await;
    until("both are counted", async || {
        daemon.status().await.services[0].denied == [("ip_restricted".to_owned(), 2)].into()
    })
    .await;
}

/// What the engine would show of one service with so many recorded flows.
fn snapshot(recorded: u64) -> Snapshot {
    let count = DenialCount { attempts: 3, packets: 9 };
    let denials = |reason, cpu| Denials { service: 0, reason, cpu, count };
    Snapshot {
        flows: Vec::new(),
        denials: vec![denials(Reason::IpRestricted, 0), denials(Reason::IpRestricted, 1)],
        outcomes: Vec::new(),
        tracker: TrackerStats::default(),
        recorded: [(0, recorded)].into(),
        requests: std::collections::BTreeMap::new(),
        resets_suppressed: 0,
        now: Now::read(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guard_accepted_never_falls() {
    let guard = "[service.ssh]\nmode = 'tcp'\nlisten = 22\ntarget = 'host'\n";
    let daemon = Daemon::start(|_| guard.to_owned()).await;
    let config = daemon.core.config.load_full();
    let names = [(0, "ssh".to_owned())].into();
    for (recorded, accepted) in [(4, 4), (3, 4), (5, 5)] {
        let status = &daemon.core.services(&config, &snapshot(recorded), &names)[0];
        assert_eq!(status.accepted, accepted);
        assert_eq!(status.denied, [("ip_restricted".to_owned(), 6)].into());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_cannot_be_written_says_since_when_and_how_far_it_is_behind() {
    let target = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let (port, target) = (free_port(), target.local_addr().unwrap());
    let daemon = Daemon::start(|place| {
        let path = place.path("logs/access.jsonl");
        let sink = format!("[[sink]]\nkind = 'jsonl'\npath = '{}'\n", path.display());
        sink + &service("db", port, target, "blocked_cidrs = ['127.0.0.1/32']")
    })
    .await;
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    sinks::start(&daemon.core, &stop).unwrap();
    denied(port).await;
    until("the failure is told", async || {
        let status = daemon.status().await;
        let sink = &status.sinks[0];
        let told = status.warnings.iter().any(|warning| warning.contains("a sink cannot be"));
        sink.failing_since.is_some() && sink.error.is_some() && sink.behind == Some(1) && told
    })
    .await;

    fs::create_dir(daemon.path("logs")).unwrap();
    until("it is written again", async || {
        let sink = daemon.status().await.sinks.remove(0);
        (sink.failing_since, sink.error, sink.behind) == (None, None, Some(0))
    })
    .await;
    let file = daemon.path("logs/access.jsonl");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);

    // Rotated: a reload opens the new file, also one that is refused.
    fs::rename(&file, daemon.path("logs/old")).unwrap();
    daemon.reload("colour = 'red'", None).await.unwrap_err();
    denied(port).await;
    until("the new file is written", async || {
        fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 1)
    })
    .await;
    assert_eq!(fs::read_to_string(daemon.path("logs/old")).unwrap().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_open_yet_hides_nothing_else() {
    let mut held = None;
    let daemon = Daemon::start(|place| {
        let records = place.path("data/records");
        fs::create_dir_all(&records).unwrap();
        let lock = File::create(records.join("lock")).unwrap();
        lock.lock().unwrap();
        held = Some(lock);
        "[[sink]]\nkind = 'jsonl'\npath = '-'\n".to_owned()
    })
    .await;
    let status = daemon.status().await;
    assert!(status.writer.failing);
    assert!(status.warnings.iter().any(|warning| warning.contains("the store cannot write")));
    assert_eq!(status.sinks[0].behind, None, "nobody knows");

    drop(held);
    until("the store is opened", async || {
        let status = daemon.status().await;
        !status.writer.failing && status.sinks[0].behind == Some(0)
    })
    .await;
}
