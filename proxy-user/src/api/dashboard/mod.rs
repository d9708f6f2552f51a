//! The dashboard: pages for people who hold a token.

mod assets;
mod audit;
mod chips;
mod cookie;
mod events;
mod explain;
mod fields;
mod flows;
mod form;
mod frame;
mod link;
mod origin;
mod overview;
mod pager;
mod range;
mod record;
mod record_row;
mod respond;
mod services;
mod sessions;
mod sign_in;
mod sign_out;
mod tries;
mod viewer;
mod words;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

pub(super) use self::{sessions::SessionKey, viewer::same_origin_session};
use self::{sessions::Sessions, tries::Tries};
use super::app::App;

/// The largest form, bytes.
const MAX_FORM: usize = 8 * 1024;

/// What the dashboard keeps between requests; gone with the daemon.
#[derive(Debug, Default)]
pub(super) struct Dashboard {
    pub(super) sessions: Sessions,
    tries: Tries,
}

/// The pages and what they need.
pub(super) fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(overview::page))
        .route("/activity/proxy-events", get(events::page))
        .route("/activity/proxy-events/{id}", get(record::page))
        .route("/activity/audit", get(audit::page))
        .route("/flows", get(flows::page))
        .route("/services", get(services::page))
        .route("/explain", get(explain::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-out", post(sign_out::submit))
        .route("/assets/{version}/{*name}", get(assets::asset))
        .layer(DefaultBodyLimit::max(MAX_FORM))
        .layer(middleware::from_fn_with_state(app.clone(), respond::guard))
}
