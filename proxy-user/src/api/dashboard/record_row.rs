//! A record as a row of the table.

use super::{assets, chips::PAGING, frame::EVENTS, link::Pairs, words};
use crate::record::{Record, Source, Timestamp};

/// A value that one can filter by.
pub(super) struct Value {
    pub(super) text: String,
    /// The page with that filter as well.
    pub(super) href: String,
}

/// A moment, for `<time>`.
pub(super) struct Moment(Timestamp);

impl Moment {
    pub(super) fn new(at: Timestamp) -> Self {
        Self(at)
    }

    /// RFC 3339.
    pub(super) fn exact(&self) -> String {
        self.0.to_string()
    }

    /// In UTC, to the second.
    pub(super) fn shown(&self) -> String {
        let exact = self.exact();
        exact.split('.').next().unwrap_or_default().replace('T', " ")
    }
}

/// What the table shows of a record.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) time: Moment,
    /// `allowed`, `denied` or `error`.
    pub(super) verdict: &'static str,
    pub(super) verdict_shown: Value,
    pub(super) flag: Option<String>,
    pub(super) country: Option<Value>,
    pub(super) city: String,
    pub(super) source: Value,
    pub(super) method: Value,
    pub(super) url: String,
    pub(super) host: Value,
    pub(super) rest: String,
    pub(super) status: Option<Value>,
    pub(super) duration: String,
    pub(super) up: String,
    pub(super) down: String,
    pub(super) user: Option<Value>,
    pub(super) auth: Option<Value>,
    pub(super) reason: Option<Value>,
    pub(super) service: Value,
    /// How many attempts it stands for beyond its own, if it is an aggregate.
    pub(super) suppressed: Option<String>,
}

impl Row {
    /// On a page with these parameters.
    pub(super) fn new(record: &Record, pairs: &Pairs) -> Self {
        let draft = &record.draft;
        let to = |name: &str, value: &str| pairs.without(&PAGING).with(name, value).to(EVENTS.path);
        let value = |name: &str, given: &str, shown: &str| Value {
            text: shown.to_owned(),
            href: to(name, given),
        };
        let http = draft.http.as_deref();
        let country = draft.location.country.map(|country| country.to_string());
        let verdict = draft.verdict.as_str();
        let url = draft.url();
        let method = match http {
            Some(http) => value("method", &http.method, &http.method),
            None => {
                value("protocol", draft.protocol.as_str(), &draft.protocol.as_str().to_uppercase())
            }
        };
        Self {
            id: record.id.to_string(),
            time: Moment(draft.timestamp),
            verdict,
            verdict_shown: value("verdict", verdict, words::verdict(draft.verdict)),
            flag: country.as_deref().and_then(assets::flag),
            country: country.as_deref().map(|code| value("country_code", code, code)),
            city: draft.location.city.to_string(),
            source: source(record, &value),
            method,
            rest: url.strip_prefix(draft.host.as_str()).unwrap_or_default().to_owned(),
            host: value("host", &draft.host, &draft.host),
            url,
            status: match draft.status_code() {
                0 => None,
                code => Some(value("status_code", &code.to_string(), &code.to_string())),
            },
            duration: words::duration(draft.duration_ms),
            up: words::bytes(draft.bytes_upload),
            down: words::bytes(draft.bytes_download),
            user: http.and_then(|http| match (&*http.user_email, &*http.user_id) {
                ("", "") => None,
                ("", id) => Some(value("user_id", id, id)),
                (email, _) => Some(value("user_email", email, email)),
            }),
            auth: http.map(|http| {
                value("auth_method", http.auth.as_str(), words::auth_method(http.auth))
            }),
            reason: draft
                .reason
                .map(|reason| value("reason", reason.as_str(), words::reason(reason))),
            service: value("service_id", &draft.service_id, &draft.service_id),
            suppressed: draft.metadata.get("suppressed").cloned(),
        }
    }
}

/// An aggregate over many sources has none to filter by.
fn source(record: &Record, value: &impl Fn(&str, &str, &str) -> Value) -> Value {
    let shown = record.draft.source.to_string();
    match record.draft.source {
        Source::Address(_) => value("source_ip", &shown, &shown),
        Source::Many => value("search", &record.id.to_string(), &shown),
    }
}
