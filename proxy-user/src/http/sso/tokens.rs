//! The token endpoint: a code or a refresh token for tokens.

use std::borrow::Cow;

use openidconnect::{
    AuthorizationCode, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError,
};
use serde_json::Value;

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
    match error {
        RequestTokenError::ServerResponse(refusal) => {
            let description = refusal.error_description().map(String::as_str);
            by_words(provider, refusal.error().as_ref(), description)
        }
        RequestTokenError::Request(error) => SsoError::unreachable(provider, error),
        RequestTokenError::Parse(_, body) if !has_tokens(&body) => {
            SsoError::unreachable(provider, "it answers with no tokens")
        }
        RequestTokenError::Parse(error, _) => {
            let at = format!("its token response cannot be read at {}", error.path());
            SsoError::invalid(provider, at)
        }
        RequestTokenError::Other(_) => {
            SsoError::unreachable(provider, "its token response cannot be read")
        }
    }
}

/// Whether a JSON text is a token response at all (RFC 6749, 5.1).
fn has_tokens(body: &[u8]) -> bool {
    let response: Result<Value, _> = serde_json::from_slice(body);
    response.is_ok_and(|response| response.get("access_token").is_some())
}

/// A refusal, or trouble that passes (RFC 6749, 4.1.2.1).
pub(super) fn by_words(provider: &SsoProvider, error: &str, description: Option<&str>) -> SsoError {
    if matches!(error, "server_error" | "temporarily_unavailable") {
        return SsoError::unreachable(provider, description.unwrap_or(error));
    }
    SsoError::Refused {
        issuer: provider.issuer.clone(),
        error: shown(error),
        description: description.map(shown),
    }
}
