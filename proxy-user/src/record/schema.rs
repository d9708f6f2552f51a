//! The record's JSON, for the API's description.

use proxy_common::reason::Reason;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        KnownFormat, RefOr, Schema, SchemaFormat,
        schema::{AdditionalProperties, ObjectBuilder, Type},
    },
};

use super::{
    AuthMethod, CloseReason, HttpVersion, Protocol, Record, Timestamp, TlsVersion, Verdict,
};

impl ToSchema for Timestamp {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        time("RFC 3339, UTC, milliseconds.").into()
    }
}

impl ToSchema for Record {}

impl PartialSchema for Record {
    fn schema() -> RefOr<Schema> {
        let about = "An access record. Fields that are not required are absent when empty, never \
                     null.";
        let record = ObjectBuilder::new().schema_type(Type::Object).description(Some(about));
        let always = always()
            .into_iter()
            .fold(record, |record, (name, schema)| record.property(name, schema).required(name));
        sometimes()
            .into_iter()
            .fold(always, |record, (name, schema)| record.property(name, schema))
            .into()
    }
}

type Fields<const N: usize> = [(&'static str, ObjectBuilder); N];

/// What every record has.
fn always() -> Fields<15> {
    let words_of = |words: &[&str], about| words_in(words.iter().copied(), about);
    [
        ("id", id("UUIDv7, strictly increasing in the order of the store.")),
        ("service_id", text("The service's name; empty for an unknown host.")),
        ("timestamp", time("When it was logged: the end, or the denial.")),
        ("started_at", time("When it began.")),
        ("protocol", words_of(&Protocol::ALL.map(Protocol::as_str), "What was spoken.")),
        ("verdict", words_of(&Verdict::ALL.map(Verdict::as_str), "What became of it.")),
        (
            "method",
            text(
                "The request's method; TCP, UDP or TLS of the rest. Empty for a connection that \
                 ended before its first request.",
            ),
        ),
        (
            "host",
            text(
                "The host of a request, without port. Else the service's domain or its name; of \
                 an unknown host the name that was asked for.",
            ),
        ),
        (
            "path",
            text(
                "The request's path without its query, up to 2048 bytes; what is longer ends with \
                 an ellipsis. Control, bidirectional and invalid bytes are written as \\xNN. \
                 Empty but for HTTP.",
            ),
        ),
        ("url", text("HOST and PATH of HTTP, HOST:LISTEN_PORT of the rest.")),
        ("listen_port", port("The port that was addressed.")),
        ("status_code", count("Of the answer; 0 where none was sent, and for TCP, UDP and TLS.")),
        ("duration_ms", count("From started_at to timestamp by the monotonic clock.")),
        ("bytes_upload", count("Payload, client to target; of a request, its body.")),
        ("bytes_download", count("Payload, target to client; of a request, the answer's body.")),
    ]
}

/// What a record has where it is not empty.
fn sometimes() -> Fields<19> {
    let words_of = |words: &[&str], about| words_in(words.iter().copied(), about);
    let reasons = |about| words_in(Reason::ALL.iter().map(|reason| reason.as_str()), about);
    [
        ("packets_upload", count("Wire packets, client to service; absent for HTTP.")),
        ("packets_download", count("Wire packets, service to client; absent for HTTP.")),
        (
            "source_ip",
            text("The client; `many` for an aggregate over sources that are not told apart."),
        ),
        ("source_port", port("The client's port; absent for an aggregate.")),
        ("country_code", text("ISO 3166-1 alpha-2, by the database at the time.")),
        ("city_name", text("English name.")),
        ("subdivision_code", text("ISO 3166-2 without the country.")),
        ("reason", reasons("Why it was denied or failed.")),
        ("observed_reason", reasons("Why an observing layer would have denied it.")),
        (
            "close_reason",
            words_of(&CloseReason::ALL.map(CloseReason::as_str), "How the connection ended."),
        ),
        ("target", text("The target that served it, as dialled.")),
        (
            "tls_version",
            words_of(
                &TlsVersion::ALL.map(TlsVersion::as_str),
                "The version that was agreed on; where TLS is passed through, the highest that \
                 the client asked for.",
            ),
        ),
        ("request_id", id("Of a request: also on error pages, and sent to the target.")),
        (
            "auth_method_used",
            words_of(
                &AuthMethod::ALL.map(AuthMethod::as_str),
                "Of a request: the method used, attempted, or that opened the session.",
            ),
        ),
        ("user_id", text("Who signed in, as the provider knows them.")),
        ("user_email", text("Their e-mail address.")),
        (
            "http_version",
            words_of(&HttpVersion::ALL.map(HttpVersion::as_str), "Of the client's request."),
        ),
        ("user_agent", text("As sent, up to 512 bytes, shown as `path` is.")),
        ("metadata", metadata()),
    ]
}

fn text(about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(about))
}

fn id(about: &str) -> ObjectBuilder {
    text(about).format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)))
}

fn time(about: &str) -> ObjectBuilder {
    text(about).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn words_in<'a>(all: impl Iterator<Item = &'a str>, about: &str) -> ObjectBuilder {
    text(about).enum_values(Some(all.map(Value::from)))
}

fn count(about: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).description(Some(about))
}

fn port(about: &str) -> ObjectBuilder {
    count(about).maximum(Some(u16::MAX))
}

fn metadata() -> ObjectBuilder {
    let value: RefOr<Schema> = ObjectBuilder::new().schema_type(Type::String).into();
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What else is worth knowing."))
        .additional_properties(Some(AdditionalProperties::RefOr(value)))
}
