//! Records as bytes: a version, then postcard. A version is never given a second
//! meaning; older ones stay readable. A later version is an earlier one and what came
//! behind it.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use proxy_common::{country::Country, reason::Reason};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::place::{at, place};
use crate::record::{
    AuthMethod, CloseReason, Draft, HttpPart, HttpVersion, Location, Protocol, Record, Source,
    Timestamp, TlsVersion, Verdict,
};

/// A [`Row`] alone.
const VERSION_1: u8 = 1;
/// A [`Row`] and [`Tls`]; written only where there is something to tell.
const VERSION_2: u8 = 2;
/// A [`Row`], [`Tls`] and [`Http`]; written only of requests.
const VERSION_3: u8 = 3;

#[derive(Serialize, Deserialize)]
struct Row<'a> {
    service: Cow<'a, str>,
    timestamp: i64,
    /// Before `timestamp`, so that it takes few bytes.
    started_before: i64,
    duration_ms: u64,
    protocol: u8,
    verdict: u8,
    host: Cow<'a, str>,
    listen_port: u16,
    bytes: (u64, u64),
    packets: (u64, u64),
    source: Option<IpAddr>,
    source_port: u16,
    country: u16,
    city: Cow<'a, str>,
    subdivision: Cow<'a, str>,
    reason: u8,
    observed: u8,
    close_reason: u8,
    target: Cow<'a, str>,
    metadata: Cow<'a, BTreeMap<String, String>>,
}

#[derive(Default, Serialize, Deserialize)]
struct Tls {
    version: u8,
}

#[derive(Serialize, Deserialize)]
struct Http<'a> {
    request_id: [u8; 16],
    method: Cow<'a, str>,
    path: Cow<'a, str>,
    status_code: u16,
    auth: u8,
    user_id: Cow<'a, str>,
    user_email: Cow<'a, str>,
    version: u8,
    user_agent: Cow<'a, str>,
}

/// The draft's bytes, in the room of bytes that are not needed any more.
pub(crate) fn encode(draft: &Draft, mut bytes: Vec<u8>) -> Vec<u8> {
    let row = Row::of(draft);
    let tls = Tls { version: draft.tls_version.map_or(0, |v| place(&TlsVersion::ALL, &v)) };
    // Plain data into memory: postcard has nothing to refuse.
    bytes.clear();
    match (&draft.http, draft.tls_version) {
        (Some(http), _) => {
            bytes.push(VERSION_3);
            postcard::to_extend(&(row, tls, Http::of(http)), bytes).unwrap_or_default()
        }
        (None, Some(_)) => {
            bytes.push(VERSION_2);
            postcard::to_extend(&(row, tls), bytes).unwrap_or_default()
        }
        (None, None) => {
            bytes.push(VERSION_1);
            postcard::to_extend(&row, bytes).unwrap_or_default()
        }
    }
}

/// `None`: of a version or a shape that is not known.
pub(crate) fn decode(id: Uuid, bytes: &[u8]) -> Option<Record> {
    let (row, tls, http): (Row<'_>, Tls, Option<Http<'_>>) = match bytes.split_first()? {
        (&VERSION_1, rest) => (postcard::from_bytes(rest).ok()?, Tls::default(), None),
        (&VERSION_2, rest) => {
            let (row, tls) = postcard::from_bytes(rest).ok()?;
            (row, tls, None)
        }
        (&VERSION_3, rest) => {
            let (row, tls, http) = postcard::from_bytes(rest).ok()?;
            (row, tls, Some(http))
        }
        _ => return None,
    };
    let mut draft = row.read()?;
    draft.tls_version = at(&TlsVersion::ALL, tls.version);
    if let Some(http) = http {
        draft.http = Some(Box::new(http.read()?));
    }
    Some(Record { id, draft })
}

impl<'a> Row<'a> {
    fn of(draft: &'a Draft) -> Self {
        Self {
            service: Cow::from(draft.service_id.as_str()),
            timestamp: draft.timestamp.0,
            started_before: draft.timestamp.0.wrapping_sub(draft.started_at.0),
            duration_ms: draft.duration_ms,
            protocol: place(&Protocol::ALL, &draft.protocol),
            verdict: place(&Verdict::ALL, &draft.verdict),
            host: Cow::from(draft.host.as_str()),
            listen_port: draft.listen_port,
            bytes: (draft.bytes_upload, draft.bytes_download),
            packets: (draft.packets_upload, draft.packets_download),
            source: match draft.source {
                Source::Address(address) => Some(address),
                Source::Many => None,
            },
            source_port: draft.source_port,
            country: draft.location.country.map_or(0, Country::to_stored),
            city: Cow::from(draft.location.city.as_str()),
            subdivision: Cow::from(draft.location.subdivision.as_str()),
            reason: draft.reason.map_or(0, |reason| reason as u8),
            observed: draft.observed_reason.map_or(0, |reason| reason as u8),
            close_reason: draft.close_reason.map_or(0, |why| place(&CloseReason::ALL, &why)),
            target: Cow::from(draft.target.as_str()),
            metadata: Cow::Borrowed(&draft.metadata),
        }
    }

    fn read(self) -> Option<Draft> {
        let row = self;
        Some(Draft {
            service_id: row.service.into(),
            timestamp: Timestamp(row.timestamp),
            started_at: Timestamp(row.timestamp.wrapping_sub(row.started_before)),
            duration_ms: row.duration_ms,
            protocol: at(&Protocol::ALL, row.protocol)?,
            verdict: at(&Verdict::ALL, row.verdict)?,
            host: row.host.into(),
            listen_port: row.listen_port,
            bytes_upload: row.bytes.0,
            bytes_download: row.bytes.1,
            packets_upload: row.packets.0,
            packets_download: row.packets.1,
            source: row.source.map_or(Source::Many, Source::Address),
            source_port: row.source_port,
            location: Location {
                country: match row.country.checked_sub(1) {
                    Some(number) => Some(Country::from_number(number)?),
                    None => None,
                },
                city: row.city.into(),
                subdivision: row.subdivision.into(),
            },
            reason: Reason::from_number(row.reason),
            observed_reason: Reason::from_number(row.observed),
            close_reason: at(&CloseReason::ALL, row.close_reason),
            target: row.target.into(),
            tls_version: None,
            http: None,
            metadata: row.metadata.into_owned(),
        })
    }
}

impl<'a> Http<'a> {
    fn of(http: &'a HttpPart) -> Self {
        Self {
            request_id: http.request_id.into_bytes(),
            method: Cow::from(http.method.as_str()),
            path: Cow::from(http.path.as_str()),
            status_code: http.status_code,
            auth: place(&AuthMethod::ALL, &http.auth),
            user_id: Cow::from(http.user_id.as_str()),
            user_email: Cow::from(http.user_email.as_str()),
            version: http.http_version.map_or(0, |version| place(&HttpVersion::ALL, &version)),
            user_agent: Cow::from(http.user_agent.as_str()),
        }
    }

    fn read(self) -> Option<HttpPart> {
        Some(HttpPart {
            request_id: Uuid::from_bytes(self.request_id),
            method: self.method.into(),
            path: self.path.into(),
            status_code: self.status_code,
            auth: at(&AuthMethod::ALL, self.auth)?,
            user_id: self.user_id.into(),
            user_email: self.user_email.into(),
            http_version: at(&HttpVersion::ALL, self.version),
            user_agent: self.user_agent.into(),
        })
    }
}
