//! The filters that events, stream, export and summary share.

use proxy_common::{country::Country, reason::Reason};

use super::{
    Params,
    date::{Edge, date},
    value::{bad, prefix, read},
};
use crate::{
    api::error::ApiError,
    record::{AuthMethod, Protocol, Timestamp, Verdict},
    store::{Filter, Status},
};

/// Takes every filter out of `params`.
pub(in crate::api) fn filter(params: &mut Params) -> Result<Filter, ApiError> {
    Ok(Filter {
        search: params.take("search")?.map(|text| text.to_lowercase()),
        source_ip: list(params, "source_ip", prefix)?,
        host: list(params, "host", lower)?,
        method: list(params, "method", |_, value| Ok(value.to_owned()))?,
        status_code: list(params, "status_code", status_code)?,
        user_id: list(params, "user_id", lower)?,
        service_id: list(params, "service_id", lower)?,
        protocol: list(params, "protocol", protocol)?,
        country_code: list(params, "country_code", country)?,
        auth_method: list(params, "auth_method", auth_method)?,
        reason: list(params, "reason", reason)?,
        verdict: list(params, "verdict", verdict)?,
        observed: params.take("observed")?.map(|value| flag("observed", &value)).transpose()?,
        path: params.take("path")?.map(|text| text.to_lowercase()),
        user_email: user_email(params)?,
        status: params.take("status")?.map(|value| status("status", &value)).transpose()?,
        start: moment(params, "start_date", Edge::Start)?,
        end: moment(params, "end_date", Edge::End)?,
        active_start: moment(params, "active_start", Edge::Start)?,
        active_end: moment(params, "active_end", Edge::End)?,
    })
}

fn list<T>(
    params: &mut Params,
    name: &str,
    parse: impl Fn(&str, &str) -> Result<T, ApiError>,
) -> Result<Vec<T>, ApiError> {
    params.take_all(name)?.iter().map(|value| parse(name, value)).collect()
}

fn moment(params: &mut Params, name: &str, edge: Edge) -> Result<Option<Timestamp>, ApiError> {
    params.take(name)?.map(|value| date(name, &value, edge)).transpose()
}

/// `user_name` is a synonym.
fn user_email(params: &mut Params) -> Result<Option<String>, ApiError> {
    match (params.take("user_email")?, params.take("user_name")?) {
        (Some(_), Some(_)) => {
            Err(ApiError::bad_request("user_name: a synonym of user_email, which is given too"))
        }
        (email, name) => Ok(email.or(name).map(|text| text.to_lowercase())),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every parser of values")]
fn lower(_: &str, value: &str) -> Result<String, ApiError> {
    Ok(value.to_lowercase())
}

/// One of `all`, by its name in any case.
fn one_of<T: Copy>(
    (name, value): (&str, &str),
    all: &[T],
    shown: impl Fn(T) -> &'static str,
) -> Result<T, ApiError> {
    let known = all.iter().copied().find(|known| shown(*known).eq_ignore_ascii_case(value));
    known.ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|known| shown(*known)).collect();
        bad(name, value, &format!("one of {}", names.join(", ")))
    })
}

fn protocol(name: &str, value: &str) -> Result<Protocol, ApiError> {
    one_of((name, value), &Protocol::ALL, Protocol::as_str)
}

fn auth_method(name: &str, value: &str) -> Result<AuthMethod, ApiError> {
    one_of((name, value), &AuthMethod::ALL, AuthMethod::as_str)
}

fn status_code(name: &str, value: &str) -> Result<u16, ApiError> {
    read(name, value, "a number from 0 to 999", |value| {
        value.parse().ok().filter(|code| *code <= 999)
    })
}

fn country(name: &str, value: &str) -> Result<Country, ApiError> {
    read(name, value, "a code of two letters", |value| Country::from_code(value.as_bytes()))
}

fn reason(name: &str, value: &str) -> Result<Reason, ApiError> {
    Reason::from_name(value).ok_or_else(|| {
        let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        bad(name, value, &format!("one of {}", known.join(", ")))
    })
}

fn verdict(name: &str, value: &str) -> Result<Verdict, ApiError> {
    read(name, value, "allowed, denied or error", |value| {
        Verdict::ALL.into_iter().find(|verdict| verdict.as_str().eq_ignore_ascii_case(value))
    })
}

fn flag(name: &str, value: &str) -> Result<bool, ApiError> {
    read(name, value, "true or false", |value| value.to_ascii_lowercase().parse().ok())
}

fn status(name: &str, value: &str) -> Result<Status, ApiError> {
    match value.to_ascii_lowercase().as_str() {
        "success" => Ok(Status::Success),
        "failed" => Ok(Status::Failed),
        _ => Err(bad(name, value, "success or failed")),
    }
}
