//! What becomes of connections over which HTTP is spoken: their requests make the records.

use proxy_common::{address::FlowKey, reason::Reason};

use super::world::{HTTP, RELAY, World, key, service};
use crate::{
    config::{Mode, Service, tests::config},
    flow::{Failure, Introduction, Outcome, ServiceInfo},
    record::{CloseReason, Draft, Protocol, Verdict},
};

/// A world with one connection, which a session was opened for.
fn connected() -> World {
    let mut world = World::new();
    world.open(key(1, 5000, HTTP), HTTP, false);
    world
}

/// Nothing of it is left, and nothing is recorded.
fn assert_settled(world: &mut World) {
    world.commit();
    world.tick(20);
    world.tick(20);
    assert!(world.table.is_empty() && world.table.parked.is_empty(), "{:?}", world.table);
    assert!(world.drafts().is_empty(), "{:?}", world.drafts());
}

#[test]
fn a_connection_whose_requests_are_recorded_makes_no_record() {
    let flow = key(1, 5000, HTTP);
    let mut report_first = connected();
    report_first.report(flow);
    assert!(!report_first.table.is_empty(), "what follows would be another flow");
    report_first.end(flow, false);
    assert_settled(&mut report_first);

    let mut end_first = connected();
    end_first.end(flow, false);
    end_first.tick(20);
    end_first.report(flow);
    assert_settled(&mut end_first);

    let mut unmet = connected();
    unmet.table.clear();
    unmet.report(flow);
    assert_settled(&mut unmet);
}

/// Its last packets are lost: nobody waits for them for ever.
#[test]
fn a_connection_whose_end_nobody_sees_is_forgotten_in_time() {
    let mut world = connected();
    world.report(key(1, 5000, HTTP));
    world.tick(100_000);
    assert!(!world.table.is_empty());
    world.tick(100_000);
    assert_settled(&mut world);
}

#[test]
fn a_lost_end_is_found_and_makes_no_record() {
    let mut world = connected();
    world.end(key(1, 5000, HTTP), true);
    world.report(key(1, 5000, HTTP));
    world.tick(6_000);
    world.sweep();
    assert_settled(&mut world);
}

#[test]
fn what_a_killed_daemon_served_makes_no_record() {
    let mut world = connected();
    world.open(key(2, 5000, HTTP), HTTP, false);
    world.end(key(2, 5000, HTTP), false);
    world.crash();
    // Nor if the next one is killed before it heard of the ends.
    world.crash();
    assert_settled(&mut world);

    let mut world = connected();
    world.take_over(true);
    assert_settled(&mut world);
}

#[test]
fn a_report_after_a_takeover_settles_the_flow() {
    let mut world = connected();
    world.take_over(false);
    world.report(key(1, 5000, HTTP));
    world.end(key(1, 5000, HTTP), false);
    assert_settled(&mut world);
}

/// A service of TLS shares the port: which of the two was meant nobody knows any more.
#[test]
fn a_crash_interrupts_what_may_have_been_another_protocol() {
    let mut world = connected();
    let beside = Service { name: "tls".into(), mode: Mode::Tls, ..service(HTTP) };
    let shared = ServiceInfo::shared([&service(HTTP), &beside].into_iter());
    world.tracker.set_services(vec![(HTTP, shared)]);
    let now = world.now();
    world.tracker.lost(key(1, 5000, HTTP), &mut world.table, &now);
    world.act();
    let drafts = world.drafts();
    assert_eq!((drafts.len(), drafts[0].protocol), (1, Protocol::Tls));
    assert_eq!(drafts[0].close_reason, Some(CloseReason::Interrupted));
}

/// A world with one connection that the relay has not accepted.
fn queued() -> World {
    let flow = key(1, 5000, HTTP);
    let mut world = World::new();
    world.table.insert(flow, connected().table[&flow]);
    world
}

#[test]
fn a_connection_that_nobody_accepted_is_an_error_of_http() {
    let mut world = queued();
    world.end(key(1, 5000, HTTP), false);
    world.tick(20);
    assert!(world.drafts().is_empty(), "it may stand in the listener's queue");
    world.tick(31_000);
    assert_eq!(told(&world), (Protocol::Http, Verdict::Error, Some(Reason::ClientAborted)));
}

#[test]
fn a_connection_that_waits_when_weir_stops_is_an_error_of_http() {
    let mut world = queued();
    world.finish();
    assert_eq!(told(&world), (Protocol::Http, Verdict::Error, Some(Reason::ClientAborted)));
    assert_eq!(world.drafts()[0].close_reason, Some(CloseReason::Shutdown));
}

fn told(world: &World) -> (Protocol, Verdict, Option<Reason>) {
    let drafts = world.drafts();
    assert_eq!(drafts.len(), 1, "{drafts:?}");
    (drafts[0].protocol, drafts[0].verdict, drafts[0].reason)
}

/// The record of a connection that failed so.
fn failed(failure: Failure, led: bool) -> Draft {
    let mut world = connected();
    let flow = key(1, 5000, HTTP);
    world.table.get_mut(&flow).unwrap().up.acked = 9;
    world.report_as(flow, |report| {
        report.service = report.service.take().filter(|_| led);
        report.introduction = Some(Box::new(Introduction {
            server_name: Some("wiki.example.com".into()),
            ..Introduction::default()
        }));
        report.outcome = Outcome::Unserved(failure);
    });
    world.end(flow, false);
    world.tick(20);
    assert_eq!(world.drafts().len(), 1);
    world.drafts()[0].clone()
}

#[test]
fn a_connection_that_ends_before_its_first_request_makes_a_record() {
    for led in [false, true] {
        let close_reason = Some(CloseReason::ClientClosed);
        let draft = failed(Failure { close_reason, ..Failure::of(Reason::ClientAborted) }, led);
        assert_eq!((draft.protocol, draft.verdict), (Protocol::Http, Verdict::Error));
        assert_eq!(draft.reason, Some(Reason::ClientAborted));
        assert_eq!((draft.method(), draft.path(), draft.status_code()), ("", "", 0));
        assert_eq!((draft.bytes_upload, draft.close_reason), (0, close_reason));
        assert_eq!(draft.service_id, if led { "http" } else { "" });
    }
}

#[test]
fn a_handshake_that_fails_is_one_of_tls_whosever_it_was() {
    let failures = [(Reason::TlsHandshakeFailed, true), (Reason::UnknownHost, false)];
    for (reason, led) in failures {
        let draft = failed(Failure { protocol: Some(Protocol::Tls), ..Failure::of(reason) }, led);
        assert_eq!((draft.protocol, draft.reason), (Protocol::Tls, Some(reason)));
        assert_eq!(draft.method(), "TLS");
        assert_eq!(draft.host, if led { "http" } else { "wiki.example.com" });
    }
}

#[test]
fn a_listener_speaks_http_alone_where_nothing_else_is_behind_it() {
    let (http, relay) = (service(HTTP), service(RELAY));
    let both = Service { name: "both".into(), listen: relay.listen.clone(), ..service(HTTP) };
    let shared = ServiceInfo::shared([&http, &relay, &both].into_iter());
    let protocols = [HTTP, RELAY].map(|slot| shared.protocol_of(&key(1, 5000, slot)));
    assert_eq!(protocols, [Protocol::Http, Protocol::Tls]);
}

#[test]
fn where_requests_are_redirected_to_a_service_http_alone_is_spoken() {
    let text = "[service.wiki]\ndomain = 'wiki.example.com'\ntarget = 'http://192.0.2.9'\n";
    let wiki = config(text).services.remove(0);
    let shared = ServiceInfo::shared(std::iter::once(&*wiki));
    for port in [80, 443] {
        let flow = FlowKey { service_port: port, ..key(1, 5000, HTTP) };
        assert!(shared.serves(&flow) && shared.speaks_http_only(&flow), "{port}");
    }
}
