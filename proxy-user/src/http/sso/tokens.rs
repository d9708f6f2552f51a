//! The token endpoint: a code or a refresh token for tokens.

use std::borrow::Cow;

use openidconnect::{
    AuthorizationCode, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
};

use super::{
    error::{SsoError, shown},
    known::Known,
    oidc::{Refusal, Tokens},
    web::WebError,
};
use crate::config::SsoProvider;

/// For a code, which the provider takes once (RFC 6749, 4.1.2): this is what a replayed
/// callback fails by.
pub(super) async fn by_code(
    provider: &SsoProvider,
    known: &Known,
    code: String,
    verifier: String,
    redirect: RedirectUrl,
) -> Result<Tokens, SsoError> {
    let request = known
        .client
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(verifier))
        .set_redirect_uri(Cow::Owned(redirect));
    request.request_async(&known.web).await.map_err(|error| refused(provider, error))
}

/// For a refresh token.
pub(super) async fn by_refresh(
    provider: &SsoProvider,
    known: &Known,
    refresh: &RefreshToken,
) -> Result<Tokens, SsoError> {
    let request = known.client.exchange_refresh_token(refresh);
    request.request_async(&known.web).await.map_err(|error| refused(provider, error))
}

/// What cannot be parsed may hold tokens, and is not repeated.
fn refused(provider: &SsoProvider, error: RequestTokenError<WebError, Refusal>) -> SsoError {
    let issuer = provider.issuer.clone();
    match error {
        RequestTokenError::ServerResponse(refusal) => {
            let description = refusal.error_description().map(String::as_str);
            by_words(issuer, refusal.error().as_ref(), description)
        }
        RequestTokenError::Request(error) => {
            SsoError::Unreachable { issuer, why: error.to_string() }
        }
        RequestTokenError::Parse(error, _) => {
            let why = format!("its token response cannot be read at {}", error.path());
            SsoError::Invalid { issuer, why }
        }
        RequestTokenError::Other(_) => {
            SsoError::Invalid { issuer, why: "its token response cannot be read".to_owned() }
        }
    }
}

/// A refusal, or trouble that passes (RFC 6749, 4.1.2.1).
pub(super) fn by_words(issuer: String, error: &str, description: Option<&str>) -> SsoError {
    let (error, description) = (shown(error), description.map(shown));
    if matches!(error.as_str(), "server_error" | "temporarily_unavailable") {
        return SsoError::Unreachable { issuer, why: description.unwrap_or(error) };
    }
    SsoError::Refused { issuer, error, description }
}
