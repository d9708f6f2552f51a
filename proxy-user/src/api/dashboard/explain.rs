//! Why an address passes or does not.

use askama::Template;
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};

use super::{
    assets,
    frame::{EXPLAIN, Frame},
    link::Pairs,
    respond,
    viewer::Viewer,
    words,
};
use crate::{
    api::{Failure, app::App, error::ApiError, params},
    policy::Explanation,
};

#[derive(Template)]
#[template(path = "dashboard/explain.html")]
struct Page<'a> {
    frame: Frame,
    ip: &'a str,
    service: &'a str,
    url: &'a str,
    /// `None`: nothing was asked yet.
    answer: Option<Result<Explanation, String>>,
}

impl Page<'_> {
    fn reason(name: &str) -> &str {
        words::reason_named(name)
    }

    fn flag(country: &str) -> Option<String> {
        assets::flag(country)
    }
}

/// The page, with the answer where an address is given.
pub(super) async fn page(State(app): State<App>, viewer: Viewer, uri: Uri) -> Response {
    let pairs = Pairs::of(&uri);
    let given = |name| pairs.one(name).unwrap_or_default().trim();
    let (ip, service, url) = (given("ip"), given("service"), given("url"));
    let (status, answer) = match ip {
        "" if service.is_empty() && url.is_empty() => (StatusCode::OK, None),
        _ => match ask(&app, ip, service, url).await {
            Ok(explanation) => (StatusCode::OK, Some(Ok(explanation))),
            Err(ApiError { status, message }) => (status, Some(Err(message))),
        },
    };
    respond::page(status, &Page { frame: Frame::new(EXPLAIN, &viewer), ip, service, url, answer })
}

async fn ask(app: &App, ip: &str, service: &str, url: &str) -> Result<Explanation, ApiError> {
    if ip.is_empty() {
        return Err(ApiError::bad_request("ip: missing"));
    }
    let ip = params::address("ip", ip)?;
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (service, url) = (some(service), some(url));
    let question = move |backend: &dyn crate::api::Backend| {
        let answer = backend.explain(ip, service.as_deref(), url.as_deref())?;
        serde_json::from_value(answer).map_err(|error| Failure::Internal(error.into()))
    };
    app.ask(question).await
}
