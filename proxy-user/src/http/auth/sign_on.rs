//! What authentication needs of single sign-on.

use std::{pin::Pin, sync::Arc};

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::config::SsoProvider;

/// An answer that takes its time.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, SignOnError>> + Send + 'a>>;

/// Talks to providers of single sign-on.
pub trait SignOn: Send + Sync {
    /// Begins: where the browser is to go, and what it is to keep meanwhile. `wish` comes
    /// back with the arrival. `cookies`: headers of the browser's request, at the host of
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

    /// Asks by refresh token whether the user with the id `user` still is one, and what has
    /// changed about them.
    fn confirm<'a>(
        &'a self,
        provider: &'a Arc<SsoProvider>,
        user: &'a str,
        refresh: &'a str,
    ) -> Later<'a, Confirmed>;
}

/// A user, as the provider vouches for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `sub`: the same for ever.
    pub id: String,
    /// Where the provider says that it is verified.
    pub email: Option<String>,
    /// As the provider calls them.
    pub groups: Vec<String>,
}

impl User {
    /// What people call them.
    pub fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.id)
    }
}

/// What a user wants to sign in to.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where the service is.
    pub origin: &'a str,
    /// Which service it is, and what else has to come back whole.
    pub service: &'a str,
    /// Where on it.
    pub return_to: &'a str,
}

/// On the way to the provider.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Where the browser goes.
    pub url: String,
    /// Binds the way back to this browser.
    pub cookie_name: String,
    /// Its value.
    pub cookie: String,
    /// Cookies that give way to it.
    pub surplus: Vec<String>,
}

/// Back from the provider.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who vouches for the user.
    pub provider: Arc<SsoProvider>,
    /// As they wished.
    pub origin: String,
    /// The same.
    pub service: String,
    /// The same.
    pub return_to: String,
    /// Who they are.
    pub user: User,
    /// By which they can be confirmed.
    pub refresh: Option<String>,
    /// The cookie that has done its work.
    pub cookie_name: String,
}

/// A user who was confirmed.
#[derive(Clone, Debug)]
pub struct Confirmed {
    /// As they are now.
    pub user: User,
    /// For the next time, where the one used is used up.
    pub refresh: Option<String>,
}

/// Why single sign-on did not work; what is said is fit for a page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SignOnError {
    /// The provider does not answer, or not as one.
    #[error("{0}")]
    Unreachable(String),
    /// The provider says no.
    #[error("{0}")]
    Refused(String),
    /// The browser does not come from where it was sent, or too late.
    #[error("{0}")]
    State(String),
    /// The fault is on this host.
    #[error("{0}")]
    Host(String),
    /// What the provider says cannot be believed.
    #[error("{0}")]
    Invalid(String),
}
