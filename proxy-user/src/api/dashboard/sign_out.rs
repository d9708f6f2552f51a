//! Signing out.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, header::SET_COOKIE},
    response::{IntoResponse, Redirect, Response},
};

use super::{
    cookie,
    origin::Origin,
    sign_in::{address, note},
    viewer::Viewer,
};
use crate::api::{Visit, app::App, peer::Peer};

/// Ends the session and what follows the log by it.
pub(super) async fn submit(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    origin: Origin,
    headers: HeaderMap,
    viewer: Viewer,
) -> Response {
    app.dashboard.sessions.close(viewer.session.key);
    note(&app, Visit::SignedOut, &viewer.name, address(peer)).await;
    let mut response = Redirect::to("/sign-in").into_response();
    let cookie = cookie::remove(&headers, origin);
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}
