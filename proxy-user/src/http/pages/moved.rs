//! What is somewhere else.

use askama::Template;
use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{HeaderValue, LOCATION},
};
use uuid::Uuid;

use super::respond;

#[derive(Template)]
#[template(path = "redirect.html")]
struct Moved<'a> {
    request_id: Uuid,
    location: &'a str,
}

/// A redirect to `location`, with a page for clients that do not follow it by themselves.
/// `headers`: the request's.
pub fn redirect(
    status: StatusCode,
    location: &HeaderValue,
    request_id: Uuid,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let text = location.to_str().unwrap_or_default();
    let mut response = respond(status, headers, &Moved { request_id, location: text }, text);
    response.headers_mut().insert(LOCATION, location.clone());
    response
}
