//! What records are ordered by.

use std::{cmp::Ordering, net::IpAddr};

use uuid::Uuid;

use crate::{
    record::{Draft, HttpPart, Record, Source},
    store::{Order, Sort, block::ordered},
};

/// A record's key. Keys of one sort are of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Key {
    Number(u64),
    /// By its bytes.
    Text(String),
    /// Addresses by number, IPv4 before IPv6; what has none comes first.
    Address(Option<IpAddr>),
}

/// A record's place in an order: ties are broken by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Place {
    pub(in crate::store) key: Key,
    pub(in crate::store) id: Uuid,
}

impl Place {
    pub(in crate::store) fn compare(&self, other: &Self, order: Order) -> Ordering {
        match order {
            Order::Ascending => self.cmp(other),
            Order::Descending => other.cmp(self),
        }
    }
}

/// The key of a record.
pub(in crate::store) fn key(sort: Sort, record: &Record) -> Key {
    let draft = &record.draft;
    let text = |text: &str| Key::Text(text.to_owned());
    match sort {
        Sort::Timestamp => Key::Number(ordered(draft.timestamp)),
        Sort::StatusCode => Key::Number(draft.status_code().into()),
        Sort::Duration => Key::Number(draft.duration_ms),
        Sort::BytesUpload => Key::Number(draft.bytes_upload),
        Sort::BytesDownload => Key::Number(draft.bytes_download),
        Sort::Url => Key::Text(draft.url()),
        Sort::Host => text(&draft.host),
        Sort::Method => text(draft.method()),
        Sort::Path => text(draft.path()),
        Sort::UserId => text(of_request(draft, |http| &http.user_id)),
        Sort::AuthMethod => text(of_request(draft, |http| http.auth.as_str())),
        Sort::Reason => text(draft.reason.map_or("", |reason| reason.as_str())),
        Sort::SourceIp => Key::Address(match draft.source {
            Source::Address(address) => Some(address),
            Source::Many => None,
        }),
    }
}

/// What a request has, and no other record.
fn of_request(draft: &Draft, text: impl Fn(&HttpPart) -> &str) -> &str {
    draft.http.as_deref().map_or("", text)
}
