//! The way back from the provider.

use std::sync::Arc;

use hyper::HeaderMap;
use openidconnect::{Nonce, OAuth2TokenResponse as _};

use super::{
    attempt::Attempt,
    callback::Callback,
    departure::{callback_origin, redirect},
    error::{SsoError, StateFault},
    identity::{Expected, identify},
    issuer::Issuer,
    tokens,
    user::User,
};
use crate::{config::SsoProvider, http::sealing::SealingKey, record::Timestamp};

/// Who came back.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who vouches for the user.
    pub provider: Arc<SsoProvider>,
    /// Where the user wants to go: as it was given to `Sso::begin`.
    pub service: String,
    /// The same.
    pub origin: String,
    /// The same. Where it was longer than a cookie holds it lacks its query, or is `/`.
    pub return_to: String,
    /// Whom the provider vouches for; whether the service lets them pass is not asked yet.
    pub user: User,
    /// What `Sso::confirm` needs, where the provider gives such.
    pub refresh: Option<String>,
    /// The cookie to remove.
    pub cookie_name: String,
}

/// A browser that comes back from a login of its own.
pub(super) struct Returned {
    pub(super) attempt: Attempt,
    cookie_name: String,
    callback: Callback,
}

/// The state is looked at before anything else: without it a stranger wrote the link.
pub(super) fn returned(
    key: &SealingKey,
    query: &str,
    cookies: &HeaderMap,
    now: Timestamp,
) -> Result<Returned, StateFault> {
    let callback = Callback::parse(query);
    let state = callback.state.as_deref().ok_or(StateFault::Missing)?;
    let (attempt, cookie_name) = Attempt::of(key, state, cookies, now)?;
    Ok(Returned { attempt, cookie_name, callback })
}

pub(super) async fn arrive(
    issuer: &Issuer,
    returned: Returned,
    at: &str,
) -> Result<Arrival, SsoError> {
    let provider = &issuer.provider;
    let Returned { attempt, cookie_name, callback } = returned;
    if callback_origin(provider, &attempt.origin) != at {
        return Err(StateFault::Forged.into());
    }
    let code = code(provider, callback)?;
    let known = issuer.known().await?;
    let redirect = redirect(provider, &attempt.origin)?;
    let tokens = tokens::by_code(provider, &known, code, attempt.verifier, redirect).await?;
    let nonce = Nonce::new(attempt.nonce);
    let user = identify(issuer, known, &tokens, Expected::Login(&nonce)).await?;
    Ok(Arrival {
        provider: Arc::clone(provider),
        service: attempt.service,
        origin: attempt.origin,
        return_to: attempt.return_to,
        user,
        refresh: tokens.refresh_token().map(|token| token.secret().clone()),
        cookie_name,
    })
}

/// What the provider gives instead of the user's word.
fn code(provider: &SsoProvider, callback: Callback) -> Result<String, SsoError> {
    // Another provider's, which hopes to get this one's code (RFC 9207).
    if callback.issuer.is_some_and(|named| named != provider.issuer) {
        return Err(SsoError::invalid(provider, "it comes from another issuer"));
    }
    if let Some(error) = callback.error {
        return Err(tokens::by_words(provider, &error, callback.description.as_deref()));
    }
    callback.code.ok_or_else(|| SsoError::invalid(provider, "it has no code"))
}
