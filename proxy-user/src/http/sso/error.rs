//! Why a login did not come about.

use std::fmt;

use crate::config::SsoProvider;

/// Why a login did not come about, in words for the page that says so. They hold no
/// secret; what the provider said is in them, short and without control characters, and
/// not yet escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SsoError {
    /// The provider does not answer, or says that it cannot for now. Worth another try.
    #[error("{issuer} cannot be reached: {why}")]
    Unreachable {
        /// Its issuer identifier.
        issuer: String,
        /// What happened.
        why: String,
    },
    /// The provider says no (RFC 6749, 4.1.2.1 and 5.2).
    #[error("{issuer} refuses: {error}{}", of(description.as_deref()))]
    Refused {
        /// Its issuer identifier.
        issuer: String,
        /// The error code, as `access_denied`.
        error: String,
        /// What it says beside that.
        description: Option<String>,
    },
    /// The fault is on this host.
    #[error("Weir cannot keep a login: {0}")]
    Host(String),
    /// The browser brings no login of its own that is still under way.
    #[error(transparent)]
    State(#[from] StateFault),
    /// The provider's answer is not one that can be believed.
    #[error("the answer of {issuer} is not valid: {why}")]
    Invalid {
        /// Its issuer identifier.
        issuer: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What is wrong with the login that a browser brings back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// It has none, or none by this state.
    #[error("this login was not begun in this browser, or its cookie is gone")]
    Missing,
    /// It took longer than ten minutes.
    #[error("this login took longer than ten minutes")]
    Expired,
    /// The cookie is not one that Weir made, or belongs to another host.
    #[error("this login was not begun here")]
    Forged,
    /// Its provider is no longer in the configuration.
    #[error("this login's provider is no longer in use")]
    Gone,
}

impl SsoError {
    pub(super) fn unreachable(provider: &SsoProvider, why: impl fmt::Display) -> Self {
        Self::Unreachable { issuer: provider.issuer.clone(), why: shown(&why.to_string()) }
    }

    pub(super) fn invalid(provider: &SsoProvider, why: impl fmt::Display) -> Self {
        Self::Invalid { issuer: provider.issuer.clone(), why: shown(&why.to_string()) }
    }
}

fn of(description: Option<&str>) -> String {
    description.map(|text| format!(" ({text})")).unwrap_or_default()
}

/// Of a provider's text what fits on a page.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 200;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect()
}
