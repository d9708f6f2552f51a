#![allow(clippy::unwrap_used, reason = "tests")]

use proxy_common::reason::Reason;

use super::*;
use crate::{
    api::error::ApiError,
    record::{AuthMethod, Protocol, Verdict},
    store::{Cursor, Order, Paging, Query, Sort, Status},
};

fn read(parameters: &str) -> Result<Query, ApiError> {
    let uri = format!("/api/events/proxy?{parameters}").parse().unwrap();
    query(Params::of(&uri)?)
}

fn good(parameters: &str) -> Query {
    read(parameters).unwrap_or_else(|error| panic!("{parameters}: {}", error.message))
}

#[test]
fn nothing_asked_is_the_newest_fifty() {
    let query = good("");
    assert_eq!((query.sort, query.order), (Sort::Timestamp, Order::Descending));
    assert_eq!((query.paging, query.page_size), (Paging::Page(1), 50));
}

#[test]
fn pages_end_where_only_a_cursor_leads_further() {
    assert_eq!(good("page=2000").paging, Paging::Page(2000));
    assert_eq!(good("page=100&page_size=5000").paging, Paging::Page(100));
    let beyond = u64::MAX.to_string();
    for (page, size) in [("2001", "50"), ("101", "1000"), (&beyond, "1"), (&beyond, "1000")] {
        let error = read(&format!("page={page}&page_size={size}")).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.message.contains("use cursor"), "{}", error.message);
    }
}

#[test]
fn lists_are_any_of_and_any_case() {
    let filter = good(
        "host=A.example&host=b.example:443&method=tcp&status_code=0&status_code=404&user_id=Ann\
         &service_id=SSH&protocol=TCP&protocol=udp&country_code=de&auth_method=OIDC\
         &reason=IP_restricted&reason=geo_unavailable&verdict=Denied&verdict=error",
    )
    .filter;
    assert_eq!(filter.host, ["a.example", "b.example:443"]);
    assert_eq!(filter.method, ["tcp"]);
    assert_eq!(filter.status_code, [0, 404]);
    assert_eq!(filter.user_id, ["ann"]);
    assert_eq!(filter.service_id, ["ssh"]);
    assert_eq!(filter.protocol, [Protocol::Tcp, Protocol::Udp]);
    assert_eq!(filter.country_code[0].code(), *b"DE");
    assert_eq!(filter.auth_method, [AuthMethod::Oidc]);
    assert_eq!(filter.reason, [Reason::IpRestricted, Reason::GeoUnavailable]);
    assert_eq!(filter.verdict, [Verdict::Denied, Verdict::Error]);
}

#[test]
fn single_filters_are_read() {
    let filter = good(
        "search=Wiki%20A&path=/A&user_email=Ann&status=Success&observed=TRUE\
         &source_ip=192.0.2.7&source_ip=2001:db8::/32",
    )
    .filter;
    assert_eq!(filter.search.as_deref(), Some("wiki a"));
    assert_eq!(filter.path.as_deref(), Some("/a"));
    assert_eq!(filter.user_email.as_deref(), Some("ann"));
    assert_eq!(filter.status, Some(Status::Success));
    assert_eq!(filter.observed, Some(true));
    let expected: [ipnet::IpNet; 2] =
        ["192.0.2.7/32", "2001:db8::/32"].map(|prefix| prefix.parse().unwrap());
    assert_eq!(filter.source_ip, expected);
    assert_eq!(good("user_name=Bob").filter.user_email.as_deref(), Some("bob"));
    assert_eq!(good("status=failed&observed=false").filter.observed, Some(false));
}

#[test]
fn both_windows_are_inclusive() {
    let filter = good(
        "start_date=2026-01-01&end_date=2026-01-31&active_start=2026-01-02T00:00:00Z\
         &active_end=2026-01-03T00:00:00%2B01:00",
    )
    .filter;
    let shown = |time: Option<crate::record::Timestamp>| time.unwrap().to_string();
    assert_eq!(shown(filter.start), "2026-01-01T00:00:00.000Z");
    assert_eq!(shown(filter.end), "2026-01-31T23:59:59.999Z");
    assert_eq!(shown(filter.active_start), "2026-01-02T00:00:00.000Z");
    assert_eq!(shown(filter.active_end), "2026-01-02T23:00:00.000Z");
}

#[test]
fn every_order_is_read() {
    for (sort, name) in Sort::ALL {
        assert_eq!(good(&format!("sort_by={name}")).sort, sort);
    }
    assert_eq!(good("sort_order=ASC").order, Order::Ascending);
    assert_eq!(good("sort_order=desc").order, Order::Descending);
}

#[test]
fn pages_and_cursors_are_read() {
    assert_eq!(good("page=3&page_size=7").paging, Paging::Page(3));
    assert_eq!(good("page_size=7").page_size, 7);
    for large in ["1000", "1001", "99999999999999999999999999"] {
        assert_eq!(good(&format!("page_size={large}")).page_size, 1000);
    }
    let id = uuid::Uuid::now_v7();
    assert_eq!(good(&format!("cursor={id}")).paging, Paging::After(Cursor { id }));
}

#[test]
fn an_empty_value_is_an_absent_parameter() {
    let query =
        good("page=&cursor=&search=&source_ip=&verdict=&verdict=denied&start_date=&status=");
    assert_eq!(query.paging, Paging::Page(1));
    assert!(query.filter.search.is_none() && query.filter.source_ip.is_empty());
    assert_eq!(query.filter.verdict, [Verdict::Denied]);
}

#[test]
fn a_bad_value_is_named() {
    for bad in [
        "page=0",
        "page=-1",
        "page=x",
        "page_size=0",
        "page_size=x",
        "cursor=x",
        "sort_by=colour",
        "sort_order=up",
        "source_ip=x",
        "source_ip=10.0.0.0/33",
        "source_ip=10.0.0.1/8",
        "status_code=x",
        "status_code=1000",
        "protocol=icmp",
        "country_code=DEU",
        "auth_method=magic",
        "reason=because",
        "verdict=maybe",
        "observed=perhaps",
        "status=good",
        "start_date=today",
        "end_date=2026-13-01",
        "active_start=1",
        "active_end=2026-01-01T00:00",
        "search=a&search=b",
        "path=a&path=b",
        "page=1&page=2",
        "user_name=a&user_email=b",
        "cursor=0190b2a0-0000-7000-8000-000000000000&page=1",
    ] {
        let name = bad.split('=').next().unwrap();
        let error = read(bad).expect_err(bad);
        assert_eq!(error.status, 400, "{bad}");
        assert!(error.message.starts_with(&format!("{name}: ")), "{bad}: {}", error.message);
    }
}

#[test]
fn an_unknown_parameter_is_named_also_when_it_is_empty() {
    for unknown in ["colour=red", "colour=", "Page=1&colour", "page=1&colour=x"] {
        let error = read(unknown).expect_err(unknown);
        assert!(error.message.starts_with("unknown parameter"), "{}", error.message);
    }
    assert!(read("colour=red").unwrap_err().message.contains("colour"));
}

#[test]
fn lists_are_bounded() {
    let many = "host=a&".repeat(101);
    assert!(read(&many).unwrap_err().message.starts_with("host: "));
    assert_eq!(good(&"host=a&".repeat(100)).filter.host.len(), 100);
}
