//! What authentication needs of single sign-on.

use std::{pin::Pin, sync::Arc};

use hyper::HeaderMap;

use crate::{
    config::SsoProvider,
    http::sso::{Arrival, Departure, Sso, SsoError, User, Wish},
};

/// An answer that takes its time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, SsoError>> + Send + 'a>>;

/// Talks to providers of single sign-on.
pub trait SignOn: Send + Sync {
    /// Begins: where the browser is to go, and what it is to keep meanwhile. `cookies`: headers of the browser's request, at the host of
    /// the callback.
    fn begin<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        wish: Wish<'a>,
        cookies: &'a HeaderMap,
    ) -> Later<'a, Departure>;

    /// The browser is back at the callback of the origin `at`.
    fn complete<'a>(
        &'a self,
        providers: &'a [Arc<SsoProvider>],
        at: &'a str,
        query: &'a str,
        cookies: &'a HeaderMap,
    ) -> Later<'a, Arrival>;

    /// Asks by refresh token whether `user` still is one: who that is now, and the next
    /// refresh token, where it is another.
    fn confirm<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        user: &'a User,
        refresh: &'a str,
    ) -> Later<'a, (User, Option<String>)>;
}

impl SignOn for Sso {
    fn begin<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        wish: Wish<'a>,
        cookies: &'a HeaderMap,
    ) -> Later<'a, Departure> {
        Box::pin(self.begin(provider, wish, cookies))
    }

    fn complete<'a>(
        &'a self,
        providers: &'a [Arc<SsoProvider>],
        at: &'a str,
        query: &'a str,
        cookies: &'a HeaderMap,
    ) -> Later<'a, Arrival> {
        let named = |name: &str| providers.iter().find(|provider| provider.name == name).cloned();
        Box::pin(self.complete(named, at, query, cookies))
    }

    fn confirm<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        user: &'a User,
        refresh: &'a str,
    ) -> Later<'a, (User, Option<String>)> {
        Box::pin(self.confirm(provider, user, refresh))
    }
}
