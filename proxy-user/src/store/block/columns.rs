//! Records by columns, before they are encoded.

use bytes::Bytes;
use proxy_common::country::Country;

use super::{
    coded::Coded,
    field::{Code, Number, Text},
    id::Id,
    sources::Client,
    varint::zigzag,
};
use crate::{
    record::{
        AuthMethod, CloseReason, Draft, HttpVersion, Protocol, Record, Timestamp, TlsVersion,
        Verdict,
    },
    store::place::place,
};

/// A block's columns.
pub(in crate::store) struct Columns<'a> {
    /// Records, in the order of their ids.
    pub(super) rows: usize,
    pub(super) codes: Vec<Coded<u64>>,
    pub(super) source: Coded<Client>,
    pub(super) numbers: Vec<Vec<u64>>,
    pub(super) texts: Vec<Coded<&'a [u8]>>,
}

/// What is no record's own text, while columns refer to it.
#[derive(Default)]
pub(in crate::store) struct Scratch(Vec<Bytes>);

impl Scratch {
    /// What the records do not hold as bytes.
    pub(in crate::store) fn of(records: &[&Record]) -> Self {
        let metadata = |record: &&Record| {
            let metadata = &record.draft.metadata;
            if metadata.is_empty() {
                return Bytes::new();
            }
            // Plain data into memory: postcard has nothing to refuse.
            postcard::to_stdvec(metadata).unwrap_or_default().into()
        };
        Self(records.iter().map(metadata).collect())
    }
}

impl<'a> Columns<'a> {
    /// The columns of records in the order of their ids.
    pub(in crate::store) fn of(records: &[&'a Record], scratch: &'a Scratch) -> Self {
        let code = |code| Coded::of(records.iter().map(|record| coded(code, record)));
        let number = |column| records.iter().map(|record| number(column, record)).collect();
        let text = |column| match column {
            Text::Metadata => Coded::of(scratch.0.iter().map(Bytes::as_ref)),
            _ => Coded::of(records.iter().map(|record| text(column, &record.draft).as_bytes())),
        };
        Self {
            rows: records.len(),
            codes: Code::ALL.into_iter().map(code).collect(),
            source: Coded::of(records.iter().map(|record| record.draft.source.into())),
            numbers: Number::ALL.into_iter().map(number).collect(),
            texts: Text::ALL.into_iter().map(text).collect(),
        }
    }

    /// One block behind the other.
    pub(in crate::store) fn joined(blocks: Vec<Self>) -> Self {
        let rows = blocks.iter().map(|block| block.rows).sum();
        let (mut codes, mut numbers) = (Vec::new(), Vec::new());
        let (mut texts, mut source) = (Vec::new(), Vec::new());
        for block in blocks {
            codes.push(block.codes);
            numbers.push(block.numbers);
            texts.push(block.texts);
            source.push(block.source);
        }
        Self {
            rows,
            codes: by_column(codes).iter().map(|parts| Coded::joined(parts)).collect(),
            source: Coded::joined(&source),
            numbers: by_column(numbers).iter().map(|parts| parts.concat()).collect(),
            texts: by_column(texts).iter().map(|parts| Coded::joined(parts)).collect(),
        }
    }
}

/// Of the columns of each block, the parts of each column.
fn by_column<T>(blocks: Vec<Vec<T>>) -> Vec<Vec<T>> {
    let mut columns: Vec<Vec<T>> = Vec::new();
    for block in blocks {
        columns.resize_with(block.len().max(columns.len()), Vec::new);
        columns.iter_mut().zip(block).for_each(|(column, part)| column.push(part));
    }
    columns
}

fn coded(column: Code, record: &Record) -> u64 {
    let draft = &record.draft;
    let http = draft.http.as_deref();
    match column {
        Code::Protocol => place(&Protocol::ALL, &draft.protocol).into(),
        Code::Verdict => place(&Verdict::ALL, &draft.verdict).into(),
        Code::Reason => draft.reason.map_or(0, |reason| reason as u64),
        Code::ObservedReason => draft.observed_reason.map_or(0, |reason| reason as u64),
        Code::CloseReason => {
            draft.close_reason.map_or(0, |why| place(&CloseReason::ALL, &why)).into()
        }
        Code::TlsVersion => draft.tls_version.map_or(0, |v| place(&TlsVersion::ALL, &v)).into(),
        Code::AuthMethod => http.map_or(0, |http| place(&AuthMethod::ALL, &http.auth)).into(),
        Code::HttpVersion => {
            let version = http.and_then(|http| http.http_version);
            version.map_or(0, |version| place(&HttpVersion::ALL, &version)).into()
        }
        Code::Status => draft.status_code().into(),
        Code::Country => draft.location.country.map_or(0, Country::to_stored).into(),
        Code::ListenPort => draft.listen_port.into(),
        Code::IdNode => Id::from(record.id).node,
        Code::RequestNode => http.map_or(0, |http| Id::from(http.request_id).node),
    }
}

fn number(column: Number, record: &Record) -> u64 {
    let draft = &record.draft;
    let since = |time: u64, start: Timestamp| zigzag(time.cast_signed().wrapping_sub(start.0));
    let request = || draft.http.as_deref().map(|http| Id::from(http.request_id));
    match column {
        Number::Timestamp => ordered(draft.timestamp),
        Number::StartedBefore => {
            let wall = draft.timestamp.0.wrapping_sub(draft.started_at.0);
            zigzag(wall.wrapping_sub(draft.duration_ms.cast_signed()))
        }
        Number::Duration => draft.duration_ms,
        Number::BytesUpload => draft.bytes_upload,
        Number::BytesDownload => draft.bytes_download,
        Number::PacketsUpload => draft.packets_upload,
        Number::PacketsDownload => draft.packets_download,
        Number::SourcePort => draft.source_port.into(),
        Number::IdTime => since(Id::from(record.id).time, draft.timestamp),
        Number::IdCount => Id::from(record.id).count,
        Number::RequestTime => request().map_or(0, |id| since(id.time, draft.started_at)),
        Number::RequestCount => request().map_or(0, |id| id.count),
    }
}

fn text(column: Text, draft: &Draft) -> &str {
    let http = draft.http.as_deref();
    match column {
        Text::Service => &draft.service_id,
        Text::Host => &draft.host,
        Text::Method => draft.method(),
        Text::Path => draft.path(),
        Text::UserId => http.map_or("", |http| &http.user_id),
        Text::UserEmail => http.map_or("", |http| &http.user_email),
        Text::UserAgent => http.map_or("", |http| &http.user_agent),
        Text::Target => &draft.target,
        Text::City => &draft.location.city,
        Text::Subdivision => &draft.location.subdivision,
        Text::Metadata => "",
    }
}

/// Times as numbers in the same order.
pub(in crate::store) const fn ordered(time: Timestamp) -> u64 {
    time.0.cast_unsigned() ^ 1 << 63
}

/// The time of such a number.
pub(in crate::store) const fn timestamp(ordered: u64) -> Timestamp {
    Timestamp((ordered ^ 1 << 63).cast_signed())
}
