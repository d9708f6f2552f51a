//! Who serves a connection is told by the server name that it asks for.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use proxy_common::reason::Reason;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{sleep, timeout},
};

use super::support::*;
use crate::{
    config::{Mode, Service},
    record::{
        CloseReason::{ClientClosed, ClientReset, PolicyChanged, ServiceRemoved, Shutdown},
        TlsVersion,
    },
    relay::{
        Ended, Failure, Fate, Intake, Limits, Outcome,
        front::hello::{
            MOST_BYTES,
            tests::{hello, hello_of},
        },
    },
};

/// A passthrough for a name, on a port that it shares with others.
fn tls(name: &str, domain: &str, target: SocketAddr) -> Service {
    let domain = Some(domain.to_owned());
    Service { mode: Mode::Tls, domain, ..service(name, target) }
}

/// Publishes all of them on one socket.
async fn publish(relay: &Relay, services: Vec<Service>) -> SocketAddr {
    let name = services[0].name.clone();
    let services: Vec<_> = services.into_iter().map(Arc::new).collect();
    relay.listeners.apply(&services).await.unwrap();
    relay.address(&name).await
}

/// One exact name, all names beside it, and what asks for neither.
async fn all_kinds(relay: &Relay) -> SocketAddr {
    let services = vec![
        tls("exact", "a.example.com", echo(b"exact ").await),
        tls("wildcard", "*.example.com", echo(b"wildcard ").await),
        service("fallback", echo(b"fallback ").await),
    ];
    publish(relay, services).await
}

/// Sends `words`, and expects them back behind a greeting.
async fn assert_answers(address: SocketAddr, words: &[u8], greeting: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(words).await.unwrap();
    assert_reads(&mut client, greeting.as_bytes()).await;
    assert_reads(&mut client, words).await;
    client
}

/// Asserts that it came to no service.
fn assert_unserved(ended: &Ended) -> &Failure {
    assert!(ended.service.is_none(), "{ended:?}");
    match &ended.outcome {
        Outcome::Unserved(failure) => failure,
        outcome => panic!("{outcome:?}"),
    }
}

/// Sends `words` to a passthrough that has another name, is reset and tells why.
async fn refused(words: &[u8]) -> (Ended, Failure) {
    let relay = Relay::new();
    let (target, at) = target().await;
    let address = publish(&relay, vec![tls("web", "web.example.com", at)]).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    // It may be reset before all is sent.
    let _ = client.write_all(words).await;
    assert_reset(&mut client).await;
    let ended = relay.only_ended().await;
    assert!(timeout(Duration::ZERO, target.accept()).await.is_err());
    let failure = assert_unserved(&ended).clone();
    (ended, failure)
}

#[tokio::test]
async fn exact_names_come_before_wildcards_and_the_rest_falls_back() {
    let relay = Relay::new();
    let address = all_kinds(&relay).await;
    for (name, greeting) in [
        ("a.example.com", "exact "),
        ("A.Example.com", "exact "),
        ("b.example.com", "wildcard "),
        ("b.b.example.com", "fallback "),
        ("example.com", "fallback "),
        ("a.example.org", "fallback "),
    ] {
        assert_answers(address, &hello(name), greeting).await;
    }
    // What is no TLS is told by its first byte.
    assert_answers(address, b"S", "fallback ").await;
}

#[tokio::test]
async fn a_hello_in_pieces_is_handed_on_whole_and_counted() {
    let relay = Relay::new();
    let target = echo(b"").await;
    let address = publish(&relay, vec![tls("web", "web.example.com", target)]).await;
    let words = hello("web.example.com");
    let mut client = TcpStream::connect(address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for byte in &words {
        client.write_all(std::slice::from_ref(byte)).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_reads(&mut client, &words).await;
    assert_echoes(&mut client, b"more").await;
    drop(client);
    let ended = relay.only_ended().await;
    let bytes = words.len() as u64 + 4;
    assert_served(&ended, target, bytes, bytes, ClientClosed);
    assert_eq!(ended.service.unwrap().name, "web");
    let introduction = ended.introduction.unwrap();
    assert_eq!(introduction.server_name.as_deref(), Some("web.example.com"));
    assert_eq!(introduction.tls_version, Some(TlsVersion::Tls13));
    assert_eq!((introduction.client, introduction.header), (None, 0));
}

#[tokio::test]
async fn a_hello_of_64_kib_is_served() {
    let relay = Relay::new();
    let address = publish(&relay, vec![tls("web", "web.example.com", echo(b"").await)]).await;
    assert_answers(address, &hello_of("web.example.com", MOST_BYTES), "").await;
}

#[tokio::test]
async fn a_hello_of_one_byte_more_is_not() {
    let (ended, failure) = refused(&hello_of("web.example.com", MOST_BYTES + 1)).await;
    assert_eq!(failure.reason, Reason::TlsHandshakeFailed);
    assert!(failure.error.contains("64 KiB"), "{failure:?}");
    assert_eq!(ended.introduction, None);
}

#[tokio::test]
async fn garbage_is_refused_at_once() {
    let (_, failure) = refused(b"GET / HTTP/1.1\r\n").await;
    assert_eq!(failure.reason, Reason::TlsHandshakeFailed);
    assert_eq!((failure.error.as_str(), failure.close_reason), ("no TLS handshake", None));
}

#[tokio::test]
async fn an_unknown_name_is_recorded() {
    let (ended, failure) = refused(&hello("other.example.com")).await;
    assert_eq!((failure.reason, failure.error.as_str()), (Reason::UnknownHost, ""));
    let introduction = ended.introduction.unwrap();
    assert_eq!(introduction.server_name.as_deref(), Some("other.example.com"));
    let (ended, failure) = refused(&hello("not a name")).await;
    assert_eq!(failure.reason, Reason::UnknownHost);
    assert!(failure.error.contains("no server name"), "{failure:?}");
    assert_eq!(ended.introduction.unwrap().server_name, None);
}

#[tokio::test]
async fn silence_is_waited_for_no_longer_than_patience_lasts() {
    let patience = Duration::from_millis(50);
    for words in [&b""[..], &hello("web.example.com")[..20]] {
        let relay = Relay::with(Limits { patience, ..limits(1, 0) });
        let address = publish(&relay, vec![tls("web", "web.example.com", echo(b"").await)]).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(words).await.unwrap();
        assert_reset(&mut client).await;
        let ended = relay.only_ended().await;
        let failure = assert_unserved(&ended);
        assert_eq!(failure.reason, Reason::TlsHandshakeFailed);
        assert_eq!(failure.error, "no ClientHello within 50ms");
        assert!(ended.ended - ended.started >= patience);
    }
}

#[tokio::test]
async fn a_client_that_goes_before_a_word_aborted() {
    let relay = Relay::new();
    let address = publish(&relay, vec![tls("web", "web.example.com", echo(b"").await)]).await;
    drop(TcpStream::connect(address).await.unwrap());
    relay.ended(1).await;
    reset(TcpStream::connect(address).await.unwrap());
    relay.ended(2).await;
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(&hello("web.example.com")[..9]).await.unwrap();
    half.shutdown().await.unwrap();
    assert_reset(&mut half).await;
    relay.ended(3).await;
    let ended = relay.notes.ended_so_far();
    let told = ended.iter().map(assert_unserved).map(|f| (f.reason, f.close_reason.unwrap()));
    let expected = [
        (Reason::ClientAborted, ClientClosed),
        (Reason::ClientAborted, ClientReset),
        (Reason::TlsHandshakeFailed, ClientClosed),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_passthrough_alone_is_judged_before_a_byte_is_read() {
    let relay = Relay::new();
    relay.door.deny(OTHER);
    let address = publish(&relay, vec![tls("web", "web.example.com", echo(b"").await)]).await;
    assert_turned_away(OTHER, address).await;
    let ended = relay.only_ended().await;
    assert_eq!(ended.outcome, Outcome::Denied(Reason::IpRestricted));
    assert_eq!(ended.service.unwrap().name, "web");
    assert_eq!(ended.introduction, None);
}

#[tokio::test]
async fn on_a_shared_port_the_service_asked_for_judges() {
    let relay = Relay::new();
    relay.door.deny_at("exact", OTHER);
    let address = all_kinds(&relay).await;
    let mut denied = connect_from(OTHER, address).await;
    denied.write_all(&hello("a.example.com")).await.unwrap();
    assert_reset(&mut denied).await;
    let ended = relay.first_ended().await;
    assert_eq!(ended.outcome, Outcome::Denied(Reason::IpRestricted));
    assert_eq!(ended.service.unwrap().name, "exact");
    assert_eq!(ended.introduction.unwrap().server_name.as_deref(), Some("a.example.com"));
    assert_eq!(relay.listeners.stats()["exact"].denied, [(Reason::IpRestricted, 1)].into());
    let mut allowed = connect_from(OTHER, address).await;
    allowed.write_all(&hello("b.example.com")).await.unwrap();
    assert_reads(&mut allowed, b"wildcard ").await;
}

#[tokio::test]
async fn max_connections_holds_for_the_service_asked_for() {
    let relay = Relay::new();
    let mut exact = tls("exact", "a.example.com", echo(b"exact ").await);
    exact.max_connections = NonZeroU32::MIN;
    let other = tls("other", "b.example.com", echo(b"other ").await);
    let address = publish(&relay, vec![exact, other]).await;
    let _first = assert_answers(address, &hello("a.example.com"), "exact ").await;
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(&hello("a.example.com")).await.unwrap();
    assert_reset(&mut second).await;
    let Outcome::Admitted { fate, .. } = relay.first_ended().await.outcome else { panic!() };
    assert_eq!(fate, Fate::ConnectionLimit);
    assert_answers(address, &hello("b.example.com"), "other ").await;
}

#[tokio::test]
async fn who_is_waited_for_counts_against_the_budget_until_it_goes() {
    let relay = Relay::with(limits(1, 0));
    let address = all_kinds(&relay).await;
    let silent = TcpStream::connect(address).await.unwrap();
    assert_turned_away(LOCALHOST, address).await;
    let ended = relay.first_ended().await;
    assert_eq!(assert_unserved(&ended).reason, Reason::ConnectionLimit);
    drop(silent);
    relay.ended(2).await;
    // A place is free a moment after its connection was reported.
    let served = async {
        loop {
            let Ok(mut client) = TcpStream::connect(address).await else { continue };
            let _ = client.write_all(b"S").await;
            let mut greeting = [0; 9];
            if tokio::io::AsyncReadExt::read_exact(&mut client, &mut greeting).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, served).await.expect("no place became free");
}

#[tokio::test]
async fn a_new_policy_cuts_who_is_waited_for() {
    let relay = Relay::new();
    let address = publish(&relay, vec![tls("web", "web.example.com", echo(b"").await)]).await;
    let mut client = connect_from(OTHER, address).await;
    // It is judged before its first byte, and in the roll before that.
    relay.door.judged(1).await;
    relay.door.deny(OTHER);
    relay.listeners.rejudge();
    assert_reset(&mut client).await;
    assert_eq!(assert_unserved(&relay.only_ended().await).close_reason, Some(PolicyChanged));
}

#[tokio::test]
async fn who_is_waited_for_ends_with_the_port() {
    let relay = Relay::new();
    let address = all_kinds(&relay).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(&hello("a.example.com")[..7]).await.unwrap();
    // Whoever came later has been heard, and so has this one.
    assert_answers(address, b"S", "fallback ").await;
    relay.listeners.apply(&[]).await.unwrap();
    assert_reset(&mut client).await;
    relay.ended(2).await;
    let ended = relay.notes.ended_so_far();
    let waited = ended.iter().find(|ended| ended.service.is_none()).unwrap();
    assert_eq!(assert_unserved(waited).close_reason, Some(ServiceRemoved));
}

#[tokio::test]
async fn a_drain_waits_for_silent_ones_no_longer_than_its_grace() {
    let relay = Relay::new();
    let address = all_kinds(&relay).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_answers(address, b"S", "fallback ").await;
    relay.listeners.drain(Duration::from_millis(50)).await;
    assert_reset(&mut client).await;
    let ended = relay.notes.ended_so_far();
    let waited = ended.iter().find(|ended| ended.service.is_none()).unwrap();
    assert_eq!(assert_unserved(waited).close_reason, Some(Shutdown));
}

#[tokio::test]
async fn a_reload_leads_who_is_waited_for_elsewhere() {
    let relay = Relay::new();
    let address = all_kinds(&relay).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let words = hello("a.example.com");
    client.write_all(&words[..7]).await.unwrap();
    assert_answers(address, b"S", "fallback ").await;
    let moved = tls("moved", "a.example.com", echo(b"moved ").await);
    let kept = service("fallback", echo(b"fallback ").await);
    relay.listeners.apply(&[Arc::new(moved), Arc::new(kept)]).await.unwrap();
    client.write_all(&words[7..]).await.unwrap();
    assert_reads(&mut client, b"moved ").await;
    assert_reads(&mut client, &words).await;
}

#[tokio::test]
async fn a_change_under_way_is_waited_for() {
    let relay = Relay::new();
    let address = all_kinds(&relay).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    assert_answers(address, b"S", "fallback ").await;
    relay.listeners.set_intake(Intake::Hold);
    client.write_all(&hello("a.example.com")).await.unwrap();
    // Nothing tells that nothing happens; a moment is enough to see it fail.
    sleep(Duration::from_millis(50)).await;
    assert_eq!(relay.listeners.stats()["exact"].opened, 0);
    relay.listeners.set_intake(Intake::Accept);
    assert_reads(&mut client, b"exact ").await;
}
