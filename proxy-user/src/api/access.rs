//! What every request passes before its route.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    app::App,
    dashboard::{SessionKey, same_origin_session},
    error::ApiError,
    model::Scope,
    params::Params,
    peer::Peer,
};

/// Parameters in which clients try to send a token.
const TOKEN_PARAMETERS: [&str; 5] =
    ["token", "access_token", "auth_token", "api_key", "authorization"];

/// What a request was let in by, an extension of it. What outlives the request's start
/// asks again whether it still holds.
#[derive(Clone)]
pub(super) struct Credential {
    secret: Arc<str>,
    /// The dashboard's session that holds the secret, if one does.
    session: Option<SessionKey>,
}

impl Credential {
    /// Whether a request with it would be let in now.
    pub(super) fn holds(&self, app: &App) -> bool {
        app.backend.verify_token(&self.secret).is_some()
            && self.session.is_none_or(|key| app.dashboard.sessions.holds(key))
    }
}

/// The layer around every route.
pub(super) async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&app, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What is asked of every request before it is asked who sent it: where it comes from, and
/// by which name.
pub(super) fn may_knock(app: &App, request: &Request) -> Result<(), ApiError> {
    let from = match request.extensions().get() {
        Some(Peer::Remote(from)) => *from,
        Some(Peer::Local(_)) => return Ok(()),
        None => return Err(ApiError::new(StatusCode::FORBIDDEN, "unknown client")),
    };
    app.gate.check(from, request.uri(), request.headers())?;
    no_token_in(request.uri())
}

fn admit(app: &App, request: &mut Request) -> Result<(), Refusal> {
    may_knock(app, request)?;
    let path = request.uri().path();
    let is_local = matches!(request.extensions().get(), Some(Peer::Local(_)));
    if is_local || path.starts_with("/healthz/") {
        return Ok(());
    }
    if !request.headers().contains_key(AUTHORIZATION)
        && let Some(session) = same_origin_session(app, request)
    {
        let credential = Credential { secret: session.token, session: Some(session.key) };
        request.extensions_mut().insert(credential);
        return Ok(());
    }
    let secret = secret(request.headers()).ok_or(Refusal::NoToken)?;
    let bearer = app.backend.verify_token(secret).ok_or(Refusal::BadToken)?;
    if bearer.scope == Scope::Metrics && path != "/metrics" {
        let message = format!("token {:?} may read /metrics only", bearer.name);
        return Err(ApiError::new(StatusCode::FORBIDDEN, message).into());
    }
    let credential = Credential { secret: secret.into(), session: None };
    request.extensions_mut().insert(credential);
    Ok(())
}

/// URLs end up in logs and histories.
fn no_token_in(uri: &Uri) -> Result<(), ApiError> {
    let mut params = Params::of(uri)?;
    for name in TOKEN_PARAMETERS {
        if !params.take_all(name)?.is_empty() {
            let message = format!(
                "{name}: a token belongs in the Authorization header, not in the URL; \
                 revoke it, it may have been logged on its way"
            );
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

/// The token of the one `Authorization: Bearer` or `Token`.
fn secret(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (scheme, secret) = values.next()?.to_str().ok()?.trim().split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    (known && values.next().is_none()).then_some(secret.trim_start())
}

/// Why a request does not reach its route.
enum Refusal {
    /// It shows no token.
    NoToken,
    /// The token is unknown, revoked or expired.
    BadToken,
    /// Anything else.
    Other(ApiError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Other(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (message, challenge) = match self {
            Self::NoToken => ("a token is needed: Authorization: Bearer TOKEN", "Bearer"),
            Self::BadToken => {
                ("the token is unknown, revoked or expired", "Bearer error=\"invalid_token\"")
            }
            Self::Other(error) => return error.into_response(),
        };
        let challenge = [(WWW_AUTHENTICATE, challenge)];
        (challenge, ApiError::new(StatusCode::UNAUTHORIZED, message)).into_response()
    }
}
