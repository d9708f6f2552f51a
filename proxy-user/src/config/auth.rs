//! Who may use an `http` service: types.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use hyper::header::HeaderName;

/// `[service.NAME.auth]`: at least one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// From a login to its end.
    pub session_lifetime: Duration,
    /// A word that all users share.
    pub password: Option<SecretHash>,
    /// A number that all users share.
    pub pin: Option<SecretHash>,
    /// Each of which lets a request pass.
    pub headers: Vec<HeaderSecret>,
    /// Single sign-on.
    pub sso: Option<SsoRule>,
    /// What wrong tries lead to.
    pub lockout: Lockout,
}

/// An entry of `auth.headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderSecret {
    /// Which header holds it.
    pub name: HeaderName,
    /// What its value is compared with.
    pub hash: SecretHash,
}

/// What a secret is compared with.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum SecretHash {
    /// In the PHC string format, for what people choose.
    Argon2id(String),
    /// SHA-256, for keys of 256 random bits.
    Sha256([u8; 32]),
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2id(_) => "Argon2id(..)",
            Self::Sha256(_) => "Sha256(..)",
        })
    }
}

/// `auth.lockout`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Wrong tries before it.
    pub attempts: u32,
    /// In which they are counted.
    pub window: Duration,
    /// How long it lasts.
    pub duration: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { attempts: 5, window: Duration::from_mins(10), duration: Duration::from_mins(15) }
    }
}

/// `auth.sso`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsoRule {
    /// Who signs users in.
    pub provider: Arc<SsoProvider>,
    /// Whom of those it lets pass.
    pub allow: SsoAllow,
}

/// Who of a provider's users may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SsoAllow {
    /// `allow_any_user`
    AnyUser,
    /// Who is on one of the lists.
    Listed {
        /// As the provider calls them.
        groups: Vec<String>,
        /// In lower case.
        emails: Vec<String>,
        /// What follows the `@` of an e-mail, in lower case.
        domains: Vec<String>,
    },
}

/// `[sso.NAME]`
#[derive(Clone, PartialEq, Eq)]
pub struct SsoProvider {
    /// In the configuration.
    pub name: String,
    /// Its issuer identifier (`OpenID` Connect Discovery, 3).
    pub issuer: String,
    /// By which it knows Weir.
    pub client_id: String,
    /// Out of `client_secret_file`, without white space at its end.
    pub client_secret: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Which claim lists the user's groups.
    pub groups_claim: String,
    /// One origin for the callback of all services, `https://HOST[:PORT]` in lower case
    /// (`http://` on this host only); else each has its own.
    pub callback: Option<String>,
    /// How often a session is confirmed by its refresh token.
    pub recheck: Duration,
    /// Whom to trust as the issuer's server, instead of the system's authorities.
    pub ca_file: Option<PathBuf>,
}

impl SsoProvider {
    /// The host of [`Self::callback`].
    pub fn callback_host(&self) -> Option<&str> {
        let origin = self.callback.as_deref()?;
        let authority = origin.split_once("://").map_or(origin, |(_, rest)| rest);
        let host = authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        Some(host.map_or(authority, |(host, _)| host))
    }
}

impl fmt::Debug for SsoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SsoProvider").field("name", &self.name).finish_non_exhaustive()
    }
}
