//! The one JSON shape of a record, for API, export and sinks.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{HttpPart, Protocol, Record, Source, Timestamp};

impl std::fmt::Display for Timestamp {
    /// RFC 3339, UTC, milliseconds.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => f.write_str("0000-00-00T00:00:00.000Z"),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Many => f.write_str("many"),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let draft = &self.draft;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("service_id", &draft.service_id)?;
        map.serialize_entry("timestamp", &draft.timestamp.to_string())?;
        map.serialize_entry("started_at", &draft.started_at.to_string())?;
        map.serialize_entry("protocol", draft.protocol.as_str())?;
        map.serialize_entry("verdict", draft.verdict.as_str())?;
        map.serialize_entry("method", draft.method())?;
        map.serialize_entry("host", &draft.host)?;
        map.serialize_entry("path", draft.path())?;
        map.serialize_entry("url", &draft.url())?;
        map.serialize_entry("listen_port", &draft.listen_port)?;
        map.serialize_entry("status_code", &draft.status_code())?;
        map.serialize_entry("duration_ms", &draft.duration_ms)?;
        map.serialize_entry("bytes_upload", &draft.bytes_upload)?;
        map.serialize_entry("bytes_download", &draft.bytes_download)?;
        if draft.protocol != Protocol::Http {
            map.serialize_entry("packets_upload", &draft.packets_upload)?;
            map.serialize_entry("packets_download", &draft.packets_download)?;
        }
        map.serialize_entry("source_ip", &draft.source.to_string())?;
        if draft.source_port != 0 {
            map.serialize_entry("source_port", &draft.source_port)?;
        }
        if let Some(country) = draft.location.country {
            map.serialize_entry("country_code", &country.to_string())?;
        }
        text(&mut map, "city_name", &draft.location.city)?;
        text(&mut map, "subdivision_code", &draft.location.subdivision)?;
        text(&mut map, "reason", draft.reason.map_or("", |reason| reason.as_str()))?;
        text(&mut map, "observed_reason", draft.observed_reason.map_or("", |r| r.as_str()))?;
        text(&mut map, "close_reason", draft.close_reason.map_or("", |reason| reason.as_str()))?;
        text(&mut map, "target", &draft.target)?;
        text(&mut map, "tls_version", draft.tls_version.map_or("", |version| version.as_str()))?;
        if let Some(http) = &draft.http {
            request(&mut map, http)?;
        }
        if !draft.metadata.is_empty() {
            map.serialize_entry("metadata", &draft.metadata)?;
        }
        map.end()
    }
}

fn request<M: SerializeMap>(map: &mut M, http: &HttpPart) -> Result<(), M::Error> {
    map.serialize_entry("request_id", &http.request_id)?;
    map.serialize_entry("auth_method_used", http.auth.as_str())?;
    text(map, "user_id", &http.user_id)?;
    text(map, "user_email", &http.user_email)?;
    text(map, "http_version", http.http_version.map_or("", |version| version.as_str()))?;
    text(map, "user_agent", &http.user_agent)
}

fn text<M: SerializeMap>(map: &mut M, key: &'static str, value: &str) -> Result<(), M::Error> {
    if value.is_empty() { Ok(()) } else { map.serialize_entry(key, value) }
}
