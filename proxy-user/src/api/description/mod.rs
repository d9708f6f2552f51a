//! The API's description (`OpenAPI` 3.1), made from routes, parameters and models.

mod responses;

use std::sync::LazyLock;

use axum::http::StatusCode;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

pub(super) use self::responses::*;
use super::{error::ApiError, metrics, model::ErrorBody, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Weir",
        version = "1",
        description = "Records, flows, status and control of a Weir daemon. Over TCP at \
            api.listen with a token, and without one over the control socket weir.sock, which \
            alone can change things. Errors of every kind, also of unknown paths (404) and \
            methods (405), are `Error`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/")),
    security(("token" = [])),
    tags((name = "Records"), (name = "Daemon"), (name = "Control"), (name = "Health")),
    components(schemas(ErrorBody)),
    modifiers(&Token),
    paths(
        routes::events::list,
        routes::events::one,
        routes::stream::stream,
        routes::export::export,
        routes::events::summary,
        routes::audit::list,
        routes::status::services,
        routes::flows::list,
        routes::explain::explain,
        routes::status::status,
        routes::reload::reload,
        routes::reload::confirm,
        routes::tokens::list,
        routes::tokens::create,
        routes::tokens::revoke,
        routes::sessions::list,
        routes::sessions::revoke_all,
        routes::sessions::revoke,
        routes::openapi::document,
        metrics::scrape,
        routes::health::live,
        routes::health::ready,
    )
)]
struct Description;

/// How requests are let in.
struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let description = "`Authorization: Bearer TOKEN` or `Authorization: Token TOKEN`. Made by \
                           `weir token create`.";
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(description))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The description as JSON.
pub(super) fn document() -> Result<&'static str, ApiError> {
    static DOCUMENT: LazyLock<Option<String>> =
        LazyLock::new(|| serde_json::to_string(&Description::openapi()).ok());
    DOCUMENT.as_deref().ok_or_else(|| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the description could not be written")
    })
}
