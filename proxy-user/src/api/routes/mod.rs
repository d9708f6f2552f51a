//! The routes of SPEC 6, a file for each.

pub(super) mod audit;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod flows;
pub(super) mod health;
mod input;
pub(super) mod openapi;
pub(super) mod reload;
mod rows;
mod segment;
pub(super) mod sessions;
pub(super) mod status;
pub(super) mod stream;
pub(super) mod tokens;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    middleware,
    routing::{MethodRouter, delete, get, post},
};

use super::{access, app::App, dashboard, error::ApiError, metrics};

/// The largest body of a request, bytes.
const MAX_BODY: usize = 64 * 1024;

/// A path, and what answers there.
type Route = (&'static str, fn() -> MethodRouter<App>);

/// Every route.
pub(super) const ROUTES: [Route; 20] = [
    ("/api/events/proxy", || get(events::list)),
    ("/api/events/proxy/{id}", || get(events::one)),
    ("/api/events/proxy/stream", || get(stream::stream)),
    ("/api/events/proxy/export", || get(export::export)),
    ("/api/events/proxy/summary", || get(events::summary)),
    ("/api/events/audit", || get(audit::list)),
    ("/api/services", || get(status::services)),
    ("/api/flows", || get(flows::list)),
    ("/api/explain", || get(explain::explain)),
    ("/api/status", || get(status::status)),
    ("/api/reload", || post(reload::reload)),
    ("/api/reload/confirm", || post(reload::confirm)),
    ("/api/tokens", || get(tokens::list).post(tokens::create)),
    ("/api/tokens/{name}", || delete(tokens::revoke)),
    ("/api/sessions", || get(sessions::list).delete(sessions::revoke_all)),
    ("/api/sessions/{id}", || delete(sessions::revoke)),
    ("/api/openapi.json", || get(openapi::document)),
    ("/metrics", || get(metrics::scrape)),
    ("/healthz/live", || get(health::live)),
    ("/healthz/ready", || get(health::ready)),
];

/// The router over all of them, and the dashboard beside them.
pub(super) fn router(app: App) -> Router {
    ROUTES
        .iter()
        .fold(Router::new(), |router, (path, answer)| router.route(path, answer()))
        .fallback(|| async { ApiError::not_found("no such path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(app.clone(), access::guard))
        .merge(dashboard::router(&app))
        .with_state(app)
}
