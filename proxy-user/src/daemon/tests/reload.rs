//! Reloads: confirmed, not confirmed, refused.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use super::{Daemon, LOCALHOST, free_port, service, until};
use crate::{
    api::Failure,
    daemon::{
        core::ApplyError,
        phase::Phase,
        reload::{ReloadError, hex},
    },
};

/// So long that it never comes: expiry is called for.
const LATER: Option<Duration> = Some(Duration::from_hours(24));

/// Configurations that differ in their service's name.
fn named(name: &str) -> String {
    service(name, free_port(), ([127, 0, 0, 1], 9).into(), "")
}

fn in_force(daemon: &Daemon) -> String {
    daemon.core.config.load().services[0].name.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_confirmed_in_time_goes_back() {
    let daemon = Daemon::start(|_| named("a")).await;
    let digest = hex(&daemon.core.config.load().digest);
    daemon.reload(&named("b"), Some(Duration::from_millis(50))).await.unwrap();
    until("a is in force again", async || in_force(&daemon) == "a").await;
    until("it is audited", async || daemon.audited()[0].contains("not confirmed")).await;
    assert!(daemon.audited()[0].contains(&digest));
    assert!(!daemon.core.confirm().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_confirmed_stays() {
    let daemon = Daemon::start(|_| named("a")).await;
    daemon.reload(&named("b"), LATER).await.unwrap();
    assert!(daemon.core.confirm().await);
    assert!(!daemon.core.confirm().await);
    daemon.core.go_back(1).await;
    assert_eq!(in_force(&daemon), "b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_reload_settles_an_unconfirmed_one() {
    let daemon = Daemon::start(|_| named("a")).await;
    daemon.reload(&named("b"), LATER).await.unwrap();
    daemon.reload(&named("c"), None).await.unwrap();
    daemon.core.go_back(1).await;
    assert_eq!(in_force(&daemon), "c");
    assert!(!daemon.core.confirm().await);
    // The next one goes back to what was settled.
    daemon.reload(&named("d"), LATER).await.unwrap();
    daemon.core.go_back(3).await;
    assert_eq!(in_force(&daemon), "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_ones_in_a_row_go_back_to_the_last_confirmed() {
    let daemon = Daemon::start(|_| named("a")).await;
    daemon.reload(&named("b"), LATER).await.unwrap();
    daemon.reload(&named("c"), LATER).await.unwrap();
    daemon.core.go_back(1).await;
    assert_eq!(in_force(&daemon), "c", "the time of the first is nothing to the second");
    daemon.core.go_back(2).await;
    assert_eq!(in_force(&daemon), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_reload_settles_nothing() {
    let daemon = Daemon::start(|_| named("a")).await;
    daemon.reload(&named("b"), LATER).await.unwrap();
    daemon.reload("[service.b]\ncolour = 'red'", None).await.unwrap_err();
    assert_eq!(in_force(&daemon), "b");
    daemon.core.go_back(1).await;
    assert_eq!(in_force(&daemon), "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_while_the_daemon_stops() {
    let target = TcpListener::bind((LOCALHOST, 0)).await.unwrap();
    let (port, target) = (free_port(), target.local_addr().unwrap());
    let tables = service("a", port, target, "");
    let daemon = Daemon::start(|_| tables.clone()).await;
    daemon.reload(&tables, LATER).await.unwrap();
    assert!(daemon.core.ready());
    daemon.core.enter_stopping().await;
    assert!(!daemon.core.ready());
    daemon.core.relay.drain(Duration::ZERO).await;

    let refused = daemon.reload(&tables, None).await.unwrap_err();
    assert!(matches!(refused, ReloadError::NotApplied(ApplyError::Stopping)), "{refused}");
    daemon.core.go_back(1).await;
    assert!(daemon.audited()[0].contains("stopping"), "{:?}", daemon.audited());
    TcpStream::connect(SocketAddr::from((LOCALHOST, port))).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_fault_a_refusal_is_decides_its_status() {
    let daemon = Daemon::start(|_| named("a")).await;
    let faulty = daemon.reload("[service.b]\ncolour = 'red'", None).await.unwrap_err();
    assert!(matches!(Failure::from(faulty), Failure::Invalid(why) if why.contains("colour")));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = std::net::TcpListener::bind(taken).unwrap();
    let tables = service("b", taken.port(), ([127, 0, 0, 1], 9).into(), "");
    let bound = daemon.reload(&tables, None).await.unwrap_err();
    let address = taken.to_string();
    assert!(matches!(Failure::from(bound), Failure::Invalid(why) if why.contains(&address)));
    drop(holder);
    let ours = ReloadError::NotApplied(ApplyError::Kernel(anyhow::anyhow!("no memory")));
    assert!(matches!(Failure::from(ours), Failure::Internal(_)));
    let stopping = ReloadError::NotApplied(ApplyError::Stopping);
    assert!(matches!(Failure::from(stopping), Failure::Unavailable(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_restart_changes_is_told() {
    let daemon = Daemon::start(|_| String::new()).await;
    let tables = "[log]\non_overload = 'drop'\non_store_failure = 'refuse'";
    let told = daemon.reload(tables, None).await.unwrap();
    for name in ["log.on_overload", "log.on_store_failure"] {
        let of = |told: &&String| told.starts_with(&format!("{name} changes with the next start"));
        assert_eq!(told.iter().filter(of).count(), 1, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_is_ready_from_its_start_to_its_stop() {
    let daemon = Daemon::start(|_| String::new()).await;
    daemon.core.enter(Phase::Starting);
    assert!(!daemon.core.ready());
    daemon.core.enter(Phase::Running);
    assert!(daemon.core.ready());
    // Without the kernel's side it is not, where that is required.
    let mut config = (*daemon.core.config.load_full()).clone();
    config.kernel.required = true;
    daemon.core.config.store(Arc::new(config));
    assert!(!daemon.core.ready());
}
