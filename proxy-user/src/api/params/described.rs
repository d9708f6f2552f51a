//! The parameters as the API's description has them.

use proxy_common::reason::Reason;
use serde_json::Value;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        KnownFormat, RefOr, Required, Schema, SchemaFormat,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type},
    },
};

use crate::{
    api::export::Format,
    record::{AuthMethod, Protocol, Verdict},
    store::Sort,
};

/// What [`super::filter`] reads.
pub(in crate::api) struct FilterParameters;

/// What [`super::query`] reads beside the filters.
pub(in crate::api) struct RecordPageParameters;

/// What [`super::part`] reads.
pub(in crate::api) struct PageParameters;

/// What [`super::format`] reads.
pub(in crate::api) struct FormatParameter;

/// An address that [`super::address`] reads.
pub(in crate::api) struct IpText;

impl IntoParams for FilterParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let exact = "Exact, any case.";
        let logged = "RFC 3339, or YYYY-MM-DD for the whole day in UTC; inclusive.";
        let protocols = words(Protocol::ALL.map(Protocol::as_str));
        let auth_methods = words(AuthMethod::ALL.map(AuthMethod::as_str));
        let reasons = words(Reason::ALL.iter().map(|reason| reason.as_str()));
        let verdicts = words(Verdict::ALL.map(Verdict::as_str));
        let status = "success: allowed, and for HTTP a status below 400; failed: the rest.";
        let observed = "true: only what an observing layer would have denied; false: the rest.";
        vec![
            one(
                "search",
                "Any case: substring of host, path, host and path, user id, e-mail; prefix of \
                 id, request id, source ip.",
                text(),
            ),
            any("source_ip", "An address, or a CIDR prefix without host bits.", prefix()),
            any("host", "Exact, any case, with or without port.", text()),
            any("method", exact, text()),
            any("status_code", "0 where none was sent, and for TCP, UDP and TLS.", status_code()),
            any("user_id", exact, text()),
            any("service_id", exact, text()),
            any("protocol", "Any case.", protocols),
            any("country_code", "ISO 3166-1 alpha-2.", matching("^[A-Za-z]{2}$")),
            any("auth_method", "Any case.", auth_methods),
            any("reason", "Any case.", reasons),
            any("verdict", "Any case.", verdicts),
            one("observed", observed, ObjectBuilder::new().schema_type(Type::Boolean)),
            one("path", "Substring, any case.", text()),
            one("user_email", "Substring, any case.", text()),
            one("user_name", "A synonym of user_email; excludes it.", text()),
            one("status", status, words(["success", "failed"])),
            one("start_date", &format!("Logged at or after: {logged}"), moment()),
            one("end_date", &format!("Logged at or before: {logged}"), moment()),
            one("active_start", &format!("Under way at or after: {logged}"), moment()),
            one("active_end", &format!("Under way at or before: {logged}"), moment()),
        ]
    }
}

impl IntoParams for RecordPageParameters {
    fn into_params(given: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let cursor = "The next_cursor of the page before, with the same filters and order; \
                      excludes page.";
        let keys = words(Sort::ALL.map(|(_, name)| name)).default(Some("timestamp".into()));
        let orders = words(["asc", "desc"]).default(Some("desc".into()));
        let mut parameters = PageParameters::into_params(given);
        parameters.extend([
            one("cursor", cursor, or_empty(formatted(KnownFormat::Uuid))),
            one("sort_by", "Ties by id.", keys),
            one("sort_order", "Which way.", orders),
        ]);
        parameters
    }
}

impl IntoParams for PageParameters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let page = "From 1. Of records: page times page_size is at most 100,000, a cursor leads \
                    further.";
        let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        vec![
            one("page", page, number().default(Some(1.into()))),
            one("page_size", "Above 1000 is lowered to 1000.", number().default(Some(50.into()))),
        ]
    }
}

impl IntoParams for FormatParameter {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let formats = words(Format::ALL.map(|(_, name)| name)).default(Some("jsonl".into()));
        vec![one("format", "JSON lines, or CSV with a line of names.", formats)]
    }
}

impl ToSchema for IpText {}

impl PartialSchema for IpText {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(formatted(KnownFormat::Ipv4))
            .item(formatted(KnownFormat::Ipv6))
            .into()
    }
}

fn one(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// A parameter that may be repeated.
fn any(name: &str, description: &str, item: impl Into<RefOr<Schema>>) -> Parameter {
    let list = ArrayBuilder::new().items(item.into());
    one(name, &format!("{description} Repeated: any of."), list)
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn formatted(format: KnownFormat) -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(format)))
}

fn matching(pattern: &str) -> ObjectBuilder {
    text().pattern(Some(pattern))
}

fn words<'a>(all: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    text().enum_values(Some(all.into_iter().map(Value::from)))
}

fn status_code() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(999))
}

/// An address. Of prefixes JSON Schema cannot say that they have no host bits.
fn prefix() -> OneOfBuilder {
    or_empty(formatted(KnownFormat::Ipv4)).item(formatted(KnownFormat::Ipv6))
}

fn moment() -> OneOfBuilder {
    or_empty(formatted(KnownFormat::DateTime)).item(formatted(KnownFormat::Date))
}

/// An empty value is an absent parameter.
fn or_empty(schema: ObjectBuilder) -> OneOfBuilder {
    OneOfBuilder::new().item(schema).item(text().max_length(Some(0)))
}
