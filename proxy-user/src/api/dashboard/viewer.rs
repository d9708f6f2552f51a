//! Who looks at a page.

use axum::{
    extract::FromRequestParts,
    http::{Method, Request, request::Parts},
    response::{IntoResponse, Redirect, Response},
};

use super::{cookie, link::encode, origin, sessions::Session};
use crate::api::{app::App, model::Scope};

/// Someone who is signed in. Others are led to the sign-in page, and back from there.
pub(super) struct Viewer {
    /// The token's name.
    pub(super) name: String,
    pub(super) session: Session,
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let session =
            cookie::read(&parts.headers).and_then(|held| app.dashboard.sessions.find(held));
        let bearer = session.as_ref().and_then(|session| app.backend.verify_token(&session.token));
        match (session, bearer) {
            (Some(session), Some(bearer)) => Ok(Self { name: bearer.name, session }),
            (Some(ended), None) => {
                app.dashboard.sessions.close(ended.key);
                Err(to_sign_in(parts))
            }
            (None, _) => Err(to_sign_in(parts)),
        }
    }
}

fn to_sign_in(parts: &Parts) -> Response {
    // What was sent to be changed cannot be asked for again by a link.
    let again = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
    let wanted = again.map_or("/", |target| target.as_str());
    let target = match wanted {
        "/" => "/sign-in".to_owned(),
        _ => format!("/sign-in?next={}", encode(wanted)),
    };
    Redirect::to(&target).into_response()
}

/// The session by which a page of the dashboard reads the API: what it fetches, follows
/// and exports, never what changes anything.
pub(in crate::api) fn same_origin_session<B>(app: &App, request: &Request<B>) -> Option<Session> {
    let reads = *request.method() == Method::GET && request.uri().path().starts_with("/api/");
    if !reads || origin::is_foreign(request.headers()) {
        return None;
    }
    let session = app.dashboard.sessions.find(cookie::read(request.headers())?)?;
    let bearer = app.backend.verify_token(&session.token)?;
    (bearer.scope == Scope::Read).then_some(session)
}
