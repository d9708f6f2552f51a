//! The filters of SPEC 6 as a form shows them.

use proxy_common::reason::Reason;

use super::words;
use crate::record::{AuthMethod, Protocol, Verdict};

/// A filter that is typed.
pub(super) struct Text {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    /// Whether it may be given more than once: any of the values.
    pub(super) many: bool,
}

const fn one(name: &'static str, label: &'static str, hint: &'static str) -> Text {
    Text { name, label, hint, many: false }
}

const fn many(name: &'static str, label: &'static str, hint: &'static str) -> Text {
    Text { name, label, hint, many: true }
}

/// What everyone searches by.
pub(super) const SEARCH: Text = one("search", "Search", "Host, path, user, address or id");

/// What is behind "More filters".
pub(super) const TEXTS: [Text; 13] = [
    many("source_ip", "Source IP", "192.0.2.7 or 192.0.2.0/24"),
    many("country_code", "Country", "DE"),
    many("service_id", "Service", "exact name"),
    many("host", "Host", "app.example.com"),
    one("path", "Path", "part of it"),
    many("method", "Method", "GET"),
    many("status_code", "Status code", "404"),
    many("user_id", "User id", "exact"),
    one("user_email", "User e-mail", "part of it"),
    one("start_date", "From (UTC)", "2026-02-28 or 2026-02-28T10:00:00Z"),
    one("end_date", "To (UTC)", "2026-02-28 or 2026-02-28T10:00:00Z"),
    one("active_start", "Under way from (UTC)", "2026-02-28T10:00:00Z"),
    one("active_end", "Under way to (UTC)", "2026-02-28T10:00:00Z"),
];

/// A filter whose values are known.
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    /// Whether it may be given more than once: any of the values.
    pub(super) many: bool,
    /// Values, and how they are shown.
    pub(super) values: Vec<(&'static str, &'static str)>,
}

/// All of these.
pub(super) fn choices() -> [Choice; 6] {
    let verdicts = Verdict::ALL.map(|verdict| (verdict.as_str(), words::verdict(verdict)));
    let methods = AuthMethod::ALL.map(|method| (method.as_str(), words::auth_method(method)));
    let reasons = Reason::ALL.iter().map(|reason| (reason.as_str(), words::reason(*reason)));
    let protocols = Protocol::ALL.map(|protocol| (protocol.as_str(), shown(protocol)));
    let any = |name, label, values| Choice { name, label, many: true, values };
    let one = |name, label, values| Choice { name, label, many: false, values };
    [
        any("verdict", "Verdict", verdicts.to_vec()),
        any("protocol", "Protocol", protocols.to_vec()),
        any("auth_method", "Signed in by", methods.to_vec()),
        any("reason", "Reason", reasons.collect()),
        one("status", "Status", vec![("success", "Success"), ("failed", "Failed")]),
        one("observed", "Observed", vec![("true", "Would be denied"), ("false", "The rest")]),
    ]
}

const fn shown(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "HTTP",
        _ => protocol.method(),
    }
}

/// The label of a filter; `None`: there is no such.
pub(super) fn label(name: &str) -> Option<&'static str> {
    let texts = TEXTS.iter().chain([&SEARCH]).map(|text| (text.name, text.label));
    let choices = choices().into_iter().map(|choice| (choice.name, choice.label));
    texts.chain(choices).find(|(known, _)| *known == name).map(|(_, label)| label)
}

/// A filter's value in words.
pub(super) fn value_in_words<'a>(name: &str, value: &'a str) -> &'a str {
    let choices = choices();
    let choice = choices.iter().find(|choice| choice.name == name);
    let known = choice.and_then(|choice| {
        choice.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(value))
    });
    known.map_or(value, |(_, shown)| shown)
}
