//! What goes over the wire, and what becomes of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    path::Path,
    sync::Arc,
    time::Duration,
};

use proxy_common::{
    address::{FlowKey, PROTOCOL_TCP},
    reason::Reason,
};
use smol_str::SmolStr;

use super::{
    door::{Door, Successor},
    flow::Flow,
    frame::{Estate, Frame, MOST_FLOWS, Purpose, Socket, VERSION},
    give::give,
    name::Named,
    report::{Report, Served},
    request::Request,
    take::{Legacy, Predecessor},
    wire::{MOST_FILES, Wire},
};
use crate::{
    config::tests::config,
    daemon::{
        inbox::{Inbox, Message, Queues},
        succession::Left,
    },
    flow::{
        Admission, Bytes, Datagrams, Ended, Failure, Fate, FlowPast, Introduction, Now, Outcome,
        RefusedByNumber, Requests, UdpPast, Unreported,
    },
    record::{CloseReason, Draft, HttpPart, Protocol, TlsVersion, tests::request},
};
use tokio_util::sync::CancellationToken;

fn flow(port: u16) -> FlowKey {
    FlowKey {
        client: std::net::IpAddr::from([198, 51, 100, 2]).into(),
        service: "2001:db8::1".parse::<std::net::IpAddr>().unwrap().into(),
        client_port: port,
        service_port: 443,
        protocol: PROTOCOL_TCP.into(),
    }
}

fn ended(outcome: Outcome, now: &Now) -> Ended {
    let text = "[service.db]\nmode = 'tcp'\ndomain = 'db.example.com'\nlisten = 443\n\
                target = '192.0.2.1:1'\n";
    let service = Some(Arc::clone(&config(text).services[0]));
    let introduction = Some(Box::new(Introduction {
        client: Some(([203, 0, 113, 9], 999).into()),
        header: 28,
        server_name: Some("db.example.com".into()),
        tls_version: Some(TlsVersion::Tls13),
    }));
    let started = now.instant.checked_sub(Duration::from_secs(7)).unwrap();
    let ended = now.instant;
    Ended { flow: flow(5000), service, introduction, started, ended, outcome }
}

fn outcomes() -> Vec<Outcome> {
    let target = || "db.internal:5432".to_owned();
    let fates = [
        Fate::ConnectionLimit,
        Fate::BackendUnreachable { target: target(), error: "no route".into() },
        Fate::BackendTimeout { target: target() },
        Fate::Abandoned { target: target(), close_reason: CloseReason::ClientReset },
        Fate::Served {
            target: ([192, 0, 2, 9], 80).into(),
            bytes: Bytes { up: 1, down: u64::MAX },
            datagrams: Datagrams { up: 3, down: 4, undelivered: 5 },
            close_reason: CloseReason::PolicyChanged,
        },
    ];
    let admission = Admission { observed: Some(Reason::GeoUnavailable), country_exempt: true };
    let admitted = fates.map(|fate| Outcome::Admitted { admission, fate });
    let failure = Failure {
        reason: Reason::TlsHandshakeFailed,
        protocol: Some(Protocol::Http),
        error: "no hello".into(),
        close_reason: Some(CloseReason::ClientClosed),
    };
    let others = [
        Outcome::Unserved(failure),
        Outcome::Denied(Reason::IpRestricted),
        Outcome::Refused,
        Outcome::Recorded,
    ];
    others.into_iter().chain(admitted).collect()
}

fn estate() -> Estate {
    Estate::new(Some("/sys/fs/bpf/weir/4/v3".into()), Path::new("/nowhere"))
}

/// Two ends of a connection.
async fn pair() -> (Wire, Wire) {
    let directory = tempfile::tempdir().unwrap();
    let door = Door::open(directory.path(), estate()).unwrap();
    let near = Wire::connect(&Door::path(directory.path())).unwrap().unwrap();
    (near, door.accept().await.unwrap())
}

#[test]
fn a_report_is_the_same_at_the_other_end() {
    let now = Now::read();
    for outcome in outcomes() {
        let report = ended(outcome.clone(), &now);
        let json = serde_json::to_string(&Report::of(&report, &now)).unwrap();
        let read = serde_json::from_str::<Report>(&json).unwrap().read(&now);
        assert_eq!((read.flow, &read.outcome), (report.flow, &outcome), "{json}");
        assert_eq!((read.started, read.ended), (report.started, report.ended), "{json}");
        assert_eq!(read.introduction, report.introduction, "{json}");
        let told = |ended: &Ended| {
            let service = ended.service.as_ref().unwrap();
            let host = service.host().to_owned();
            (service.name.clone(), host, service.mode, service.idle_timeout)
        };
        assert_eq!(told(&read), told(&report), "{json}");
    }
    let nobody = Ended { service: None, introduction: None, ..ended(Outcome::Refused, &now) };
    let read = Report::of(&nobody, &now).read(&now);
    assert!(read.service.is_none() && read.introduction.is_none());
}

/// Two versions of Weir may talk: what this says must stay what [`VERSION`] 2 means.
#[test]
fn the_words_of_version_2_are_these() {
    assert_eq!(VERSION, 2);
    let mut now = Now::read();
    now.monotonic = 9_000_000_000;
    let report = Report::of(&ended(outcomes().pop().unwrap(), &now), &now);
    let service = Served::of(&ended(Outcome::Refused, &now).service.unwrap());
    let failed = Report::of(&ended(outcomes().swap_remove(0), &now), &now);
    let recorded = Report::of(&ended(Outcome::Recorded, &now), &now);
    let past = FlowPast { flow: flow(7), shared_until: 8, refused_until: 9, refused_at: 5 };
    let by_number = RefusedByNumber { service: "dns".into(), attempts: 2, until: 9 };
    let (address, one) = (([192, 0, 2, 1], 22).into(), Flow::from(flow(7)));
    let words = [
        (Frame::Hello { version: 2, estate: None }, r#"{"Hello":{"version":2}}"#),
        (
            Frame::Hello { version: 2, estate: Some(estate()) },
            r#"{"Hello":{"version":2,"estate":{"maps":"/sys/fs/bpf/weir/4/v3","data_dir":"/nowhere"}}}"#,
        ),
        (Frame::Take, r#""Take""#),
        (
            Frame::Sockets(vec![Socket { purpose: Purpose::Streams, address }]),
            r#"{"Sockets":[{"purpose":"Streams","address":"192.0.2.1:22"}]}"#,
        ),
        (Frame::Offered, r#""Offered""#),
        (Frame::Ready, r#""Ready""#),
        (
            Frame::Expected(vec![one]),
            r#"{"Expected":[{"client":"198.51.100.2:7","service":"[2001:db8::1]:443","protocol":6}]}"#,
        ),
        (
            Frame::Past(vec![past.into()]),
            r#"{"Past":[{"flow":{"client":"198.51.100.2:7","service":"[2001:db8::1]:443","protocol":6},"shared_until":8,"refused_until":9,"refused_at":5}]}"#,
        ),
        (
            Frame::RefusedByNumber(by_number.into()),
            r#"{"RefusedByNumber":{"service":"dns","attempts":2,"until":9}}"#,
        ),
        (Frame::Yours, r#""Yours""#),
        (
            Frame::Report(Box::new(report)),
            r#"{"Report":{"flow":{"client":"198.51.100.2:5000","service":"[2001:db8::1]:443","protocol":6},"service":{"name":"db","host":"db.example.com","protocol":"tcp","idle_timeout":{"secs":3600,"nanos":0}},"introduction":{"client":"203.0.113.9:999","header":28,"server_name":"db.example.com","tls_version":"1.3"},"started":2000000000,"ended":9000000000,"outcome":{"Admitted":{"observed":"geo_unavailable","country_exempt":true,"fate":{"Served":{"target":"192.0.2.9:80","bytes":{"up":1,"down":18446744073709551615},"datagrams":{"up":3,"down":4,"undelivered":5},"close_reason":"policy_changed"}}}}}}"#,
        ),
        (
            Frame::Report(Box::new(failed)),
            r#"{"Report":{"flow":{"client":"198.51.100.2:5000","service":"[2001:db8::1]:443","protocol":6},"service":{"name":"db","host":"db.example.com","protocol":"tcp","idle_timeout":{"secs":3600,"nanos":0}},"introduction":{"client":"203.0.113.9:999","header":28,"server_name":"db.example.com","tls_version":"1.3"},"started":2000000000,"ended":9000000000,"outcome":{"Unserved":{"reason":"tls_handshake_failed","protocol":"http","error":"no hello","close_reason":"client_closed"}}}}"#,
        ),
        (
            Frame::Report(Box::new(recorded)),
            r#"{"Report":{"flow":{"client":"198.51.100.2:5000","service":"[2001:db8::1]:443","protocol":6},"service":{"name":"db","host":"db.example.com","protocol":"tcp","idle_timeout":{"secs":3600,"nanos":0}},"introduction":{"client":"203.0.113.9:999","header":28,"server_name":"db.example.com","tls_version":"1.3"},"started":2000000000,"ended":9000000000,"outcome":"Recorded"}}"#,
        ),
        (
            Frame::Refused { service, reason: Named(Reason::IpRestricted), attempts: 3 },
            r#"{"Refused":{"service":{"name":"db","host":"db.example.com","protocol":"tcp","idle_timeout":{"secs":3600,"nanos":0}},"reason":"ip_restricted","attempts":3}}"#,
        ),
        (
            Frame::Lost(vec![one]),
            r#"{"Lost":[{"client":"198.51.100.2:7","service":"[2001:db8::1]:443","protocol":6}]}"#,
        ),
        (Frame::Done, r#""Done""#),
    ];
    for (frame, json) in words {
        assert_eq!(serde_json::to_string(&frame).unwrap(), json);
        assert_eq!(serde_json::from_str::<Frame>(json).unwrap(), frame);
    }
    // As the store's version 3 has it.
    let bytes = include_bytes!("../../store/tests/record.v3");
    let frame = Frame::Request(Request::of(&request()).unwrap());
    let json = serde_json::json!({ "Request": bytes.as_slice() });
    assert_eq!(serde_json::to_value(frame).unwrap(), json);
}

/// A request whose texts are as long as they may be.
fn longest() -> Draft {
    let text = |bytes: usize| SmolStr::from("\u{7f}".repeat(bytes));
    let http = HttpPart {
        method: text(HttpPart::MOST_METHOD),
        path: text(HttpPart::MOST_PATH),
        user_id: text(HttpPart::MOST_USER),
        user_email: text(HttpPart::MOST_USER),
        user_agent: text(HttpPart::MOST_USER_AGENT),
        ..*request().http.unwrap()
    };
    let metadata = [("error".to_owned(), text(2048).into())].into();
    Draft { host: text(255), target: text(255), http: Some(http.into()), metadata, ..request() }
}

#[tokio::test]
async fn a_request_that_ends_after_a_takeover_is_the_successor_s_to_record() {
    let (near, far) = pair().await;
    let (inbox, told) = Inbox::channel();
    let (reporting, reports) = Inbox::channel();
    for draft in [request(), longest()] {
        Requests::ended(&reporting, Box::new(draft));
    }
    reporting.tell(Message::Finish(Queues::Kept));
    let left = Left { unreported: Unreported::default(), inbox: reports };
    let giving = tokio::spawn(give(Successor(near), left));
    let legacy = Predecessor { wire: far, has_kernel: false }.succeed().await.unwrap();
    legacy.follow(inbox, CancellationToken::new()).await;
    giving.await.unwrap().unwrap().end().await.unwrap();
    let told: Vec<Message> = told.try_iter().collect();
    let [Message::Request(first), Message::Request(second), Message::Lost(lost)] = &*told else {
        panic!("{} messages", told.len());
    };
    assert_eq!((&**first, &**second), (&request(), &longest()));
    assert!(lost.is_empty());
}

/// A later version may say more with it.
#[test]
fn every_version_s_hello_is_understood() {
    let frame: Frame = serde_json::from_str(r#"{"Hello":{"version":9,"mood":["sunny"]}}"#).unwrap();
    assert_eq!(frame, Frame::Hello { version: 9, estate: None });
}

#[tokio::test]
async fn descriptors_arrive_as_what_they_are() {
    let (near, far) = pair().await;
    let listeners: Vec<_> =
        (0..MOST_FILES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let files: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
    near.send(&Frame::Take, &files).await.unwrap();
    let (frame, files) = far.receive().await.unwrap();
    assert_eq!((frame, files.len()), (Frame::Take, MOST_FILES));
    for (file, listener) in files.into_iter().zip(&listeners) {
        let received = TcpListener::from(file);
        let address = listener.local_addr().unwrap();
        assert_eq!(received.local_addr().unwrap(), address);
        let client = TcpStream::connect(address).unwrap();
        assert_eq!(received.accept().unwrap().1, client.local_addr().unwrap());
    }
}

#[tokio::test]
async fn many_flows_take_several_frames() {
    let (near, far) = pair().await;
    let flows: Vec<Flow> = (0..1000).map(|port| flow(port).into()).collect();
    let sending = tokio::spawn({
        let flows = flows.clone();
        async move { near.send_flows(Frame::Lost, flows).await }
    });
    let mut received: Vec<Flow> = Vec::new();
    while received.len() < flows.len() {
        let (Frame::Lost(part), _) = far.receive().await.unwrap() else { panic!() };
        assert!(part.len() <= MOST_FLOWS);
        received.extend(part);
    }
    assert_eq!(received, flows);
    sending.await.unwrap().unwrap();
    let error = far.receive().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn nobody_at_the_door_is_nobody_to_take_over_from() {
    let directory = tempfile::tempdir().unwrap();
    let path = Door::path(directory.path());
    assert!(Wire::connect(&path).unwrap().is_none());
    drop(Door::open(directory.path(), estate()).unwrap());
    assert!(!path.exists());
    // What a killed daemon leaves.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Door::open(directory.path(), estate()).unwrap());
}

#[tokio::test]
async fn another_version_is_told_ours_and_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let door = Door::open(directory.path(), estate()).unwrap();
    let wire = Wire::connect(&Door::path(directory.path())).unwrap().unwrap();
    let knocked = tokio::spawn(async move { door.knock().await.process() });
    let hello = Frame::Hello { version: VERSION + 1, estate: None };
    wire.send(&hello, &[]).await.unwrap();
    let (answer, _) = wire.receive().await.unwrap();
    assert!(matches!(answer, Frame::Hello { version: VERSION, estate: Some(_) }), "{answer:?}");
    let error = wire.receive().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    // The next one is served.
    let wire = Wire::connect(&Door::path(directory.path())).unwrap().unwrap();
    wire.send(&Frame::Hello { version: VERSION, estate: None }, &[]).await.unwrap();
    wire.receive().await.unwrap();
    wire.send(&Frame::Take, &[]).await.unwrap();
    assert_eq!(knocked.await.unwrap().unsigned_abs(), std::process::id());
}

#[test]
fn an_estate_is_taken_over_by_its_own_version_and_configuration_alone() {
    let directory = tempfile::tempdir().unwrap();
    let of = |maps: &str, data_dir: &Path| Estate::new(Some(maps.into()), data_dir);
    let own = of("/pins/v3", directory.path());
    let again = of("/pins/v3", &directory.path().join("."));
    again.must_be(&own).unwrap();
    for (other, named) in [
        (of("/pins/v4", directory.path()), "/pins/v4"),
        (of("/pins/v3", Path::new("/nowhere")), "/nowhere"),
        (Estate::new(None, directory.path()), "none"),
    ] {
        let error = other.must_be(&own).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("stopped first"), "{error}");
    }
}

/// Also of what only the predecessor's configuration has.
#[tokio::test]
async fn what_the_predecessor_tells_later_is_handed_on() {
    let (near, far) = pair().await;
    let (inbox, messages) = Inbox::channel();
    let legacy = Legacy { wire: far, expected: vec![flow(1)], past: UdpPast::default() };
    let following = tokio::spawn(legacy.follow(inbox, CancellationToken::new()));
    let service = Served::of(&ended(Outcome::Refused, &Now::read()).service.unwrap());
    let refused = Frame::Refused { service, reason: Named(Reason::IpRestricted), attempts: 3 };
    near.send_flows(Frame::Expected, [flow(2)]).await.unwrap();
    near.send(&refused, &[]).await.unwrap();
    near.send_flows(Frame::Lost, [flow(1)]).await.unwrap();
    drop(near);
    following.await.unwrap();
    let told: Vec<Message> = messages.try_iter().collect();
    let [
        Message::OpenedElsewhere(opened),
        Message::Refused(service, Reason::IpRestricted, 3),
        Message::Lost(lost),
        Message::Lost(rest),
    ] = &*told
    else {
        panic!("{} messages", told.len());
    };
    assert_eq!((*opened, &*service.name), (flow(2), "db"));
    assert_eq!((&**lost, &**rest), (&[flow(1)][..], &[flow(2)][..]), "it has ended before");
}

#[tokio::test]
async fn what_the_tracker_has_to_know_comes_before_all_is_the_successor_s() {
    let (near, far) = pair().await;
    let past = UdpPast {
        flows: vec![FlowPast { flow: flow(3), shared_until: 8, refused_until: 9, refused_at: 5 }],
        refused: vec![RefusedByNumber { service: "dns".into(), attempts: 2, until: 9 }],
    };
    let unreported =
        Unreported { expected: vec![flow(1)], past: past.clone(), ..Default::default() };
    let (inbox, messages) = Inbox::channel();
    inbox.tell(Message::Finish(Queues::Kept));
    let giving = tokio::spawn(give(Successor(near), Left { unreported, inbox: messages }));
    let mut legacy = Predecessor { wire: far, has_kernel: false }.succeed().await.unwrap();
    let bequest = legacy.bequest();
    assert_eq!((bequest.expected, bequest.past), (vec![flow(1)], past));
    giving.await.unwrap().unwrap().end().await.unwrap();
}
