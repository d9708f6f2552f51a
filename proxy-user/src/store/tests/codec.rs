//! Records as bytes, and back.

use std::net::IpAddr;

use proptest::{collection::btree_map, option, prelude::*, sample::select};
use proxy_common::{country::Country, reason::Reason};
use uuid::Uuid;

use crate::{
    record::{
        AuthMethod, CloseReason, Draft, HttpPart, HttpVersion, Location, Protocol, Record, Source,
        Timestamp, TlsVersion, Verdict,
        tests::{draft, request},
    },
    store::codec::{decode, encode},
};

fn sources() -> impl Strategy<Value = Source> {
    let address = any::<IpAddr>().prop_map(Source::Address);
    prop_oneof![Just(Source::Many), address]
}

fn locations() -> impl Strategy<Value = Location> {
    let country = (0..=Country::COUNT).prop_map(Country::from_number);
    (country, any::<String>(), any::<String>()).prop_map(|(country, city, subdivision)| Location {
        country,
        city: city.into(),
        subdivision: subdivision.into(),
    })
}

prop_compose! {
    fn requests()(
        request_id: u128,
        (method, path, user_agent) in any::<(String, String, String)>(),
        (user_id, user_email) in any::<(String, String)>(),
        status_code: u16,
        auth in select(&AuthMethod::ALL),
        http_version in option::of(select(&HttpVersion::ALL)),
    ) -> Box<HttpPart> {
        let request_id = Uuid::from_u128(request_id);
        Box::new(HttpPart {
            request_id,
            method: method.into(),
            path: path.into(),
            status_code,
            auth,
            user_id: user_id.into(),
            user_email: user_email.into(),
            http_version,
            user_agent: user_agent.into(),
        })
    }
}

prop_compose! {
    pub(in crate::store) fn drafts()(
        (service_id, host, target) in any::<(String, String, String)>(),
        (timestamp, started_at, duration_ms) in any::<(i64, i64, u64)>(),
        (listen_port, source_port) in any::<(u16, u16)>(),
        (bytes_upload, bytes_download) in any::<(u64, u64)>(),
        (packets_upload, packets_download) in any::<(u64, u64)>(),
        protocol in select(&Protocol::ALL),
        verdict in select(&Verdict::ALL),
        source in sources(),
        location in locations(),
        (reason, observed_reason) in
            (option::of(select(Reason::ALL)), option::of(select(Reason::ALL))),
        close_reason in option::of(select(&CloseReason::ALL)),
        tls_version in option::of(select(&TlsVersion::ALL)),
        http in option::of(requests()),
        metadata in btree_map(any::<String>(), any::<String>(), 0..4),
    ) -> Draft {
        Draft {
            service_id: service_id.into(),
            timestamp: Timestamp(timestamp),
            started_at: Timestamp(started_at),
            duration_ms,
            protocol,
            verdict,
            host: host.into(),
            listen_port,
            bytes_upload,
            bytes_download,
            packets_upload,
            packets_download,
            source,
            source_port,
            location,
            reason,
            observed_reason,
            close_reason,
            target: target.into(),
            tls_version,
            http,
            metadata,
        }
    }
}

#[test]
fn a_country_that_cannot_be_is_none_instead_of_a_panic_when_it_is_shown() {
    let country = Country::from_stored(Country::COUNT + 1);
    let location = Location { country, ..Location::default() };
    assert_eq!(decode(Uuid::nil(), &encode(&Draft { location, ..draft() }, Vec::new())), None);
}

/// As they were written before records had a TLS version.
#[test]
fn records_of_version_1_stay_readable() {
    let bytes = include_bytes!("record.v1");
    let expected = Record { id: Uuid::nil(), draft: Draft { tls_version: None, ..draft() } };
    assert_eq!(decode(Uuid::nil(), bytes), Some(expected));
}

/// As they were written before records could be of requests.
#[test]
fn records_of_version_2_stay_readable() {
    let expected = Record { id: Uuid::nil(), draft: draft() };
    assert_eq!(decode(Uuid::nil(), include_bytes!("record.v2")), Some(expected));
}

#[test]
fn records_of_version_3_stay_readable() {
    let expected = Record { id: Uuid::nil(), draft: request() };
    assert_eq!(decode(Uuid::nil(), include_bytes!("record.v3")), Some(expected));
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(draft in drafts()) {
        let id = Uuid::from_u128(7);
        prop_assert_eq!(decode(id, &encode(&draft, Vec::new())), Some(Record { id, draft }));
    }

    #[test]
    fn half_a_record_is_none(draft in drafts(), cut: prop::sample::Index) {
        let bytes = encode(&draft, Vec::new());
        prop_assert_eq!(decode(Uuid::nil(), &bytes[..cut.index(bytes.len())]), None);
    }

    #[test]
    fn a_record_of_an_unknown_version_is_none(draft in drafts(), version: u8) {
        let mut bytes = encode(&draft, Vec::new());
        prop_assume!(!(1..=3).contains(&version));
        bytes[0] = version;
        prop_assert_eq!(decode(Uuid::nil(), &bytes), None);
    }

    #[test]
    fn bytes_of_any_kind_are_read_or_refused(mut bytes: Vec<u8>, version in 0..4_u8) {
        if let (1.., Some(first)) = (version, bytes.first_mut()) {
            *first = version;
        }
        // What is read can also be shown.
        if let Some(record) = decode(Uuid::nil(), &bytes) {
            serde_json::to_string(&record).unwrap();
        }
    }

    #[test]
    fn a_record_with_a_changed_byte_is_read_or_refused(
        draft in drafts(),
        at: prop::sample::Index,
        changed: u8,
    ) {
        let mut bytes = encode(&draft, Vec::new());
        let at = at.index(bytes.len());
        bytes[at] = changed;
        if let Some(record) = decode(Uuid::nil(), &bytes) {
            serde_json::to_string(&record).unwrap();
        }
    }
}
