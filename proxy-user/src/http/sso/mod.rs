//! Single sign-on: an OpenID Connect client with the authorization code flow, PKCE, state
//! and nonce.

mod arrival;
mod attempt;
mod callback;
mod cookie;
mod departure;
mod error;
mod identity;
mod issuer;
mod known;
mod oidc;
#[cfg(test)]
mod tests;
mod tokens;
mod told;
mod user;
mod web;

pub use arrival::Arrival;
pub use departure::{Departure, Wish};
pub use error::{SsoError, StateFault};
pub use user::{User, permits};

use std::{collections::HashMap, io, path::Path, sync::Arc};

use hyper::HeaderMap;
use openidconnect::{OAuth2TokenResponse as _, RefreshToken};
use parking_lot::Mutex;

use self::{
    identity::{Expected, identify},
    issuer::Issuer,
};
use crate::{
    config::SsoProvider,
    http::{auth::key_file, sealing::SealingKey},
    record::Timestamp,
};

/// Signs users in at their providers.
pub struct Sso {
    key: SealingKey,
    /// By the provider's name.
    issuers: Mutex<HashMap<String, Arc<Issuer>>>,
}

impl Sso {
    /// Keeps its key below `data_dir`, as `sso.key`.
    ///
    /// # Errors
    /// The key cannot be read or made.
    pub fn new(data_dir: &Path) -> io::Result<Self> {
        let key = SealingKey::new(&key_file::kept(data_dir, "sso.key")?)?;
        Ok(Self { key, issuers: Mutex::default() })
    }

    /// Begins a login. The browser asks with `cookies`, at the host of the callback:
    /// another host's do not come there.
    pub async fn begin(
        &self,
        provider: &Arc<SsoProvider>,
        wish: Wish<'_>,
        cookies: &HeaderMap,
    ) -> Result<Departure, SsoError> {
        let known = self.issuer(provider).known().await?;
        departure::depart(&self.key, provider, &known, wish, cookies)
    }

    /// Ends a login: what came to the callback at the origin `at`, with that query and those
    /// cookies. A callback that comes twice is refused by the provider, which takes a code
    /// once.
    pub async fn complete(
        &self,
        providers: impl Fn(&str) -> Option<Arc<SsoProvider>>,
        at: &str,
        query: &str,
        cookies: &HeaderMap,
    ) -> Result<Arrival, SsoError> {
        let returned = arrival::returned(&self.key, query, cookies, Timestamp::now())?;
        let provider = providers(&returned.attempt.provider).ok_or(StateFault::Gone)?;
        arrival::arrive(&self.issuer(&provider), returned, at).await
    }

    /// Asks whether the provider still vouches for a user: who that is now, and the next
    /// refresh token, where it is another. The session goes on for a while where there is
    /// no answer ([`SsoError::Unreachable`]), and ends where that is another.
    pub async fn confirm(
        &self,
        provider: &Arc<SsoProvider>,
        user: &User,
        refresh: &str,
    ) -> Result<(User, Option<String>), SsoError> {
        let issuer = self.issuer(provider);
        let known = issuer.known().await?;
        let refresh = RefreshToken::new(refresh.to_owned());
        let tokens = tokens::by_refresh(provider, &known, &refresh).await?;
        let user = identify(&issuer, known, &tokens, Expected::User(user)).await?;
        Ok((user, tokens.refresh_token().map(|token| token.secret().clone())))
    }

    /// What is known of a provider goes with its settings, and once nobody else has them.
    fn issuer(&self, provider: &Arc<SsoProvider>) -> Arc<Issuer> {
        let mut issuers = self.issuers.lock();
        let known = issuers.get(&provider.name).filter(|issuer| issuer.provider == *provider);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        issuers.retain(|_, issuer| Arc::strong_count(&issuer.provider) > 1);
        let issuer = Arc::new(Issuer::new(Arc::clone(provider)));
        issuers.insert(provider.name.clone(), Arc::clone(&issuer));
        issuer
    }
}
