//! Whether a record is one that was asked for, told by the record itself: what queries are
//! held against.

use uuid::Uuid;

use crate::{
    record::{Draft, HttpPart, Protocol, Record, Source, Verdict},
    store::{Filter, Status},
};

impl Filter {
    /// Whether `record` matches every field that is set.
    pub(in crate::store) fn matches(&self, record: &Record) -> bool {
        self.matches_times(record) && self.matches_exactly(record) && self.matches_texts(record)
    }

    fn matches_times(&self, record: &Record) -> bool {
        let draft = &record.draft;
        self.start.is_none_or(|start| draft.timestamp >= start)
            && self.end.is_none_or(|end| draft.timestamp <= end)
            && self.active_start.is_none_or(|start| draft.timestamp >= start)
            && self.active_end.is_none_or(|end| draft.started_at <= end)
    }

    fn matches_exactly(&self, record: &Record) -> bool {
        let draft = &record.draft;
        let in_prefix = |net: &ipnet::IpNet| match draft.source {
            Source::Address(address) => net.contains(&address),
            Source::Many => false,
        };
        any_of(&self.source_ip, in_prefix)
            && any_of(&self.host, |host| is_host(host, record))
            && any_of(&self.method, |method| method.eq_ignore_ascii_case(draft.method()))
            && any_of(&self.status_code, |status| *status == draft.status_code())
            && any_of(&self.service_id, |service| *service == draft.service_id)
            && any_of(&self.protocol, |protocol| *protocol == draft.protocol)
            && any_of(&self.country_code, |code| draft.location.country == Some(*code))
            && any_of(&self.reason, |reason| draft.reason == Some(*reason))
            && any_of(&self.verdict, |verdict| draft.verdict == *verdict)
            && self.observed.is_none_or(|asked| asked == draft.observed_reason.is_some())
            && self.status.is_none_or(|status| (status == Status::Success) == is_success(draft))
            && any_of(&self.auth_method, |method| {
                draft.http.as_ref().is_some_and(|http| http.auth == *method)
            })
            && any_of(&self.user_id, |user| {
                draft.http.as_ref().is_some_and(|http| http.user_id.to_lowercase() == *user)
            })
    }

    fn matches_texts(&self, record: &Record) -> bool {
        let draft = &record.draft;
        let email = draft.http.as_ref().map_or("", |http| &http.user_email);
        self.path.as_ref().is_none_or(|part| draft.path().to_lowercase().contains(part))
            && self.user_email.as_ref().is_none_or(|part| email.to_lowercase().contains(part))
            && self.search.as_ref().is_none_or(|search| found(search, record))
    }
}

/// An empty list asks for nothing.
fn any_of<T>(list: &[T], is: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(is)
}

fn is_host(asked: &str, record: &Record) -> bool {
    let (host, port) = (&record.draft.host, record.draft.listen_port);
    asked.eq_ignore_ascii_case(host)
        || asked.rsplit_once(':').is_some_and(|(name, number)| {
            name.eq_ignore_ascii_case(host) && number.parse() == Ok(port)
        })
}

fn is_success(draft: &Draft) -> bool {
    let is_answered = draft.protocol != Protocol::Http || draft.status_code() < 400;
    draft.verdict == Verdict::Allowed && is_answered
}

fn found(search: &str, record: &Record) -> bool {
    let draft = &record.draft;
    // Host, path, and what begins in one and ends in the other.
    let place = draft.host.to_lowercase() + &draft.path().to_lowercase();
    place.contains(search)
        || id_begins(record.id, search)
        || draft.source.to_string().starts_with(search)
        || draft.http.as_ref().is_some_and(|http| found_in_request(search, http))
}

fn found_in_request(search: &str, http: &HttpPart) -> bool {
    http.user_id.to_lowercase().contains(search)
        || http.user_email.to_lowercase().contains(search)
        || id_begins(http.request_id, search)
}

fn id_begins(id: Uuid, search: &str) -> bool {
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).starts_with(search)
}
