//! Records as bytes: a version, then postcard. A version is never given a second
//! meaning; older ones stay readable. A later version is an earlier one and what came
//! behind it.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use proxy_common::{country::Country, reason::Reason};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{
    CloseReason, Draft, Location, Protocol, Record, Source, Timestamp, TlsVersion, Verdict,
};

/// A [`Row`] alone.
const VERSION_1: u8 = 1;
/// A [`Row`] and [`Tls`]; written only where there is something to tell.
const VERSION_2: u8 = 2;

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

/// The draft's bytes, in the room of bytes that are not needed any more.
pub(crate) fn encode(draft: &Draft, mut bytes: Vec<u8>) -> Vec<u8> {
    let row = Row {
        service: Cow::from(&draft.service_id),
        timestamp: draft.timestamp.0,
        started_before: draft.timestamp.0.wrapping_sub(draft.started_at.0),
        duration_ms: draft.duration_ms,
        protocol: place(&Protocol::ALL, &draft.protocol),
        verdict: place(&Verdict::ALL, &draft.verdict),
        host: Cow::from(&draft.host),
        listen_port: draft.listen_port,
        bytes: (draft.bytes_upload, draft.bytes_download),
        packets: (draft.packets_upload, draft.packets_download),
        source: match draft.source {
            Source::Address(address) => Some(address),
            Source::Many => None,
        },
        source_port: draft.source_port,
        country: draft.location.country.map_or(0, Country::to_stored),
        city: Cow::from(&draft.location.city),
        subdivision: Cow::from(&draft.location.subdivision),
        reason: draft.reason.map_or(0, |reason| reason as u8),
        observed: draft.observed_reason.map_or(0, |reason| reason as u8),
        close_reason: draft.close_reason.map_or(0, |why| place(&CloseReason::ALL, &why)),
        target: Cow::from(&draft.target),
        metadata: Cow::Borrowed(&draft.metadata),
    };
    // Plain data into memory: postcard has nothing to refuse.
    bytes.clear();
    match draft.tls_version {
        None => {
            bytes.push(VERSION_1);
            postcard::to_extend(&row, bytes).unwrap_or_default()
        }
        Some(version) => {
            bytes.push(VERSION_2);
            let tls = Tls { version: place(&TlsVersion::ALL, &version) };
            postcard::to_extend(&(row, tls), bytes).unwrap_or_default()
        }
    }
}

/// `None`: of a version or a shape that is not known.
pub(crate) fn decode(id: Uuid, bytes: &[u8]) -> Option<Record> {
    let (row, tls): (Row<'_>, Tls) = match bytes.split_first()? {
        (&VERSION_1, rest) => (postcard::from_bytes(rest).ok()?, Tls::default()),
        (&VERSION_2, rest) => postcard::from_bytes(rest).ok()?,
        _ => return None,
    };
    let draft = Draft {
        service_id: row.service.into_owned(),
        timestamp: Timestamp(row.timestamp),
        started_at: Timestamp(row.timestamp.wrapping_sub(row.started_before)),
        duration_ms: row.duration_ms,
        protocol: at(&Protocol::ALL, row.protocol)?,
        verdict: at(&Verdict::ALL, row.verdict)?,
        host: row.host.into_owned(),
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
            city: row.city.into_owned(),
            subdivision: row.subdivision.into_owned(),
        },
        reason: Reason::from_number(row.reason),
        observed_reason: Reason::from_number(row.observed),
        close_reason: at(&CloseReason::ALL, row.close_reason),
        target: row.target.into_owned(),
        tls_version: at(&TlsVersion::ALL, tls.version),
        metadata: row.metadata.into_owned(),
    };
    Some(Record { id, draft })
}

/// Place in a list, from 1.
fn place<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let index = all.iter().position(|known| known == value).unwrap_or(0);
    u8::try_from(index + 1).unwrap_or(u8::MAX)
}

fn at<T: Copy>(all: &[T], place: u8) -> Option<T> {
    all.get(usize::from(place).checked_sub(1)?).copied()
}
