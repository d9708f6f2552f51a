//! The way to the provider.

use std::borrow::Cow;

use hyper::HeaderMap;
use openidconnect::{
    AuthenticationFlow, CsrfToken, Nonce, PkceCodeChallenge, RedirectUrl, Scope,
    core::{CoreAuthPrompt, CoreResponseType},
};

use super::{
    attempt::{Attempt, LIFETIME_MS},
    cookie,
    error::SsoError,
    known::Known,
};
use crate::{config::SsoProvider, http::sealing::SealingKey, record::Timestamp};

/// The path that a provider sends the browser back to.
const CALLBACK: &str = "/.weir/sso/callback";

/// What sends a browser to its provider.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Where it goes.
    pub url: String,
    /// The cookie that binds the way back to this browser, to be kept for ten minutes.
    pub cookie_name: String,
    /// Its value.
    pub cookie: String,
    /// Cookies to remove: of logins that were begun before and not finished.
    pub surplus: Vec<String>,
}

/// What a user wants to sign in to. It comes back with the arrival.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where the service is.
    pub origin: &'a str,
    /// Which service it is, and what else has to come back whole.
    pub service: &'a str,
    /// A path on it with its query, which the caller has looked at.
    pub return_to: &'a str,
}

/// Where the callback of a service at that origin is.
pub(super) fn callback_origin<'a>(provider: &'a SsoProvider, origin: &'a str) -> &'a str {
    provider.callback.as_deref().unwrap_or(origin)
}

/// The same, as the provider is told it.
pub(super) fn redirect(provider: &SsoProvider, origin: &str) -> Result<RedirectUrl, SsoError> {
    let url = format!("{}{CALLBACK}", callback_origin(provider, origin));
    RedirectUrl::new(url).map_err(|error| SsoError::Host(error.to_string()))
}

pub(super) fn depart(
    key: &SealingKey,
    provider: &SsoProvider,
    known: &Known,
    wish: Wish<'_>,
    cookies: &HeaderMap,
) -> Result<Departure, SsoError> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
    let mut request = known
        .client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .set_redirect_uri(Cow::Owned(redirect(provider, wish.origin)?))
        .set_pkce_challenge(challenge);
    // The crate asks for `openid` by itself.
    for scope in provider.scopes.iter().filter(|scope| *scope != "openid") {
        request = request.add_scope(Scope::new(scope.clone()));
    }
    // Without it providers ignore this scope (OpenID Connect Core, 11).
    if provider.scopes.iter().any(|scope| scope == "offline_access") {
        request = request.add_prompt(CoreAuthPrompt::Consent);
    }
    let (url, state, nonce) = request.url();
    let secure = callback_origin(provider, wish.origin).starts_with("https:");
    let name = cookie::name(state.secret(), secure);
    let cookie_name = name.ok_or_else(|| SsoError::Host("a state of another form".to_owned()))?;
    let attempt = Attempt {
        provider: provider.name.clone(),
        service: wish.service.to_owned(),
        origin: wish.origin.to_owned(),
        return_to: wish.return_to.to_owned(),
        nonce: nonce.secret().clone(),
        verifier: verifier.into_secret(),
        expires: Timestamp(Timestamp::now().0 + LIFETIME_MS),
    };
    let cookie = attempt.seal(key, &cookie_name).map_err(|e| SsoError::Host(e.to_string()))?;
    Ok(Departure { url: url.into(), cookie_name, cookie, surplus: cookie::surplus(cookies) })
}
