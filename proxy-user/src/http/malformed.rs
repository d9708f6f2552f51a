//! Requests that could not be read, which are records all the same.

use std::sync::Arc;

use hyper::{Request, StatusCode};
use proxy_common::reason::Reason;

use super::{connection::Connection, exchange::Exchange, pages::Hop, refusal::Refusal};

/// Records a request that hyper refused to read, and has answered.
pub(super) fn record(connection: &Arc<Connection>, error: &hyper::Error) {
    let status = if error.is_parse_too_large() {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    } else {
        StatusCode::BAD_REQUEST
    };
    let mut exchange = Exchange::begin(connection, &Request::new(()));
    exchange.is_unread();
    let refusal = Refusal::of(Reason::BadRequest, status, Hop::Client, "");
    exchange.is_refused(&refusal.because(error.to_string()));
    exchange.is_answered(status);
    exchange.is_complete();
}
