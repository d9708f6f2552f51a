//! What becomes of requests: each is a record, and denied ones beyond the limit share some.

use std::net::IpAddr;

use super::world::{LIMIT, World};
use crate::{
    flow::RequestCounts,
    record::{Draft, Protocol, Source, Verdict, tests::request},
};
use proxy_common::reason::Reason;

fn denied(source: IpAddr) -> Draft {
    Draft {
        verdict: Verdict::Denied,
        reason: Some(Reason::LoginRequired),
        source: Source::Address(source),
        ..request()
    }
}

fn ask(world: &mut World, draft: Draft) {
    let now = world.now();
    world.tracker.request(Box::new(draft), &now);
    world.act();
}

fn suppressed(draft: &Draft) -> u64 {
    draft.metadata.get("suppressed").map_or(0, |count| count.parse().unwrap())
}

#[test]
fn a_request_is_a_record_as_it_was_told() {
    let mut world = World::new();
    let failed =
        Draft { verdict: Verdict::Error, reason: Some(Reason::BackendTimeout), ..request() };
    for draft in [request(), failed.clone()] {
        ask(&mut world, draft);
    }
    assert_eq!(world.drafts(), [&request(), &failed]);
}

#[test]
fn denied_requests_beyond_the_limit_are_told_by_prefix() {
    let mut world = World::new();
    for client in 0..100_u16 {
        ask(&mut world, denied([0x2001, 0xdb8, 7, client, 0, 0, 0, 1].into()));
        // What is served is not denied.
        ask(&mut world, request());
    }
    world.tick(1000);
    world.commit();
    let told: Vec<&Draft> =
        world.drafts().into_iter().filter(|draft| draft.verdict == Verdict::Denied).collect();
    assert_eq!(told.len(), LIMIT as usize + 1);
    assert_eq!(world.drafts().len(), told.len() + 100);
    let aggregate = told[LIMIT as usize];
    assert_eq!(suppressed(aggregate), 96);
    assert_eq!(aggregate.metadata["source_prefix"], "2001:db8:7::/48");
    assert_eq!((aggregate.protocol, aggregate.reason), (Protocol::Http, told[0].reason));
    let first = [0x2001, 0xdb8, 7, 3, 0, 0, 0, 1];
    assert_eq!(aggregate.source, Source::Address(IpAddr::from(first)));
    assert_eq!((&aggregate.http, &*aggregate.service_id), (&request().http, "wiki"));
    assert!(aggregate.timestamp >= aggregate.started_at);
}

#[test]
fn denied_requests_of_more_prefixes_than_can_be_told_apart_are_many() {
    let mut world = World::new();
    for client in 0..1000_u32 {
        ask(&mut world, denied(IpAddr::from((10 << 24 | client << 8).to_be_bytes())));
    }
    world.tick(1000);
    let drafts = world.drafts();
    assert_eq!(drafts.len(), LIMIT as usize + 256 + 1);
    let many: Vec<_> = drafts.iter().filter(|draft| draft.source == Source::Many).collect();
    assert_eq!((many.len(), many[0].protocol), (1, Protocol::Http));
    let all: u64 = drafts.iter().map(|draft| 1 + suppressed(draft)).sum();
    assert_eq!(all, 1000);
}

#[test]
fn requests_and_attempts_have_one_limit_together() {
    let mut world = World::new();
    for client in 0..2 {
        world.deny(client, 0, false);
    }
    world.tick(20);
    ask(&mut world, denied([192, 0, 2, 1].into()));
    ask(&mut world, denied([192, 0, 2, 2].into()));
    assert_eq!(world.drafts().len(), LIMIT as usize);
    world.tick(1000);
    assert_eq!(world.drafts().len(), LIMIT as usize + 1);
}

#[test]
fn what_waits_to_be_told_is_told_before_a_takeover() {
    let mut world = World::new();
    for _ in 0..10 {
        ask(&mut world, denied([192, 0, 2, 1].into()));
    }
    world.take_over(false);
    let all: u64 = world.drafts().iter().map(|draft| 1 + suppressed(draft)).sum();
    assert_eq!(all, 10);
}

#[test]
fn requests_are_counted_by_service_and_verdict() {
    let mut world = World::new();
    for _ in 0..10 {
        ask(&mut world, denied([192, 0, 2, 1].into()));
    }
    ask(&mut world, request());
    let unknown = Draft { service_id: "".into(), verdict: Verdict::Error, ..request() };
    ask(&mut world, unknown);
    let wiki = RequestCounts { allowed: 1, denied: 10, error: 0 };
    let nobody = RequestCounts { allowed: 0, denied: 0, error: 1 };
    let expected = [(String::new(), nobody), ("wiki".to_owned(), wiki)];
    assert_eq!(world.tracker.requests(), &expected.into());
}
