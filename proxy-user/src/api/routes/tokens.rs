//! API tokens, over the control socket.

use axum::{Json, extract::State, http::StatusCode};

use super::{input::Input, segment::Segment};
use crate::api::{
    Backend,
    app::App,
    description::{Conflicting, Failed, Missing, Refused, TooLarge},
    error::ApiError,
    model::{Created, Data, NewToken, Token},
    peer::Controller,
};

/// The longest name of a token, bytes.
const MAX_NAME: usize = 64;
/// The longest life that can be asked for, seconds: a hundred years.
const MAX_LIFETIME: u64 = 36_525 * 24 * 60 * 60;

/// API tokens, without their secrets.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    get,
    path = "/api/tokens",
    operation_id = "listTokens",
    tag = "Control",
    responses((status = 200, description = "Every token.", body = Data<Token>), Refused, Failed),
)]
pub(in crate::api) async fn list(
    State(app): State<App>,
    Controller(_): Controller,
) -> Result<Json<Data<Token>>, ApiError> {
    let data = app.ask(Backend::list_tokens).await?;
    Ok(Json(Data { data }))
}

/// Make a token.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    post,
    path = "/api/tokens",
    operation_id = "createToken",
    tag = "Control",
    request_body = NewToken,
    responses(
        (status = 201, description = "The token. Its secret is shown this once.", body = Created),
        Refused,
        Conflicting,
        TooLarge,
        Failed,
    ),
)]
pub(in crate::api) async fn create(
    State(app): State<App>,
    Controller(who): Controller,
    Input(token): Input<NewToken>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    check(&token)?;
    let created = app.ask(move |backend| backend.create_token(&who, &token)).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke a token.
///
/// Over the control socket `weir.sock` only; over TCP the answer is 403.
#[utoipa::path(
    delete,
    path = "/api/tokens/{name}",
    operation_id = "revokeToken",
    tag = "Control",
    params(("name" = String, Path, description = "The token's name.")),
    responses((status = 204, description = "It is revoked."), Refused, Missing, Failed),
)]
pub(in crate::api) async fn revoke(
    State(app): State<App>,
    Controller(who): Controller,
    Segment(name): Segment,
) -> Result<StatusCode, ApiError> {
    let wanted = name.clone();
    if app.ask(move |backend| backend.revoke_token(&who, &wanted)).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::not_found(format!("no token has the name {name:?}")))
}

fn check(token: &NewToken) -> Result<(), ApiError> {
    let in_name = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if token.name.is_empty() || token.name.len() > MAX_NAME || !token.name.bytes().all(in_name) {
        let message = format!(
            "name: {:?} is not 1 to {MAX_NAME} letters, digits, dots, hyphens or underscores",
            token.name
        );
        return Err(ApiError::bad_request(message));
    }
    match token.expires_seconds {
        Some(0) => Err(ApiError::bad_request("expires_seconds: 0 leaves no time")),
        Some(longer) if longer > MAX_LIFETIME => Err(ApiError::bad_request(format!(
            "expires_seconds: {longer} is more than 100 years ({MAX_LIFETIME}); a token without it \
             never expires"
        ))),
        _ => Ok(()),
    }
}
