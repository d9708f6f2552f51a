//! What can be asked of the store: the filters, orders and pages of SPEC 6.

use ipnet::IpNet;
use proxy_common::{country::Country, reason::Reason};
use uuid::Uuid;

use crate::record::{AuthMethod, Protocol, Record, Timestamp, Verdict};

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// By what they are ordered; ties by id.
    pub sort: Sort,
    /// Which way.
    pub order: Order,
    /// Which part of them.
    pub paging: Paging,
    /// How many at a time, 1 to 1000.
    pub page_size: usize,
}

/// Which part of the matching records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// The n-th page, from 1.
    Page(u64),
    /// What follows this record in the asked order.
    After(Cursor),
}

/// The last record that was read: its place in the asked order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its id; the sort key is read from the record itself.
    pub id: Uuid,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the asked order.
    pub records: Vec<Record>,
    /// How many match, over all pages.
    pub total: u64,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}

/// Order of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest or oldest first.
    Ascending,
    /// Largest or newest first.
    #[default]
    Descending,
}

/// `sort_by`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the record's fields of these names")]
pub enum Sort {
    #[default]
    Timestamp,
    Url,
    Host,
    Path,
    Method,
    StatusCode,
    Duration,
    SourceIp,
    UserId,
    AuthMethod,
    Reason,
    BytesUpload,
    BytesDownload,
}

impl Sort {
    /// Every key, with its name in a query.
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Timestamp, "timestamp"),
        (Self::Url, "url"),
        (Self::Host, "host"),
        (Self::Path, "path"),
        (Self::Method, "method"),
        (Self::StatusCode, "status_code"),
        (Self::Duration, "duration"),
        (Self::SourceIp, "source_ip"),
        (Self::UserId, "user_id"),
        (Self::AuthMethod, "auth_method"),
        (Self::Reason, "reason"),
        (Self::BytesUpload, "bytes_upload"),
        (Self::BytesDownload, "bytes_download"),
    ];
}

/// Which records; the default is all. A list that is not empty means "any of";
/// different fields must all match.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Lower case: substring of host, path, host + path, user id, e-mail; prefix of
    /// id, request id, source ip.
    pub search: Option<String>,
    /// A client in this prefix.
    pub source_ip: Vec<IpNet>,
    /// Lower case, with or without `:port`.
    pub host: Vec<String>,
    /// In any case.
    pub method: Vec<String>,
    /// 0 for L4.
    pub status_code: Vec<u16>,
    /// Lower case; no L4 record has one.
    pub user_id: Vec<String>,
    /// Lower case.
    pub service_id: Vec<String>,
    /// Protocols.
    pub protocol: Vec<Protocol>,
    /// Countries.
    pub country_code: Vec<Country>,
    /// Of requests; no L4 record has one.
    pub auth_method: Vec<AuthMethod>,
    /// Why denied or failed.
    pub reason: Vec<Reason>,
    /// Verdicts.
    pub verdict: Vec<Verdict>,
    /// `true`: only what an observing layer would have denied; `false`: only the rest.
    pub observed: Option<bool>,
    /// Substring, lower case; L4 records have the empty path.
    pub path: Option<String>,
    /// Substring, lower case; no L4 record has one.
    pub user_email: Option<String>,
    /// `success` or `failed`.
    pub status: Option<Status>,
    /// On `timestamp`, inclusive.
    pub start: Option<Timestamp>,
    /// On `timestamp`, inclusive.
    pub end: Option<Timestamp>,
    /// Under way at or after this: `timestamp` is not before it.
    pub active_start: Option<Timestamp>,
    /// Under way at or before this: `started_at` is not after it.
    pub active_end: Option<Timestamp>,
}

/// `status`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Allowed, and for HTTP below 400.
    Success,
    /// The rest.
    Failed,
}
